//! Runtime images, and who runs on which.

use std::path::PathBuf;

use super::{Engine, EngineBuilder};
use crate::error::Result;
use crate::id::{ImageName, TenantId};
use crate::images::{Image, Images, Wheel};

impl Engine {
    /// Makes a runtime image of wheels, and gives it this name. They are unpacked and imported in
    /// a sandbox that can reach nothing; the same wheels are the same image. `requirements` is
    /// what they were asked for by, for people.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if one is no wheel, or cannot do
    /// without native code; the code of a limit if importing them runs into one;
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the engine keeps no images.
    pub async fn build_image(
        &self,
        name: ImageName,
        requirements: Vec<String>,
        wheels: Vec<Wheel>,
    ) -> Result<Image> {
        self.0.runtimes.build(name, requirements, wheels).await
    }

    /// The runtime images that there are.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if they cannot be read.
    pub async fn images(&self) -> Result<Vec<Image>> {
        self.0.runtimes.list().await
    }

    /// The runtime image that a name or the first digits of a digest stand for.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if there is none, or are several;
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if they cannot be read.
    pub async fn image(&self, name: &str) -> Result<Image> {
        self.0.runtimes.meant(name).await
    }

    /// How many runtime images are in memory.
    #[must_use]
    pub fn images_in_memory(&self) -> usize {
        self.0.runtimes.in_memory()
    }

    /// Removes what a name or the first digits of a digest stand for: the name, and the image
    /// if it has no other. Recorded runs that began with it cannot be replayed any more.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if there is none,
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if they cannot be written.
    pub async fn remove_image(&self, name: &str) -> Result<()> {
        self.0.runtimes.remove(name).await
    }
}

impl EngineBuilder {
    /// Keeps runtime images in this directory; without one there are none.
    #[must_use]
    pub fn images(mut self, directory: impl Into<PathBuf>) -> Self {
        self.images = Images::new(directory);
        self
    }

    /// Keeps so many runtime images in memory, at least one, and of others only those with a run
    /// or a session on them; else [`DEFAULT_IN_MEMORY`](crate::images::DEFAULT_IN_MEMORY). The one
    /// that was used least recently goes first.
    #[must_use]
    pub fn images_in_memory(mut self, most: usize) -> Self {
        self.images_in_memory = most.max(1);
        self
    }

    /// Runs what names no runtime image on this one.
    #[must_use]
    pub fn image(mut self, name: ImageName) -> Self {
        self.usual_image = Some(name);
        self
    }

    /// Runs what a tenant runs, and names no runtime image, on this one; with `None` on the
    /// plain runtime, whatever [`image`](Self::image) says.
    #[must_use]
    pub fn tenant_image(mut self, tenant: TenantId, name: impl Into<Option<ImageName>>) -> Self {
        self.tenant_images.insert(tenant, name.into());
        self
    }
}
