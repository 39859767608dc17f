//! Programs that mean no good, and what each has to end as.

use std::time::Duration;

use super::stage::Stage;
use crate::cli::text::{self, Align, Table};
use crate::error::{Code, Result};
use crate::run::Outcome;
use crate::{Limits, Tenant};

const MIB: u64 = 1 << 20;

/// How a program has to end.
#[derive(Clone, Copy)]
enum End {
    /// By a limit.
    Limit(Code),
    /// With this exception, uncaught.
    Exception(&'static str, Code),
    /// With this value.
    Value(&'static str),
}

struct Hostile {
    does: &'static str,
    code: &'static str,
    end: End,
}

const fn hostile(does: &'static str, code: &'static str, end: End) -> Hostile {
    Hostile { does, code, end }
}

const PROGRAMS: [Hostile; 14] = [
    hostile("loops for ever", "while True: pass", End::Limit(Code::FuelExhausted)),
    hostile(
        "wants all memory",
        "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))",
        End::Limit(Code::MemoryExceeded),
    ),
    hostile("sleeps for an hour", "import time; time.sleep(3600)", End::Limit(Code::TimedOut)),
    hostile(
        "prints without end",
        "while True: print('x' * 1000)",
        End::Limit(Code::OutputExceeded),
    ),
    hostile(
        "calls the host without end",
        "while True: artifacts.load('nothing')",
        End::Limit(Code::CallsExceeded),
    ),
    hostile(
        "invokes itself without end",
        "workflows.create('invoke_itself', 'def run() -> None:\\n    return workflows.invoke_itself()')\n\
         workflows.invoke_itself()",
        End::Limit(Code::DepthExceeded),
    ),
    hostile(
        "recurses without end",
        "def deeper(n): return deeper(n + 1)\ndeeper(0)",
        End::Exception("RecursionError", Code::Raised),
    ),
    hostile(
        "overflows the stack in C",
        "nest = []\nfor _ in range(100_000): nest = [nest]\ndel nest",
        End::Limit(Code::StackExhausted),
    ),
    hostile("kills the interpreter", "import os; os.abort()", End::Limit(Code::Trapped)),
    hostile(
        "reads a file of the host",
        "open('/etc/passwd').read()",
        End::Exception("FileNotFoundError", Code::Raised),
    ),
    hostile(
        "opens a socket",
        "import socket; socket.create_connection(('127.0.0.1', 22))",
        End::Exception("PermissionError", Code::Raised),
    ),
    hostile("reads the environment", "import os; dict(os.environ)", End::Value("{}")),
    hostile(
        "starts a program",
        "import subprocess; subprocess.run(['id'])",
        End::Exception("OSError", Code::Raised),
    ),
    hostile(
        "bends a tool to read a file",
        "tools.curl.get(url='file:///etc/passwd')",
        End::Exception("InvalidArgumentError", Code::InvalidArgument),
    ),
];

/// Limits that are soon reached; that of time only by whom it is meant for, however busy the machine is.
fn limits(end: End) -> Limits {
    let is_slow = matches!(end, End::Limit(Code::TimedOut));
    Limits {
        fuel: 1_000_000_000,
        memory_bytes: 200 * MIB,
        wall_time: Duration::from_millis(if is_slow { 500 } else { 60_000 }),
        output_bytes: MIB,
        host_calls: 1000,
        depth: 5,
        ..Limits::default()
    }
}

/// Runs every program in a sandbox of its own, and shows how it ends.
pub(super) async fn run_all(tenant: &Tenant, stage: &mut Stage<'_>) -> Result<()> {
    let mut table = Table::new([
        ("", Align::Left),
        ("", Align::Left),
        ("", Align::Left),
        ("", Align::Right),
        ("", Align::Right),
        ("", Align::Right),
    ]);
    for program in &PROGRAMS {
        let run = tenant.session().limits(limits(program.end)).run(program.code).await?;
        let (came_out, expected, found) = judge(program.end, &run.outcome);
        stage.check(
            came_out,
            &format!("a program that {} to end as {expected}", program.does),
            &found,
        );
        table.row([
            format!("   {}", program.does),
            "->".to_owned(),
            if came_out { found } else { format!("{found}, NOT {expected}") },
            text::duration(run.usage.wall_time),
            format!("{} fuel", text::thousands(run.usage.fuel)),
            text::bytes(run.usage.peak_memory_bytes),
        ]);
    }
    stage.line(table.render().trim_end())
}

/// Whether that is the end it had to come to; the end it had to come to; the one it came to.
fn judge(end: End, outcome: &Outcome) -> (bool, String, String) {
    let found = match outcome {
        Outcome::Value(value) => format!("value {}", value.json),
        Outcome::Failure(failure) => match failure.exceptions.first() {
            Some(raised) => format!("{} ({})", failure.code, bare(&raised.type_name)),
            None => failure.code.to_string(),
        },
    };
    match (end, outcome) {
        (End::Value(expected), _) => {
            let expected = format!("value {expected}");
            (found == expected, expected, found)
        }
        (End::Limit(code), outcome) => {
            // An exception that a limit became, for example MemoryError, ends a run as the limit.
            let came_out = outcome.failure().is_some_and(|failure| failure.code == code);
            (came_out, code.to_string(), found)
        }
        (End::Exception(name, code), outcome) => {
            let came_out = outcome.failure().is_some_and(|failure| {
                let raised = failure.exceptions.first();
                let is_named = raised.is_some_and(|raised| bare(&raised.type_name) == name);
                failure.code == code && is_named
            });
            (came_out, format!("{code} ({name})"), found)
        }
    }
}

/// An exception's name without its module.
fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
