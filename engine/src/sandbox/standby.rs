//! Instances that are ready before anybody asks for one.
//!
//! What a run does not have to wait for is done before it: some instances are made
//! beforehand, and replaced in the background when they are taken.
//!
//! All begin as the same one, which was taken through the guest's `warm-up` when the
//! component was compiled: the first call of an instance fills caches, and makes
//! copies of pages, that no call has to fill and make again.
//! An instance serves one invocation, as ever; none comes back.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use repertoire_host_bindings::{WorkflowPre, guest};

use super::component::new_store;
use super::engine::{MAX_MEMORY, Sandbox};
use super::room::Room;
use super::{HostState, Instance, Output, RunContext, Tape, bounded, trap};
use crate::admission::Slot;
use crate::approvals::memory::MemoryApprovals;
use crate::artifacts::{ArtifactLimits, Shelf};
use crate::budget::Budget;
use crate::clock::{Clock, FixedClock, FixedEntropy, Timestamp};
use crate::error::{Code, Error, Result};
use crate::grants::{Granted, Grants};
use crate::host::denied::Denied;
use crate::id::{RunId, TenantId};
use crate::images::Images;
use crate::limits::Limits;
use crate::run::Failure;
use crate::tools::Registry;

/// Instances that stand by, unless said otherwise: as many calls as come at once
/// to a program that few people use. An idle one holds less than 2 MiB.
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

/// What unpacking and importing all packages of an image may use: a few seconds, and
/// an eighth of the memory that any instance can have. Packages look for others that they can
/// do without, and each such look is a host call.
fn installation() -> Limits {
    Limits {
        fuel: 50_000_000_000,
        memory_bytes: MAX_MEMORY as u64 / 8,
        wall_time: Duration::from_secs(300),
        host_calls: 100_000,
        ..limits()
    }
}

/// Places of instances that stand by: one does, another is taken apart.
pub(super) const fn spare(standby: u32) -> u32 {
    standby.saturating_mul(2)
}

/// Makes instances, and keeps some ready.
pub(super) struct Factory {
    sandbox: Sandbox,
    instances: WorkflowPre<HostState>,
    /// For whom an instance works before it has work.
    nobody: TenantId,
    target: usize,
    /// Instances that may still be made, of this runtime and of those that begin with packages.
    room: Room,
    ready: Mutex<Vec<Instance>>,
    is_filling: AtomicBool,
    retiring: AtomicUsize,
}

impl Factory {
    pub(super) fn new(
        sandbox: Sandbox,
        instances: WorkflowPre<HostState>,
        standby: u32,
        room: Room,
    ) -> Result<Self> {
        Ok(Self {
            sandbox,
            instances,
            nobody: nobody()?,
            target: standby as usize,
            room,
            ready: Mutex::default(),
            is_filling: AtomicBool::new(false),
            retiring: AtomicUsize::new(0),
        })
    }

    /// The same, with room for the instances of another runtime that stand by.
    pub(super) fn room(&self, standby: u32) -> Room {
        self.room.wider(spare(standby))
    }

    fn ready(&self) -> MutexGuard<'_, Vec<Instance>> {
        // No invariant spans a panic: every change is one push or pop.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn standing_by(&self) -> usize {
        self.ready().len()
    }

    /// Linear memory of an instance that nobody has used.
    pub(super) const fn footprint(&self) -> u64 {
        self.sandbox.initial_bytes
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
        let place = self.room.enter().ok_or_else(|| {
            Error::new(Code::Busy, "all sandboxes of this engine are in use; try again later")
        })?;
        let context = idle(self.nobody.clone(), limits());
        let mut store = new_store(&self.sandbox.engine, HostState::new(context))?;
        let bindings = match self.instances.instantiate_async(&mut store).await {
            Ok(bindings) => bindings,
            Err(error) => return Err(trap::instantiation_error(&error, store.data())),
        };
        if !store.data_mut().limiter.began_with(self.sandbox.initial_bytes) {
            return Err(Error::internal("the component's memory is larger than any may be"));
        }
        Ok(Instance { store, bindings, _place: place })
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

/// Takes an instance through the guest's `warm-up`, and apart.
pub(super) async fn warm_up(sandbox: &Sandbox, instances: &WorkflowPre<HostState>) -> Result<()> {
    let mut store = new_store(&sandbox.engine, HostState::new(idle(nobody()?, limits())))?;
    let warm_up = async {
        let bindings = instances.instantiate_async(&mut store).await?;
        bindings.repertoire_workflow_guest().call_warm_up(&mut store).await
    };
    warm_up.await.map_err(|error| trap::host_bug(&error))?;
    // What the guest held of the host's, an instance that begins with its memory would not.
    if store.data().holds_resources() {
        return Err(Error::internal("warming up leaves the guest with resources of the host's"));
    }
    Ok(())
}

/// Installs and imports packages, warms up, and takes the instance apart.
///
/// # Errors
/// What the guest has against the packages, as theirs; a limit that they run into.
pub(super) async fn install(
    sandbox: &Sandbox,
    instances: &WorkflowPre<HostState>,
    wheels: &[Vec<u8>],
) -> Result<Vec<guest::Package>> {
    let limits = installation();
    let deadline = limits.wall_time;
    let mut store = new_store(&sandbox.engine, HostState::new(idle(nobody()?, limits)))?;
    let bindings = match instances.instantiate_async(&mut store).await {
        Ok(bindings) => bindings,
        Err(error) => return Err(trap::instantiation_error(&error, store.data())),
    };
    let guest = bindings.repertoire_workflow_guest();
    let work = async {
        let installed = guest.call_install(&mut store, wheels).await?;
        if installed.is_ok() {
            guest.call_warm_up(&mut store).await?;
        }
        wasmtime::Result::Ok(installed)
    };
    let installed = tokio::time::timeout(deadline, work).await.map_err(|_| {
        Error::new(Code::TimedOut, "importing the packages takes longer than an image may")
    })?;
    match installed {
        Ok(Ok(_)) if store.data().holds_resources() => Err(Error::invalid_argument(
            "importing the packages leaves streams or timers open, which an image cannot hold",
        )),
        Ok(Ok(packages)) => Ok(packages),
        Ok(Err(error)) => Err(Error::invalid_argument(bounded(error.message))),
        Err(error) => {
            let Failure { code, message, .. } = trap::failure(&error, store.data());
            Err(Error::new(code, format!("the packages cannot be imported: {message}")))
        }
    }
}

fn nobody() -> Result<TenantId> {
    TenantId::new("standby")
}

/// For what an instance works before it has work: it can reach nothing.
fn idle(nobody: TenantId, limits: Limits) -> Arc<RunContext> {
    let clock: Arc<dyn Clock> = Arc::new(FixedClock(Timestamp::default()));
    let run = RunId::new(clock.as_ref(), &FixedEntropy::new(0));
    let budget = Budget::root(limits);
    Arc::new(RunContext {
        run,
        tenant: nobody,
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
        images: Images::default(),
        grants: Granted::only(&Grants::nothing().into()),
        approvals: Arc::new(MemoryApprovals::new()),
        slot: Slot::none(),
    })
}
