//! Opening a table, or creating it; and what there is to do if it does not open.

use std::sync::Arc;

use super::recovery::{
    has_stale_versions, is_torn, lost_version, set_damage_aside, set_versions_aside,
};
use super::tidy::{KEEP, MANY_VERSIONS};
use super::{Durability, Failure, QUARANTINE, Table, before, guarded, integrity};
use crate::error::{Error, Result};

/// How many damaged manifests one opening sets aside. A power cut tears the
/// last few at most.
const MAX_SET_ASIDE: usize = 8;

impl Table {
    pub(super) async fn existing(self: &Arc<Self>) -> Result<Option<&lancedb::Table>> {
        if self.opened.get().is_none() {
            let _opening = self.opening.lock().await;
            if self.opened.get().is_none() {
                let Some(table) = self.open().await? else { return Ok(None) };
                if let Some((lost, newest)) = lost_version(&self.dir()) {
                    tracing::warn!(
                        table = %self.dir().display(), lost, newest,
                        "a version of a table was committed, and its manifest is gone; continuing with the newest there is"
                    );
                }
                // Nobody else sets it: we hold the lock.
                let _ = self.opened.set(table);
                if has_stale_versions(&self.dir(), MANY_VERSIONS, before(KEEP)) {
                    self.tidy_later();
                }
            }
        }
        Ok(self.opened.get())
    }

    pub(super) async fn existing_or_new(self: &Arc<Self>) -> Result<&lancedb::Table> {
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
        if self.database.durability() == Durability::Sync {
            super::durable::sync_new(&self.dir())
                .map_err(|error| Error::unavailable(self.doing("create")).with_source(error))?;
        }
        Ok(table)
    }

    async fn open(&self) -> Result<Option<lancedb::Table>> {
        let dir = self.dir();
        if !dir.join("_versions").exists() {
            return Ok(None);
        }
        // LanceDB opens some torn manifests as tables without columns.
        if !is_torn(&dir)
            && let Ok(found) = self.try_open().await
            && self.is_intact(found.as_ref()).await?
        {
            return Ok(found);
        }
        // While one process recovers, another must not take what it made good for damaged.
        let _lock = self.database.lock().await?;
        self.open_locked().await
    }

    async fn is_intact(&self, table: Option<&lancedb::Table>) -> Result<bool> {
        let Some(table) = table else { return Ok(true) };
        let report = integrity::examine(table, &self.dir()).await;
        let report = report.map_err(|failure| failure.into_error(self.doing("open")))?;
        Ok(report.damaged.is_empty())
    }

    async fn open_locked(&self) -> Result<Option<lancedb::Table>> {
        let Some(table) = self.open_newest().await? else { return Ok(None) };
        if self.is_intact(Some(&table)).await? {
            return Ok(Some(table));
        }
        self.set_damaged_versions_aside(&table).await?;
        let Some(table) = self.open_newest().await? else { return Ok(None) };
        if self.is_intact(Some(&table)).await? {
            return Ok(Some(table));
        }
        Err(Error::unavailable(format!(
            "{}: it was damaged once more while it was being recovered",
            self.doing("open")
        )))
    }

    /// Sets aside the versions that lack files, if one of the few before them is whole.
    async fn set_damaged_versions_aside(&self, newest: &lancedb::Table) -> Result<()> {
        let cannot = |failure: Failure| failure.into_error(self.doing("open"));
        let (dir, quarantine) = (self.dir(), self.database.dir().join(QUARANTINE));
        let report = integrity::examine(newest, &dir).await.map_err(cannot)?;
        let version = guarded(newest.version()).await.map_err(cannot)?;
        for older in (1..version).rev().take(MAX_SET_ASIDE) {
            // Those that were pruned, or are torn themselves, do not open.
            if guarded(newest.checkout(older)).await.is_err() {
                continue;
            }
            let found = integrity::examine(newest, &dir).await.map_err(cannot)?;
            // A library that is there must not become an empty one.
            if found.damaged.is_empty() && !found.is_empty {
                return set_versions_aside(&dir, &quarantine, older, &report.damaged);
            }
        }
        let files: Vec<_> = report.damaged.iter().map(|path| path.display().to_string()).collect();
        Err(Error::unavailable(format!(
            "{}: {} is missing or cut, and no version before has all its files: restore it from a \
             backup, or move the directory {} away to begin anew without its rows",
            self.doing("open"),
            files.join(", "),
            dir.display()
        )))
    }

    /// Opens the newest version whose manifest can be made sense of.
    async fn open_newest(&self) -> Result<Option<lancedb::Table>> {
        let (dir, quarantine) = (self.dir(), self.database.dir().join(QUARANTINE));
        let mut set_aside = 0;
        loop {
            if !set_damage_aside(&dir, &quarantine, false)? {
                let (failure, suspect) = match self.try_open().await {
                    Ok(found) => return Ok(found),
                    Err(failed) => failed,
                };
                if set_aside == MAX_SET_ASIDE || !set_damage_aside(&dir, &quarantine, suspect)? {
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
            Ok(table) => {
                let message = "it does not have the columns that it should".to_owned();
                // What is left of a torn manifest has none; another format has others.
                let is_bare = self.column_count(&table).await == Some(0);
                Err((Failure::Error(Box::new(lancedb::Error::Schema { message })), is_bare))
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

    async fn column_count(&self, table: &lancedb::Table) -> Option<usize> {
        guarded(table.schema()).await.ok().map(|schema| schema.fields().len())
    }

    async fn has_our_columns(&self, table: &lancedb::Table) -> bool {
        let found = guarded(table.schema()).await;
        found.is_ok_and(|found| {
            self.schema.fields().iter().all(|field| found.field_with_name(field.name()).is_ok())
        })
    }
}
