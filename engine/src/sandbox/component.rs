//! The Python component: compiled ahead of time, once a machine, and loaded from then on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use repertoire_host_bindings::{Workflow, WorkflowPre, guest};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::images::Package;
use crate::recording::RuntimeIdentity;
use crate::sandbox::Instance;
use crate::sandbox::cache::{self, Entry};
use crate::sandbox::engine::{self, DEFAULT_MAX_INSTANCES, FUEL_SLICE};
use crate::sandbox::memory::{Image, Memories};
use crate::sandbox::room::Room;
use crate::sandbox::snapshot;
use crate::sandbox::standby::{self, DEFAULT_STANDBY, Factory};
use crate::sandbox::state::HostState;
use crate::sandbox::trap::host_bug;
use crate::sandbox::wasi;

/// Bytes that one host call may make the host allocate for its arguments.
/// The default of wasmtime is 128 MiB; an artifact is 16 MiB at most.
pub(super) const HOST_CALL_BYTES: usize = 20 << 20;

/// Component-model handles that an instance may hold.
const MAX_HANDLES: usize = 1024;

/// Instances of a runtime image that stand by, at most: there may be many images.
const IMAGE_STANDBY: u32 = 2;

/// The longest list of files or modules that is kept of a package, and the longest name in it.
const MAX_LIST: usize = 1_000;
const MAX_WORD: usize = 300;

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
    program: Program,
    path: PathBuf,
    entry: Option<Entry>,
    standby: u32,
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
        let (compiler, path) = (engine::compiler()?, &options.component);
        let entry = match &options.cache {
            Some(cache) => Some(Entry::new(&compiler, path, cache)?),
            None => None,
        };
        let kept = entry.as_ref().filter(|entry| entry.is_intact()).and_then(|entry| {
            let linked =
                Program::kept(entry, path).and_then(|program| Ok((program.link(path)?, program)));
            linked
                .inspect_err(|error| {
                    tracing::warn!(
                        entry = %entry.code().display(), error = error.chain(),
                        "compiled component does not fit; compiling it anew"
                    );
                })
                .ok()
        });
        let ((engine, instances), program) = match kept {
            Some(linked) => linked,
            None => {
                let program = Program::compile(&compiler, path, entry.as_ref())?;
                (program.link(path)?, program)
            }
        };
        let identity = RuntimeIdentity {
            component: program.digest.clone(),
            compiled: cache::compiled_for(&compiler),
            image: None,
        };
        let most = options.max_instances.saturating_add(standby::spare(options.standby));
        let factory = Factory::new(engine, instances, options.standby, Room::new(most))?;
        Ok(Self {
            factory: Arc::new(factory),
            max_instances: options.max_instances,
            identity,
            program,
            path: path.clone(),
            entry,
            standby: options.standby,
        })
    }

    /// The same code over a memory in which packages are installed and imported: the runtime of
    /// the image with that digest. The cache may have the memory; if not, `wheels` are asked for.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare), and those of `wheels`.
    pub(crate) fn with_packages(
        &self,
        digest: &str,
        wheels: impl FnOnce() -> Result<Vec<Vec<u8>>>,
    ) -> Result<Self> {
        let kept = self.kept_image(digest).filter(|file| cache::is_intact(file));
        let image = match kept.and_then(|file| Image::open(&file).ok()) {
            Some(image) => image,
            None => self.install(digest, &wheels()?)?.0,
        };
        let program = Program {
            code: self.program.code.clone(),
            image: Arc::new(image),
            digest: self.program.digest.clone(),
        };
        let (engine, instances) = program.link(&self.path)?;
        let standby = self.standby.min(IMAGE_STANDBY);
        let factory = Factory::new(engine, instances, standby, self.factory.room(standby))?;
        let identity = RuntimeIdentity { image: Some(digest.to_owned()), ..self.identity.clone() };
        Ok(Self {
            factory: Arc::new(factory),
            max_instances: self.max_instances,
            identity,
            program,
            path: self.path.clone(),
            entry: None,
            standby,
        })
    }

    /// Makes the memory of an image, keeps it if there is a cache, and says what the packages are.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if they cannot be an image;
    /// the code of a limit that importing them runs into.
    pub(crate) fn prepare(&self, digest: &str, wheels: &[Vec<u8>]) -> Result<Vec<Package>> {
        self.install(digest, wheels).map(|(_, packages)| packages)
    }

    fn install(&self, digest: &str, wheels: &[Vec<u8>]) -> Result<(Image, Vec<Package>)> {
        let (memories, recorded) = Memories::recording(Arc::clone(&self.program.image));
        let (engine, instances) = self.program.code.link(memories, &self.path)?;
        let work = standby::install(&engine, &instances, wheels);
        let packages = tokio::runtime::Handle::current().block_on(work)?;
        let packages = packages.into_iter().map(read_package).collect();
        let memory = recorded.take();
        let file = self.entry.as_ref().zip(self.kept_image(digest));
        let image = match file
            .filter(|(entry, file)| kept(entry.keep_runtime_image(file, &memory), file))
        {
            Some((_, file)) => Image::open(&file),
            None => Image::new(&memory),
        };
        Ok((image.map_err(unusable)?, packages))
    }

    /// Where the cache keeps the memory of an image.
    pub(crate) fn kept_image(&self, digest: &str) -> Option<PathBuf> {
        Some(self.entry.as_ref()?.runtime_image(&self.program.digest, digest))
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

/// What the guest says of a package, which ran there.
fn read_package(package: guest::Package) -> Package {
    let word = |text: String| text.chars().filter(|c| !c.is_control()).take(MAX_WORD).collect();
    let list = |texts: Vec<String>| texts.into_iter().take(MAX_LIST).map(word).collect();
    Package {
        name: word(package.name),
        version: word(package.version),
        modules: list(package.modules),
        without: list(package.without),
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

/// A component as it is run: its code, and what its memories begin with.
struct Program {
    code: Compiled,
    image: Arc<Image>,
    digest: String,
}

/// Machine code, as wasmtime keeps it.
#[derive(Clone)]
enum Compiled {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

/// What instances are made of.
type Linked = (engine::Sandbox, WorkflowPre<HostState>);

impl Program {
    /// As the cache has it.
    fn kept(entry: &Entry, path: &Path) -> Result<Self> {
        let digest = match entry.component_digest() {
            Some(digest) => digest,
            None => cache::digest(&read(path)?),
        };
        let image = Arc::new(Image::open(&entry.image()).map_err(unusable)?);
        Ok(Self { code: Compiled::File(entry.code().to_owned()), image, digest })
    }

    /// Compiles it, and keeps it in the cache.
    fn compile(compiler: &Engine, path: &Path, entry: Option<&Entry>) -> Result<Self> {
        let watch = Stopwatch::start();
        tracing::info!(component = %path.display(), "compiling the Python component; this is done once");
        let bytes = read(path)?;
        let digest = cache::digest(&bytes);
        let parts = snapshot::split(&bytes).map_err(|error| not_a_component(path, &error))?;
        let compiled = compiler
            .precompile_component(&parts.code)
            .map_err(|error| not_a_component(path, &error))?;
        tracing::info!(seconds = watch.elapsed().as_secs_f64(), "compiled the Python component");
        let entry = entry.filter(|entry| kept(entry.keep_code(&compiled, &digest), entry.code()));
        let code = match entry {
            Some(entry) => Compiled::File(entry.code().to_owned()),
            None => Compiled::Bytes(compiled.into()),
        };
        if parts.image.is_empty() {
            return Err(not_a_component(path, &wasmtime::Error::msg("it has no memory")));
        }
        let image = Arc::new(Image::new(&parts.image).map_err(unusable)?);
        let cold = Self { code, image, digest };
        cold.warm_up(path, entry)
    }

    /// Replaces what memories begin with by what they hold after the guest's `warm-up`.
    fn warm_up(self, path: &Path, entry: Option<&Entry>) -> Result<Self> {
        let Self { code, image, digest } = self;
        let (memories, recorded) = Memories::recording(image);
        let (engine, instances) = code.link(memories, path)?;
        tokio::runtime::Handle::current().block_on(standby::warm_up(&engine, &instances))?;
        let warm = recorded.take();
        let image = match entry.filter(|entry| kept(entry.keep_image(&warm), &entry.image())) {
            Some(entry) => Image::open(&entry.image()),
            None => Image::new(&warm),
        };
        Ok(Self { code, image: Arc::new(image.map_err(unusable)?), digest })
    }

    fn link(&self, path: &Path) -> Result<Linked> {
        self.code.link(Memories::new(Arc::clone(&self.image)), path)
    }
}

fn unusable(error: io::Error) -> Error {
    Error::unavailable("a sandbox's memory cannot be made").with_source(error)
}

/// Whether something was kept; that it was not costs the next start time, and no more.
fn kept(result: io::Result<()>, file: &Path) -> bool {
    if let Err(error) = &result {
        tracing::warn!(
            file = %file.display(), %error,
            "the compiled component cannot be kept; the next start compiles it again"
        );
    }
    result.is_ok()
}

impl Compiled {
    fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        match self {
            // SAFETY: the directory belongs to this user and nobody else can write to
            // it, and the file is byte for byte what this program wrote (`Entry`);
            // wasmtime checks version and settings.
            Self::File(path) => unsafe { Component::deserialize_file(engine, path) },
            // SAFETY: these bytes are what this process has compiled.
            Self::Bytes(bytes) => unsafe { Component::deserialize(engine, bytes) },
        }
    }

    /// The program over such memories, linked with the host.
    fn link(&self, memories: Memories, path: &Path) -> Result<Linked> {
        let sandbox = engine::new(memories)?;
        let engine = &sandbox.engine;
        let component = self.load(engine).map_err(|error| host_bug(&error))?;
        let mut linker = Linker::<HostState>::new(engine);
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
            .map_err(|error| not_a_component(path, &error))?;
        Ok((sandbox, instances))
    }
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
