//! `type: http`: the endpoints of a web service.

mod authored;
mod openapi;
mod params;
mod resolve;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, Url};

use crate::json::Json;
use crate::tools::ToolInfo;
use crate::tools::http::egress::Egress;
use crate::tools::secrets::Text;

pub(super) use authored::{AuthoredRule, HttpFile};
#[cfg(feature = "mcp")]
pub(super) use resolve::{base_url, texts};
pub(super) use resolve::{rule_of, tool};

/// A web service as its file describes it, checked and complete.
#[derive(Debug, Clone)]
pub struct HttpSpec {
    /// What callers see.
    pub info: ToolInfo,
    /// The file's name, without its folder.
    pub file: String,
    /// What paths are below; without it callers give whole addresses.
    pub base: Option<Url>,
    /// Sent with every request.
    pub headers: Vec<(String, Text)>,
    /// Likewise.
    pub query: Vec<(String, Text)>,
    /// Who asks.
    pub auth: Option<Auth>,
    /// How long a call may take, repetitions included.
    pub timeout: Duration,
    /// How many bytes an answer may have, decompressed.
    pub max_output: usize,
    /// How often a request that may be repeated is.
    pub retries: u32,
    /// How many redirects are followed.
    pub redirects: u32,
    /// Where requests may go.
    pub egress: Egress,
    /// By callable.
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// How a request says who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer ...`
    Bearer(Text),
    /// `Authorization: Basic ...`
    Basic {
        /// The user.
        user: Text,
        /// The password.
        password: Text,
    },
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// Below the base, with `{names}` for parameters; `None` where callers give the address.
    pub path: Option<String>,
    /// Where the parameters go.
    pub params: Vec<Param>,
    /// What its answer is.
    pub answer: Answer,
    /// Whether to make it twice is as good as once.
    pub idempotent: bool,
}

/// A parameter's place in a request.
#[derive(Debug, Clone)]
pub struct Param {
    /// As callers say it.
    pub name: String,
    /// As the service says it.
    pub wire: String,
    /// Where it goes.
    pub place: Place,
    /// What holds if the caller says nothing.
    pub default: Option<Json>,
}

/// Where a parameter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into the path.
    Path,
    /// Into the query; a list is repeated.
    Query,
    /// A header.
    Header,
    /// A field of the JSON object that is sent.
    Field,
    /// All that is sent: a string as it is, all else as JSON.
    Content,
    /// The whole address.
    Url,
}

/// What a caller gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// By its media type: what JSON says, a text, or `{"media_type", "base64"}`.
    Auto,
    /// A text, whatever it is.
    Text,
    /// `{"status", "headers", "body"}`, also of an error.
    Response,
}
