//! A table that opens, or is created, when it is first needed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType, Field, SchemaRef};
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use lancedb::expr::{DfExpr, col, lit};
use lancedb::query::{ExecutableQuery, Query, VectorQuery};
use lancedb::table::{CompactionOptions, OptimizeAction};
use tokio::sync::{Mutex, OnceCell};

use super::{Database, Failure, QUARANTINE, guarded};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};

/// Every write makes a file and a version, which every read has to look at. So
/// many versions later, whoever wrote the last one compacts them.
const TIDY_EVERY: u64 = 20;

/// How old a version has to be before its files may go. A query of another
/// process may still be reading it; none takes a minute.
const KEEP: Duration = Duration::from_secs(60);

/// The same where the disk would become too full otherwise.
const KEEP_AT_LEAST: Duration = Duration::from_secs(5);

/// Looking for the newest version takes a millisecond for every thousand that
/// are kept. Whoever finds this many when opening the table drops the old ones.
const MANY_VERSIONS: usize = 200;

/// How many damaged manifests one opening sets aside. A power cut tears the
/// last few at most.
const MAX_SET_ASIDE: usize = 8;

/// One table of a tenant's database.
pub(crate) struct Table {
    database: Arc<Database>,
    name: &'static str,
    schema: SchemaRef,
    /// Files with fewer rows are merged. It bounds how often a row is copied.
    rows_per_file: usize,
    opened: OnceCell<lancedb::Table>,
    /// Held while opening: recovery moves files.
    opening: Mutex<()>,
    /// Held while writing: LanceDB copes with writers that race, but by trying again.
    writing: Mutex<()>,
}

/// A column; the one that is the key can be merged on without a race.
pub(crate) fn column(name: &str, data_type: DataType, key: bool) -> Field {
    let field = Field::new(name, data_type, false);
    if !key {
        return field;
    }
    // What `set_unenforced_primary_key` writes in a commit of its own; here the
    // table has it from its first version, so no other process sees it without.
    let metadata = ("lance-schema:unenforced-primary-key:position".to_owned(), "1".to_owned());
    field.with_metadata([metadata].into())
}

/// `column = value`, as an expression: there is no SQL text that a value could break out of.
pub(crate) fn equal(
    column: &str,
    value: impl lancedb::datafusion::logical_expr::Literal,
) -> DfExpr {
    col(column).eq(lit(value))
}

/// What a query finds, as [`Table::read`] takes it.
type Found = BoxFuture<'static, lancedb::Result<Vec<RecordBatch>>>;

/// What a query finds. Boxed, as in [`guarded`]: it holds expressions.
pub(crate) fn rows_of(query: Query) -> Found {
    async move { query.execute().await?.try_collect().await }.boxed()
}

/// What a search by vector finds. Not one generic function with [`rows_of`]: its
/// callers would have to prove that their query can be sent, seconds of rustc's each.
pub(crate) fn nearest_of(query: VectorQuery) -> Found {
    async move { query.execute().await?.try_collect().await }.boxed()
}

/// That long ago.
fn before(age: Duration) -> SystemTime {
    let now = SystemClock.now().to_system_time();
    now.checked_sub(age).unwrap_or(now)
}

