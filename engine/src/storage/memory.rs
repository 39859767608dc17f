//! Tenants' data that lives as long as the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Storage, Store, check_model, incarnation};
use crate::approvals::memory::MemoryApprovals;
use crate::artifacts::memory::MemoryArtifacts;
use crate::error::Result;
use crate::id::TenantId;
use crate::library::memory::MemoryLibrary;
use crate::record::memory::MemoryRecords;

/// Everything in memory: for embedders who keep their data elsewhere, and for tests.
#[derive(Default)]
pub struct MemoryStorage {
    tenants: Mutex<BTreeMap<TenantId, Tenant>>,
}

struct Tenant {
    model: String,
    dimensions: usize,
    store: Store,
}

impl MemoryStorage {
    /// No tenants yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, BTreeMap<TenantId, Tenant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn open(
        &self,
        tenant: &TenantId,
        model: &str,
        dimensions: usize,
    ) -> Result<Option<Store>> {
        let tenants = self.state();
        let Some(found) = tenants.get(tenant) else { return Ok(None) };
        check_model(tenant, (&found.model, found.dimensions), (model, dimensions))?;
        Ok(Some(found.store.clone()))
    }

    async fn create(&self, tenant: &TenantId, model: &str, dimensions: usize) -> Result<bool> {
        let mut tenants = self.state();
        if tenants.contains_key(tenant) {
            return Ok(false);
        }
        let store = Store {
            incarnation: incarnation(),
            library: Arc::new(MemoryLibrary::new()),
            artifacts: Arc::new(MemoryArtifacts::new()),
            records: Arc::new(MemoryRecords::new()),
            approvals: Arc::new(MemoryApprovals::new()),
        };
        tenants.insert(tenant.clone(), Tenant { model: model.to_owned(), dimensions, store });
        Ok(true)
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        Ok(self.state().keys().cloned().collect())
    }

    async fn delete(&self, tenant: &TenantId) -> Result<bool> {
        Ok(self.state().remove(tenant).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[tokio::test]
    async fn tenants_come_and_go() {
        let storage = MemoryStorage::new();
        let acme = TenantId::new("acme").unwrap();
        assert!(storage.open(&acme, "m", 3).await.unwrap().is_none());
        assert!(storage.create(&acme, "m", 3).await.unwrap());
        assert!(!storage.create(&acme, "m", 3).await.unwrap());
        let first = storage.open(&acme, "m", 3).await.unwrap().unwrap().incarnation;
        let error = storage.open(&acme, "other", 3).await.err().unwrap();
        assert_eq!(error.code(), Code::Unavailable);
        assert_eq!(storage.tenants().await.unwrap(), std::slice::from_ref(&acme));
        assert!(storage.delete(&acme).await.unwrap());
        assert!(!storage.delete(&acme).await.unwrap());
        storage.create(&acme, "m", 3).await.unwrap();
        assert_ne!(storage.open(&acme, "m", 3).await.unwrap().unwrap().incarnation, first);
    }
}
