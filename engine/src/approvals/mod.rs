//! Calls that wait for somebody to agree to them.
//!
//! A call that is granted as `ask` opens a request and looks for its answer; who
//! answers may be another process, which finds both in the tenant's directory.

#[cfg(feature = "lancedb")]
pub mod file;
pub mod memory;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::RunId;
use crate::json::Json;

/// The most bytes of arguments that a call may have if somebody is to agree to it: they have to be read.
pub(crate) const MAX_SHOWN: usize = 64 << 10;

/// A call that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The run that makes it.
    pub run: RunId,
    /// Which of its calls, counted by the run: a run may have several that wait.
    pub call: u64,
    /// `tools.curl.get`, `workflows.fetch_json`
    pub target: String,
    /// What it would be called with; an object.
    pub arguments: Json,
    /// Since when.
    pub since: Timestamp,
    /// When it is refused, if nobody has answered.
    pub until: Timestamp,
}

/// A [`Request`] as it is written to a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Written {
    run: String,
    call: u64,
    target: String,
    arguments: Json,
    since: u64,
    until: u64,
}

impl From<&Request> for Written {
    fn from(request: &Request) -> Self {
        Self {
            run: request.run.to_string(),
            call: request.call,
            target: request.target.clone(),
            arguments: request.arguments.clone(),
            since: request.since.as_millis(),
            until: request.until.as_millis(),
        }
    }
}

impl TryFrom<Written> for Request {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        Ok(Self {
            run: RunId::parse(&written.run)?,
            call: written.call,
            target: written.target,
            arguments: written.arguments,
            since: Timestamp::from_millis(written.since),
            until: Timestamp::from_millis(written.until),
        })
    }
}

/// One tenant's calls that wait. Quick, for whoever waits asks again and again.
pub trait Approvals: Send + Sync {
    /// Begins to wait.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if nobody could be told.
    fn open(&self, request: &Request) -> Result<()>;

    /// Whether somebody has agreed; `None` as long as nobody has answered.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the answer cannot be read.
    fn answer(&self, run: RunId, call: u64) -> Result<Option<bool>>;

    /// Waits no more.
    fn close(&self, run: RunId, call: u64);

    /// The calls that wait, the oldest first.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if they cannot be read.
    fn waiting(&self) -> Result<Vec<Request>>;

    /// Answers one call. Who answers first is heard.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the answer cannot be written.
    fn decide(&self, run: RunId, call: u64, agreed: bool) -> Result<()>;
}
