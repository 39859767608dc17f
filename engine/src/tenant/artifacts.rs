//! A tenant's artifacts, as an embedder sees them.

use super::Tenant;
use crate::artifacts::{Content, Filter, Metadata, SaveOptions, Upload};
use crate::error::{Error, Result};
use crate::id::{ArtifactName, quoted};

impl Tenant {
    /// Saves a new version of an artifact. A description will do for the options.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the name is none, or
    /// the content too large; [`Code::QuotaExceeded`](crate::error::Code::QuotaExceeded).
    pub async fn save_artifact(
        &self,
        name: &str,
        content: &Content,
        options: impl Into<SaveOptions>,
    ) -> Result<Metadata> {
        self.invoker.artifacts.save(&ArtifactName::new(name)?, content, options.into()).await
    }

    /// Begins to save bytes that are not all at hand.
    #[must_use]
    pub fn upload_artifact(&self) -> Upload {
        self.invoker.artifacts.begin()
    }

    /// Hands over the next bytes of an upload, of any length.
    ///
    /// # Errors
    /// As [`save_artifact`](Tenant::save_artifact). What was handed over is gone then.
    pub async fn append_to_upload(&self, upload: &mut Upload, bytes: &[u8]) -> Result<()> {
        self.invoker.artifacts.append(upload, bytes).await
    }

    /// Saves what was uploaded as a new version of an artifact.
    ///
    /// # Errors
    /// As [`save_artifact`](Tenant::save_artifact).
    pub async fn finish_upload(
        &self,
        name: &str,
        upload: Upload,
        options: impl Into<SaveOptions>,
    ) -> Result<Metadata> {
        self.invoker.artifacts.finish(&ArtifactName::new(name)?, upload, options.into()).await
    }

    /// An artifact's newest content, and what is known of it.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound).
    pub async fn load_artifact(&self, name: &str) -> Result<(Metadata, Content)> {
        let found = self.artifact(name, None).await?;
        let content = self.invoker.artifacts.content(&found).await?;
        Ok((found, content))
    }

    /// What is known of a version of an artifact, or of its newest.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound).
    pub async fn artifact(&self, name: &str, version: Option<u64>) -> Result<Metadata> {
        let found = self.invoker.artifacts.find(&ArtifactName::new(name)?, version).await?;
        found.ok_or_else(|| match version {
            None => Error::not_found(format!("there is no artifact {}", quoted(name))),
            Some(version) => Error::not_found(format!(
                "there is no version {version} of artifact {}; list its versions",
                quoted(name)
            )),
        })
    }

    /// The content of a version, whole.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if it was removed meanwhile.
    pub async fn artifact_content(&self, of: &Metadata) -> Result<Content> {
        self.invoker.artifacts.content(of).await
    }

    /// Bytes of a version's content from an offset on, at most
    /// [`PIECE`](crate::artifacts::PIECE); none at its end.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if it was removed meanwhile.
    pub async fn read_artifact(&self, of: &Metadata, offset: u64) -> Result<bytes::Bytes> {
        self.invoker.artifacts.read(of, offset).await
    }

    /// The first [`MAX_PAGE`](crate::artifacts::MAX_PAGE) artifacts, by name.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the store cannot be read.
    pub async fn artifacts(&self) -> Result<Vec<Metadata>> {
        self.list_artifacts(&Filter::default()).await
    }

    /// A page of the artifacts that a filter admits, by name.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it names no kind.
    pub async fn list_artifacts(&self, filter: &Filter) -> Result<Vec<Metadata>> {
        self.invoker.artifacts.list(filter).await
    }

    /// The versions of an artifact that are kept, the newest first.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn artifact_versions(&self, name: &str) -> Result<Vec<Metadata>> {
        self.invoker.artifacts.versions(&ArtifactName::new(name)?).await
    }

    /// Deletes an artifact with all its versions; false if there was none.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn delete_artifact(&self, name: &str) -> Result<bool> {
        self.invoker.artifacts.delete(&ArtifactName::new(name)?, None).await
    }

    /// Deletes one version of an artifact; false if there was none.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn delete_artifact_version(&self, name: &str, version: u64) -> Result<bool> {
        self.invoker.artifacts.delete(&ArtifactName::new(name)?, Some(version)).await
    }
}
