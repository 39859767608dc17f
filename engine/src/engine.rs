//! The engine: what an embedder holds.

use std::path::Path;
#[cfg(feature = "lancedb")]
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::artifacts::{Content, Metadata};
use crate::catalog::{Catalog, Imported, NewWorkflow, checked_query};
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::embed::{Embedder, hashing::HashingEmbedder};
use crate::error::{Error, Result};
use crate::id::{ArtifactName, RunId, TenantId, WorkflowName, quoted};
use crate::invocation::InvocationBuilder;
use crate::invoke::{Invoker, Options, Validators};
use crate::json::Json;
use crate::limits::Limits;
use crate::run::Run;
use crate::sandbox::{Runtime, RuntimeOptions};
use crate::session::Session;
use crate::storage::{Storage, Store, memory::MemoryStorage};
use crate::tools::{CallContext, Registry, ToolInfo};
use crate::workflow::{Analysis, Hit, Version, Workflow};

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
/// let acme = engine.tenant("acme").await?;
/// for hit in acme.search("parse a web page", 5).await? {
///     println!("{:.2} {}", hit.score, hit.workflow.name);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    storage: Arc<dyn Storage>,
    embedder: Arc<dyn Embedder>,
    tools: Registry,
    limits: Limits,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    slots: Arc<Semaphore>,
}

/// Puts an [`Engine`] together. What is not set is kept in memory, has no
/// tools, and searches by words.
pub struct EngineBuilder {
    source: RuntimeSource,
    storage: Arc<dyn Storage>,
    embedder: Arc<dyn Embedder>,
    tools: Registry,
    limits: Limits,
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
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// A tenant's view of the engine. Its store is opened, and created if it is new.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no tenant's
    /// name, [`Code::Unavailable`](crate::error::Code::Unavailable) if its store cannot be opened.
    pub async fn tenant<T>(&self, id: T) -> Result<Tenant>
    where
        T: TryInto<TenantId>,
        Error: From<T::Error>,
    {
        let id = id.try_into()?;
        let inner = &self.0;
        let (model, dimensions) = (inner.embedder.model(), inner.embedder.dimensions());
        let Store { library, artifacts, records } =
            inner.storage.open(&id, model, dimensions).await?;
        let catalog = Catalog {
            tenant: id,
            runtime: Arc::clone(&inner.runtime),
            library,
            embedder: Arc::clone(&inner.embedder),
            clock: Arc::clone(&inner.clock),
            entropy: Arc::clone(&inner.entropy),
        };
        let invoker = Invoker {
            catalog,
            tools: inner.tools.clone(),
            artifacts,
            records,
            slots: Arc::clone(&inner.slots),
            validators: Validators::default(),
        };
        Ok(Tenant { invoker: Arc::new(invoker), limits: inner.limits.clone() })
    }

    /// The tenants that have a store, by name.
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
        self.0.storage.delete(id).await
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

    /// Keeps everything in `LanceDB` databases in this directory.
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
        // Three quarters of the instances are for nested runs and for sessions.
        let slots = (runtime.max_instances() / 4).max(1);
        Ok(Engine(Arc::new(Inner {
            runtime,
            storage: self.storage,
            embedder: self.embedder,
            tools: self.tools,
            limits: self.limits,
            clock: self.clock,
            entropy: self.entropy,
            slots: Arc::new(Semaphore::new(slots as usize)),
        })))
    }
}

/// One tenant's library, tools, artifacts and runs. Cheap to clone.
#[derive(Clone)]
pub struct Tenant {
    invoker: Arc<Invoker>,
    limits: Limits,
}

