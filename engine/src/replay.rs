//! A run once more, from its record alone, and where it comes out differently.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::admission::Slot;
use crate::approvals::memory::MemoryApprovals;
use crate::artifacts::{ArtifactLimits, Shelf};
use crate::budget::Budget;
use crate::error::{Blame, Code, Error, Result};
use crate::grants::Granted;
use crate::host::denied::Denied;
use crate::id::{RunId, SourceDigest};
use crate::images::Images;
use crate::invoke::{Invoker, within_wall_time};
use crate::limits::Limits;
use crate::recording::{Aspect, Divergence, Recorded, Recording, RuntimeIdentity};
use crate::run::{Failure, Outcome, Run};
use crate::sandbox::{Instance, Output, Played, RunContext, Runtime, Tape};
use crate::tools::Registry;

/// How much of two texts that differ is shown, from where they differ.
const SHOWN: usize = 160;

/// The time that a replay has at least. It waits for nothing, and fuel bounds
/// it; but this machine may be slower, or busier, than the recorded run's.
const LEAST_TIME: Duration = Duration::from_secs(600);

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// The run.
    pub run: RunId,
    /// The workflow's name; `None` for agent code.
    pub workflow: Option<String>,
    /// Where it first differs from its record; `None` if it does not: the same
    /// result, output, fuel and host calls.
    pub divergence: Option<Divergence>,
    /// What it was recorded on, if that is not what it was replayed on.
    pub recorded_on: Option<RuntimeIdentity>,
    /// Host calls that were answered from the record.
    pub calls: u64,
    /// Units of fuel that the run's own instance has used in the replay.
    pub fuel: u64,
    /// The runs that it invoked.
    pub nested: Vec<Nested>,
}

/// A nested run in a replay.
#[derive(Debug, Clone, PartialEq)]
pub enum Nested {
    /// It was replayed, too.
    Replayed(Box<Replay>),
    /// It was not, and why.
    Skipped(RunId, String),
}

impl Replay {
    /// Whether the run, and every nested one that was replayed, came out the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let same = |nested: &Nested| match nested {
            Nested::Replayed(replay) => replay.is_same(),
            Nested::Skipped(..) => true,
        };
        self.divergence.is_none() && self.nested.iter().all(same)
    }
}

/// Replays a run and all that it invoked.
pub(crate) async fn replay_tree(invoker: &Arc<Invoker>, run: Run) -> Result<Replay> {
    let mut replay = replay_one(invoker, &run).await?;
    let nested = run.recorded.recording().map(|recording| recording.nested.clone());
    for id in nested.unwrap_or_default() {
        let replayed = match invoker.records.get(id).await? {
            Some(run) => Box::pin(replay_tree(invoker, run)).await,
            None => Err(Error::not_found("its record is not there any more")),
        };
        replay.nested.push(match replayed {
            Ok(replay) => Nested::Replayed(Box::new(replay)),
            Err(error) if matches!(error.code(), Code::NotFound | Code::InvalidArgument) => {
                Nested::Skipped(id, error.chain())
            }
            Err(error) => return Err(error),
        });
    }
    Ok(replay)
}

