//! Linear memory, counted over all memories of all instances of a run's tree.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::budget::Budget;
use crate::sandbox::tape::Tape;

/// Asks the budget before an instance grows. wasmtime's own `StoreLimits`
/// counts per memory, so it cannot bound a sum.
pub(crate) struct Limiter {
    budget: Arc<Budget>,
    tape: Arc<Tape>,
    held: u64,
    refused: bool,
    /// Whether the instance is over, and its memory the budget's again.
    left: bool,
}

impl Limiter {
    pub(super) fn new(budget: Arc<Budget>, tape: Arc<Tape>) -> Self {
        budget.enter_instance();
        Self { budget, tape, held: 0, refused: false, left: false }
    }

    /// Moves what the instance holds to the budget of a session's next call;
    /// false, and nothing moved, if that call may not have so much.
    pub(super) fn enter(&mut self, budget: Arc<Budget>, tape: Arc<Tape>) -> bool {
        if !budget.grow_memory(self.held) {
            return false;
        }
        self.change(budget, tape);
        true
    }

    /// The same at the beginning of a run, where it is the first of the growths
    /// that the run's tape knows.
    pub(super) fn begin(&mut self, budget: Arc<Budget>, tape: Arc<Tape>) -> bool {
        if !tape.grow(|| budget.grow_memory(self.held)) {
            return false;
        }
        self.change(budget, tape);
        true
    }

    fn change(&mut self, budget: Arc<Budget>, tape: Arc<Tape>) {
        budget.enter_instance();
        self.release();
        self.budget = budget;
        self.tape = tape;
        self.refused = false;
    }

    /// The instance began with so many bytes, which may be more than its component
    /// says; false if it may not have them.
    pub(super) fn began_with(&mut self, bytes: u64) -> bool {
        self.budget.shrink_memory(self.held);
        self.held = 0;
        if self.budget.grow_memory(bytes) {
            self.held = bytes;
        }
        self.held == bytes
    }

    /// Whether the instance was ever refused memory.
    pub(crate) const fn has_refused(&self) -> bool {
        self.refused
    }

    fn release(&self) {
        self.budget.shrink_memory(self.held);
        self.budget.leave_instance();
    }

    /// Gives everything back, before the instance is taken apart.
    pub(super) fn leave(&mut self) {
        if !self.left {
            self.left = true;
            self.release();
        }
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.leave();
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let grant = || desired <= super::engine::MAX_MEMORY && self.budget.grow_memory(more);
        let granted = self.tape.grow(grant);
        if granted {
            self.held += more;
        } else {
            self.refused = true;
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Tables are sized by the component; a guest has no way to ask for more.
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }

    // The defaults of wasmtime are 10,000 each; a store has one component.

    fn instances(&self) -> usize {
        super::engine::CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        super::engine::TABLES as usize
    }

    fn memories(&self) -> usize {
        super::engine::MEMORIES as usize
    }
}
