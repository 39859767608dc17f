//! A root run's place among those that may run at once, and how it is given to others while
//! the run waits for people.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::error::{Code, Error, Result};

/// How many root runs may run at once, and how many calls may wait for people beside them.
pub(crate) struct Places {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Places {
    /// As many of the one as of the other: a run that waits holds its instances as one does
    /// that runs, and the rest of them is for nested runs and sessions.
    pub(crate) fn new(count: usize) -> Self {
        let semaphore = || Arc::new(Semaphore::new(count));
        Self { running: semaphore(), waiting: semaphore() }
    }
}

/// Where a root run is.
enum Place {
    /// Among those that run.
    Running(
        #[expect(dead_code, reason = "held, and given back when dropped")]
        [OwnedSemaphorePermit; 2],
    ),
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
    engine: Arc<Places>,
    /// Of the engine's, what its tenant may have: it cannot make the others wait.
    tenant: Arc<Places>,
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
    pub(crate) async fn admit(engine: &Arc<Places>, tenant: &Arc<Places>) -> Result<Admitted> {
        let slot = Self::new(Arc::clone(engine), Arc::clone(tenant));
        let permits = slot.acquire().await?;
        slot.state().place = Place::Running(permits);
        Ok(Admitted(Arc::new(slot)))
    }

    /// Of a run that is admitted by nobody and waits for nobody.
    pub(crate) fn none() -> Arc<Self> {
        let none = Arc::new(Places::new(0));
        Arc::new(Self::new(Arc::clone(&none), none))
    }

    fn new(engine: Arc<Places>, tenant: Arc<Places>) -> Self {
        let state = Mutex::new(State { place: Place::None, wanted_by: 0 });
        Self { engine, tenant, state, wanted: Notify::new(), regained: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn acquire(&self) -> Result<[OwnedSemaphorePermit; 2]> {
        let closed = |error| Error::internal("the engine is closed").with_source(error);
        // The tenant's own share first: who waits for it stands in nobody's way.
        let tenant = Arc::clone(&self.tenant.running).acquire_owned().await.map_err(closed)?;
        let engine = Arc::clone(&self.engine.running).acquire_owned().await.map_err(closed)?;
        Ok([tenant, engine])
    }

    /// A place among the calls that wait for people.
    ///
    /// # Errors
    /// [`Code::Busy`] if as many wait as may.
    pub(crate) fn wait(&self) -> Result<Waiting> {
        let place = |places: &Places, whose: &str| {
            Arc::clone(&places.waiting).try_acquire_owned().map_err(|error| {
                let message = format!(
                    "as many calls of {whose} wait for approval as may; answer some of them, \
                     which `repertoire runs list` shows"
                );
                Error::new(Code::Busy, message).with_source(error)
            })
        };
        let tenant = place(&self.tenant, "the tenant")?;
        Ok(Waiting([tenant, place(&self.engine, "all tenants")?]))
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
                let Ok(permits) = self.acquire().await else { continue };
                let mut state = self.state();
                if matches!(state.place, Place::Given) {
                    state.place = Place::Running(permits);
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
    use futures::FutureExt;

    #[tokio::test]
    async fn a_place_is_given_to_others_and_got_back() {
        let (engine, tenant) = (Arc::new(Places::new(1)), Arc::new(Places::new(1)));
        let first = Slot::admit(&engine, &tenant).await.unwrap();
        assert!(Slot::admit(&engine, &tenant).now_or_never().is_none(), "there was no room");
        let slot = first.slot();
        slot.give();
        let second =
            Slot::admit(&engine, &tenant).now_or_never().expect("the place was given").unwrap();
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
        assert!(Slot::admit(&engine, &tenant).now_or_never().is_none(), "the place is taken again");
        drop(first);
        assert!(Slot::admit(&engine, &tenant).now_or_never().is_some());
        // What outlives the run waits for nothing.
        slot.give();
        slot.regain().now_or_never().unwrap();
    }

    #[test]
    fn so_many_may_wait() {
        let (engine, tenants) =
            (Arc::new(Places::new(3)), [2, 2].map(|n| Arc::new(Places::new(n))));
        let slots = tenants.map(|tenant| Slot::new(Arc::clone(&engine), tenant));
        let waits: Vec<_> = (0..2).map(|_| slots[0].wait().unwrap()).collect();
        assert_eq!(slots[0].wait().err().unwrap().code(), Code::Busy);
        let other = slots[1].wait().unwrap();
        let full = slots[1].wait().err().unwrap();
        assert!(full.message().contains("all tenants"), "{full}");
        drop(waits);
        drop(other);
        let again = [slots[0].wait(), slots[0].wait(), slots[1].wait()];
        assert!(again.iter().all(Result::is_ok), "refused ones took a place");
    }
}
