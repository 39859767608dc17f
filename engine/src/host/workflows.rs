//! The contract's `workflows`, and the trait that stands behind it.

use std::sync::Arc;

use async_trait::async_trait;
use repertoire_host_bindings::{calls, types, workflows};
use wasmtime::component::HasSelf;

use super::{Caller, blocking, gate, observed, read_arguments, starting, wire_parameter};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::grants::Target;
use crate::json::Json;
use crate::sandbox::{Call, HostState, RunContext};
use crate::tools::{CallContext, Registry, ToolInfo};
use crate::workflow::{Deletion, Hit, Version, Workflow};

/// The library as a running workflow sees it. `invoke.rs` implements it and
/// passes itself in, so that re-entry is no cycle between modules.
#[async_trait]
pub(crate) trait Workflows: Send + Sync {
    /// Analyses and saves a workflow, on the caller's budget.
    async fn create(
        &self,
        caller: &RunContext,
        name: &str,
        source: &str,
        description: &str,
    ) -> Result<Workflow>;

    /// The workflow of that name, if there is one.
    async fn get(&self, name: &str) -> Result<Option<Workflow>>;

    /// All workflows that the caller may run, by name.
    async fn list(&self, caller: &RunContext) -> Result<Vec<Workflow>>;

    /// The workflows nearest in meaning to `query` that the caller may run.
    async fn search(&self, caller: &RunContext, query: &str, limit: u32) -> Result<Vec<Hit>>;

    /// Deletes a workflow; if it is unused, or whether it is or not.
    async fn delete(&self, name: &str, if_unused: bool) -> Result<Deletion>;

    /// Everything that a name has meant, the newest first.
    async fn history(&self, name: &str) -> Result<Vec<Version>>;

    /// Makes a name mean again what it meant as that version.
    async fn restore(&self, name: &str, version: &str) -> Result<Workflow>;

    /// Runs a workflow on the caller's budget, with this seed; pinned to what it was created against, or not.
    async fn invoke(
        &self,
        caller: &RunContext,
        name: &str,
        arguments: Json,
        seed: u64,
        pinned: bool,
    ) -> Result<Json>;

    /// The tools nearest in meaning to `query`; here because it takes the same embedder.
    async fn search_tools(
        &self,
        tools: &Registry,
        query: &str,
        limit: u32,
        caller: &CallContext,
    ) -> Result<Vec<Arc<ToolInfo>>>;
}

impl workflows::Host for HostState {}

