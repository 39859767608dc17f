//! `/v1/sessions`

use std::sync::{Arc, PoisonError};

use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use serde_json::json;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Run};
use super::super::body::JsonBody;
use super::super::events::{self, channel, stream};
use super::super::once::KEY;
use super::super::problem::Problem;
use super::super::query::Named;
use super::super::state::State;
use super::forms::{OpenSession, SessionCode};
use super::runs::ended;
use crate::error::Error;

pub(super) async fn open(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    body: JsonBody<OpenSession>,
) -> Answered {
    let limits = body.value.limits.of(caller.tenant.limits())?;
    let session = caller.tenant.session().limits(limits);
    let id = state.sessions.open(caller.owner(), session)?;
    let idle = state.limits.session_idle.as_secs();
    let path = format!("/v1/sessions/{id}");
    Ok(Answer::created(&json!({"session_id": id, "idle_seconds": idle}), &path)?)
}

pub(super) async fn end(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    Named(id): Named,
) -> Answered {
    state.sessions.end(&caller.owner(), &id)?;
    Ok(Answer::of(&json!({"deleted": id}))?)
}

pub(super) async fn reset(
    caller: Caller<Run>,
    Shared(state): Shared<Arc<State>>,
    Named(id): Named,
) -> Answered {
    state.sessions.take(&caller.owner(), &id)?.session.reset();
    Ok(Answer::of(&json!({"reset": id}))?)
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
