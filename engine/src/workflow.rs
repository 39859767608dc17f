//! A saved workflow and what is known of its source.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::{SourceDigest, VersionId, WorkflowName};
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
    /// Of source, description and schema: what the name points to.
    pub version: VersionId,
    /// What the source invokes by name, and what those names meant when this was created.
    pub invokes: Vec<Pin>,
    /// What the source says about itself.
    pub analysis: Analysis,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Workflow {
    /// A workflow with the digests that follow from its content; it invokes nothing yet.
    #[must_use]
    pub fn new(
        name: WorkflowName,
        source: impl Into<Arc<str>>,
        description: impl Into<String>,
        analysis: Analysis,
        created_at: Timestamp,
    ) -> Self {
        let (source, description) = (source.into(), description.into());
        Self {
            digest: SourceDigest::of(&source),
            version: Self::version_of(&source, &description, &analysis),
            invokes: Vec::new(),
            name,
            description,
            source,
            analysis,
            created_at,
        }
    }

    /// The version that a source, a description and what the source says of its parameters
    /// and its result make. Who created it, and when, is no part of it.
    #[must_use]
    pub fn version_of(source: &str, description: &str, analysis: &Analysis) -> VersionId {
        let yes = |flag: bool| if flag { "yes" } else { "no" };
        let signature = &analysis.signature;
        let mut parts = vec![
            source,
            description,
            &signature.text,
            yes(signature.is_async),
            yes(signature.accepts_unknown),
            signature.returns.as_str(),
            &signature.returns_description,
        ];
        for parameter in &signature.parameters {
            parts.extend([
                parameter.name.as_str(),
                parameter.schema.as_str(),
                yes(parameter.required),
                yes(parameter.default.is_some()),
                parameter.default.as_ref().map_or("", Json::as_str),
                &parameter.description,
            ]);
        }
        VersionId::of(parts)
    }
}

/// A workflow that another one invokes by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The name.
    pub name: WorkflowName,
    /// What it meant when the other one was created; `None` if nothing.
    pub version: Option<VersionId>,
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
    /// What it has to find installed.
    pub requires: Requires,
    /// Departures from the standards for workflows.
    pub warnings: Vec<Warning>,
}

impl Analysis {
    /// How many of the workflows that a source names are recorded with their versions: more
    /// than anybody writes, and each costs a look into the library.
    const MAX_INVOKED: usize = 256;

    /// The workflows that the source says it invokes.
    pub(crate) fn invoked(&self) -> BTreeSet<WorkflowName> {
        let names = self.uses.workflows.iter();
        names.filter_map(|name| WorkflowName::new(name).ok()).take(Self::MAX_INVOKED).collect()
    }
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
    /// Which of `tools`, `workflows` and `artifacts` it reaches by computed names as well.
    pub computed: Vec<String>,
}

/// The inline script metadata of a source (PEP 723): what it has to find installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requires {
    /// The runtime image that it names.
    pub runtime: Option<String>,
    /// The packages that it names.
    pub dependencies: Vec<Dependency>,
}

/// A package that a source needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Normalised: `ruamel-yaml`.
    pub name: String,
    /// Version specifiers, as in `>=6,<7`; empty for any version.
    pub versions: String,
}

impl std::fmt::Display for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, self.versions)
    }
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
    /// The words of the question that its name, description, docstring or parameters have, in
    /// the question's order. None if only the meaning is alike.
    pub matched: Vec<String>,
}

/// One creation of a name, now or in the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// What was created.
    pub workflow: Workflow,
    /// When it was deleted; `None` for what the name means now.
    pub deleted_at: Option<Timestamp>,
}

/// What a workflow invokes: a node of the graph of who calls whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// Who invokes.
    pub name: WorkflowName,
    /// What that name means now.
    pub version: VersionId,
    /// Whom.
    pub invokes: Vec<Pin>,
}

/// What deleting a workflow did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deletion {
    /// Whether there was one of that name.
    pub existed: bool,
    /// The workflows that invoke it by name, and cannot any more.
    pub broken: Vec<WorkflowName>,
}

/// Who invokes whom in a library: every workflow, and what each name it invokes means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// By name.
    pub workflows: Vec<Links>,
}

impl Graph {
    /// What a name means now; `None` if nothing.
    #[must_use]
    pub fn version(&self, name: &WorkflowName) -> Option<VersionId> {
        let found = self.workflows.binary_search_by(|links| links.name.cmp(name));
        found.ok().and_then(|at| self.workflows.get(at)).map(|links| links.version)
    }

    /// The workflows that invoke that name, themselves excepted.
    pub fn callers<'a>(&'a self, name: &'a WorkflowName) -> impl Iterator<Item = &'a WorkflowName> {
        let invokes = |links: &&Links| {
            links.name != *name && links.invokes.iter().any(|pin| pin.name == *name)
        };
        self.workflows.iter().filter(invokes).map(|links| &links.name)
    }
}
