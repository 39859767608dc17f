//! A tool file as it is written: one struct per mapping, no key that is not known.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolFile {
    pub(super) name: Spanned<String>,
    /// Looked at before the rest is, as [`Kind`].
    #[serde(rename = "type")]
    pub(super) _kind: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) command: Option<Spanned<String>>,
    pub(super) args: Option<Vec<Spanned<String>>>,
    pub(super) env: Option<Entries<Spanned<String>>>,
    pub(super) cwd: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<f64>>,
    pub(super) max_output: Option<Spanned<u64>>,
    pub(super) double_dash: Option<bool>,
    pub(super) raw: Option<Spanned<bool>>,
    pub(super) schema: Option<Schema>,
    pub(super) recipes: Option<Entries<Option<Recipe>>>,
}

/// The part of a file that says which adapter reads the rest.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    #[serde(default)]
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
}

/// `schema:`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Schema {
    pub(super) options: Option<Entries<Option<OptionSpec>>>,
    pub(super) positional: Option<Vec<Positional>>,
}

/// One of `schema.options`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionSpec {
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) items: Option<Spanned<String>>,
    pub(super) short: Option<Spanned<String>>,
    pub(super) flag: Option<Spanned<String>>,
    pub(super) form: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) required: Option<bool>,
    pub(super) default: Option<Spanned<Value>>,
    pub(super) choices: Option<Spanned<Vec<Value>>>,
    pub(super) pattern: Option<Spanned<String>>,
    pub(super) allow_at: Option<bool>,
    pub(super) allow_dash: Option<Spanned<bool>>,
}

/// One of `schema.positional`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Positional {
    pub(super) name: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) items: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) required: Option<bool>,
    pub(super) default: Option<Spanned<Value>>,
    pub(super) choices: Option<Spanned<Vec<Value>>>,
    pub(super) pattern: Option<Spanned<String>>,
    pub(super) allow_at: Option<bool>,
}

/// One of `recipes`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub(super) description: Option<String>,
    pub(super) preset: Option<Entries<Spanned<Value>>>,
    pub(super) params: Option<Entries<Option<Param>>>,
}

/// One of a recipe's `params`: what differs from the schema.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Param {
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) required: Option<bool>,
    pub(super) default: Option<Spanned<Value>>,
    pub(super) choices: Option<Spanned<Vec<Value>>>,
    pub(super) pattern: Option<Spanned<String>>,
}

/// A mapping whose keys are the author's, in the order of the file.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(Spanned<String>, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}
