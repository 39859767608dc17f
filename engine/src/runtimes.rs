//! The plain runtime, and one for each image that somebody runs on.

mod kept;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::id::{ImageName, quoted, sha256_hex};
use crate::images::{self, Image, Images, Installed, MAX_WHEELS, Wheel};
use crate::recording::RuntimeIdentity;
use crate::sandbox::Runtime;
use crate::schema::nearest;
use crate::workflow::{Dependency, Requires};
use kept::Kept;

/// Where runs begin.
pub(crate) struct Runtimes {
    plain: Arc<Runtime>,
    images: Images,
    /// Those of images, as many as may be.
    loaded: Kept<Runtime>,
}

impl Runtimes {
    /// With the images of a directory, of which so many stay in memory.
    pub(crate) fn new(plain: Arc<Runtime>, images: Images, in_memory: usize) -> Self {
        Self { plain, images, loaded: Kept::new(in_memory) }
    }

    /// The runtime without packages, in which sources are analysed and compiled: no package's
    /// code has run in it.
    pub(crate) const fn plain(&self) -> &Arc<Runtime> {
        &self.plain
    }

    /// How many images are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        self.loaded.len()
    }

    pub(crate) const fn images(&self) -> &Images {
        &self.images
    }

    /// The runtime that a workflow asks for; `usual` is the image of those that ask for none.
    pub(crate) async fn choose(
        &self,
        requires: &Requires,
        usual: Option<&ImageName>,
    ) -> Result<Arc<Runtime>> {
        let wanted = &requires.dependencies;
        if let Some(name) = &requires.runtime {
            let image = self.find(&ImageName::new(name)?).await?;
            if let Some(missing) = image.lacks(wanted) {
                return Err(lacking(name, &image, missing));
            }
            return self.load(image).await;
        }
        if wanted.is_empty() {
            return self.named(usual).await;
        }
        let all = self.list().await?;
        let is_usual = |image: &&Image| usual.is_some_and(|name| image.names.contains(name));
        let named = all.iter().filter(|image| !image.names.is_empty());
        let fits = |image: &&Image| image.lacks(wanted).is_none();
        let found = all.iter().filter(is_usual).chain(named).find(fits);
        match found {
            Some(image) => self.load(image.clone()).await,
            None => Err(none_satisfies(wanted)),
        }
    }

    /// The runtime of an image, or the plain one.
    pub(crate) async fn named(&self, name: Option<&ImageName>) -> Result<Arc<Runtime>> {
        match name {
            Some(name) => self.load(self.find(name).await?).await,
            None => Ok(Arc::clone(&self.plain)),
        }
    }

    /// The runtime on which a run was recorded, as far as this machine has it.
    pub(crate) async fn recorded(&self, identity: &RuntimeIdentity) -> Result<Arc<Runtime>> {
        let Some(digest) = identity.image.clone() else { return Ok(Arc::clone(&self.plain)) };
        let images = self.images.clone();
        let wanted = digest.clone();
        match blocking(move || images.get(&wanted)).await? {
            Some(image) => self.load(image).await,
            None => Err(Error::invalid_argument(format!(
                "it began with the runtime image {digest}, which is not here any more; `repertoire runtime \
                 build` makes the same one of the same packages"
            ))),
        }
    }

    async fn find(&self, name: &ImageName) -> Result<Image> {
        let (images, wanted) = (self.images.clone(), name.clone());
        if let Some(image) = blocking(move || images.find(&wanted)).await? {
            return Ok(image);
        }
        let all = self.list().await?;
        let names = all.iter().flat_map(|image| &image.names).map(ImageName::as_str);
        let near = nearest(name.as_str(), names);
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        Err(Error::unavailable(format!(
            "there is no runtime image {name}: {near}`repertoire runtime list` shows what there is, and \
             `repertoire runtime build --name {name} --requirement PACKAGE==VERSION` makes one"
        )))
    }

    /// All images.
    pub(crate) async fn list(&self) -> Result<Vec<Image>> {
        let images = self.images.clone();
        blocking(move || images.list()).await
    }

    /// The image that somebody means by a name, or by its digest's first digits.
    pub(crate) async fn meant(&self, given: &str) -> Result<Image> {
        let (images, given) = (self.images.clone(), given.to_owned());
        blocking(move || images.meant(&given)).await
    }

    async fn load(&self, image: Image) -> Result<Arc<Runtime>> {
        let digest = image.digest.clone();
        let make = async || {
            let (plain, images) = (Arc::clone(&self.plain), self.images.clone());
            blocking(move || plain.with_packages(&image.digest, || images.wheels(&image))).await
        };
        self.loaded.get(&digest, make).await
    }

    /// Makes an image, and gives it a name.
    pub(crate) async fn build(
        &self,
        name: ImageName,
        requirements: Vec<String>,
        wheels: Vec<Wheel>,
    ) -> Result<Image> {
        if wheels.is_empty() {
            return Err(Error::invalid_argument("a runtime image has at least one package"));
        }
        let size: usize = wheels.iter().map(|wheel| wheel.bytes.len()).sum();
        if size > MAX_WHEELS {
            return Err(Error::invalid_argument(format!(
                "the wheels have {size} bytes, and those of a runtime image may have {MAX_WHEELS}"
            )));
        }
        let (plain, images) = (Arc::clone(&self.plain), self.images.clone());
        blocking(move || {
            let digested = wheels.into_iter().map(|wheel| (sha256_hex(&wheel.bytes), wheel));
            // The same order gives the same memory, and with it the same replays.
            let digested: BTreeMap<_, _> = digested.collect();
            let (digests, wheels): (Vec<_>, Vec<_>) = digested.into_iter().unzip();
            let digest = images::digest(digests.iter().map(String::as_str));
            let bytes: Vec<_> = wheels.iter().map(|wheel| wheel.bytes.clone()).collect();
            let packages = plain.prepare(&digest, &bytes)?;
            let packages = wheels.iter().zip(digests).zip(packages);
            let installed = packages.map(|((wheel, sha256), package)| Installed {
                file: wheel.file.clone(),
                sha256,
                package,
            });
            let packages = installed.collect();
            let image = Image { digest, names: vec![name.clone()], requirements, packages };
            images.save(&image, &name, &wheels)?;
            Ok(image)
        })
        .await
    }

    /// Removes a name, or an image.
    pub(crate) async fn remove(&self, given: &str) -> Result<()> {
        let (images, wanted) = (self.images.clone(), given.to_owned());
        if let Some(gone) = blocking(move || images.remove(&wanted)).await? {
            self.loaded.forget(&gone);
            if let Some(file) = self.plain.kept_image(&gone) {
                // What stays is only disk space.
                let _ = fs::remove_file(file);
            }
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("work on a runtime image panicked").with_source(error))?
}

fn lacking(name: &str, image: &Image, missing: &Dependency) -> Error {
    let has = image
        .version_of(&missing.name)
        .map_or_else(|| "does not have it".to_owned(), |version| format!("has {version}"));
    Error::unavailable(format!(
        "the workflow needs {}, and the runtime image {} {has}: change one of the two",
        quoted(&missing.to_string()),
        quoted(name)
    ))
}

fn none_satisfies(wanted: &[Dependency]) -> Error {
    let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    Error::unavailable(format!(
        "no runtime image has all that the workflow needs: {}; `repertoire runtime list` shows what \
         there is, and `repertoire runtime build` makes one",
        quoted(&wanted.join(", "))
    ))
}