/// Replays one run; what it invoked are answers of its host.
pub(crate) async fn replay_one(invoker: &Arc<Invoker>, run: &Run) -> Result<Replay> {
    let recording = match &run.recorded {
        Recorded::Whole(recording) => Arc::clone(recording),
        Recorded::Nothing(why) => {
            let id = run.invocation.id;
            return Err(Error::invalid_argument(format!("run {id} cannot be replayed: {why}")));
        }
    };
    if let Some(failure) = run.outcome.failure().filter(|failure| failure.exceptions.is_empty())
        && failure.code.blame() == Blame::Host
    {
        let (id, code) = (run.invocation.id, failure.code);
        return Err(Error::invalid_argument(format!(
            "run {id} cannot be replayed: the host failed in it ({code})"
        )));
    }
    let runtime = invoker.runtimes.recorded(&recording.runtime).await?;
    let mut replay = Replay {
        run: run.invocation.id,
        workflow: run.invocation.workflow.clone(),
        divergence: None,
        recorded_on: (recording.runtime != *runtime.identity()).then(|| recording.runtime.clone()),
        calls: 0,
        fuel: 0,
        nested: Vec::new(),
    };
    let digest = SourceDigest::of(&recording.source);
    if digest != run.invocation.digest {
        replay.divergence = Some(Divergence {
            what: Aspect::Source,
            expected: format!("sha256 {}", run.invocation.digest),
            got: format!("sha256 {digest}"),
        });
        return Ok(replay);
    }
    let _slot = invoker.admit().await?;
    let is_cut = was_cut(&run.outcome, &recording);
    let context = context(invoker, run, &recording, is_cut);
    let budget = Arc::clone(&context.budget);
    let outcome =
        within_wall_time(&context, perform(invoker, &runtime, run, &recording, &context)).await;
    if budget.is_overdue() {
        return Err(Error::new(
            Code::TimedOut,
            format!("the replay took longer than {} s", budget.limits().wall_time.as_secs()),
        ));
    }
    let (stdout, stderr) = context.output.take();
    let ended = Ended { outcome, stdout, stderr, fuel: budget.own().fuel, is_cut };
    let played = context
        .tape
        .played()
        .ok_or_else(|| Error::internal("a replay had no recording to play"))?;
    replay.calls = budget.own().host_calls;
    replay.fuel = u64::try_from(ended.fuel).unwrap_or_default();
    replay.divergence = compare(run, &recording, ended, played);
    Ok(replay)
}

/// Whether a run was ended from outside at a point that nothing in it decides:
/// by the clock on the wall, by its caller, or because the rest of its tree
/// used up what they shared while it was computing.
fn was_cut(outcome: &Outcome, recording: &Recording) -> bool {
    let Some(failure) = outcome.failure().filter(|failure| failure.exceptions.is_empty()) else {
        return false;
    };
    match failure.code {
        Code::TimedOut | Code::Cancelled => true,
        Code::FuelExhausted | Code::OutputExceeded | Code::CallsExceeded => {
            !recording.before.is_nothing()
                || recording.calls.iter().any(|call| !call.others.is_nothing())
        }
        _ => false,
    }
}

fn context(
    invoker: &Invoker,
    run: &Run,
    recording: &Arc<Recording>,
    is_cut: bool,
) -> Arc<RunContext> {
    let invocation = &run.invocation;
    let wall_time = invocation.limits.wall_time.max(LEAST_TIME);
    let mut limits = Limits { wall_time, ..invocation.limits.clone() };
    if is_cut {
        // Where it was ended is known by the fuel that it had used.
        limits.fuel = u64::try_from(recording.own.fuel).unwrap_or_default();
        (limits.host_calls, limits.output_bytes) = (u64::MAX, u64::MAX);
    }
    let budget = Budget::root(limits);
    Arc::new(RunContext {
        run: invocation.id,
        tenant: invocation.tenant.clone(),
        seed: invocation.seed,
        started_at: invocation.started_at,
        output: Output::new(invocation.id, Arc::clone(&budget), None),
        tape: Tape::playing(&budget, Arc::clone(recording), is_cut),
        budget,
        events: None,
        // Nobody is there to be asked, should the tape ever fail to answer.
        tools: Registry::empty(),
        pins: None,
        workflows: Arc::new(Denied),
        artifacts: Arc::new(Shelf::new(
            Arc::new(Denied),
            Arc::clone(&invoker.catalog.clock),
            ArtifactLimits::default(),
        )),
        images: Images::default(),
        nested: AtomicU64::new(0),
        grants: Granted::default(),
        approvals: Arc::new(MemoryApprovals::new()),
        slot: Slot::none(),
    })
}

