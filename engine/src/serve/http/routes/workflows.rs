//! `/v1/workflows`, `/v1/search`, `/v1/graph`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Read, Write};
use super::super::body::JsonBody;
use super::super::once::once;
use super::super::problem::Problem;
use super::super::query::{Asked, Named, page};
use super::super::state::State;
use super::super::{check_shown, shown, wire};
use super::forms::{Create, Past, Restore};
use crate::capabilities::{self, Manifest};
use crate::error::Error;
use crate::grants::{Decision, Target};
use crate::id::quoted;
use crate::tenant::Tenant;
use crate::workflow::{Graph, Links, Pin};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    after: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    workflows: Vec<wire::Brief<'a>>,
    /// What the next page is after.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

pub(super) async fn list(caller: Caller<Read>, Asked(query): Asked<ListQuery>) -> Answered {
    let limit = page(query.limit)?;
    // One more shows whether there is another page.
    let mut found = caller.tenant.workflows_after(query.after.as_deref(), limit + 1).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.name.as_str());
    Ok(Answer::of(&List { workflows: found.iter().map(Into::into).collect(), next })?)
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    #[serde(default)]
    if_unused: bool,
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
    let broken: Vec<_> = deletion.broken.iter().map(ToString::to_string).collect();
    Ok(Answer::of(&json!({"deleted": name, "broken": broken}))?)
}

pub(super) async fn history(caller: Caller<Read>, Named(name): Named) -> Answered {
    check_shown(&caller.tenant, &name)?;
    let versions = caller.tenant.history(&name).await?;
    let versions: Vec<Past<'_>> = versions.iter().map(Into::into).collect();
    Ok(Answer::of(&json!({"versions": versions}))?)
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

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    /// `allow`, `ask` or `deny`; of computed names nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    named_by: &'a BTreeSet<String>,
}

#[derive(Serialize)]
struct Capabilities<'a> {
    workflow: &'a str,
    tools: Vec<Entry<'a>>,
    workflows: Vec<Entry<'a>>,
    artifacts: Vec<Entry<'a>>,
    computed: Vec<Entry<'a>>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    pub(super) query: String,
    pub(super) limit: Option<usize>,
}

pub(super) async fn search(caller: Caller<Read>, Asked(asked): Asked<SearchQuery>) -> Answered {
    let hits = caller.tenant.search(&asked.query, page(asked.limit)?).await?;
    let hits: Vec<wire::Brief<'_>> = hits.iter().map(Into::into).collect();
    Ok(Answer::of(&json!({"workflows": hits}))?)
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
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
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
    Ok(Answer::of(&json!({"workflows": nodes.collect::<Vec<_>>()}))?)
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
