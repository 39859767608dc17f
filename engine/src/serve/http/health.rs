//! Whether the server lives, and whether it can work.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;

use super::answer::{Answer, Answered};
use super::auth::token;
use super::state::State;
use super::tokens::Scope;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};

/// What was found out last.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<Known>>);

struct Known {
    since: Stopwatch,
    report: Report,
}

/// What is wrong, for who runs the server; each `ok`, or why not.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Readiness")]
struct Report {
    component: String,
    storage: String,
    model: String,
}

impl Report {
    fn is_ready(&self) -> bool {
        [&self.component, &self.storage, &self.model].into_iter().all(|one| one == OK)
    }
}

const OK: &str = "ok";

#[derive(Serialize, JsonSchema)]
pub(super) struct Status<'a> {
    /// `ok`, `ready` or `not-ready`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<&'a Report>,
}

/// The process answers.
pub(super) async fn healthz() -> Answered {
    Ok(Answer::of(&Status { status: OK, checks: None })?)
}

/// Whether requests can be served. Anybody is told that much; why not, only who has a token for it.
pub(super) async fn readyz(Shared(state): Shared<Arc<State>>, parts: Parts) -> Response {
    let report = state.readiness.report(&state).await;
    let (code, status) = if report.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not-ready")
    };
    let may_know = token(&parts, &state).is_ok_and(|token| token.allows(Scope::Admin));
    match Answer::of(&Status { status, checks: may_know.then_some(&report) }) {
        Ok(answer) => (code, answer).into_response(),
        Err(error) => super::problem::Problem::from(error).into_response(),
    }
}

impl Readiness {
    /// Looks once in a while, however many ask.
    async fn report(&self, state: &State) -> Report {
        let mut known = self.0.lock().await;
        let fresh =
            known.as_ref().filter(|known| known.since.elapsed() < state.limits.readiness_for);
        if let Some(known) = fresh {
            return known.report.clone();
        }
        let found = state.engine.readiness().await;
        let writable = writable(state);
        let report = Report {
            // There is no engine without.
            component: OK.to_owned(),
            storage: said(&found.storage.and(writable)),
            model: said(&found.model),
        };
        if !report.is_ready() {
            tracing::warn!(storage = report.storage, model = report.model, "not ready");
        }
        *known = Some(Known { since: Stopwatch::start(), report: report.clone() });
        report
    }
}

fn said(result: &Result<()>) -> String {
    result.as_ref().map_or_else(Error::chain, |()| OK.to_owned())
}

/// Whether a file can be created where the data lies.
fn writable(state: &State) -> Result<()> {
    let directory = state.tokens.file().directory();
    tempfile::Builder::new().prefix(".ready-").tempfile_in(directory).map(drop).map_err(|error| {
        Error::unavailable("the data directory cannot be written").with_source(error)
    })
}
