//! The durable library: one LanceDB table of what there is, one of what there was.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use lancedb::expr::{col, is_in, lit};
use lancedb::query::{QueryBase, Select};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use super::schema::{self, COLUMNS, CREATION, Created, INVOKES, NAME, VECTOR, VERSION};
use super::searched::Searched;
use super::{Library, changed, distinct, taken};
use crate::clock::{Entropy, SystemEntropy, Timestamp};
use crate::embed::Vector;
use crate::error::{Error, Result};
use crate::id::{VersionId, WorkflowName};
use crate::lance::columns::{Row, rows};
use crate::lance::{Database, Table, equal, rows_of};
use crate::search::{Found, Question};
use crate::workflow::{Graph, Hit, Version, Workflow};

/// A megabyte or two of them.
pub(super) const ROWS_PER_FILE: usize = 1024;

/// How many workflows are kept in memory: those that are run again and again.
const REMEMBERED: usize = 64;

/// How many workflows are read at once to be indexed: some megabytes, and some milliseconds'
/// work between two looks at what else there is to do.
const INDEXED_AT_ONCE: usize = 512;

/// One tenant's workflows, in LanceDB.
pub struct LanceLibrary {
    workflows: Arc<Table>,
    history: Arc<Table>,
    dimensions: usize,
    remembered: Mutex<Remembered>,
    searched: Arc<RwLock<Searched>>,
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
            searched: Arc::default(),
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

    /// The workflows of these names, in any order.
    async fn named(&self, names: &[WorkflowName], columns: &[&str]) -> Result<Vec<RecordBatch>> {
        let names = names.iter().map(|name| lit(name.as_str())).collect();
        let columns = Select::columns(columns);
        self.workflows
            .read(|query| Ok(rows_of(query.only_if_expr(is_in(col(NAME), names)).select(columns))))
            .await
    }

    /// The search index, as of the table's newest version.
    async fn searched(&self) -> Result<OwnedRwLockReadGuard<Searched>> {
        let version = self.workflows.version().await?;
        let searched = Arc::clone(&self.searched).read_owned().await;
        if searched.version == version {
            return Ok(searched);
        }
        drop(searched);
        let mut searched = Arc::clone(&self.searched).write_owned().await;
        if searched.version != version {
            self.catch_up(&mut searched).await?;
            searched.version = version;
        }
        Ok(searched.downgrade())
    }

