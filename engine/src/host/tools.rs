//! The contract's `tools`: the registry of the run's tenant.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use repertoire_host_bindings::{calls, tools, types};
use wasmtime::component::HasSelf;

use super::{Caller, blocking, gate, observed, read_arguments, starting, wire_parameter};
use crate::capabilities::{reachable, visible_tool};
use crate::error::{Error, Result};
use crate::grants::Target;
use crate::id::quoted;
use crate::json::Json;
use crate::sandbox::{Call, HostState, RunContext};
use crate::tools::{CallContext, ToolInfo};

impl tools::Host for HostState {}

impl tools::HostWithStore<HostState> for HasSelf<HostState> {
    async fn list(mut caller: Caller<'_>) -> wasmtime::Result<Vec<tools::Tool>> {
        let context = Arc::clone(caller.data_mut().context());
        let list = async move {
            let tools = reachable(&context.grants, &context.tools);
            let all = tools.list_for(&bounds(&context)).await;
            let visible = all.iter().filter_map(|tool| visible_tool(&context.grants, tool));
            Ok(visible.map(|tool| wire_tool(&tool)).collect::<Vec<_>>())
        };
        // Listing has no error; servers that cannot be started are listed as such.
        Ok(blocking(&mut caller, Call::of("tools.list", &()), list).await?.unwrap_or_default())
    }

    async fn get(
        mut caller: Caller<'_>,
        name: String,
    ) -> wasmtime::Result<Result<tools::Tool, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("tools.get", &name);
        blocking(&mut caller, call, async move {
            let tools = reachable(&context.grants, &context.tools);
            let tool = tools.get_for(&name, &bounds(&context)).await?;
            let visible = visible_tool(&context.grants, &tool);
            let none = || Error::not_found(format!("there is no tool {}", quoted(&name)));
            visible.map(|tool| wire_tool(&tool)).ok_or_else(none)
        })
        .await
    }

    async fn search(
        mut caller: Caller<'_>,
        query: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<tools::Tool>, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("tools.search", &(&query, limit));
        blocking(&mut caller, call, async move {
            // What may not be called takes no place from what may.
            let tools = reachable(&context.grants, &context.tools);
            let all =
                context.workflows.search_tools(&tools, &query, u32::MAX, &bounds(&context)).await?;
            let visible = all.iter().filter_map(|tool| visible_tool(&context.grants, tool));
            Ok(visible.take(limit as usize).map(|tool| wire_tool(&tool)).collect())
        })
        .await
    }

    async fn call(
        mut caller: Caller<'_>,
        tool: String,
        callable: String,
        arguments: types::Json,
    ) -> wasmtime::Result<Result<types::Json, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let taped = Call::new(target(&tool, &callable), arguments.as_str());
        let call = call(context, tool, callable, arguments);
        let call = async { Ok(call.await?.as_str().to_owned()) };
        blocking(&mut caller, taped, call).await
    }

    async fn start(
        mut caller: Caller<'_>,
        tool: String,
        callable: String,
        arguments: types::Json,
    ) -> wasmtime::Result<Result<calls::CallId, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let taped = Call::new(format!("start {}", target(&tool, &callable)), arguments.as_str());
        let held = caller.data_mut().calls.hold(tool.len() + callable.len() + arguments.len());
        let call = async move {
            let _held = held?;
            call(context, tool, callable, arguments).await
        };
        starting(&mut caller, taped, call).await
    }
}

fn target(tool: &str, callable: &str) -> String {
    match callable {
        "" => format!("tools.{tool}"),
        callable => format!("tools.{tool}.{callable}"),
    }
}

fn bounds(context: &RunContext) -> CallContext {
    CallContext {
        tenant: context.tenant.clone(),
        run: Some(context.run),
        deadline: Some(context.budget.deadline()),
    }
}

async fn call(
    context: Arc<RunContext>,
    tool: String,
    callable: String,
    arguments: String,
) -> Result<Json> {
    let arguments = read_arguments(arguments)?;
    gate(&context, &Target::Tool { tool: &tool, callable: &callable }, &arguments).await?;
    let bounds = bounds(&context);
    if let Some(account) = context.slot.account() {
        account.call_tool()?;
    }
    context.budget.count_tool_call();
    let target = || target(&tool, &callable);
    let tools = reachable(&context.grants, &context.tools);
    let work = tools.call(&tool, &callable, &arguments, &bounds);
    // A tool's bug ends one call, not the embedder's task: what the panic could
    // leave half done is the tool's own.
    let work = AssertUnwindSafe(work).catch_unwind().map(|answer| {
        answer.unwrap_or_else(|_| {
            Err(Error::internal(format!(
                "tool {} panicked; the host's log says more",
                quoted(&tool)
            )))
        })
    });
    observed(&context, target, work).await
}

fn wire_tool(tool: &ToolInfo) -> tools::Tool {
    tools::Tool {
        name: tool.name.to_string(),
        description: tool.description.clone(),
        tags: tool.tags.clone(),
        callables: tool
            .callables
            .iter()
            .map(|callable| tools::Callable {
                name: callable.name.clone(),
                description: callable.description.clone(),
                parameters: callable.parameters.iter().map(wire_parameter).collect(),
            })
            .collect(),
    }
}
