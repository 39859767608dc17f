//! Runtime images: the component with packages in it, each in a directory named by its digest.
//!
//! ```text
//! <digest>/component.wasm  as `python-wasm/image.py` makes it
//! <digest>/image.json      what is in it; with it, the image exists
//! names/<name>             the digest that the name stands for
//! ```

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Code, Error, Result};
use crate::id::{TenantId, quoted};

/// The newest `image.json` that is understood.
const FORMAT: u32 = 1;

/// What is in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Of everything that went in.
    pub digest: String,
    /// What it is called, by name; none if nobody called it anything.
    pub names: Vec<String>,
    /// What it has beside the standard library.
    pub packages: Vec<Package>,
    /// What can be imported for it: the names of modules.
    pub modules: Vec<String>,
    /// Bytes of the component.
    pub bytes: u64,
}

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// In lower case: `pyyaml`.
    pub name: String,
    /// `6.0.3`
    pub version: String,
    /// Compiled files that were left out; it does without.
    #[serde(default)]
    pub left_out: Vec<String>,
}

#[derive(Deserialize)]
struct Described {
    format: u32,
    digest: String,
    packages: Vec<Package>,
    modules: Vec<String>,
    #[serde(default)]
    bytes: u64,
}

impl Image {
    /// Whether it has a package, `name` or `name==version`.
    pub(crate) fn has(&self, requirement: &str) -> bool {
        let (name, version) = requirement.split_once("==").unwrap_or((requirement, ""));
        let name = normal(name);
        self.packages.iter().any(|package| {
            normal(&package.name) == name && (version.is_empty() || package.version == version)
        })
    }

    fn called(&self) -> &str {
        self.names.first().map_or(&self.digest, String::as_str)
    }
}

/// A package's name as PEP 503 compares it.
fn normal(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.trim().chars() {
        match c {
            '-' | '_' | '.' if text.ends_with('-') => {}
            '-' | '_' | '.' => text.push('-'),
            c => text.push(c.to_ascii_lowercase()),
        }
    }
    text
}

/// A directory of images.
#[derive(Debug, Clone)]
pub struct Images {
    dir: PathBuf,
}

impl Images {
    /// The images in that directory, which need not exist.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where they lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All images; those with names first, by name.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the directory cannot be read,
    /// or has an image of a newer version of this program.
    pub fn list(&self) -> Result<Vec<Image>> {
        let names = self.names()?;
        let mut images = Vec::new();
        for entry in self.entries(&self.dir)? {
            let path = entry.join("image.json");
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => return Err(unreadable(&path, error)),
            };
            let found: Described =
                serde_json::from_str(&text).map_err(|error| unreadable(&path, error))?;
            if found.format > FORMAT {
                return Err(Error::unavailable(format!(
                    "{} was made by a newer version of repertoire: use that one, or remove the image",
                    path.display()
                )));
            }
            let of = names.iter().filter(|(_, digest)| *digest == found.digest);
            images.push(Image {
                names: of.map(|(name, _)| name.clone()).collect(),
                digest: found.digest,
                packages: found.packages,
                modules: found.modules,
                bytes: found.bytes,
            });
        }
        images.sort_by(|a, b| {
            let key = |image: &Image| (image.names.is_empty(), image.called().to_owned());
            key(a).cmp(&key(b))
        });
        Ok(images)
    }

    /// The image of that name, or digest.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound), naming those there are.
    pub fn find(&self, name: &str) -> Result<Image> {
        let images = self.list()?;
        let known: Vec<_> = images.iter().map(|image| image.called().to_owned()).collect();
        let is_it = |image: &Image| image.digest == name || image.names.iter().any(|n| n == name);
        images.into_iter().find(is_it).ok_or_else(|| {
            let there = if known.is_empty() {
                "there are none; `repertoire runtime build` makes one".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            Error::not_found(format!("there is no runtime image {}: {there}", quoted(name)))
        })
    }

    /// Calls an image so; whatever had the name before has it no more.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that cannot be a name.
    pub fn call(&self, name: &str, digest: &str) -> Result<()> {
        let path = self.dir.join("names").join(checked(name)?);
        let write = || -> std::io::Result<()> {
            let dir = self.dir.join("names");
            std::fs::create_dir_all(&dir)?;
            let beside = dir.join(format!(".{name}.{}", std::process::id()));
            let mut file = std::fs::File::create(&beside)?;
            file.write_all(digest.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        };
        write().map_err(|error| unreadable(&path, error))
    }

    /// Takes a name away, and removes the image if it has no other; false if there is none of that name.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let image = match self.find(name) {
            Ok(image) => image,
            Err(error) if error.code() == Code::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if image.names.iter().any(|known| known == name) {
            let path = self.dir.join("names").join(name);
            std::fs::remove_file(&path).map_err(|error| unreadable(&path, error))?;
            if image.names.len() > 1 {
                return Ok(true);
            }
        }
        let dir = self.dir.join(&image.digest);
        // The description first: without it the image is gone.
        for part in [dir.join("image.json"), dir.join("component.wasm")] {
            std::fs::remove_file(&part).map_err(|error| unreadable(&part, error))?;
        }
        std::fs::remove_dir(&dir).map_err(|error| unreadable(&dir, error))?;
        Ok(true)
    }

    /// The images that have a module: a hint for a message, so none if they cannot be read.
    pub(crate) fn which(&self, module: &str) -> Vec<String> {
        let images = self.list().unwrap_or_default();
        let has = images.iter().filter(|image| image.modules.iter().any(|known| known == module));
        has.map(|image| image.called().to_owned()).collect()
    }

    pub(crate) fn component(&self, image: &Image) -> PathBuf {
        self.dir.join(&image.digest).join("component.wasm")
    }

    /// Names and the digests that they stand for.
    fn names(&self) -> Result<Vec<(String, String)>> {
        let mut names = Vec::new();
        for path in self.entries(&self.dir.join("names"))? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if checked(name).is_ok() {
                let digest = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
                names.push((name.to_owned(), digest.trim().to_owned()));
            }
        }
        names.sort();
        Ok(names)
    }

    fn entries(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(dir, error)),
        };
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }
}

