//! Names in paths, and what follows a question mark.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::limits::{MAX_PAGE, USUAL_PAGE};
use super::problem::Problem;
use super::state::State;
use crate::error::{Error, Result as EngineResult};

/// The one name in a path. What a name may be, the engine says.
pub(super) struct Named(pub(super) String);

impl FromRequestParts<Arc<State>> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        // Percent-encoded bytes that are no UTF-8.
        let Path(name) = path.map_err(|error| Error::invalid_argument(error.body_text()))?;
        Ok(Self(name))
    }
}

/// A query that is a `T`.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<State>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, Problem> {
        let Query(asked) = Query::try_from_uri(&parts.uri)
            .map_err(|error| Error::invalid_argument(error.body_text()))?;
        Ok(Self(asked))
    }
}

/// Cuts a list for which one more was asked to a page; whether there is another page.
pub(super) fn cut<T>(found: &mut Vec<T>, limit: usize) -> bool {
    let has_more = found.len() > limit;
    found.truncate(limit);
    has_more
}

/// How many of a list are asked for.
pub(super) fn page(limit: Option<usize>) -> EngineResult<usize> {
    match limit.unwrap_or(USUAL_PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        _ => Err(Error::invalid_argument(format!("limit is between 1 and {MAX_PAGE}"))),
    }
}
