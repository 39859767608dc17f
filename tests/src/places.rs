//! Where things lie, and engines that use them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use repertoire::tools::Registry;
use repertoire::{Code, Engine, EngineBuilder, Limits, Result, Runtime, RuntimeOptions, Tenant};
use tokio::sync::OnceCell;

use crate::fixture::{Fixture, Seen};

/// More than any test has alive at once: a run of 200 needs 1,072, because a
/// quarter of the instances are for root runs, and three quarters of these for one tenant.
const MAX_INSTANCES: u32 = 1280;

/// The root of the checkout.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the crate lies in the repository")
}

/// What `make setup` makes.
#[must_use]
pub fn build_dir() -> PathBuf {
    repository().join("build")
}

/// The Python component.
#[must_use]
pub fn component() -> PathBuf {
    let path = std::env::var_os("REPERTOIRE_COMPONENT")
        .map_or_else(|| build_dir().join("python.wasm"), PathBuf::from);
    assert!(
        path.exists(),
        "there is no Python component at {}: run `make setup`, or say where it is in REPERTOIRE_COMPONENT",
        path.display()
    );
    path
}

/// Where cargo puts what it builds: the binary that runs this lies in `deps` below it.
fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the running program has a path");
    let deps = exe.parent().expect("a program lies in a directory");
    deps.parent().expect("cargo builds tests into target/<profile>/deps").to_owned()
}

/// The compiled component is kept here, so that only a checkout's first run compiles it.
#[must_use]
pub fn cache_dir() -> PathBuf {
    build_dir().join("tests-cache")
}

/// The command, which `cargo test --workspace` builds beside the tests.
#[must_use]
pub fn cli() -> PathBuf {
    let path = profile_dir().join("repertoire");
    assert!(path.exists(), "{} is not built: run `cargo build --workspace`", path.display());
    path
}

/// The runtime that all tests of this process share.
pub async fn runtime() -> Arc<Runtime> {
    static RUNTIME: OnceCell<Arc<Runtime>> = OnceCell::const_new();
    let load = || async {
        let options = RuntimeOptions {
            max_instances: MAX_INSTANCES,
            ..RuntimeOptions::new(component()).cache(cache_dir())
        };
        Arc::new(Runtime::load(options).await.expect("the component loads"))
    };
    Arc::clone(RUNTIME.get_or_init(load).await)
}

/// An engine, to be completed: everything in memory, the fixture tools, and
/// limits that a test reaches quickly.
pub async fn engine(seen: &Arc<Seen>) -> EngineBuilder {
    let tools = Registry::empty().with(Fixture::new(Arc::clone(seen))).expect("one tool fits");
    Engine::builder().runtime(runtime().await).tools(tools).limits(limits())
}

fn limits() -> Limits {
    Limits {
        fuel: 5_000_000_000,
        wall_time: std::time::Duration::from_secs(60),
        ..Limits::default()
    }
}

/// An engine of a test's own, with one tenant, and what its tools have seen.
pub struct Bench {
    /// The engine.
    pub engine: Engine,
    /// Its tenant `acme`.
    pub tenant: Tenant,
    /// What the fixture tool was called with.
    pub seen: Arc<Seen>,
}

/// A bench in memory.
pub async fn bench() -> Bench {
    bench_with(|builder| builder).await
}

/// A bench whose engine is built otherwise.
pub async fn bench_with(change: impl FnOnce(EngineBuilder) -> EngineBuilder) -> Bench {
    let seen = Arc::new(Seen::default());
    let engine = change(engine(&seen).await).build().await.expect("the engine is built");
    let tenant = engine.tenant_or_new("acme").await.expect("the tenant is opened");
    Bench { engine, tenant, seen }
}

/// What most tests want of a tenant: that there is one.
pub trait TenantOrNew {
    /// The tenant of that name, created if it is new.
    fn tenant_or_new(&self, id: &str) -> impl Future<Output = Result<Tenant>> + Send;
}

impl TenantOrNew for Engine {
    async fn tenant_or_new(&self, id: &str) -> Result<Tenant> {
        match self.tenant(id).await {
            Err(error) if error.code() == Code::NotFound => match self.create_tenant(id).await {
                // Another process may have been quicker.
                Err(error) if error.code() == Code::AlreadyExists => self.tenant(id).await,
                created => created,
            },
            opened => opened,
        }
    }
}

/// The real embedding model, loaded once in a process.
#[cfg(feature = "full")]
#[must_use]
pub fn embedder() -> Arc<dyn repertoire::embed::Embedder> {
    use repertoire::embed::fastembed::FastEmbedder;
    static EMBEDDER: std::sync::OnceLock<Arc<FastEmbedder>> = std::sync::OnceLock::new();
    let embedder = EMBEDDER.get_or_init(|| {
        let library = build_dir().join("lib/libonnxruntime.so");
        assert!(library.exists(), "there is no {}: run `make setup`", library.display());
        Arc::new(FastEmbedder::new(build_dir().join("model"), Some(library)))
    });
    Arc::clone(embedder) as _
}

/// An engine with `LanceDB` in a directory and the real model.
#[cfg(feature = "full")]
pub async fn engine_on_disk(data: &Path) -> Engine {
    let seen = Arc::new(Seen::default());
    let builder = engine(&seen).await.data(data).embedder(embedder());
    builder.build().await.expect("the engine is built")
}
