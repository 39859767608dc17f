//! The durable run records: a buffer, a task that empties it, a LanceDB table.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_array::{LargeStringArray, RecordBatch, StringArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use lancedb::expr::{col, is_in, lit};
use lancedb::query::{QueryBase, Select};
use tokio::sync::Notify;

use super::{Records, format};
use crate::error::{Error, Result};
use crate::id::RunId;
use crate::lance::columns::rows;
use crate::lance::{Database, Table, column, equal, rows_of};
use crate::recording::Recording;
use crate::run::Run;
use crate::usage::{Metered, Span, UsageReport};

const TABLE: &str = "runs";

const ID: &str = "id";
const WORKFLOW: &str = "workflow";
const STARTED_AT: &str = "started_at";
const OUTCOME: &str = "outcome";
const RECORD: &str = "record";

/// What a run has used itself; null in records of the time before these were columns.
const ROOT_RUNS: &str = "root_runs";
const FUEL: &str = "fuel";
const WALL_TIME_US: &str = "wall_time_us";
const TOOL_CALLS: &str = "tool_calls";
const BYTES: &str = "bytes";

/// What `outcome` says of a run that returned; else it is the failure's code.
const OK: &str = "ok";

/// Some megabytes of them.
const ROWS_PER_FILE: usize = 2048;

/// How long a record may wait for company: a write costs some ten milliseconds,
/// however many records it holds.
const DELAY: Duration = Duration::from_millis(200);

/// How long to wait after a write that failed, for example because the disk is full.
const PAUSE: Duration = Duration::from_secs(5);

/// How many records, and about how many bytes of them, one write holds.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 16 << 20;

/// How many records, and about how many bytes of them, wait at most. More are
/// dropped, and the next flush says so: a disk that cannot keep up must not
/// cost the process its memory.
const WAITING: usize = 10_000;
const WAITING_BYTES: usize = 256 << 20;

/// How many records one listing reads from the table.
const LISTED: usize = 10_000;

/// One tenant's run records, in LanceDB.
pub struct LanceRecords {
    shared: Arc<Shared>,
}

struct Shared {
    database: Arc<Database>,
    table: Arc<Table>,
    state: Mutex<State>,
    /// Held while the front of the queue is being written.
    writing: tokio::sync::Mutex<()>,
    appended: Notify,
}

#[derive(Default)]
struct State {
    /// The oldest first. A record stays until it is written, so that readers find it.
    waiting: VecDeque<Arc<Run>>,
    bytes: usize,
    dropped: u64,
    closed: bool,
}

impl LanceRecords {
    /// Must be called within a Tokio runtime, which then writes what is appended.
    pub(crate) fn new(database: &Arc<Database>) -> Self {
        let shared = Arc::new(Shared {
            database: Arc::clone(database),
            table: Arc::new(Table::new(database, TABLE, schema(), ROWS_PER_FILE)),
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            appended: Notify::new(),
        });
        tokio::spawn(write_when_appended(Arc::clone(&shared)));
        Self { shared }
    }
}

impl Drop for LanceRecords {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        // The task writes what is left, then ends.
        self.shared.appended.notify_one();
    }
}

