//! The contract's `artifacts`: the store of the run's tenant.

use std::sync::Arc;

use repertoire_host_bindings::{artifacts, types};
use wasmtime::component::HasSelf;

use super::{Caller, blocking};
use crate::artifacts::{Content, Metadata};
use crate::id::{ArtifactName, sha256_hex};
use crate::json::Json;
use crate::sandbox::{Call, HostState};

impl artifacts::Host for HostState {}

impl artifacts::HostWithStore<HostState> for HasSelf<HostState> {
    async fn save(
        mut caller: Caller<'_>,
        name: String,
        content: artifacts::Content,
        description: String,
    ) -> wasmtime::Result<Result<artifacts::Metadata, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.save", &(&name, summary(&content), &description));
        let save = async move {
            let content = match content {
                artifacts::Content::Json(text) => Content::Json(Json::parse(text)?),
                artifacts::Content::Text(text) => Content::Text(text.into()),
                artifacts::Content::Binary(bytes) => Content::Binary(bytes.into()),
            };
            let metadata = Metadata::new(
                ArtifactName::new(name)?,
                &content,
                description,
                context.clock.now(),
                Some(context.run),
            )?;
            context.artifacts.save(&metadata, &content).await?;
            Ok(wire_metadata(metadata))
        };
        blocking(&mut caller, call, save).await
    }

    async fn load(
        mut caller: Caller<'_>,
        name: String,
    ) -> wasmtime::Result<Result<Option<artifacts::Content>, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.load", &name);
        let load = async move {
            let found = context.artifacts.load(&ArtifactName::new(name)?).await?;
            Ok(found.map(|(_, content)| match content {
                Content::Json(json) => artifacts::Content::Json(json.as_str().to_owned()),
                Content::Text(text) => artifacts::Content::Text(text.as_ref().to_owned()),
                Content::Binary(bytes) => artifacts::Content::Binary(bytes.to_vec()),
            }))
        };
        blocking(&mut caller, call, load).await
    }

    async fn list(
        mut caller: Caller<'_>,
    ) -> wasmtime::Result<Result<Vec<artifacts::Metadata>, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let list = async move {
            Ok(context.artifacts.list().await?.into_iter().map(wire_metadata).collect())
        };
        blocking(&mut caller, Call::of("artifacts.list", &()), list).await
    }

    async fn delete(
        mut caller: Caller<'_>,
        name: String,
    ) -> wasmtime::Result<Result<bool, types::Error>> {
        let context = Arc::clone(caller.data_mut().context());
        let call = Call::of("artifacts.delete", &name);
        let delete = async move { context.artifacts.delete(&ArtifactName::new(name)?).await };
        blocking(&mut caller, call, delete).await
    }
}

/// What is recorded of a content that is saved: enough to tell it from another.
fn summary(content: &artifacts::Content) -> (&'static str, usize, String) {
    let (kind, bytes) = match content {
        artifacts::Content::Json(text) => ("json", text.as_bytes()),
        artifacts::Content::Text(text) => ("text", text.as_bytes()),
        artifacts::Content::Binary(bytes) => ("binary", bytes.as_slice()),
    };
    (kind, bytes.len(), sha256_hex(bytes))
}

fn wire_metadata(metadata: Metadata) -> artifacts::Metadata {
    artifacts::Metadata {
        name: metadata.name.to_string(),
        kind: metadata.kind.to_owned(),
        description: metadata.description,
        size: metadata.size,
        digest: metadata.digest,
        created_at_ms: metadata.created_at.as_millis(),
        run_id: metadata.run.map(|run| run.to_string()).unwrap_or_default(),
    }
}
