//! What `--json` prints. These types are the command line's own: the engine's
//! may change, and programs that read this must not notice.

use serde::Serialize;

use crate::artifacts::Metadata;
use crate::error::Error;
use crate::json::Json;
use crate::run::{Failure, Outcome, Run as Record, Usage as Used};
use crate::tools::ToolInfo;
use crate::workflow::{Parameter as Declared, Requires as Required, Workflow as Saved};

/// What a run used.
#[derive(Serialize)]
pub(super) struct Usage {
    fuel: u64,
    peak_memory_bytes: u64,
    wall_time_ms: f64,
    host_calls: u64,
    output_bytes: u64,
}

impl From<&Used> for Usage {
    fn from(used: &Used) -> Self {
        Self {
            fuel: used.fuel,
            peak_memory_bytes: used.peak_memory_bytes,
            // To the microsecond.
            wall_time_ms: (used.wall_time.as_secs_f64() * 1e6).round() / 1e3,
            host_calls: used.host_calls,
            output_bytes: used.output_bytes,
        }
    }
}

/// A value or an error, and what it took.
#[derive(Serialize, Default)]
pub(super) struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a Json>,
    /// Where JSON cannot say the value of agent code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Problem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stdout: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run_id: Option<String>,
}

/// Why there is no value.
#[derive(Serialize)]
pub(super) struct Problem<'a> {
    pub(super) code: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) traceback: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<&'a Json>,
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

impl<'a> From<&'a Record> for Answer<'a> {
    fn from(run: &'a Record) -> Self {
        let mut answer = Self {
            stdout: Some(&run.stdout),
            usage: Some(Usage::from(&run.usage)),
            run_id: Some(run.invocation.id.to_string()),
            ..Self::default()
        };
        match &run.outcome {
            Outcome::Value(value) => {
                answer.value = Some(&value.json);
                answer.repr = value.repr.as_deref();
            }
            Outcome::Failure(failure) => answer.error = Some(failure.into()),
        }
        answer
    }
}

/// A parameter of a workflow or a tool.
#[derive(Serialize)]
pub(super) struct Parameter<'a> {
    name: &'a str,
    schema: &'a Json,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'a Json>,
    description: &'a str,
}

fn parameters(declared: &[Declared]) -> Vec<Parameter<'_>> {
    declared.iter().map(parameter).collect()
}

fn parameter(declared: &Declared) -> Parameter<'_> {
    let Declared { name, schema, required, default, description } = declared;
    Parameter { name, schema, required: *required, default: default.as_ref(), description }
}

/// A workflow.
#[derive(Serialize)]
pub(super) struct Workflow<'a> {
    name: &'a str,
    /// In a search only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<f64>,
    /// Likewise: the words of the question that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) matched: Option<&'a [String]>,
    description: &'a str,
    signature: &'a str,
    is_async: bool,
    parameters: Vec<Parameter<'a>>,
    returns: &'a Json,
    uses: Uses<'a>,
    /// What it has to find installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    requires: Option<Requires<'a>>,
    warnings: Vec<Warning<'a>>,
    sha256: String,
    version: String,
    created_at: String,
    /// In a history only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted_at: Option<String>,
    /// Where one workflow is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<&'a str>,
}

#[derive(Serialize)]
struct Requires<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
    dependencies: Vec<String>,
}

impl<'a> Requires<'a> {
    fn of(requires: &'a Required) -> Option<Self> {
        let dependencies = requires.dependencies.iter().map(ToString::to_string).collect();
        let shown = Self { runtime: requires.runtime.as_deref(), dependencies };
        (*requires != Required::default()).then_some(shown)
    }
}

#[derive(Serialize)]
struct Uses<'a> {
    tools: &'a [String],
    workflows: &'a [String],
    artifacts: &'a [String],
}

#[derive(Serialize)]
struct Warning<'a> {
    code: &'a str,
    message: &'a str,
    line: u32,
}

impl<'a> From<&'a Saved> for Workflow<'a> {
    fn from(saved: &'a Saved) -> Self {
        let analysis = &saved.analysis;
        let warnings = analysis.warnings.iter();
        Self {
            name: saved.name.as_str(),
            score: None,
            matched: None,
            description: &saved.description,
            signature: &analysis.signature.text,
            is_async: analysis.signature.is_async,
            parameters: parameters(&analysis.signature.parameters),
            returns: &analysis.signature.returns,
            requires: Requires::of(&analysis.requires),
            uses: Uses {
                tools: &analysis.uses.tools,
                workflows: &analysis.uses.workflows,
                artifacts: &analysis.uses.artifacts,
            },
            warnings: warnings
                .map(|w| Warning { code: &w.code, message: &w.message, line: w.line })
                .collect(),
            sha256: saved.digest.to_string(),
            version: saved.version.to_string(),
            created_at: saved.created_at.to_string(),
            deleted_at: None,
            source: None,
        }
    }
}

/// A tool.
#[derive(Serialize)]
pub(super) struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    tags: &'a [String],
    callables: Vec<Callable<'a>>,
}

#[derive(Serialize)]
struct Callable<'a> {
    name: &'a str,
    description: &'a str,
    parameters: Vec<Parameter<'a>>,
}

impl<'a> From<&'a ToolInfo> for Tool<'a> {
    fn from(info: &'a ToolInfo) -> Self {
        let callables = info.callables.iter().map(|callable| Callable {
            name: &callable.name,
            description: &callable.description,
            parameters: parameters(&callable.parameters),
        });
        Self {
            name: info.name.as_str(),
            description: &info.description,
            tags: &info.tags,
            callables: callables.collect(),
        }
    }
}

/// An artifact.
#[derive(Serialize)]
pub(super) struct Artifact<'a> {
    name: &'a str,
    version: u64,
    kind: &'static str,
    media_type: &'a str,
    description: &'a str,
    size: u64,
    sha256: &'a str,
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
            description: &metadata.description,
            size: metadata.size,
            sha256: &metadata.digest,
            created_at: metadata.created_at.to_string(),
            expires_at: metadata.expires_at.map(|end| end.to_string()),
            run_id: metadata.run.map(|run| run.to_string()),
        }
    }
}

/// A run's record, without what it was called with and what it printed.
#[derive(Serialize)]
pub(super) struct Run<'a> {
    run_id: String,
    /// The run whose call it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// None of agent code.
    workflow: Option<&'a str>,
    depth: u32,
    seed: u64,
    started_at: String,
    /// `ok`, or the code of the failure.
    outcome: &'static str,
    usage: Usage,
}

impl<'a> From<&'a Record> for Run<'a> {
    fn from(run: &'a Record) -> Self {
        Self {
            run_id: run.invocation.id.to_string(),
            parent: run.invocation.parent.map(|id| id.to_string()),
            workflow: run.invocation.workflow.as_deref(),
            depth: run.invocation.depth,
            seed: run.invocation.seed,
            started_at: run.invocation.started_at.to_string(),
            outcome: run.outcome.failure().map_or("ok", |failure| failure.code.as_str()),
            usage: Usage::from(&run.usage),
        }
    }
}
