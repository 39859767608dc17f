//! `/v1/artifacts`

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::super::answer::{Answer, Answered};
use super::super::auth::{Caller, Read, Write};
use super::super::body::{check_encoding, length, media_type, next, room, whole};
use super::super::limits::MAX_PAGE;
use super::super::openapi::Route;
use super::super::problem::Problem;
use super::super::query::{Asked, Named, cut, page};
use super::super::state::State;
use super::super::tokens::Scope;
use super::super::wire;
use super::forms::Deleted;
use crate::artifacts::{BINARY, Content, Filter, JSON, Metadata, PIECE, SaveOptions, TEXT, kind};
use crate::error::{Error, Result as EngineResult};
use crate::grants::{Decision, Target};
use crate::id::quoted;
use crate::json::Json;
use crate::tenant::Tenant;

/// Which version an answer has.
const VERSION: HeaderName = HeaderName::from_static("repertoire-version");

/// Names may have slashes.
const ONE: &str = "/v1/artifacts/{*name}";

pub(super) fn routes() -> [Route; 4] {
    [
        Route::get("/v1/artifacts", list, "listArtifacts", "List artifacts, by name")
            .scope(Scope::Read)
            .query::<ListQuery>()
            .answers::<ArtifactPage<'_>>(),
        Route::get(ONE, load, "loadArtifact", "An artifact's content")
            .scope(Scope::Read)
            .query::<VersionQuery>()
            .answers_bytes(),
        Route::put(ONE, save, "saveArtifact", "Save a new version of an artifact")
            .scope(Scope::Write)
            .query::<SaveQuery>()
            .takes_bytes()
            .answers::<Saved<'_>>(),
        Route::delete(ONE, delete, "deleteArtifact", "Delete an artifact, or one version of it")
            .scope(Scope::Write)
            .query::<VersionQuery>()
            .answers::<Deleted<'_>>(),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// How many; 50 if not given.
    #[schemars(range(min = 1, max = MAX_PAGE))]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[serde(default)]
    after: String,
    /// What their names begin with.
    #[serde(default)]
    prefix: String,
    /// `json`, `text` or `binary`.
    #[serde(default)]
    kind: String,
}

#[derive(Serialize, JsonSchema)]
struct ArtifactPage<'a> {
    artifacts: Vec<wire::Artifact<'a>>,
    /// What the next page is after.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

pub(super) async fn list(caller: Caller<Read>, Asked(query): Asked<ListQuery>) -> Answered {
    let limit = page(query.limit)?;
    let ListQuery { after, prefix, kind, .. } = query;
    let filter = Filter { prefix, kind, after, limit: limit + 1, ..Filter::default() };
    let mut found = caller.tenant.list_artifacts(&filter).await?;
    let has_more = cut(&mut found, limit);
    // Of the page as it was found: what is not shown is passed over.
    let next = found.last().filter(|_| has_more).map(|last| last.name.as_str());
    let is_shown = |found: &&Metadata| {
        caller.tenant.decision("artifacts", found.name.as_str()) < Decision::Deny
    };
    let artifacts = found.iter().filter(is_shown).map(Into::into).collect();
    Ok(Answer::of(&ArtifactPage { artifacts, next })?)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionQuery {
    /// Which version; else the newest, or when deleting all.
    version: Option<u64>,
}

pub(super) async fn load(
    caller: Caller<Read>,
    Named(name): Named,
    Asked(query): Asked<VersionQuery>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant;
    tenant.check(&Target::Artifact(&name))?;
    let metadata = tenant.artifact(&name, query.version).await?;
    let read = |tenant: Tenant, metadata: Metadata, at: u64| async move {
        let piece = tenant.read_artifact(&metadata, at).await?;
        Ok::<_, Error>((piece, tenant, metadata))
    };
    // The first piece is read before anything is answered: what is gone is not found.
    let (first, tenant, metadata) = read(tenant, metadata, 0).await?;
    let headers = headers(&metadata);
    let after = first.len() as u64;
    let rest =
        stream::try_unfold((tenant, metadata, after), move |(tenant, metadata, at)| async move {
            if at >= metadata.size {
                return Ok(None);
            }
            let (piece, tenant, metadata) = read(tenant, metadata, at).await?;
            if piece.is_empty() {
                return Err(Error::internal("an artifact is shorter than it was"));
            }
            let at = at + piece.len() as u64;
            Ok(Some((piece, (tenant, metadata, at))))
        });
    let pieces = stream::once(async { Ok::<_, Error>(first) }).chain(rest);
    let mut response = Response::new(Body::from_stream(pieces));
    *response.headers_mut() = headers;
    Ok(response)
}

/// What is said of an artifact beside its bytes. Whoever wrote it chose its type: no browser
/// is to show it.
fn headers(metadata: &Metadata) -> HeaderMap {
    let binary = HeaderValue::from_static("application/octet-stream");
    let mut headers = HeaderMap::new();
    let media_type = HeaderValue::from_str(&metadata.media_type).unwrap_or(binary);
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(CONTENT_LENGTH, metadata.size.into());
    headers.insert(VERSION, metadata.version.into());
    if let Ok(digest) = HeaderValue::try_from(format!("\"{}\"", metadata.digest)) {
        headers.insert(ETAG, digest);
    }
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    let nothing = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, nothing);
    headers
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SaveQuery {
    /// `json`, `text` or `binary`; else it follows from the body's type.
    kind: Option<String>,
    /// What it is.
    #[serde(default)]
    description: String,
    /// When it is gone by itself.
    expires_in_seconds: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SavedArtifact")]
struct Saved<'a> {
    saved: wire::Artifact<'a>,
}

pub(super) async fn save(
    caller: Caller<Write>,
    Shared(state): Shared<Arc<State>>,
    Named(name): Named,
    Asked(query): Asked<SaveQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answered {
    let tenant = &caller.tenant;
    tenant.check(&Target::Artifact(&name))?;
    check_encoding(&headers)?;
    let media_type = media_type(&headers);
    let kind = match &query.kind {
        None => kind_of(media_type),
        Some(given) => kind(given).ok_or_else(|| {
            let given = quoted(given);
            Error::invalid_argument(format!("{given} is no kind; there are json, text, binary"))
        })?,
    };
    let options = SaveOptions {
        media_type: media_type.to_owned(),
        expires_in: query.expires_in_seconds.map(Duration::from_secs),
        ..query.description.into()
    };
    let metadata = if kind == BINARY {
        save_pieces(tenant, &state, &name, options, &headers, body).await?
    } else {
        let (bytes, _room) = whole(&headers, body, state.limits.whole_bytes(), &state).await?;
        tenant.save_artifact(&name, &content(kind, &bytes)?, options).await?
    };
    Ok(Answer::of(&Saved { saved: (&metadata).into() })?)
}

/// What kind of content a type stands for, if nobody says.
fn kind_of(media_type: &str) -> &'static str {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        JSON
    } else if essence.starts_with("text/") {
        TEXT
    } else {
        BINARY
    }
}

fn content(kind: &'static str, bytes: &[u8]) -> EngineResult<Content> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Error::invalid_argument("the content is not UTF-8; save it with kind=binary")
            .with_source(error)
    })?;
    if kind == TEXT {
        return Ok(Content::Text(text.into()));
    }
    Json::parse(text).map(Content::Json)
}

