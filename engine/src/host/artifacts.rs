//! The contract's `artifacts`: the shelf of the run's tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use repertoire_host_bindings::{artifacts, types};
use tokio::sync::Mutex;
use wasmtime::component::HasSelf;

use super::{Caller, blocking, gate};
use crate::artifacts::{Content, Filter, MAX_PAGE, Metadata, PIECE, SaveOptions, Upload};
use crate::error::{Error, Result};
use crate::grants::Target;
use crate::id::{ArtifactName, sha256_hex};
use crate::json::Json;
use crate::sandbox::{Call, HostState, RunContext};

/// How many uploads an instance may have under way: each holds a few MiB of the host's memory.
const MAX_UPLOADS: usize = 4;

/// One instance's uploads under way.
#[derive(Default)]
pub(crate) struct Uploads {
    next: u64,
    open: HashMap<u64, Upload>,
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

impl artifacts::Host for HostState {}

impl artifacts::HostWithStore<HostState> for HasSelf<HostState> {
    async fn append(
        mut caller: Caller<'_>,
        upload: Option<u64>,
        piece: Vec<u8>,
    ) -> Answer<artifacts::UploadId> {
        let (context, uploads) = with_uploads(&mut caller);
        let call = Call::of("artifacts.append", &(upload, fingerprint(&piece)));
        let append =
            async move { append(&context, &mut *uploads.lock().await, upload, &piece).await };
        blocking(&mut caller, call, append).await
    }

    async fn save(
        mut caller: Caller<'_>,
        name: String,
        content: artifacts::Content,
        options: artifacts::SaveOptions,
    ) -> Answer<artifacts::Metadata> {
        let (context, uploads) = with_uploads(&mut caller);
        let call = Call::of(
            "artifacts.save",
            &(
                &name,
                summary(&content),
                &options.description,
                &options.media_type,
                options.expires_in_ms,
            ),
        );
        let save = async move {
            let name = granted(&context, name).await?;
            let options = SaveOptions {
                description: options.description,
                media_type: options.media_type,
                expires_in: options.expires_in_ms.map(Duration::from_millis),
                run: Some(context.run),
            };
            let content = match content {
                artifacts::Content::Json(text) => Content::Json(Json::parse(text)?),
                artifacts::Content::Text(text) => Content::Text(text.into()),
                artifacts::Content::Binary(bytes) => Content::Binary(bytes.into()),
                artifacts::Content::Uploaded(id) => {
                    let upload = uploads.lock().await.open.remove(&id).ok_or_else(unknown)?;
                    let saved = context.artifacts.finish(&name, upload, options).await?;
                    return Ok(wire_metadata(saved));
                }
            };
            Ok(wire_metadata(context.artifacts.save(&name, &content, options).await?))
        };
        blocking(&mut caller, call, save).await
    }

    async fn load(
        mut caller: Caller<'_>,
        name: String,
        version: Option<u64>,
    ) -> Answer<Option<artifacts::Loaded>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.load", &(&name, version));
        let load = async move {
            let name = granted(&context, name).await?;
            let Some(found) = context.artifacts.find(&name, version).await? else {
                return Ok(None);
            };
            if found.size > PIECE as u64 && found.kind == crate::artifacts::BINARY {
                return Ok(Some(artifacts::Loaded::Large(wire_metadata(found))));
            }
            Ok(Some(match context.artifacts.content(&found).await? {
                Content::Json(json) => artifacts::Loaded::Json(json.as_str().to_owned()),
                Content::Text(text) => artifacts::Loaded::Text(text.as_ref().to_owned()),
                Content::Binary(bytes) => artifacts::Loaded::Binary(bytes.to_vec()),
            }))
        };
        blocking(&mut caller, call, load).await
    }

    async fn read(
        mut caller: Caller<'_>,
        name: String,
        version: u64,
        offset: u64,
    ) -> Answer<Vec<u8>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.read", &(&name, version, offset));
        let read = async move {
            let name = granted(&context, name).await?;
            let found = context.artifacts.find(&name, Some(version)).await?;
            let found = found.ok_or_else(|| {
                Error::not_found(format!("there is no version {version} of artifact {name}"))
            })?;
            Ok(context.artifacts.read(&found, offset).await?.to_vec())
        };
        blocking(&mut caller, call, read).await
    }

    async fn get(
        mut caller: Caller<'_>,
        name: String,
        version: Option<u64>,
    ) -> Answer<Option<artifacts::Metadata>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.get", &(&name, version));
        let get = async move {
            let name = granted(&context, name).await?;
            Ok(context.artifacts.find(&name, version).await?.map(wire_metadata))
        };
        blocking(&mut caller, call, get).await
    }

    async fn list(
        mut caller: Caller<'_>,
        filter: artifacts::Filter,
    ) -> Answer<Vec<artifacts::Metadata>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.list", &filter);
        let list = async move {
            let filter = Filter {
                prefix: filter.prefix,
                kind: filter.kind,
                media_type: filter.media_type,
                after: filter.after,
                limit: filter.limit as usize,
            };
            let found = list(&context, filter).await?;
            Ok(found.into_iter().map(wire_metadata).collect())
        };
        blocking(&mut caller, call, list).await
    }

    async fn versions(mut caller: Caller<'_>, name: String) -> Answer<Vec<artifacts::Metadata>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.versions", &name);
        let versions = async move {
            let name = granted(&context, name).await?;
            let found = context.artifacts.versions(&name).await?;
            Ok(found.into_iter().map(wire_metadata).collect())
        };
        blocking(&mut caller, call, versions).await
    }

    async fn delete(mut caller: Caller<'_>, name: String, version: Option<u64>) -> Answer<bool> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.delete", &(&name, version));
        let delete = async move {
            let name = granted(&context, name).await?;
            context.artifacts.delete(&name, version).await
        };
        blocking(&mut caller, call, delete).await
    }
}

