//! What a tenant has used, as programs read it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::tenant::Tenant;
use crate::usage::{Metered, Reckoned, Span};

/// What a tenant's runs have used, and how much of its quota.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Usage {
    /// The first moment whose runs are counted.
    pub(crate) since: String,
    /// The first whose runs are not.
    pub(crate) until: String,
    /// Who used the most fuel comes first.
    pub(crate) workflows: Vec<WorkflowUsage>,
    /// All of it. Wall time is that of root runs, for what they invoke runs within theirs.
    pub(crate) total: Used,
    /// What the quota bounds.
    pub(crate) quotas: Vec<QuotaUse>,
    /// When the period ends by which runs, fuel and calls of tools are counted.
    pub(crate) period_ends_at: String,
}

/// What the runs of one workflow have used.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WorkflowUsage {
    /// Its name; missing for agent code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<String>,
    #[serde(flatten)]
    pub(crate) used: Used,
}

/// What runs have used.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Used {
    /// Runs, nested ones included.
    pub(crate) runs: u64,
    /// Of these, those that no other run invoked.
    pub(crate) root_runs: u64,
    /// Of all, those that did not return.
    pub(crate) failed: u64,
    /// Units of fuel, without those of what they invoked.
    pub(crate) fuel: u64,
    /// Milliseconds, with those of what they invoked.
    pub(crate) wall_time_ms: f64,
    /// Calls of tools.
    pub(crate) tool_calls: u64,
    /// Bytes of arguments, output and results.
    pub(crate) bytes: u64,
}

impl From<&Metered> for Used {
    fn from(used: &Metered) -> Self {
        Self {
            runs: used.runs,
            root_runs: used.root_runs,
            failed: used.failed,
            fuel: used.fuel,
            wall_time_ms: (used.wall_time.as_secs_f64() * 1e6).round() / 1e3,
            tool_calls: used.tool_calls,
            bytes: used.bytes,
        }
    }
}

/// One thing that a quota bounds.
#[derive(Serialize, JsonSchema)]
pub(crate) struct QuotaUse {
    /// As in the section `[quota]` of `repertoire.toml`.
    pub(crate) name: &'static str,
    pub(crate) used: u64,
    /// How much may be used; missing without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

impl From<&Reckoned> for QuotaUse {
    fn from(reckoned: &Reckoned) -> Self {
        Self { name: reckoned.name, used: reckoned.used, limit: reckoned.limit }
    }
}

impl Usage {
    /// Of the runs that started within the last `time`.
    pub(crate) async fn of(tenant: &Tenant, time: Duration) -> Result<Self> {
        let now = tenant.now().as_millis();
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        // What starts in this very millisecond counts, too.
        let span = Span {
            since: Timestamp::from_millis(now.saturating_sub(time)),
            until: Timestamp::from_millis(now.saturating_add(1)),
        };
        let report = tenant.usage(span).await?;
        let quota = tenant.quota_use().await?;
        let one = |(workflow, used): (&Option<String>, &Metered)| WorkflowUsage {
            workflow: workflow.clone(),
            used: used.into(),
        };
        let mut workflows: Vec<_> = report.workflows.iter().map(one).collect();
        workflows.sort_by_key(|one| std::cmp::Reverse(one.used.fuel));
        Ok(Self {
            since: span.since.to_string(),
            until: span.until.to_string(),
            workflows,
            total: (&report.total).into(),
            quotas: quota.all.iter().map(Into::into).collect(),
            period_ends_at: quota.period_ends_at.to_string(),
        })
    }
}
