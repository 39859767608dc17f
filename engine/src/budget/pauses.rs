//! The time that a tree of runs has spent waiting for people, which is not its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;

/// A clock that counts while calls wait and nothing works.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Calls that wait.
    waiting: u32,
    /// Guests that are at work, and not in a host call.
    working: u32,
    /// Since when calls wait and no guest works.
    since: Option<Stopwatch>,
    before: Duration,
}

impl State {
    fn total(&self) -> Duration {
        self.before + self.since.as_ref().map(Stopwatch::elapsed).unwrap_or_default()
    }
}

impl Pauses {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn total(&self) -> Duration {
        self.state().total()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.state().since.is_some()
    }

    pub(super) fn begin_waiting(&self) {
        self.change(|state| state.waiting += 1);
    }

    pub(super) fn end_waiting(&self) {
        self.change(|state| state.waiting = state.waiting.saturating_sub(1));
    }

    pub(super) fn begin_work(&self) {
        self.change(|state| state.working += 1);
    }

    pub(super) fn end_work(&self) {
        self.change(|state| state.working = state.working.saturating_sub(1));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if state.waiting > 0 && state.working == 0 {
            state.since.get_or_insert_with(Stopwatch::start);
        } else {
            state.before = state.total();
            state.since = None;
        }
    }
}
