//! Run records that live as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::Records;
use crate::error::Result;
use crate::id::RunId;
use crate::recording::Recording;
use crate::run::Run;
use crate::usage::{Metered, Span, UsageReport};

/// How many records are kept. A record is a few KiB, output and recording excepted.
const KEPT: usize = 10_000;

/// How many bytes of output and recordings are kept.
const KEPT_BYTES: usize = 256 << 20;

/// The newest ten thousand run records, in memory; fewer if they are large.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    runs: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    runs: BTreeMap<RunId, Run>,
    bytes: usize,
}

/// Of a record, what may be large.
fn size(run: &Run) -> usize {
    let recording = run.recorded.recording().map_or(0, Recording::size);
    run.stdout.len() + run.stderr.len() + run.invocation.arguments.len() + recording
}

impl MemoryRecords {
    /// No records yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn runs(&self) -> MutexGuard<'_, Kept> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Records for MemoryRecords {
    fn append(&self, run: Run) {
        let mut kept = self.runs();
        kept.bytes += size(&run);
        kept.runs.insert(run.invocation.id, run);
        while kept.runs.len() > KEPT || (kept.bytes > KEPT_BYTES && kept.runs.len() > 1) {
            let Some((_, oldest)) = kept.runs.pop_first() else { break };
            kept.bytes = kept.bytes.saturating_sub(size(&oldest));
        }
    }

    async fn get(&self, id: RunId) -> Result<Option<Run>> {
        Ok(self.runs().runs.get(&id).cloned())
    }

    async fn list(&self, limit: usize, before: Option<RunId>) -> Result<Vec<Run>> {
        let kept = self.runs();
        let older = kept.runs.iter().rev().filter(|(id, _)| before.is_none_or(|end| **id < end));
        Ok(older.take(limit).map(|(_, run)| run.clone()).collect())
    }

    async fn usage(&self, span: Span) -> Result<UsageReport> {
        let (kept, mut report) = (self.runs(), UsageReport::default());
        for run in kept.runs.values().filter(|run| span.contains(run.invocation.started_at)) {
            report.add(run.invocation.workflow.as_deref(), Metered::of(run));
        }
        Ok(report)
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::format::tests::run;

    #[tokio::test]
    async fn keeps_the_newest() {
        let records = MemoryRecords::new();
        for index in 0..KEPT as u64 + 5 {
            records.append(run(index));
        }
        let newest = records.list(3, None).await.unwrap();
        assert_eq!(newest.first().unwrap(), &run(KEPT as u64 + 4));
        assert_eq!(newest.len(), 3);
        assert_eq!(records.list(usize::MAX, None).await.unwrap().len(), KEPT);
        assert_eq!(records.get(run(0).invocation.id).await.unwrap(), None);
        assert_eq!(records.get(run(9).invocation.id).await.unwrap(), Some(run(9)));
    }
}
