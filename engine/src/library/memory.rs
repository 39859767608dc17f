//! A library that lives as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Library, taken};
use crate::clock::Timestamp;
use crate::embed::Vector;
use crate::error::Result;
use crate::id::WorkflowName;
use crate::search::{Candidate, similarity};
use crate::workflow::{Version, Workflow};

/// Workflows in memory: for embedders who keep them elsewhere, and for tests.
#[derive(Debug, Default)]
pub struct MemoryLibrary {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: BTreeMap<WorkflowName, (Workflow, Vector)>,
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

#[async_trait]
impl Library for MemoryLibrary {
    async fn create(&self, workflow: &Workflow, vector: &Vector) -> Result<()> {
        let mut state = self.state();
        if state.live.contains_key(&workflow.name) {
            return Err(taken(&workflow.name));
        }
        state.live.insert(workflow.name.clone(), (workflow.clone(), vector.clone()));
        Ok(())
    }

    async fn get(&self, name: &WorkflowName) -> Result<Option<Workflow>> {
        Ok(self.state().live.get(name).map(|(workflow, _)| workflow.clone()))
    }

    async fn list(&self) -> Result<Vec<Workflow>> {
        Ok(self.state().live.values().map(|(workflow, _)| workflow.clone()).collect())
    }

    async fn nearest(&self, query: &Vector, limit: usize) -> Result<Vec<Candidate>> {
        let state = self.state();
        let mut nearest: Vec<_> = state
            .live
            .values()
            .map(|(workflow, vector)| (similarity(query, vector), workflow))
            .collect();
        nearest.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let candidate = |(similarity, workflow): (f32, &Workflow)| Candidate {
            workflow: workflow.clone(),
            similarity,
        };
        Ok(nearest.into_iter().take(limit).map(candidate).collect())
    }

    async fn delete(&self, name: &WorkflowName, now: Timestamp) -> Result<bool> {
        let mut state = self.state();
        let Some((workflow, _)) = state.live.remove(name) else { return Ok(false) };
        let version = Version { workflow, deleted_at: Some(now) };
        state.deleted.entry(name.clone()).or_default().push(version);
        Ok(true)
    }

    async fn history(&self, name: &WorkflowName) -> Result<Vec<Version>> {
        let state = self.state();
        let live = state
            .live
            .get(name)
            .map(|(workflow, _)| Version { workflow: workflow.clone(), deleted_at: None });
        let deleted = state.deleted.get(name).into_iter().flatten().rev().cloned();
        Ok(live.into_iter().chain(deleted).collect())
    }
}
