//! What a tree of runs has used of its limits.

mod pauses;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use std::time::Duration;

use tokio::time::Instant;

use self::pauses::Pauses;
use crate::clock::Stopwatch;
use crate::error::{Code, Error, Result};
use crate::limits::Limits;
use crate::recording::Spent;
use crate::run::{OwnUsage, Usage};

/// How often a clock is looked at that stands.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One run's use of the limits of its tree.
///
/// A nested run's budget points to its caller's. Everything that a run uses is
/// counted in its own budget and in those of all its ancestors; whether there
/// is any left is asked at the root. So a nested run draws on what is left of
/// its caller's, each run knows what it cost with everything it invoked, and
/// nothing is gained by nesting or fan-out.
#[derive(Debug)]
pub(crate) struct Budget {
    parent: Option<Arc<Self>>,
    limits: Limits,
    depth: u32,
    started: Stopwatch,
    deadline: Instant,
    fuel: AtomicU64,
    memory: AtomicU64,
    peak_memory: AtomicU64,
    host_calls: AtomicU64,
    /// Of `host_calls`, those that were one too many and were not made.
    refused_calls: AtomicU64,
    output: AtomicU64,
    instances: AtomicU32,
    recorded: AtomicU64,
    /// What this run's instance has used itself: no nested run's, and of no sibling.
    own: Counters,
    /// Only the root's counts.
    pauses: Pauses,
}

/// [`Spent`], while it is being counted.
#[derive(Debug, Default)]
struct Counters {
    fuel: AtomicU64,
    host_calls: AtomicU64,
    output: AtomicU64,
    tool_calls: AtomicU64,
}

/// While it lives, the tree's wall time stands still whenever no guest of it works.
pub(crate) struct Pause(Arc<Budget>);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.pauses().end_waiting();
    }
}

impl Budget {
    /// The budget of a root run. Its wall time begins now.
    #[must_use]
    pub(crate) fn root(limits: Limits) -> Arc<Self> {
        let started = Stopwatch::start();
        let deadline = started.deadline(limits.wall_time);
        Arc::new(Self::new(None, limits, 0, started, deadline))
    }

    /// The budget of a run that this one invokes.
    ///
    /// # Errors
    /// [`Code::DepthExceeded`] if it would be too deep.
    pub(crate) fn child(self: &Arc<Self>) -> Result<Arc<Self>> {
        let depth = self.depth + 1;
        if depth > self.limits.depth {
            return Err(Error::new(
                Code::DepthExceeded,
                format!(
                    "workflows invoke each other more than {} levels deep; \
                     look for a cycle, or raise the limit `depth`",
                    self.limits.depth
                ),
            ));
        }
        let (limits, deadline) = (self.limits.clone(), self.deadline);
        Ok(Arc::new(Self::new(Some(Arc::clone(self)), limits, depth, Stopwatch::start(), deadline)))
    }

    fn new(
        parent: Option<Arc<Self>>,
        limits: Limits,
        depth: u32,
        started: Stopwatch,
        deadline: Instant,
    ) -> Self {
        Self {
            parent,
            limits,
            depth,
            started,
            deadline,
            fuel: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            peak_memory: AtomicU64::new(0),
            host_calls: AtomicU64::new(0),
            refused_calls: AtomicU64::new(0),
            output: AtomicU64::new(0),
            instances: AtomicU32::new(0),
            recorded: AtomicU64::new(0),
            own: Counters::default(),
            pauses: Pauses::default(),
        }
    }

    /// The limits of the tree.
    #[must_use]
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// 0 at the root.
    #[must_use]
    pub(crate) const fn depth(&self) -> u32 {
        self.depth
    }

