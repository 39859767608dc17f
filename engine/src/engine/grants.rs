//! What tenants may reach.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Engine;
use crate::grants::{Grants, LiveGrants};
use crate::id::TenantId;

/// Each tenant's grants.
pub(super) struct Tenants {
    usual: Grants,
    /// Those that were asked for, which lasts: who holds them goes by them.
    known: Mutex<HashMap<TenantId, LiveGrants>>,
}

impl Tenants {
    pub(super) fn new(usual: Grants) -> Self {
        Self { usual, known: Mutex::default() }
    }

    pub(super) fn of(&self, tenant: &TenantId) -> LiveGrants {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(tenant.clone()).or_insert_with(|| LiveGrants::new(self.usual.clone())).clone()
    }
}

impl Engine {
    /// What a tenant may reach. [Set](LiveGrants::set), it holds from the next
    /// call on, of runs that are under way too.
    #[must_use]
    pub fn grants(&self, tenant: &TenantId) -> LiveGrants {
        self.0.grants.of(tenant)
    }
}
