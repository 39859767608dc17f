//! A content that is handed over piece by piece.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::PIECE;
use super::shelf::hex;

/// How many pieces are written at once: each write is a commit, and is held in memory.
const AT_ONCE: usize = 4;

/// What a shelf knows of the uploads that nobody has finished.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    /// Bytes in the store of those under way.
    pub(super) bytes: AtomicU64,
    given_up: Mutex<Vec<u64>>,
}

impl Unfinished {
    /// Those that were given up, whose pieces are still to be removed.
    pub(super) fn take_given_up(&self) -> Vec<u64> {
        std::mem::take(&mut *self.given_up.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An upload under way. Its pieces lie in the store and belong to nobody until
/// it is finished; dropped before, it leaves them to be removed.
pub struct Upload {
    unfinished: Arc<Unfinished>,
    pub(super) id: u64,
    pub(super) size: u64,
    /// Pieces in the store.
    pub(super) written: u64,
    /// Bytes of them that are counted as under way.
    pub(super) kept: u64,
    waiting: BytesMut,
    digest: Sha256,
}

impl Upload {
    pub(super) fn new(id: u64, unfinished: &Arc<Unfinished>) -> Self {
        let (waiting, digest) = (BytesMut::new(), Sha256::new());
        let unfinished = Arc::clone(unfinished);
        Self { unfinished, id, size: 0, written: 0, kept: 0, waiting, digest }
    }

    /// Counts bytes that are about to be written to the store.
    pub(super) fn count(&mut self, bytes: u64) {
        self.unfinished.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.kept += bytes;
    }

    /// Its pieces belong to an artifact now.
    pub(super) fn finished(&mut self) {
        self.unfinished.bytes.fetch_sub(self.kept, Ordering::Relaxed);
        self.kept = 0;
    }

    /// Bytes handed over so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes bytes, and answers the pieces that are to be written now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() < AT_ONCE * PIECE {
            return Vec::new();
        }
        let whole = self.waiting.len() / PIECE;
        (0..whole).map(|_| self.waiting.split_to(PIECE).freeze()).collect()
    }

    /// What is still here, of an upload of which nothing was written.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting).into()
    }

    /// The last pieces.
    pub(super) fn last(&mut self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while !self.waiting.is_empty() {
            let length = self.waiting.len().min(PIECE);
            pieces.push(self.waiting.split_to(length).freeze());
        }
        pieces
    }

    pub(super) fn digest(&self) -> String {
        hex(&self.digest.clone().finalize())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.kept > 0 {
            self.unfinished.bytes.fetch_sub(self.kept, Ordering::Relaxed);
            let given_up = self.unfinished.given_up.lock();
            given_up.unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}
