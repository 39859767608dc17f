//! What a client is told when its request was not done: RFC 9457.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::limits::RETRY_AFTER_SECONDS;
use super::tokens::Scope;
use crate::error::{Code, Error};
use crate::json::Json;

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    details: Option<Json>,
    challenge: Option<HeaderValue>,
    /// When to come back, in seconds.
    retry_after: Option<u64>,
}

/// Why a request was not done: RFC 9457.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Sent<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// Stable; for programs.
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Json>,
}

/// The one table of codes and statuses.
pub(super) const fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Denied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Conflict => StatusCode::CONFLICT,
        Code::InvalidSource
        | Code::InvalidResult
        | Code::Raised
        | Code::FuelExhausted
        | Code::MemoryExceeded
        | Code::OutputExceeded
        | Code::CallsExceeded
        | Code::DepthExceeded
        | Code::StackExhausted
        | Code::Trapped => StatusCode::UNPROCESSABLE_ENTITY,
        Code::ToolFailed => StatusCode::BAD_GATEWAY,
        Code::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Code::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        Code::Busy => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            details: None,
            challenge: None,
            retry_after: None,
        }
    }

    /// There is no such path.
    pub(super) fn no_such_path() -> Self {
        let detail = "there is nothing at this path; /v1/openapi.json says what there is";
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The path has other methods.
    pub(super) fn method_not_allowed() -> Self {
        let detail = "this path does not have that method; the header Allow says which it has";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
    }

    /// The request has no token, or none that is valid now.
    pub(super) fn unauthenticated(detail: &str, is_wrong: bool) -> Self {
        let challenge = if is_wrong {
            r#"Bearer realm="repertoire", error="invalid_token""#
        } else {
            r#"Bearer realm="repertoire""#
        };
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
        problem.challenge = Some(HeaderValue::from_static(challenge));
        problem
    }

    /// The token is valid, and not for this.
    pub(super) fn lacks_scope(scope: Scope) -> Self {
        let mut problem = Self::from(scope.lacking());
        let challenge =
            format!(r#"Bearer realm="repertoire", error="insufficient_scope", scope="{scope}""#);
        problem.challenge = HeaderValue::try_from(challenge).ok();
        problem
    }

    /// The body is larger than it may be.
    pub(super) fn too_large(most: u64) -> Self {
        let detail = format!("the request's body has more than {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// The body is of a type that is not taken here.
    pub(super) fn unsupported_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
    }

    /// The client took too long to send its request.
    pub(super) fn too_slow() -> Self {
        let detail = "the request's body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timed-out", detail)
    }

    /// The body is JSON, and not what is asked for.
    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-argument", detail)
    }

    /// What a program may do about it: come back later, say.
    pub(super) fn busy(detail: impl Into<String>) -> Self {
        Self::from(Error::new(Code::Busy, detail))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let mut problem = Self::new(status(error.code()), error.code().as_str(), error.chain());
        problem.details = error.details().cloned();
        problem.retry_after = retry_after(&error);
        // What comes back by itself is asked too often, and not too much.
        if error.code() == Code::QuotaExceeded && problem.retry_after.is_some() {
            problem.status = StatusCode::TOO_MANY_REQUESTS;
        }
        problem
    }
}

/// When it is worth to come back, in whole seconds.
fn retry_after(error: &Error) -> Option<u64> {
    let after = error.retry_after().map(|after| after.as_millis().div_ceil(1000));
    match (after, error.code()) {
        (Some(seconds), _) => Some(u64::try_from(seconds).unwrap_or(u64::MAX).max(1)),
        (None, Code::Busy) => Some(RETRY_AFTER_SECONDS),
        (None, _) => None,
    }
}

/// An error within a stream of events, whose status is sent already.
pub(super) fn text(error: Error) -> String {
    Problem::from(error).text()
}

impl Problem {
    fn text(&self) -> String {
        let sent = Sent {
            r#type: format!("urn:repertoire:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            details: self.details.as_ref(),
        };
        // Strings and JSON that was checked: it has a JSON form.
        serde_json::to_string(&sent).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.text()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
