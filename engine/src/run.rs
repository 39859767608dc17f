//! An invocation, how it ends, and what is kept of it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Code;
use crate::id::{RunId, SourceDigest, TenantId, VersionId};
use crate::json::Json;
use crate::limits::Limits;
use crate::recording::Recorded;

/// What is run: enough, with the host's answers, to run it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Names the run.
    pub id: RunId,
    /// The run whose host call this is; `None` at the root.
    pub parent: Option<RunId>,
    /// Whose library, tools and artifacts.
    pub tenant: TenantId,
    /// The workflow's name; `None` for agent code.
    pub workflow: Option<String>,
    /// Of the source that was run.
    pub digest: SourceDigest,
    /// The workflow's version; `None` for agent code.
    pub version: Option<VersionId>,
    /// Whether what it invokes are the versions that it was created against.
    pub pinned: bool,
    /// The keyword arguments: an object.
    pub arguments: Json,
    /// Of `random`, `uuid` and `secrets`.
    pub seed: u64,
    /// 0 at the root.
    pub depth: u32,
    /// What it may use; of a nested run, what its tree may.
    pub limits: Limits,
    /// When it started; also what the guest's clock says then.
    pub started_at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It returned a value.
    Value(Value),
    /// It raised, or ran into a limit.
    Failure(Failure),
}

impl Outcome {
    /// The failure, if it is one.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Value(_) => None,
            Self::Failure(failure) => Some(failure),
        }
    }
}

/// What a run returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// The result; `null` where `repr` stands in for it.
    pub json: Json,
    /// Only of agent code: the `repr` of a value that JSON cannot say.
    pub repr: Option<String>,
}

/// Why a run did not return.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub code: Code,
    /// A sentence for people.
    pub message: String,
    /// The uncaught exception first, then its cause, and so on; empty if a limit ended the run.
    pub exceptions: Vec<Exception>,
    /// As Python prints it, with the workflow's own lines; empty if a limit ended the run.
    pub traceback: String,
    /// What a program may want to know.
    pub details: Option<Json>,
}

impl Failure {
    /// A failure that is not an exception.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            exceptions: Vec::new(),
            traceback: String::new(),
            details: None,
        }
    }
}

/// One exception of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// `ValueError`, `json.JSONDecodeError`
    pub type_name: String,
    /// What it says.
    pub message: String,
}

/// What a run has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Units of fuel, those of nested runs included.
    pub fuel: u64,
    /// Bytes of linear memory at the highest, summed over the live instances of the whole tree.
    pub peak_memory_bytes: u64,
    /// From admission to the end.
    pub wall_time: Duration,
    /// Calls of tools, workflows and artifacts, those of nested runs included.
    pub host_calls: u64,
    /// Bytes of standard output, standard error and results, those of nested runs included.
    pub output_bytes: u64,
    /// Of all that, what the run has used itself.
    pub own: OwnUsage,
}

/// What a run has used itself, nested runs not included: what can be summed over runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnUsage {
    /// Units of fuel.
    pub fuel: u64,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Bytes of standard output, standard error and results.
    pub output_bytes: u64,
}

/// Something that happens while a run lasts.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Text was written to standard output or standard error.
    Output {
        /// Which run.
        run: RunId,
        /// Which stream.
        stream: Stream,
        /// What; invalid UTF-8 is replaced.
        text: String,
    },
    /// A call of a tool or a workflow began.
    CallStarted {
        /// Which run.
        run: RunId,
        /// `tools.curl.get`, `workflows.fetch_json`
        target: String,
    },
    /// A call of a tool or a workflow ended.
    CallEnded {
        /// Which run.
        run: RunId,
        /// `tools.curl.get`, `workflows.fetch_json`
        target: String,
        /// How long it took.
        took: Duration,
        /// The code, if it failed.
        error: Option<Code>,
    },
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The record of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What was run.
    pub invocation: Invocation,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// Standard output, bounded by [`Limits::output_bytes`].
    pub stdout: String,
    /// Standard error, bounded likewise.
    pub stderr: String,
    /// What there is to run it again from.
    pub recorded: Recorded,
}

impl Run {
    /// The result.
    ///
    /// # Errors
    /// The failure, if the run failed.
    pub fn value(&self) -> Result<&Json, &Failure> {
        match &self.outcome {
            Outcome::Value(value) => Ok(&value.json),
            Outcome::Failure(failure) => Err(failure),
        }
    }
}
