//! Where a tenant's workflows are kept.

pub mod folder;
#[cfg(feature = "lancedb")]
pub mod lance;
pub mod memory;
#[cfg(feature = "lancedb")]
mod schema;
#[cfg(test)]
#[cfg(feature = "lancedb")]
mod tests;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::embed::Vector;
use crate::error::{Error, Result};
use crate::id::WorkflowName;
use crate::search::Candidate;
use crate::workflow::{Version, Workflow};

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
    /// Saves a workflow and the vector that it is found by.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`](crate::error::Code::AlreadyExists) if the name is taken.
    async fn create(&self, workflow: &Workflow, vector: &Vector) -> Result<()>;

    /// The workflow of that name, if there is one.
    async fn get(&self, name: &WorkflowName) -> Result<Option<Workflow>>;

    /// All workflows, by name.
    async fn list(&self) -> Result<Vec<Workflow>>;

    /// The `limit` workflows whose vectors are nearest to `query`, in any order.
    async fn nearest(&self, query: &Vector, limit: usize) -> Result<Vec<Candidate>>;

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
