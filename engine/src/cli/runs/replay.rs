//! `repertoire runs replay`

use serde::Serialize;

use crate::cli::Exit;
use crate::cli::output::Output;
use crate::cli::text;
use crate::error::Result;
use crate::replay::{Nested, Replay};

/// What came of a replay, for programs.
#[derive(Serialize)]
struct Report<'a> {
    run_id: String,
    workflow: Option<&'a str>,
    /// This run and every nested one.
    same: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    divergence: Option<Divergence<'a>>,
    /// What it was recorded on, if that is another runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_on: Option<RecordedOn<'a>>,
    host_calls: u64,
    own_fuel: u64,
    nested: Vec<Report<'a>>,
    /// Nested runs that were not replayed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped<'a>>,
}

#[derive(Serialize)]
struct Divergence<'a> {
    what: String,
    expected: &'a str,
    got: &'a str,
}

#[derive(Serialize)]
struct RecordedOn<'a> {
    component: &'a str,
    compiled: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
}

#[derive(Serialize)]
struct Skipped<'a> {
    run_id: String,
    why: &'a str,
}

impl<'a> From<&'a Replay> for Report<'a> {
    fn from(replay: &'a Replay) -> Self {
        let replayed = replay.nested.iter().filter_map(|nested| match nested {
            Nested::Replayed(replay) => Some(replay.as_ref().into()),
            Nested::Skipped(..) => None,
        });
        let skipped = replay.nested.iter().filter_map(|nested| match nested {
            Nested::Replayed(_) => None,
            Nested::Skipped(run, why) => Some(Skipped { run_id: run.to_string(), why }),
        });
        Self {
            run_id: replay.run.to_string(),
            workflow: replay.workflow.as_deref(),
            same: replay.is_same(),
            divergence: replay.divergence.as_ref().map(|divergence| Divergence {
                what: divergence.what.to_string(),
                expected: &divergence.expected,
                got: &divergence.got,
            }),
            recorded_on: replay.recorded_on.as_ref().map(|runtime| RecordedOn {
                component: &runtime.component,
                compiled: &runtime.compiled,
                image: runtime.image.as_deref(),
            }),
            host_calls: replay.calls,
            own_fuel: replay.fuel,
            nested: replayed.collect(),
            skipped: skipped.collect(),
        }
    }
}

pub(super) fn report(output: &Output, replay: &Replay) -> Result<Exit> {
    if output.json {
        output.object(&Report::from(replay))?;
    } else {
        let mut text = String::new();
        describe(&mut text, replay, 0);
        output.print_foreign(&text)?;
    }
    Ok(if replay.is_same() { Exit::Done } else { Exit::Failed })
}

/// A line or a few for each run of the tree.
fn describe(text: &mut String, replay: &Replay, depth: usize) {
    let indent = "  ".repeat(depth.min(8));
    let name = replay.workflow.as_deref().unwrap_or("(agent code)");
    let what = format!("{indent}{} {name}", replay.run);
    let (calls, fuel) = (text::thousands(replay.calls), text::thousands(replay.fuel));
    text.push_str(&match &replay.divergence {
        None => format!(
            "{what}: same result, same output, same fuel ({fuel} units, {calls} host calls answered from the record)\n"
        ),
        Some(divergence) => format!(
            "{what}: differs in {}\n{indent}  expected {}\n{indent}  got      {}\n",
            divergence.what, divergence.expected, divergence.got
        ),
    });
    if let Some(runtime) = &replay.recorded_on {
        text.push_str(&format!(
            "{indent}  recorded on another runtime: component {}, compiled for {}\n",
            runtime.component, runtime.compiled
        ));
    }
    for nested in &replay.nested {
        match nested {
            Nested::Replayed(replay) => describe(text, replay, depth + 1),
            Nested::Skipped(run, why) => {
                text.push_str(&format!("{indent}  {run}: not replayed: {why}\n"));
            }
        }
    }
}
