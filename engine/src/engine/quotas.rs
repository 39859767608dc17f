//! What tenants may take, and have taken.

use std::collections::HashMap;

use super::Engine;
use crate::id::TenantId;
use crate::quota::{LiveQuota, Quota};
use crate::usage::Totals;

impl Engine {
    /// What a tenant may take. [Set](LiveQuota::set), it holds from the next run on.
    #[must_use]
    pub fn quota(&self, tenant: &TenantId) -> LiveQuota {
        self.0.admission.quotas.of(tenant)
    }

    /// From here on some tenants may take their own, and all others what is usual.
    pub fn set_quotas(&self, usual: Quota, own: HashMap<TenantId, Quota>) {
        self.0.admission.quotas.set(usual, own);
    }

    /// What each tenant has used since this process looked at it first, by name; of those
    /// tenants that it has looked at.
    #[must_use]
    pub fn totals(&self) -> Vec<(TenantId, Totals)> {
        let accounts = self.0.admission.accounts();
        let totals = accounts.iter().map(|account| (account.tenant().clone(), account.summary()));
        let mut totals: Vec<_> = totals.collect();
        totals.sort_by(|(a, _), (b, _)| a.cmp(b));
        totals
    }
}
