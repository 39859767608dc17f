//! What can be changed while it is in force.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::id::TenantId;

/// A value that whoever holds it sees change.
#[derive(Debug, Clone, Default)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    /// This value, for now.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// From here on it is this one.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }

    /// What holds at this moment.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// What holds for each tenant: its own, or what is usual.
pub(crate) struct ByTenant<T>(Mutex<Known<T>>);

struct Known<T> {
    usual: T,
    /// Those that were asked for, which last: who holds them goes by them.
    tenants: HashMap<TenantId, Live<T>>,
}

impl<T: Clone> ByTenant<T> {
    pub(crate) fn new(usual: T) -> Self {
        Self(Mutex::new(Known { usual, tenants: HashMap::new() }))
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> Live<T> {
        let Known { usual, tenants } = &mut *self.known();
        tenants.entry(tenant.clone()).or_insert_with(|| Live::new(usual.clone())).clone()
    }

    /// From here on some tenants have their own, and all others what is usual.
    pub(crate) fn set(&self, usual: T, mut own: HashMap<TenantId, T>) {
        let mut known = self.known();
        for (tenant, live) in &known.tenants {
            live.set(own.remove(tenant).unwrap_or_else(|| usual.clone()));
        }
        known.tenants.extend(own.into_iter().map(|(tenant, value)| (tenant, Live::new(value))));
        known.usual = usual;
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
