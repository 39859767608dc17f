//! What the host knows of one instance: the data of its store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::admission::Slot;
use crate::approvals::Approvals;
use crate::artifacts::Shelf;
use crate::budget::Budget;
use crate::clock::{Stopwatch, Timestamp, nested_seed};
use crate::grants::Granted;
use crate::host::artifacts::Uploads;
use crate::host::calls::Calls;
use crate::host::workflows::Workflows;
use crate::id::{RunId, TenantId};
use crate::images::Images;
use crate::sandbox::engine::FUEL_SLICE;
use crate::sandbox::limiter::Limiter;
use crate::sandbox::output::{CurrentOutput, EventSink, Output};
use crate::sandbox::tape::Tape;
use crate::sandbox::wasi;
use crate::tools::Registry;
use crate::workflow::Pin;

/// The most WASI resources (streams, pollables) that an instance may hold. CPython
/// holds three streams, and one pollable at a time; the default is a million.
const MAX_RESOURCES: usize = 256;

/// Microseconds after which a guest that calls the host gives others their turn;
/// about what a slice of fuel lasts.
const TURN: u64 = 1_000;

/// For whom an instance works, and what it may reach: the capabilities of one run.
pub(crate) struct RunContext {
    pub(crate) run: RunId,
    pub(crate) tenant: TenantId,
    pub(crate) seed: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) budget: Arc<Budget>,
    pub(crate) output: Arc<Output>,
    pub(crate) tape: Arc<Tape>,
    pub(crate) events: Option<EventSink>,
    pub(crate) tools: Registry,
    /// Of a pinned run: what the names that it invokes stand for.
    pub(crate) pins: Option<Arc<[Pin]>>,
    pub(crate) workflows: Arc<dyn Workflows>,
    pub(crate) artifacts: Arc<Shelf>,
    /// What an import that finds nothing could find elsewhere.
    pub(crate) images: Images,
    /// What of these it may reach. Asked at every call: it can change.
    pub(crate) grants: Granted,
    /// Where it waits for somebody.
    pub(crate) approvals: Arc<dyn Approvals>,
    /// Its root's place among those that run, which it gives back while it waits.
    pub(crate) slot: Arc<Slot>,
    /// Nested runs that the guest has asked for.
    pub(crate) nested: AtomicU64,
}

impl RunContext {
    /// The seed of the next nested run. It follows from the order in which the
    /// guest asks for them, which is the guest's, and not from the order in
    /// which they begin, which is the machine's.
    pub(crate) fn next_seed(&self) -> u64 {
        nested_seed(self.seed, self.nested.fetch_add(1, Ordering::Relaxed))
    }
}

/// The data of an instance's store.
pub(crate) struct HostState {
    wasi: WasiCtx,
    table: ResourceTable,
    context: Arc<RunContext>,
    output: CurrentOutput,
    watch: Stopwatch,
    broken: bool,
    told_of_fault: bool,
    pub(super) limiter: Limiter,
    pub(super) gauge: Arc<FuelGauge>,
    pub(crate) calls: Calls,
    pub(crate) uploads: Arc<Mutex<Uploads>>,
}

impl HostState {
    pub(super) fn new(context: Arc<RunContext>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let (output, watch) = (CurrentOutput::new(Arc::clone(&context.output)), Stopwatch::start());
        Self {
            // A run's monotonic clock begins with the run, however old its instance.
            wasi: wasi::context(&output, &context, Duration::ZERO),
            table,
            output,
            watch,
            broken: false,
            told_of_fault: false,
            limiter: Limiter::new(Arc::clone(&context.budget), Arc::clone(&context.tape)),
            gauge: Arc::new(FuelGauge::new(Arc::clone(&context.budget))),
            calls: Calls::new(&context.budget),
            uploads: Arc::default(),
            context,
        }
    }

    /// Makes the instance work for a session's next call; false if it holds
    /// more memory than that call may have.
    pub(super) fn enter(&mut self, context: Arc<RunContext>) -> bool {
        if !self.limiter.enter(Arc::clone(&context.budget), Arc::clone(&context.tape)) {
            return false;
        }
        // A session's monotonic clock must not go back from one call to the next.
        self.work_for(context, self.watch.elapsed());
        true
    }

    /// Makes an instance that nobody has used work for a run; false if it holds
    /// more memory than that run may have. Its clock begins now.
    pub(super) fn begin(&mut self, context: Arc<RunContext>) -> bool {
        if !self.limiter.begin(Arc::clone(&context.budget), Arc::clone(&context.tape)) {
            return false;
        }
        self.watch = Stopwatch::start();
        self.work_for(context, Duration::ZERO);
        true
    }

