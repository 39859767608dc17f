//! Artifacts that live as long as the process.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Artifacts, Metadata};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::ArtifactName;

/// Artifacts in memory: for embedders who keep them elsewhere, and for tests.
#[derive(Debug, Default)]
pub struct MemoryArtifacts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    versions: BTreeMap<(ArtifactName, u64), (Metadata, Bytes)>,
    pieces: BTreeMap<(u64, u64), (Timestamp, Bytes)>,
}

impl MemoryArtifacts {
    /// No artifacts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Artifacts for MemoryArtifacts {
    async fn insert(&self, metadata: &Metadata, whole: Option<Bytes>) -> Result<bool> {
        let mut state = self.state();
        let key = (metadata.name.clone(), metadata.version);
        if state.versions.contains_key(&key) {
            return Ok(false);
        }
        state.versions.insert(key, (metadata.clone(), whole.unwrap_or_default()));
        Ok(true)
    }

    async fn write(
        &self,
        pieces: u64,
        first: u64,
        content: Vec<Bytes>,
        at: Timestamp,
    ) -> Result<()> {
        let numbered =
            (first..).zip(content).map(|(number, piece)| ((pieces, number), (at, piece)));
        self.state().pieces.extend(numbered);
        Ok(())
    }

    async fn read(&self, metadata: &Metadata, piece: u64) -> Result<Option<Bytes>> {
        let state = self.state();
        Ok(match metadata.pieces {
            Some(pieces) => state.pieces.get(&(pieces, piece)).map(|(_, bytes)| bytes.clone()),
            None => {
                let key = (metadata.name.clone(), metadata.version);
                state.versions.get(&key).map(|(_, bytes)| bytes.clone())
            }
        })
    }

    async fn versions(&self, name: Option<&ArtifactName>) -> Result<Vec<Metadata>> {
        let state = self.state();
        let all = state.versions.values().map(|(metadata, _)| metadata);
        Ok(all.filter(|found| name.is_none_or(|name| found.name == *name)).cloned().collect())
    }

    async fn remove(&self, doomed: &[Metadata]) -> Result<u64> {
        let mut state = self.state();
        let mut removed = 0;
        for version in doomed {
            let key = (version.name.clone(), version.version);
            removed += u64::from(state.versions.remove(&key).is_some());
            if let Some(pieces) = version.pieces {
                state.pieces.retain(|(id, _), _| *id != pieces);
            }
        }
        Ok(removed)
    }

    async fn remove_strays(&self, kept: &HashSet<u64>, before: Timestamp) -> Result<()> {
        self.state().pieces.retain(|(id, _), (at, _)| kept.contains(id) || *at >= before);
        Ok(())
    }

    async fn disk(&self, _most: u64) -> Result<u64> {
        Ok(0)
    }
}
