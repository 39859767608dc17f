//! What a setting can be.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

/// A year: as good as no limit.
const MAX_SECONDS: f64 = 366.0 * 24.0 * 3600.0;

/// What a setting's value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A path.
    Path,
    /// Text.
    Text,
    /// A whole number, at least 1.
    Count,
    /// A whole number; 0 switches off what it bounds.
    CountOrNone,
    /// A number of seconds, more than 0.
    Seconds,
    /// Texts: a list in a file, separated by commas in a variable.
    List,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Value {
    /// A path.
    Path(PathBuf),
    /// Text.
    Text(String),
    /// A whole number.
    Count(u64),
    /// A length of time.
    Seconds(Duration),
    /// Texts.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Count(count) => f.write_str(&super::super::text::thousands(*count)),
            Self::Seconds(time) => time.as_secs_f64().fmt(f),
            Self::List(texts) => f.write_str(&texts.join(", ")),
        }
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Path(path) => path.to_string_lossy().serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::Count(count) => count.serialize(serializer),
            Self::Seconds(time) => time.as_secs_f64().serialize(serializer),
            Self::List(texts) => texts.serialize(serializer),
        }
    }
}

/// The path that a text is, or names as a `file:` URI.
fn local(text: &OsStr) -> Result<PathBuf, String> {
    let Some((scheme, _)) = text.to_str().and_then(|text| text.split_once("://")) else {
        return Ok(PathBuf::from(text));
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(format!(
            "{scheme} is no place that this program can use: name a directory, or a file:// URI"
        ));
    }
    text.to_str()
        .and_then(|text| Url::parse(text).ok()?.to_file_path().ok())
        .ok_or_else(|| "it is no file:// URI of this machine: write file:///path".to_owned())
}

/// Seconds, as a number or as one says it: `90`, `1m 30s`.
fn seconds(text: &str) -> Option<f64> {
    let said = || humantime::parse_duration(text).ok().map(|time| time.as_secs_f64());
    text.parse().ok().or_else(said)
}

impl Kind {
    /// Reads a value; a relative path is relative to `base`. The error is what is wrong with it.
    pub(super) fn parse(self, text: &OsStr, base: &Path) -> Result<Value, String> {
        if self == Self::Path {
            if text.is_empty() {
                return Err("the path is empty".to_owned());
            }
            return Ok(Value::Path(base.join(local(text)?)));
        }
        let text = text.to_str().ok_or_else(|| "the value is not UTF-8".to_owned())?.trim();
        match self {
            Self::Path | Self::Text => Ok(Value::Text(text.to_owned())),
            Self::List => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                Ok(Value::List(texts.map(ToOwned::to_owned).collect()))
            }
            Self::Count | Self::CountOrNone => {
                // Fuel is counted in thousands of millions: let people group the digits.
                let digits = text.replace('_', "");
                match digits.parse() {
                    Ok(0) if self == Self::Count => {
                        Err("0 would let nothing run; use at least 1".to_owned())
                    }
                    Ok(count) => Ok(Value::Count(count)),
                    Err(_) => Err(format!("{text:?} is not a whole number from 1 to {}", u64::MAX)),
                }
            }
            Self::Seconds => match seconds(text) {
                Some(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => {
                    Ok(Value::Seconds(Duration::from_secs_f64(seconds)))
                }
                _ => Err(format!("{text:?} is not a number of seconds above 0 and below a year")),
            },
        }
    }
}
