//! The paths, and what lies at each.

mod workflows;
mod runs;
mod sessions;
mod records;
mod artifacts;
mod tools;
mod forms;

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::auth::{Caller, Nothing};
use super::problem::Problem;
use super::state::State;
use super::{health, openapi};
use crate::clock::Stopwatch;
use crate::error::{Code, Error};

/// All routes. Whatever is not named here needs a token, too: nobody else is told what there is.
pub(super) fn router(state: &Arc<State>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/v1/workflows", get(workflows::list).post(workflows::create))
        .route("/v1/workflows/{name}", get(workflows::show).delete(workflows::delete))
        .route("/v1/workflows/{name}/history", get(workflows::history))
        .route("/v1/workflows/{name}/restore", post(workflows::restore))
        .route("/v1/workflows/{name}/capabilities", get(workflows::capabilities))
        .route("/v1/workflows/{name}/invoke", post(runs::invoke))
        .route("/v1/search", get(workflows::search))
        .route("/v1/graph", get(workflows::graph))
        .route("/v1/run", post(runs::run))
        .route("/v1/sessions", post(sessions::open))
        .route("/v1/sessions/{id}", axum::routing::delete(sessions::end))
        .route("/v1/sessions/{id}/run", post(sessions::run))
        .route("/v1/sessions/{id}/reset", post(sessions::reset))
        .route("/v1/runs", get(records::list))
        .route("/v1/runs/{id}", get(records::show))
        .route("/v1/runs/{id}/approve", post(records::approve))
        .route("/v1/runs/{id}/deny", post(records::deny))
        .route("/v1/artifacts", get(artifacts::list))
        .route(
            "/v1/artifacts/{*name}",
            get(artifacts::load).put(artifacts::save).delete(artifacts::delete),
        )
        .route("/v1/tools", get(tools::list))
        .route("/v1/tools/search", get(tools::search))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(state), around))
        .with_state(Arc::clone(state))
}

async fn no_such_path(_: Caller<Nothing>) -> Problem {
    Problem::no_such_path()
}

async fn method_not_allowed(_: Caller<Nothing>) -> Problem {
    Problem::method_not_allowed()
}

/// What is done around each request: a bound on its time, and a line in the log.
async fn around(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let started = Stopwatch::start();
    let method: Method = request.method().clone();
    // Names in paths are the tenant's business.
    let path = request.extensions().get::<MatchedPath>().cloned();
    let answered = tokio::time::timeout(state.limits.request_time, Box::pin(next.run(request)));
    let mut response = answered.await.unwrap_or_else(|_| {
        Problem::from(Error::new(Code::TimedOut, "the request took too long")).into_response()
    });
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    tracing::info!(
        %method,
        path = path.as_ref().map_or("", MatchedPath::as_str),
        status = response.status().as_u16(),
        took_ms = started.elapsed().as_millis(),
        "request"
    );
    response
}
