//! Stacks for the calls into guests.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::Arc;

use wasmtime::{StackCreator, StackMemory};

use super::Free;
use super::pages::{Reservation, Written};

/// Pages of one stack that stay resident; a trivial run touches some ten.
const KEPT_PAGES: usize = 64;

/// What lies below a stack and is never accessible. wasmtime checks the depth of guests,
/// so that only a host function could get there. A multiple of every processor's pages.
const GUARD: usize = 64 << 10;

/// Makes stacks, which are zero when a call begins.
#[derive(Default)]
pub(in crate::sandbox) struct Stacks {
    free: Arc<Free<Slot>>,
}

// SAFETY: what a stack has is mapped for as long as it lives, belongs to nobody else, is
// zero, and has `GUARD` bytes below it that trap.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, _zeroed: bool) -> wasmtime::Result<Box<dyn StackMemory>> {
        let size = size.next_multiple_of(GUARD);
        let slot = match self.free.take() {
            // All of an engine's stacks have one size.
            Some(slot) if slot.space.len() == GUARD + size => slot,
            _ => Slot::new(size)?,
        };
        Ok(Box::new(Stack { slot: ManuallyDrop::new(slot), free: Arc::clone(&self.free) }))
    }
}

struct Stack {
    slot: ManuallyDrop<Slot>,
    free: Arc<Free<Slot>>,
}

// SAFETY: as above.
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        self.slot.space.address(self.slot.space.len())
    }

    fn range(&self) -> Range<usize> {
        self.slot.space.address(GUARD) as usize..self.top() as usize
    }

    fn guard_range(&self) -> Range<*mut u8> {
        self.slot.space.address(0)..self.slot.space.address(GUARD)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: nobody looks at it after this.
        let mut slot = unsafe { ManuallyDrop::take(&mut self.slot) };
        match slot.reset() {
            Ok(()) => self.free.give(slot),
            Err(error) => tracing::warn!(%error, "a sandbox's stack cannot be reset"),
        }
    }
}

struct Slot {
    space: Reservation,
    written: Written,
}

impl Slot {
    fn new(size: usize) -> std::io::Result<Self> {
        let space = Reservation::new(GUARD + size)?;
        space.clear(GUARD..GUARD + size)?;
        Ok(Self { space, written: Written::new(KEPT_PAGES) })
    }

    /// Makes every byte zero.
    fn reset(&mut self) -> std::io::Result<()> {
        let whole = GUARD..self.space.len();
        // SAFETY: the call is over, so that nobody else reads or writes there.
        if !unsafe { self.written.find(&self.space, whole.clone()) } {
            return self.space.clear(whole);
        }
        for range in self.written.ranges() {
            // SAFETY: as above; the range lies within `whole`, which is mapped for writing.
            unsafe { self.space.zero(&range) };
        }
        Ok(())
    }
}
