//! A tool file as it is written: one struct per mapping, no key that is not known.

#[cfg(feature = "schemars")]
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::text::AuthoredText;

/// The whole file.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ToolFile {
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub(super) name: Spanned<String>,
    /// Looked at before the rest is, as [`Kind`].
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<super::schema::TypeCli>"))]
    pub(super) _kind: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    /// More words to find it by.
    pub(super) tags: Option<Vec<String>>,
    /// One program: a name or a path. No shell reads it.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) command: Option<Spanned<String>>,
    /// Arguments that precede all others in every call.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    pub(super) args: Option<Vec<Spanned<String>>>,
    /// Its environment, besides PATH and LANG.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, AuthoredText>>"))]
    pub(super) env: Option<Entries<Spanned<AuthoredText>>>,
    /// Variables of the host's environment that reach it.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    pub(super) pass_env: Option<Vec<Spanned<String>>>,
    /// By number: what exit statuses mean, where it is not that 0 is success.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, ExitCode>>"))]
    pub(super) exit_codes: Option<Entries<ExitCode>>,
    /// Where it runs; a directory of its own for each call if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) cwd: Option<Spanned<String>>,
    /// Seconds that a call may take; 60 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub(super) timeout: Option<Spanned<f64>>,
    /// Bytes that it may print; 4194304 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<u64>"))]
    pub(super) max_output: Option<Spanned<u64>>,
    /// Whether the command understands --, which is then put before the positionals.
    pub(super) double_dash: Option<bool>,
    /// false: only recipes can be called, not the tool itself.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<bool>"))]
    pub(super) raw: Option<Spanned<bool>>,
    /// Its options and positionals.
    pub(super) schema: Option<Schema>,
    /// By name: ways to call it with some values preset.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, Option<Recipe>>>"))]
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
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Schema {
    #[cfg_attr(
        feature = "schemars",
        schemars(with = "Option<BTreeMap<String, Option<OptionSpec>>>")
    )]
    pub(super) options: Option<Entries<Option<OptionSpec>>>,
    pub(super) positional: Option<Vec<Positional>>,
}

/// One of `schema.options`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct OptionSpec {
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) kind: Option<Spanned<String>>,
    /// Of an array: string, integer or number.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) items: Option<Spanned<String>>,
    /// s for -s.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) short: Option<Spanned<String>>,
    /// The option in full, if it is neither -- with the name nor - with short.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) flag: Option<Spanned<String>>,
    /// equals, attached or separate.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) form: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) required: Option<bool>,
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Value>"))]
    pub(super) default: Option<Spanned<Value>>,
    /// The values that are allowed.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<Value>>"))]
    pub(super) choices: Option<Spanned<Vec<Value>>>,
    /// A regular expression that texts must match.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) pattern: Option<Spanned<String>>,
    /// Whether a value may begin with @.
    pub(super) allow_at: Option<bool>,
    /// With form: separate: whether a value may begin with -.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<bool>"))]
    pub(super) allow_dash: Option<Spanned<bool>>,
    /// Of an array: what joins its values into one.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) join: Option<Spanned<String>>,
    /// Whether the value goes to standard input.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<bool>"))]
    pub(super) stdin: Option<Spanned<bool>>,
}

/// One of `exit_codes`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct ExitCode {
    /// answer, error or retry.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) means: Option<Spanned<String>>,
    pub(super) description: Option<String>,
}

/// One of `schema.positional`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Positional {
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub(super) name: Spanned<String>,
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) kind: Option<Spanned<String>>,
    /// Of an array: string, integer or number.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) items: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) required: Option<bool>,
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Value>"))]
    pub(super) default: Option<Spanned<Value>>,
    /// The values that are allowed.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<Value>>"))]
    pub(super) choices: Option<Spanned<Vec<Value>>>,
    /// A regular expression that texts must match.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) pattern: Option<Spanned<String>>,
    /// Whether a value may begin with @.
    pub(super) allow_at: Option<bool>,
}

/// One of `recipes`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub(super) description: Option<String>,
    /// Values that hold.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, Value>>"))]
    pub(super) preset: Option<Entries<Spanned<Value>>>,
    /// The parameters that callers may give; all that are not preset if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, Option<Param>>>"))]
    pub(super) params: Option<Entries<Option<Param>>>,
}

/// One of a recipe's `params`: what differs from the schema.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Param {
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(super) kind: Option<Spanned<String>>,
    pub(super) description: Option<String>,
    pub(super) required: Option<bool>,
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Value>"))]
    pub(super) default: Option<Spanned<Value>>,
    /// The values that are allowed.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<Value>>"))]
    pub(super) choices: Option<Spanned<Vec<Value>>>,
    /// A regular expression that texts must match.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
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
