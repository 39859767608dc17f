//! `repertoire runs`

mod replay;
mod timeline;

use serde::Serialize;

use super::app::App;
use super::args::Runs;
use super::output::{Output, Style};
use super::text::{self, Align, Table};
use super::{Exit, wire};
use crate::approvals::Request;
use crate::error::Result;
use crate::id::RunId;
use crate::json::Json;
use crate::recording::Recorded;
use crate::run::{Outcome, Run};

pub(super) async fn dispatch(app: &App, command: Runs) -> Result<Exit> {
    match command {
        Runs::List { limit } => {
            let tenant = app.tenant().await?;
            let (runs, waiting) = (tenant.runs(limit).await?, tenant.waiting()?);
            if app.output.json {
                let runs = runs.iter().map(Into::into).collect();
                let waiting = waiting.iter().map(Into::into).collect();
                app.output.object(&Listing { waiting, runs })?;
                return Ok(Exit::Done);
            }
            approvals(&app.output, &waiting)?;
            if runs.is_empty() && waiting.is_empty() {
                app.output.note("nothing has been run yet");
            } else if !runs.is_empty() {
                app.output.print(&table(&runs))?;
            }
            Ok(Exit::Done)
        }
        Runs::Approve { id, call } => decide(app, &id, call, true).await,
        Runs::Deny { id, call } => decide(app, &id, call, false).await,
        Runs::Show { id } => {
            let id = RunId::parse(&id)?;
            show(&app.output, &app.tenant().await?.run_record(id).await?)
        }
        Runs::Replay { id } => {
            let id = RunId::parse(&id)?;
            replay::report(&app.output, &app.tenant().await?.replay(id).await?)
        }
    }
}

#[derive(Serialize)]
struct Listing<'a> {
    waiting: Vec<Waiting<'a>>,
    runs: Vec<wire::Run<'a>>,
}

/// Characters of a waiting call's arguments that a list shows.
const SHOWN: usize = 500;

/// A call that waits for an approval.
#[derive(Serialize)]
struct Waiting<'a> {
    run_id: String,
    call: u64,
    target: &'a str,
    arguments: &'a Json,
    since: String,
    until: String,
}

impl<'a> From<&'a Request> for Waiting<'a> {
    fn from(request: &'a Request) -> Self {
        Self {
            run_id: request.run.to_string(),
            call: request.call,
            target: &request.target,
            arguments: &request.arguments,
            since: request.since.to_string(),
            until: request.until.to_string(),
        }
    }
}

fn approvals(output: &Output, waiting: &[Request]) -> Result<()> {
    for request in waiting {
        let Request { run, call, target, arguments, until, .. } = request;
        let heading = output.paint(Style::Heading, "waits for approval");
        output.print(&format!("{run}  {heading} until {until}, call {call}\n"))?;
        let shown = text::shortened(arguments.as_str(), SHOWN);
        output.print_foreign(&text::indented(&format!("{target} {shown}"), 4))?;
        if shown != arguments.as_str() {
            output.note(&format!(
                "that is not all: `runs list --json` has all {} bytes",
                arguments.len()
            ));
        }
    }
    Ok(())
}

async fn decide(app: &App, id: &str, call: Option<u64>, agreed: bool) -> Result<Exit> {
    let decided = app.tenant().await?.decide(RunId::parse(id)?, call, agreed)?;
    let verb = if agreed { "approved" } else { "denied" };
    if app.output.json {
        #[derive(Serialize)]
        struct Decided<'a> {
            agreed: bool,
            calls: Vec<Waiting<'a>>,
        }
        app.output.object(&Decided { agreed, calls: decided.iter().map(Into::into).collect() })?;
        return Ok(Exit::Done);
    }
    for request in &decided {
        app.output.note(&format!("{verb} {} of run {}", request.target, request.run));
    }
    Ok(Exit::Done)
}

/// One line per run; nested ones are indented by their depth.
pub(super) fn table(runs: &[Run]) -> String {
    let mut table = Table::new([
        ("RUN", Align::Left),
        ("STARTED", Align::Left),
        ("WORKFLOW", Align::Left),
        ("OUTCOME", Align::Left),
        ("TIME", Align::Right),
        ("FUEL", Align::Right),
        ("MEMORY", Align::Right),
    ]);
    for run in runs {
        let Run { invocation, outcome, usage, .. } = run;
        let depth = usize::try_from(invocation.depth).unwrap_or_default().min(8);
        table.row([
            invocation.id.to_string(),
            invocation.started_at.to_string(),
            format!(
                "{}{}",
                "  ".repeat(depth),
                invocation.workflow.as_deref().unwrap_or("(agent code)")
            ),
            outcome.failure().map_or("ok", |failure| failure.code.as_str()).to_owned(),
            text::duration(usage.wall_time),
            text::thousands(usage.fuel),
            text::bytes(usage.peak_memory_bytes),
        ]);
    }
    table.render()
}

