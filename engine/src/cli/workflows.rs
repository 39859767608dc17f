//! `repertoire workflows`

use std::path::Path;

use serde::Serialize;

use super::app::App;
use super::args::Workflows;
use super::output::{Output, Style};
use super::progress::Files;
use super::text::{self, Align, Table};
use super::{Exit, capabilities, input, versions, wire};
use crate::error::Result;
use crate::exchange::{ImportAction, Imported};
use crate::workflow::{Hit, Workflow};

/// How much of a description fits into a line.
const SHOWN: usize = 72;

pub(super) async fn dispatch(app: &App, command: Workflows) -> Result<Exit> {
    let output = &app.output;
    match command {
        Workflows::Create { name, source, description } => {
            let source = input::text(&source).await?;
            let tenant = app.tenant().await?;
            created(output, &tenant.add_workflow(name, source, description).await?)
        }
        Workflows::List => list(output, &app.tenant().await?.workflows().await?),
        Workflows::Get { name, source } => {
            get(output, &app.tenant().await?.workflow(&name).await?, source)
        }
        Workflows::Search { query, limit } => {
            found(output, &app.tenant().await?.search(&query, limit).await?)
        }
        Workflows::Delete { name, if_unused } => {
            let tenant = app.tenant().await?;
            let deletion = if if_unused {
                tenant.delete_unused_workflow(&name).await?
            } else {
                tenant.delete_workflow(&name).await?
            };
            versions::deleted(output, &name, &deletion)
        }
        Workflows::Import { directory } => import(app, &directory).await,
        Workflows::Capabilities { name } => {
            capabilities::show(output, app.tenant().await?, &name).await
        }
        Workflows::History { name } => {
            versions::history(output, &app.tenant().await?.history(&name).await?)
        }
        Workflows::Restore { name, version } => {
            let restored = app.tenant().await?.restore_workflow(&name, &version).await?;
            versions::restored(output, &restored)
        }
        Workflows::Graph => versions::graph(output, &app.tenant().await?.graph().await?),
    }
}

/// Says that something of this name is gone.
pub(super) fn deleted(output: &Output, name: &str) -> Result<Exit> {
    #[derive(Serialize)]
    struct Deleted<'a> {
        deleted: &'a str,
    }
    if output.json {
        output.object(&Deleted { deleted: name })?;
    } else {
        output.note(&format!("deleted {name}"));
    }
    Ok(Exit::Done)
}

/// `fetch_json(url: str) -> dict`
pub(super) fn heading(workflow: &Workflow) -> String {
    format!("{}{}", workflow.name, workflow.analysis.signature.text)
}

fn created(output: &Output, workflow: &Workflow) -> Result<Exit> {
    if output.json {
        output.object(&wire::Workflow::from(workflow))?;
        return Ok(Exit::Done);
    }
    output.print(&format!("created {}\n", text::visible(&heading(workflow))))?;
    warn(output, workflow);
    Ok(Exit::Done)
}

fn warn(output: &Output, workflow: &Workflow) {
    for warning in &workflow.analysis.warnings {
        let (line, message, code) = (warning.line, &warning.message, &warning.code);
        output.note(&format!("warning: {}, line {line}: {message} ({code})", workflow.name));
    }
}

/// Also where there are some: what grants hide is not told.
const NONE_FOUND: &str = "there is no workflow that you may run; `repertoire workflows import DIR` saves some, and \
     `repertoire config` shows what is granted";

fn list(output: &Output, workflows: &[Workflow]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        workflows: Vec<wire::Workflow<'a>>,
    }
    if output.json {
        output.object(&Listing { workflows: workflows.iter().map(Into::into).collect() })?;
        return Ok(Exit::Done);
    }
    if workflows.is_empty() {
        output.note(NONE_FOUND);
    }
    for workflow in workflows {
        output.print(&summary(output, workflow, ""))?;
    }
    Ok(Exit::Done)
}

/// Two lines: how to call it, and what it does.
fn summary(output: &Output, workflow: &Workflow, margin: &str) -> String {
    let text = &workflow.analysis.signature.text;
    let name = output.paint(Style::Heading, workflow.name.as_str());
    let description = text::visible(&text::shortened(&workflow.description, SHOWN));
    let faint = output.paint(Style::Faint, &description);
    let below = " ".repeat(margin.len() + 4);
    format!("{margin}{name}{}\n{below}{faint}\n", text::visible(text))
}

