//! Where tenants' data lies.

#[cfg(feature = "lancedb")]
mod directory;
#[cfg(feature = "lancedb")]
pub mod doctor;
#[cfg(feature = "lancedb")]
pub mod lance;
pub mod memory;

use std::sync::Arc;

use async_trait::async_trait;

use crate::approvals::Approvals;
use crate::artifacts::Artifacts;
use crate::clock::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::library::Library;
use crate::record::Records;

/// Opens tenants' stores.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Opens a tenant's store, if it has one. `dimensions` and `model` are those
    /// of the vectors that will be stored and searched.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the place cannot be read or
    /// written, or holds data in a newer format or of another embedding model.
    async fn open(
        &self,
        tenant: &TenantId,
        model: &str,
        dimensions: usize,
    ) -> Result<Option<Store>>;

    /// Creates a tenant's store, for vectors of that model; false if it has one.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the place cannot be written.
    async fn create(&self, tenant: &TenantId, model: &str, dimensions: usize) -> Result<bool>;

    /// The tenants that have a store, by name.
    async fn tenants(&self) -> Result<Vec<TenantId>>;

    /// Bytes of everything that a tenant has stored, what was deleted and not yet given back
    /// included; 0 if nothing is stored outside of this process's memory.
    async fn stored_bytes(&self, tenant: &TenantId) -> Result<u64> {
        let _ = tenant;
        Ok(0)
    }

    /// Deletes a tenant's store with everything in it; false if there was none.
    async fn delete(&self, tenant: &TenantId) -> Result<bool>;
}

/// One tenant's data.
#[derive(Clone)]
pub struct Store {
    /// Tells the tenant from one of the same name that was there before, or will be: who was let
    /// in to the one is not let in to the other.
    pub incarnation: Arc<str>,
    /// Its workflows.
    pub library: Arc<dyn Library>,
    /// Its artifacts.
    pub artifacts: Arc<dyn Artifacts>,
    /// Its run records.
    pub records: Arc<dyn Records>,
    /// Its calls that wait for an approval.
    pub approvals: Arc<dyn Approvals>,
}

/// A name for a tenant that is being created, which no other has.
fn incarnation() -> Arc<str> {
    format!("{:016x}{:016x}", SystemEntropy.next_u64(), SystemEntropy.next_u64()).into()
}

/// Refuses to mix vectors of two models, which cannot be compared.
fn check_model(tenant: &TenantId, stored: (&str, usize), wanted: (&str, usize)) -> Result<()> {
    if stored == wanted {
        return Ok(());
    }
    Err(Error::unavailable(format!(
        "the library of tenant {tenant} was made with the embedding model {} ({} dimensions), not {} \
         ({} dimensions): choose that model again, or import the workflows into a new data directory",
        stored.0, stored.1, wanted.0, wanted.1
    )))
}
