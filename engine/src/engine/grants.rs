//! What tenants may reach.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Engine;
use crate::grants::{Grants, LiveGrants};
use crate::id::TenantId;

/// Each tenant's grants.
pub(super) struct Tenants {
    usual: Mutex<Grants>,
    /// Those that were asked for, which lasts: who holds them goes by them.
    known: Mutex<HashMap<TenantId, LiveGrants>>,
}

impl Tenants {
    pub(super) fn new(usual: Grants) -> Self {
        Self { usual: Mutex::new(usual), known: Mutex::default() }
    }

    pub(super) fn of(&self, tenant: &TenantId) -> LiveGrants {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let usual = || self.usual.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.entry(tenant.clone()).or_insert_with(|| LiveGrants::new(usual())).clone()
    }

    fn set(&self, usual: Grants, mut own: HashMap<TenantId, Grants>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, grants) in known.iter() {
            grants.set(own.remove(tenant).unwrap_or_else(|| usual.clone()));
        }
        known.extend(own.into_iter().map(|(tenant, grants)| (tenant, LiveGrants::new(grants))));
        *self.usual.lock().unwrap_or_else(PoisonError::into_inner) = usual;
    }
}

impl Engine {
    /// What a tenant may reach. [Set](LiveGrants::set), it holds from the next
    /// call on, of runs that are under way too.
    #[must_use]
    pub fn grants(&self, tenant: &TenantId) -> LiveGrants {
        self.0.grants.of(tenant)
    }

    /// From here on tenants may reach this: some of them their own, all others `usual`.
    pub fn set_grants(&self, usual: Grants, own: HashMap<TenantId, Grants>) {
        self.0.grants.set(usual, own);
    }
}
