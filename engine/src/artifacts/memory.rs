//! Artifacts that live as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Artifacts, Content, Metadata};
use crate::error::Result;
use crate::id::ArtifactName;

/// Artifacts in memory: for embedders who keep them elsewhere, and for tests.
#[derive(Debug, Default)]
pub struct MemoryArtifacts {
    saved: Mutex<BTreeMap<ArtifactName, (Metadata, Content)>>,
}

impl MemoryArtifacts {
    /// No artifacts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn saved(&self) -> MutexGuard<'_, BTreeMap<ArtifactName, (Metadata, Content)>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Artifacts for MemoryArtifacts {
    async fn save(&self, metadata: &Metadata, content: &Content) -> Result<()> {
        self.saved().insert(metadata.name.clone(), (metadata.clone(), content.clone()));
        Ok(())
    }

    async fn load(&self, name: &ArtifactName) -> Result<Option<(Metadata, Content)>> {
        Ok(self.saved().get(name).cloned())
    }

    async fn list(&self) -> Result<Vec<Metadata>> {
        Ok(self.saved().values().map(|(metadata, _)| metadata.clone()).collect())
    }

    async fn delete(&self, name: &ArtifactName) -> Result<bool> {
        Ok(self.saved().remove(name).is_some())
    }
}
