//! A root run's place among those that may run at once, and how it is given to others while
//! the run waits for people.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::Account;
use super::gate::Pass;
use crate::error::{Code, Error, Result};

/// How many root runs of all tenants may run at once, and how many calls may wait for people
/// beside them.
pub(super) struct Places {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Places {
    /// As many of the one as of the other: a run that waits holds its instances as one does
    /// that runs, and the rest of them is for nested runs and sessions.
    pub(super) fn new(count: usize) -> Self {
        let semaphore = || Arc::new(Semaphore::new(count));
        Self { running: semaphore(), waiting: semaphore() }
    }
}

/// What a root run holds that runs: its tenant's pass, and a place.
type Held = (Pass, OwnedSemaphorePermit);

/// Where a root run is.
enum Place {
    /// Among those that run.
    Running(#[expect(dead_code, reason = "held, and given back when dropped")] Held),
    /// It waits for people, and others have its place.
    Given,
    /// It needs none: it is over, or nobody was there to admit it.
    None,
}

struct State {
    place: Place,
    /// How many of its instances want to go on.
    wanted_by: usize,
}

/// A root run's place.
pub(crate) struct Slot {
    /// None of a run that is admitted by nobody and waits for nobody.
    account: Option<Arc<Account>>,
    state: Mutex<State>,
    wanted: Notify,
    regained: Notify,
}

/// A call that waits for people, among those that may.
pub(crate) struct Waiting(
    #[expect(dead_code, reason = "held, and given back when dropped")] [OwnedSemaphorePermit; 2],
);

impl Slot {
    /// Waits until there is room for another root run.
    pub(super) async fn admit(account: &Arc<Account>) -> Result<Admitted> {
        let slot = Self::new(Some(Arc::clone(account)));
        let held = slot.acquire(true).await?;
        slot.state().place = Place::Running(held);
        Ok(Admitted(Arc::new(slot)))
    }

    /// Of a run that is admitted by nobody and waits for nobody.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self::new(None))
    }

    fn new(account: Option<Arc<Account>>) -> Self {
        let state = Mutex::new(State { place: Place::None, wanted_by: 0 });
        Self { account, state, wanted: Notify::new(), regained: Notify::new() }
    }

    /// Whose it is.
    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    fn admitted_by(&self) -> Result<&Account> {
        self.account.as_deref().ok_or_else(|| Error::internal("nobody has admitted this run"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn acquire(&self, is_new: bool) -> Result<Held> {
        let account = self.admitted_by()?;
        // The tenant's own gate first: who waits for it stands in nobody's way.
        let pass = account.enter(is_new).await?;
        let places = Arc::clone(&account.common.places.running);
        let place = places
            .acquire_owned()
            .await
            .map_err(|error| Error::internal("the engine is closed").with_source(error))?;
        Ok((pass, place))
    }

    /// A place among the calls that wait for people.
    ///
    /// # Errors
    /// [`Code::Busy`] if as many wait as may.
    pub(crate) fn wait(&self) -> Result<Waiting> {
        let account = self.admitted_by()?;
        let place = |places: &Arc<Semaphore>, whose: &str| {
            Arc::clone(places).try_acquire_owned().map_err(|error| {
                let message = format!(
                    "as many calls of {whose} wait for approval as may; answer some of them, \
                     which `repertoire runs list` shows"
                );
                Error::new(Code::Busy, message).with_source(error)
            })
        };
        let tenant = place(&account.waiting, "the tenant")?;
        Ok(Waiting([tenant, place(&account.common.places.waiting, "all tenants")?]))
    }

    /// Gives the place to others, unless part of the run is about to go on.
    pub(crate) fn give(&self) {
        let mut state = self.state();
        if state.wanted_by == 0 && matches!(state.place, Place::Running(_)) {
            state.place = Place::Given;
        }
    }

    /// Whether others have its place.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self.state().place, Place::Given)
    }

    /// Waits until the run has a place again, if it has given it to others.
    pub(crate) async fn regain(&self) {
        if !self.is_given() {
            return;
        }
        let wanting = Wanting::new(self);
        loop {
            let regained = self.regained.notified();
            if !self.is_given() {
                break;
            }
            self.wanted.notify_one();
            regained.await;
        }
        drop(wanting);
    }

    /// Gets the place back whenever it is wanted. It is polled beside the root run, for the parts
    /// of a run are polled only while their callers wait for them: one of them that stood in the
    /// queue could keep the place from the others, and never look.
    pub(crate) async fn keep(&self) {
        loop {
            self.wanted.notified().await;
            if self.is_given() {
                // Only a closed engine refuses, and then nothing goes on anyway.
                let Ok(held) = self.acquire(false).await else { continue };
                let mut state = self.state();
                if matches!(state.place, Place::Given) {
                    state.place = Place::Running(held);
                }
            }
            self.regained.notify_waiters();
        }
    }
}

/// While it lives, its run's place is not given away.
struct Wanting<'a>(&'a Slot);

impl<'a> Wanting<'a> {
    fn new(slot: &'a Slot) -> Self {
        slot.state().wanted_by += 1;
        Self(slot)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.state().wanted_by -= 1;
    }
}

/// A root run that was admitted, until this is dropped.
pub(crate) struct Admitted(Arc<Slot>);

impl Admitted {
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.0)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // What goes on after it, a session's calls in flight, has a place nowhere.
        self.0.state().place = Place::None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::clock::SystemClock;
    use crate::id::TenantId;
    use crate::quota::Quota;
    use crate::storage::Storage;
    use crate::storage::memory::MemoryStorage;
    use futures::FutureExt;

