//! `/v1/workflows`, `/v1/search`, `/v1/graph`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Read, Write};
use super::super::body::JsonBody;
use super::super::limits::MAX_PAGE;
use super::super::once::once;
use super::super::openapi::Route;
use super::super::problem::Problem;
use super::super::query::{Asked, Named, cut, page};
use super::super::state::State;
use super::super::tokens::Scope;
use super::super::{check_shown, shown, wire};
use super::forms::{Create, Past, Restore};
use crate::capabilities::{self, Manifest};
use crate::error::Error;
use crate::grants::{Decision, Target};
use crate::id::quoted;
use crate::search::MAX_QUERY;
use crate::tenant::Tenant;
use crate::workflow::{Graph, Links, Pin};

pub(super) fn routes() -> [Route; 9] {
    [
        Route::get("/v1/workflows", list, "listWorkflows", "List workflows, by name")
            .scope(Scope::Read)
            .query::<ListQuery>()
            .answers::<WorkflowPage<'_>>(),
        Route::post("/v1/workflows", create, "createWorkflow", "Save a workflow")
            .scope(Scope::Write)
            .once()
            .takes::<Create>()
            .creates::<Past<'_>>(),
        Route::get("/v1/workflows/{name}", show, "getWorkflow", "A workflow and its source")
            .scope(Scope::Read)
            .answers::<Past<'_>>(),
        Route::delete("/v1/workflows/{name}", delete, "deleteWorkflow", "Delete a workflow")
            .scope(Scope::Write)
            .query::<DeleteQuery>()
            .answers::<DeletedWorkflow<'_>>(),
        Route::get("/v1/workflows/{name}/history", history, "workflowHistory", "All its versions")
            .scope(Scope::Read)
            .answers::<History<'_>>(),
        Route::post(
            "/v1/workflows/{name}/restore",
            restore,
            "restoreWorkflow",
            "Put a name back to an earlier version",
        )
        .scope(Scope::Write)
        .takes::<Restore>()
        .answers::<Past<'_>>(),
        Route::get(
            "/v1/workflows/{name}/capabilities",
            capabilities,
            "workflowCapabilities",
            "What it can reach, through whatever it invokes, and what of that is granted",
        )
        .scope(Scope::Read)
        .answers::<Capabilities<'_>>(),
        Route::get("/v1/search", search, "searchWorkflows", "Find workflows by what they do")
            .scope(Scope::Read)
            .query::<SearchQuery>()
            .answers::<Found<'_>>(),
        Route::get("/v1/graph", graph, "workflowGraph", "Which workflow invokes which")
            .scope(Scope::Read)
            .answers::<Drawn<'_>>(),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many; 50 if not given.
    #[schemars(range(min = 1, max = MAX_PAGE))]
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct WorkflowPage<'a> {
    workflows: Vec<wire::Brief<'a>>,
    /// What the next page is after.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

pub(super) async fn list(caller: Caller<Read>, Asked(query): Asked<ListQuery>) -> Answered {
    let limit = page(query.limit)?;
    let mut found = caller.tenant.workflows_after(query.after.as_deref(), limit + 1).await?;
    let has_more = cut(&mut found, limit);
    let next = found.last().filter(|_| has_more).map(|last| last.name.as_str());
    Ok(Answer::of(&WorkflowPage { workflows: found.iter().map(Into::into).collect(), next })?)
}

pub(super) async fn create(
    caller: Caller<Write>,
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: JsonBody<Create>,
) -> Result<Response, Problem> {
    let (owner, tenant, new) = (caller.owner(), caller.tenant, body.value);
    let work = async move {
        tenant.check(&Target::Create)?;
        let workflow = tenant.add_workflow(new.name, new.source, new.description).await?;
        let path = format!("/v1/workflows/{}", workflow.name);
        Ok(Answer::created(&Past::from(&workflow), &path)?)
    };
    Box::pin(once(&state, &headers, owner, body.digest, work)).await
}

pub(super) async fn show(caller: Caller<Read>, Named(name): Named) -> Answered {
    let workflow = shown(&caller.tenant, &name).await?;
    Ok(Answer::of(&Past::from(&workflow))?)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    /// Whether it stays if other workflows name it.
    #[serde(default)]
    if_unused: bool,
}

#[derive(Serialize, JsonSchema)]
struct DeletedWorkflow<'a> {
    deleted: &'a str,
    /// Workflows that name it.
    broken: Vec<String>,
}

pub(super) async fn delete(
    caller: Caller<Write>,
    Named(name): Named,
    Asked(query): Asked<DeleteQuery>,
) -> Answered {
    let tenant = &caller.tenant;
    tenant.check(&Target::Delete)?;
    tenant.check(&Target::Workflow(&name))?;
    let deletion = if query.if_unused {
        tenant.delete_unused_workflow(&name).await?
    } else {
        tenant.delete_workflow(&name).await?
    };
    if !deletion.existed {
        let name = quoted(&name);
        return Err(Error::not_found(format!("there is no workflow {name} to delete")).into());
    }
    let broken = deletion.broken.iter().map(ToString::to_string).collect();
    Ok(Answer::of(&DeletedWorkflow { deleted: &name, broken })?)
}

#[derive(Serialize, JsonSchema)]
struct History<'a> {
    /// The newest first.
    versions: Vec<Past<'a>>,
}

