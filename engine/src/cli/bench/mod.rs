//! `repertoire bench`: what a run costs, measured on this machine.
//!
//! Everything is kept in memory and the tools are closures, so that the figures
//! are the sandbox's. Limits and metering are on, as they are by default.

mod calls;
mod latency;
mod memory;
mod process;
mod programs;
mod report;
mod stage;

use super::Exit;
use super::app::App;
use super::args::Bench;
use crate::error::{Error, Result};
use report::Report;
use stage::Stage;

pub(super) async fn bench(app: &App, given: Bench) -> Result<Exit> {
    let stage = Stage::new(app, given).await?;
    let mut report = Report::new(&app.output);
    latency::measure(&stage, &mut report).await?;
    latency::throughput(&stage, &mut report).await?;
    calls::measure(&stage, &mut report).await?;
    programs::measure(&stage, &mut report).await?;
    memory::measure(&stage, &mut report).await?;
    process::measure(&stage, &mut report).await?;
    if report.is_empty() {
        return Err(Error::invalid_argument(format!(
            "no figure's name contains {:?}; `repertoire bench` lists them",
            stage.given.filter.unwrap_or_default()
        )));
    }
    report.print(&app.output)?;
    Ok(Exit::Done)
}