/// A name that is a file's name, too.
fn checked(name: &str) -> Result<&str> {
    TenantId::new(name).map(|_| name).map_err(|_| {
        Error::invalid_argument(format!(
            "{} is not an image's name: use 1 to 64 of a-z, 0-9, '-' and '_'",
            quoted(name)
        ))
    })
}

fn unreadable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable(format!(
        "the runtime image {} cannot be read or written: remove it, and build it again",
        path.display()
    ))
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(images: &Images, digest: &str, packages: &str) {
        let dir = images.dir().join(digest);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("component.wasm"), "").unwrap();
        let text = format!(
            r#"{{"format": 1, "digest": "{digest}", "packages": [{packages}], "modules": ["m_{digest}"]}}"#
        );
        std::fs::write(dir.join("image.json"), text).unwrap();
    }

    #[test]
    fn images_are_listed_named_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::new(dir.path().join("not yet"));
        assert!(images.list().unwrap().is_empty());
        put(&images, "aa", r#"{"name": "pyyaml", "version": "6.0.3"}"#);
        put(&images, "bb", r#"{"name": "Jinja2", "version": "3.1.6"}"#);
        images.call("reports", "bb").unwrap();
        images.call("again", "bb").unwrap();
        assert!(images.call("../x", "bb").is_err());
        let listed = images.list().unwrap();
        assert_eq!(listed.iter().map(Image::called).collect::<Vec<_>>(), ["again", "aa"]);
        let found = images.find("reports").unwrap();
        assert!(found.has("jinja2") && found.has("JINJA2==3.1.6") && !found.has("jinja2==3"));
        assert!(images.find("aa").unwrap().has("Py.YAML".replace('.', "").as_str()));
        assert!(images.find("x").unwrap_err().message().contains("again"));
        assert!(images.remove("reports").unwrap());
        assert_eq!(images.find("bb").unwrap().names, ["again"]);
        assert!(images.remove("again").unwrap());
        assert!(!images.remove("again").unwrap());
        assert_eq!(images.list().unwrap().len(), 1);
    }

    #[test]
    fn names_compare_as_indexes_compare_them() {
        assert_eq!(normal("Zope._-Interface"), "zope-interface");
    }
}
