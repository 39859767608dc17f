//! What runs and tenants may take: the sections `[limits]`, `[artifacts]` and `[quota]`.

use std::collections::HashMap;
use std::time::Duration;

use super::{MIB, Settings, Value, Values};
use crate::artifacts::ArtifactLimits;
use crate::id::TenantId;
use crate::limits::Limits;
use crate::quota::Quota;

/// A number that stands for no limit.
const NONE: u64 = 0;

impl Settings {
    /// The limits of a run.
    pub(in super::super) fn limits(&self) -> Limits {
        let wall_time = match self.values.get("limits.timeout_seconds") {
            Some((Value::Seconds(time), _)) => *time,
            _ => Limits::default().wall_time,
        };
        Limits {
            fuel: self.count("limits.fuel"),
            memory_bytes: self.count("limits.memory_mib").saturating_mul(MIB),
            wall_time,
            output_bytes: self.count("limits.output_bytes"),
            host_calls: self.count("limits.host_calls"),
            depth: u32::try_from(self.count("limits.depth")).unwrap_or(u32::MAX),
            recording_bytes: self.count("limits.recording_bytes"),
            ..Limits::default()
        }
    }

    /// What a tenant may keep as artifacts.
    pub(in super::super) fn artifacts(&self) -> ArtifactLimits {
        ArtifactLimits {
            quota_bytes: self.count("artifacts.quota_mib").saturating_mul(MIB),
            versions: u32::try_from(self.count("artifacts.versions")).unwrap_or(u32::MAX),
        }
    }

    /// What a tenant may take that has no quota of its own.
    pub(in super::super) fn quota(&self) -> Quota {
        quota_of(&self.values, Quota::default())
    }

    /// What tenants may take of whose quota something is said: what is not is as for all.
    pub(in super::super) fn tenant_quotas(&self) -> HashMap<TenantId, Quota> {
        let has_some = |values: &Values| values.keys().any(|name| name.starts_with("quota."));
        let tenants = self.tenants.iter().filter(|(_, values)| has_some(values));
        tenants.map(|(id, values)| (id.clone(), quota_of(values, self.quota()))).collect()
    }
}

/// What values say of a quota, which is `usual` where they say nothing.
fn quota_of(values: &Values, usual: Quota) -> Quota {
    let count = |name: &str| match values.get(name) {
        Some((Value::Count(count), _)) => Some(*count),
        _ => None,
    };
    let size = |name: &str, usual: usize| {
        count(name).map_or(usual, |count| usize::try_from(count).unwrap_or(usize::MAX))
    };
    let limit = |name: &str, usual: Option<u64>| match count(name) {
        None => usual,
        Some(count) => (count != NONE).then_some(count),
    };
    let period = match values.get("quota.period_seconds") {
        Some((Value::Seconds(period), _)) => (*period).max(Duration::from_secs(1)),
        _ => usual.period,
    };
    Quota {
        concurrent_runs: size("quota.concurrent_runs", usual.concurrent_runs),
        waiting_runs: size("quota.waiting_runs", usual.waiting_runs),
        period,
        runs: limit("quota.runs", usual.runs),
        fuel: limit("quota.fuel", usual.fuel),
        tool_calls: limit("quota.tool_calls", usual.tool_calls),
        workflows: limit("quota.workflows", usual.workflows),
        artifacts: limit("quota.artifacts", usual.artifacts),
        stored_bytes: limit("quota.stored_mib", usual.stored_bytes.map(|bytes| bytes / MIB))
            .map(|mib| mib.saturating_mul(MIB)),
    }
}

/// What holds if nobody says otherwise.
pub(super) fn defaults(set: &mut impl FnMut(&'static str, Value)) {
    let usual = Quota::default();
    set("quota.waiting_runs", Value::Count(usual.waiting_runs as u64));
    set("quota.period_seconds", Value::Seconds(usual.period));
    for (name, limit) in [
        ("quota.workflows", usual.workflows),
        ("quota.artifacts", usual.artifacts),
        ("quota.stored_mib", usual.stored_bytes.map(|bytes| bytes / MIB)),
    ] {
        set(name, Value::Count(limit.unwrap_or(NONE)));
    }
}
