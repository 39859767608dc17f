//! The contract's `workflows`, and the trait that stands behind it.

use std::sync::Arc;

use async_trait::async_trait;
use repertoire_host_bindings::{calls, types, workflows};
use wasmtime::component::HasSelf;

use super::{Caller, blocking, gate, observed, read_arguments, starting, wire_parameter};
use crate::error::{Error, Result};
use crate::grants::Target;
use crate::json::Json;
use crate::sandbox::{Call, HostState, RunContext};
use crate::tools::{CallContext, Registry, ToolInfo};
use crate::workflow::{Hit, Workflow};

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

    /// Deletes a workflow; false if there was none.
    async fn delete(&self, name: &str) -> Result<bool>;

    /// Runs a workflow on the caller's budget, with this seed.
    async fn invoke(
        &self,
        caller: &RunContext,
        name: &str,
        arguments: Json,
        seed: u64,
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
                })
                .collect())
        };
        blocking(&mut caller, call, search).await
    }

    async fn delete(
        mut caller: Caller<'_>,
        name: String,
    ) -> wasmtime::Result<Result<bool, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("workflows.delete", &name);
        let delete = async move {
            gate(&context, &Target::Delete, &serde_json::json!({ "name": &name }).into()).await?;
            if !context.grants.permits(&Target::Workflow(&name)) {
                return Ok(false);
            }
            context.workflows.delete(&name).await
        };
        blocking(&mut caller, call, delete).await
    }

    async fn invoke(
        mut caller: Caller<'_>,
        name: String,
        arguments: types::Json,
    ) -> wasmtime::Result<Result<types::Json, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::new(format!("workflows.{name}"), arguments.as_str());
        let seed = context.next_seed();
        let invoke = invoke(context, name, arguments, seed);
        let invoke = async { Ok(invoke.await?.as_str().to_owned()) };
        blocking(&mut caller, call, invoke).await
    }

    async fn start_invoke(
        mut caller: Caller<'_>,
        name: String,
        arguments: types::Json,
    ) -> wasmtime::Result<Result<calls::CallId, types::Error>> {
        let state = caller.data_mut();
        let (context, slots) = (Arc::clone(state.context()), Arc::clone(&state.calls.slots));
        let call = Call::new(format!("start workflows.{name}"), arguments.as_str());
        let held = state.calls.hold(name.len() + arguments.len());
        let seed = context.next_seed();
        let invoke = async move {
            let _held = held?;
            let _slot = slots
                .acquire_owned()
                .await
                .map_err(|error| Error::internal("run slots are closed").with_source(error))?;
            invoke(context, name, arguments, seed).await
        };
        starting(&mut caller, call, invoke).await
    }
}

async fn invoke(
    context: Arc<RunContext>,
    name: String,
    arguments: String,
    seed: u64,
) -> Result<Json> {
    let arguments = read_arguments(arguments)?;
    gate(&context, &Target::Workflow(&name), &arguments).await?;
    let target = || format!("workflows.{name}");
    observed(&context, target, context.workflows.invoke(&context, &name, arguments, seed)).await
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
