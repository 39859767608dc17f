//! What a tenant may take, all its runs together.
//!
//! [`Limits`](crate::Limits) bound one run; a quota bounds a tenant.

use std::time::Duration;

use crate::live::Live;

/// What one tenant may take. What is counted by period begins anew with each: periods
/// begin at whole multiples of their length since 1970, an hour's at the full hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Root runs and session calls that are under way at once. The default is three quarters of
    /// those that the engine has room for, and so is the most: the rest is always for others.
    pub concurrent_runs: usize,
    /// Of these, how many wait until they may begin; who comes then is refused with
    /// [`Code::Busy`](crate::Code::Busy) and told when to come back. The default is 1,000.
    pub waiting_runs: usize,
    /// How long a period is. The default is an hour.
    pub period: Duration,
    /// Root runs and session calls that begin in a period. No limit by default, as for the next two.
    pub runs: Option<u64>,
    /// Units of fuel that runs use in a period. A run that has begun goes on; none begins once so
    /// much is used.
    pub fuel: Option<u64>,
    /// Calls of tools in a period.
    pub tool_calls: Option<u64>,
    /// Workflows in the library. The default is 100,000.
    pub workflows: Option<u64>,
    /// Artifacts, older versions not counted. The default is 100,000.
    pub artifacts: Option<u64>,
    /// Bytes of everything that is stored: the library with its history, artifacts and run records.
    /// It is looked at now and then, not at each write; once there is as much, no run
    /// begins and nothing is saved. The default is 32 GiB.
    pub stored_bytes: Option<u64>,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            concurrent_runs: usize::MAX,
            waiting_runs: 1000,
            period: Duration::from_secs(3600),
            runs: None,
            fuel: None,
            tool_calls: None,
            workflows: Some(100_000),
            artifacts: Some(100_000),
            stored_bytes: Some(32 << 30),
        }
    }
}

/// A quota that can be changed while it is in force.
pub type LiveQuota = Live<Quota>;