impl Table {
    pub(crate) fn new(
        database: &Arc<Database>,
        name: &'static str,
        schema: SchemaRef,
        rows_per_file: usize,
    ) -> Self {
        Self {
            database: Arc::clone(database),
            name,
            schema,
            rows_per_file,
            opened: OnceCell::new(),
            opening: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    // Plain functions that box, not `async fn`s, as in `guarded`.

    /// Whether somebody has written to it.
    pub(crate) fn exists(&self) -> bool {
        self.dir().join("_versions").exists()
    }

    /// Bytes on disk, old versions included.
    pub(crate) async fn disk(&self) -> Result<u64> {
        fn size(dir: &Path) -> std::io::Result<u64> {
            let mut sum = 0;
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                sum += match entry.metadata() {
                    Ok(found) if found.is_dir() => size(&entry.path())?,
                    Ok(found) => found.len(),
                    // Somebody has tidied up.
                    Err(error) if error.kind() == ErrorKind::NotFound => 0,
                    Err(error) => return Err(error),
                };
            }
            Ok(sum)
        }
        let dir = self.dir();
        let found = tokio::task::spawn_blocking(move || match size(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            found => found,
        });
        found
            .await
            .unwrap_or_else(|panic| Err(panic.into()))
            .map_err(|error| Error::unavailable(self.doing("measure")).with_source(error))
    }

    /// What a query finds; nothing if the table was never written to.
    pub(crate) fn read<'a>(
        self: &'a Arc<Self>,
        query: impl FnOnce(Query) -> lancedb::Result<Found> + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<RecordBatch>>> {
        let work = async move {
            let Some(table) = self.existing().await? else { return Ok(Vec::new()) };
            let found = match query(table.query()) {
                Ok(found) => found,
                Err(error) => std::future::ready(Err(error)).boxed(),
            };
            guarded(found).await.map_err(|failure| failure.into_error(self.doing("read")))
        };
        work.boxed()
    }

    /// The number of the newest version, whoever wrote it; `None` if there is no table yet.
    pub(crate) async fn version(self: &Arc<Self>) -> Result<Option<u64>> {
        let Some(table) = self.existing().await? else { return Ok(None) };
        let version = guarded(table.version().boxed()).await;
        version.map(Some).map_err(|failure| failure.into_error(self.doing("read")))
    }

    /// Inserts rows whose key, `on`, is new; answers how many were.
    pub(crate) fn insert<'a>(
        self: &'a Arc<Self>,
        on: &'a str,
        rows: RecordBatch,
    ) -> BoxFuture<'a, Result<u64>> {
        let work = async move {
            let _writing = self.writing.lock().await;
            let table = self.existing_or_new().await?;
            let mut merge = table.merge_insert(&[on]);
            merge.when_not_matched_insert_all();
            let schema = rows.schema();
            let rows = Box::new(RecordBatchIterator::new([Ok(rows)], schema));
            let result = self.commit(merge.execute(rows).boxed(), |result| result.version).await?;
            Ok(result.num_inserted_rows)
        };
        work.boxed()
    }

    /// Adds rows; for tables without a key.
    pub(crate) fn add<'a>(self: &'a Arc<Self>, rows: RecordBatch) -> BoxFuture<'a, Result<()>> {
        let work = async move {
            let _writing = self.writing.lock().await;
            let table = self.existing_or_new().await?;
            self.commit(table.add(rows).execute().boxed(), |result| result.version).await.map(drop)
        };
        work.boxed()
    }

    /// Deletes the rows for which the expression holds; answers how many there were.
    pub(crate) fn delete(self: &Arc<Self>, matching: DfExpr) -> BoxFuture<'_, Result<u64>> {
        let work = async move {
            let _writing = self.writing.lock().await;
            let Some(table) = self.existing().await? else { return Ok(0) };
            self.database.check_alive()?;
            let delete = async move { table.delete(&matching).await };
            let result = self.commit(delete.boxed(), |result| result.version).await?;
            Ok(result.num_deleted_rows)
        };
        work.boxed()
    }

    async fn existing(self: &Arc<Self>) -> Result<Option<&lancedb::Table>> {
        if self.opened.get().is_none() {
            let _opening = self.opening.lock().await;
            if self.opened.get().is_none() {
                let Some(table) = self.open().await? else { return Ok(None) };
                // Nobody else sets it: we hold the lock.
                let _ = self.opened.set(table);
                if super::recovery::has_stale_versions(&self.dir(), MANY_VERSIONS, before(KEEP)) {
                    self.tidy_later();
                }
            }
        }
        Ok(self.opened.get())
    }

    async fn existing_or_new(self: &Arc<Self>) -> Result<&lancedb::Table> {
        self.database.check_alive()?;
        if let Some(table) = self.existing().await? {
            return Ok(table);
        }
        let _opening = self.opening.lock().await;
        let table = self.opened.get_or_try_init(|| async {
            // Two that create a table at once do not fail: the later one
            // overwrites it, with whatever was written to it in between.
            let _lock = self.database.lock().await?;
            match self.open_locked().await? {
                Some(table) => Ok(table),
                None => self.create().await,
            }
        });
        table.await
    }

    async fn create(&self) -> Result<lancedb::Table> {
        let connection = self.database.connection().await?;
        let create = connection.create_empty_table(self.name, self.schema.clone());
        let table = guarded(create.execute())
            .await
            .map_err(|failure| failure.into_error(self.doing("create")))?;
        super::durable::sync_new(&self.dir())
            .map_err(|error| Error::unavailable(self.doing("create")).with_source(error))?;
        Ok(table)
    }

    async fn open(&self) -> Result<Option<lancedb::Table>> {
        let dir = self.dir();
        if !dir.join("_versions").exists() {
            return Ok(None);
        }
        // LanceDB opens some torn manifests as tables without columns.
        if !super::recovery::is_torn(&dir)
            && let Ok(found) = self.try_open().await
        {
            return Ok(found);
        }
        // While one process recovers, another must not take what it made good for damaged.
        let _lock = self.database.lock().await?;
        self.open_locked().await
    }

    async fn open_locked(&self) -> Result<Option<lancedb::Table>> {
        let (dir, quarantine) = (self.dir(), self.database.dir().join(QUARANTINE));
        let mut set_aside = 0;
        loop {
            if !super::recovery::set_damage_aside(&dir, &quarantine, false)? {
                let (failure, suspect) = match self.try_open().await {
                    Ok(found) => return Ok(found),
                    Err(failed) => failed,
                };
                if set_aside == MAX_SET_ASIDE
                    || !super::recovery::set_damage_aside(&dir, &quarantine, suspect)?
                {
                    return Err(failure.into_error(self.doing("open")));
                }
            }
            set_aside += 1;
        }
    }

    /// The table, if there is one; or why not, and whether its manifest may be to blame.
    async fn try_open(&self) -> std::result::Result<Option<lancedb::Table>, (Failure, bool)> {
        let connection = match self.database.connection().await {
            Ok(connection) => connection,
            Err(error) => return Err((Failure::Ours(error), false)),
        };
        match guarded(connection.open_table(self.name).execute()).await {
            Ok(table) if self.has_our_columns(&table).await => Ok(Some(table)),
            Ok(_) => {
                let message = "it does not have the columns that it should".to_owned();
                Err((Failure::Error(Box::new(lancedb::Error::Schema { message })), true))
            }
            Err(Failure::Error(error))
                if matches!(*error, lancedb::Error::TableNotFound { .. }) =>
            {
                Ok(None)
            }
            Err(Failure::Error(error)) => {
                let suspect = error.to_string().contains("decode");
                Err((Failure::Error(error), suspect))
            }
            Err(failure) => Err((failure, true)),
        }
    }

    async fn has_our_columns(&self, table: &lancedb::Table) -> bool {
        let found = guarded(table.schema()).await;
        found.is_ok_and(|found| {
            self.schema.fields().iter().all(|field| found.field_with_name(field.name()).is_ok())
        })
    }

    /// Writes, forces what was written to disk, and tidies up if it is time to.
    async fn commit<T: Send>(
        self: &Arc<Self>,
        work: BoxFuture<'_, lancedb::Result<T>>,
        version: fn(&T) -> u64,
    ) -> Result<T> {
        // File systems keep coarser times than clocks, some as coarse as two seconds.
        let since = before(Duration::from_secs(2));
        let result =
            guarded(work).await.map_err(|failure| failure.into_error(self.doing("write to")))?;
        let dir = self.dir();
        let synced = tokio::task::spawn_blocking(move || super::durable::sync(&dir, since)).await;
        synced
            .unwrap_or_else(|panic| Err(panic.into()))
            .map_err(|error| Error::unavailable(self.doing("force to disk")).with_source(error))?;
        if version(&result).is_multiple_of(TIDY_EVERY) {
            self.tidy_later();
        }
        Ok(result)
    }

    fn tidy_later(self: &Arc<Self>) {
        let table = Arc::clone(self);
        // Boxed, because tidying opens the table, which may in turn want it tidied.
        self.database.spawn(async move { table.tidy().await }.boxed());
    }

    /// Drops old versions and merges small files. Failing is harmless: the next one will do it.
    async fn tidy(self: &Arc<Self>) {
        let _writing = self.writing.lock().await;
        let Ok(Some(table)) = self.existing().await else { return };
        let prune = OptimizeAction::Prune {
            older_than: lancedb::table::Duration::from_std(KEEP).ok(),
            // Files that no manifest names may belong to a write of another process.
            delete_unverified: Some(false),
            error_if_tagged_old_versions: None,
        };
        let options = CompactionOptions {
            target_rows_per_fragment: self.rows_per_file,
            ..CompactionOptions::default()
        };
        let compact = OptimizeAction::Compact { options, remap_options: None };
        // In this order: what compaction is about to replace stays until the
        // next time, so that there is a version before the newest.
        let is_stale = super::recovery::has_stale_versions(&self.dir(), 2, before(KEEP));
        let steps = is_stale.then_some(prune).into_iter().chain([compact]);
        for step in steps {
            if let Err(failure) = guarded(table.optimize(step).boxed()).await {
                let error = failure.into_error(self.doing("compact"));
                tracing::debug!(error = %error.chain(), "will be tried again");
                return;
            }
        }
    }

    /// Gives back what was deleted, now: for who has written more than there is
    /// room for. Whoever reads has seconds, not a minute.
    pub(crate) async fn tidy_now(self: &Arc<Self>) {
        let _writing = self.writing.lock().await;
        let Ok(Some(table)) = self.existing().await else { return };
        let options = CompactionOptions {
            target_rows_per_fragment: self.rows_per_file,
            ..CompactionOptions::default()
        };
        let prune = OptimizeAction::Prune {
            older_than: lancedb::table::Duration::from_std(KEEP_AT_LEAST).ok(),
            delete_unverified: Some(false),
            error_if_tagged_old_versions: None,
        };
        for step in [OptimizeAction::Compact { options, remap_options: None }, prune] {
            if let Err(failure) = guarded(table.optimize(step).boxed()).await {
                let error = failure.into_error(self.doing("compact"));
                tracing::debug!(error = %error.chain(), "will be tried again");
                return;
            }
        }
    }

    fn dir(&self) -> PathBuf {
        self.database.dir().join(format!("{}.lance", self.name))
    }

    fn doing(&self, what: &str) -> String {
        format!("cannot {what} the table {}", self.dir().display())
    }

    /// An error about rows that could not be put together.
    pub(crate) fn malformed(&self, error: arrow_schema::ArrowError) -> Error {
        Error::internal(format!("rows for the table {} do not fit its schema", self.name))
            .with_source(error)
    }
}
