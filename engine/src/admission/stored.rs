//! How many bytes a tenant has stored, looked at now and then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::id::TenantId;
use crate::storage::Storage;

/// How long what was found out is good for. A look reads a directory's entries: milliseconds for what
/// a library usually has.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What was found out last. Nobody waits for a look.
#[derive(Default)]
pub(super) struct Stored {
    bytes: AtomicU64,
    is_looking: AtomicBool,
    looked: Mutex<Option<Stopwatch>>,
}

impl Stored {
    /// Bytes, as far as is known; looks again if that was long ago.
    pub(super) fn bytes(self: &Arc<Self>, storage: &Arc<dyn Storage>, tenant: &TenantId) -> u64 {
        let is_good = {
            let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            looked.as_ref().is_some_and(|looked| looked.elapsed() < GOOD_FOR)
        };
        if !is_good && !self.is_looking.swap(true, Ordering::AcqRel) {
            let (stored, storage, tenant) = (Arc::clone(self), Arc::clone(storage), tenant.clone());
            tokio::spawn(async move { stored.look(storage.as_ref(), &tenant).await });
        }
        self.bytes.load(Ordering::Relaxed)
    }

    /// Looks now.
    pub(super) async fn look(&self, storage: &dyn Storage, tenant: &TenantId) -> u64 {
        match storage.stored_bytes(tenant).await {
            Ok(found) => self.bytes.store(found, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%tenant, error = error.chain(), "cannot see what is stored")
            }
        }
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stopwatch::start());
        self.is_looking.store(false, Ordering::Release);
        self.bytes.load(Ordering::Relaxed)
    }
}
