//! Sessions that clients have open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::OwnedMutexGuard;
use tokio::sync::mpsc::UnboundedSender;

use super::auth::Owner;
use super::limits::HttpLimits;
use crate::clock::{Entropy, Stopwatch, SystemEntropy};
use crate::error::{Code, Error, Result};
use crate::id::quoted;
use crate::run::Event;
use crate::session::Session;

/// Who is told what a session does; changed by who holds the session.
pub(super) type Listener = Arc<Mutex<Option<UnboundedSender<Event>>>>;

/// One session.
pub(super) struct Live {
    pub(super) session: Session,
    pub(super) listener: Listener,
}

struct Entry {
    owner: Owner,
    live: Arc<AsyncMutex<Live>>,
    used: Stopwatch,
}

/// All sessions, bounded in number; those that nobody uses end.
pub(super) struct Sessions {
    most: usize,
    most_of_one: usize,
    idle: Duration,
    all: Mutex<HashMap<String, Entry>>,
}

impl Sessions {
    pub(super) fn new(limits: &HttpLimits) -> Self {
        Self {
            most: limits.sessions,
            most_of_one: limits.sessions_per_tenant,
            idle: limits.session_idle,
            all: Mutex::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a session, and answers its id.
    ///
    /// # Errors
    /// [`Code::Busy`] if there are as many as may be.
    pub(super) fn open(&self, owner: Owner, session: Session) -> Result<String> {
        let listener = Listener::default();
        let told = Arc::clone(&listener);
        let session = session.on_event(move |event| {
            if let Some(sender) = &*told.lock().unwrap_or_else(PoisonError::into_inner) {
                // A client that is gone is told nothing.
                let _ = sender.send(event);
            }
        });
        self.end_idle();
        let mut all = self.all();
        let own = all.values().filter(|entry| entry.owner == owner).count();
        if own >= self.most_of_one || all.len() >= self.most {
            return Err(Error::new(
                Code::Busy,
                format!("{own} sessions are open, and no more may be: end some, or wait"),
            ));
        }
        let id = format!("{:016x}{:016x}", SystemEntropy.next_u64(), SystemEntropy.next_u64());
        let live = Arc::new(AsyncMutex::new(Live { session, listener }));
        all.insert(id.clone(), Entry { owner, live, used: Stopwatch::start() });
        Ok(id)
    }

    /// A session, to be used by nobody else meanwhile.
    ///
    /// # Errors
    /// [`Code::NotFound`] if its owner has none of that id (any more), [`Code::Conflict`] if it is
    /// being used.
    pub(super) fn take(&self, owner: &Owner, id: &str) -> Result<OwnedMutexGuard<Live>> {
        self.end_idle();
        let mut all = self.all();
        let entry = all.get_mut(id).filter(|entry| entry.owner == *owner);
        let entry = entry.ok_or_else(|| self.unknown(id))?;
        entry.used = Stopwatch::start();
        Arc::clone(&entry.live).try_lock_owned().map_err(|_| {
            Error::new(Code::Conflict, "the session runs something; one call at a time")
        })
    }

    /// Notes that a session was used until now.
    pub(super) fn used(&self, id: &str) {
        if let Some(entry) = self.all().get_mut(id) {
            entry.used = Stopwatch::start();
        }
    }

    /// Ends a session. What it runs goes on to its own end.
    ///
    /// # Errors
    /// [`Code::NotFound`] if its owner has none of that id.
    pub(super) fn end(&self, owner: &Owner, id: &str) -> Result<()> {
        let mut all = self.all();
        if !all.get(id).is_some_and(|entry| entry.owner == *owner) {
            return Err(self.unknown(id));
        }
        all.remove(id);
        Ok(())
    }

    /// Ends those that were idle for too long; their memory is given back.
    pub(super) fn end_idle(&self) {
        self.all()
            .retain(|_, entry| entry.used.elapsed() < self.idle || entry.live.try_lock().is_err());
    }

    /// Ends all.
    pub(super) fn clear(&self) {
        self.all().clear();
    }

    fn unknown(&self, id: &str) -> Error {
        Error::not_found(format!(
            "there is no session {}; one that is idle for {} ends, and its variables are gone",
            quoted(id),
            humantime::format_duration(self.idle)
        ))
    }
}
