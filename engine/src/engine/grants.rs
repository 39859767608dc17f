//! What tenants may reach.

use std::collections::HashMap;

use super::Engine;
use crate::grants::{Grants, LiveGrants};
use crate::id::TenantId;

impl Engine {
    /// What a tenant may reach. [Set](LiveGrants::set), it holds from the next
    /// call on, of runs that are under way too.
    #[must_use]
    pub fn grants(&self, tenant: &TenantId) -> LiveGrants {
        self.0.grants.of(tenant)
    }

    /// From here on some tenants may reach their own, and all others what is usual.
    pub fn set_grants(&self, usual: Grants, own: HashMap<TenantId, Grants>) {
        self.0.grants.set(usual, own);
    }
}
