//! `type: http` as it is written.

#[cfg(feature = "schemars")]
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::tools::spec::authored::Entries;
use crate::tools::spec::text::AuthoredText;

/// The whole file.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::tools::spec) struct HttpFile {
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub(in crate::tools::spec) name: Spanned<String>,
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schemars", schemars(with = "super::super::schema::TypeHttp"))]
    pub(in crate::tools::spec) _kind: Spanned<String>,
    pub(in crate::tools::spec) description: Option<String>,
    pub(in crate::tools::spec) tags: Option<Vec<String>>,
    /// What paths are below, for example https://api.example.org/v1.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(in crate::tools::spec) base_url: Option<Spanned<String>>,
    /// Sent with every request.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, AuthoredText>>"))]
    pub(in crate::tools::spec) headers: Option<Entries<Spanned<AuthoredText>>>,
    /// Sent with every request.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, AuthoredText>>"))]
    pub(in crate::tools::spec) query: Option<Entries<Spanned<AuthoredText>>>,
    pub(in crate::tools::spec) auth: Option<AuthoredAuth>,
    /// Seconds that a call may take, repetitions included; 60 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    pub(in crate::tools::spec) timeout: Option<Spanned<f64>>,
    /// Bytes that an answer may have, decompressed; 4194304 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<u64>"))]
    pub(in crate::tools::spec) max_output: Option<Spanned<u64>>,
    /// How often a request that may be repeated is; 2 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<u64>"))]
    pub(in crate::tools::spec) retries: Option<Spanned<u64>>,
    /// How many redirects are followed; 5 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<u64>"))]
    pub(in crate::tools::spec) redirects: Option<Spanned<u64>>,
    /// Where requests may go besides base_url.
    pub(in crate::tools::spec) egress: Option<Vec<AuthoredRule>>,
    /// By name: the ways to call the tool.
    #[cfg_attr(
        feature = "schemars",
        schemars(with = "Option<BTreeMap<String, AuthoredEndpoint>>")
    )]
    pub(in crate::tools::spec) endpoints: Option<Entries<AuthoredEndpoint>>,
    /// An OpenAPI 3 document, JSON or YAML, relative to this file's folder.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(in crate::tools::spec) openapi: Option<Spanned<String>>,
    /// Which of the document's operations, by operationId; all if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    pub(in crate::tools::spec) operations: Option<Vec<Spanned<String>>>,
}

/// Who asks: `bearer` or `basic`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::tools::spec) struct AuthoredAuth {
    #[cfg_attr(feature = "schemars", schemars(with = "Option<AuthoredText>"))]
    pub(in crate::tools::spec) bearer: Option<Spanned<AuthoredText>>,
    pub(in crate::tools::spec) basic: Option<AuthoredBasic>,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::tools::spec) struct AuthoredBasic {
    #[cfg_attr(feature = "schemars", schemars(with = "AuthoredText"))]
    pub(in crate::tools::spec) user: Spanned<AuthoredText>,
    #[cfg_attr(feature = "schemars", schemars(with = "AuthoredText"))]
    pub(in crate::tools::spec) password: Spanned<AuthoredText>,
}

/// One rule of `egress`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::tools::spec) struct AuthoredRule {
    /// A host, "*.example.org" for those below one, or "*".
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub(in crate::tools::spec) host: Spanned<String>,
    /// The scheme's own if not given.
    pub(in crate::tools::spec) port: Option<u16>,
    /// Whether http will do, beside https.
    pub(in crate::tools::spec) http: Option<bool>,
    /// All if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    pub(in crate::tools::spec) methods: Option<Vec<Spanned<String>>>,
    /// All if not given; a * at the end stands for any rest.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    pub(in crate::tools::spec) paths: Option<Vec<Spanned<String>>>,
    /// Ranges of addresses that are not public and that the host may have, for example 127.0.0.0/8.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    pub(in crate::tools::spec) addresses: Option<Vec<Spanned<String>>>,
}

/// One of `endpoints`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::tools::spec) struct AuthoredEndpoint {
    pub(in crate::tools::spec) description: Option<String>,
    /// GET if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(in crate::tools::spec) method: Option<Spanned<String>>,
    /// Below base_url, with {names} for parameters.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(in crate::tools::spec) path: Option<Spanned<String>>,
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, AuthoredParam>>"))]
    pub(in crate::tools::spec) params: Option<Entries<Option<AuthoredParam>>>,
    /// auto, text or response.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(in crate::tools::spec) answer: Option<Spanned<String>>,
    /// Whether it may be repeated; by its method if not given.
    pub(in crate::tools::spec) idempotent: Option<bool>,
}

/// One of an endpoint's `params`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in crate::tools::spec) struct AuthoredParam {
    /// string, integer, number, boolean, array, object or any.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(in crate::tools::spec) kind: Option<Spanned<String>>,
    /// path, query, header, field or content.
    #[serde(rename = "in")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    pub(in crate::tools::spec) place: Option<Spanned<String>>,
    /// As the service says it, where that is no name in Python.
    #[serde(rename = "as")]
    pub(in crate::tools::spec) wire: Option<String>,
    pub(in crate::tools::spec) description: Option<String>,
    pub(in crate::tools::spec) required: Option<bool>,
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Value>"))]
    pub(in crate::tools::spec) default: Option<Spanned<Value>>,
    pub(in crate::tools::spec) choices: Option<Vec<Value>>,
    pub(in crate::tools::spec) pattern: Option<String>,
    /// A JSON Schema, in place of type, choices and pattern.
    pub(in crate::tools::spec) schema: Option<Value>,
}