impl workflows::HostWithStore<HostState> for HasSelf<HostState> {
    async fn create(
        mut caller: Caller<'_>,
        name: String,
        source: String,
        description: String,
    ) -> wasmtime::Result<Result<workflows::Workflow, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("workflows.create", &(&name, &source, &description));
        let create = async move {
            let asked = serde_json::json!({ "name": &name, "description": &description, "source": &source });
            gate(&context, &Target::Create, &asked.into()).await?;
            let created = context.workflows.create(&context, &name, &source, &description).await?;
            Ok(wire_workflow(&created))
        };
        blocking(&mut caller, call, create).await
    }

    async fn get(
        mut caller: Caller<'_>,
        name: String,
    ) -> wasmtime::Result<Result<Option<workflows::Workflow>, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("workflows.get", &name);
        let get = async move {
            if !context.grants.permits(&Target::Workflow(&name)) {
                return Ok(None);
            }
            Ok(context.workflows.get(&name).await?.map(|found| wire_workflow(&found)))
        };
        blocking(&mut caller, call, get).await
    }

    async fn list(
        mut caller: Caller<'_>,
    ) -> wasmtime::Result<Result<Vec<workflows::Workflow>, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let list = async move {
            Ok(context.workflows.list(&context).await?.iter().map(wire_workflow).collect())
        };
        blocking(&mut caller, Call::of("workflows.list", &()), list).await
    }

    async fn search(
        mut caller: Caller<'_>,
        query: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<workflows::Hit>, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("workflows.search", &(&query, limit));
        let search = async move {
            let hits = context.workflows.search(&context, &query, limit).await?;
            Ok(hits
                .iter()
                .map(|hit| workflows::Hit {
                    workflow: wire_workflow(&hit.workflow),
                    score: rounded(hit.score),
                    matched: hit.matched.clone(),
                })
                .collect())
        };
        blocking(&mut caller, call, search).await
    }

    async fn delete(
        mut caller: Caller<'_>,
        name: String,
        if_unused: bool,
    ) -> wasmtime::Result<Result<workflows::Deletion, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("workflows.delete", &(&name, if_unused));
        let delete = async move {
            let asked = serde_json::json!({ "name": &name, "if_unused": if_unused });
            gate(&context, &Target::Delete, &asked.into()).await?;
            if !context.grants.permits(&Target::Workflow(&name)) {
                return Ok(workflows::Deletion { existed: false, broken: Vec::new() });
            }
            let Deletion { existed, broken } = context.workflows.delete(&name, if_unused).await?;
            let broken = broken.iter().map(ToString::to_string).collect();
            Ok(workflows::Deletion { existed, broken })
        };
        blocking(&mut caller, call, delete).await
    }

    async fn history(
        mut caller: Caller<'_>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<workflows::Creation>, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("workflows.history", &name);
        let creation = |version: &Version| workflows::Creation {
            workflow: wire_workflow(&version.workflow),
            deleted_at_ms: version.deleted_at.map(Timestamp::as_millis),
        };
        let history = async move {
            if !context.grants.permits(&Target::Workflow(&name)) {
                return Ok(Vec::new());
            }
            Ok(context.workflows.history(&name).await?.iter().map(creation).collect())
        };
        blocking(&mut caller, call, history).await
    }

    async fn restore(
        mut caller: Caller<'_>,
        name: String,
        version: String,
    ) -> wasmtime::Result<Result<workflows::Workflow, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("workflows.restore", &(&name, &version));
        let restore = async move {
            // It gives a name a meaning, as creating does.
            let asked = serde_json::json!({ "name": &name, "version": &version });
            gate(&context, &Target::Create, &asked.into()).await?;
            context.grants.check(&Target::Workflow(&name))?;
            Ok(wire_workflow(&context.workflows.restore(&name, &version).await?))
        };
        blocking(&mut caller, call, restore).await
    }

    async fn invoke(
        mut caller: Caller<'_>,
        name: String,
        arguments: types::Json,
        pinned: bool,
    ) -> wasmtime::Result<Result<types::Json, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::new(target(&name, pinned), arguments.as_str());
        let seed = context.next_seed();
        let invoke = invoke(context, name, arguments, seed, pinned);
        let invoke = async { Ok(invoke.await?.as_str().to_owned()) };
        blocking(&mut caller, call, invoke).await
    }

    async fn start_invoke(
        mut caller: Caller<'_>,
        name: String,
        arguments: types::Json,
        pinned: bool,
    ) -> wasmtime::Result<Result<calls::CallId, types::Error>> {
        let state = caller.data_mut();
        let (context, slots) = (Arc::clone(state.context()), Arc::clone(&state.calls.slots));
        let call = Call::new(format!("start {}", target(&name, pinned)), arguments.as_str());
        let held = state.calls.hold(name.len() + arguments.len());
        let seed = context.next_seed();
        let invoke = async move {
            let _held = held?;
            let _slot = slots
                .acquire_owned()
                .await
                .map_err(|error| Error::internal("run slots are closed").with_source(error))?;
            invoke(context, name, arguments, seed, pinned).await
        };
        starting(&mut caller, call, invoke).await
    }
}

async fn invoke(
    context: Arc<RunContext>,
    name: String,
    arguments: String,
    seed: u64,
    pinned: bool,
) -> Result<Json> {
    let arguments = read_arguments(arguments)?;
    gate(&context, &Target::Workflow(&name), &arguments).await?;
    let shown = || target(&name, pinned);
    let work = context.workflows.invoke(&context, &name, arguments, seed, pinned);
    observed(&context, shown, work).await
}

/// What is invoked, as Python would write it.
fn target(name: &str, pinned: bool) -> String {
    let door = if pinned { "workflows.pinned" } else { "workflows" };
    format!("{door}.{name}")
}

/// A score in steps of a millionth: whose decimal form, which is what is
/// recorded, reads as the same number again.
fn rounded(score: f64) -> f64 {
    (score * 1e6).round() / 1e6
}

fn wire_workflow(workflow: &Workflow) -> workflows::Workflow {
    let signature = &workflow.analysis.signature;
    workflows::Workflow {
        name: workflow.name.to_string(),
        description: workflow.description.clone(),
        source: workflow.source.to_string(),
        digest: workflow.digest.to_string(),
        version: workflow.version.to_string(),
        invokes: workflow
            .invokes
            .iter()
            .map(|pin| workflows::Pin {
                name: pin.name.to_string(),
                version: pin.version.map(|version| version.to_string()),
            })
            .collect(),
        signature: format!("{}{}", workflow.name, signature.text),
        parameters: signature.parameters.iter().map(wire_parameter).collect(),
        returns: signature.returns.as_str().to_owned(),
        created_at_ms: workflow.created_at.as_millis(),
        warnings: workflow
            .analysis
            .warnings
            .iter()
            .map(|warning| format!("line {}: {}", warning.line, warning.message))
            .collect(),
    }
}