impl Tenant {
    /// Whose view this is.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.invoker.catalog.tenant
    }

    /// Analyses and saves a workflow. The source is parsed in the sandbox and not run.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`](crate::error::Code::AlreadyExists) if the name is taken,
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is no name,
    /// [`Code::InvalidSource`](crate::error::Code::InvalidSource) if the source is no workflow.
    pub async fn add_workflow(
        &self,
        name: impl Into<String>,
        source: impl Into<String>,
        description: impl Into<String>,
    ) -> Result<Workflow> {
        let new = NewWorkflow {
            name: name.into(),
            source: source.into(),
            description: description.into(),
        };
        self.invoker.catalog.create(new, None).await
    }

    /// What a source says about itself; nothing is saved.
    ///
    /// # Errors
    /// [`Code::InvalidSource`](crate::error::Code::InvalidSource) if it is no workflow.
    pub async fn analyze(&self, source: &str) -> Result<Analysis> {
        self.invoker.catalog.analyze(source, None).await
    }

    /// The workflow of that name.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound), naming the nearest.
    pub async fn workflow(&self, name: &str) -> Result<Workflow> {
        self.invoker.catalog.resolve(name).await
    }

    /// All workflows, by name.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the library cannot be read.
    pub async fn workflows(&self) -> Result<Vec<Workflow>> {
        self.invoker.catalog.library.list().await
    }

    /// The workflows that answer a question, best first.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the question is empty
    /// or too long, [`Code::Unavailable`](crate::error::Code::Unavailable) without a model.
    pub async fn search(&self, query: &str, limit: usize) -> Result<Vec<Hit>> {
        self.invoker.catalog.search(query, limit).await
    }

    /// Deletes a workflow; false if there was none. Its history remains.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn delete_workflow(&self, name: &str) -> Result<bool> {
        self.invoker.catalog.delete(name).await
    }

    /// Everything that a name has meant, the newest first.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if it never meant anything.
    pub async fn history(&self, name: &str) -> Result<Vec<Version>> {
        let history = self.invoker.catalog.library.history(&WorkflowName::new(name)?).await?;
        if history.is_empty() {
            return Err(Error::not_found(format!("there never was a workflow {}", quoted(name))));
        }
        Ok(history)
    }

    /// Makes the library agree with a folder of `.py` files, and reports on each.
    /// `progress` is told the number of files done, of all, and the next one.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the folder cannot be read.
    pub async fn import(
        &self,
        directory: &Path,
        progress: impl Fn(usize, usize, &Path) + Sync,
    ) -> Result<Vec<Imported>> {
        self.invoker.catalog.import(directory, &progress).await
    }

    /// Runs a workflow with the engine's limits.
    ///
    /// A workflow that raises or runs into a limit is an `Ok` whose outcome is a failure.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) or
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument): the caller's mistakes.
    pub async fn invoke(&self, name: &str, arguments: impl Into<Json>) -> Result<Run> {
        self.invocation(name).arguments(arguments).run().await
    }

    /// Begins an invocation with settings of its own.
    pub fn invocation<'a>(&self, name: &'a str) -> InvocationBuilder<'a> {
        InvocationBuilder::new(Arc::clone(&self.invoker), name, self.options())
    }

    /// A session for agent code.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(Arc::clone(&self.invoker), self.options())
    }

    fn options(&self) -> Options {
        Options { limits: self.limits.clone(), seed: None, events: None }
    }

    /// The tools that workflows may call, by name.
    #[must_use]
    pub fn tools(&self) -> Vec<Arc<ToolInfo>> {
        self.invoker.tools.list()
    }

    /// The tools nearest in meaning to a question, best first.
    ///
    /// # Errors
    /// As [`search`](Tenant::search).
    pub async fn search_tools(&self, query: &str, limit: usize) -> Result<Vec<Arc<ToolInfo>>> {
        let embedder = self.invoker.catalog.embedder.as_ref();
        self.invoker.tools.search(checked_query(query)?, limit, embedder).await
    }

    /// Calls a tool from outside a run. `callable` is empty for the tool itself.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound),
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument),
    /// [`Code::ToolFailed`](crate::error::Code::ToolFailed),
    /// [`Code::TimedOut`](crate::error::Code::TimedOut).
    pub async fn call_tool(&self, tool: &str, callable: &str, arguments: &Json) -> Result<Json> {
        let context = CallContext { tenant: self.id().clone(), run: None, deadline: None };
        self.invoker.tools.call(tool, callable, arguments, &context).await
    }

    /// Saves an artifact; what had the name before is replaced.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the name is none, or
    /// the content too large.
    pub async fn save_artifact(
        &self,
        name: &str,
        content: &Content,
        description: impl Into<String>,
    ) -> Result<Metadata> {
        let now = self.invoker.catalog.clock.now();
        let name = ArtifactName::new(name)?;
        let metadata = Metadata::new(name, content, description.into(), now, None)?;
        self.invoker.artifacts.save(&metadata, content).await?;
        Ok(metadata)
    }

    /// An artifact's content, and what is known of it.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound).
    pub async fn load_artifact(&self, name: &str) -> Result<(Metadata, Content)> {
        let found = self.invoker.artifacts.load(&ArtifactName::new(name)?).await?;
        found.ok_or_else(|| Error::not_found(format!("there is no artifact {}", quoted(name))))
    }

    /// All artifacts, by name.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the store cannot be read.
    pub async fn artifacts(&self) -> Result<Vec<Metadata>> {
        self.invoker.artifacts.list().await
    }

    /// Deletes an artifact; false if there was none.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn delete_artifact(&self, name: &str) -> Result<bool> {
        self.invoker.artifacts.delete(&ArtifactName::new(name)?).await
    }

    /// The newest run records, the newest first.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if they cannot be read.
    pub async fn runs(&self, limit: usize) -> Result<Vec<Run>> {
        self.invoker.records.list(limit).await
    }

    /// The record of a run.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound).
    pub async fn run_record(&self, id: RunId) -> Result<Run> {
        let found = self.invoker.records.get(id).await?;
        found.ok_or_else(|| Error::not_found(format!("there is no run {id}")))
    }

    /// Writes the run records that are still on their way. Call it before the
    /// process ends.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if a record could not be written.
    pub async fn flush(&self) -> Result<()> {
        self.invoker.records.flush().await
    }
}
