//! Keeping a table fast: small files are merged, old versions dropped.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use lancedb::table::{CompactionOptions, OptimizeAction};

use super::{Durability, Table, before, guarded};
use crate::error::{Error, Result};

/// How old a version has to be before its files may go. A query of another
/// process may still be reading it; none takes a minute.
pub(super) const KEEP: Duration = Duration::from_secs(60);

/// The same where the disk would become too full otherwise.
const KEEP_AT_LEAST: Duration = Duration::from_secs(5);

/// Looking for the newest version takes a millisecond for every thousand that
/// are kept. Whoever finds this many when opening the table drops the old ones.
pub(super) const MANY_VERSIONS: usize = 200;

impl Table {
    pub(super) fn tidy_later(self: &Arc<Self>) {
        let table = Arc::clone(self);
        // Boxed, because tidying opens the table, which may in turn want it tidied.
        self.database.spawn(async move { table.tidy().await }.boxed());
    }

    /// Drops old versions and merges small files. Failing is harmless: the next one will do it.
    async fn tidy(self: &Arc<Self>) {
        // In this order: what compaction is about to replace stays until the
        // next time, so that there is a version before the newest.
        let is_stale = super::recovery::has_stale_versions(&self.dir(), 2, before(KEEP));
        let steps = is_stale.then(|| prune(KEEP)).into_iter().chain([self.compact()]).collect();
        self.optimize(steps).await;
    }

    /// Gives back what was deleted, now: for who has written more than there is
    /// room for. Whoever reads has seconds, not a minute.
    pub(crate) async fn tidy_now(self: &Arc<Self>) {
        self.optimize(vec![self.compact(), prune(KEEP_AT_LEAST)]).await;
    }

    fn compact(&self) -> OptimizeAction {
        let options = CompactionOptions {
            target_rows_per_fragment: self.rows_per_file,
            ..CompactionOptions::default()
        };
        OptimizeAction::Compact { options, remap_options: None }
    }

    async fn optimize(self: &Arc<Self>, steps: Vec<OptimizeAction>) {
        let _writing = self.writing.lock().await;
        let Ok(Some(table)) = self.existing().await else { return };
        for step in steps {
            if let Err(failure) = guarded(table.optimize(step)).await {
                let error = failure.into_error(self.doing("compact"));
                tracing::debug!(error = %error.chain(), "will be tried again");
                return;
            }
        }
        // The next write's manifest names the merged files: they have to be on disk before it is.
        if self.database.durability() == Durability::Sync
            && let Err(error) = self.sync(before(KEEP)).await
        {
            tracing::warn!(error = %error.chain(), "the next write will try again");
        }
    }

    /// Bytes on disk, old versions included.
    pub(crate) async fn disk(&self) -> Result<u64> {
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
}

fn prune(keep: Duration) -> OptimizeAction {
    OptimizeAction::Prune {
        older_than: lancedb::table::Duration::from_std(keep).ok(),
        // Files that no manifest names may belong to a write of another process.
        delete_unverified: Some(false),
        error_if_tagged_old_versions: None,
    }
}

/// Bytes of all files in a directory.
pub(crate) fn size(dir: &Path) -> std::io::Result<u64> {
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
