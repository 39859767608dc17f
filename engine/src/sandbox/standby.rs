//! Instances that are ready before anybody asks for one.
//!
//! Most of what a short run costs is not its own: its instance is made, and the
//! first call touches the pages of memory that every call touches, each of which
//! the kernel copies then. So some instances are made beforehand, warmed up by
//! the guest's `warm-up`, and replaced in the background when they are taken.
//!
//! Every instance is made in this way, also where none stands by: else a run
//! would use more or less fuel depending on what the machine did before.
//! An instance serves one invocation, as ever; none comes back.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use repertoire_host_bindings::WorkflowPre;
use wasmtime::Engine;

use super::component::new_store;
use super::engine::MAX_MEMORY;
use super::{HostState, Instance, Output, RunContext, Tape, trap};
use crate::approvals::memory::MemoryApprovals;
use crate::artifacts::{ArtifactLimits, Shelf};
use crate::budget::Budget;
use crate::clock::{Clock, FixedClock, FixedEntropy, Timestamp};
use crate::error::Result;
use crate::grants::{Granted, Grants};
use crate::host::denied::Denied;
use crate::host::slot::Slot;
use crate::id::{RunId, TenantId};
use crate::limits::Limits;
use crate::tools::Registry;

/// Instances that stand by, unless said otherwise: as many calls as come at once
/// to a program that few people use. An idle one holds some 2 MiB.
pub const DEFAULT_STANDBY: u32 = 8;

/// What warming up may use: some thousand times what it does use.
fn limits() -> Limits {
    Limits {
        fuel: 1_000_000_000,
        memory_bytes: MAX_MEMORY as u64,
        wall_time: Duration::from_secs(60),
        host_calls: 0,
        depth: 0,
        ..Limits::default()
    }
}

/// Makes instances, and keeps some ready.
pub(super) struct Factory {
    engine: Engine,
    instances: WorkflowPre<HostState>,
    tenant: TenantId,
    target: usize,
    ready: Mutex<Vec<Instance>>,
    is_filling: AtomicBool,
    retiring: AtomicUsize,
    /// Linear memory of each; 0 before there was one.
    footprint: AtomicU64,
}

impl Factory {
    pub(super) fn new(
        engine: Engine,
        instances: WorkflowPre<HostState>,
        standby: u32,
    ) -> Result<Self> {
        Ok(Self {
            engine,
            instances,
            tenant: TenantId::new("standby")?,
            target: standby as usize,
            ready: Mutex::default(),
            is_filling: AtomicBool::new(false),
            retiring: AtomicUsize::new(0),
            footprint: AtomicU64::new(0),
        })
    }

    fn ready(&self) -> MutexGuard<'_, Vec<Instance>> {
        // No invariant spans a panic: every change is one push or pop.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing_by(&self) -> usize {
        self.ready().len()
    }

    pub(super) fn footprint(&self) -> u64 {
        self.footprint.load(Ordering::Relaxed)
    }

    /// An instance that nobody has used.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Instance> {
        let taken = self.ready().pop();
        let instance = match taken {
            Some(instance) => instance,
            None => self.make().await?,
        };
        self.fill();
        Ok(instance)
    }

    /// Makes instances in the background until enough stand by.
    pub(super) fn fill(self: &Arc<Self>) {
        if self.ready().len() >= self.target || self.is_filling.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(handle) = tokio::runtime::Handle::try_current() else {
            self.is_filling.store(false, Ordering::Release);
            return;
        };
        let filling = Filling(Arc::clone(self));
        handle.spawn(async move {
            let this = &filling.0;
            while this.ready().len() < this.target {
                match this.make().await {
                    Ok(instance) => this.ready().push(instance),
                    // The pool is used up; whoever takes one next tries again.
                    Err(error) => {
                        tracing::debug!(error = error.chain(), "no instance stands by");
                        break;
                    }
                }
            }
        });
    }

    async fn make(&self) -> Result<Instance> {
        let mut store = new_store(&self.engine, HostState::new(self.nobody()?))?;
        let bindings = match self.instances.instantiate_async(&mut store).await {
            Ok(bindings) => bindings,
            Err(error) => return Err(trap::instantiation_error(&error, store.data())),
        };
        match bindings.repertoire_workflow_guest().call_warm_up(&mut store).await {
            Ok(()) => {
                self.footprint.store(store.data().limiter.held(), Ordering::Relaxed);
                Ok(Instance { store, bindings })
            }
            Err(error) => Err(trap::host_bug(&error)),
        }
    }

    /// For whom an instance works before it has work: it can reach nothing.
    fn nobody(&self) -> Result<Arc<RunContext>> {
        let clock: Arc<dyn Clock> = Arc::new(FixedClock(Timestamp::default()));
        let run = RunId::new(clock.as_ref(), &FixedEntropy::new(0));
        let budget = Budget::root(limits());
        Ok(Arc::new(RunContext {
            run,
            tenant: self.tenant.clone(),
            seed: 0,
            started_at: Timestamp::default(),
            output: Output::new(run, Arc::clone(&budget), None),
            tape: Tape::off(&budget, "it warms up"),
            nested: AtomicU64::new(0),
            budget,
            events: None,
            tools: Registry::empty(),
            pins: None,
            workflows: Arc::new(Denied),
            artifacts: Arc::new(Shelf::new(Arc::new(Denied), clock, ArtifactLimits::default())),
            grants: Granted::only(&Grants::nothing().into()),
            approvals: Arc::new(MemoryApprovals::new()),
            slot: Slot::none(),
        }))
    }

    /// Takes an instance apart in the background: its run is over, and nobody
    /// waits for its memory to be given back. Only so many at once, because
    /// each is still one of the pool's.
    pub(super) fn retire(self: &Arc<Self>, mut instance: Instance) {
        // What the run left in flight ends now, not in the background.
        instance.store.data_mut().calls.clear();
        instance.settle();
        let handle = tokio::runtime::Handle::try_current();
        let before = self.retiring.fetch_add(1, Ordering::AcqRel);
        let retiring = Retiring(Arc::clone(self));
        match handle {
            Ok(handle) if before < self.target => {
                handle.spawn(async move {
                    drop(instance);
                    drop(retiring);
                });
            }
            _ => drop(instance),
        }
    }
}

/// Says that the background is at work, until it is done or its executor is gone.
struct Filling(Arc<Factory>);

impl Drop for Filling {
    fn drop(&mut self) {
        self.0.is_filling.store(false, Ordering::Release);
    }
}

/// One of those that are being taken apart.
struct Retiring(Arc<Factory>);

impl Drop for Retiring {
    fn drop(&mut self) {
        self.0.retiring.fetch_sub(1, Ordering::AcqRel);
    }
}
