//! What a workflow reaches, with everything that it invokes: its manifest.
//!
//! A manifest is read off sources, and sources can compute names; it says what
//! to expect and is no boundary. The boundary is [`grants`](crate::grants), asked at every call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::error::Result;
use crate::grants::{Decision, Granted, Target};
use crate::library::Library;
use crate::tools::{Registry, ToolInfo};
use crate::workflow::Workflow;

/// Names, each with the workflows that name it.
pub type Named = BTreeMap<String, BTreeSet<String>>;

/// What a workflow reaches, with everything that it invokes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Whose it is.
    pub workflow: String,
    /// `curl` or `curl.get`.
    pub tools: Named,
    /// Those that are invoked, and those that they invoke.
    pub workflows: Named,
    /// Names of artifacts.
    pub artifacts: Named,
    /// Which of `tools`, `workflows` and `artifacts` are reached by computed
    /// names as well; of those the lists may be incomplete.
    pub computed: Named,
    /// Workflows that are named and are not there.
    pub missing: BTreeSet<String>,
}

/// Something that is named and is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// `tools.curl.get`, `workflows.fetch_json`
    pub name: String,
    /// The workflows that name it.
    pub by: BTreeSet<String>,
    /// The workflows that invoke those.
    pub through: BTreeSet<String>,
}

/// Workflows by name.
pub(crate) struct Index(BTreeMap<String, Workflow>);

impl Index {
    pub(crate) async fn of(library: &dyn Library) -> Result<Self> {
        let all = library.list(None, usize::MAX).await?;
        Ok(Self(all.into_iter().map(|found| (found.name.to_string(), found)).collect()))
    }

    /// What a workflow reaches. It need not be in the index.
    pub(crate) fn manifest(&self, workflow: &Workflow) -> Manifest {
        let name = workflow.name.to_string();
        let mut manifest = Manifest { workflow: name.clone(), ..Manifest::default() };
        let (mut seen, mut waiting) = (BTreeSet::from([name]), vec![workflow]);
        while let Some(next) = waiting.pop() {
            let (uses, by) = (&next.analysis.uses, next.name.as_str());
            for (names, to) in [
                (&uses.tools, &mut manifest.tools),
                (&uses.workflows, &mut manifest.workflows),
                (&uses.artifacts, &mut manifest.artifacts),
                (&uses.computed, &mut manifest.computed),
            ] {
                for name in names {
                    to.entry(name.clone()).or_default().insert(by.to_owned());
                }
            }
            for name in &uses.workflows {
                match self.0.get(name) {
                    Some(found) if seen.insert(name.clone()) => waiting.push(found),
                    Some(_) => {}
                    None => drop(manifest.missing.insert(name.clone())),
                }
            }
        }
        manifest
    }

    /// What workflows name that is not there (any more).
    pub(crate) fn broken(&self, tools: &[Arc<ToolInfo>]) -> Vec<Broken> {
        let mut broken = BTreeMap::<String, Broken>::new();
        for workflow in self.0.values() {
            let manifest = self.manifest(workflow);
            let missing_tools = manifest
                .tools
                .into_iter()
                .filter(|(name, _)| !has_tool(tools, name))
                .map(|(name, by)| (format!("tools.{name}"), by));
            let missing_workflows = manifest
                .workflows
                .into_iter()
                .filter(|(name, _)| manifest.missing.contains(name))
                .map(|(name, by)| (format!("workflows.{name}"), by));
            for (name, by) in missing_tools.chain(missing_workflows) {
                let entry = broken.entry(name.clone()).or_insert_with(|| Broken {
                    name,
                    by: BTreeSet::new(),
                    through: BTreeSet::new(),
                });
                if !by.contains(workflow.name.as_str()) {
                    entry.through.insert(workflow.name.to_string());
                }
                entry.by.extend(by);
            }
        }
        broken.into_values().collect()
    }
}

fn has_tool(tools: &[Arc<ToolInfo>], name: &str) -> bool {
    let (tool, callable) = name.split_once('.').unwrap_or((name, ""));
    let found = tools.iter().find(|info| info.name.as_str() == tool);
    // The tool alone may stand for a recipe that is picked later; and what a server has that
    // cannot be started nobody knows.
    found.is_some_and(|info| {
        callable.is_empty() || info.callables.is_empty() || info.callable(callable).is_some()
    })
}

/// The tools of which something may be called. No other is asked, or started, for a list.
pub(crate) fn reachable(granted: &Granted, tools: &Registry) -> Registry {
    if granted.is_everything() {
        return tools.clone();
    }
    tools.only(|tool| granted.may_reach_tool(tool))
}

/// What becomes of a tool that a source names, with a recipe or without.
pub(crate) fn decide_tool(granted: &Granted, tools: &Registry, name: &str) -> Decision {
    let (tool, callable) = name.split_once('.').unwrap_or((name, ""));
    let decide = |callable: &str| granted.decide(&Target::Tool { tool, callable });
    let known = tools.get(tool).filter(|_| callable.is_empty());
    // Where no recipe is named it may be any of them.
    let any = known.and_then(|info| info.callables.iter().map(|found| decide(&found.name)).min());
    any.unwrap_or_else(|| decide(callable))
}

/// A tool with those of its callables that may be called; none if that is none of them.
pub(crate) fn visible_tool(granted: &Granted, info: &Arc<ToolInfo>) -> Option<Arc<ToolInfo>> {
    // What cannot be started has none, and says so.
    if granted.is_everything() || info.callables.is_empty() {
        return Some(Arc::clone(info));
    }
    let mut info = ToolInfo::clone(info);
    let tool = info.name.clone();
    info.callables.retain(|callable| {
        granted.permits(&Target::Tool { tool: tool.as_str(), callable: &callable.name })
    });
    (!info.callables.is_empty()).then(|| Arc::new(info))
}

/// Keeps the workflows that may be run: nothing that they name, or that those
/// name which they invoke, is refused.
pub(crate) async fn keep_visible<T>(
    granted: &Granted,
    library: &dyn Library,
    tools: &Registry,
    found: Vec<T>,
    workflow: fn(&T) -> &Workflow,
) -> Result<Vec<T>> {
    if granted.is_everything() || found.is_empty() {
        return Ok(found);
    }
    let index = Index::of(library).await?;
    let may_run = |found: &T| {
        let workflow = workflow(found);
        let manifest = index.manifest(workflow);
        granted.permits(&Target::Workflow(workflow.name.as_str()))
            && manifest.workflows.keys().all(|name| granted.permits(&Target::Workflow(name)))
            && manifest.artifacts.keys().all(|name| granted.permits(&Target::Artifact(name)))
            && manifest.tools.keys().all(|name| decide_tool(granted, tools, name) < Decision::Deny)
    };
    Ok(found.into_iter().filter(may_run).collect())
}
