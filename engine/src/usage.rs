//! What tenants and their workflows have used: runs, summed.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::run::Run;

/// What runs have used together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metered {
    /// Runs, nested ones and session calls included.
    pub runs: u64,
    /// Of these, those that nobody invoked: root runs and session calls.
    pub root_runs: u64,
    /// Of all, those that did not return.
    pub failed: u64,
    /// Units of fuel; what a nested run used counts there and not in its caller.
    pub fuel: u64,
    /// From admission to the end; of a workflow, with the time of what it invoked.
    pub wall_time: Duration,
    /// Calls of tools.
    pub tool_calls: u64,
    /// Bytes of arguments, standard output, standard error and results.
    pub bytes: u64,
}

impl Metered {
    /// What one run has used.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let own = &run.usage.own;
        Self {
            runs: 1,
            root_runs: run.invocation.parent.is_none().into(),
            failed: run.outcome.failure().is_some().into(),
            fuel: own.fuel,
            wall_time: run.usage.wall_time,
            tool_calls: own.tool_calls,
            bytes: own.output_bytes + run.invocation.arguments.len() as u64,
        }
    }

    /// What one run adds to a total of all: a nested run's time lies within its root's.
    #[must_use]
    pub(crate) fn in_total(self) -> Self {
        let wall_time = if self.root_runs == 0 { Duration::ZERO } else { self.wall_time };
        Self { wall_time, ..self }
    }
}

impl AddAssign for Metered {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.root_runs += other.root_runs;
        self.failed += other.failed;
        self.fuel += other.fuel;
        self.wall_time += other.wall_time;
        self.tool_calls += other.tool_calls;
        self.bytes += other.bytes;
    }
}

/// What a tenant's recorded runs have used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// By workflow; `None` is agent code.
    pub workflows: BTreeMap<Option<String>, Metered>,
    /// All of it. Its wall time is that of root runs: what they invoke runs within theirs.
    pub total: Metered,
}

impl UsageReport {
    /// Adds a run of a workflow.
    pub fn add(&mut self, workflow: Option<&str>, used: Metered) {
        *self.workflows.entry(workflow.map(ToOwned::to_owned)).or_default() += used;
        self.total += used.in_total();
    }
}

/// Runs that started from `since` on, and before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment that counts.
    pub since: Timestamp,
    /// The first that does not.
    pub until: Timestamp,
}

impl Span {
    /// Whether a moment lies in it.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.since <= moment && moment < self.until
    }
}

/// What a tenant has used since the process looked at it first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// By runs that have ended.
    pub used: Metered,
    /// Root runs and session calls that were refused because of the tenant's quota.
    pub refused: u64,
    /// Root runs and session calls that are under way.
    pub running: usize,
    /// And those that wait until they may begin.
    pub waiting: usize,
    /// Bytes stored, when that was looked at last.
    pub stored_bytes: u64,
}

/// How much of its quota a tenant has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reckoned {
    /// As in `quota.runs`.
    pub name: &'static str,
    /// So much is used.
    pub used: u64,
    /// So much may be used; `None` without a limit.
    pub limit: Option<u64>,
}

/// How much of a tenant's quota is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// Each thing that the quota bounds.
    pub all: Vec<Reckoned>,
    /// When the period ends by which runs, fuel and calls of tools are counted.
    pub period_ends_at: Timestamp,
}
