//! The Python component: compiled ahead of time, once a machine, and loaded from then on.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use repertoire_host_bindings::{Workflow, WorkflowPre};
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::recording::RuntimeIdentity;
use crate::sandbox::Instance;
use crate::sandbox::engine::{self, DEFAULT_MAX_INSTANCES, FUEL_SLICE};
use crate::sandbox::standby::{DEFAULT_STANDBY, Factory};
use crate::sandbox::state::HostState;
use crate::sandbox::trap::host_bug;
use crate::sandbox::wasi;

/// Bytes that one host call may make the host allocate for its arguments.
/// The default of wasmtime is 128 MiB; an artifact is 16 MiB at most.
pub(super) const HOST_CALL_BYTES: usize = 20 << 20;

/// Component-model handles that an instance may hold.
const MAX_HANDLES: usize = 1024;

/// Where the runtime comes from.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// The Python component, as `python-wasm/build.py` makes it.
    pub component: PathBuf,
    /// Where compiled components are kept; `None` compiles anew each time.
    pub cache: Option<PathBuf>,
    /// Instances that may live at the same time.
    pub max_instances: u32,
    /// Instances that are made before anybody asks for one, and replaced when
    /// they are taken; none if 0. The pool has room for them on top of
    /// `max_instances`.
    pub standby: u32,
}

impl RuntimeOptions {
    /// A component, without a cache and with the default number of instances.
    pub fn new(component: impl Into<PathBuf>) -> Self {
        Self {
            component: component.into(),
            cache: None,
            max_instances: DEFAULT_MAX_INSTANCES,
            standby: DEFAULT_STANDBY,
        }
    }

    /// Keeps compiled components in this directory. It holds machine code that
    /// is run without a further check, so it has to belong to the user who
    /// runs the engine and be writable by nobody else.
    #[must_use]
    pub fn cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }
}

/// The compiled Python component, ready to be instantiated. Shared by all
/// engines and tenants of a process.
pub struct Runtime {
    factory: Arc<Factory>,
    max_instances: u32,
    identity: RuntimeIdentity,
}

impl Runtime {
    /// Loads the component; compiles it first if the cache has it not. That
    /// takes some ten to thirty seconds of all cores.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the component
    /// is missing or not one of ours, or the cache directory is not safe to use.
    pub async fn load(options: RuntimeOptions) -> Result<Self> {
        let runtime =
            tokio::task::spawn_blocking(move || Self::load_blocking(&options)).await.map_err(
                |error| Error::internal("loading the component panicked").with_source(error),
            )??;
        runtime.factory.fill();
        Ok(runtime)
    }

    fn load_blocking(options: &RuntimeOptions) -> Result<Self> {
        // One stands by, another is taken apart.
        let spare = options.standby.saturating_mul(2);
        let engine = engine::new(options.max_instances.saturating_add(spare))?;
        let (component, digest) = match &options.cache {
            Some(cache) => load_cached(&engine, &options.component, cache)?,
            None => {
                let bytes = read(&options.component)?;
                let component = Component::from_binary(&engine, &bytes)
                    .map_err(|error| not_a_component(&options.component, &error))?;
                (component, hex(&Sha256::digest(&bytes), 32))
            }
        };
        let mut linker = Linker::<HostState>::new(&engine);
        // CPython imports all of WASI 0.2 but HTTP, sockets and files included;
        // what a guest may do with it is decided in `wasi.rs`: nothing is opened
        // before it starts, and every address is refused.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(|error| host_bug(&error))?;
        wasi::add_to_linker(&mut linker).map_err(|error| host_bug(&error))?;
        Workflow::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)
            .map_err(|error| host_bug(&error))?;
        let instances = linker
            .instantiate_pre(&component)
            .and_then(WorkflowPre::new)
            .map_err(|error| not_a_component(&options.component, &error))?;
        let identity = RuntimeIdentity { component: digest, compiled: compiled_for(&engine) };
        let factory = Arc::new(Factory::new(engine, instances, options.standby)?);
        Ok(Self { factory, max_instances: options.max_instances, identity })
    }

    /// What decides how a guest runs, apart from what it is given.
    #[must_use]
    pub const fn identity(&self) -> &RuntimeIdentity {
        &self.identity
    }

    /// Instances that may live at the same time.
    #[must_use]
    pub const fn max_instances(&self) -> u32 {
        self.max_instances
    }

    /// How many instances stand by at this moment.
    #[must_use]
    pub fn standing_by(&self) -> usize {
        self.factory.standing_by()
    }

    /// Linear memory of an instance that nobody has used; 0 before there was one.
    pub(super) fn footprint(&self) -> u64 {
        self.factory.footprint()
    }

    /// An instance that nobody has used.
    pub(super) async fn take(&self) -> Result<Instance> {
        self.factory.take().await
    }

    /// Takes an instance apart whose run is over.
    pub(crate) fn retire(&self, instance: Instance) {
        self.factory.retire(instance);
    }
}

