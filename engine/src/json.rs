//! JSON as text, kept exactly as it was written.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// The deepest nesting that is accepted. It is also where `serde_json` stops,
/// so whatever is a [`Json`] can be parsed again without a stack overflow.
pub const MAX_DEPTH: usize = 127;

/// A valid JSON text, at most [`MAX_DEPTH`] levels deep, of Unicode scalar values only.
///
/// Values cross the sandbox's boundary, are stored and are answered as text, so
/// that numbers keep every digit and a value that nobody looks at is never
/// taken apart. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // Anything.
        schemars::Schema::default()
    }
}

impl Json {
    /// Checks a text.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is not
    /// JSON, is nested too deeply, or escapes half of a surrogate pair.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self> {
        let text = text.into();
        // The scan is first: it is what bounds the depth.
        scan(&text)?;
        serde_json::from_str::<&RawValue>(&text)
            .map_err(|error| Error::invalid_argument(format!("not JSON: {error}")))?;
        Ok(Self(text))
    }

    /// The JSON form of a value.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the value
    /// has no JSON form (for example a map whose keys are not strings).
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::invalid_argument(format!("cannot be said in JSON: {error}")))?;
        scan(&text)?;
        Ok(Self(text.into()))
    }

    /// `null`
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// `{}`
    #[must_use]
    pub fn empty_object() -> Self {
        Self("{}".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes of the text.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: the shortest JSON text has one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the text is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.trim_start().starts_with('{')
    }

    /// Reads the text as a `T`.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is not one.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0)
            .map_err(|error| Error::invalid_argument(format!("unexpected JSON: {error}")))
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(String::from(Box::<str>::from(raw))).map_err(serde::de::Error::custom)
    }
}

impl From<serde_json::Value> for Json {
    /// A `Value` that was built in code rather than parsed may be of any depth;
    /// deeper than [`MAX_DEPTH`] is a bug of the caller's, found when it is parsed.
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

/// Refuses what the grammar alone would let pass: depth, and escapes of lone surrogates.
fn scan(text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let (mut depth, mut at, mut in_string) = (0_usize, 0_usize, false);
    let hex = |from: usize| {
        text.get(from..from + 4).and_then(|digits| u16::from_str_radix(digits, 16).ok())
    };
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (in_string, byte) {
            (true, b'"') => in_string = false,
            (true, b'\\') => {
                at += 1;
                if bytes.get(at - 1) != Some(&b'u') {
                    continue;
                }
                match hex(at) {
                    Some(0xd800..=0xdbff)
                        if bytes.get(at + 4..at + 6) == Some(b"\\u")
                            && matches!(hex(at + 6), Some(0xdc00..=0xdfff)) =>
                    {
                        at += 10;
                    }
                    Some(0xd800..=0xdfff) => {
                        return Err(Error::invalid_argument(format!(
                            "not JSON: half of a surrogate pair at byte {at}"
                        )));
                    }
                    _ => {}
                }
            }
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Error::invalid_argument(format!(
                        "nested more than {MAX_DEPTH} levels deep at byte {at}"
                    )));
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_every_digit() {
        let text = format!("{{\"n\": {}}}", "9".repeat(5000));
        assert_eq!(Json::parse(text.clone()).unwrap().as_str(), text);
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in ["", "{", "NaN", "[1,]", "{'a':1}", "1 2", "\"\\ud800\"", "\"\\udc00\\ud800\""]
        {
            assert!(Json::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(Json::parse("\"\\ud83d\\ude00\"").is_ok());
    }

    #[test]
    fn bounds_the_depth() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Json::parse(nested(MAX_DEPTH)).is_ok());
        assert!(Json::parse(nested(MAX_DEPTH + 1)).is_err());
        assert!(Json::parse(nested(1_000_000)).is_err());
        assert!(Json::parse(format!("\"{}\"", "[".repeat(1000))).is_ok());
    }

    proptest! {
        /// Whatever is accepted can be parsed by serde_json, unless a number has no finite f64.
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,24}") {
            let ours = Json::parse(text.clone()).is_ok();
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match theirs {
                Ok(_) => prop_assert!(ours),
                Err(error) => prop_assert!(!ours || error.to_string().contains("out of range")),
            }
        }
    }
}