    fn work_for(&mut self, context: Arc<RunContext>, ahead: Duration) {
        // The guest holds on to its streams; they lead to the new output now.
        self.output.set(Arc::clone(&context.output));
        self.wasi = wasi::context(&self.output, &context, ahead);
        self.gauge = Arc::new(FuelGauge::new(Arc::clone(&context.budget)));
        self.calls.enter(&context.budget);
        self.context = context;
    }

    pub(crate) const fn context(&self) -> &Arc<RunContext> {
        &self.context
    }

    pub(crate) const fn gauge(&self) -> &Arc<FuelGauge> {
        &self.gauge
    }

    /// Whether the guest holds streams or pollables.
    pub(super) fn holds_resources(&self) -> bool {
        !self.table.is_empty()
    }

    pub(super) const fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// The guest learns that something failed for the host's sake.
    pub(crate) const fn tell_of_fault(&mut self) {
        self.told_of_fault = true;
    }

    /// Whether the guest has reason to put the blame on the host.
    pub(super) const fn was_told_of_fault(&self) -> bool {
        self.told_of_fault
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Keeps an instance's fuel and its tree's budget in step.
///
/// The store counts exactly, but only code that holds the store can read it.
/// While the guest runs nobody does, so each of its turns is charged in
/// advance, a slice at a time, and set right whenever the store is at hand: at
/// host calls, and at the end.
pub(crate) struct FuelGauge {
    budget: Arc<Budget>,
    /// The store's fuel when it was last looked at.
    seen: AtomicU64,
    /// Charged in advance since then.
    advanced: AtomicU64,
    /// Whether the guest is not at work: it waits in a host call, or was not called. Then a
    /// turn that ends has cost nothing.
    in_host: AtomicBool,
    born: Stopwatch,
    /// When the guest's turn on its thread began, in microseconds since `born`.
    turn: AtomicU64,
}

impl FuelGauge {
    fn new(budget: Arc<Budget>) -> Self {
        let seen = AtomicU64::new(budget.fuel_left());
        Self {
            budget,
            seen,
            advanced: AtomicU64::new(0),
            in_host: AtomicBool::new(true),
            born: Stopwatch::start(),
            turn: AtomicU64::new(0),
        }
    }

    /// The fuel that the store begins with.
    pub(super) fn allowance(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Charges what was used since the store was last looked at.
    pub(super) fn settle(&self, fuel: u64) {
        let used = self.seen.swap(fuel, Ordering::Relaxed).saturating_sub(fuel);
        let advanced = self.advanced.swap(0, Ordering::Relaxed);
        self.budget.charge_fuel(used.cast_signed() - advanced.cast_signed());
    }

    /// The guest enters a host call.
    pub(crate) fn enter_host(&self, fuel: u64) {
        self.settle(fuel);
        self.end_work();
    }

    /// The guest returns from a host call; how much fuel its store may have now.
    pub(crate) fn leave_host(&self) -> u64 {
        self.begin_work();
        let fuel = self.seen.load(Ordering::Relaxed).min(self.budget.fuel_left());
        self.seen.store(fuel, Ordering::Relaxed);
        fuel
    }

    /// The guest goes to work.
    pub(super) fn begin_work(&self) {
        if self.in_host.swap(false, Ordering::Relaxed) {
            self.budget.begin_work();
        }
    }

    /// The guest works no more, for now or at all.
    pub(super) fn end_work(&self) {
        if !self.in_host.swap(true, Ordering::Relaxed) {
            self.budget.end_work();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The executor gives the guest a turn.
    pub(super) fn begin_turn(&self) {
        self.turn.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the guest has had its turn and others should have theirs.
    pub(crate) fn turn_is_over(&self) -> bool {
        self.now().saturating_sub(self.turn.load(Ordering::Relaxed)) >= TURN
    }

    /// A turn of the guest's has ended; true if the tree's fuel is used up.
    pub(super) fn yielded(&self) -> bool {
        if self.in_host.load(Ordering::Relaxed) || !self.budget.is_shared() {
            return false;
        }
        self.advanced.fetch_add(FUEL_SLICE, Ordering::Relaxed);
        self.budget.charge_fuel(FUEL_SLICE.cast_signed());
        self.budget.fuel_left() == 0
    }
}
