//! Tenants' data in a directory: one LanceDB database each.
//!
//! One database a tenant isolates and deletes by construction: there is no
//! tenant column that a forgotten filter could miss. Several processes may use
//! the same directory at once.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::directory::{Directory, FORMAT, Meta};
use super::doctor::{self, Diagnosis};
use super::{Storage, Store, check_model};
use crate::approvals::file::FileApprovals;
use crate::artifacts::lance::LanceArtifacts;
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::lance::Database;
pub use crate::lance::Durability;
use crate::library::lance::LanceLibrary;
use crate::record::lance::LanceRecords;

/// How many stores stay open though nobody uses them: enough that a tenant's
/// next request finds its tables open, few enough to bound their caches.
const KEPT_OPEN: usize = 64;

/// A data directory.
pub struct LanceStorage {
    root: PathBuf,
    durability: Durability,
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
        Self { root: root.into(), durability: Durability::default(), state: Mutex::default() }
    }

    /// Whether a write is acknowledged before it has reached the disk; it is, unless this says
    /// otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Looks at everything in the directory, and changes nothing.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if it is no data directory,
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if it cannot be used at all.
    pub async fn examine(&self) -> Result<Diagnosis> {
        doctor::examine(&self.root).await
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
    async fn open(
        &self,
        tenant: &TenantId,
        model: &str,
        dimensions: usize,
    ) -> Result<Option<Store>> {
        let (mut state, directory) = self.state().await?;
        let known = state.open.iter().position(|open| open.tenant == *tenant);
        let known = known.map(|at| state.open.remove(at));
        // Read each time: another process may have deleted the tenant, and created it anew.
        let Some(meta) = directory.meta(tenant)? else { return Ok(None) };
        let open = match known.filter(|open| open.meta.incarnation == meta.incarnation) {
            Some(open) => open,
            None => {
                let database = Database::new(directory.tenant(tenant));
                let database = Arc::new(database.with_durability(self.durability));
                if meta.format < FORMAT {
                    upgrade(&directory, tenant, &database).await?;
                }
                let store = Store {
                    incarnation: Arc::clone(&meta.incarnation),
                    library: Arc::new(LanceLibrary::new(&database, meta.dimensions)?),
                    artifacts: Arc::new(LanceArtifacts::new(&database)),
                    records: Arc::new(LanceRecords::new(&database)),
                    approvals: Arc::new(FileApprovals::new(database.dir().join("approvals"))),
                };
                Open { tenant: tenant.clone(), meta, store }
            }
        };
        let stored = (open.meta.model.as_str(), open.meta.dimensions);
        let answer = check_model(tenant, stored, (model, dimensions)).map(|()| open.store.clone());
        state.keep(open);
        answer.map(Some)
    }

    async fn create(&self, tenant: &TenantId, model: &str, dimensions: usize) -> Result<bool> {
        let (_state, directory) = self.state().await?;
        directory.create(tenant, &Meta::new(model, dimensions))
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        let (_, directory) = self.state().await?;
        directory.tenants()
    }

    async fn stored_bytes(&self, tenant: &TenantId) -> Result<u64> {
        let (state, directory) = self.state().await?;
        drop(state);
        let tenant = tenant.clone();
        tokio::task::spawn_blocking(move || directory.bytes(&tenant))
            .await
            .map_err(|error| Error::internal("measuring a tenant panicked").with_source(error))?
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

/// Makes a tenant's tables be of the newest format. What they were is kept.
async fn upgrade(directory: &Directory, tenant: &TenantId, database: &Arc<Database>) -> Result<()> {
    let _lock = database.lock().await?;
    // Another process may have been quicker.
    let Some(meta) = directory.meta(tenant)?.filter(|meta| meta.format < FORMAT) else {
        return Ok(());
    };
    directory.back_up(tenant, meta.format)?;
    if meta.format < 2 {
        crate::library::upgrade::from_1(database, meta.dimensions).await?;
    }
    if meta.format < 3 {
        crate::artifacts::upgrade::from_2(database).await?;
    }
    if meta.format < 4 {
        crate::record::lance::upgrade_from_3(database).await?;
    }
    directory.set_upgraded(tenant, &meta)?;
    // Not before: an upgrade that is interrupted begins with it anew.
    directory.remove_table(tenant, crate::artifacts::upgrade::TABLE);
    tracing::info!(%tenant, from = meta.format, to = FORMAT, "a tenant's tables were upgraded");
    Ok(())
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
        let Store { library, artifacts, records, .. } = &self.store;
        Arc::strong_count(library) == 1
            && Arc::strong_count(artifacts) == 1
            && Arc::strong_count(records) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::error::Code;
    use crate::id::WorkflowName;
    use crate::workflow::{Analysis, Workflow};

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    async fn open(storage: &LanceStorage, name: &str) -> Store {
        storage.create(&tenant(name), "m", 2).await.unwrap();
        storage.open(&tenant(name), "m", 2).await.unwrap().unwrap()
    }

    fn workflow(name: &str) -> Workflow {
        let (name, at) = (WorkflowName::new(name).unwrap(), Timestamp::default());
        Workflow::new(name, "def run(): ...", "", Analysis::default(), at)
    }

    #[tokio::test]
    async fn tenants_share_nothing_and_can_be_deleted() {
        let dir = tempfile::tempdir().unwrap();
        // A path that LanceDB could take for a URL, if it were not absolute.
        let root = dir.path().join("db a?b#c%20d ü");
        let storage = LanceStorage::new(&root);
        assert!(storage.tenants().await.unwrap().is_empty());
        let acme = open(&storage, "acme").await;
        let other = open(&storage, "other").await;
        acme.library.save(&workflow("a"), &Arc::from([1.0, 0.0]), None).await.unwrap();
        assert!(other.library.list(None, usize::MAX).await.unwrap().is_empty());
        assert_eq!(acme.library.list(None, usize::MAX).await.unwrap().len(), 1);
        assert_eq!(storage.tenants().await.unwrap(), [tenant("acme"), tenant("other")]);
        assert!(storage.delete(&tenant("acme")).await.unwrap());
        assert!(!storage.delete(&tenant("acme")).await.unwrap());
        assert_eq!(storage.tenants().await.unwrap(), [tenant("other")]);
        // Whoever still holds the old store cannot bring it back.
        let error =
            acme.library.save(&workflow("b"), &Arc::from([1.0, 0.0]), None).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound);
        assert!(storage.open(&tenant("acme"), "m", 2).await.unwrap().is_none());
        let acme = open(&storage, "acme").await;
        assert!(acme.library.list(None, usize::MAX).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn another_model_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        open(&LanceStorage::new(dir.path()), "acme").await;
        let storage = LanceStorage::new(dir.path());
        for _ in 0..2 {
            let error = storage.open(&tenant("acme"), "n", 3).await.err().unwrap();
            assert_eq!(error.code(), Code::Unavailable);
            assert!(error.message().contains("model m (2 dimensions)"), "{error}");
            open(&storage, "acme").await;
        }
    }

    #[tokio::test]
    async fn an_open_store_is_the_same_store() {
        let dir = tempfile::tempdir().unwrap();
        let storage = LanceStorage::new(dir.path());
        let first = open(&storage, "t0").await;
        for index in 0..2 * KEPT_OPEN {
            open(&storage, &format!("t{index}")).await;
        }
        let again = open(&storage, "t0").await;
        assert!(Arc::ptr_eq(&first.library, &again.library));
        assert!(storage.state.lock().await.open.len() <= KEPT_OPEN);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_processes_may_create_the_same_tenant_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new");
        let processes: Vec<_> = (0..8)
            .map(|index| {
                let storage = LanceStorage::new(&root);
                tokio::spawn(async move {
                    storage.create(&tenant("acme"), "m", 2).await?;
                    let store = storage.open(&tenant("acme"), "m", 2).await?.unwrap();
                    let new = workflow(&format!("w{index}"));
                    store.library.save(&new, &Arc::from([1.0, 0.0]), None).await
                })
            })
            .collect();
        for process in processes {
            process.await.unwrap().unwrap();
        }
        let store = open(&LanceStorage::new(&root), "acme").await;
        assert_eq!(store.library.list(None, usize::MAX).await.unwrap().len(), 8);
    }
}
