//! The engine: what an embedder holds.

mod artifacts;
mod grants;
mod images;
mod quotas;
mod readiness;

use std::collections::HashMap;
#[cfg(feature = "lancedb")]
use std::path::PathBuf;
use std::sync::Arc;

use crate::admission::Admission;
use crate::analysis::Codes;
use crate::artifacts::ArtifactLimits;
use crate::catalog::Catalog;
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::embed::{Embedder, hashing::HashingEmbedder};
use crate::error::{Error, Result};
use crate::grants::Grants;
use crate::id::{ImageName, TenantId};
use crate::images::{DEFAULT_IN_MEMORY, Images};
use crate::invoke::{Invoker, Validators};
use crate::limits::Limits;
use crate::live::ByTenant;
use crate::quota::Quota;
use crate::runtimes::Runtimes;
use crate::sandbox::{Runtime, RuntimeOptions};
use crate::schema::nearest;
use crate::storage::{Storage, Store, memory::MemoryStorage};
use crate::tenant::Tenant;
use crate::tools::Registry;

pub use readiness::Readiness;

/// Runs workflows of many tenants. Cheap to clone; one a process is enough.
///
/// ```no_run
/// # async fn example() -> repertoire::Result<()> {
/// use repertoire::{Engine, RuntimeOptions};
///
/// let engine = Engine::builder()
///     .component(RuntimeOptions::new("build/python.wasm").cache("/var/cache/repertoire"))
///     .build()
///     .await?;
/// let acme = engine.create_tenant("acme").await?;
/// for hit in acme.search("parse a web page", 5).await? {
///     println!("{:.2} {}", hit.score, hit.workflow.name);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    runtimes: Arc<Runtimes>,
    usual_image: Option<ImageName>,
    tenant_images: HashMap<TenantId, Option<ImageName>>,
    storage: Arc<dyn Storage>,
    embedder: Arc<dyn Embedder>,
    tools: Registry,
    limits: Limits,
    shelves: artifacts::Shelves,
    grants: ByTenant<Grants>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    codes: Arc<Codes>,
    admission: Admission,
}

/// Puts an [`Engine`] together. What is not set is kept in memory, has no
/// tools, and searches by words.
pub struct EngineBuilder {
    source: RuntimeSource,
    storage: Arc<dyn Storage>,
    embedder: Arc<dyn Embedder>,
    tools: Registry,
    limits: Limits,
    artifacts: ArtifactLimits,
    grants: Grants,
    quota: Quota,
    images: Images,
    images_in_memory: usize,
    usual_image: Option<ImageName>,
    tenant_images: HashMap<TenantId, Option<ImageName>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

enum RuntimeSource {
    Missing,
    Load(RuntimeOptions),
    Loaded(Arc<Runtime>),
}

impl Engine {
    /// Begins to put an engine together.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            source: RuntimeSource::Missing,
            storage: Arc::new(MemoryStorage::default()),
            embedder: Arc::new(HashingEmbedder),
            tools: Registry::empty(),
            limits: Limits::default(),
            artifacts: ArtifactLimits::default(),
            grants: Grants::everything(),
            quota: Quota::default(),
            images: Images::default(),
            images_in_memory: DEFAULT_IN_MEMORY,
            usual_image: None,
            tenant_images: HashMap::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// The view of a tenant that exists. [`TenantId::DEFAULT`] exists by itself.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if nobody created it, naming the nearest,
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no tenant's
    /// name, [`Code::Unavailable`](crate::error::Code::Unavailable) if its store cannot be opened.
    pub async fn tenant<T>(&self, id: T) -> Result<Tenant>
    where
        T: TryInto<TenantId>,
        Error: From<T::Error>,
    {
        self.open(id.try_into()?).await
    }

    async fn open(&self, id: TenantId) -> Result<Tenant> {
        let (storage, (model, dimensions)) = (&self.0.storage, self.model());
        let mut found = storage.open(&id, model, dimensions).await?;
        if found.is_none() && id.as_str() == TenantId::DEFAULT {
            // Whoever else creates it at the same time is as good.
            storage.create(&id, model, dimensions).await?;
            found = storage.open(&id, model, dimensions).await?;
        }
        match found {
            Some(store) => Ok(self.view(id, store)),
            None => Err(self.unknown(&id).await),
        }
    }

    /// Creates a tenant, which has nothing yet.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`](crate::error::Code::AlreadyExists) if there is one of that name,
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no tenant's
    /// name, [`Code::Unavailable`](crate::error::Code::Unavailable) if the storage cannot be written.
    pub async fn create_tenant<T>(&self, id: T) -> Result<Tenant>
    where
        T: TryInto<TenantId>,
        Error: From<T::Error>,
    {
        let id = id.try_into()?;
        let (model, dimensions) = self.model();
        if !self.0.storage.create(&id, model, dimensions).await? {
            return Err(Error::already_exists(format!(
                "there is already a tenant {id}: open it, or choose another name"
            )));
        }
        self.open(id).await
    }

    fn model(&self) -> (&str, usize) {
        (self.0.embedder.model(), self.0.embedder.dimensions())
    }

