//! Whether an engine can do its work now.

use super::Engine;
use crate::error::Result;

/// What an engine depends on, each with what is wrong with it.
#[derive(Debug)]
pub struct Readiness {
    /// The place where tenants' data lies can be read.
    pub storage: Result<()>,
    /// The embedding model answers.
    pub model: Result<()>,
}

impl Readiness {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.storage.is_ok() && self.model.is_ok()
    }
}

impl Engine {
    /// Asks the storage and the embedding model, which is loaded for it. The component is in
    /// order: there is no engine without.
    pub async fn readiness(&self) -> Readiness {
        Readiness {
            storage: self.0.storage.tenants().await.map(drop),
            model: self.0.embedder.embed(vec!["ready".to_owned()]).await.map(drop),
        }
    }
}
