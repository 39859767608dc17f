//! What a run is run again from: its source, its host's answers, its clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::RunId;

/// What there is to replay a run from.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// Everything.
    Whole(Arc<Recording>),
    /// Nothing, and why: a sentence for people.
    Nothing(String),
}

impl Recorded {
    /// The recording, if there is one.
    #[must_use]
    pub fn recording(&self) -> Option<&Recording> {
        match self {
            Self::Whole(recording) => Some(recording),
            Self::Nothing(_) => None,
        }
    }
}

/// A run's recording: with its [`Invocation`](crate::run::Invocation), all that
/// decides what the guest does, to the byte and to the unit of fuel.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// What it was run on.
    pub runtime: RuntimeIdentity,
    /// The source that was run.
    pub source: Arc<str>,
    /// The guest's calls of the host, in order.
    pub calls: Vec<HostCall>,
    /// What the guest's clocks said.
    pub clock: ClockReadings,
    /// Which of its requests for more memory were refused, counted from 0.
    pub refused_growths: Vec<u64>,
    /// What the rest of its tree had used when it began.
    pub before: Spent,
    /// What its own instance has used, without nested runs.
    pub own: Spent,
    /// The runs that it invoked, in the order in which they began.
    pub nested: Vec<RunId>,
}

impl Recording {
    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let text = |call: &HostCall| {
            call.target.len() + call.request.len() + call.answer.as_ref().map_or(0, String::len)
        };
        let calls: usize = self.calls.iter().map(|call| size_of::<HostCall>() + text(call)).sum();
        self.source.len() + calls + 16 * (self.clock.steps.len() + self.nested.len())
    }
}

/// What decides how a guest runs, apart from what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeIdentity {
    /// SHA-256 of the Python component, in lower-case hexadecimal. The same
    /// on every machine of the same build.
    pub component: String,
    /// What it was compiled by and for: wasmtime's version and settings, and
    /// the processor. Differs between machines, and need not matter.
    pub compiled: String,
    /// SHA-256 of the runtime image that it began with, likewise; `None` of the plain runtime.
    pub image: Option<String>,
}

/// One call of the host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCall {
    /// `tools.curl.get`, `workflows.fetch_json`, `artifacts.save`, `calls.wait`
    pub target: String,
    /// What was asked: JSON. Of what is long, the beginning and its SHA-256.
    pub request: String,
    /// What was answered: JSON. `None` if the run ended before the answer came.
    pub answer: Option<String>,
    /// How often it was made, and answered the same, in a row.
    pub times: u32,
    /// When it began, since the run's start.
    pub at: Duration,
    /// How long it took; of several, the last one.
    pub took: Duration,
    /// What the rest of the tree has used since the call before.
    pub others: Spent,
}

/// What a guest's clocks said, reading by reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClockReadings {
    /// How often a clock was read.
    pub count: u64,
    /// From which reading on (counted from 0) how many milliseconds had passed
    /// since the run's start.
    pub steps: Vec<(u64, u64)>,
    /// Milliseconds that the monotonic clock is ahead of the run's start.
    pub offset: u64,
}

/// An amount of what limits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Units of fuel. Negative where what was charged in advance came back.
    pub fuel: i64,
    /// Host calls.
    pub host_calls: u64,
    /// Bytes of output.
    pub output_bytes: u64,
}

impl Spent {
    /// What was spent since it was so much.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            fuel: self.fuel.wrapping_sub(earlier.fuel),
            host_calls: self.host_calls.saturating_sub(earlier.host_calls),
            output_bytes: self.output_bytes.saturating_sub(earlier.output_bytes),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            fuel: self.fuel.wrapping_add(more.fuel),
            host_calls: self.host_calls.saturating_add(more.host_calls),
            output_bytes: self.output_bytes.saturating_add(more.output_bytes),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.fuel == 0 && self.host_calls == 0 && self.output_bytes == 0
    }
}

/// Where a replay first differs from the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// In what.
    pub what: Aspect,
    /// What was recorded.
    pub expected: String,
    /// What happened in the replay.
    pub got: String,
}

/// What a replay is compared in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The source's digest.
    Source,
    /// A host call, counted from 1.
    Call(u64),
    /// How the run ended.
    Outcome,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// How often the guest read a clock.
    Clock,
    /// The fuel of the run's own instance.
    Fuel,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Call(number) => write!(f, "host call {number}"),
            Self::Outcome => f.write_str("outcome"),
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::Clock => f.write_str("readings of the clock"),
            Self::Fuel => f.write_str("fuel"),
        }
    }
}