    /// When the tree's wall time is over, if nothing pauses any more.
    #[must_use]
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline + self.paused()
    }

    /// When it is time to look whether the wall time is over. While the clock stands that is
    /// later, however little is left.
    #[must_use]
    pub(crate) fn look_at(&self) -> Instant {
        let deadline = self.deadline();
        if self.stands_still() { deadline.max(Instant::now() + LOOK_EVERY) } else { deadline }
    }

    /// How long the tree has waited for people so far.
    #[must_use]
    pub(crate) fn paused(&self) -> Duration {
        self.pauses().total()
    }

    /// A call waits for somebody: the tree's clock stops, as long as no guest works.
    #[must_use]
    pub(crate) fn pause(self: &Arc<Self>) -> Pause {
        self.pauses().begin_waiting();
        Pause(Arc::clone(self))
    }

    /// Whether the tree's clock stands still at this moment.
    #[must_use]
    pub(crate) fn stands_still(&self) -> bool {
        self.pauses().is_under_way()
    }

    /// A guest goes to work.
    pub(crate) fn begin_work(&self) {
        self.pauses().begin_work();
    }

    /// A guest has ended, or waits for the host.
    pub(crate) fn end_work(&self) {
        self.pauses().end_work();
    }

    fn pauses(&self) -> &Pauses {
        &self.root_budget().pauses
    }

    /// Whether the tree's wall time is over.
    #[must_use]
    pub(crate) fn is_overdue(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    /// Counts fuel. What was charged in advance and not used comes back as a
    /// negative amount.
    pub(crate) fn charge_fuel(&self, amount: i64) {
        self.own.fuel.fetch_add(amount.cast_unsigned(), Ordering::Relaxed);
        for budget in self.lineage() {
            budget.fuel.fetch_add(amount.cast_unsigned(), Ordering::Relaxed);
        }
    }

    /// Fuel that the tree has left.
    #[must_use]
    pub(crate) fn fuel_left(&self) -> u64 {
        self.limits.fuel.saturating_sub(self.root_budget().fuel.load(Ordering::Relaxed))
    }

    /// Counts linear memory that an instance wants to hold; false, and nothing
    /// counted, if the tree may not have that much.
    #[must_use]
    pub(crate) fn grow_memory(&self, bytes: u64) -> bool {
        let root = self.root_budget();
        let granted = root.memory.try_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            held.checked_add(bytes).filter(|sum| *sum <= self.limits.memory_bytes)
        });
        let Ok(before) = granted else { return false };
        root.peak_memory.fetch_max(before + bytes, Ordering::Relaxed);
        for budget in self.lineage().filter(|budget| budget.parent.is_some()) {
            let before = budget.memory.fetch_add(bytes, Ordering::AcqRel);
            budget.peak_memory.fetch_max(before + bytes, Ordering::Relaxed);
        }
        true
    }

    /// Whether the tree may have so much more linear memory at this moment.
    #[must_use]
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let held = self.root_budget().memory.load(Ordering::Acquire);
        held.saturating_add(bytes) <= self.limits.memory_bytes
    }

    /// Gives memory back, when an instance is dropped.
    pub(crate) fn shrink_memory(&self, bytes: u64) {
        for budget in self.lineage() {
            budget.memory.fetch_sub(bytes, Ordering::AcqRel);
        }
    }

    /// Counts a host call.
    ///
    /// # Errors
    /// [`Code::CallsExceeded`] if it is one too many.
    pub(crate) fn charge_call(&self) -> Result<()> {
        self.own.host_calls.fetch_add(1, Ordering::Relaxed);
        for budget in self.lineage() {
            budget.host_calls.fetch_add(1, Ordering::Relaxed);
        }
        if self.root_budget().host_calls.load(Ordering::Relaxed) > self.limits.host_calls {
            for budget in self.lineage() {
                budget.refused_calls.fetch_add(1, Ordering::Relaxed);
            }
            return Err(Error::new(
                Code::CallsExceeded,
                format!("the run has made its {} host calls", self.limits.host_calls),
            ));
        }
        Ok(())
    }

    /// Counts bytes of output.
    ///
    /// # Errors
    /// [`Code::OutputExceeded`] if it is too much.
    pub(crate) fn charge_output(&self, bytes: usize) -> Result<()> {
        self.own.output.fetch_add(bytes as u64, Ordering::Relaxed);
        for budget in self.lineage() {
            budget.output.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        if self.root_budget().output.load(Ordering::Relaxed) > self.limits.output_bytes {
            return Err(Error::new(
                Code::OutputExceeded,
                format!(
                    "output and results are larger than {} bytes; save what is large as an artifact",
                    self.limits.output_bytes
                ),
            ));
        }
        Ok(())
    }

    /// Counts a call of a tool.
    pub(crate) fn count_tool_call(&self) {
        self.own.tool_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// What the run's own instance has used.
    #[must_use]
    pub(crate) fn own(&self) -> Spent {
        Spent {
            fuel: self.own.fuel.load(Ordering::Relaxed).cast_signed(),
            host_calls: self.own.host_calls.load(Ordering::Relaxed),
            output_bytes: self.own.output.load(Ordering::Relaxed),
        }
    }

    /// What the rest of the tree has used: callers, siblings, nested runs.
    #[must_use]
    pub(crate) fn others(&self) -> Spent {
        let (root, own) = (self.root_budget(), self.own());
        let all = Spent {
            fuel: root.fuel.load(Ordering::Relaxed).cast_signed(),
            host_calls: root.host_calls.load(Ordering::Relaxed),
            output_bytes: root.output.load(Ordering::Relaxed),
        };
        all.since(own)
    }

    /// Counts, in a replay, what the rest of the tree had used.
    pub(crate) fn charge_others(&self, spent: Spent) {
        for budget in self.lineage() {
            budget.fuel.fetch_add(spent.fuel.cast_unsigned(), Ordering::Relaxed);
            budget.host_calls.fetch_add(spent.host_calls, Ordering::Relaxed);
            budget.output.fetch_add(spent.output_bytes, Ordering::Relaxed);
        }
    }

    /// Bytes that may still be recorded of the tree.
    #[must_use]
    pub(crate) fn recording_left(&self) -> usize {
        let recorded = self.root_budget().recorded.load(Ordering::Relaxed);
        let left = self.limits.recording_bytes.saturating_sub(recorded);
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Counts bytes of a recording; false if there are more of them than may be kept.
    #[must_use]
    pub(crate) fn charge_recording(&self, bytes: usize) -> bool {
        let recorded = &self.root_budget().recorded;
        let before = recorded.fetch_add(bytes as u64, Ordering::Relaxed);
        before.saturating_add(bytes as u64) <= self.limits.recording_bytes
    }

    /// Which total of the tree is used up, if one is.
    #[must_use]
    pub(crate) fn exhausted(&self) -> Option<Code> {
        let root = self.root_budget();
        if self.fuel_left() == 0 {
            Some(Code::FuelExhausted)
        } else if root.host_calls.load(Ordering::Relaxed) > self.limits.host_calls {
            Some(Code::CallsExceeded)
        } else if root.output.load(Ordering::Relaxed) > self.limits.output_bytes {
            Some(Code::OutputExceeded)
        } else {
            None
        }
    }

    /// Counts an instance that now lives.
    pub(crate) fn enter_instance(&self) {
        self.root_budget().instances.fetch_add(1, Ordering::AcqRel);
    }

    /// An instance lives no more.
    pub(crate) fn leave_instance(&self) {
        self.root_budget().instances.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether several instances draw on the tree's fuel at this moment.
    #[must_use]
    pub(crate) fn is_shared(&self) -> bool {
        self.root_budget().instances.load(Ordering::Acquire) > 1
    }

    /// What the run has used so far, its nested runs included.
    #[must_use]
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            fuel: self.fuel.load(Ordering::Relaxed),
            peak_memory_bytes: self.peak_memory.load(Ordering::Relaxed),
            wall_time: self.started.elapsed(),
            host_calls: self
                .host_calls
                .load(Ordering::Relaxed)
                .saturating_sub(self.refused_calls.load(Ordering::Relaxed)),
            output_bytes: self.output.load(Ordering::Relaxed),
            own: OwnUsage {
                fuel: self.own.fuel.load(Ordering::Relaxed),
                tool_calls: self.own.tool_calls.load(Ordering::Relaxed),
                output_bytes: self.own.output.load(Ordering::Relaxed),
            },
        }
    }

    /// This budget and its ancestors, the root last.
    fn lineage(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |budget| budget.parent.as_deref())
    }

    fn root_budget(&self) -> &Self {
        let mut budget = self;
        while let Some(parent) = &budget.parent {
            budget = parent;
        }
        budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            fuel: 100,
            memory_bytes: 10,
            host_calls: 3,
            output_bytes: 5,
            depth: 2,
            ..Limits::default()
        }
    }

    #[test]
    fn a_child_draws_on_its_caller() {
        let root = Budget::root(limits());
        let child = root.child().unwrap();
        let sibling = root.child().unwrap();
        child.charge_fuel(30);
        sibling.charge_fuel(50);
        root.charge_fuel(15);
        assert_eq!(root.fuel_left(), 5);
        assert_eq!(child.fuel_left(), 5);
        assert_eq!((root.usage().fuel, child.usage().fuel, sibling.usage().fuel), (95, 30, 50));
        child.charge_fuel(-10);
        assert_eq!(sibling.fuel_left(), 15);
    }

    #[test]
    fn memory_is_summed_over_the_tree_and_comes_back() {
        let root = Budget::root(limits());
        let child = root.child().unwrap();
        assert!(root.grow_memory(6));
        assert!(!child.grow_memory(5));
        assert!(child.grow_memory(4));
        child.shrink_memory(4);
        assert!(root.grow_memory(4));
        assert_eq!(root.usage().peak_memory_bytes, 10);
        assert_eq!(child.usage().peak_memory_bytes, 4);
    }

    #[test]
    fn totals_are_the_trees() {
        let root = Budget::root(limits());
        let child = root.child().unwrap();
        root.charge_call().unwrap();
        child.charge_call().unwrap();
        root.charge_call().unwrap();
        assert_eq!(child.charge_call().unwrap_err().code(), Code::CallsExceeded);
        // One that was refused was not made.
        assert_eq!((root.usage().host_calls, child.usage().host_calls), (3, 1));
        assert_eq!(root.exhausted(), Some(Code::CallsExceeded));
        child.charge_output(5).unwrap();
        assert_eq!(root.charge_output(1).unwrap_err().code(), Code::OutputExceeded);
    }

    #[test]
    fn a_pause_is_not_the_trees_time() {
        let limits = Limits { wall_time: Duration::from_millis(40), ..limits() };
        let root = Budget::root(limits);
        let (before, child) = (root.deadline(), root.child().unwrap());
        let (one, two) = (child.pause(), root.pause());
        std::thread::sleep(Duration::from_millis(50));
        drop(one);
        assert!(!root.is_overdue() && !child.is_overdue());
        drop(two);
        let paused = root.paused();
        assert!(paused >= Duration::from_millis(50), "{paused:?}");
        assert_eq!((root.deadline(), child.deadline()), (before + paused, before + paused));
        std::thread::sleep(Duration::from_millis(50));
        assert!(root.is_overdue() && child.is_overdue());
    }

    /// Who has asked for an answer and goes on working has no time for nothing.
    #[test]
    fn what_works_beside_a_call_that_waits_is_the_trees_time() {
        let root = Budget::root(limits());
        let child = root.child().unwrap();
        root.begin_work();
        let pause = child.pause();
        std::thread::sleep(Duration::from_millis(20));
        assert!(!root.stands_still());
        assert_eq!(root.paused(), Duration::ZERO);
        root.end_work();
        assert!(child.stands_still());
        std::thread::sleep(Duration::from_millis(20));
        child.begin_work();
        let paused = root.paused();
        assert!(paused >= Duration::from_millis(20), "{paused:?}");
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(root.paused(), paused);
        drop(pause);
        child.end_work();
        assert!(!root.stands_still());
        assert_eq!(root.paused(), paused);
    }

    #[test]
    fn depth_ends() {
        let root = Budget::root(limits());
        let deepest = root.child().unwrap().child().unwrap();
        assert_eq!(deepest.child().unwrap_err().code(), Code::DepthExceeded);
    }
}
