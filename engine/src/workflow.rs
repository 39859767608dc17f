//! A saved workflow and what is known of its source.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::{SourceDigest, WorkflowName};
use crate::json::Json;

/// A saved workflow. Immutable: to change one, delete it and create it anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Unique within a tenant.
    pub name: WorkflowName,
    /// What it does, in the words that a search should find.
    pub description: String,
    /// Python source with a top-level `def run` or `async def run`.
    pub source: Arc<str>,
    /// Of the source.
    pub digest: SourceDigest,
    /// What the source says about itself.
    pub analysis: Analysis,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What a source says about itself, found without running it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Analysis {
    /// How to call it.
    pub signature: Signature,
    /// First paragraph of the module's docstring, or else of `run`'s; empty if there is none.
    pub description: String,
    /// `run`'s docstring, dedented; empty if there is none.
    pub docstring: String,
    /// What it calls by name.
    pub uses: Uses,
    /// Departures from the standards for workflows.
    pub warnings: Vec<Warning>,
}

/// How a workflow is called and what it returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// `(url: str, timeout: int = 30) -> dict`
    pub text: String,
    /// Whether the entry point is `async def run`.
    pub is_async: bool,
    /// In the order of the source.
    pub parameters: Vec<Parameter>,
    /// Whether `run` takes `**kwargs`, so that unknown arguments are allowed.
    pub accepts_unknown: bool,
    /// JSON Schema of the result; `{}` if nothing is known.
    pub returns: Json,
    /// From the docstring; empty if there is none.
    pub returns_description: String,
    /// From the docstring.
    pub raises: Vec<Raises>,
}

impl Default for Signature {
    fn default() -> Self {
        Self {
            text: "()".to_owned(),
            is_async: false,
            parameters: Vec::new(),
            accepts_unknown: false,
            returns: Json::empty_object(),
            returns_description: String::new(),
            raises: Vec::new(),
        }
    }
}

/// One parameter of a workflow or of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// A Python identifier.
    pub name: String,
    /// JSON Schema, draft 2020-12.
    pub schema: Json,
    /// Whether a call without it is refused.
    pub required: bool,
    /// Its default, where it has one that JSON can say.
    pub default: Option<Json>,
    /// What it means; empty if nobody said.
    pub description: String,
}

/// An exception that the docstring says `run` may raise.
#[derive(Debug, Clone, PartialEq)]
pub struct Raises {
    /// `RuntimeError`
    pub exception: String,
    /// When.
    pub description: String,
}

/// What a source names in the text of its calls.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Uses {
    /// `curl` or `curl.get`.
    pub tools: Vec<String>,
    /// Names of workflows.
    pub workflows: Vec<String>,
    /// Names of artifacts.
    pub artifacts: Vec<String>,
    /// Packages beside the standard library, as its inline metadata requires them.
    pub packages: Vec<String>,
    /// Which of `tools`, `workflows` and `artifacts` it reaches by computed names as well.
    pub computed: Vec<String>,
}

/// A departure from the standards for workflows.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// Stable and kebab-case, for example `missing-type-hint`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// 1-based.
    pub line: u32,
}

/// A search result.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// What was found.
    pub workflow: Workflow,
    /// Between 0 and 1; comparable within one search only.
    pub score: f64,
}

/// One creation of a name, now or in the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// What was created.
    pub workflow: Workflow,
    /// When it was deleted; `None` for what the name means now.
    pub deleted_at: Option<Timestamp>,
}