/// What is recorded of a content that is saved: enough to tell it from another.
fn summary(content: &artifacts::Content) -> (&'static str, usize, String) {
    let (kind, bytes) = match content {
        artifacts::Content::Json(text) => ("json", text.as_bytes()),
        artifacts::Content::Text(text) => ("text", text.as_bytes()),
        artifacts::Content::Binary(bytes) => ("binary", bytes.as_slice()),
        // Its pieces were recorded.
        artifacts::Content::Uploaded(id) => return ("uploaded", 0, id.to_string()),
    };
    let (length, digest) = fingerprint(bytes);
    (kind, length, digest)
}

fn fingerprint(bytes: &[u8]) -> (usize, String) {
    (bytes.len(), sha256_hex(bytes))
}

/// A name that the run may use.
async fn granted(context: &RunContext, name: String) -> Result<ArtifactName> {
    let name = ArtifactName::new(name)?;
    gate(context, &Target::Artifact(name.as_str()), &Json::empty_object()).await?;
    Ok(name)
}

/// A page of the artifacts that the run may use.
async fn list(context: &RunContext, mut filter: Filter) -> Result<Vec<Metadata>> {
    if context.grants.is_everything() {
        return context.artifacts.list(&filter).await;
    }
    let limit = if filter.limit == 0 { MAX_PAGE } else { filter.limit.min(MAX_PAGE) };
    filter.limit = MAX_PAGE;
    let mut found = Vec::new();
    loop {
        let page = context.artifacts.list(&filter).await?;
        let (is_last, last) =
            (page.len() < MAX_PAGE, page.last().map(|last| last.name.to_string()));
        let permitted =
            page.into_iter().filter(|a| context.grants.permits(&Target::Artifact(a.name.as_str())));
        found.extend(permitted);
        match last {
            Some(last) if !is_last && found.len() < limit => filter.after = last,
            _ => break,
        }
    }
    found.truncate(limit);
    Ok(found)
}

fn with_uploads(caller: &mut Caller<'_>) -> (Arc<RunContext>, Arc<Mutex<Uploads>>) {
    let state = caller.data_mut();
    (Arc::clone(state.context()), Arc::clone(&state.uploads))
}

async fn append(
    context: &RunContext,
    uploads: &mut Uploads,
    upload: Option<u64>,
    piece: &[u8],
) -> Result<u64> {
    if piece.len() > PIECE {
        return Err(Error::invalid_argument(format!(
            "a piece has {} bytes, and may have {PIECE}",
            piece.len()
        )));
    }
    let id = match upload {
        Some(id) => id,
        None => {
            if uploads.open.len() >= MAX_UPLOADS {
                return Err(Error::invalid_argument(format!(
                    "{MAX_UPLOADS} artifacts are being saved in pieces already; finish one first"
                )));
            }
            uploads.next += 1;
            uploads.open.insert(uploads.next, context.artifacts.begin());
            uploads.next
        }
    };
    let upload = uploads.open.get_mut(&id).ok_or_else(unknown)?;
    let appended = context.artifacts.append(upload, piece).await;
    if appended.is_err() {
        // There is no telling what of it was kept.
        uploads.open.remove(&id);
    }
    appended.map(|()| id)
}

fn unknown() -> Error {
    Error::not_found("there is no such upload; an upload that failed begins anew")
}

fn wire_metadata(metadata: Metadata) -> artifacts::Metadata {
    artifacts::Metadata {
        name: metadata.name.to_string(),
        version: metadata.version,
        kind: metadata.kind.to_owned(),
        media_type: metadata.media_type,
        description: metadata.description,
        size: metadata.size,
        digest: metadata.digest,
        created_at_ms: metadata.created_at.as_millis(),
        expires_at_ms: metadata.expires_at.map(crate::clock::Timestamp::as_millis),
        run_id: metadata.run.map(|run| run.to_string()).unwrap_or_default(),
    }
}
