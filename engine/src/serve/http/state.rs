//! What all requests share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::health::Readiness;
use super::limits::HttpLimits;
use super::mcp::Services;
use super::once::Kept;
use super::sessions::Sessions;
use super::tokens::{TokenFile, Tokens};
use crate::engine::Engine;
use crate::error::Result;
use crate::id::TenantId;

/// How far a server is with ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// No new requests; those that are under way go on.
    Ending,
    /// Nothing goes on.
    Ended,
}

/// Waits until a server is as far as that, or gone.
pub(super) async fn until(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

pub(super) struct State {
    pub(super) engine: Engine,
    pub(super) tokens: Tokens,
    pub(super) limits: HttpLimits,
    /// KiB of bodies that may be in memory.
    pub(super) bodies: Arc<Semaphore>,
    pub(super) kept: Kept,
    pub(super) sessions: Sessions,
    pub(super) mcp: Services,
    pub(super) readiness: Readiness,
    /// Whoever works holds a receiver, so that the end can wait for all.
    pub(super) phase: watch::Sender<Phase>,
    /// The tenants whose records may have to be written at the end.
    used: Mutex<BTreeSet<TenantId>>,
}

impl State {
    pub(super) fn new(engine: Engine, tokens: TokenFile, limits: HttpLimits) -> Self {
        Self {
            engine,
            tokens: Tokens::new(tokens),
            bodies: Arc::new(Semaphore::new(limits.bodies_room().div_ceil(1 << 10))),
            kept: Kept::new(&limits),
            sessions: Sessions::new(&limits),
            mcp: Services::new(&limits),
            readiness: Readiness::default(),
            phase: watch::Sender::new(Phase::Serving),
            used: Mutex::default(),
            limits,
        }
    }

    pub(super) fn note_use(&self, tenant: &TenantId) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.contains(tenant) {
            used.insert(tenant.clone());
        }
    }

    /// Writes the run records that are on their way.
    pub(super) async fn flush(&self) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut flushed = Ok(());
        for tenant in used {
            // Who was deleted meanwhile has no records.
            if let Ok(tenant) = self.engine.tenant(&tenant).await {
                flushed = flushed.and(tenant.flush().await);
            }
        }
        flushed
    }
}
