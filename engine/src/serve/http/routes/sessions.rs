//! `/v1/sessions`

use std::sync::{Arc, PoisonError};

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Run};
use super::super::body::JsonBody;
use super::super::events::{self, channel, stream};
use super::super::once::KEY;
use super::super::openapi::Route;
use super::super::problem::Problem;
use super::super::query::Named;
use super::super::state::State;
use super::super::tokens::Scope;
use super::super::wire;
use super::forms::{Deleted, OpenSession, SessionCode};
use super::runs::ended;
use crate::error::Error;

pub(super) fn routes() -> [Route; 4] {
    [
        Route::post("/v1/sessions", open, "openSession", "A sandbox that keeps its variables")
            .scope(Scope::Run)
            .takes::<OpenSession>()
            .creates::<Opened<'_>>(),
        Route::delete("/v1/sessions/{id}", end, "endSession", "End a session")
            .scope(Scope::Run)
            .answers::<Deleted<'_>>(),
        Route::post("/v1/sessions/{id}/run", run, "runInSession", "Run Python in a session")
            .scope(Scope::Run)
            .takes::<SessionCode>()
            .answers::<wire::Run<'_>>()
            .streams(),
        Route::post("/v1/sessions/{id}/reset", reset, "resetSession", "Forget its variables")
            .scope(Scope::Run)
            .answers::<Reset<'_>>(),
    ]
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Session")]
struct Opened<'a> {
    session_id: &'a str,
    /// It ends when it was idle for so long.
    idle_seconds: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionReset")]
struct Reset<'a> {
    reset: &'a str,
}

pub(super) async fn open(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    body: JsonBody<OpenSession>,
) -> Answered {
    let limits = body.value.limits.of(caller.tenant.limits())?;
    let session = caller.tenant.session().limits(limits);
    let id = state.sessions.open(caller.owner(), session)?;
    let opened = Opened { session_id: &id, idle_seconds: state.limits.session_idle.as_secs() };
    Ok(Answer::created(&opened, &format!("/v1/sessions/{id}"))?)
}

pub(super) async fn end(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    Named(id): Named,
) -> Answered {
    state.sessions.end(&caller.owner(), &id)?;
    Ok(Answer::of(&Deleted { deleted: &id })?)
}

pub(super) async fn reset(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    Named(id): Named,
) -> Answered {
    state.sessions.take(&caller.owner(), &id)?.session.reset();
    Ok(Answer::of(&Reset { reset: &id })?)
}

pub(super) async fn run(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    Named(id): Named,
    headers: HeaderMap,
    body: JsonBody<SessionCode>,
) -> Result<Response, Problem> {
    if headers.contains_key(KEY) {
        // What a call does depends on those before it: it is another one each time.
        return Err(Error::invalid_argument("a session's calls take no idempotency key").into());
    }
    let mut live = state.sessions.take(&caller.owner(), &id)?;
    let is_stream = events::wanted(&headers);
    let (sender, receiver) = channel();
    let listener = Arc::clone(&live.listener);
    *listener.lock().unwrap_or_else(PoisonError::into_inner) = is_stream.then_some(sender);
    let (code, sessions) = (body.value.code, Arc::clone(&state));
    let running = async move {
        let run = live.session.run(&code).await;
        // Idle from now on, however long that took.
        sessions.sessions.used(&id);
        run
    }
    .boxed();
    if is_stream {
        return Ok(stream(receiver, running, state.limits.request_time));
    }
    Ok(ended(running).await?.into_response())
}
