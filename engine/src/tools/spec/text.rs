//! Texts of tool files that may be secrets.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde_saphyr::Spanned;

use super::parse::Source;
use crate::error::Result;
use crate::tools::secrets::{SecretName, Text};

/// A text as it is written, or `{secret: NAME, before: ...}`.
#[derive(Debug, Clone)]
pub(super) enum AuthoredText {
    Plain(String),
    Secret(SecretText),
}

/// The name of a secret, which the host puts in at the last moment.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SecretText {
    /// The secret's name: A-Z, 0-9 and '_'.
    pub(super) secret: String,
    /// What is put before it, for example "Bearer ".
    #[serde(default)]
    pub(super) before: String,
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for AuthoredText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let secret = generator.subschema_for::<SecretText>();
        schemars::json_schema!({ "anyOf": [{ "type": ["string", "integer", "boolean"] }, secret] })
    }
}

impl<'de> Deserialize<'de> for AuthoredText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = AuthoredText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or {secret: NAME}")
            }

            fn visit_str<E>(self, text: &str) -> Result<AuthoredText, E> {
                Ok(AuthoredText::Plain(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<AuthoredText, E> {
                Ok(AuthoredText::Plain(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<AuthoredText, E> {
                Ok(AuthoredText::Plain(number.to_string()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<AuthoredText, E> {
                Ok(AuthoredText::Plain(value.to_string()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<AuthoredText, E> {
                // What was written is gone: 1.10 is 1.1 here.
                Err(E::custom(format!("{number} needs quotes, to be taken as it is written")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AuthoredText, A::Error> {
                SecretText::deserialize(MapAccessDeserializer::new(map))
                    .map(AuthoredText::Secret)
                    .map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Checks a text. `what` is how messages call it.
pub(super) fn resolve(
    source: &Source<'_>,
    text: Spanned<AuthoredText>,
    what: &str,
) -> Result<Text> {
    let at = text.referenced;
    match text.value {
        AuthoredText::Plain(plain) if plain.contains("${") => Err(source.refuse(
            at,
            format!(
                "{what} is taken as it is written, and ${{...}} would stay in it; write the value, \
                 or name a secret: {{secret: NAME}}"
            ),
        )),
        AuthoredText::Plain(plain) => Ok(Text::Plain(plain)),
        AuthoredText::Secret(SecretText { secret, before }) => {
            let name = SecretName::new(&secret).map_err(|error| source.refuse(at, error))?;
            Ok(Text::Secret { before, name })
        }
    }
}
