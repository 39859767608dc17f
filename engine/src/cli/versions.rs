//! `repertoire workflows history`, `restore`, `graph` and what deleting leaves behind.

use serde::Serialize;

use super::output::Output;
use super::text::{self, Align, Table};
use super::workflows::heading;
use super::{Exit, wire};
use crate::catalog::named;
use crate::error::{Error, Result};
use crate::id::{VersionId, quoted};
use crate::workflow::{Deletion, Graph, Pin, Version, Workflow};

/// Says that a workflow is gone, and whom that breaks.
pub(super) fn deleted(output: &Output, name: &str, deletion: &Deletion) -> Result<Exit> {
    #[derive(Serialize)]
    struct Deleted<'a> {
        deleted: &'a str,
        broken: Vec<&'a str>,
    }
    if !deletion.existed {
        let name = quoted(name);
        return Err(Error::not_found(format!("there is no workflow {name} to delete")));
    }
    let broken = &deletion.broken;
    if output.json {
        let broken = broken.iter().map(crate::id::WorkflowName::as_str).collect();
        output.object(&Deleted { deleted: name, broken })?;
        return Ok(Exit::Done);
    }
    output.note(&format!("deleted {name}"));
    if !broken.is_empty() {
        output.note(&format!(
            "warning: this breaks {}; `repertoire workflows restore {name} VERSION` takes it back",
            named(broken)
        ));
    }
    Ok(Exit::Done)
}

pub(super) fn history(output: &Output, versions: &[Version]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        versions: Vec<wire::Workflow<'a>>,
    }
    if output.json {
        let versions = versions.iter().map(|version| {
            let mut answer = wire::Workflow::from(&version.workflow);
            answer.deleted_at = version.deleted_at.map(|at| at.to_string());
            answer.source = Some(&version.workflow.source);
            answer
        });
        output.object(&Listing { versions: versions.collect() })?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new([
        ("CREATED", Align::Left),
        ("DELETED", Align::Left),
        ("VERSION", Align::Left),
        ("SIGNATURE", Align::Left),
    ]);
    for Version { workflow, deleted_at } in versions {
        table.row([
            workflow.created_at.to_string(),
            deleted_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            workflow.version.short(),
            workflow.analysis.signature.text.clone(),
        ]);
    }
    output.print(&table.render())?;
    Ok(Exit::Done)
}

pub(super) fn restored(output: &Output, workflow: &Workflow) -> Result<Exit> {
    if output.json {
        output.object(&wire::Workflow::from(workflow))?;
    } else {
        let (heading, version) = (heading(workflow), workflow.version.short());
        output.print(&format!("{} is version {version}\n", text::visible(&heading)))?;
    }
    Ok(Exit::Done)
}

/// What became of a name that a workflow invokes.
fn state(pin: &Pin, now: Option<VersionId>) -> &'static str {
    match (pin.version, now) {
        (_, None) => "missing",
        (Some(then), Some(now)) if then == now => "unchanged",
        (Some(_), Some(_)) => "changed",
        (None, Some(_)) => "new",
    }
}

pub(super) fn graph(output: &Output, graph: &Graph) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        workflows: Vec<Node<'a>>,
    }
    #[derive(Serialize)]
    struct Node<'a> {
        name: &'a str,
        version: String,
        invokes: Vec<Edge<'a>>,
    }
    #[derive(Serialize)]
    struct Edge<'a> {
        name: &'a str,
        /// What the name meant when the workflow was created.
        version: Option<String>,
        state: &'static str,
    }
    if output.json {
        let workflows = graph.workflows.iter().map(|links| Node {
            name: links.name.as_str(),
            version: links.version.to_string(),
            invokes: links
                .invokes
                .iter()
                .map(|pin| Edge {
                    name: pin.name.as_str(),
                    version: pin.version.map(|version| version.to_string()),
                    state: state(pin, graph.version(&pin.name)),
                })
                .collect(),
        });
        output.object(&Listing { workflows: workflows.collect() })?;
        return Ok(Exit::Done);
    }
    let mut edges = 0;
    for links in &graph.workflows {
        for pin in &links.invokes {
            edges += 1;
            let note = match state(pin, graph.version(&pin.name)) {
                "unchanged" => "",
                "missing" => "  (missing)",
                "new" => "  (created since)",
                _ => "  (changed since)",
            };
            output.print(&format!("{} -> {}{note}\n", links.name, pin.name))?;
        }
    }
    output.note(&format!("{} workflows, {edges} of their calls by name", graph.workflows.len()));
    Ok(Exit::Done)
}