/// Saves bytes as they arrive: no more than a piece is in memory.
async fn save_pieces(
    tenant: &Tenant,
    state: &State,
    name: &str,
    options: SaveOptions,
    headers: &HeaderMap,
    body: Body,
) -> Result<Metadata, Problem> {
    let most = state.limits.artifact_bytes;
    if length(headers).is_some_and(|announced| announced > most) {
        return Err(Problem::too_large(most));
    }
    let _room = room(PIECE, state).await?;
    let (mut upload, mut stream, mut bytes) =
        (tenant.upload_artifact(), body.into_data_stream(), 0);
    loop {
        let piece = timeout(state.limits.body_time, next(&mut stream)).await;
        let Some(piece) = piece.map_err(|_| Problem::too_slow())?? else { break };
        bytes += piece.len() as u64;
        if bytes > most {
            return Err(Problem::too_large(most));
        }
        tenant.append_to_upload(&mut upload, &piece).await?;
    }
    Ok(tenant.finish_upload(name, upload, options).await?)
}

pub(super) async fn delete(
    caller: Caller<Write>,
    Named(name): Named,
    Asked(query): Asked<VersionQuery>,
) -> Answered {
    let tenant = &caller.tenant;
    tenant.check(&Target::Artifact(&name))?;
    let existed = match query.version {
        None => tenant.delete_artifact(&name).await?,
        Some(version) => tenant.delete_artifact_version(&name, version).await?,
    };
    if !existed {
        let name = quoted(&name);
        return Err(Error::not_found(format!("there is no artifact {name} to delete")).into());
    }
    Ok(Answer::of(&Deleted { deleted: &name })?)
}
