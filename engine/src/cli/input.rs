//! What the command line takes from files and standard input.

use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::args::Arguments;
use crate::error::{Error, Result};
use crate::json::Json;

/// The most that is read of a file: more than the engine takes of anything.
const MAX_INPUT: u64 = 64 << 20;

/// The bytes of a file, or of standard input if it is `-`.
pub(super) async fn bytes(path: &Path) -> Result<Vec<u8>> {
    let path = path.to_owned();
    // On another thread: somebody may be typing, and Ctrl-C has to work meanwhile.
    tokio::task::spawn_blocking(move || read(&path))
        .await
        .map_err(|error| Error::internal("reading a file panicked").with_source(error))?
}

/// As [`bytes`], of UTF-8.
pub(super) async fn text(path: &Path) -> Result<String> {
    String::from_utf8(bytes(path).await?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::invalid_argument(format!(
            "{} is not UTF-8: byte {at} begins no character; save it as UTF-8",
            name(path)
        ))
    })
}

/// A file that is read in pieces.
pub(super) struct Source {
    from: Box<dyn AsyncRead + Send + Unpin>,
    name: String,
}

/// Opens a file, or standard input if it is `-`, to be read in pieces.
pub(super) async fn open(path: &Path) -> Result<Source> {
    let name = name(path);
    let from: Box<dyn AsyncRead + Send + Unpin> = if path == Path::new("-") {
        Box::new(tokio::io::stdin())
    } else {
        let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(&name, error))?;
        Box::new(file)
    };
    Ok(Source { from, name })
}

impl Source {
    /// Adds up to so many bytes to what was read; fewer only at the end.
    pub(super) async fn read(&mut self, to: &mut Vec<u8>, most: usize) -> Result<()> {
        let read = (&mut self.from).take(most as u64).read_to_end(to).await;
        read.map(drop).map_err(|error| unreadable(&self.name, error))
    }
}

fn unreadable(shown: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::not_found(format!("there is no file {shown}")),
        ErrorKind::IsADirectory => {
            Error::invalid_argument(format!("{shown} is a directory, and a file is wanted"))
        }
        _ => Error::invalid_argument(format!("cannot read {shown}")).with_source(error),
    }
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = name(path);
    let mut content = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut content)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_INPUT + 1).read_to_end(&mut content))
    };
    read.map_err(|error| unreadable(&shown, error))?;
    if content.len() as u64 > MAX_INPUT {
        return Err(Error::invalid_argument(format!("{shown} has more than {MAX_INPUT} bytes")));
    }
    Ok(content)
}

/// The keyword arguments: `--args`, and over it every `--arg`.
pub(super) async fn arguments(given: &Arguments) -> Result<Json> {
    let whole = match given.args.as_deref() {
        None => None,
        Some("-") => Some(("standard input", text(Path::new("-")).await?)),
        Some(argument) => Some(match argument.strip_prefix('@') {
            Some(path) => (argument, text(Path::new(path)).await?),
            None => ("--args", argument.to_owned()),
        }),
    };
    let whole = match whole {
        None => Json::empty_object(),
        Some((origin, text)) => Json::parse(text)
            .map_err(|error| Error::invalid_argument(format!("{origin}: {}", error.message())))?,
    };
    if given.pairs.is_empty() {
        return Ok(whole);
    }
    let mut members = members(&whole)?;
    for pair in &given.pairs {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Error::invalid_argument(format!("--arg {}: write NAME=VALUE", crate::id::quoted(pair)))
        })?;
        let value = Json::parse(value).or_else(|_| Json::from_value(value))?;
        members.retain(|(known, _)| known != name);
        members.push((name.to_owned(), value));
    }
    let text: Vec<String> = members
        .iter()
        .map(|(name, value)| Ok(format!("{}:{value}", Json::from_value(name)?)))
        .collect::<Result<_>>()?;
    Json::parse(format!("{{{}}}", text.join(",")))
}

/// The members of an object, in their order and with their values as they are written.
fn members(object: &Json) -> Result<Vec<(String, Json)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Json)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of keyword arguments")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                let value = Json::parse(value.get()).map_err(serde::de::Error::custom)?;
                members.push((name, value));
            }
            Ok(members)
        }
    }

    serde_json::Deserializer::from_str(object.as_str())
        .deserialize_map(Members)
        .map_err(|error| Error::invalid_argument(format!("--args: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(args: Option<&str>, pairs: &[&str]) -> Result<String> {
        let given = Arguments {
            args: args.map(ToOwned::to_owned),
            pairs: pairs.iter().map(ToString::to_string).collect(),
        };
        arguments(&given).await.map(|json| json.to_string())
    }

    #[tokio::test]
    async fn pairs_are_json_or_else_text() {
        let pairs = ["a=1", "b=x y", "c=[1]", "d=", "e=a=b", "a=99999999999999999999999"];
        assert_eq!(
            read(None, &pairs).await.unwrap(),
            r#"{"b":"x y","c":[1],"d":"","e":"a=b","a":99999999999999999999999}"#
        );
        assert_eq!(read(Some(r#"{"a": 1.10}"#), &["b=2"]).await.unwrap(), r#"{"a":1.10,"b":2}"#);
        assert_eq!(read(Some(r#"{"a": 1.10}"#), &[]).await.unwrap(), r#"{"a": 1.10}"#);
        assert!(read(Some("[]"), &["b=2"]).await.is_err());
        assert!(read(Some("{"), &[]).await.is_err());
        assert!(read(None, &["b"]).await.is_err());
        assert!(read(Some("@/nowhere/at/all"), &[]).await.is_err());
    }
}