async fn write_when_appended(shared: Arc<Shared>) {
    loop {
        shared.appended.notified().await;
        let closed = shared.state().closed;
        if !closed {
            tokio::time::sleep(DELAY).await;
        }
        let mut delay = Duration::ZERO;
        while let Err(error) = shared.write_waiting().await {
            tracing::error!(error = %error.chain(), "cannot write run records; will try again");
            if shared.state().closed && !delay.is_zero() {
                return;
            }
            delay = PAUSE;
            tokio::time::sleep(delay).await;
        }
        if shared.state().closed {
            return;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_waiting(&self) -> Result<()> {
        let _writing = self.writing.lock().await;
        loop {
            let batch = self.state().front();
            if batch.is_empty() {
                return Ok(());
            }
            self.table.add(self.rows(&batch)?).await?;
            self.state().remove_front(batch.len());
        }
    }

    fn rows(&self, runs: &[Arc<Run>]) -> Result<RecordBatch> {
        let records = runs.iter().map(|run| format::write(run)).collect::<Result<Vec<_>>>()?;
        let invocations = || runs.iter().map(|run| &run.invocation);
        let outcome = |run: &Arc<Run>| run.outcome.failure().map_or(OK, |f| f.code.as_str());
        let used: Vec<Metered> = runs.iter().map(|run| Metered::of(run)).collect();
        let numbers =
            |of: fn(&Metered) -> u64| Arc::new(UInt64Array::from_iter_values(used.iter().map(of)));
        RecordBatch::try_new(
            self.table.schema().clone(),
            vec![
                Arc::new(StringArray::from_iter_values(invocations().map(|i| i.id.to_string()))),
                Arc::new(StringArray::from_iter(invocations().map(|i| i.workflow.as_deref()))),
                Arc::new(UInt64Array::from_iter_values(
                    invocations().map(|i| i.started_at.as_millis()),
                )),
                Arc::new(StringArray::from_iter_values(runs.iter().map(outcome))),
                Arc::new(LargeStringArray::from_iter_values(records)),
                numbers(|used| used.root_runs),
                numbers(|used| used.fuel),
                numbers(|used| u64::try_from(used.wall_time.as_micros()).unwrap_or(u64::MAX)),
                numbers(|used| used.tool_calls),
                numbers(|used| used.bytes),
            ],
        )
        .map_err(|error| self.table.malformed(error))
    }
}

impl State {
    fn append(&mut self, run: Run) -> bool {
        let size = size(&run);
        if self.waiting.len() >= WAITING || self.bytes.saturating_add(size) > WAITING_BYTES {
            self.dropped += 1;
            return false;
        }
        self.bytes += size;
        self.waiting.push_back(Arc::new(run));
        true
    }

    fn front(&self) -> Vec<Arc<Run>> {
        let mut bytes = 0;
        let fits = |run: &&Arc<Run>| {
            bytes += size(run);
            // One that is larger than a batch is a batch of its own.
            bytes <= BATCH_BYTES || bytes == size(run)
        };
        self.waiting.iter().take(BATCH).take_while(fits).cloned().collect()
    }

    fn remove_front(&mut self, count: usize) {
        for run in self.waiting.drain(..count.min(self.waiting.len())) {
            self.bytes = self.bytes.saturating_sub(size(&run));
        }
    }
}

/// About how large a record is.
fn size(run: &Run) -> usize {
    let outcome = match &run.outcome {
        crate::run::Outcome::Value(value) => value.json.len(),
        crate::run::Outcome::Failure(failure) => failure.traceback.len() + failure.message.len(),
    };
    let recording = run.recorded.recording().map_or(0, Recording::size);
    1024 + recording
        + run.stdout.len()
        + run.stderr.len()
        + run.invocation.arguments.len()
        + outcome
}

#[async_trait]
impl Records for LanceRecords {
    fn append(&self, run: Run) {
        let id = run.invocation.id;
        if !self.shared.state().append(run) {
            tracing::error!(run = %id, "too many run records wait to be written; this one is lost");
        }
        self.shared.appended.notify_one();
    }

    async fn get(&self, id: RunId) -> Result<Option<Run>> {
        let waiting =
            self.shared.state().waiting.iter().find(|run| run.invocation.id == id).cloned();
        if let Some(run) = waiting {
            return Ok(Some(Run::clone(&run)));
        }
        let read = self.shared.table.read(move |query| {
            let matching = equal(ID, id.to_string());
            Ok(rows_of(query.only_if_expr(matching).select(Select::columns(&[RECORD]))))
        });
        rows(&read.await?).next().map(|row| format::read(row.text(RECORD)?)).transpose()
    }

    async fn list(&self, limit: usize, before: Option<RunId>) -> Result<Vec<Run>> {
        let is_older = |run: &Run| before.is_none_or(|end| run.invocation.id < end);
        // The buffer is looked at first: what is written meanwhile is then seen
        // twice rather than not at all.
        let mut runs: Vec<Run> =
            self.shared.state().waiting.iter().map(|run| Run::clone(run)).collect();
        runs.retain(is_older);
        // Ids alone, of which there may be very many, then the records of the newest.
        let table = &self.shared.table;
        let ids = table.read(|query| Ok(rows_of(query.select(Select::columns(&[ID]))))).await?;
        let mut ids = rows(&ids).map(|row| row.text(ID)).collect::<Result<Vec<_>>>()?;
        // A later id is a later text, too.
        let end = before.map(|end| end.to_string());
        ids.retain(|id| end.as_deref().is_none_or(|end| *id < end));
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(limit.min(LISTED));
        if !ids.is_empty() {
            let newest = table.read(|query| {
                let newest = is_in(col(ID), ids.into_iter().map(lit).collect());
                Ok(rows_of(query.only_if_expr(newest).select(Select::columns(&[RECORD]))))
            });
            let found = newest.await?;
            for row in rows(&found) {
                runs.push(format::read(row.text(RECORD)?)?);
            }
        }
        runs.sort_by_key(|run| std::cmp::Reverse(run.invocation.id));
        runs.dedup_by_key(|run| run.invocation.id);
        runs.truncate(limit);
        Ok(runs)
    }

    async fn usage(&self, span: Span) -> Result<UsageReport> {
        // What waits is written first, so that nothing is seen twice or not at all.
        self.shared.write_waiting().await?;
        let (since, until) = (span.since.as_millis(), span.until.as_millis());
        let columns = [WORKFLOW, OUTCOME, ROOT_RUNS, FUEL, WALL_TIME_US, TOOL_CALLS, BYTES];
        let found = self.shared.table.read(move |query| {
            let within = col(STARTED_AT).gt_eq(lit(since)).and(col(STARTED_AT).lt(lit(until)));
            Ok(rows_of(query.only_if_expr(within).select(Select::columns(&columns))))
        });
        let (found, mut report) = (found.await?, UsageReport::default());
        for row in rows(&found) {
            let number = |column| Ok::<_, Error>(row.optional_number(column)?.unwrap_or(0));
            let used = Metered {
                runs: 1,
                root_runs: number(ROOT_RUNS)?,
                failed: (row.text(OUTCOME)? != OK).into(),
                fuel: number(FUEL)?,
                wall_time: Duration::from_micros(number(WALL_TIME_US)?),
                tool_calls: number(TOOL_CALLS)?,
                bytes: number(BYTES)?,
            };
            report.add(row.optional_text(WORKFLOW)?, used);
        }
        Ok(report)
    }

    async fn flush(&self) -> Result<()> {
        self.shared.write_waiting().await?;
        self.shared.database.settle().await;
        match std::mem::take(&mut self.shared.state().dropped) {
            0 => Ok(()),
            dropped => Err(Error::unavailable(format!(
                "{dropped} run records were lost, because they came faster than the disk takes them"
            ))),
        }
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        column(ID, DataType::Utf8, false),
        Field::new(WORKFLOW, DataType::Utf8, true),
        column(STARTED_AT, DataType::UInt64, false),
        column(OUTCOME, DataType::Utf8, false),
        column(RECORD, DataType::LargeUtf8, false),
        Field::new(ROOT_RUNS, DataType::UInt64, true),
        Field::new(FUEL, DataType::UInt64, true),
        Field::new(WALL_TIME_US, DataType::UInt64, true),
        Field::new(TOOL_CALLS, DataType::UInt64, true),
        Field::new(BYTES, DataType::UInt64, true),
    ]))
}

