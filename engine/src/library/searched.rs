//! The search index of a library, and of which creations it knows.

use std::collections::HashMap;

use super::schema::Created;
use crate::id::WorkflowName;
use crate::search::{Document, Index};

/// What there is at a version of the table, to be searched.
#[derive(Default)]
pub(super) struct Searched {
    /// Of the table; `None` if there was none.
    pub(super) version: Option<u64>,
    pub(super) index: Index<WorkflowName>,
    creations: HashMap<WorkflowName, u64>,
}

impl Searched {
    /// Forgets what is not there any more, and names what has to be indexed.
    pub(super) fn retain(&mut self, now: &HashMap<WorkflowName, u64>) -> Vec<WorkflowName> {
        self.creations.retain(|name, creation| {
            let stays = now.get(name) == Some(creation);
            if !stays {
                self.index.remove(name);
            }
            stays
        });
        now.keys().filter(|name| !self.creations.contains_key(*name)).cloned().collect()
    }

    pub(super) fn insert(&mut self, created: &Created, vector: &[f32]) {
        let Created { workflow, creation } = created;
        self.creations.insert(workflow.name.clone(), *creation);
        self.index.insert(workflow.name.clone(), &Document::from(workflow), vector);
    }

    pub(super) fn remove(&mut self, name: &WorkflowName) {
        self.creations.remove(name);
        self.index.remove(name);
    }
}
