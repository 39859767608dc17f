//! Keeping a table fast: small files are merged, old versions dropped.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use lancedb::table::{CompactionOptions, OptimizeAction};

use super::{Durability, Table, before, guarded};

/// How old a version has to be before its files may go. A query of another
/// process may still be reading it; none takes a minute.
pub(super) const KEEP: Duration = Duration::from_secs(60);

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
}
