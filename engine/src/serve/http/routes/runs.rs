//! `/v1/workflows/{name}/invoke` and `/v1/run`

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::FutureExt;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Owner, Run};
use super::super::body::JsonBody;
use super::super::events::{self, Running, channel, stream};
use super::super::once::{KEY, once};
use super::super::openapi::Route;
use super::super::problem::Problem;
use super::super::query::Named;
use super::super::state::State;
use super::super::tokens::Scope;
use super::super::wire;
use super::forms::{Code, Invoke};
use crate::error::{Error, Result as EngineResult};
use crate::run::{Event, Run as Record};

pub(super) fn routes() -> [Route; 2] {
    [
        Route::post("/v1/workflows/{name}/invoke", invoke, "invokeWorkflow", "Run a workflow")
            .scope(Scope::Run)
            .once()
            .takes::<Invoke>()
            .answers::<wire::Run<'_>>()
            .streams(),
        Route::post("/v1/run", run, "runCode", "Run Python in a sandbox of its own")
            .scope(Scope::Run)
            .once()
            .takes::<Code>()
            .answers::<wire::Run<'_>>()
            .streams(),
    ]
}

/// Who is told what a run does.
type Sink = Box<dyn Fn(Event) + Send + Sync>;

pub(super) async fn invoke(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    Named(name): Named,
    headers: HeaderMap,
    body: JsonBody<Invoke>,
) -> Result<Response, Problem> {
    let (owner, tenant) = (caller.owner(), caller.tenant);
    let limits = body.value.limits.of(tenant.limits())?;
    let arguments = body.value.arguments()?;
    let run = move |sink: Option<Sink>| {
        async move {
            let mut invocation = tenant.invocation(&name).arguments(arguments).limits(limits);
            if let Some(sink) = sink {
                invocation = invocation.on_event(sink);
            }
            invocation.run().await
        }
        .boxed()
    };
    answer(&state, &headers, owner, body.digest, run).await
}

pub(super) async fn run(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    body: JsonBody<Code>,
) -> Result<Response, Problem> {
    let (owner, tenant) = (caller.owner(), caller.tenant);
    let limits = body.value.limits.of(tenant.limits())?;
    let code = body.value.code;
    let run = move |sink: Option<Sink>| {
        async move {
            let mut session = tenant.session().limits(limits);
            if let Some(sink) = sink {
                session = session.on_event(sink);
            }
            session.run(&code).await
        }
        .boxed()
    };
    answer(&state, &headers, owner, body.digest, run).await
}

/// Runs, and answers once it is over, or streams what it does.
async fn answer(
    state: &Arc<State>,
    headers: &HeaderMap,
    owner: Owner,
    digest: [u8; 32],
    run: impl FnOnce(Option<Sink>) -> Running,
) -> Result<Response, Problem> {
    if !events::wanted(headers) {
        let running = run(None);
        return Box::pin(once(state, headers, owner, digest, ended(running))).await;
    }
    if headers.contains_key(KEY) {
        return Err(Error::invalid_argument(
            "a stream of events cannot be sent again: leave out the idempotency key, or ask for \
             application/json",
        )
        .into());
    }
    let (sender, receiver) = channel();
    let running = run(Some(Box::new(move |event| {
        // A client that is gone is told nothing.
        let _ = sender.send(event);
    })));
    Ok(stream(receiver, running, state.limits.request_time))
}

/// A run that raised or met a limit is an answer like any other.
pub(super) async fn ended(running: impl Future<Output = EngineResult<Record>>) -> Answered {
    let run = running.await?;
    Ok(Answer::of(&wire::Run::from(&run))?)
}
