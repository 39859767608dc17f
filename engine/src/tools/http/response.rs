//! A response to a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use reqwest::header::{self, HeaderMap};
use reqwest::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::is_retryable;
use crate::error::{Code, Error, Result};
use crate::json::Json;
use crate::tools::secrets::Scrubber;
use crate::tools::spec::http::{Answer, Endpoint, HttpSpec};

/// How much of an error's body is kept.
const MAX_ERROR_BODY: usize = 8 * 1024;

/// How much of it a message shows, in characters.
const MAX_SHOWN: usize = 200;

/// Reads a response to its end, or as far as it may go on.
pub(super) async fn read(
    spec: &HttpSpec,
    endpoint: &Endpoint,
    response: Response,
    scrubber: &Scrubber,
) -> Result<Json> {
    let (status, headers) = (response.status(), response.headers().clone());
    let is_error = status.is_client_error() || status.is_server_error();
    if is_error && endpoint.answer != Answer::Response {
        // Of an error the beginning says what it is; how much follows does not matter.
        // Scrubbed before it is cut, for half a secret would not be found.
        let most = MAX_ERROR_BODY + scrubber.longest();
        let body = bounded(spec, response, most, true).await.unwrap_or_default();
        return Err(refused(spec, status, &headers, &body, scrubber));
    }
    // What `gzip` has been taken off is no longer said here.
    if let Some(encoding) =
        headers.get(header::CONTENT_ENCODING).filter(|value| *value != "identity")
    {
        return Err(failed(
            spec,
            &format!("its answer is compressed as {encoding:?}, which was not asked for"),
            json!({ "status": status.as_u16(), "retryable": false }),
        ));
    }
    let body = bounded(spec, response, spec.max_output, false).await?;
    let value = match endpoint.answer {
        Answer::Text => return Json::from_value(&String::from_utf8_lossy(&body)),
        Answer::Auto => return auto(spec, &headers, &body),
        Answer::Response => auto(spec, &headers, &body)?,
    };
    // A header that is there twice is joined, as it may be; cookies are not.
    let mut shown = Map::new();
    for (name, value) in &headers {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match shown.get_mut(name.as_str()) {
            Some(Value::String(before)) => before.push_str(&format!(", {text}")),
            _ => {
                shown.insert(name.as_str().to_owned(), Value::from(text));
            }
        }
    }
    Json::parse(format!(
        r#"{{"status":{},"headers":{},"body":{value}}}"#,
        status.as_u16(),
        Value::Object(shown)
    ))
}

/// What a body says, by its media type.
fn auto(spec: &HttpSpec, headers: &HeaderMap, body: &[u8]) -> Result<Json> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if body.is_empty() {
        return Ok(Json::null());
    }
    if essence == "application/json" || essence.ends_with("+json") {
        let text = String::from_utf8_lossy(body).into_owned();
        return Json::parse(text).map_err(|error| {
            let problem =
                format!("its answer says that it is JSON, and is not: {}", error.message());
            failed(spec, &problem, json!({ "status": null, "retryable": false }))
        });
    }
    let is_text = essence.starts_with("text/")
        || essence.is_empty()
        || essence.ends_with("+xml")
        || matches!(
            essence.as_str(),
            "application/xml"
                | "application/javascript"
                | "application/yaml"
                | "application/x-ndjson"
        );
    match std::str::from_utf8(body) {
        Ok(text) if is_text => Json::from_value(text),
        _ if is_text => Json::from_value(&String::from_utf8_lossy(body)),
        _ => Ok(Json::from(json!({ "media_type": essence, "base64": STANDARD.encode(body) }))),
    }
}

/// A body's bytes, decompressed and counted while they are.
async fn bounded(spec: &HttpSpec, response: Response, max: usize, cut: bool) -> Result<Vec<u8>> {
    let mut stream = response.bytes_stream();
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            failed(spec, "its answer broke off", json!({ "status": null, "retryable": true }))
                .with_source(error.without_url())
        })?;
        let room = max - body.len();
        if chunk.len() > room {
            body.extend(chunk.iter().take(room));
            if cut {
                return Ok(body);
            }
            let problem =
                format!("its answer has more than {max} bytes, the `max_output` in {}", spec.file);
            return Err(failed(
                spec,
                &problem,
                json!({ "status": null, "retryable": false, "limit_bytes": max }),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refused(
    spec: &HttpSpec,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    scrubber: &Scrubber,
) -> Error {
    let text = String::from_utf8_lossy(body);
    let text = scrubber.text(&text);
    let text = text.get(..text.floor_char_boundary(MAX_ERROR_BODY)).unwrap_or(&text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let said: String = line.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let details = json!({
        "status": status.as_u16(), "body": text, "media_type": media_type,
        "retryable": is_retryable(status),
    });
    failed(spec, &format!("HTTP status {status}{said}"), details)
}

fn failed(spec: &HttpSpec, problem: &str, details: Value) -> Error {
    let message = format!("tool {}: {problem}", spec.info.name);
    Error::new(Code::ToolFailed, message).with_details(details.into())
}
