//! `repertoire artifacts`

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::app::App;
use super::args::{Artifacts, Kind};
use super::output::Output;
use super::text::{self, Align, Table};
use super::{Exit, input, wire, workflows};
use crate::Tenant;
use crate::artifacts::{Content, Filter, MAX_WHOLE, Metadata, PIECE, SaveOptions};
use crate::error::{Error, Result};
use crate::id::quoted;
use crate::json::Json;

pub(super) async fn dispatch(app: &App, command: Artifacts) -> Result<Exit> {
    let output = &app.output;
    match command {
        Artifacts::List { prefix, kind, media_type, after, limit } => {
            let kind = kind.map_or("", Kind::name).to_owned();
            let filter = Filter { prefix, kind, media_type, after, limit };
            list(output, &app.tenant().await?.list_artifacts(&filter).await?)
        }
        Artifacts::Get { name, version } => {
            let tenant = app.tenant().await?;
            get(output, tenant, &tenant.artifact(&name, version).await?).await
        }
        Artifacts::Put { name, file, kind, media_type, description, expires_in } => {
            let expires_in = expires_in.map(Duration::from_secs);
            let options = SaveOptions { media_type, expires_in, ..description.into() };
            saved(output, &put(app.tenant().await?, &name, &file, kind, options).await?)
        }
        Artifacts::Versions { name } => {
            let versions = app.tenant().await?.artifact_versions(&name).await?;
            if versions.is_empty() {
                return Err(Error::not_found(format!("there is no artifact {}", quoted(&name))));
            }
            list(output, &versions)
        }
        Artifacts::Delete { name, version } => {
            let tenant = app.tenant().await?;
            let existed = match version {
                None => tenant.delete_artifact(&name).await?,
                Some(version) => tenant.delete_artifact_version(&name, version).await?,
            };
            if !existed {
                // Which of the two it is.
                tenant.artifact(&name, version).await?;
                let name = quoted(&name);
                return Err(Error::not_found(format!("there is no artifact {name} to delete")));
            }
            workflows::deleted(output, &name)
        }
    }
}

/// Saves a file. Large ones are bytes, unless somebody says otherwise, and are
/// never in memory as a whole.
async fn put(
    tenant: &Tenant,
    name: &str,
    file: &Path,
    kind: Option<Kind>,
    options: SaveOptions,
) -> Result<Metadata> {
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let mut source = input::open(file).await?;
    let mut head = Vec::new();
    let whole = if kind == Some(Kind::Binary) { PIECE } else { MAX_WHOLE };
    source.read(&mut head, whole + 1).await?;
    if head.len() <= whole {
        return tenant.save_artifact(name, &content(head, kind, is_json)?, options).await;
    }
    if !matches!(kind, None | Some(Kind::Binary)) {
        return Err(Error::invalid_argument(format!(
            "the content has more than {MAX_WHOLE} bytes, which only --kind binary may have"
        )));
    }
    let mut upload = tenant.upload_artifact();
    while !head.is_empty() {
        tenant.append_to_upload(&mut upload, &head).await?;
        head.clear();
        source.read(&mut head, PIECE).await?;
    }
    tenant.finish_upload(name, upload, options).await
}

fn content(bytes: Vec<u8>, kind: Option<Kind>, is_json: bool) -> Result<Content> {
    let kind = kind.unwrap_or(match std::str::from_utf8(&bytes) {
        Ok(_) if is_json => Kind::Json,
        Ok(_) => Kind::Text,
        Err(_) => Kind::Binary,
    });
    if kind == Kind::Binary {
        return Ok(Content::Binary(bytes.into()));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::invalid_argument("the content is not UTF-8; save it with --kind binary")
    })?;
    match kind {
        Kind::Json => Json::parse(text).map(Content::Json).map_err(|error| {
            let hint = "save it with --kind text, or correct it";
            Error::invalid_argument(format!("the content is {}; {hint}", error.message()))
        }),
        Kind::Text | Kind::Binary => Ok(Content::Text(text.into())),
    }
}

