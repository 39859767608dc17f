//! How many instances there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Places that are free. Fewer than none are, while more are taken than there are left: the room
/// became narrower, and nobody enters before so many have gone.
type Free = AtomicI64;

/// What a runtime adds to the places of all that share one machine code, as long as it lasts.
pub(super) struct Room {
    free: Arc<Free>,
    added: i64,
}

impl Room {
    pub(super) fn new(places: u32) -> Self {
        Self { free: Arc::new(Free::new(places.into())), added: places.into() }
    }

    /// The same room, wider by so many places until what this returns is dropped.
    pub(super) fn wider(&self, places: u32) -> Self {
        self.free.fetch_add(places.into(), Ordering::AcqRel);
        Self { free: Arc::clone(&self.free), added: places.into() }
    }

    /// A place, if one is free.
    pub(super) fn enter(&self) -> Option<Place> {
        let taken = |free| (free > 0).then_some(free - 1);
        let entered = self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken);
        entered.ok().map(|_| Place(Arc::clone(&self.free)))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.free.fetch_sub(self.added, Ordering::AcqRel);
    }
}

/// An instance's place, until it is dropped.
pub(super) struct Place(Arc<Free>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runtime_adds_goes_with_it() {
        let room = Room::new(1);
        for _ in 0..3 {
            let image = room.wider(2);
            let taken: Vec<_> = std::iter::from_fn(|| image.enter()).collect();
            assert_eq!(taken.len(), 3);
            // It goes while its places are taken, maybe by others: nobody enters for them.
            drop(image);
            let mut left = taken.into_iter();
            drop((left.next(), left.next()));
            assert!(room.enter().is_none(), "a place is left that has gone");
            drop(left.next());
            let taken: Vec<_> = std::iter::from_fn(|| room.enter()).collect();
            assert_eq!(taken.len(), 1);
        }
    }
}
