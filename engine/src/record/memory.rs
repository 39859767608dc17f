//! Run records that live as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::Records;
use crate::error::Result;
use crate::id::RunId;
use crate::run::Run;

/// How many records are kept. A record is a few KiB, its output excepted.
const KEPT: usize = 10_000;

/// The newest ten thousand run records, in memory.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    runs: Mutex<BTreeMap<RunId, Run>>,
}

impl MemoryRecords {
    /// No records yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Records for MemoryRecords {
    fn append(&self, run: Run) {
        let mut runs = self.runs();
        runs.insert(run.invocation.id, run);
        if runs.len() > KEPT {
            runs.pop_first();
        }
    }

    async fn get(&self, id: RunId) -> Result<Option<Run>> {
        Ok(self.runs().get(&id).cloned())
    }

    async fn list(&self, limit: usize) -> Result<Vec<Run>> {
        Ok(self.runs().values().rev().take(limit).cloned().collect())
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
        let newest = records.list(3).await.unwrap();
        assert_eq!(newest.first().unwrap(), &run(KEPT as u64 + 4));
        assert_eq!(newest.len(), 3);
        assert_eq!(records.list(usize::MAX).await.unwrap().len(), KEPT);
        assert_eq!(records.get(run(0).invocation.id).await.unwrap(), None);
        assert_eq!(records.get(run(9).invocation.id).await.unwrap(), Some(run(9)));
    }
}
