//! A library that lives as long as the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Library, changed, distinct, taken};
use crate::clock::Timestamp;
use crate::embed::Vector;
use crate::error::{Code, Result};
use crate::id::{VersionId, WorkflowName};
use crate::search::{Document, Index, Question};
use crate::workflow::{Graph, Hit, Links, Version, Workflow};

/// Workflows in memory: for embedders who keep them elsewhere, and for tests.
#[derive(Debug, Default)]
pub struct MemoryLibrary {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<WorkflowName, Workflow>,
    index: Index<WorkflowName>,
    /// What was deleted, the oldest first.
    deleted: BTreeMap<WorkflowName, Vec<Version>>,
}

impl MemoryLibrary {
    /// An empty library.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No invariant spans a panic: every change is one insertion or removal.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts what a name means into the history; false if it means nothing.
    fn retire(&mut self, name: &WorkflowName, now: Timestamp) -> bool {
        let Some(workflow) = self.live.remove(name) else { return false };
        self.index.remove(name);
        let version = Version { workflow, deleted_at: Some(now) };
        self.deleted.entry(name.clone()).or_default().push(version);
        true
    }
}

#[async_trait]
impl Library for MemoryLibrary {
    async fn save(
        &self,
        workflow: &Workflow,
        vector: &Vector,
        instead_of: Option<&VersionId>,
    ) -> Result<()> {
        let mut state = self.state();
        let name = &workflow.name;
        match (state.live.get(name), instead_of) {
            (Some(_), None) => return Err(taken(name)),
            (Some(old), Some(expected)) if old.version == *expected => {}
            (_, Some(_)) => return Err(changed(name)),
            (None, None) => {}
        }
        state.retire(name, workflow.created_at);
        state.index.insert(name.clone(), &Document::from(workflow), vector);
        state.live.insert(name.clone(), workflow.clone());
        Ok(())
    }

    async fn save_new(&self, new: &[(Workflow, Vector)]) -> Result<Vec<WorkflowName>> {
        distinct(new)?;
        let mut taken = Vec::new();
        for (workflow, vector) in new {
            match self.save(workflow, vector, None).await {
                Ok(()) => {}
                Err(error) if error.code() == Code::AlreadyExists => {
                    taken.push(workflow.name.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    async fn get(&self, name: &WorkflowName) -> Result<Option<Workflow>> {
        Ok(self.state().live.get(name).cloned())
    }

    async fn list(&self, after: Option<&WorkflowName>, limit: usize) -> Result<Vec<Workflow>> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = state.live.range::<WorkflowName, _>((from, Bound::Unbounded)).take(limit);
        Ok(page.map(|(_, workflow)| workflow.clone()).collect())
    }

    async fn count(&self) -> Result<u64> {
        Ok(self.state().live.len() as u64)
    }

    async fn graph(&self) -> Result<Graph> {
        let links = |workflow: &Workflow| Links {
            name: workflow.name.clone(),
            version: workflow.version,
            invokes: workflow.invokes.clone(),
        };
        Ok(Graph { workflows: self.state().live.values().map(links).collect() })
    }

    async fn search(&self, question: &Question, limit: usize) -> Result<Vec<Hit>> {
        let state = self.state();
        let found = state.index.search(question, limit).into_iter();
        Ok(found
            .filter_map(|found| state.live.get(&found.key).cloned().map(|it| found.hit(it)))
            .collect())
    }

    async fn delete(&self, name: &WorkflowName, now: Timestamp) -> Result<bool> {
        Ok(self.state().retire(name, now))
    }

    async fn history(&self, name: &WorkflowName) -> Result<Vec<Version>> {
        let state = self.state();
        let live = state
            .live
            .get(name)
            .map(|workflow| Version { workflow: workflow.clone(), deleted_at: None });
        let deleted = state.deleted.get(name).into_iter().flatten().rev().cloned();
        Ok(live.into_iter().chain(deleted).collect())
    }
}