    /// Indexes what there is and was not there before, and forgets what is gone.
    async fn catch_up(&self, searched: &mut Searched) -> Result<()> {
        let columns = Select::columns(&[NAME, CREATION]);
        let found = self.workflows.read(|query| Ok(rows_of(query.select(columns)))).await?;
        let now = creations(&found)?;
        let new = searched.retain(&now);
        let mut columns = COLUMNS.to_vec();
        columns.push(VECTOR);
        for names in new.chunks(INDEXED_AT_ONCE) {
            let found = self.named(names, &columns).await?;
            for row in rows(&found) {
                match schema::read(row) {
                    Ok(created) => searched.insert(&created, &row.vector(VECTOR)?),
                    // One that is damaged does not keep the others from being found.
                    Err(error) => {
                        tracing::warn!(error = error.chain(), "is not found by searching")
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Does to the index what was just done to the table, if nothing else was done since: else the
    /// next search reads what is new.
    async fn follow(&self, change: impl FnOnce(&mut Searched) + Send) {
        let Ok(mut searched) = Arc::clone(&self.searched).try_write_owned() else { return };
        // What was written is written, whether or not this can be read.
        let Ok(Some(version)) = self.workflows.version().await else { return };
        if version == searched.version.unwrap_or(0) + 1 {
            change(&mut searched);
            searched.version = Some(version);
        }
    }

    /// A new creation, and its row.
    fn row(&self, workflow: &Workflow, vector: &Vector) -> Result<(Created, RecordBatch)> {
        self.check(vector)?;
        let created = Created { workflow: workflow.clone(), creation: SystemEntropy.next_u64() };
        let row = schema::live_row(self.workflows.schema(), &created, vector)?
            .map_err(|error| self.workflows.malformed(error))?;
        Ok((created, row))
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

/// Which creation each name means.
fn creations(found: &[RecordBatch]) -> Result<HashMap<WorkflowName, u64>> {
    let creation = |row: Row<'_>| Ok((WorkflowName::new(row.text(NAME)?)?, row.number(CREATION)?));
    rows(found).map(creation).collect()
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
        let name = &workflow.name;
        let Some(expected) = instead_of else {
            let new = [(workflow.clone(), vector.clone())];
            return match self.save_new(&new).await?.is_empty() {
                true => Ok(()),
                false => Err(taken(name)),
            };
        };
        let (created, row) = self.row(workflow, vector)?;
        let old = self.created(name).await?.filter(|old| old.workflow.version == *expected);
        let Some(old) = old else { return Err(changed(name)) };
        self.remember_deleted(&old, workflow.created_at).await?;
        match self.workflows.replace_if(NAME, CREATION, old.creation, vec![row]).await? {
            0 => Err(changed(name)),
            _ => {
                self.follow(|searched| searched.insert(&created, vector)).await;
                Ok(())
            }
        }
    }

    async fn save_new(&self, new: &[(Workflow, Vector)]) -> Result<Vec<WorkflowName>> {
        let names = distinct(new)?;
        let rows = new.iter().map(|(workflow, vector)| self.row(workflow, vector));
        let (created, rows): (Vec<_>, Vec<_>) =
            rows.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        // Whoever races for a name, in this process or another: the merge
        // looks again before it commits, and inserts nothing under it if it lost.
        let inserted = self.workflows.insert(NAME, rows).await?;
        let mut taken = Vec::new();
        if inserted < new.len() as u64 {
            let names: Vec<_> = names.into_iter().cloned().collect();
            let found = self.named(&names, &[NAME, CREATION]).await?;
            let saved = creations(&found)?;
            let is_saved = |new: &&Created| saved.get(&new.workflow.name) == Some(&new.creation);
            let others = created.iter().filter(|new| !is_saved(new));
            taken.extend(others.map(|new| new.workflow.name.clone()));
        }
        let saved = created.iter().zip(new).filter(|(new, _)| !taken.contains(&new.workflow.name));
        let saved: Vec<_> = saved.map(|(new, (_, vector))| (new, vector)).collect();
        if !saved.is_empty() {
            self.follow(|searched| {
                saved.iter().for_each(|(new, vector)| searched.insert(new, vector));
            })
            .await;
        }
        Ok(taken)
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
        let found = match page {
            Some(names) => self.named(&names, &COLUMNS).await?,
            None => {
                let columns = Select::columns(&COLUMNS);
                self.workflows.read(|query| Ok(rows_of(query.select(columns)))).await?
            }
        };
        let mut workflows = rows(&found)
            .map(|row| schema::read(row).map(|created| created.workflow))
            .collect::<Result<Vec<_>>>()?;
        workflows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(workflows)
    }

    async fn count(&self) -> Result<u64> {
        self.workflows.count().await
    }

    async fn graph(&self) -> Result<Graph> {
        let columns = Select::columns(&[NAME, VERSION, INVOKES]);
        let found = self.workflows.read(|query| Ok(rows_of(query.select(columns)))).await?;
        let mut workflows = rows(&found).map(schema::read_links).collect::<Result<Vec<_>>>()?;
        workflows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Graph { workflows })
    }

    async fn search(&self, question: &Question, limit: usize) -> Result<Vec<Hit>> {
        self.check(&question.vector)?;
        let (searched, question) = (self.searched().await?, question.clone());
        // Of many, a matter of milliseconds.
        let search = tokio::task::spawn_blocking(move || searched.index.search(&question, limit));
        let found = search
            .await
            .map_err(|error| Error::internal("the search panicked").with_source(error))?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<_> = found.iter().map(|found| found.key.clone()).collect();
        let mut workflows = rows(&self.named(&names, &COLUMNS).await?)
            .map(|row| {
                schema::read(row).map(|Created { workflow, .. }| (workflow.name.clone(), workflow))
            })
            .collect::<Result<HashMap<_, _>>>()?;
        // What was deleted meanwhile is not among them.
        let hit = |found: Found<WorkflowName>| {
            workflows.remove(&found.key).map(|workflow| found.hit(workflow))
        };
        Ok(found.into_iter().filter_map(hit).collect())
    }

    async fn delete(&self, name: &WorkflowName, now: Timestamp) -> Result<bool> {
        let Some(created) = self.created(name).await? else { return Ok(false) };
        self.remember_deleted(&created, now).await?;
        // This creation, not what another process may have created under the name since.
        let this = equal(NAME, name.as_str()).and(equal(CREATION, created.creation));
        if self.workflows.delete(this).await? == 0 {
            return Ok(false);
        }
        self.follow(|searched| searched.remove(name)).await;
        Ok(true)
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