async fn perform(
    invoker: &Invoker,
    runtime: &Runtime,
    run: &Run,
    recording: &Recording,
    context: &Arc<RunContext>,
) -> Outcome {
    let mut instance = match Instance::new(runtime, Arc::clone(context)).await {
        Ok(instance) => instance,
        Err(error) => return Outcome::Failure(Failure::new(error.code(), error.chain())),
    };
    match &run.invocation.workflow {
        Some(name) => {
            let source = &recording.source;
            let code = invoker.catalog.code(name, run.invocation.digest, source).await;
            instance.run(name, source, code.as_deref(), &run.invocation.arguments).await
        }
        None => instance.execute(&recording.source).await,
    }
}

/// How a replay ended.
struct Ended {
    outcome: Outcome,
    stdout: String,
    stderr: String,
    fuel: i64,
    is_cut: bool,
}

/// The first difference, in the order in which they come about.
fn compare(run: &Run, recording: &Recording, ended: Ended, played: Played) -> Option<Divergence> {
    if played.divergence.is_some() {
        return played.divergence;
    }
    let differs = |what, expected: String, got: String| Some(Divergence { what, expected, got });
    if let Some((number, call)) = played.missing {
        return differs(Aspect::Call(number), call, describe(&ended.outcome));
    }
    // One that was ended from outside has no outcome of its own: that it came
    // to the same point is what there is to compare.
    let out_of_fuel = ended.outcome.failure().is_some_and(|failure| {
        failure.code == Code::FuelExhausted && failure.exceptions.is_empty()
    });
    let came_to_the_end = played.stopped || (ended.is_cut && out_of_fuel);
    if !came_to_the_end && ended.outcome != run.outcome {
        let (expected, got) = apart(&describe(&run.outcome), &describe(&ended.outcome));
        return differs(Aspect::Outcome, expected, got);
    }
    for (what, expected, got) in
        [(Aspect::Stdout, &run.stdout, &ended.stdout), (Aspect::Stderr, &run.stderr, &ended.stderr)]
    {
        if expected != got {
            let (expected, got) = apart(expected, got);
            return differs(what, expected, got);
        }
    }
    // Whoever is ended from outside while asleep may look at the clock once more
    // before the fuel that it wakes up without stops it.
    if played.readings != recording.clock.count && !ended.is_cut {
        let (expected, got) = (recording.clock.count, played.readings);
        return differs(Aspect::Clock, expected.to_string(), got.to_string());
    }
    if ended.fuel != recording.own.fuel {
        return differs(Aspect::Fuel, recording.own.fuel.to_string(), ended.fuel.to_string());
    }
    None
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value(value) => match &value.repr {
            Some(repr) => format!("the value {repr}"),
            None => format!("the value {}", value.json),
        },
        Outcome::Failure(failure) => {
            let details = failure.details.as_ref().map(|json| format!(" {json}"));
            format!(
                "{}: {}{}\n{}",
                failure.code,
                failure.message,
                details.unwrap_or_default(),
                failure.traceback
            )
        }
    }
}

/// Two texts from shortly before where they differ.
fn apart(expected: &str, got: &str) -> (String, String) {
    let same = expected.bytes().zip(got.bytes()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(SHOWN / 4);
    let part = |text: &str| {
        let start = text.floor_char_boundary(from);
        let end = text.floor_char_boundary(start.saturating_add(SHOWN));
        let part = text.get(start..end).unwrap_or_default();
        let (before, after) =
            (if start > 0 { "..." } else { "" }, if end < text.len() { "..." } else { "" });
        format!("{before}{part}{after}")
    };
    (part(expected), part(got))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_shown_where_they_differ() {
        assert_eq!(apart("same", "same too"), ("same".to_owned(), "same too".to_owned()));
        let (long, other) = (format!("{}a{}", "é".repeat(500), "y".repeat(500)), "é".repeat(500));
        let (expected, got) = apart(&long, &other);
        assert!(expected.contains('a') && expected.starts_with("...") && expected.ends_with("..."));
        assert!(expected.len() < 2 * SHOWN && !got.contains('a'), "{got}");
    }
}
