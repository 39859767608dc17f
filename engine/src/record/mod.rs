//! The record of what was run: every run leaves one, however it ended.

pub mod format;
#[cfg(feature = "lancedb")]
pub mod lance;
pub mod memory;
mod recording;

use async_trait::async_trait;

use crate::error::Result;
use crate::id::RunId;
use crate::run::Run;
use crate::usage::{Span, UsageReport};

/// One tenant's run records.
///
/// Appending is quick and buffered, because it ends every invocation; what was
/// appended is visible to readers of the same engine at once, and durable
/// after [`flush`](Records::flush).
#[async_trait]
pub trait Records: Send + Sync {
    /// Adds a record. Never blocks; a write that fails later is logged and
    /// reported by the next [`flush`](Records::flush).
    fn append(&self, run: Run);

    /// The record of that run, if there is one.
    async fn get(&self, id: RunId) -> Result<Option<Run>>;

    /// The `limit` newest records of runs older than `before`, or of all; the newest first.
    async fn list(&self, limit: usize, before: Option<RunId>) -> Result<Vec<Run>>;

    /// What the runs of that span have used that are recorded.
    async fn usage(&self, span: Span) -> Result<UsageReport>;

    /// Writes what was appended so far.
    async fn flush(&self) -> Result<()>;
}
