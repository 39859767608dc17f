//! The door to LanceDB: a tenant's database, whose tables open when they are first used.
//!
//! What the rest of the crate relies on, and LanceDB alone does not give:
//!
//! - nothing is opened, and nothing created, before it is needed;
//! - several processes may create the same table, or write to it, at once;
//! - a write that was acknowledged survives a power cut;
//! - a panic inside LanceDB is an error here;
//! - a table whose newest version was torn by a power cut opens at the version before it;
//! - small writes do not make it slower for ever: every so often they are compacted.

pub(crate) mod columns;
mod durable;
mod integrity;
mod lock;
mod open;
mod recovery;
mod table;
mod tidy;

use std::any::Any;
use std::fs::File;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

pub(crate) use self::durable::create_dir;
pub(crate) use self::table::{Table, column, equal, rows_of};
pub(crate) use self::tidy::size;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};

/// The file in a tenant's directory that says what the directory is. Without
/// it the tenant is deleted, or was never completely created.
pub(crate) const MARKER: &str = "tenant.json";

/// The file in a tenant's directory that is locked, and never written to.
const LOCK: &str = "lock";

/// Where what is damaged is set aside, in a tenant's directory.
pub(crate) const QUARANTINE: &str = "quarantine";

/// What one tenant's caches may take: manifests and file metadata, mostly. The
/// defaults, seven GiB, are for a server that has one database.
const METADATA_CACHE: usize = 32 << 20;
const INDEX_CACHE: usize = 4 << 20;

/// Whether a write is acknowledged before it has reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Not before: what was acknowledged survives a power cut.
    #[default]
    Sync,
    /// Once the operating system has it: what was acknowledged survives the process, and a
    /// power cut may take the last few seconds. Faster by what the disk needs to sync.
    None,
}

/// One tenant's database.
pub(crate) struct Database {
    dir: PathBuf,
    durability: Durability,
    connection: OnceCell<lancedb::Connection>,
    background: Mutex<Vec<JoinHandle<()>>>,
}

impl Database {
    /// The database in `dir`, an absolute path. Nothing is read yet.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            durability: Durability::default(),
            connection: OnceCell::new(),
            background: Mutex::default(),
        }
    }

    pub(crate) const fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    const fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    async fn connection(&self) -> Result<&lancedb::Connection> {
        let connect = || async {
            // An absolute path cannot be taken for a URL, or for the name of a
            // remote database, which is one that begins with "db".
            let uri = self.dir.to_str().ok_or_else(|| {
                Error::unavailable(format!(
                    "the data directory {} has a name that is not Unicode: choose another",
                    self.dir.display()
                ))
            })?;
            let connect = lancedb::connect(uri)
                .session(Arc::new(lancedb::Session::new(
                    INDEX_CACHE,
                    METADATA_CACHE,
                    Arc::default(),
                )))
                // Other processes' writes are seen by every read; it costs a directory listing.
                .read_consistency_interval(Duration::ZERO);
            guarded(connect.execute())
                .await
                .map_err(|failure| failure.into_error(format!("cannot open the database {uri}")))
        };
        self.connection.get_or_try_init(connect).await
    }

    /// Refuses to write for a tenant that was deleted meanwhile.
    fn check_alive(&self) -> Result<()> {
        if self.dir.join(MARKER).exists() {
            return Ok(());
        }
        Err(Error::not_found(format!(
            "the tenant's data in {} was deleted while it was in use",
            self.dir.display()
        )))
    }

    /// Waits until no other process creates, recovers or upgrades a table of this database.
    pub(crate) async fn lock(&self) -> Result<File> {
        let path = self.dir.join(LOCK);
        let acquired = tokio::task::spawn_blocking(move || lock::acquire(&path, lock::WAIT)).await;
        acquired.unwrap_or_else(|panic| {
            Err(Error::internal("locking a tenant's directory panicked").with_source(panic))
        })
    }

    /// Runs something that nobody waits for, unless they [`settle`](Self::settle).
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut background = self.background.lock().unwrap_or_else(PoisonError::into_inner);
        background.retain(|task| !task.is_finished());
        background.push(tokio::spawn(work));
    }

    /// Waits for what was left to be done in the background.
    pub(crate) async fn settle(&self) {
        let tasks =
            std::mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // What goes wrong there is logged there.
            let _ = task.await;
        }
    }
}

/// That long ago.
fn before(age: Duration) -> SystemTime {
    let now = SystemClock.now().to_system_time();
    now.checked_sub(age).unwrap_or(now)
}

/// Why LanceDB did not do it.
enum Failure {
    Ours(Error),
    Error(Box<lancedb::Error>),
    Panic(String),
}

impl Failure {
    fn into_error(self, doing: String) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::Error(error) => Error::unavailable(doing).with_source(error),
            Self::Panic(message) => {
                Error::internal(format!("{doing}: LanceDB panicked: {message}"))
            }
        }
    }
}

/// Runs something of LanceDB's: its panics become errors, and its futures, which
/// are tens of KiB, are kept out of the caller's.
///
/// Not an `async fn`, whose type would contain `work`'s: rustc would prove anew
/// that DataFusion's expressions can be sent for every caller, and its callers,
/// which took minutes.
fn guarded<'a, T: Send + 'a>(
    work: impl Future<Output = lancedb::Result<T>> + Send + 'a,
) -> BoxFuture<'a, std::result::Result<T, Failure>> {
    // What it was working on is not used again, or only through its own locks.
    let work = AssertUnwindSafe(work.boxed()).catch_unwind();
    work.map(|ended| match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::Error(Box::new(error))),
        Err(panic) => Err(Failure::Panic(message(panic.as_ref()))),
    })
    .boxed()
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
