//! `repertoire artifacts`

use serde::Serialize;

use super::app::App;
use super::args::{Artifacts, Kind};
use super::output::Output;
use super::text::{self, Align, Table};
use super::{Exit, input, wire, workflows};
use crate::artifacts::{Content, Metadata};
use crate::error::{Error, Result};
use crate::id::quoted;
use crate::json::Json;

pub(super) async fn dispatch(app: &App, command: Artifacts) -> Result<Exit> {
    let output = &app.output;
    match command {
        Artifacts::List => list(output, &app.tenant().await?.artifacts().await?),
        Artifacts::Get { name } => {
            let (metadata, content) = app.tenant().await?.load_artifact(&name).await?;
            get(output, &metadata, &content)
        }
        Artifacts::Put { name, file, kind, description } => {
            let is_json = file.extension().is_some_and(|extension| extension == "json");
            let content = content(input::bytes(&file).await?, kind, is_json)?;
            let tenant = app.tenant().await?;
            saved(output, &tenant.save_artifact(&name, &content, description).await?)
        }
        Artifacts::Delete { name } => {
            if !app.tenant().await?.delete_artifact(&name).await? {
                let name = quoted(&name);
                return Err(Error::not_found(format!("there is no artifact {name} to delete")));
            }
            workflows::deleted(output, &name)
        }
    }
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
        ("KIND", Align::Left),
        ("SIZE", Align::Right),
        ("SAVED", Align::Left),
        ("DESCRIPTION", Align::Left),
    ]);
    for artifact in artifacts {
        table.row([
            artifact.name.to_string(),
            artifact.kind.to_owned(),
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
        output.note(&format!("saved {} ({}, {size})", metadata.name, metadata.kind));
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

fn get(output: &Output, metadata: &Metadata, content: &Content) -> Result<Exit> {
    if output.json {
        let mut answer = Loaded { artifact: metadata.into(), json: None, text: None, base64: None };
        match content {
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
        Content::Text(text) => output.print_foreign(text)?,
        Content::Binary(_) if output.is_terminal() => {
            return Err(Error::invalid_argument(format!(
                "{} is binary, and nothing for a terminal: redirect it to a file",
                metadata.name
            )));
        }
        Content::Binary(bytes) => output.print_bytes(bytes)?,
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