fn list(output: &Output, artifacts: &[Metadata]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Listing<'a> {
        artifacts: Vec<wire::Artifact<'a>>,
    }
    if output.json {
        output.object(&Listing { artifacts: artifacts.iter().map(Into::into).collect() })?;
        return Ok(Exit::Done);
    }
    if artifacts.is_empty() {
        output.note("there are no artifacts");
        return Ok(Exit::Done);
    }
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("VERSION", Align::Right),
        ("TYPE", Align::Left),
        ("SIZE", Align::Right),
        ("SAVED", Align::Left),
        ("DESCRIPTION", Align::Left),
    ]);
    for artifact in artifacts {
        table.row([
            artifact.name.to_string(),
            artifact.version.to_string(),
            artifact.media_type.clone(),
            text::bytes(artifact.size),
            artifact.created_at.to_string(),
            text::shortened(&artifact.description, 60),
        ]);
    }
    output.print(&table.render())?;
    Ok(Exit::Done)
}

fn saved(output: &Output, metadata: &Metadata) -> Result<Exit> {
    if output.json {
        output.object(&wire::Artifact::from(metadata))?;
    } else {
        let size = text::bytes(metadata.size);
        let Metadata { name, version, kind, .. } = metadata;
        output.note(&format!("saved {name}, version {version} ({kind}, {size})"));
    }
    Ok(Exit::Done)
}

/// An artifact with its content, under the name of its kind.
#[derive(Serialize)]
struct Loaded<'a> {
    artifact: wire::Artifact<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

async fn get(output: &Output, tenant: &Tenant, metadata: &Metadata) -> Result<Exit> {
    if !output.json && metadata.kind == "binary" {
        if output.is_terminal() {
            return Err(Error::invalid_argument(format!(
                "{} is binary, and nothing for a terminal: redirect it to a file",
                metadata.name
            )));
        }
        let mut at = 0;
        while at < metadata.size {
            let piece = tenant.read_artifact(metadata, at).await?;
            output.print_bytes(&piece)?;
            at += piece.len() as u64;
        }
        return Ok(Exit::Done);
    }
    let content = tenant.artifact_content(metadata).await?;
    if output.json {
        let mut answer = Loaded { artifact: metadata.into(), json: None, text: None, base64: None };
        match &content {
            Content::Json(json) => answer.json = Some(json),
            Content::Text(text) => answer.text = Some(text),
            Content::Binary(bytes) => answer.base64 = Some(base64(bytes)),
        }
        output.object(&answer)?;
        return Ok(Exit::Done);
    }
    match content {
        Content::Json(json) => {
            output.print_foreign(&format!("{}\n", text::pretty(json.as_str())))?
        }
        Content::Text(text) => output.print_foreign(&text)?,
        // Printed above, piece by piece.
        Content::Binary(_) => {}
    }
    Ok(Exit::Done)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_usize, |group, index| {
            group << 8 | usize::from(chunk.get(index).copied().unwrap_or_default())
        });
        for place in 0..4 {
            let digit = DIGITS.get(group >> (18 - 6 * place) & 63).copied().unwrap_or_default();
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn the_kind_follows_from_the_content() {
        let kind =
            |bytes: &[u8], kind, is_json| content(bytes.to_vec(), kind, is_json).map(|c| c.kind());
        assert_eq!(kind(b"{}", None, true).unwrap(), "json");
        assert_eq!(kind(b"{}", None, false).unwrap(), "text");
        assert_eq!(kind(b"\xff", None, true).unwrap(), "binary");
        assert_eq!(kind(b"{}", Some(Kind::Binary), true).unwrap(), "binary");
        assert!(kind(b"{", None, true).is_err());
        assert!(kind(b"\xff", Some(Kind::Text), false).is_err());
    }
}
