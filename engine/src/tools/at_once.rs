//! How many commands run, and how many requests are under way, at once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};
use crate::id::TenantId;

/// Commands that run at once, unless said otherwise. Each takes three or four of the files that
/// this process may have open, of which many systems allow 1,024, and the stores need some.
pub const DEFAULT_PROCESSES: usize = 128;

/// Requests of HTTP tools that are under way at once, likewise; each is one file.
pub const DEFAULT_REQUESTS: usize = 256;

/// Places of calls, of all tools whose options share this. A call that finds none waits: one
/// instance may have a thousand calls in flight, and each would be a process or a connection.
#[derive(Clone)]
pub struct AtOnce(Arc<Inner>);

struct Inner {
    all: Arc<Semaphore>,
    /// What one tenant may have of them: a quarter is always for others.
    share: usize,
    tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

impl AtOnce {
    /// So many, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let share = (most - most / 4).max(1);
        Self(Arc::new(Inner {
            all: Arc::new(Semaphore::new(most)),
            share,
            tenants: Mutex::default(),
        }))
    }

    /// Waits for a place, and for one of the tenant's own first: who waits for that stands in
    /// nobody's way.
    pub(super) async fn enter(&self, tenant: &TenantId) -> Result<Place> {
        let closed = |error| Error::internal("no call is begun any more").with_source(error);
        let share = self.share(tenant).acquire_owned().await.map_err(closed)?;
        let place = Arc::clone(&self.0.all).acquire_owned().await.map_err(closed)?;
        Ok(Place([share, place]))
    }

    fn share(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = tenants.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        tenants.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.0.share));
        tenants.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }
}

impl fmt::Debug for AtOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtOnce").field(&self.0.all.available_permits()).finish()
    }
}

/// A call's place, until it is dropped.
pub(super) struct Place(
    #[expect(dead_code, reason = "held, and given back when dropped")] [OwnedSemaphorePermit; 2],
);

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_tenant_leaves_a_quarter_to_others() {
        let (places, other) = (AtOnce::new(4), TenantId::new("other").unwrap());
        let tenant = TenantId::new("acme").unwrap();
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(places.enter(&tenant).now_or_never().expect("a place").unwrap());
        }
        assert!(places.enter(&tenant).now_or_never().is_none(), "it has the others' place");
        let theirs = places.enter(&other).now_or_never().expect("a place").unwrap();
        assert!(places.enter(&other).now_or_never().is_none(), "there are more than four");
        drop((held, theirs));
        assert!(places.enter(&other).now_or_never().is_some());
        assert_eq!(places.0.all.available_permits(), 4);
    }
}