pub(super) async fn history(caller: Caller<Read>, Named(name): Named) -> Answered {
    check_shown(&caller.tenant, &name)?;
    let versions = caller.tenant.history(&name).await?;
    Ok(Answer::of(&History { versions: versions.iter().map(Into::into).collect() })?)
}

pub(super) async fn restore(
    caller: Caller<Write>,
    Named(name): Named,
    body: JsonBody<Restore>,
) -> Answered {
    check_shown(&caller.tenant, &name)?;
    caller.tenant.check(&Target::Create)?;
    let workflow = caller.tenant.restore_workflow(&name, &body.value.version).await?;
    Ok(Answer::of(&Past::from(&workflow))?)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Capability")]
struct Entry<'a> {
    name: &'a str,
    /// `allow`, `ask` or `deny`; of computed names nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// Workflows whose source names it.
    named_by: &'a BTreeSet<String>,
}

#[derive(Serialize, JsonSchema)]
struct Capabilities<'a> {
    workflow: &'a str,
    tools: Vec<Entry<'a>>,
    workflows: Vec<Entry<'a>>,
    artifacts: Vec<Entry<'a>>,
    /// What is named by names that only a run knows.
    computed: Vec<Entry<'a>>,
    /// Workflows that are named, and that there are none of.
    missing: &'a BTreeSet<String>,
}

pub(super) async fn capabilities(caller: Caller<Read>, Named(name): Named) -> Answered {
    let tenant = &caller.tenant;
    check_shown(tenant, &name)?;
    let manifest = tenant.capabilities(&name).await?;
    Ok(Answer::of(&reached(tenant, &manifest))?)
}

fn reached<'a>(tenant: &Tenant, manifest: &'a Manifest) -> Capabilities<'a> {
    let entries = |named: &'a capabilities::Named, root: Option<&str>| {
        let entry = |(name, by): (&'a String, &'a BTreeSet<String>)| Entry {
            name,
            grant: root.map(|root| tenant.decision(root, name).to_string()),
            named_by: by,
        };
        named.iter().map(entry).collect()
    };
    Capabilities {
        workflow: &manifest.workflow,
        tools: entries(&manifest.tools, Some("tools")),
        workflows: entries(&manifest.workflows, Some("workflows")),
        artifacts: entries(&manifest.artifacts, Some("artifacts")),
        computed: entries(&manifest.computed, None),
        missing: &manifest.missing,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    /// What it should do, in words.
    #[schemars(length(min = 1, max = MAX_QUERY))]
    pub(super) query: String,
    /// How many; 50 if not given.
    #[schemars(range(min = 1, max = MAX_PAGE))]
    pub(super) limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Found<'a> {
    /// The best first.
    workflows: Vec<wire::Brief<'a>>,
}

pub(super) async fn search(caller: Caller<Read>, Asked(asked): Asked<SearchQuery>) -> Answered {
    let hits = caller.tenant.search(&asked.query, page(asked.limit)?).await?;
    Ok(Answer::of(&Found { workflows: hits.iter().map(Into::into).collect() })?)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Graph")]
struct Drawn<'a> {
    workflows: Vec<Node<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GraphNode")]
struct Node<'a> {
    name: &'a str,
    version: String,
    invokes: Vec<Edge<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GraphEdge")]
struct Edge<'a> {
    name: &'a str,
    /// What the name meant when the workflow was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// `unchanged`, `changed`, `new` or `missing` since then.
    state: &'static str,
}

pub(super) async fn graph(caller: Caller<Read>) -> Answered {
    let graph = caller.tenant.graph().await?;
    let is_shown =
        |links: &&Links| caller.tenant.decision("workflows", links.name.as_str()) < Decision::Deny;
    let nodes = graph.workflows.iter().filter(is_shown).map(|links| Node {
        name: links.name.as_str(),
        version: links.version.to_string(),
        invokes: links.invokes.iter().map(|pin| edge(pin, &graph)).collect(),
    });
    Ok(Answer::of(&Drawn { workflows: nodes.collect() })?)
}

fn edge<'a>(pin: &'a Pin, graph: &Graph) -> Edge<'a> {
    let state = match (pin.version, graph.version(&pin.name)) {
        (_, None) => "missing",
        (Some(then), Some(now)) if then == now => "unchanged",
        (Some(_), Some(_)) => "changed",
        (None, Some(_)) => "new",
    };
    let version = pin.version.map(|version| version.to_string());
    Edge { name: pin.name.as_str(), version, state }
}
