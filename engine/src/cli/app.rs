//! What the commands share: settings, output, and an engine once one is needed.

use std::sync::Arc;

use tokio::sync::OnceCell;
use tracing_subscriber::EnvFilter;

use super::Environment;
use super::args::Global;
use super::output::Output;
use super::progress::waiting;
use super::settings::{SECRET_PREFIX, Settings};
use crate::embed::fastembed::FastEmbedder;
use crate::error::{Error, Result};
use crate::sandbox::{DEFAULT_MAX_INSTANCES, Runtime, RuntimeOptions};
use crate::storage::lance::LanceStorage;
use crate::tools::secrets::SecretMap;
use crate::tools::{AtOnce, Registry, ToolOptions};
use crate::{Engine, Tenant};

/// Linear memory of an instance that has done nothing yet, in bytes, rounded down.
const FRESH_INSTANCE: u64 = 24 << 20;

/// A command's surroundings.
pub(super) struct App {
    pub(super) environment: Environment,
    pub(super) settings: Settings,
    pub(super) output: Output,
    /// Whether it works for many at once, and for long.
    is_server: bool,
    engine: OnceCell<Engine>,
    tenant: OnceCell<Tenant>,
}

impl App {
    pub(super) const fn new(
        environment: Environment,
        settings: Settings,
        output: Output,
        is_server: bool,
    ) -> Self {
        Self {
            is_server,
            environment,
            settings,
            output,
            engine: OnceCell::const_new(),
            tenant: OnceCell::const_new(),
        }
    }

    /// The tenant that the settings name.
    pub(super) async fn tenant(&self) -> Result<&Tenant> {
        let open = async || {
            let id = self.settings.tenant()?;
            self.engine().await?.tenant(id).await
        };
        self.tenant.get_or_try_init(open).await
    }

    /// The engine, which is put together on first use.
    pub(super) async fn engine(&self) -> Result<&Engine> {
        self.engine.get_or_try_init(|| self.open()).await
    }

    async fn open(&self) -> Result<Engine> {
        let settings = &self.settings;
        let storage = LanceStorage::new(settings.data()?).durability(settings.durability()?);
        // The component is loaded on another thread while the tools are read on this one.
        let runtime = self.runtime();
        let (runtime, tools) = tokio::try_join!(runtime, async { self.tools() })?;
        let mut engine = Engine::builder()
            .runtime(runtime)
            .storage(Arc::new(storage))
            .embedder(self.embedder())
            .tools(tools)
            .limits(settings.limits())
            .artifacts(settings.artifacts())
            .images(settings.images()?)
            .images_in_memory(settings.images_in_memory());
        if let Some(image) = settings.image()? {
            engine = engine.image(image);
        }
        for (tenant, image) in settings.tenant_images()? {
            engine = engine.tenant_image(tenant, image);
        }
        let engine = engine.build().await?;
        settings.govern(&engine)?;
        if settings.has_tenants() {
            for unknown in settings.unknown_tenants(&engine.tenants().await?) {
                tracing::warn!("{unknown}");
            }
        }
        Ok(engine)
    }

    /// The Python component, compiled first if no cache has it.
    pub(super) async fn runtime(&self) -> Result<Arc<Runtime>> {
        let wait = "compiling the Python component: once on this machine, some 20 seconds";
        let load = Box::pin(Runtime::load(self.runtime_options()?));
        waiting(&self.output, wait, load).await.map(Arc::new)
    }

    /// The tools that the settings name; none if they name no folder.
    pub(super) fn tools(&self) -> Result<Registry> {
        match self.settings.path("tools") {
            Some(folder) => Registry::from_folder(folder, &self.tool_options()?),
            None => Ok(Registry::empty()),
        }
    }

    pub(super) fn tool_options(&self) -> Result<ToolOptions> {
        let variables = &self.environment.variables;
        let mut secrets = SecretMap::default();
        if let Some(file) = self.settings.path("secrets") {
            secrets = secrets.with_file(file)?;
        }
        let pairs = variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
        Ok(ToolOptions {
            search_path: self.settings.search_path(),
            scratch: self.settings.temp_dir().to_owned(),
            variables: variables.iter().cloned().collect(),
            processes: AtOnce::new(self.settings.processes()),
            secrets: Arc::new(secrets.with_variables(SECRET_PREFIX, pairs)?),
            ..ToolOptions::default()
        })
    }

    /// The embedding model; nothing is read before something is searched or saved.
    pub(super) fn embedder(&self) -> Arc<FastEmbedder> {
        let library = self.settings.path("embedding.onnxruntime").map(ToOwned::to_owned);
        Arc::new(FastEmbedder::new(self.settings.model(), library))
    }

    pub(super) fn runtime_options(&self) -> Result<RuntimeOptions> {
        let mut options = RuntimeOptions::new(self.settings.component()?);
        if !self.is_server {
            // One tree of runs at a time, whose memory bounds its instances. Nested
            // ones beyond a quarter are queued.
            let fit = self.settings.limits().memory_bytes / FRESH_INSTANCE;
            let fit = u32::try_from(fit + 4).unwrap_or(u32::MAX);
            options.max_instances = fit.min(DEFAULT_MAX_INSTANCES);
            // A command runs one workflow and is gone, but for `mcp`, whose agent thinks longer.
            options.standby = 0;
        }
        options.cache = self.settings.path("runtime.cache").map(ToOwned::to_owned);
        Ok(options)
    }

    /// Writes the records that are on their way.
    pub(super) async fn flush(&self) -> Result<()> {
        match self.tenant.get() {
            Some(tenant) => tenant.flush().await,
            None => Ok(()),
        }
    }
}

/// Sends what is logged to standard error.
pub(super) fn start_log(settings: &Settings, flags: &Global, output: &Output) -> Result<()> {
    let directives = match (flags.quiet, flags.verbose) {
        (true, _) => "error",
        (_, 0) => settings.text("log").unwrap_or("warn"),
        (_, 1) => "warn,repertoire=info",
        (_, 2) => "warn,repertoire=debug",
        (_, _) => "debug,repertoire=trace",
    };
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        Error::invalid_argument(format!(
            "the setting log is {directives:?}, which is no filter: {error}; write for example warn \
             or repertoire=debug"
        ))
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output.has_coloured_stderr())
        .with_target(flags.verbose > 1);
    // Fails where a process has a log already: in tests.
    let _ = if flags.verbose > 1 {
        subscriber.try_init()
    } else {
        subscriber.without_time().try_init()
    };
    Ok(())
}
