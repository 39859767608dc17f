//! A table that opens, or is created, when it is first needed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use lancedb::database::CreateTableMode;
use lancedb::expr::{DfExpr, col, lit};
use lancedb::query::{ExecutableQuery, Query};
use lancedb::table::NewColumnTransform;
use tokio::sync::{Mutex, OnceCell};

use super::durable::Synced;
use super::{Database, Durability, Failure, before, guarded};
use crate::error::{Error, Result};

/// Every write makes a file and a version, which every read has to look at. So
/// many versions later, whoever wrote the last one compacts them.
const TIDY_EVERY: u64 = 20;

/// What becomes of a row whose key is that of one that is written.
enum Matched {
    Stays,
    /// Goes if that column has that number, else stays.
    GoesIf(&'static str, u64),
}

/// One table of a tenant's database.
pub(crate) struct Table {
    pub(super) database: Arc<Database>,
    pub(super) name: &'static str,
    pub(super) schema: SchemaRef,
    /// Files with fewer rows are merged. It bounds how often a row is copied.
    pub(super) rows_per_file: usize,
    pub(super) opened: OnceCell<lancedb::Table>,
    /// Held while opening: recovery moves files.
    pub(super) opening: Mutex<()>,
    /// Held while writing: LanceDB copes with writers that race, but by trying again.
    pub(super) writing: Mutex<()>,
    /// What of it is on disk.
    synced: Arc<std::sync::Mutex<Synced>>,
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
            synced: Arc::default(),
        }
    }

    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    // Plain functions that box, not `async fn`s, as in `guarded`.

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

    /// How many rows there are.
    pub(crate) async fn count(self: &Arc<Self>) -> Result<u64> {
        let Some(table) = self.existing().await? else { return Ok(0) };
        let count = guarded(table.count_rows(None).boxed()).await;
        count.map(|count| count as u64).map_err(|failure| failure.into_error(self.doing("read")))
    }

    /// Inserts rows whose key, `on`, is new; answers how many were.
    pub(crate) fn insert<'a>(
        self: &'a Arc<Self>,
        on: &'a str,
        rows: Vec<RecordBatch>,
    ) -> BoxFuture<'a, Result<u64>> {
        self.merge(on, rows, Matched::Stays)
    }

    /// Replaces the row that has the same key, if its `column` is `number`; answers how many were.
    pub(crate) fn replace_if<'a>(
        self: &'a Arc<Self>,
        on: &'a str,
        column: &'static str,
        number: u64,
        rows: Vec<RecordBatch>,
    ) -> BoxFuture<'a, Result<u64>> {
        self.merge(on, rows, Matched::GoesIf(column, number))
    }

    fn merge<'a>(
        self: &'a Arc<Self>,
        on: &'a str,
        rows: Vec<RecordBatch>,
        matched: Matched,
    ) -> BoxFuture<'a, Result<u64>> {
        let work = async move {
            let _writing = self.writing.lock().await;
            let table = self.existing_or_new().await?;
            let mut merge = table.merge_insert(&[on]);
            match matched {
                Matched::Stays => merge.when_not_matched_insert_all(),
                // Nothing in it comes from a caller: a column of ours, and a number.
                Matched::GoesIf(column, number) => {
                    merge.when_matched_update_all(Some(format!("target.{column} = {number}")))
                }
            };
            let rows = RecordBatchIterator::new(rows.into_iter().map(Ok), self.schema.clone());
            let rows = Box::new(rows);
            let result = self.commit(merge.execute(rows).boxed(), |result| result.version).await?;
            Ok(result.num_inserted_rows + result.num_updated_rows)
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

    /// Puts these rows, and their columns, in the place of all that the table holds.
    pub(crate) async fn overwrite(&self, batches: Vec<RecordBatch>) -> Result<()> {
        let connection = self.database.connection().await?;
        let create = connection.create_table(self.name, batches);
        let create = create.mode(CreateTableMode::Overwrite).execute();
        guarded(create.boxed())
            .await
            .map_err(|failure| failure.into_error(self.doing("overwrite")))?;
        super::durable::sync_new(&self.dir())
            .map_err(|error| Error::unavailable(self.doing("force to disk")).with_source(error))
    }

    /// Adds those columns of a newer format that the table lacks; in its rows they are null.
    pub(crate) async fn add_missing_columns(self: &Arc<Self>, newer: &Schema) -> Result<()> {
        let Some(table) = self.existing().await? else { return Ok(()) };
        let doing = |failure: Failure| failure.into_error(self.doing("upgrade"));
        let found = guarded(table.schema().boxed()).await.map_err(doing)?;
        let is_missing = |field: &&FieldRef| found.field_with_name(field.name()).is_err();
        let missing: Vec<_> = newer.fields().iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let nulls = NewColumnTransform::AllNulls(Arc::new(Schema::new(missing)));
        guarded(table.add_columns().transform(nulls).execute().boxed()).await.map_err(doing)?;
        super::durable::sync_new(&self.dir())
            .map_err(|error| Error::unavailable(self.doing("force to disk")).with_source(error))
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

    /// Writes, forces what was written to disk, and tidies up if it is time to.
    async fn commit<T: Send>(
        self: &Arc<Self>,
        work: BoxFuture<'_, lancedb::Result<T>>,
        version: fn(&T) -> u64,
    ) -> Result<T> {
        // The operating system writes on its own what is older than half a minute.
        let since = before(Duration::from_secs(60));
        let result =
            guarded(work).await.map_err(|failure| failure.into_error(self.doing("write to")))?;
        if self.database.durability() == Durability::Sync {
            self.sync(since).await?;
        }
        if version(&result).is_multiple_of(TIDY_EVERY) {
            self.tidy_later();
        }
        Ok(result)
    }

    /// Forces to disk what is younger than that.
    pub(super) async fn sync(&self, since: SystemTime) -> Result<()> {
        let (dir, synced) = (self.dir(), Arc::clone(&self.synced));
        let sync = move || {
            let mut synced = synced.lock().unwrap_or_else(PoisonError::into_inner);
            synced.sync(&dir, since)
        };
        let synced = tokio::task::spawn_blocking(sync).await;
        synced
            .unwrap_or_else(|panic| Err(panic.into()))
            .map_err(|error| Error::unavailable(self.doing("force to disk")).with_source(error))
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.database.dir().join(format!("{}.lance", self.name))
    }

    pub(super) fn doing(&self, what: &str) -> String {
        format!("cannot {what} the table {}", self.dir().display())
    }

    /// An error about rows that could not be put together.
    pub(crate) fn malformed(&self, error: arrow_schema::ArrowError) -> Error {
        Error::internal(format!("rows for the table {} do not fit its schema", self.name))
            .with_source(error)
    }
}
