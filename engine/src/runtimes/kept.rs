//! What is made once and kept in memory, and what of it goes when there is more than may be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::error::Result;

/// Things by digest. Each is made once, and who waits for one holds up nobody else.
pub(super) struct Kept<T> {
    most: usize,
    places: Mutex<Places<T>>,
}

struct Places<T> {
    /// How often something was asked for: the time by which the least recently used is told.
    asked: u64,
    by_digest: HashMap<String, Place<T>>,
}

struct Place<T> {
    made: Arc<OnceCell<Arc<T>>>,
    asked: u64,
}

impl<T> Place<T> {
    /// Whether nobody waits for it, and nobody uses it. Asked under the lock, through which
    /// everybody comes to it, so that it stays so.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.made) == 1
            && self.made.get().is_none_or(|made| Arc::strong_count(made) == 1)
    }
}

impl<T> Kept<T> {
    /// Keeps so many, and beyond that only what somebody uses.
    pub(super) fn new(most: usize) -> Self {
        let places = Places { asked: 0, by_digest: HashMap::new() };
        Self { most, places: Mutex::new(places) }
    }

    fn places(&self) -> MutexGuard<'_, Places<T>> {
        // Every change is one entry.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places().by_digest.values().filter(|place| place.made.initialized()).count()
    }

    /// What there is under a digest, and is made if there is nothing.
    pub(super) async fn get(
        &self,
        digest: &str,
        make: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let place = {
            let mut places = self.places();
            places.asked += 1;
            let asked = places.asked;
            let new = || Place { made: Arc::default(), asked };
            let place = places.by_digest.entry(digest.to_owned()).or_insert_with(new);
            place.asked = asked;
            Arc::clone(&place.made)
        };
        let make = async || make().await.map(Arc::new);
        let made = place.get_or_try_init(make).await.cloned();
        drop(place);
        // Taking one apart takes time, and needs no lock.
        let surplus = self.take_surplus();
        drop(surplus);
        made
    }

    /// What is more than may be kept: what could not be made, then what was asked for the longest
    /// time ago. What somebody uses stays, and goes when something is asked for after that.
    fn take_surplus(&self) -> Vec<Place<T>> {
        let mut places = self.places();
        let mut surplus = Vec::new();
        while places.by_digest.len() > self.most {
            let idle = places.by_digest.iter().filter(|(_, place)| place.is_idle());
            let first = idle.min_by_key(|(_, place)| (place.made.initialized(), place.asked));
            let Some(digest) = first.map(|(digest, _)| digest.clone()) else { break };
            surplus.extend(places.by_digest.remove(&digest));
        }
        surplus
    }

    /// Keeps it no longer. Who uses it goes on.
    pub(super) fn forget(&self, digest: &str) {
        let forgotten = self.places().by_digest.remove(digest);
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;

    /// Makes a thing, and counts how often.
    async fn get(kept: &Kept<String>, made: &AtomicUsize, digest: &str) -> Arc<String> {
        let make = async || {
            made.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(digest.to_owned())
        };
        kept.get(digest, make).await.unwrap()
    }

    #[tokio::test]
    async fn the_least_recently_used_goes() {
        let (kept, made) = (Kept::new(2), AtomicUsize::new(0));
        for digest in ["a", "b", "a", "c", "a"] {
            assert_eq!(*get(&kept, &made, digest).await, digest);
        }
        assert_eq!((kept.len(), made.load(Ordering::SeqCst)), (2, 3));
        get(&kept, &made, "b").await;
        assert_eq!((kept.len(), made.load(Ordering::SeqCst)), (2, 4));
    }

    #[tokio::test]
    async fn what_is_used_stays() {
        let (kept, made) = (Kept::new(1), AtomicUsize::new(0));
        let used = (get(&kept, &made, "a").await, get(&kept, &made, "b").await);
        assert_eq!(kept.len(), 2);
        get(&kept, &made, "a").await;
        assert_eq!(made.load(Ordering::SeqCst), 2);
        drop(used);
        get(&kept, &made, "c").await;
        assert_eq!(kept.len(), 1);
    }

    #[tokio::test]
    async fn whoever_comes_at_once_waits_for_one() {
        let (kept, made) = (Kept::new(1), AtomicUsize::new(0));
        let all = futures::future::join_all((0..8).map(|_| get(&kept, &made, "a"))).await;
        assert_eq!((all.len(), made.load(Ordering::SeqCst)), (8, 1));
    }

    #[tokio::test]
    async fn what_failed_takes_nobodys_place() {
        let (kept, made) = (Kept::new(1), AtomicUsize::new(0));
        get(&kept, &made, "a").await;
        let failed = kept.get("b", async || Err(Error::internal("it failed"))).await;
        assert!(failed.is_err());
        get(&kept, &made, "a").await;
        assert_eq!((kept.len(), made.load(Ordering::SeqCst)), (1, 1));
        kept.forget("a");
        assert_eq!(kept.len(), 0);
    }
}