pub(super) fn new_store(engine: &Engine, state: HostState) -> Result<Store<HostState>> {
    let fuel = state.gauge.allowance();
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(HOST_CALL_BYTES);
    store.set_max_component_handles(MAX_HANDLES);
    store
        .set_fuel(fuel)
        .and_then(|()| store.fuel_async_yield_interval(Some(FUEL_SLICE)))
        .map_err(|error| host_bug(&error))?;
    Ok(store)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        Error::unavailable(format!(
            "the Python component {} cannot be read; build it with `make setup`, or name another \
             with --component or the setting runtime.component",
            path.display()
        ))
        .with_source(error)
    })
}

fn not_a_component(path: &Path, error: &wasmtime::Error) -> Error {
    Error::unavailable(format!(
        "{} is not a Python component of this version; build it with `make setup` ({error:#})",
        path.display()
    ))
}

/// Loads the compiled component from the cache, or compiles and keeps it.
///
/// An entry's name says what it was compiled from (path, size and time of the
/// component) and for (wasmtime's version and settings, the processor); a
/// sidecar holds its digest, and its size and time when that was taken, so
/// that a damaged entry is noticed without reading 100 MB at each start.
fn load_cached(engine: &Engine, path: &Path, cache: &Path) -> Result<(Component, String)> {
    prepare_cache(cache)?;
    let (family, name) = entry_name(engine, path)?;
    let entry = cache.join(&name);
    if is_intact(&entry) {
        // SAFETY: the directory belongs to this user and nobody else can write
        // to it (`prepare_cache`), and the entry is byte for byte what this
        // engine wrote (`is_intact`); wasmtime checks version and settings.
        match unsafe { Component::deserialize_file(engine, &entry) } {
            Ok(component) => return Ok((component, component_digest(path, &entry)?)),
            Err(error) => tracing::warn!(
                entry = %entry.display(), error = format!("{error:#}"),
                "compiled component does not fit; compiling it anew"
            ),
        }
    }
    let watch = Stopwatch::start();
    tracing::info!(component = %path.display(), "compiling the Python component; this is done once");
    let bytes = read(path)?;
    let digest = hex(&Sha256::digest(&bytes), 32);
    let compiled =
        engine.precompile_component(&bytes).map_err(|error| not_a_component(path, &error))?;
    tracing::info!(seconds = watch.elapsed().as_secs_f64(), "compiled the Python component");
    remove_family(cache, &family);
    let kept = write_entry(cache, &entry, &compiled);
    if let Err(error) = kept {
        tracing::warn!(
            cache = %cache.display(), error = %error,
            "the compiled component cannot be kept; the next start compiles it again"
        );
        // SAFETY: these bytes are what this engine has just compiled.
        return unsafe { Component::deserialize(engine, &compiled) }
            .map(|component| (component, digest))
            .map_err(|error| host_bug(&error));
    }
    keep_digest(&entry, &digest);
    // SAFETY: as above; the entry was written just now.
    unsafe { Component::deserialize_file(engine, &entry) }
        .map(|component| (component, digest))
        .map_err(|error| host_bug(&error))
}

/// What a component is compiled by and for.
fn compiled_for(engine: &Engine) -> String {
    let mut key = Digester(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut key);
    hex(&key.0.finalize(), 8)
}

/// The digest of the component that an entry was compiled from, which is kept
/// beside it: reading 35 MB at each start would cost more than the rest of it.
fn component_digest(path: &Path, entry: &Path) -> Result<String> {
    if let Ok(digest) = fs::read_to_string(entry.with_extension("component"))
        && digest.len() == 64
    {
        return Ok(digest);
    }
    let digest = hex(&Sha256::digest(read(path)?), 32);
    keep_digest(entry, &digest);
    Ok(digest)
}

fn keep_digest(entry: &Path, digest: &str) {
    let temporary = entry.with_extension(format!("component.{}.tmp", std::process::id()));
    // Without it the next start computes it again.
    let _ = fs::write(&temporary, digest)
        .and_then(|()| fs::rename(&temporary, entry.with_extension("component")));
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

fn sidecar(entry: &Path) -> PathBuf {
    entry.with_extension("sum")
}

/// Size, time and digest of an entry: what its sidecar says.
fn summary(entry: &Path, digest: &str) -> std::io::Result<String> {
    let metadata = fs::metadata(entry)?;
    Ok(format!("{} {} {digest}", metadata.len(), modified_nanos(&metadata)))
}

/// Whether an entry is what was written: by size and time if those are
/// unchanged, else by its digest.
fn is_intact(entry: &Path) -> bool {
    let Ok(expected) = fs::read_to_string(sidecar(entry)) else { return false };
    let Some(digest) = expected.rsplit(' ').next() else { return false };
    if summary(entry, digest).is_ok_and(|now| now == expected) {
        return true;
    }
    // Copied or touched, or damaged.
    fs::read(entry).is_ok_and(|bytes| hex(&Sha256::digest(bytes), 32) == digest)
}

fn write_entry(cache: &Path, entry: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = cache.join(format!(".{}.tmp", std::process::id()));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, entry)?;
    let summary = summary(entry, &hex(&Sha256::digest(bytes), 32))?;
    fs::write(&temporary, summary)?;
    fs::rename(&temporary, sidecar(entry))
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