/// How many columns the table had in format 3.
const COLUMNS_OF_3: usize = 5;

/// Formats up to 3 had what runs have used in their records only. It is not looked for there:
/// usage is metered from this format on. Done once more, it changes nothing.
pub(crate) async fn upgrade_from_3(database: &Arc<Database>) -> Result<()> {
    let newer = schema();
    let older: Vec<_> = newer.fields().iter().take(COLUMNS_OF_3).cloned().collect();
    let table = Table::new(database, TABLE, Arc::new(Schema::new(older)), ROWS_PER_FILE);
    Arc::new(table).add_missing_columns(&newer).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lance::MARKER;
    use crate::record::format::tests::run;

    fn records(dir: &std::path::Path) -> LanceRecords {
        std::fs::write(dir.join(MARKER), "{}").unwrap();
        LanceRecords::new(&Arc::new(Database::new(dir.to_owned())))
    }

    #[tokio::test]
    async fn visible_at_once_and_durable_after_flush() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        for index in 0..150 {
            records.append(run(index));
        }
        assert_eq!(records.get(run(7).invocation.id).await.unwrap(), Some(run(7)));
        assert_eq!(records.list(2, None).await.unwrap(), [run(149), run(148)]);
        records.flush().await.unwrap();
        records.append(run(150));
        assert_eq!(records.list(2, None).await.unwrap(), [run(150), run(149)]);
        assert_eq!(records.list(1000, None).await.unwrap().len(), 151);
        // Of those that wait and those that are written.
        let before = |index| Some(run(index).invocation.id);
        assert_eq!(records.list(2, before(150)).await.unwrap(), [run(149), run(148)]);
        assert_eq!(records.list(9, before(2)).await.unwrap(), [run(1), run(0)]);
        assert!(records.list(9, before(0)).await.unwrap().is_empty());

        let reader = super::tests::records(dir.path());
        assert_eq!(reader.list(1, None).await.unwrap(), [run(149)]);
        assert_eq!(reader.get(run(3).invocation.id).await.unwrap(), Some(run(3)));
        assert_eq!(reader.get(run(999).invocation.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn written_without_a_flush_even_if_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        records.append(run(1));
        drop(records);
        let reader = super::tests::records(dir.path());
        for _ in 0..100 {
            if reader.get(run(1).invocation.id).await.unwrap().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the record was not written");
    }

    #[tokio::test]
    async fn a_failure_is_reported_and_nothing_lost() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        records.append(run(1));
        std::fs::remove_file(dir.path().join(MARKER)).unwrap();
        assert!(records.flush().await.is_err());
        assert_eq!(records.list(9, None).await.unwrap(), [run(1)]);
        std::fs::write(dir.path().join(MARKER), "{}").unwrap();
        records.flush().await.unwrap();
        assert_eq!(super::tests::records(dir.path()).list(9, None).await.unwrap(), [run(1)]);
    }
}
