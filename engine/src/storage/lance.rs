//! Tenants' data in a directory: one LanceDB database each.
//!
//! One database a tenant isolates and deletes by construction: there is no
//! tenant column that a forgotten filter could miss. Several processes may use
//! the same directory at once.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::directory::{Directory, Meta};
use super::{Storage, Store, check_model};
use crate::artifacts::lance::LanceArtifacts;
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::lance::Database;
use crate::library::lance::LanceLibrary;
use crate::record::lance::LanceRecords;

/// How many stores stay open though nobody uses them: enough that a tenant's
/// next request finds its tables open, few enough to bound their caches.
const KEPT_OPEN: usize = 64;

/// A data directory.
pub struct LanceStorage {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    directory: Option<Arc<Directory>>,
    /// Those that are open; the most recently used last.
    open: Vec<Open>,
}

struct Open {
    tenant: TenantId,
    meta: Meta,
    store: Store,
}

impl LanceStorage {
    /// The data directory `root`. It is checked, and created if it is missing,
    /// when the first tenant is opened.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), state: Mutex::default() }
    }

    async fn state(&self) -> Result<(MutexGuard<'_, State>, Arc<Directory>)> {
        let mut state = self.state.lock().await;
        let directory = match &state.directory {
            Some(directory) => Arc::clone(directory),
            None => {
                let directory = Arc::new(Directory::prepare(&self.root)?);
                Arc::clone(state.directory.insert(directory))
            }
        };
        Ok((state, directory))
    }
}

#[async_trait]
impl Storage for LanceStorage {
    async fn open(&self, tenant: &TenantId, model: &str, dimensions: usize) -> Result<Store> {
        let (mut state, directory) = self.state().await?;
        let known = state.open.iter().position(|open| open.tenant == *tenant);
        let open = match known.map(|at| state.open.remove(at)) {
            Some(open) => open,
            None => {
                let wanted = Meta { model: model.to_owned(), dimensions };
                let meta = directory.meta(tenant, &wanted)?;
                let database = Arc::new(Database::new(directory.tenant(tenant)));
                let store = Store {
                    library: Arc::new(LanceLibrary::new(&database, meta.dimensions)?),
                    artifacts: Arc::new(LanceArtifacts::new(&database)),
                    records: Arc::new(LanceRecords::new(&database)),
                };
                Open { tenant: tenant.clone(), meta, store }
            }
        };
        let stored = (open.meta.model.as_str(), open.meta.dimensions);
        let answer = check_model(tenant, stored, (model, dimensions)).map(|()| open.store.clone());
        state.keep(open);
        answer
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let (_, directory) = self.state().await?;
        directory.tenants()
    }

    async fn delete(&self, tenant: &TenantId) -> Result<bool> {
        // Held throughout, so that nobody opens what is being deleted.
        let (mut state, directory) = self.state().await?;
        state.open.retain(|open| open.tenant != *tenant);
        let tenant = tenant.clone();
        tokio::task::spawn_blocking(move || directory.delete(&tenant))
            .await
            .map_err(|error| Error::internal("deleting a tenant panicked").with_source(error))?
    }
}

impl State {
    /// Keeps a store open, instead of the one that was idle the longest.
    fn keep(&mut self, open: Open) {
        if self.open.len() >= KEPT_OPEN
            && let Some(idle) = self.open.iter().position(Open::is_idle)
        {
            // Its records, should any still wait to be written, are: by the task that holds them.
            self.open.remove(idle);
        }
        self.open.push(open);
    }
}

impl Open {
    fn is_idle(&self) -> bool {
        let Store { library, artifacts, records } = &self.store;
        Arc::strong_count(library) == 1
            && Arc::strong_count(artifacts) == 1
            && Arc::strong_count(records) == 1
    }
}
