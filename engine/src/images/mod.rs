//! Runtime images: packages that runs find installed and imported.
//!
//! An image is known by the digest of its wheels; names point to it. Here is what images there
//! are and what is in them; a run's memory is made of one in the sandbox.

mod store;

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

use crate::id::{ImageName, sha256_hex};
use crate::workflow::Dependency;

pub(crate) use store::Images;

/// The most bytes that the wheels of an image may have.
pub const MAX_WHEELS: usize = 64 << 20;

/// How many images stay in memory, unless said otherwise. Each takes what its packages do, some
/// tens of MiB, and what its idle instances keep for the next run; the next
/// run on one that is gone loads it again from the cache.
pub const DEFAULT_IN_MEMORY: usize = 8;

/// A wheel: a package as Python's indexes have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wheel {
    /// What its file was called, for people.
    pub file: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// A runtime image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// SHA-256 over its wheels' digests, in lower-case hexadecimal.
    pub digest: String,
    /// What it is called; nothing if its names have come to mean others.
    pub names: Vec<ImageName>,
    /// What was asked for.
    pub requirements: Vec<String>,
    /// What it has.
    pub packages: Vec<Installed>,
}

/// A package of an image, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What its wheel's file was called.
    pub file: String,
    /// The SHA-256 of that, in lower-case hexadecimal.
    pub sha256: String,
    /// What is in it.
    pub package: Package,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `PyYAML`
    pub name: String,
    /// `6.0.3`
    pub version: String,
    /// What can be imported: the first parts of its modules' names.
    pub modules: Vec<String>,
    /// Files with native code that it had, and does without.
    pub without: Vec<String>,
}

impl Package {
    /// Whether it is one that is asked for.
    fn satisfies(&self, dependency: &Dependency) -> bool {
        let versions = dependency.versions.trim();
        normalised(&self.name) == dependency.name
            && (versions.is_empty()
                || Version::from_str(&self.version).is_ok_and(|version| {
                    VersionSpecifiers::from_str(versions).is_ok_and(|all| all.contains(&version))
                }))
    }
}

impl Image {
    /// The first of these that it has not.
    pub(crate) fn lacks<'a>(&self, wanted: &'a [Dependency]) -> Option<&'a Dependency> {
        wanted.iter().find(|each| !self.packages.iter().any(|p| p.package.satisfies(each)))
    }

    /// What a package of that name it has, whatever its version: `jinja2 3.1.6`.
    pub(crate) fn version_of(&self, name: &str) -> Option<String> {
        let found = self.packages.iter().find(|each| normalised(&each.package.name) == name)?;
        Some(format!("{} {}", found.package.name, found.package.version))
    }

    fn has_module(&self, module: &str) -> bool {
        self.packages.iter().any(|each| each.package.modules.iter().any(|name| name == module))
    }
}

/// The digest of an image of such wheels, whose digests these are.
pub(crate) fn digest<'a>(wheels: impl IntoIterator<Item = &'a str>) -> String {
    let mut wheels: Vec<_> = wheels.into_iter().collect();
    wheels.sort_unstable();
    sha256_hex(format!("repertoire image 1\n{}\n", wheels.join("\n")).as_bytes())
}

/// A package's name as others are compared with it (PEP 503).
fn normalised(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Package {
        let (name, version) = (name.to_owned(), version.to_owned());
        Package { name, version, modules: Vec::new(), without: Vec::new() }
    }

    #[test]
    fn versions_are_compared_as_python_does() {
        let yaml = package("Ruamel.YAML", "0.18.10");
        for (name, versions, fits) in [
            ("ruamel-yaml", "", true),
            ("ruamel-yaml", "==0.18.10", true),
            ("ruamel-yaml", ">=0.9", true),
            ("ruamel-yaml", ">=0.18, <0.18.9", false),
            ("ruamel-yaml", "~=0.17.0", false),
            ("ruamel-yaml", "==0.18.*", true),
            ("ruamel-yaml", "nonsense", false),
            ("yaml", "", false),
        ] {
            let wanted = Dependency { name: name.to_owned(), versions: versions.to_owned() };
            assert_eq!(yaml.satisfies(&wanted), fits, "{wanted}");
        }
    }

    #[test]
    fn an_image_is_its_wheels_in_any_order() {
        assert_eq!(digest(["a", "b"]), digest(["b", "a"]));
        assert_ne!(digest(["a", "b"]), digest(["a"]));
    }
}
