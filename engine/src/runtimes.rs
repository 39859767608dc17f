//! The component and the images of it, each loaded when it is first needed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::images::{Image, Images};
use crate::sandbox::Runtime;

/// Which runtime a run gets.
pub(crate) struct Runtimes {
    base: Arc<Runtime>,
    images: Option<Images>,
    /// The image of whoever asks for none.
    usual: Option<String>,
    loaded: Mutex<HashMap<String, Arc<Runtime>>>,
}

impl Runtimes {
    pub(crate) fn new(base: Arc<Runtime>, images: Option<Images>, usual: Option<String>) -> Self {
        Self { base, images, usual, loaded: Mutex::default() }
    }

    /// Where the images lie, if there are any.
    pub(crate) const fn images(&self) -> Option<&Images> {
        self.images.as_ref()
    }

    /// The component without packages.
    pub(crate) const fn base(&self) -> &Arc<Runtime> {
        &self.base
    }

    /// The runtime that has what is required: the usual one, if it does, else
    /// the smallest image that does.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if none has it.
    pub(crate) async fn choose(&self, required: &[String]) -> Result<Arc<Runtime>> {
        let has_all = |image: &Image| required.iter().all(|wanted| image.has(wanted));
        let images = match &self.images {
            Some(images) if self.usual.is_some() || !required.is_empty() => images,
            _ if required.is_empty() => return Ok(Arc::clone(&self.base)),
            _ => return Err(none_has(required)),
        };
        if let Some(usual) = &self.usual {
            let image = images.find(usual)?;
            if has_all(&image) {
                return self.load(images, &image).await;
            }
        }
        let mut fitting: Vec<_> = images.list()?.into_iter().filter(has_all).collect();
        fitting.sort_by_key(|image| image.packages.len());
        match fitting.first() {
            Some(image) => self.load(images, image).await,
            None => Err(none_has(required)),
        }
    }

    async fn load(&self, images: &Images, image: &Image) -> Result<Arc<Runtime>> {
        let mut loaded = self.loaded.lock().await;
        if let Some(runtime) = loaded.get(&image.digest) {
            return Ok(Arc::clone(runtime));
        }
        let runtime = Arc::new(self.base.beside(images.component(image)).await?);
        loaded.insert(image.digest.clone(), Arc::clone(&runtime));
        Ok(runtime)
    }
}

fn none_has(required: &[String]) -> Error {
    let flags: Vec<_> = required.iter().map(|wanted| format!("--requirement {wanted}")).collect();
    Error::unavailable(format!(
        "no runtime image has {}: `repertoire runtime build {} --name NAME` makes one",
        required.join(", "),
        flags.join(" ")
    ))
}
