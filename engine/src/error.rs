//! What can go wrong, grouped by what a caller can do about it.

use std::fmt;
use std::time::Duration;

use crate::json::Json;

/// Among an error's details: when it is worth to try again, in milliseconds from then.
const RETRY_AFTER: &str = "retry_after_ms";

/// The result of an operation that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A stable, machine-readable name for what went wrong.
///
/// The text form is kebab-case and never changes meaning between versions; the
/// same codes appear in the WIT contract, in run records and in `--json` output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// No workflow, tool, recipe, artifact, run or tenant has this name.
    NotFound,
    /// The name is taken; what it names cannot be overwritten.
    AlreadyExists,
    /// Things are not as the caller asked that they be: something else depends on what is to
    /// go, or somebody else has changed it meanwhile.
    Conflict,
    /// A name, an argument or an option is malformed or does not fit its schema.
    InvalidArgument,
    /// A source does not parse, or has no usable `run`.
    InvalidSource,
    /// A result cannot be said in JSON.
    InvalidResult,
    /// The caller holds no grant for this.
    Denied,
    /// The guest raised an exception and nobody caught it.
    Raised,
    /// The run and everything it invoked have used up their fuel.
    FuelExhausted,
    /// The run's instances asked for more linear memory than it may have.
    MemoryExceeded,
    /// The run's wall time, or the time limit of one tool call, is over.
    TimedOut,
    /// Standard output, standard error and results are larger than the run may produce.
    OutputExceeded,
    /// The run has made, or has in flight, more host calls than it may.
    CallsExceeded,
    /// Workflows invoke workflows deeper than the run may.
    DepthExceeded,
    /// The WebAssembly stack overflowed: recursion in C, deeper than Python can count.
    StackExhausted,
    /// The guest hit a WebAssembly trap, or left through `exit`.
    Trapped,
    /// The caller went away, or cancelled.
    Cancelled,
    /// The tenant's artifacts take all the room that they may.
    QuotaExceeded,
    /// The host has no room for this now; try again later.
    Busy,
    /// A tool was started and did not succeed.
    ToolFailed,
    /// Something the engine depends on (component, model, data directory) is
    /// missing or out of order.
    Unavailable,
    /// A bug of ours.
    Internal,
}

impl Code {
    /// Every code, in the order of the WIT enum.
    pub const ALL: [Self; 22] = [
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::InvalidArgument,
        Self::InvalidSource,
        Self::InvalidResult,
        Self::Denied,
        Self::Raised,
        Self::FuelExhausted,
        Self::MemoryExceeded,
        Self::TimedOut,
        Self::OutputExceeded,
        Self::CallsExceeded,
        Self::DepthExceeded,
        Self::StackExhausted,
        Self::Trapped,
        Self::Cancelled,
        Self::QuotaExceeded,
        Self::Busy,
        Self::ToolFailed,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The stable text form, for example `fuel-exhausted`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::Conflict => "conflict",
            Self::InvalidArgument => "invalid-argument",
            Self::InvalidSource => "invalid-source",
            Self::InvalidResult => "invalid-result",
            Self::Denied => "denied",
            Self::Raised => "raised",
            Self::FuelExhausted => "fuel-exhausted",
            Self::MemoryExceeded => "memory-exceeded",
            Self::TimedOut => "timed-out",
            Self::OutputExceeded => "output-exceeded",
            Self::CallsExceeded => "calls-exceeded",
            Self::DepthExceeded => "depth-exceeded",
            Self::StackExhausted => "stack-exhausted",
            Self::Trapped => "trapped",
            Self::Cancelled => "cancelled",
            Self::QuotaExceeded => "quota-exceeded",
            Self::Busy => "busy",
            Self::ToolFailed => "tool-failed",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The code whose text form this is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// Who has to act.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::NotFound
            | Self::AlreadyExists
            | Self::Conflict
            | Self::InvalidArgument
            | Self::InvalidSource
            | Self::Denied
            | Self::Cancelled => Blame::Caller,
            Self::InvalidResult
            | Self::Raised
            | Self::FuelExhausted
            | Self::MemoryExceeded
            | Self::TimedOut
            | Self::OutputExceeded
            | Self::CallsExceeded
            | Self::DepthExceeded
            | Self::StackExhausted
            | Self::Trapped
            | Self::QuotaExceeded
            | Self::ToolFailed => Blame::Guest,
            Self::Busy | Self::Unavailable | Self::Internal => Blame::Host,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The caller asked for something that cannot be done.
    Caller,
    /// The workflow or a tool misbehaved, or ran into a limit.
    Guest,
    /// The engine, or the machine it runs on, is at fault.
    Host,
}

/// An error: a stable [`Code`], a sentence for people, and what caused it.
///
/// The message is a lowercase fragment that reads after "failed: "; it says
/// what was wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: Code,
    message: String,
    details: Option<Json>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, source: None }
    }

    /// Nothing has this name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// The name is taken.
    pub fn already_exists(message: impl Into<String>) -> Self {
        Self::new(Code::AlreadyExists, message)
    }

    /// The caller's input is malformed.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// Something the engine depends on is missing or out of order.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// A bug of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// Keeps what caused this error.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds an object with what a program may want to know.
    #[must_use]
    pub fn with_details(mut self, details: Json) -> Self {
        self.details = Some(details);
        self
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Who has to act.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        self.code.blame()
    }

    /// The sentence for people, without the causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What a program may want to know.
    #[must_use]
    pub const fn details(&self) -> Option<&Json> {
        self.details.as_ref()
    }

    /// Says when it is worth to try again.
    #[must_use]
    pub(crate) fn with_retry_after(self, after: Duration) -> Self {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1);
        self.with_details(Json::from(serde_json::json!({ RETRY_AFTER: millis })))
    }

    /// When it is worth to try again, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let details = self.details.as_ref()?.to::<serde_json::Value>().ok()?;
        details.get(RETRY_AFTER)?.as_u64().map(Duration::from_millis)
    }

    /// The message followed by those of its causes, separated by colons.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let message = error.to_string();
            // Many libraries repeat their source in their own message.
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            cause = error.source();
        }
        text
    }
}

impl From<std::convert::Infallible> for Error {
    /// What is valid already cannot fail to be checked.
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_through_text() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
        assert_eq!(Code::parse("no-such-code"), None);
    }
}
