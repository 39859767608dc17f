//! What the measurements share: an engine in memory, its tools, and a stopwatch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::cli::app::App;
use crate::cli::args::Bench;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::json::Json;
use crate::run::Run;
use crate::tools::{self, Registry};
use crate::workflow::Parameter;
use crate::{Engine, Limits, Runtime, RuntimeOptions, Tenant};

/// An engine with one tenant, and what the command line said.
pub(super) struct Stage<'a> {
    pub(super) app: &'a App,
    pub(super) given: Bench,
    pub(super) tenant: Tenant,
}

impl<'a> Stage<'a> {
    pub(super) async fn new(app: &'a App, given: Bench) -> Result<Self> {
        let options = Self::options(app, given.standby)?;
        let runtime = Arc::new(Runtime::load(options).await?);
        let (tenant, _) = open(&runtime).await?;
        Ok(Self { app, given, tenant })
    }

    /// The runtime's options as the program has them, the number of instances excepted.
    pub(super) fn options(app: &App, standby: Option<u32>) -> Result<RuntimeOptions> {
        let mut options = app.runtime_options()?;
        options.max_instances = crate::DEFAULT_MAX_INSTANCES;
        options.standby = standby.unwrap_or(crate::DEFAULT_STANDBY);
        Ok(options)
    }

    /// Whether a figure is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.given.filter.as_deref().is_none_or(|filter| name.contains(filter))
    }

    /// How long a figure is measured.
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.given.seconds.clamp(0.01, 3600.0))
    }

    /// Saves a workflow.
    pub(super) async fn add(&self, name: &str, source: &str) -> Result<()> {
        self.tenant.add_workflow(name, source, "Measured").await.map(drop)
    }

    /// Invokes a workflow and returns what it took, in milliseconds.
    pub(super) async fn invoke(&self, name: &str, arguments: &str) -> Result<f64> {
        let arguments = Json::parse(arguments)?;
        let watch = Stopwatch::start();
        let run = self.tenant.invoke(name, arguments).await?;
        let took = milliseconds(&watch);
        succeeded(&run)?;
        Ok(took)
    }

    /// Invokes a workflow with pauses, as calls come that have the machine to
    /// themselves: what is prepared in between is ready.
    pub(super) async fn sample_paced(&self, name: &str, arguments: &str) -> Result<Vec<f64>> {
        let (count, mut samples) = (self.time().as_millis() / 10, Vec::new());
        for _ in 0..count.max(20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            samples.push(self.invoke(name, arguments).await?);
        }
        Ok(samples)
    }

    /// Invokes a workflow again and again while there is time: between 3 and
    /// 20,000 times, the first few not counted.
    pub(super) async fn sample(&self, name: &str, arguments: &str) -> Result<Vec<f64>> {
        let (time, mut samples) = (self.time(), Vec::new());
        let mut watch = Stopwatch::start();
        for round in 0..20_000 {
            if round == 2 {
                watch = Stopwatch::start();
                samples.clear();
            }
            samples.push(self.invoke(name, arguments).await?);
            if samples.len() >= 3 && watch.elapsed() > time {
                break;
            }
        }
        Ok(samples)
    }
}

/// A tenant with the tools, and what keeps `hold` waiting.
pub(super) async fn open(runtime: &Arc<Runtime>) -> Result<(Tenant, Arc<Held>)> {
    let held = Arc::new(Held { waiting: Semaphore::new(0), released: Semaphore::new(0) });
    let text = Parameter {
        name: "text".to_owned(),
        schema: Json::parse(r#"{"type": "string"}"#)?,
        required: true,
        default: None,
        description: "What to answer.".to_owned(),
    };
    let echo = tools::function(
        "echo",
        "Answers its arguments.",
        vec![text],
        |arguments, _context| async move { Ok(arguments) },
    )?;
    let shared = Arc::clone(&held);
    let hold =
        tools::function("hold", "Waits until all are there.", Vec::new(), move |_, _context| {
            let shared = Arc::clone(&shared);
            async move {
                shared.waiting.add_permits(1);
                let _permit = shared.released.acquire().await;
                Json::parse("null")
            }
        })?;
    let limits = Limits {
        host_calls: u64::MAX,
        wall_time: Duration::from_secs(600),
        fuel: u64::MAX / 4,
        ..Limits::default()
    };
    let engine = Engine::builder()
        .runtime(Arc::clone(runtime))
        .tools(Registry::empty().with(echo)?.with(hold)?)
        .limits(limits)
        .build()
        .await?;
    Ok((engine.create_tenant("bench").await?, held))
}

/// The runs that wait in the tool `hold`.
pub(super) struct Held {
    /// As many permits as runs wait.
    pub(super) waiting: Semaphore,
    /// Has a permit once they may go on.
    pub(super) released: Semaphore,
}

pub(super) fn milliseconds(watch: &Stopwatch) -> f64 {
    watch.elapsed().as_secs_f64() * 1e3
}

/// A failure here would be measured as if it were the work.
pub(super) fn succeeded(run: &Run) -> Result<()> {
    run.value().map(drop).map_err(|failure| {
        Error::internal(format!(
            "a measured workflow failed: {} {}",
            failure.message, failure.traceback
        ))
    })
}

/// Each sample less what comes with every run.
pub(super) fn net(samples: Vec<f64>, base: f64, per: f64, unit: f64) -> Vec<f64> {
    samples.into_iter().map(|sample| (sample - base).max(0.0) / per * unit).collect()
}

pub(super) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
