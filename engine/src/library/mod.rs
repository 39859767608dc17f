//! Where a tenant's workflows are kept.

pub mod folder;
#[cfg(feature = "lancedb")]
pub mod lance;
pub mod manifest;
pub mod memory;
#[cfg(feature = "lancedb")]
mod searched;
#[cfg(feature = "lancedb")]
mod schema;
#[cfg(test)]
#[cfg(feature = "lancedb")]
mod tests;
#[cfg(feature = "lancedb")]
pub(crate) mod upgrade;

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::embed::Vector;
use crate::error::{Code, Error, Result};
use crate::id::{VersionId, WorkflowName};
use crate::search::Question;
use crate::workflow::{Graph, Hit, Version, Workflow};

/// The largest source, in bytes: far more than anyone writes by hand, and
/// little enough that a thousand of them are listed in one piece.
pub const MAX_SOURCE: usize = 1 << 20;

/// One tenant's workflows.
///
/// Implementations are shared between runs and processes: a name is created at
/// most once, whoever races for it, and what was acknowledged is there for
/// everyone who asks afterwards.
#[async_trait]
pub trait Library: Send + Sync {
    /// Saves a workflow and the vector that it is found by: under a name that means nothing
    /// yet, or in the place of what the name means now, which goes into the history. Whoever
    /// reads meanwhile sees the one or the other.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`] if the name is taken,
    /// [`Code::Conflict`] if it does not mean `instead_of`.
    async fn save(
        &self,
        workflow: &Workflow,
        vector: &Vector,
        instead_of: Option<&VersionId>,
    ) -> Result<()>;

    /// Saves workflows under names that mean nothing yet, all at once; answers the names that
    /// mean something already, whose workflows are not saved.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`] if two of them have the same name: then none is saved.
    async fn save_new(&self, new: &[(Workflow, Vector)]) -> Result<Vec<WorkflowName>>;

    /// The workflow of that name, if there is one.
    async fn get(&self, name: &WorkflowName) -> Result<Option<Workflow>>;

    /// The first `limit` workflows after a name, or of all, by name.
    async fn list(&self, after: Option<&WorkflowName>, limit: usize) -> Result<Vec<Workflow>>;

    /// How many workflows there are.
    async fn count(&self) -> Result<u64>;

    /// Who invokes whom, by name: what is known of all workflows without reading them whole.
    async fn graph(&self) -> Result<Graph>;

    /// The `limit` workflows that answer a question best, best first, ties by name.
    /// [`Index`](crate::search::Index) does the work.
    async fn search(&self, question: &Question, limit: usize) -> Result<Vec<Hit>>;

    /// Deletes a workflow; false if there was none. It stays in the history.
    async fn delete(&self, name: &WorkflowName, now: Timestamp) -> Result<bool>;

    /// Everything that a name has meant, the newest first.
    async fn history(&self, name: &WorkflowName) -> Result<Vec<Version>>;
}

pub(crate) fn taken(name: &WorkflowName) -> Error {
    Error::already_exists(format!(
        "there is already a workflow {name}: workflows are immutable; delete it first, or choose another name"
    ))
}

pub(crate) fn changed(name: &WorkflowName) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "somebody else has changed what {name} means at the same time: look at it, and try again"
        ),
    )
}

/// The names of workflows that are saved together.
fn distinct(new: &[(Workflow, Vector)]) -> Result<BTreeSet<&WorkflowName>> {
    let mut names = BTreeSet::new();
    match new.iter().find(|(workflow, _)| !names.insert(&workflow.name)) {
        Some((twice, _)) => Err(taken(&twice.name)),
        None => Ok(names),
    }
}