/// Everything that is recorded of one run.
#[derive(Serialize)]
struct Record<'a> {
    run: wire::Run<'a>,
    sha256: String,
    arguments: &'a Json,
    limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<wire::Problem<'a>>,
    stdout: &'a str,
    stderr: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<timeline::Recording<'a>>,
    /// Why there is no recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot_be_replayed: Option<&'a str>,
}

#[derive(Serialize)]
struct Limits {
    fuel: u64,
    memory_bytes: u64,
    wall_time_ms: u64,
    output_bytes: u64,
    host_calls: u64,
    depth: u32,
}

impl From<&crate::Limits> for Limits {
    fn from(limits: &crate::Limits) -> Self {
        Self {
            fuel: limits.fuel,
            memory_bytes: limits.memory_bytes,
            wall_time_ms: u64::try_from(limits.wall_time.as_millis()).unwrap_or(u64::MAX),
            output_bytes: limits.output_bytes,
            host_calls: limits.host_calls,
            depth: limits.depth,
        }
    }
}

fn show(output: &Output, run: &Run) -> Result<Exit> {
    let Run { invocation, outcome, usage, stdout, stderr, recorded } = run;
    let answer = wire::Answer::from(run);
    if output.json {
        output.object(&Record {
            run: run.into(),
            sha256: invocation.digest.to_string(),
            arguments: &invocation.arguments,
            limits: Limits::from(&invocation.limits),
            value: answer.value,
            error: answer.error,
            stdout,
            stderr,
            recording: recorded.recording().map(Into::into),
            cannot_be_replayed: match recorded {
                Recorded::Whole(_) => None,
                Recorded::Nothing(why) => Some(why),
            },
        })?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("run", invocation.id.to_string());
    row("workflow", invocation.workflow.clone().unwrap_or_else(|| "(agent code)".to_owned()));
    row("sha256", invocation.digest.to_string());
    if let Some(parent) = invocation.parent {
        row("called by", parent.to_string());
    }
    row("depth", invocation.depth.to_string());
    row("seed", invocation.seed.to_string());
    row("started", invocation.started_at.to_string());
    row("outcome", outcome.failure().map_or("ok", |failure| failure.code.as_str()).to_owned());
    let (used, allowed) = (usage, &invocation.limits);
    let of = |used: String, allowed: String| format!("{used} of {allowed}");
    row("time", of(text::duration(used.wall_time), text::duration(allowed.wall_time)));
    row("fuel", of(text::thousands(used.fuel), text::thousands(allowed.fuel)));
    row("memory", of(text::bytes(used.peak_memory_bytes), text::bytes(allowed.memory_bytes)));
    row("output", of(text::bytes(used.output_bytes), text::bytes(allowed.output_bytes)));
    row("host calls", of(text::thousands(used.host_calls), text::thousands(allowed.host_calls)));
    if let Recorded::Nothing(why) = recorded {
        row("replay", format!("not possible: {why}"));
    }
    output.print(&table.render())?;
    section(output, "arguments", &text::pretty(invocation.arguments.as_str()))?;
    if let Some(recording) = recorded.recording() {
        section(output, "host calls", &timeline::table(recording))?;
    }
    section(output, "stdout", stdout)?;
    section(output, "stderr", stderr)?;
    match outcome {
        Outcome::Value(value) => {
            let repr = value.repr.clone();
            section(output, "value", &repr.unwrap_or_else(|| text::pretty(value.json.as_str())))?;
        }
        Outcome::Failure(failure) if failure.traceback.is_empty() => {
            section(output, "failure", &failure.message)?;
        }
        Outcome::Failure(failure) => section(output, "failure", &failure.traceback)?,
    }
    Ok(Exit::Done)
}

fn section(output: &Output, title: &str, content: &str) -> Result<()> {
    if content.is_empty() {
        return Ok(());
    }
    output.print(&format!("\n{}\n", output.paint(Style::Heading, title)))?;
    output.print_foreign(&text::indented(content, 4))
}
