//! The shelves of the tenants that somebody looks at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::artifacts::{ArtifactLimits, Artifacts, Shelf};
use crate::clock::Clock;
use crate::id::TenantId;
use crate::quota::LiveQuota;

/// One shelf a tenant, whoever looks at it: its quota is watched in one place.
pub(super) struct Shelves {
    limits: ArtifactLimits,
    in_use: Mutex<HashMap<TenantId, Weak<Shelf>>>,
}

impl Shelves {
    pub(super) fn new(limits: ArtifactLimits) -> Self {
        Self { limits, in_use: Mutex::default() }
    }

    pub(super) fn get(
        &self,
        tenant: &TenantId,
        store: Arc<dyn Artifacts>,
        clock: &Arc<dyn Clock>,
        quota: LiveQuota,
    ) -> Arc<Shelf> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|_, shelf| shelf.strong_count() > 0);
        // A tenant may have been deleted and created anew, while somebody held the old one.
        let known = in_use.get(tenant).and_then(Weak::upgrade).filter(|shelf| shelf.is_of(&store));
        known.unwrap_or_else(|| {
            let shelf = Shelf::new(store, Arc::clone(clock), self.limits.clone());
            let shelf = Arc::new(shelf.with_quota(quota));
            in_use.insert(tenant.clone(), Arc::downgrade(&shelf));
            shelf
        })
    }
}
