//! Arguments to a request.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Request, Url};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::id::quoted;
use crate::json::Json;
use crate::tools::secrets::{Revealed, Secret, SecretName, Text};
use crate::tools::spec::http::{Auth, Endpoint, HttpSpec, Param, Place};

/// The longest address that is sent.
const MAX_URL: usize = 16 * 1024;

/// The request that a call is.
pub(super) async fn build(
    spec: &HttpSpec,
    endpoint: &Endpoint,
    arguments: &Json,
    revealed: &mut Revealed<'_>,
) -> Result<Request> {
    let given: BTreeMap<String, &RawValue> = serde_json::from_str(arguments.as_str())
        .map_err(|error| Error::invalid_argument(format!("tool {}: {error}", spec.info.name)))?;
    let value = |param: &Param| -> Option<String> {
        let given = given.get(&param.name).map(|value| value.get());
        given.or(param.default.as_ref().map(Json::as_str)).map(ToOwned::to_owned)
    };
    let refuse = |param: &Param, problem: &str| {
        Error::invalid_argument(format!(
            "tool {}: argument {} {problem}",
            spec.info.name, param.name
        ))
    };

    let mut path = endpoint.path.clone().unwrap_or_default();
    let (mut query, mut headers) = (Vec::new(), HeaderMap::new());
    let (mut fields, mut content, mut address) = (Vec::new(), None, None);
    for param in &endpoint.params {
        let Some(json) = value(param) else { continue };
        match param.place {
            Place::Path => {
                let text = texts(&json).join(",");
                if matches!(text.as_str(), "" | "." | "..") {
                    return Err(refuse(param, "is no name within a path"));
                }
                if climbs(&text) {
                    return Err(refuse(param, "has `..` between slashes"));
                }
                path = path.replace(&format!("{{{}}}", param.wire), &encoded(&text));
            }
            Place::Query => {
                query.extend(texts(&json).into_iter().map(|text| (param.wire.clone(), text)))
            }
            Place::Header => {
                let name = HeaderName::from_bytes(param.wire.as_bytes())
                    .map_err(|_| refuse(param, "has no name that a header can have"))?;
                let text = texts(&json).join(", ");
                // Refuses line breaks, with which one header would become two.
                let value = HeaderValue::from_str(&text)
                    .map_err(|_| refuse(param, "has a character that a header cannot have"))?;
                headers.insert(name, value);
            }
            Place::Field => fields.push(format!("{}:{json}", Value::from(param.wire.as_str()))),
            Place::Content => content = Some(json),
            Place::Url => {
                let text: String = serde_json::from_str(&json).unwrap_or_default();
                let url = Url::parse(&text).map_err(|error| {
                    refuse(param, &format!("is no address: {} ({error})", quoted(&text)))
                })?;
                if climbs(&as_a_service_may_read(&url)) {
                    return Err(refuse(param, "has `..` behind an encoded slash in its path"));
                }
                address = Some(url);
            }
        }
    }

    let mut url = match (address, &spec.base) {
        (Some(url), _) => url,
        (None, Some(base)) => below(spec, base, &path)?,
        (None, None) => return Err(Error::internal("an endpoint has neither base nor address")),
    };
    for (name, text) in &spec.query {
        query.push((name.clone(), revealed.text(text).await?));
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(&query);
    }
    if url.as_str().len() > MAX_URL {
        let message = format!("tool {}: the address has more than {MAX_URL} bytes", spec.info.name);
        return Err(Error::invalid_argument(message));
    }

    for (name, text) in &spec.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Error::internal("a header of the file has no name"))?;
        headers.insert(name, sensitive(spec, text, revealed.text(text).await?)?);
    }
    match &spec.auth {
        None => {}
        Some(Auth::Bearer(token)) => {
            let value = format!("Bearer {}", revealed.text(token).await?);
            headers.insert(header::AUTHORIZATION, sensitive(spec, token, value)?);
        }
        Some(Auth::Basic { user, password }) => {
            let pair = format!("{}:{}", revealed.text(user).await?, revealed.text(password).await?);
            let value = STANDARD.encode(&pair);
            // The pair as a whole is as good as the password.
            if let (Text::Secret { name, .. }, Ok(secret)) = (password, Secret::new(&value)) {
                revealed.scrubber.add(&pair_name(name), &secret);
            }
            headers.insert(
                header::AUTHORIZATION,
                sensitive(spec, password, format!("Basic {value}"))?,
            );
        }
    }

    let mut request = Request::new(endpoint.method.clone(), url);
    if let Some(body) = body(&fields, content, &mut headers) {
        *request.body_mut() = Some(body.into());
    }
    *request.headers_mut() = headers;
    Ok(request)
}

fn pair_name(password: &SecretName) -> SecretName {
    SecretName::new(format!("{password}_PAIR")).unwrap_or_else(|_| password.clone())
}

/// What is sent, its media type in the headers unless that is there.
fn body(fields: &[String], content: Option<String>, headers: &mut HeaderMap) -> Option<String> {
    let (body, media_type) = match content {
        Some(json) => match serde_json::from_str::<String>(&json) {
            Ok(text) => (text, "text/plain; charset=utf-8"),
            Err(_) => (json, "application/json"),
        },
        None if !fields.is_empty() => (format!("{{{}}}", fields.join(",")), "application/json"),
        None => return None,
    };
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
    Some(body)
}

/// A path as a service sees it that decodes it before it reads it.
fn as_a_service_may_read(url: &Url) -> String {
    let path = url.path().to_ascii_lowercase();
    path.replace("%2f", "/").replace("%5c", "/").replace("%2e", ".").replace("%3b", ";")
}

/// Whether a path leads to another one than the rules that allow it. Some services pass over
/// what a `;` begins.
fn climbs(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part.split(';').next() == Some(".."))
}

/// The address of a path below the base, which it cannot leave.
fn below(spec: &HttpSpec, base: &Url, path: &str) -> Result<Url> {
    let refuse = || {
        let message =
            format!("tool {}: {} is no path below its base", spec.info.name, quoted(path));
        Error::invalid_argument(message)
    };
    let wanted = format!("{}{path}", base.path().trim_end_matches('/'));
    let mut url = base.clone();
    url.set_path(&wanted);
    // What a parser resolves (`..`) would be another path than the one that was checked.
    let climbs = url.path().split('/').any(|part| matches!(part, "." | ".."));
    let segments = |path: &str| path.split('/').count();
    if climbs || segments(url.path()) != segments(&wanted) {
        return Err(refuse());
    }
    Ok(url)
}

/// A header's value, not to be logged or kept in a table of headers if it has a secret.
fn sensitive(spec: &HttpSpec, text: &Text, value: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&value).map_err(|_| {
        // Without the text: it may be a secret.
        Error::unavailable(format!(
            "tool {}: a header in {} has a character that it cannot have",
            spec.info.name, spec.file
        ))
    })?;
    value.set_sensitive(matches!(text, Text::Secret { .. }));
    Ok(value)
}

/// The texts that a value is: a string as it is, a list's one by one, all else as JSON.
fn texts(json: &str) -> Vec<String> {
    let one = |json: &str| {
        serde_json::from_str::<String>(json).unwrap_or_else(|_| json.trim().to_owned())
    };
    match serde_json::from_str::<Vec<&RawValue>>(json) {
        Ok(items) => items.iter().map(|item| one(item.get())).collect(),
        Err(_) => vec![one(json)],
    }
}

/// Percent-encoded but for what needs none anywhere.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
