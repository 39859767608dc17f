//! Named values that outlive a run.

#[cfg(feature = "lancedb")]
pub mod lance;
pub mod memory;
#[cfg(test)]
#[cfg(feature = "lancedb")]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{ArtifactName, RunId, sha256_hex};
use crate::json::Json;

/// The largest artifact, in bytes. It crosses the sandbox's boundary in one piece.
pub const MAX_ARTIFACT: usize = 16 << 20;

/// The longest description of an artifact or a workflow, in bytes.
pub const MAX_DESCRIPTION: usize = 4096;

/// What an artifact holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Any JSON value.
    Json(Json),
    /// Text.
    Text(Arc<str>),
    /// Bytes.
    Binary(Arc<[u8]>),
}

impl Content {
    /// `json`, `text` or `binary`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::Text(_) => "text",
            Self::Binary(_) => "binary",
        }
    }

    /// The content as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(json) => json.as_str().as_bytes(),
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// SHA-256 of those bytes, in lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(self.as_bytes())
    }
}

/// What is known of an artifact without loading it.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// Unique within a tenant.
    pub name: ArtifactName,
    /// `json`, `text` or `binary`.
    pub kind: &'static str,
    /// What it is.
    pub description: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub digest: String,
    /// When it was saved.
    pub created_at: Timestamp,
    /// The run that saved it; `None` if it was saved from outside.
    pub run: Option<RunId>,
}

impl Metadata {
    /// What is known of a content that is about to be saved.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is larger than
    /// [`MAX_ARTIFACT`], or its description longer than [`MAX_DESCRIPTION`].
    pub fn new(
        name: ArtifactName,
        content: &Content,
        description: String,
        created_at: Timestamp,
        run: Option<RunId>,
    ) -> Result<Self> {
        let size = content.as_bytes().len();
        if size > MAX_ARTIFACT {
            return Err(Error::invalid_argument(format!(
                "artifact {name} has {size} bytes, and an artifact at most {MAX_ARTIFACT}; \
                 save it in parts"
            )));
        }
        if description.len() > MAX_DESCRIPTION {
            return Err(Error::invalid_argument(format!(
                "the description of artifact {name} has more than {MAX_DESCRIPTION} bytes"
            )));
        }
        Ok(Self {
            name,
            kind: content.kind(),
            description,
            size: size as u64,
            digest: content.digest(),
            created_at,
            run,
        })
    }
}

/// One tenant's artifacts.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Saves an artifact; the name's previous content is replaced, atomically.
    async fn save(&self, metadata: &Metadata, content: &Content) -> Result<()>;

    /// The artifact's content and what is known of it, if there is such an artifact.
    async fn load(&self, name: &ArtifactName) -> Result<Option<(Metadata, Content)>>;

    /// All artifacts, by name.
    async fn list(&self) -> Result<Vec<Metadata>>;

    /// Deletes an artifact; false if there was none.
    async fn delete(&self, name: &ArtifactName) -> Result<bool>;
}
