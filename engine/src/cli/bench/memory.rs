//! What runs that wait for a tool hold of the machine.

use std::sync::Arc;

use super::report::Report;
use super::stage::{Stage, open, succeeded};
use crate::error::{Error, Result};
use crate::{Runtime, RuntimeOptions};

const WAITING: &str = "def run() -> None:\n    return tools.hold()\n";

pub(super) async fn measure(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    if !stage.wants("waiting") {
        return Ok(());
    }
    let count = stage.given.waiting.max(1);
    // A quarter of the instances are for runs at the root, and a tenant may have
    // three quarters of these.
    let options = RuntimeOptions {
        max_instances: count.saturating_mul(16) / 3 + 16,
        ..Stage::options(stage.app, stage.given.standby)?
    };
    let runtime = Arc::new(Runtime::load(options).await?);
    let (tenant, held) = open(&runtime).await?;
    tenant.add_workflow("waiting", WAITING, "Measured").await?;
    // What comes with the first run of all is not a run's own.
    held.released.add_permits(1);
    succeeded(&tenant.invoke("waiting", serde_json::json!({})).await?)?;
    let _one = held.waiting.acquire().await.map_err(closed)?;
    held.released.forget_permits(1);

    let before = Process::now()?;
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let tenant = tenant.clone();
            tokio::spawn(async move { tenant.invoke("waiting", serde_json::json!({})).await })
        })
        .collect();
    let all = held.waiting.acquire_many(count).await.map_err(closed)?;
    let during = Process::now()?;
    held.released.add_permits(1);
    drop(all);
    for task in tasks {
        let run =
            task.await.map_err(|error| Error::internal("a task failed").with_source(error))?;
        succeeded(&run?)?;
    }
    let each = |now: f64, then: f64| vec![(now - then) / f64::from(count)];
    report.add(
        "waiting-memory",
        "resident memory and page tables of a run that waits, --waiting of them at once",
        "MiB",
        each(during.memory, before.memory),
    );
    report.add("waiting-all", "the process meanwhile", "MiB", vec![during.memory]);
    report.add("waiting-threads", "threads of the process meanwhile", "", vec![during.threads]);
    Ok(())
}

fn closed(error: tokio::sync::AcquireError) -> Error {
    Error::internal("the measurement was closed").with_source(error)
}

/// What the kernel says of this process.
struct Process {
    /// Private memory and page tables, in MiB. The image is shared and counted once in any case.
    memory: f64,
    threads: f64,
}

impl Process {
    fn now() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/self/status")
            .map_err(|error| Error::unavailable("/proc cannot be read").with_source(error))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().nth(0)?.parse::<f64>().ok());
            number.unwrap_or_default()
        };
        let memory = (field("RssAnon:") + field("VmPTE:")) / 1024.0;
        Ok(Self { memory, threads: field("Threads:") })
    }
}