    /// Why there is no view of a tenant that nobody created.
    async fn unknown(&self, id: &TenantId) -> Error {
        let known = self.0.storage.tenants().await.unwrap_or_default();
        let near = nearest(id.as_str(), known.iter().map(TenantId::as_str));
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        Error::not_found(format!(
            "there is no tenant {id}: {near}`repertoire tenants create {id}` creates it, and so \
             does `Engine::create_tenant`"
        ))
    }

    fn view(&self, id: TenantId, store: Store) -> Tenant {
        let inner = &self.0;
        let Store { incarnation, library, artifacts, records, approvals } = store;
        let account = inner.admission.account(&id, &incarnation);
        let quota = inner.admission.quotas.of(&id);
        let artifacts = inner.shelves.get(&id, artifacts, &inner.clock, quota);
        let catalog = Catalog {
            tenant: id.clone(),
            runtime: Arc::clone(inner.runtimes.plain()),
            library,
            embedder: Arc::clone(&inner.embedder),
            clock: Arc::clone(&inner.clock),
            entropy: Arc::clone(&inner.entropy),
            codes: Arc::clone(&inner.codes),
            account: Arc::clone(&account),
        };
        let image = inner.tenant_images.get(&catalog.tenant).unwrap_or(&inner.usual_image);
        let invoker = Invoker {
            runtimes: Arc::clone(&inner.runtimes),
            image: image.clone(),
            catalog,
            tools: inner.tools.clone(),
            artifacts,
            records,
            approvals,
            account,
            validators: Validators::default(),
        };
        let grants = inner.grants.of(&invoker.catalog.tenant);
        Tenant::new(invoker, incarnation, inner.limits.clone(), grants)
    }

    /// The tenants that have a store, by name. [`TenantId::DEFAULT`] has one once it was used.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the storage cannot be read.
    pub async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.0.storage.tenants().await
    }

    /// Deletes a tenant with everything it has; false if there was none.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the storage cannot be written.
    pub async fn delete_tenant(&self, id: &TenantId) -> Result<bool> {
        let deleted = self.0.storage.delete(id).await?;
        self.0.admission.forget(id);
        Ok(deleted)
    }
}

impl EngineBuilder {
    /// Loads the Python component from here.
    #[must_use]
    pub fn component(mut self, options: RuntimeOptions) -> Self {
        self.source = RuntimeSource::Load(options);
        self
    }

    /// Uses a runtime that is loaded already; engines of one process can share it.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<Runtime>) -> Self {
        self.source = RuntimeSource::Loaded(runtime);
        self
    }

    /// Keeps everything here.
    #[must_use]
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Keeps everything in `LanceDB` databases in this directory, and acknowledges what has reached
    /// the disk. [`LanceStorage::durability`](crate::storage::lance::LanceStorage::durability) is
    /// there for those who would rather not wait.
    #[cfg(feature = "lancedb")]
    #[must_use]
    pub fn data(self, directory: impl Into<PathBuf>) -> Self {
        self.storage(Arc::new(crate::storage::lance::LanceStorage::new(directory)))
    }

    /// Searches with these embeddings.
    #[must_use]
    pub fn embedder(mut self, embedder: Arc<dyn Embedder>) -> Self {
        self.embedder = embedder;
        self
    }

    /// Lets workflows call these tools.
    #[must_use]
    pub fn tools(mut self, tools: Registry) -> Self {
        self.tools = tools;
        self
    }

    /// Limits of an invocation that sets none of its own.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What each tenant may keep as artifacts.
    #[must_use]
    pub const fn artifacts(mut self, limits: ArtifactLimits) -> Self {
        self.artifacts = limits;
        self
    }

    /// What each tenant may reach, unless [`Engine::grants`] says otherwise; everything by default.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// What each tenant may take, unless [`Engine::set_quotas`] says otherwise.
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// Tells the date by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws seeds and ids from here.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// The engine. Loads the Python component, and compiles it first if no
    /// cache has it.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if there is no usable component.
    pub async fn build(self) -> Result<Engine> {
        let runtime = match self.source {
            RuntimeSource::Loaded(runtime) => runtime,
            RuntimeSource::Load(options) => Arc::new(Runtime::load(options).await?),
            RuntimeSource::Missing => {
                return Err(Error::unavailable(
                    "the engine has no Python component: call `component` or `runtime` on its builder",
                ));
            }
        };
        // Half of the instances are for nested runs and for sessions, and a quarter for runs
        // that wait for somebody.
        let places = (runtime.max_instances() / 4).max(1) as usize;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let admission = Admission::new(places, cores, self.quota, &self.storage, &self.clock);
        Ok(Engine(Arc::new(Inner {
            runtimes: Arc::new(Runtimes::new(runtime, self.images, self.images_in_memory)),
            usual_image: self.usual_image,
            tenant_images: self.tenant_images,
            storage: self.storage,
            embedder: self.embedder,
            tools: self.tools,
            limits: self.limits,
            shelves: artifacts::Shelves::new(self.artifacts),
            grants: ByTenant::new(self.grants),
            clock: self.clock,
            entropy: self.entropy,
            codes: Arc::default(),
            admission,
        })))
    }
}
