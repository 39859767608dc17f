//! The linear memories and the stacks of instances, which begin as the snapshot.
//!
//! A memory is a private view of one file, the [`Image`]: what an instance only reads
//! is the file's page and shared by all, what it writes to becomes its own. Mapping,
//! copying and giving back such pages is most of what a short run costs, so that
//! memories are not taken apart: the pages that an instance wrote to, which
//! the kernel names, get the image's bytes again, and stay. wasmtime's own pool does
//! the same for up to 32 stretches of pages; CPython writes to a few hundred.
//!
//! What keeps tenants apart is that [`Slot::reset`] forgets nothing. It does not
//! know what a guest did: it asks the kernel which pages are not the file's.

mod image;
mod pages;
mod stack;

use std::mem::{self, ManuallyDrop};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

pub(super) use image::Image;
use pages::{Reservation, Written};
pub(super) use stack::Stacks;

/// Pages of one memory that stay resident between two instances; a trivial run writes
/// to some 200. Where there are more, all are given back, and it begins anew.
const KEPT_PAGES: usize = 512;

/// Memories, and stacks, that keep their pages while nobody uses them. With more
/// instances than that at the same time, the last ones pay for their page faults.
const KEPT_SLOTS: usize = 32;

/// What lies before and after a memory and is never accessible. Compiled code relies
/// on the one behind it; the other is for its bugs.
pub(super) const GUARD: usize = 32 << 20;

/// What compiled code may address: a base and 32 bits.
pub(super) const RESERVED: usize = 4 << 30;

/// Makes the memories of one image.
pub(super) struct Memories {
    image: Arc<Image>,
    free: Arc<Free<Slot>>,
    recorded: Option<Recorded>,
}

/// What the memory held whose instance was taken apart last.
#[derive(Clone, Default)]
pub(super) struct Recorded(Arc<Mutex<Vec<u8>>>);

impl Recorded {
    pub(super) fn take(&self) -> Vec<u8> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Memories {
    pub(super) fn new(image: Arc<Image>) -> Self {
        Self { image, free: Arc::default(), recorded: None }
    }

    /// Memories of which it can be told what they held in the end.
    pub(super) fn recording(image: Arc<Image>) -> (Self, Recorded) {
        let recorded = Recorded::default();
        (Self { recorded: Some(recorded.clone()), ..Self::new(image) }, recorded)
    }

    /// Bytes that a memory has when its instance begins.
    pub(super) fn initial_bytes(&self) -> usize {
        self.image.len()
    }
}

// SAFETY: what a memory has is mapped for as long as it lives, belongs to nobody else,
// does not move, and is followed by `GUARD` bytes that trap.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved_size_in_bytes: Option<usize>,
        guard_size_in_bytes: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if reserved_size_in_bytes != Some(RESERVED) || guard_size_in_bytes != GUARD {
            return Err("memories are reserved otherwise than the sandbox says".to_owned());
        }
        if minimum > self.image.len() || maximum.is_some_and(|most| most < self.image.len()) {
            return Err("the image is not this component's".to_owned());
        }
        let slot = match self.free.take() {
            Some(slot) => slot,
            None => Slot::new(Arc::clone(&self.image)).map_err(|error| error.to_string())?,
        };
        Ok(Box::new(Memory {
            slot: ManuallyDrop::new(slot),
            free: Arc::clone(&self.free),
            recorded: self.recorded.clone(),
        }))
    }
}

/// What waits for its next user, the last one used first.
struct Free<T>(Mutex<Vec<T>>);

impl<T> Default for Free<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Free<T> {
    fn take(&self) -> Option<T> {
        // Every change is one push or pop.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps it, or lets it go if enough are kept.
    fn give(&self, item: T) {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() < KEPT_SLOTS {
            items.push(item);
        }
    }
}

/// The memory of an instance.
struct Memory {
    slot: ManuallyDrop<Slot>,
    free: Arc<Free<Slot>>,
    recorded: Option<Recorded>,
}

// SAFETY: as above; `grow_to` keeps the base, and bytes that it adds are zero.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.slot.size
    }

    fn byte_capacity(&self) -> usize {
        RESERVED
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        Ok(self.slot.grow(new_size)?)
    }

    fn as_ptr(&self) -> *mut u8 {
        self.slot.start()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nobody looks at it after this.
        let mut slot = unsafe { ManuallyDrop::take(&mut self.slot) };
        if let Some(Recorded(recorded)) = &self.recorded {
            *recorded.lock().unwrap_or_else(PoisonError::into_inner) = slot.bytes().to_vec();
        }
        match slot.reset() {
            Ok(()) => self.free.give(slot),
            // It is unmapped, and nobody's memory again.
            Err(error) => tracing::warn!(%error, "a sandbox's memory cannot be reset"),
        }
    }
}

/// The place of a memory: guard, image and what it has grown by, guard.
struct Slot {
    space: Reservation,
    image: Arc<Image>,
    size: usize,
    written: Written,
}

impl Slot {
    fn new(image: Arc<Image>) -> std::io::Result<Self> {
        let space = Reservation::new(GUARD + RESERVED + GUARD)?;
        let written = Written::new(KEPT_PAGES);
        let slot = Self { space, size: image.len(), image, written };
        slot.map_image()?;
        Ok(slot)
    }

    fn map_image(&self) -> std::io::Result<()> {
        self.space.map(Self::at(0..self.image.len()), self.image.file())
    }

    /// Where bytes of the memory are in the reservation.
    const fn at(range: Range<usize>) -> Range<usize> {
        GUARD + range.start..GUARD + range.end
    }

    fn start(&self) -> *mut u8 {
        self.space.address(GUARD)
    }

    fn bytes(&mut self) -> &[u8] {
        // SAFETY: so much is mapped for reading, and whoever has the slot for themselves
        // runs no instance in it.
        unsafe { std::slice::from_raw_parts(self.start(), self.size) }
    }

    fn grow(&mut self, size: usize) -> std::io::Result<()> {
        // wasmtime asks for whole WebAssembly pages, within the reservation.
        self.space.open(Self::at(self.size..size))?;
        self.size = size;
        Ok(())
    }

    /// Makes every byte what it was, whatever has happened to it.
    fn reset(&mut self) -> std::io::Result<()> {
        let len = self.image.len();
        if self.size > len {
            self.space.close(Self::at(len..self.size))?;
            self.size = len;
        }
        let whole = Self::at(0..len);
        // SAFETY: the instance is gone, so that nobody else reads or writes there.
        let known = unsafe { self.written.find(&self.space, whole) };
        if !known {
            return self.map_image();
        }
        for range in self.written.ranges() {
            let Some(original) = self.image.bytes().get(range.start - GUARD..range.end - GUARD)
            else {
                return self.map_image();
            };
            // SAFETY: as above; the range lies within `whole`, which is mapped for writing.
            unsafe { self.space.write(range.start, original) };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
