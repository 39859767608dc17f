//! The durable library: one LanceDB table of what there is, one of what there was.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lancedb::DistanceType;
use lancedb::query::{QueryBase, Select};

use super::schema::{self, COLUMNS, CREATION, Created, NAME, VECTOR};
use super::{Library, taken};
use crate::clock::{Entropy, SystemEntropy, Timestamp};
use crate::embed::Vector;
use crate::error::{Error, Result};
use crate::id::WorkflowName;
use crate::lance::columns::rows;
use crate::lance::{Database, Table, equal, nearest_of, rows_of};
use crate::search::Candidate;
use crate::workflow::{Version, Workflow};

/// The column that LanceDB adds to the answer of a vector search.
const DISTANCE: &str = "_distance";

/// A megabyte or two of them.
const ROWS_PER_FILE: usize = 1024;

/// How many workflows are kept in memory: those that are run again and again.
const REMEMBERED: usize = 64;

/// One tenant's workflows, in LanceDB.
pub struct LanceLibrary {
    workflows: Arc<Table>,
    history: Arc<Table>,
    dimensions: usize,
    remembered: Mutex<Remembered>,
}

/// What was read lately. A query takes longer than a short run; whether the
/// table is still at the same version, whoever writes to it, is told quickly.
#[derive(Default)]
struct Remembered {
    version: u64,
    workflows: HashMap<WorkflowName, Workflow>,
}

impl LanceLibrary {
    pub(crate) fn new(database: &Arc<Database>, dimensions: usize) -> Result<Self> {
        let length = i32::try_from(dimensions).map_err(|error| {
            Error::invalid_argument("an embedding model has too many dimensions").with_source(error)
        })?;
        let table = |name, schema| Arc::new(Table::new(database, name, schema, ROWS_PER_FILE));
        Ok(Self {
            workflows: table("workflows", schema::workflows(length)),
            history: table("history", schema::history()),
            dimensions,
            remembered: Mutex::default(),
        })
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn created(&self, name: &WorkflowName) -> Result<Option<Created>> {
        let found = self
            .workflows
            .read(|query| {
                Ok(rows_of(
                    query
                        .only_if_expr(equal(NAME, name.as_str()))
                        .select(Select::columns(&COLUMNS)),
                ))
            })
            .await?;
        rows(&found).next().map(schema::read).transpose()
    }

    fn check(&self, vector: &Vector) -> Result<()> {
        if vector.len() == self.dimensions {
            return Ok(());
        }
        Err(Error::internal(format!(
            "a vector has {} dimensions, where the library's have {}",
            vector.len(),
            self.dimensions
        )))
    }
}

impl Remembered {
    /// What is known at that version of the table; nothing if it is another than before.
    fn at(&mut self, version: u64) -> &mut HashMap<WorkflowName, Workflow> {
        if self.version != version {
            self.workflows.clear();
            self.version = version;
        }
        &mut self.workflows
    }
}

#[async_trait]
impl Library for LanceLibrary {
    async fn create(&self, workflow: &Workflow, vector: &Vector) -> Result<()> {
        self.check(vector)?;
        let created = Created { workflow: workflow.clone(), creation: SystemEntropy.next_u64() };
        let row = schema::live_row(self.workflows.schema(), &created, vector)?
            .map_err(|error| self.workflows.malformed(error))?;
        // Whoever races for the name, in this process or another: the merge
        // looks again before it commits, and inserts nothing if it lost.
        if self.workflows.insert(NAME, row).await? == 0 {
            return Err(taken(&workflow.name));
        }
        Ok(())
    }

    async fn get(&self, name: &WorkflowName) -> Result<Option<Workflow>> {
        let Some(version) = self.workflows.version().await? else { return Ok(None) };
        if let Some(workflow) = self.remembered().at(version).get(name) {
            return Ok(Some(workflow.clone()));
        }
        let Some(Created { workflow, .. }) = self.created(name).await? else { return Ok(None) };
        // It may be of a newer version than that, and is then forgotten a little early.
        let mut remembered = self.remembered();
        let workflows = remembered.at(version);
        if workflows.len() >= REMEMBERED {
            workflows.clear();
        }
        workflows.insert(name.clone(), workflow.clone());
        Ok(Some(workflow))
    }

    async fn list(&self) -> Result<Vec<Workflow>> {
        let found = self
            .workflows
            .read(|query| Ok(rows_of(query.select(Select::columns(&COLUMNS)))))
            .await?;
        let mut workflows = rows(&found)
            .map(|row| schema::read(row).map(|created| created.workflow))
            .collect::<Result<Vec<_>>>()?;
        workflows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(workflows)
    }

    async fn nearest(&self, query: &Vector, limit: usize) -> Result<Vec<Candidate>> {
        self.check(query)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut columns = COLUMNS.to_vec();
        columns.push(DISTANCE);
        // There is no index: comparing all of some thousand vectors takes less
        // time than opening one, and is exact.
        let found = self
            .workflows
            .read(|all| {
                let nearest = all.nearest_to(query.as_ref())?;
                Ok(nearest_of(
                    nearest
                        .column(VECTOR)
                        .distance_type(DistanceType::Dot)
                        .bypass_vector_index()
                        .limit(limit)
                        .select(Select::columns(&columns)),
                ))
            })
            .await?;
        let candidate = |row: crate::lance::columns::Row<'_>| {
            let workflow = schema::read(row)?.workflow;
            Ok(Candidate { workflow, similarity: 1.0 - row.real(DISTANCE)? })
        };
        rows(&found).map(candidate).collect()
    }

    async fn delete(&self, name: &WorkflowName, now: Timestamp) -> Result<bool> {
        let Some(created) = self.created(name).await? else { return Ok(false) };
        // History first: a crash in between leaves an entry for what is still
        // there, which `history` knows by its creation number.
        let row = schema::deleted_row(self.history.schema(), &created, now)?
            .map_err(|error| self.history.malformed(error))?;
        self.history.add(row).await?;
        // This creation, not what another process may have created under the name since.
        let this = equal(NAME, name.as_str()).and(equal(CREATION, created.creation));
        Ok(self.workflows.delete(this).await? > 0)
    }

    async fn history(&self, name: &WorkflowName) -> Result<Vec<Version>> {
        let found =
            self.history.read(|query| Ok(rows_of(query.only_if_expr(equal(NAME, name.as_str())))));
        let found = found.await?;
        let live = self.created(name).await?;
        // One entry a creation, by its number: two may have tried to delete it,
        // or one may have tried twice. The last one did.
        let mut deleted = BTreeMap::<u64, Version>::new();
        for row in rows(&found) {
            let (creation, version) = schema::read_deleted(row)?;
            let known = deleted.entry(creation).or_insert_with(|| version.clone());
            known.deleted_at = known.deleted_at.max(version.deleted_at);
        }
        if let Some(live) = &live {
            deleted.remove(&live.creation);
        }
        let mut versions: Vec<Version> = deleted.into_values().collect();
        versions.sort_by_key(|v| Reverse((v.deleted_at, v.workflow.created_at)));
        let live = live.map(|live| Version { workflow: live.workflow, deleted_at: None });
        Ok(live.into_iter().chain(versions).collect())
    }
}
