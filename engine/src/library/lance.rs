//! The durable library: one LanceDB table of what there is, one of what there was.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lancedb::DistanceType;
use lancedb::expr::{col, is_in, lit};
use lancedb::query::{QueryBase, Select};

use super::schema::{self, COLUMNS, CREATION, Created, INVOKES, NAME, VECTOR, VERSION};
use super::{Library, changed, taken};
use crate::clock::{Entropy, SystemEntropy, Timestamp};
use crate::embed::Vector;
use crate::error::{Error, Result};
use crate::id::{VersionId, WorkflowName};
use crate::lance::columns::rows;
use crate::lance::{Database, Table, equal, nearest_of, rows_of};
use crate::search::Candidate;
use crate::workflow::{Graph, Version, Workflow};

/// The column that LanceDB adds to the answer of a vector search.
const DISTANCE: &str = "_distance";

/// A megabyte or two of them.
pub(super) const ROWS_PER_FILE: usize = 1024;

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
    names: Option<Arc<Names>>,
}

/// All names, in order.
#[derive(Default)]
struct Names(Vec<WorkflowName>);

impl Names {
    fn page(&self, after: Option<&WorkflowName>, limit: usize) -> Vec<WorkflowName> {
        let from = after.map_or(0, |after| self.0.partition_point(|name| name <= after));
        self.0.iter().skip(from).take(limit).cloned().collect()
    }
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

    /// Puts what a name means into the history. Before it goes: a crash in between leaves an
    /// entry for what is still there, which `history` knows by its creation number.
    async fn remember_deleted(&self, created: &Created, now: Timestamp) -> Result<()> {
        let row = schema::deleted_row(self.history.schema(), created, now)?
            .map_err(|error| self.history.malformed(error))?;
        self.history.add(row).await
    }

    /// Reads everything there is, and says how many workflows are live.
    ///
    /// # Errors
    /// If anything is damaged, or a name is there twice.
    pub(crate) async fn examine(&self) -> Result<usize> {
        let live = self.list(None, usize::MAX).await?;
        for (one, next) in live.iter().zip(live.iter().skip(1)) {
            if one.name == next.name {
                return Err(Error::unavailable(format!(
                    "the workflow {} is there twice",
                    one.name
                )));
            }
        }
        let history = self.history.read(|query| Ok(rows_of(query))).await?;
        for row in rows(&history) {
            schema::read_deleted(row)?;
        }
        Ok(live.len())
    }

    /// All names, in order, as of the table's newest version.
    async fn names(&self) -> Result<Arc<Names>> {
        let Some(version) = self.workflows.version().await? else { return Ok(Arc::default()) };
        if let Some(names) = self.remembered().at(version).names.clone() {
            return Ok(names);
        }
        let columns = Select::columns(&[NAME]);
        let found = self.workflows.read(|query| Ok(rows_of(query.select(columns)))).await?;
        let mut names = rows(&found)
            .map(|row| WorkflowName::new(row.text(NAME)?))
            .collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        let names = Arc::new(Names(names));
        self.remembered().at(version).names = Some(Arc::clone(&names));
        Ok(names)
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
    fn at(&mut self, version: u64) -> &mut Self {
        if self.version != version {
            *self = Self { version, ..Self::default() };
        }
        self
    }
}

#[async_trait]
impl Library for LanceLibrary {
    async fn save(
        &self,
        workflow: &Workflow,
        vector: &Vector,
        instead_of: Option<&VersionId>,
    ) -> Result<()> {
        self.check(vector)?;
        let name = &workflow.name;
        let created = Created { workflow: workflow.clone(), creation: SystemEntropy.next_u64() };
        let row = schema::live_row(self.workflows.schema(), &created, vector)?
            .map_err(|error| self.workflows.malformed(error))?;
        let Some(expected) = instead_of else {
            // Whoever races for the name, in this process or another: the merge
            // looks again before it commits, and inserts nothing if it lost.
            return match self.workflows.insert(NAME, row).await? {
                0 => Err(taken(name)),
                _ => Ok(()),
            };
        };
        let old = self.created(name).await?.filter(|old| old.workflow.version == *expected);
        let Some(old) = old else { return Err(changed(name)) };
        self.remember_deleted(&old, workflow.created_at).await?;
        match self.workflows.replace_if(NAME, CREATION, old.creation, row).await? {
            0 => Err(changed(name)),
            _ => Ok(()),
        }
    }

    async fn get(&self, name: &WorkflowName) -> Result<Option<Workflow>> {
        let Some(version) = self.workflows.version().await? else { return Ok(None) };
        if let Some(workflow) = self.remembered().at(version).workflows.get(name) {
            return Ok(Some(workflow.clone()));
        }
        let Some(Created { workflow, .. }) = self.created(name).await? else { return Ok(None) };
        // It may be of a newer version than that, and is then forgotten a little early.
        let mut remembered = self.remembered();
        let workflows = &mut remembered.at(version).workflows;
        if workflows.len() >= REMEMBERED {
            workflows.clear();
        }
        workflows.insert(name.clone(), workflow.clone());
        Ok(Some(workflow))
    }

    async fn list(&self, after: Option<&WorkflowName>, limit: usize) -> Result<Vec<Workflow>> {
        let page = match (after, limit) {
            (None, usize::MAX) => None,
            _ => Some(self.names().await?.page(after, limit)),
        };
        if page.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let found = self
            .workflows
            .read(|query| {
                let query = query.select(Select::columns(&COLUMNS));
                Ok(rows_of(match page {
                    None => query,
                    Some(names) => {
                        let names = names.iter().map(|name| lit(name.as_str())).collect();
                        query.only_if_expr(is_in(col(NAME), names))
                    }
                }))
            })
            .await?;
        let mut workflows = rows(&found)
            .map(|row| schema::read(row).map(|created| created.workflow))
            .collect::<Result<Vec<_>>>()?;
        workflows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(workflows)
    }

    async fn graph(&self) -> Result<Graph> {
        let columns = Select::columns(&[NAME, VERSION, INVOKES]);
        let found = self.workflows.read(|query| Ok(rows_of(query.select(columns)))).await?;
        let mut workflows = rows(&found).map(schema::read_links).collect::<Result<Vec<_>>>()?;
        workflows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Graph { workflows })
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
        self.remember_deleted(&created, now).await?;
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
