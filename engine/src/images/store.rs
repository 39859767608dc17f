//! Where images lie.
//!
//! ```text
//! names/reports               the digest that the name stands for
//! <digest>/manifest.json      what is in it
//! <digest>/<sha256>.whl       its wheels, of which its memory can be made anew
//! ```
//!
//! A folder appears whole or not at all, and is never changed.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Image, Installed, Package, Wheel};
use crate::error::{Error, Result};
use crate::id::{ImageName, quoted, sha256_hex};

/// The number of the manifest's format.
const FORMAT: u32 = 1;

/// The fewest digits that a digest is named by.
const MIN_DIGEST: usize = 6;

/// How many images are named where a module was not found.
const SHOWN: usize = 3;

/// The images of a directory; none if there is no directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Images(Option<Arc<Directory>>);

#[derive(Debug)]
struct Directory {
    root: PathBuf,
    /// What was read of manifests, by digest: a run may ask for all, and none ever changes.
    known: Mutex<HashMap<String, Image>>,
}

impl Directory {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Image>> {
        // Every change leaves whole entries.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image with that digest, which is there; without its names.
    fn image(&self, digest: &str) -> Result<Image> {
        if let Some(image) = self.known().get(digest) {
            return Ok(image.clone());
        }
        let image = read(&self.root, digest)?;
        self.known().insert(digest.to_owned(), image.clone());
        Ok(image)
    }
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    requirements: Vec<String>,
    packages: Vec<StoredPackage>,
}

#[derive(Serialize, Deserialize)]
struct StoredPackage {
    name: String,
    version: String,
    file: String,
    sha256: String,
    modules: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("cannot read or write {}", path.display())).with_source(error)
}

