//! A library in a folder of `.py` files: reading one in, and writing one out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::catalog::{Catalog, NewWorkflow};
use crate::error::{Error, Result};
use crate::id::{VersionId, WorkflowName};
use crate::library::folder;
use crate::library::manifest::{Export, Manifest};
use crate::workflow::Workflow;

/// What an import did with one file.
#[derive(Debug)]
pub struct Imported {
    /// The file.
    pub path: PathBuf,
    /// What was done.
    pub action: ImportAction,
}

/// What was done with a file.
#[derive(Debug)]
pub enum ImportAction {
    /// There was no workflow of that name.
    Created(Box<Workflow>),
    /// There was one from another source; that one is in the history now.
    Updated(Box<Workflow>),
    /// There was one from the same source.
    Unchanged(WorkflowName),
    /// The file is not a workflow; whatever has its name is untouched.
    Failed(Error),
}

/// How many workflows an export holds in memory.
const PAGE: usize = 256;

/// A file that changes something: the workflow, and the version that it takes the place of.
struct Change {
    workflow: Workflow,
    instead_of: Option<VersionId>,
}

impl Catalog {
    /// Makes the library agree with a folder of `.py` files. Workflows that
    /// have no file are left alone.
    pub(crate) async fn import(
        &self,
        directory: &Path,
        progress: &(dyn Fn(usize, usize, &Path) + Sync),
    ) -> Result<Vec<Imported>> {
        let files = folder::read(directory)?;
        let manifest = Manifest::read(directory)?.unwrap_or_default();
        let total = files.len();
        let mut report = BTreeMap::new();
        let mut changes = BTreeMap::new();
        for (index, file) in files.into_iter().enumerate() {
            progress(index, total, &file.path);
            // Everything that can fail for a source's sake comes before anything is changed.
            let change = match file.workflow {
                Ok((name, source)) => self.change(name, source, &manifest).await,
                Err(error) => Err(error),
            };
            match change {
                Ok(Ok(change)) => drop(changes.insert(file.path, change)),
                Ok(Err(name)) => drop(report.insert(file.path, ImportAction::Unchanged(name))),
                Err(error) => drop(report.insert(file.path, ImportAction::Failed(error))),
            }
        }
        for (path, change) in in_order(changes) {
            let action = self.apply(change).await.unwrap_or_else(ImportAction::Failed);
            report.insert(path, action);
        }
        Ok(report.into_iter().map(|(path, action)| Imported { path, action }).collect())
    }

    /// Writes the library into a folder; says how many workflows there are.
    pub(crate) async fn export(&self, directory: &Path) -> Result<usize> {
        let mut export = Export::begin(directory)?;
        let mut last = None;
        loop {
            let page = self.library.list(last.as_ref(), PAGE).await?;
            for workflow in &page {
                export.add(workflow)?;
            }
            match page.last() {
                Some(workflow) => last = Some(workflow.name.clone()),
                None => return export.finish(),
            }
        }
    }

    /// What a file changes; the name if nothing.
    async fn change(
        &self,
        name: WorkflowName,
        source: String,
        manifest: &Manifest,
    ) -> Result<std::result::Result<Change, WorkflowName>> {
        let described = manifest.description(&name);
        let existing = self.library.get(&name).await?;
        let same = |old: &&Workflow| {
            *old.source == *source && described.is_none_or(|text| text == old.description)
        };
        if existing.as_ref().filter(same).is_some() {
            return Ok(Err(name));
        }
        let description = described.unwrap_or_default().to_owned();
        let new = NewWorkflow { name: name.to_string(), source, description };
        let workflow = self.prepare(name, new, None).await?;
        if manifest.is_version(&workflow.name, &workflow.version) == Some(false) {
            tracing::warn!(
                workflow = %workflow.name,
                "the file is not the version that its manifest names: it was edited, or read otherwise when it was exported"
            );
        }
        Ok(Ok(Change { workflow, instead_of: existing.map(|old| old.version) }))
    }

    async fn apply(&self, Change { mut workflow, instead_of }: Change) -> Result<ImportAction> {
        self.pin(&mut workflow).await?;
        if instead_of.is_none() {
            self.check_room().await?;
        }
        let vector = self.vector(&workflow).await?;
        self.library.save(&workflow, &vector, instead_of.as_ref()).await?;
        let workflow = Box::new(workflow);
        Ok(match instead_of {
            Some(_) => ImportAction::Updated(workflow),
            None => ImportAction::Created(workflow),
        })
    }
}

/// Those that others invoke come before those others, as far as they do not invoke each other,
/// so that each is created against what comes with it.
fn in_order(mut changes: BTreeMap<PathBuf, Change>) -> Vec<(PathBuf, Change)> {
    let mut ordered = Vec::with_capacity(changes.len());
    while !changes.is_empty() {
        let waiting: BTreeSet<WorkflowName> =
            changes.values().map(|change| change.workflow.name.clone()).collect();
        let is_ready = |change: &Change| {
            let mut names = change.workflow.analysis.invoked().into_iter();
            !names.any(|name| name != change.workflow.name && waiting.contains(&name))
        };
        let mut ready: Vec<PathBuf> = changes
            .iter()
            .filter(|(_, change)| is_ready(change))
            .map(|(path, _)| path.clone())
            .collect();
        if ready.is_empty() {
            // They go round in a circle: one has to be the first.
            ready.extend(changes.keys().next().cloned());
        }
        for path in ready {
            ordered.extend(changes.remove_entry(&path));
        }
    }
    ordered
}
