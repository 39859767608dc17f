//! What the servers answer with. These types are theirs: the engine's may
//! change, and agents that read this must not notice.

use schemars::JsonSchema;
use serde::Serialize;

use crate::artifacts::{Content, Metadata};
use crate::error::Error;
use crate::json::Json;
use crate::run::{Failure, Outcome, Run as Record, Usage as Used};
use crate::tools::{Callable, ToolInfo};
use crate::workflow::{Hit, Parameter, Workflow as Saved};

/// A value or an error, what was printed, and what it took.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RunResult")]
pub(super) struct Run<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a Json>,
    /// In place of a value that JSON cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    repr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Problem<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    stdout: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    stderr: &'a str,
    usage: Usage,
    run_id: String,
}

impl<'a> From<&'a Record> for Run<'a> {
    fn from(run: &'a Record) -> Self {
        let (value, repr, error) = match &run.outcome {
            Outcome::Value(value) if value.repr.is_some() => (None, value.repr.as_deref(), None),
            Outcome::Value(value) => (Some(&value.json), None, None),
            Outcome::Failure(failure) => (None, None, Some(Problem::from(failure))),
        };
        Self {
            value,
            repr,
            error,
            stdout: &run.stdout,
            stderr: &run.stderr,
            usage: Usage::from(&run.usage),
            run_id: run.invocation.id.to_string(),
        }
    }
}

/// What a run used.
#[derive(Serialize, JsonSchema)]
pub(super) struct Usage {
    fuel: u64,
    peak_memory_bytes: u64,
    wall_time_ms: f64,
    host_calls: u64,
}

impl From<&Used> for Usage {
    fn from(used: &Used) -> Self {
        Self {
            fuel: used.fuel,
            peak_memory_bytes: used.peak_memory_bytes,
            // To the microsecond.
            wall_time_ms: (used.wall_time.as_secs_f64() * 1e6).round() / 1e3,
            host_calls: used.host_calls,
        }
    }
}

/// Why there is no value.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
pub(super) struct Problem<'a> {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    traceback: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Json>,
}

impl<'a> From<&'a Error> for Problem<'a> {
    fn from(error: &'a Error) -> Self {
        let (code, message) = (error.code().as_str(), error.chain());
        Self { code, message, traceback: "", details: error.details() }
    }
}

impl<'a> From<&'a Failure> for Problem<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            code: failure.code.as_str(),
            message: failure.message.clone(),
            traceback: &failure.traceback,
            details: failure.details.as_ref(),
        }
    }
}

/// A workflow as one line of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkflowSummary")]
pub(super) struct Brief<'a> {
    name: &'a str,
    /// As one calls it: `fetch_json(url: str) -> dict`.
    signature: String,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// The words of the question that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<&'a [String]>,
}

impl<'a> From<&'a Saved> for Brief<'a> {
    fn from(workflow: &'a Saved) -> Self {
        let name = workflow.name.as_str();
        let signature = format!("{name}{}", workflow.analysis.signature.text);
        Self { name, signature, description: &workflow.description, score: None, matched: None }
    }
}

impl<'a> From<&'a Hit> for Brief<'a> {
    fn from(hit: &'a Hit) -> Self {
        let score = Some((hit.score * 1e3).round() / 1e3);
        Self { score, matched: Some(&hit.matched), ..Self::from(&hit.workflow) }
    }
}

/// A workflow with all that is known of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Workflow<'a> {
    #[serde(flatten)]
    brief: Brief<'a>,
    source: &'a str,
    digest: String,
    created_at: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl<'a> From<&'a Saved> for Workflow<'a> {
    fn from(workflow: &'a Saved) -> Self {
        let warnings = workflow.analysis.warnings.iter();
        Self {
            brief: Brief::from(workflow),
            source: &workflow.source,
            digest: workflow.digest.to_string(),
            created_at: workflow.created_at.to_string(),
            warnings: warnings.map(|w| format!("line {}: {}", w.line, w.message)).collect(),
        }
    }
}

/// One way to call a tool.
#[derive(Serialize, JsonSchema)]
pub(super) struct Tool<'a> {
    /// `tools.curl.get`
    call: String,
    description: &'a str,
    /// JSON Schema of the keyword arguments.
    parameters: serde_json::Value,
}

/// All ways to call a tool.
pub(super) fn callables(tool: &ToolInfo) -> impl Iterator<Item = Tool<'_>> {
    tool.callables.iter().map(|callable| {
        let Callable { name, description, parameters } = callable;
        let dot = if name.is_empty() { "" } else { "." };
        let description = if description.is_empty() { &tool.description } else { description };
        let call = format!("tools.{}{dot}{name}", tool.name);
        Tool { call, description, parameters: object_schema(parameters, false) }
    })
}

/// The JSON Schema of a call's arguments.
pub(super) fn object_schema(parameters: &[Parameter], open: bool) -> serde_json::Value {
    let mut properties = serde_json::Map::new();
    for parameter in parameters {
        // What the sandbox has analysed is an object, or it would not have been saved.
        let schema = parameter.schema.to::<serde_json::Map<_, _>>();
        let mut schema = schema.unwrap_or_default();
        if !parameter.description.is_empty() {
            schema.insert("description".into(), parameter.description.clone().into());
        }
        if let Some(default) = parameter.default.as_ref().and_then(|json| json.to().ok()) {
            schema.insert("default".into(), default);
        }
        properties.insert(parameter.name.clone(), schema.into());
    }
    let required: Vec<&str> =
        parameters.iter().filter(|p| p.required).map(|p| p.name.as_str()).collect();
    serde_json::json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": open,
    })
}

/// What is known of an artifact without loading it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Artifact<'a> {
    name: &'a str,
    version: u64,
    kind: &'a str,
    media_type: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
}

impl<'a> From<&'a Metadata> for Artifact<'a> {
    fn from(metadata: &'a Metadata) -> Self {
        Self {
            name: metadata.name.as_str(),
            version: metadata.version,
            kind: metadata.kind,
            media_type: &metadata.media_type,
            size: metadata.size,
            description: &metadata.description,
            created_at: metadata.created_at.to_string(),
            expires_at: metadata.expires_at.map(|at| at.to_string()),
            run_id: metadata.run.map(|run| run.to_string()),
        }
    }
}

/// An artifact's content as JSON can carry it: bytes in base64.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Body<'a> {
    Json(&'a Json),
    Text(&'a str),
    Base64 { base64: String },
}

impl<'a> From<&'a Content> for Body<'a> {
    fn from(content: &'a Content) -> Self {
        match content {
            Content::Json(json) => Self::Json(json),
            Content::Text(text) => Self::Text(text),
            Content::Binary(bytes) => Self::Base64 { base64: base64(bytes) },
        }
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
