//! `repertoire usage`

use super::Exit;
use super::app::App;
use super::args::Usage as Command;
use super::text::{Align, Table, thousands};
use crate::error::Result;
use crate::serve::usage::{Usage, Used};

/// What agent code is called where a workflow's name would stand.
const AGENT_CODE: &str = "(agent code)";

pub(super) async fn usage(app: &App, command: &Command) -> Result<Exit> {
    let usage = Usage::of(app.tenant().await?, command.last).await?;
    if app.output.json {
        app.output.object(&usage)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new([
        ("WORKFLOW", Align::Left),
        ("RUNS", Align::Right),
        ("FAILED", Align::Right),
        ("FUEL", Align::Right),
        ("TIME", Align::Right),
        ("TOOL CALLS", Align::Right),
        ("BYTES", Align::Right),
    ]);
    let row = |name: &str, used: &Used| {
        [
            name.to_owned(),
            thousands(used.runs),
            thousands(used.failed),
            thousands(used.fuel),
            format!("{:.1} s", used.wall_time_ms / 1e3),
            thousands(used.tool_calls),
            thousands(used.bytes),
        ]
    };
    for one in &usage.workflows {
        table.row(row(one.workflow.as_deref().unwrap_or(AGENT_CODE), &one.used));
    }
    table.row(row("all", &usage.total));
    app.output.print_foreign(&table.render())?;
    let mut table =
        Table::new([("QUOTA", Align::Left), ("USED", Align::Right), ("LIMIT", Align::Right)]);
    for quota in &usage.quotas {
        let limit = quota.limit.map_or_else(|| "-".to_owned(), thousands);
        table.row([quota.name.to_owned(), thousands(quota.used), limit]);
    }
    app.output.print(&format!("\n{}", table.render()))?;
    app.output.note(&format!("the period ends at {}", usage.period_ends_at));
    Ok(Exit::Done)
}