impl Images {
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        let known = Mutex::default();
        Self(Some(Arc::new(Directory { root: directory.into(), known })))
    }

    fn root(&self) -> Result<&Path> {
        self.0.as_deref().map(|directory| directory.root.as_path()).ok_or_else(|| {
            Error::unavailable(
                "this engine keeps no runtime images: give its builder a directory with `images`",
            )
        })
    }

    /// All images, those with names first, by name.
    pub(crate) fn list(&self) -> Result<Vec<Image>> {
        let Some(directory) = &self.0 else { return Ok(Vec::new()) };
        let root = &directory.root;
        let mut digests = entries(root)?;
        digests.retain(|name| is_digest(name));
        // Of what is gone nothing is known any more.
        directory.known().retain(|digest, _| digests.contains(digest));
        let images = digests.iter().map(|digest| directory.image(digest));
        let mut images: Vec<_> = images.collect::<Result<_>>()?;
        for name in entries(&root.join("names"))? {
            let Ok(name) = ImageName::new(&name) else { continue };
            let digest = self.pointed(&name)?;
            if let Some(image) =
                images.iter_mut().find(|image| Some(&image.digest) == digest.as_ref())
            {
                image.names.push(name);
            }
        }
        for image in &mut images {
            image.names.sort();
        }
        images.sort_by_key(|image| {
            (image.names.is_empty(), image.names.first().cloned(), image.digest.clone())
        });
        Ok(images)
    }

    /// The image of that name. A run asks for it: no other image is looked at, and its other
    /// names are not told.
    pub(crate) fn find(&self, name: &ImageName) -> Result<Option<Image>> {
        match &self.0 {
            Some(_) => self.pointed(name)?.map_or(Ok(None), |digest| self.get(&digest)),
            None => Ok(None),
        }
    }

    /// The image with that digest, likewise.
    pub(crate) fn get(&self, digest: &str) -> Result<Option<Image>> {
        match &self.0 {
            Some(directory) if is_digest(digest) && directory.root.join(digest).exists() => {
                directory.image(digest).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The names of images that have a module.
    pub(crate) fn providing(&self, module: &str) -> Result<Vec<String>> {
        let images = self.list()?;
        let found = images.iter().filter(|image| image.has_module(module));
        let names = found.filter_map(|image| image.names.first());
        Ok(names.take(SHOWN).map(ToString::to_string).collect())
    }

    /// What a name stands for.
    fn pointed(&self, name: &ImageName) -> Result<Option<String>> {
        let path = self.root()?.join("names").join(name.as_str());
        match fs::read_to_string(&path) {
            Ok(digest) => Ok(Some(digest.trim().to_owned()).filter(|digest| is_digest(digest))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, error)),
        }
    }

    /// An image's wheels, byte for byte as they were.
    pub(crate) fn wheels(&self, image: &Image) -> Result<Vec<Vec<u8>>> {
        let folder = self.root()?.join(&image.digest);
        let read = |each: &Installed| {
            let path = folder.join(format!("{}.whl", each.sha256));
            let bytes = fs::read(&path).map_err(|error| unreadable(&path, error))?;
            if sha256_hex(&bytes) != each.sha256 {
                return Err(Error::unavailable(format!(
                    "{} is damaged: remove the runtime image and build it anew",
                    path.display()
                )));
            }
            Ok(bytes)
        };
        image.packages.iter().map(read).collect()
    }

    /// Keeps an image and its wheels, and makes a name stand for it.
    pub(crate) fn save(&self, image: &Image, name: &ImageName, wheels: &[Wheel]) -> Result<()> {
        let root = self.root()?;
        let write = || {
            let folder = root.join(&image.digest);
            if !folder.exists() {
                fs::create_dir_all(root)?;
                let new = tempfile::Builder::new().prefix(".new-").tempdir_in(root)?;
                for (wheel, installed) in wheels.iter().zip(&image.packages) {
                    write_synced(
                        &new.path().join(format!("{}.whl", installed.sha256)),
                        &wheel.bytes,
                    )?;
                }
                let manifest = serde_json::to_vec_pretty(&stored(image))?;
                write_synced(&new.path().join("manifest.json"), &manifest)?;
                match fs::rename(new.path(), &folder) {
                    // Somebody else has made the same one.
                    Err(_) if folder.exists() => {}
                    renamed => renamed?,
                }
            }
            let names = root.join("names");
            fs::create_dir_all(&names)?;
            let new = tempfile::NamedTempFile::with_prefix_in(".", &names)?;
            fs::write(new.path(), &image.digest)?;
            new.as_file().sync_all()?;
            new.persist(names.join(name.as_str()))?;
            io::Result::Ok(())
        };
        write().map_err(|error| unreadable(root, error))
    }

    /// The image that somebody means by a name, or by its digest's first digits.
    pub(crate) fn meant(&self, given: &str) -> Result<Image> {
        let mut images = self.list()?;
        images.retain(|image| {
            image.names.iter().any(|name| name.as_str() == given)
                || given.len() >= MIN_DIGEST && image.digest.starts_with(given)
        });
        let count = if images.is_empty() { "no" } else { "several" };
        match (images.pop(), images.is_empty()) {
            (Some(image), true) => Ok(image),
            _ => Err(Error::not_found(format!(
                "{} is the name or the digest of {count} runtime images; `repertoire runtime list` shows them",
                quoted(given)
            ))),
        }
    }

    /// Removes a name, or an image by its digest's first digits; returns the digest of the image
    /// that is gone with it.
    pub(crate) fn remove(&self, given: &str) -> Result<Option<String>> {
        let image = self.meant(given)?;
        let root = self.root()?;
        let is_name = image.names.iter().any(|name| name.as_str() == given);
        let remove = || {
            for name in image.names.iter().filter(|name| !is_name || name.as_str() == given) {
                fs::remove_file(root.join("names").join(name.as_str()))?;
            }
            if is_name && image.names.len() > 1 {
                return Ok(None);
            }
            fs::remove_dir_all(root.join(&image.digest))?;
            Ok(Some(image.digest.clone()))
        };
        remove().map_err(|error| unreadable(root, error))
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}

/// The names in a directory, which need not be there.
fn entries(directory: &Path) -> Result<Vec<String>> {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    match listed {
        Ok(entries) => Ok(entries
            .iter()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(directory, error)),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::File::open(path)?.sync_all()
}

fn read(root: &Path, digest: &str) -> Result<Image> {
    let path = root.join(digest).join("manifest.json");
    let text = fs::read(&path).map_err(|error| unreadable(&path, error))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        Error::unavailable(format!("{} is damaged: remove its folder", path.display()))
            .with_source(error)
    })?;
    if manifest.format > FORMAT {
        return Err(Error::unavailable(format!(
            "{} has format {}, and this version reads {FORMAT}: use a newer one",
            path.display(),
            manifest.format
        )));
    }
    let installed = |stored: StoredPackage| Installed {
        file: stored.file,
        sha256: stored.sha256,
        package: Package {
            name: stored.name,
            version: stored.version,
            modules: stored.modules,
            without: stored.without,
        },
    };
    Ok(Image {
        digest: digest.to_owned(),
        names: Vec::new(),
        requirements: manifest.requirements,
        packages: manifest.packages.into_iter().map(installed).collect(),
    })
}

fn stored(image: &Image) -> Manifest {
    let package = |each: &Installed| StoredPackage {
        name: each.package.name.clone(),
        version: each.package.version.clone(),
        file: each.file.clone(),
        sha256: each.sha256.clone(),
        modules: each.package.modules.clone(),
        without: each.package.without.clone(),
    };
    Manifest {
        format: FORMAT,
        requirements: image.requirements.clone(),
        packages: image.packages.iter().map(package).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(images: &Images, name: &str, file: &str) -> Image {
        let wheel = Wheel { file: file.to_owned(), bytes: file.as_bytes().to_vec() };
        let sha256 = sha256_hex(&wheel.bytes);
        let package = Package {
            name: file.to_owned(),
            version: "1.0".to_owned(),
            modules: vec![file.to_owned()],
            without: Vec::new(),
        };
        let name = ImageName::new(name).unwrap();
        let image = Image {
            digest: super::super::digest([sha256.as_str()]),
            names: vec![name.clone()],
            requirements: Vec::new(),
            packages: vec![Installed { file: file.to_owned(), sha256, package }],
        };
        images.save(&image, &name, &[wheel]).unwrap();
        image
    }

    #[test]
    fn a_manifest_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::new(dir.path());
        let (a, b) = (saved(&images, "a", "first"), saved(&images, "b", "second"));
        assert_eq!(images.list().unwrap(), [a.clone(), b.clone()]);
        for image in [&a, &b] {
            let manifest = dir.path().join(&image.digest).join("manifest.json");
            fs::write(manifest, "damaged").unwrap();
        }
        assert_eq!(images.list().unwrap(), [a.clone(), b.clone()]);
        assert_eq!(images.providing("second").unwrap(), ["b"]);
        assert!(Images::new(dir.path()).list().is_err(), "the control");

        // What another process does is seen all the same: names, and what is there.
        let other = dir.path().join("names/c");
        fs::write(&other, &a.digest).unwrap();
        assert_eq!(images.list().unwrap()[0].names.len(), 2);
        fs::remove_file(&other).unwrap();
        fs::remove_file(dir.path().join("names/b")).unwrap();
        fs::remove_dir_all(dir.path().join(&b.digest)).unwrap();
        assert_eq!(images.list().unwrap(), [a]);
        assert_eq!(images.get(&b.digest).unwrap(), None);
        assert_eq!(images.providing("second").unwrap(), Vec::<String>::new());
    }
}
