//! What was compiled of a component, kept from one process to the next.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};
use wasmtime::Engine;

use crate::error::{Error, Result};

/// Raised when the same component and wasmtime make other files than before.
const LAYOUT: u32 = 2;

/// The place of a component's code and image in the cache.
///
/// An entry's name says what it was compiled from (path, size and time of the
/// component) and for (wasmtime's version and settings, the processor); a
/// sidecar of each file holds its digest, and its size and time when that was
/// taken, so that a damaged one is noticed without reading 50 MB at each start.
pub(super) struct Entry {
    cache: PathBuf,
    /// What the names of all entries of this component's path begin with.
    family: String,
    code: PathBuf,
}

impl Entry {
    /// Where a component's files are, or will be.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the directory
    /// is not safe to use, or there is no such component.
    pub(super) fn new(engine: &Engine, component: &Path, cache: &Path) -> Result<Self> {
        prepare_cache(cache)?;
        let (family, name) = entry_name(engine, component)?;
        Ok(Self { cache: cache.to_owned(), family, code: cache.join(name) })
    }

    /// Machine code, as wasmtime keeps it.
    pub(super) fn code(&self) -> &Path {
        &self.code
    }

    /// What a memory begins with.
    pub(super) fn image(&self) -> PathBuf {
        self.code.with_extension("image")
    }

    /// What a memory begins with that has packages: a runtime image of this component.
    pub(super) fn runtime_image(&self, component: &str, image: &str) -> PathBuf {
        let short = |digest: &str, length| digest.get(..length).unwrap_or(digest).to_owned();
        let (component, image) = (short(component, 16), short(image, 32));
        self.cache.join(format!("{}-{component}-{image}.image", self.family))
    }

    /// Keeps such an image.
    pub(super) fn keep_runtime_image(&self, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
        write(&self.cache, file, bytes)
    }

    /// Whether both are there, byte for byte as they were written.
    pub(super) fn is_intact(&self) -> bool {
        is_intact(&self.code) && is_intact(&self.image())
    }

    /// The digest of the component that the entry was made from: reading 35 MB at
    /// each start would cost more than the rest of it.
    pub(super) fn component_digest(&self) -> Option<String> {
        let digest = fs::read_to_string(self.code.with_extension("component")).ok()?;
        (digest.len() == 64).then_some(digest)
    }

    /// Keeps code, and the digest of the component that it was made from. What was
    /// made from earlier states of the component is removed.
    pub(super) fn keep_code(&self, bytes: &[u8], digest: &str) -> std::io::Result<()> {
        remove_family(&self.cache, &self.family);
        write(&self.cache, &self.code, bytes)?;
        write_atomically(&self.cache, &self.code.with_extension("component"), digest.as_bytes())
    }

    /// Keeps what memories begin with.
    pub(super) fn keep_image(&self, bytes: &[u8]) -> std::io::Result<()> {
        write(&self.cache, &self.image(), bytes)
    }
}

/// What a component is compiled by and for.
pub(super) fn compiled_for(engine: &Engine) -> String {
    let mut key = Digester(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut key);
    hex(&key.0.finalize(), 8)
}

/// The digest by which a component is known.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes), 32)
}

/// Creates the directory for this user alone, or checks that it is.
fn prepare_cache(cache: &Path) -> Result<()> {
    let refuse = |problem: &str| {
        Error::unavailable(format!(
            "the cache directory {} {problem}; it holds machine code that is run unchecked: \
             name another with --cache or the setting runtime.cache",
            cache.display()
        ))
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(cache)
            .map_err(|error| refuse("cannot be created").with_source(error))?;
        let metadata =
            fs::metadata(cache).map_err(|error| refuse("cannot be read").with_source(error))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(refuse("belongs to somebody else"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(refuse("can be written to by others"));
        }
    }
    #[cfg(not(unix))]
    fs::create_dir_all(cache).map_err(|error| refuse("cannot be created").with_source(error))?;
    Ok(())
}

/// What all entries of a component's path begin with, and the name of the one that fits.
fn entry_name(engine: &Engine, path: &Path) -> Result<(String, String)> {
    let unreadable = |error| {
        Error::unavailable(format!(
            "the Python component {} cannot be read; build it with `make setup`, or name another \
             with --component or the setting runtime.component",
            path.display()
        ))
        .with_source(error)
    };
    let canonical = fs::canonicalize(path).map_err(unreadable)?;
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let family = hex(&Sha256::digest(canonical.as_os_str().as_encoded_bytes()), 8);
    let mut key = Digester(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut key);
    LAYOUT.hash(&mut key);
    metadata.len().hash(&mut key);
    modified_nanos(&metadata).hash(&mut key);
    let name = format!("{family}-{}.cwasm", hex(&key.0.finalize(), 16));
    Ok((family, name))
}

/// Feeds a `Hash` into SHA-256: the standard hasher has 64 bits and may change.
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}

fn modified_nanos(metadata: &fs::Metadata) -> u128 {
    metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos())
}

/// Of `x.cwasm` it is `x.sum`, of `x.image` `x.image.sum`.
fn sidecar(file: &Path) -> PathBuf {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("cwasm") => file.with_extension("sum"),
        extension => file.with_extension(format!("{}.sum", extension.unwrap_or_default())),
    }
}

/// Size, time and digest of a file: what its sidecar says.
fn summary(entry: &Path, digest: &str) -> std::io::Result<String> {
    let metadata = fs::metadata(entry)?;
    Ok(format!("{} {} {digest}", metadata.len(), modified_nanos(&metadata)))
}

/// Whether a file is what was written: by size and time if those are
/// unchanged, else by its digest.
pub(super) fn is_intact(entry: &Path) -> bool {
    let Ok(expected) = fs::read_to_string(sidecar(entry)) else { return false };
    let Some(digest) = expected.rsplit(' ').next() else { return false };
    if summary(entry, digest).is_ok_and(|now| now == expected) {
        return true;
    }
    // Copied or touched, or damaged.
    fs::read(entry).is_ok_and(|bytes| hex(&Sha256::digest(bytes), 32) == digest)
}

fn write_atomically(cache: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = cache.join(format!(".{name}.{}.tmp", std::process::id()));
    let mut written = File::create(&temporary)?;
    written.write_all(bytes)?;
    written.sync_all()?;
    fs::rename(&temporary, file)
}

/// Writes a file and its sidecar.
fn write(cache: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_atomically(cache, file, bytes)?;
    let summary = summary(file, &digest(bytes))?;
    write_atomically(cache, &sidecar(file), summary.as_bytes())
}

/// Removes what was compiled from earlier states of a component.
fn remove_family(cache: &Path, family: &str) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(family) {
            // Another process may have been quicker; what stays is only disk space.
            let _ = fs::remove_file(entry.path());
        }
    }
}