    /// Accounts of an engine that has so many places.
    fn accounts(places: usize, count: usize) -> Vec<Arc<Account>> {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
        let clock: Arc<dyn crate::clock::Clock> = Arc::new(SystemClock);
        let admission = Admission::new(places, 1, Quota::default(), &storage, &clock);
        let account = |n| {
            let tenant = TenantId::new(format!("tenant{n}")).unwrap();
            admission.account(&tenant, &"".into())
        };
        (0..count).map(account).collect()
    }

    #[tokio::test]
    async fn a_place_is_given_to_others_and_got_back() {
        let tenant = accounts(1, 1).remove(0);
        let first = Slot::admit(&tenant).await.unwrap();
        assert!(Slot::admit(&tenant).now_or_never().is_none(), "there was no room");
        let slot = first.slot();
        slot.give();
        let second = Slot::admit(&tenant).now_or_never().expect("the place was given").unwrap();
        // Two parts of the run want to go on; neither waits for the other.
        let both = async { tokio::join!(slot.regain(), slot.regain()) };
        let work = async {
            tokio::select! { _ = both => {}, () = slot.keep() => {} }
        };
        let mut work = Box::pin(work);
        assert!(work.as_mut().now_or_never().is_none(), "another has the place");
        slot.give();
        drop(second);
        work.await;
        assert!(!slot.is_given());
        assert!(Slot::admit(&tenant).now_or_never().is_none(), "the place is taken again");
        drop(first);
        assert!(Slot::admit(&tenant).now_or_never().is_some());
        // What outlives the run waits for nothing.
        slot.give();
        slot.regain().now_or_never().unwrap();
    }

    #[test]
    fn so_many_may_wait() {
        // Of three places a tenant may have as many.
        let slots: Vec<_> =
            accounts(3, 2).into_iter().map(|account| Slot::new(Some(account))).collect();
        let waits: Vec<_> = (0..2).map(|_| slots[0].wait().unwrap()).collect();
        let other = slots[1].wait().unwrap();
        let full = slots[1].wait().err().unwrap();
        assert_eq!(full.code(), Code::Busy);
        assert!(full.message().contains("all tenants"), "{full}");
        drop(waits);
        drop(other);
        let again: Vec<_> = (0..3).map(|_| slots[0].wait().unwrap()).collect();
        assert_eq!(slots[0].wait().err().unwrap().code(), Code::Busy);
        drop(again);
        let again = [slots[0].wait(), slots[0].wait(), slots[1].wait()];
        assert!(again.iter().all(Result::is_ok), "refused ones took a place");
    }
}