fn get(output: &Output, workflow: &Workflow, source_only: bool) -> Result<Exit> {
    if output.json {
        let mut answer = wire::Workflow::from(workflow);
        answer.source = Some(&workflow.source);
        output.object(&answer)?;
        return Ok(Exit::Done);
    }
    let line_break = if workflow.source.ends_with('\n') { "" } else { "\n" };
    if source_only {
        output.print_foreign(&format!("{}{line_break}", workflow.source))?;
        return Ok(Exit::Done);
    }
    let kind = if workflow.analysis.signature.is_async { "async " } else { "" };
    let heading = text::visible(&format!("{kind}{}", heading(workflow)));
    output.print(&format!("{}\n\n", output.paint(Style::Heading, &heading)))?;
    output.print_foreign(&text::indented(&workflow.description, 4))?;
    let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
    let uses = &workflow.analysis.uses;
    for (what, names) in
        [("tools", &uses.tools), ("workflows", &uses.workflows), ("artifacts", &uses.artifacts)]
    {
        if !names.is_empty() {
            table.row([format!("    uses {what}"), names.join(", ")]);
        }
    }
    table.row(["    created".to_owned(), workflow.created_at.to_string()]);
    table.row(["    version".to_owned(), workflow.version.to_string()]);
    output.print(&format!("\n{}\n", table.render()))?;
    output.print_foreign(&format!("{}{line_break}", workflow.source))?;
    warn(output, workflow);
    Ok(Exit::Done)
}

fn found(output: &Output, hits: &[Hit]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        hits: Vec<wire::Workflow<'a>>,
    }
    if output.json {
        let hits = hits.iter().map(|hit| {
            let mut answer = wire::Workflow::from(&hit.workflow);
            // A millionth is more than a score means.
            answer.score = Some((hit.score * 1e6).round() / 1e6);
            answer.matched = Some(&hit.matched);
            answer
        });
        output.object(&Listing { hits: hits.collect() })?;
        return Ok(Exit::Done);
    }
    if hits.is_empty() {
        output.note(NONE_FOUND);
    }
    for hit in hits {
        output.print(&summary(output, &hit.workflow, &format!("{:.2}  ", hit.score)))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn import(app: &App, directory: &Path) -> Result<Exit> {
    let tenant = app.tenant().await?;
    let bar = Files::new(&app.output);
    let report = tenant.import(directory, |done, all, path| bar.next(done, all, path)).await;
    bar.finish();
    imported(&app.output, directory, &report?)
}

#[derive(Serialize)]
struct File<'a> {
    path: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<wire::Problem<'a>>,
}

impl<'a> From<&'a Imported> for File<'a> {
    fn from(imported: &'a Imported) -> Self {
        let (action, name, error) = match &imported.action {
            ImportAction::Created(workflow) => ("created", Some(&workflow.name), None),
            ImportAction::Updated(workflow) => ("updated", Some(&workflow.name), None),
            ImportAction::Unchanged(name) => ("unchanged", Some(name), None),
            ImportAction::Failed(error) => ("failed", None, Some(error.into())),
        };
        let path = imported.path.display().to_string();
        Self { path, action, name: name.map(crate::id::WorkflowName::as_str), error }
    }
}

fn imported(output: &Output, directory: &Path, report: &[Imported]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        files: Vec<File<'a>>,
    }
    let files: Vec<File<'_>> = report.iter().map(Into::into).collect();
    let count = |action| files.iter().filter(|file| file.action == action).count();
    let failed = count("failed");
    let exit = if failed > 0 { Exit::Misuse } else { Exit::Done };
    if output.json {
        output.object(&Listing { files })?;
        return Ok(exit);
    }
    for imported in report {
        match &imported.action {
            ImportAction::Created(workflow) | ImportAction::Updated(workflow) => {
                let is_new = matches!(imported.action, ImportAction::Created(_));
                let action = if is_new { "created  " } else { "updated  " };
                output.print(&format!("{action}  {}\n", text::visible(&heading(workflow))))?;
                warn(output, workflow);
            }
            ImportAction::Unchanged(name) => output.print(&format!("unchanged  {name}\n"))?,
            ImportAction::Failed(error) => {
                output.complain(&format!(
                    "failed     {}: {}",
                    imported.path.display(),
                    error.chain()
                ));
            }
        }
    }
    output.note(&format!(
        "{} files of {}: {} created, {} updated, {} unchanged, {failed} failed",
        report.len(),
        directory.display(),
        count("created"),
        count("updated"),
        count("unchanged"),
    ));
    Ok(exit)
}
