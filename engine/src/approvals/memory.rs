//! Requests within one process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Approvals, Request};
use crate::error::Result;
use crate::id::RunId;

/// What waits, by run and call, with its answer.
type Waiting = BTreeMap<(RunId, u64), (Request, Option<bool>)>;

/// Requests in memory.
#[derive(Debug, Default)]
pub struct MemoryApprovals {
    waiting: Mutex<Waiting>,
}

impl MemoryApprovals {
    /// Nothing waits yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Approvals for MemoryApprovals {
    fn open(&self, request: &Request) -> Result<()> {
        self.state().insert((request.run, request.call), (request.clone(), None));
        Ok(())
    }

    fn answer(&self, run: RunId, call: u64) -> Result<Option<bool>> {
        Ok(self.state().get(&(run, call)).and_then(|(_, answer)| *answer))
    }

    fn close(&self, run: RunId, call: u64) {
        self.state().remove(&(run, call));
    }

    fn waiting(&self) -> Result<Vec<Request>> {
        let state = self.state();
        let open = state.values().filter(|(_, answer)| answer.is_none());
        let mut waiting: Vec<_> = open.map(|(request, _)| request.clone()).collect();
        waiting.sort_by_key(|request| request.since);
        Ok(waiting)
    }

    fn decide(&self, run: RunId, call: u64, agreed: bool) -> Result<()> {
        if let Some((_, answer)) = self.state().get_mut(&(run, call)) {
            answer.get_or_insert(agreed);
        }
        Ok(())
    }
}
