//! Bodies of requests: how large they may be, and what they may be.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::limits::ROOM_TIME;
use super::problem::Problem;
use super::state::State;
use crate::error::Error;
use crate::json::Json;

/// A body of JSON that is a `T`.
pub(super) struct JsonBody<T> {
    pub(super) value: T,
    /// Of the method, the path and the bytes.
    pub(super) digest: [u8; 32],
    /// Counts the body as in memory as long as the request is worked on.
    #[expect(dead_code, reason = "held, and given back when dropped")]
    pub(super) room: OwnedSemaphorePermit,
}

impl<T: DeserializeOwned> FromRequest<Arc<State>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_json(&parts.headers)?;
        let (bytes, room) = whole(&parts.headers, body, state.limits.body_bytes, state).await?;
        let mut digest = Sha256::new();
        for part in [parts.method.as_str(), parts.uri.path()] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.update(&bytes);
        let value = parse(&bytes)?;
        Ok(Self { value, digest: digest.finalize().into(), room })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::invalid_argument("the body is not UTF-8").with_source(error))?;
    // Checks the depth first: nothing that is nested deeper is parsed.
    let json = Json::parse(text)
        .map_err(|error| Error::invalid_argument("the body").with_source(error))?;
    if !json.is_object() {
        return Err(Problem::unprocessable("the body is no JSON object"));
    }
    serde_json::from_str(json.as_str())
        .map_err(|error| Problem::unprocessable(format!("the body: {error}")))
}

fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = media_type(headers).split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::unsupported_type(
            "send JSON, with the header `Content-Type: application/json`",
        ));
    }
    check_encoding(headers)
}

/// The type that a request says its body has; empty if it says none that can be read.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Refuses compressed bodies: what they hold is not bounded by what is sent.
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Problem::unsupported_type("compressed bodies are not taken"))
        }
        _ => Ok(()),
    }
}

/// How long a body says it is.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// All of a body, which may have so many bytes, and the room that it takes.
pub(super) async fn whole(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    state: &State,
) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
    let announced = length(headers);
    let too_large = || Problem::too_large(most as u64);
    let expected = match announced.map(usize::try_from) {
        Some(Ok(bytes)) if bytes <= most => bytes,
        Some(_) => return Err(too_large()),
        // Nobody knows before it is there.
        None => most,
    };
    let mut room = room(expected, state).await?;
    let read = async {
        let mut stream = body.into_data_stream();
        // Not what is announced: room is taken by what arrives.
        let mut bytes = BytesMut::new();
        while let Some(piece) = next(&mut stream).await? {
            if bytes.len() + piece.len() > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    };
    let bytes = timeout(state.limits.body_time, read).await.map_err(|_| Problem::too_slow())??;
    // What was reserved and not needed.
    let rest = room.num_permits().saturating_sub(kib(bytes.len()) as usize);
    drop(room.split(rest));
    Ok((bytes, room))
}

/// The next bytes of a body; none at its end.
pub(super) async fn next(stream: &mut BodyDataStream) -> Result<Option<Bytes>, Problem> {
    stream.next().await.transpose().map_err(|error| {
        Error::invalid_argument("the body was cut short").with_source(error).into()
    })
}

/// Room in memory for so many bytes.
pub(super) async fn room(bytes: usize, state: &State) -> Result<OwnedSemaphorePermit, Problem> {
    let acquire = Arc::clone(&state.bodies).acquire_many_owned(kib(bytes));
    match timeout(ROOM_TIME, acquire).await {
        Ok(Ok(room)) => Ok(room),
        _ => Err(Problem::busy("too many large requests are under way; try again later")),
    }
}

fn kib(bytes: usize) -> u32 {
    // A body of nothing counts, too: it is a request.
    u32::try_from(bytes.div_ceil(1 << 10).max(1)).unwrap_or(u32::MAX)
}
