//! What a client is answered.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::problem::Problem;
use crate::error::{Error, Result};

/// An answer as JSON. Cheap to clone, so that it can be kept.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
    location: Option<HeaderValue>,
}

/// What a route answers.
pub(super) type Answered = Result<Answer, Problem>;

impl Answer {
    /// What was asked for.
    pub(super) fn of(value: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_vec(value)
            .map_err(|error| Error::internal("an answer has no JSON form").with_source(error))?;
        Ok(Self { status: StatusCode::OK, body: text.into(), location: None })
    }

    /// Something that there is now, at this path. Names in it are of ASCII letters and digits.
    pub(super) fn created(value: &impl Serialize, path: &str) -> Result<Self> {
        let location = HeaderValue::try_from(path).ok();
        Ok(Self { status: StatusCode::CREATED, location, ..Self::of(value)? })
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.body.len() + self.location.as_ref().map_or(0, HeaderValue::len)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(location) = self.location {
            headers.insert(LOCATION, location);
        }
        response
    }
}
