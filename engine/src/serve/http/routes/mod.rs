//! The paths, and what lies at each.

mod workflows;
mod runs;
mod sessions;
mod records;
mod artifacts;
mod tools;
mod usage;
mod forms;

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::auth::{Caller, Nothing};
use super::health::{self, Status};
use super::mcp;
use super::openapi::{self, Route};
use super::problem::Problem;
use super::state::State;
use crate::clock::Stopwatch;
use crate::error::{Code, Error};

/// All routes. Whatever is not named here needs a token, too: nobody else is told what there is.
pub(super) fn router(state: &Arc<State>) -> Router {
    all()
        .into_iter()
        .fold(Router::new(), |router, route| route.add_to(router))
        .route("/mcp", any(mcp::serve))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(state), around))
        .with_state(Arc::clone(state))
}

/// What is served, and what the document says of it.
pub(super) fn all() -> Vec<Route> {
    let mut all = vec![
        Route::get("/healthz", health::healthz, "health", "Whether the process answers")
            .open()
            .answers::<Status<'_>>(),
        Route::get("/readyz", health::readyz, "readiness", "Whether requests can be served")
            .open()
            .answers::<Status<'_>>(),
        Route::get("/v1/openapi.json", openapi::serve, "openapi", "This document")
            .answers::<serde_json::Map<String, serde_json::Value>>(),
    ];
    all.extend(workflows::routes());
    all.extend(runs::routes());
    all.extend(sessions::routes());
    all.extend(records::routes());
    all.extend(artifacts::routes());
    all.extend(tools::routes());
    all.extend(usage::routes());
    all
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
