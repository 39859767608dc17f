//! `repertoire run`, and how a run is shown.

use super::app::App;
use super::args::Run as Arguments;
use super::output::Output;
use super::{Exit, input, text, wire};
use crate::error::Result;
use crate::json::Json;
use crate::run::{Failure, Outcome, Run};

pub(super) async fn run(app: &App, given: Arguments) -> Result<Exit> {
    let arguments = input::arguments(&given.arguments).await?;
    let tenant = app.tenant().await?;
    let live = app.output.live();
    let mut invocation = tenant
        .invocation(&given.name)
        .arguments(arguments)
        .limits(app.settings.limits())
        .on_event(live.sink());
    if let Some(seed) = given.limits.seed {
        invocation = invocation.seed(seed);
    }
    if given.pinned {
        invocation = invocation.pinned();
    }
    let run = invocation.run().await;
    live.finish();
    show(&app.output, &run?, given.raw)
}

/// Prints how a run ended. What it printed itself is shown already.
pub(super) fn show(output: &Output, run: &Run, raw: bool) -> Result<Exit> {
    if output.json {
        output.object(&wire::Answer::from(run))?;
        return Ok(Exit::of_run(&run.outcome));
    }
    match &run.outcome {
        Outcome::Value(value) => {
            match &value.repr {
                Some(repr) => output.print_foreign(&format!("{repr}\n"))?,
                None => show_value(output, &value.json, raw)?,
            }
            output.note(&format!("ok in {}", text::usage(&run.usage)));
        }
        Outcome::Failure(failure) => {
            explain(output, failure);
            let (used, id) = (text::usage(&run.usage), run.invocation.id);
            output.note(&format!("failed in {used}; `repertoire runs show {id}` tells more"));
        }
    }
    Ok(Exit::of_run(&run.outcome))
}

/// Prints a value; a string without quotes, if that is wanted.
pub(super) fn show_value(output: &Output, value: &Json, raw: bool) -> Result<()> {
    if raw && let Ok(text) = value.to::<String>() {
        let line_break = if text.ends_with('\n') { "" } else { "\n" };
        return output.print_foreign(&format!("{text}{line_break}"));
    }
    output.print_foreign(&format!("{}\n", text::pretty(value.as_str())))
}

fn explain(output: &Output, failure: &Failure) {
    let traceback = failure.traceback.trim_end();
    if traceback.is_empty() {
        output.complain(&format!("error[{}]: {}", failure.code, failure.message));
    } else {
        output.complain(traceback);
        // The message is the traceback's last line.
        output.complain(&format!("error[{}]: an exception that nobody caught", failure.code));
    }
}
