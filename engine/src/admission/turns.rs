//! Whose turn it is to compute: the tenant's that has computed the least, however many runs others
//! have.
//!
//! A run computes in slices: from when it is polled until it waits, or has used a slice of fuel. As
//! many slices as there are cores are under way at once. Who wants to begin one while all cores are
//! taken stands in the line of its tenant, and the core that is free next goes to the line with the
//! least virtual time, which is the time that its tenant has computed; one that comes back after
//! a pause has what the others have, so that nobody saves up. That is start-time fair queueing (Goyal,
//! Vin and Cheng, 1996) as Linux' CFS has it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::clock::Stopwatch;

/// How long a core is kept for who does not come: its task is not polled, because whoever holds it
/// does something else.
const PATIENCE: Duration = Duration::from_millis(5);

/// How long a run goes on at most before the runtime has its turn.
const LONGEST: Duration = Duration::from_millis(5);

/// The most lines that are remembered though nobody stands in them.
const REMEMBERED: usize = 256;

/// The cores, and who waits for one.
pub(crate) struct Turns(Arc<Mutex<State>>);

struct State {
    cores: usize,
    /// Slices that are under way, or whose core was given to somebody who has not come yet.
    taken: usize,
    /// The virtual time of the line that was served last.
    now: u64,
    lines: HashMap<u64, Line>,
    /// The lines in which somebody stands, by virtual time.
    ready: BTreeSet<(u64, u64)>,
    /// Who was given a core, and when; the longest ago first.
    given: VecDeque<(Stopwatch, u64, Arc<Ticket>)>,
    is_watched: bool,
}

/// One tenant's.
#[derive(Default)]
struct Line {
    /// Nanoseconds.
    time: u64,
    computing: usize,
    waiting: VecDeque<Arc<Ticket>>,
}

/// Somebody who stands in a line, or was given a core.
struct Ticket(Mutex<Standing>);

struct Standing {
    place: Place,
    waker: Waker,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    InLine,
    /// A core is there for it.
    Called,
    /// It has come, or never will.
    Gone,
}

impl Ticket {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    pub(crate) fn new(cores: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            cores,
            taken: 0,
            now: 0,
            lines: HashMap::new(),
            ready: BTreeSet::new(),
            given: VecDeque::new(),
            is_watched: false,
        })))
    }

    /// Work that computes only when it is its tenant's turn.
    pub(crate) fn take<'a, F: Future>(
        &'a self,
        tenant: u64,
        work: Pin<&'a mut F>,
    ) -> InTurn<'a, F> {
        InTurn { turns: self, tenant, work, ticket: None, woken: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a slice; false if there is no core for it yet.
    fn begin(&self, tenant: u64, ticket: &mut Option<Arc<Ticket>>, waker: &Waker) -> bool {
        let mut state = self.state();
        if let Some(standing) = ticket {
            let mut standing = standing.standing();
            match standing.place {
                Place::Called => standing.place = Place::Gone,
                Place::InLine => standing.waker.clone_from(waker),
                Place::Gone => {}
            }
            if standing.place == Place::InLine {
                return false;
            }
        } else if state.taken < state.cores {
            // Nobody waits, or a core would not be free.
            state.taken += 1;
            let now = state.now;
            let line = state.lines.entry(tenant).or_default();
            line.begin(now);
            line.computing += 1;
            let time = line.time;
            state.now = now.max(time);
        } else {
            let standing = Standing { place: Place::InLine, waker: waker.clone() };
            let new = Arc::new(Ticket(Mutex::new(standing)));
            state.stand(tenant, Arc::clone(&new));
            *ticket = Some(new);
            let unwatched = !std::mem::replace(&mut state.is_watched, true);
            drop(state);
            if unwatched {
                tokio::spawn(watch(Arc::clone(&self.0)));
            }
            return false;
        }
        *ticket = None;
        true
    }

    /// A slice is over that took so long.
    fn end(&self, tenant: u64, took: Duration) {
        let mut state = self.state();
        state.spend(tenant, nanoseconds(took));
        let called = state.give_back(tenant);
        drop(state);
        called.into_iter().for_each(Waker::wake);
    }

    /// Somebody does not want a core any more.
    fn leave(&self, tenant: u64, ticket: &Arc<Ticket>) {
        let mut state = self.state();
        let place = std::mem::replace(&mut ticket.standing().place, Place::Gone);
        let called = match place {
            Place::InLine => {
                state.step_out(tenant, ticket);
                Vec::new()
            }
            Place::Called => state.give_back(tenant),
            Place::Gone => Vec::new(),
        };
        drop(state);
        called.into_iter().for_each(Waker::wake);
    }
}

impl Line {
    /// Who was away has saved nothing.
    fn begin(&mut self, now: u64) {
        if self.computing == 0 && self.waiting.is_empty() {
            self.time = self.time.max(now);
        }
    }
}

impl State {
    fn stand(&mut self, tenant: u64, ticket: Arc<Ticket>) {
        let now = self.now;
        let line = self.lines.entry(tenant).or_default();
        line.begin(now);
        line.waiting.push_back(ticket);
        self.ready.insert((line.time, tenant));
    }

    fn step_out(&mut self, tenant: u64, ticket: &Arc<Ticket>) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        line.waiting.retain(|other| !Arc::ptr_eq(other, ticket));
        if line.waiting.is_empty() {
            self.ready.remove(&(line.time, tenant));
        }
    }

    fn spend(&mut self, tenant: u64, time: u64) {
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        let was_ready = self.ready.remove(&(line.time, tenant));
        line.time = line.time.saturating_add(time);
        if was_ready {
            self.ready.insert((line.time, tenant));
        }
    }

    /// A core is free that a tenant had; who is to be told.
    fn give_back(&mut self, tenant: u64) -> Vec<Waker> {
        self.taken = self.taken.saturating_sub(1);
        if let Some(line) = self.lines.get_mut(&tenant) {
            line.computing = line.computing.saturating_sub(1);
        }
        if self.lines.len() > REMEMBERED {
            // Of who is away and has computed no more than the others, nothing is to be known.
            let now = self.now;
            self.lines.retain(|_, line| {
                line.computing > 0 || !line.waiting.is_empty() || line.time > now
            });
        }
        self.call()
    }

    /// Gives the cores that are free to those whose turn it is.
    fn call(&mut self) -> Vec<Waker> {
        let mut called = Vec::new();
        while self.taken < self.cores
            && let Some((time, tenant)) = self.ready.pop_first()
        {
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            let Some(ticket) = line.waiting.pop_front() else { continue };
            line.computing += 1;
            if !line.waiting.is_empty() {
                self.ready.insert((time, tenant));
            }
            self.now = self.now.max(time);
            self.taken += 1;
            let mut standing = ticket.standing();
            standing.place = Place::Called;
            called.push(standing.waker.clone());
            drop(standing);
            self.given.push_back((Stopwatch::start(), tenant, ticket));
        }
        // Those who have come are not waited for.
        while self
            .given
            .front()
            .is_some_and(|(_, _, ticket)| ticket.standing().place == Place::Gone)
        {
            self.given.pop_front();
        }
        called
    }

    /// Takes cores back from who was called and did not come, and gives them to others.
    fn take_back(&mut self) -> Vec<Waker> {
        let mut called = Vec::new();
        let given = std::mem::take(&mut self.given);
        for (since, tenant, ticket) in given {
            let place = ticket.standing().place;
            match place {
                Place::Called if since.elapsed() > PATIENCE => {
                    ticket.standing().place = Place::InLine;
                    called.extend(self.give_back(tenant));
                    // Behind those that come when they are called.
                    self.stand(tenant, ticket);
                }
                Place::Called => self.given.push_back((since, tenant, ticket)),
                Place::InLine | Place::Gone => {}
            }
        }
        called.extend(self.call());
        called
    }
}

/// Looks after those who do not come, as long as anybody waits.
async fn watch(state: Arc<Mutex<State>>) {
    loop {
        tokio::time::sleep(PATIENCE).await;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let called = state.take_back();
        let is_over = state.ready.is_empty() && state.given.is_empty();
        state.is_watched = !is_over;
        drop(state);
        called.into_iter().for_each(Waker::wake);
        if is_over {
            return;
        }
    }
}

/// A future that computes only when it is its tenant's turn.
pub(crate) struct InTurn<'a, F> {
    turns: &'a Turns,
    tenant: u64,
    work: Pin<&'a mut F>,
    /// While it waits for a core.
    ticket: Option<Arc<Ticket>>,
    woken: Arc<Woken>,
}

/// Tells work that has made room for others, and could go on, from work that waits for something.
#[derive(Default)]
struct Woken {
    is_woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Woken {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        if let Some(task) = self.task().as_ref() {
            task.wake_by_ref();
        }
    }
}

impl<F: Future> Future for InTurn<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if !this.turns.begin(this.tenant, &mut this.ticket, cx.waker()) {
            return Poll::Pending;
        }
        this.woken.task().get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
        let waker = Waker::from(Arc::clone(&this.woken));
        let (mut cx, began) = (Context::from_waker(&waker), Stopwatch::start());
        let mut slice = Slice { turns: this.turns, tenant: this.tenant, began };
        loop {
            this.woken.is_woken.store(false, Ordering::Release);
            let poll = this.work.as_mut().poll(&mut cx);
            let could_go_on = poll.is_pending() && this.woken.is_woken.load(Ordering::Acquire);
            if !could_go_on || began.elapsed() > LONGEST || !slice.goes_on() {
                return poll;
            }
        }
    }
}

impl<F> Drop for InTurn<'_, F> {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            self.turns.leave(self.tenant, ticket);
        }
    }
}

/// Ends, too, if what is polled panics.
struct Slice<'a> {
    turns: &'a Turns,
    tenant: u64,
    began: Stopwatch,
}

impl Slice<'_> {
    /// Whether others wait, and it is this tenant's turn all the same. If nobody waits the runtime
    /// has its turn, to look after everything else.
    fn goes_on(&mut self) -> bool {
        let took = std::mem::replace(&mut self.began, Stopwatch::start()).elapsed();
        let mut state = self.turns.state();
        state.spend(self.tenant, nanoseconds(took));
        let own = state.lines.get(&self.tenant).map_or(0, |line| line.time);
        state.ready.first().is_some_and(|(time, tenant)| *tenant != self.tenant && own <= *time)
    }
}

impl Drop for Slice<'_> {
    fn drop(&mut self) {
        self.turns.end(self.tenant, self.began.elapsed());
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::poll_fn;
    use std::pin::pin;

    use futures::FutureExt;
    use tokio::task::JoinSet;

    use super::*;

    /// Work of so many slices, each of which takes a while, and says whose it was.
    async fn work(seen: Arc<Mutex<Vec<u64>>>, tenant: u64, slices: usize) {
        for _ in 0..slices {
            std::thread::sleep(Duration::from_millis(1));
            seen.lock().unwrap().push(tenant);
            let mut is_over = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut is_over, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }

    /// However many runs one tenant has, the other computes as much.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn tenants_take_turns() {
        let (turns, seen) = (Arc::new(Turns::new(1)), Arc::new(Mutex::new(Vec::new())));
        let mut runs = JoinSet::new();
        for tenant in [0, 0, 0, 0, 0, 0, 0, 0, 0, 1] {
            let (turns, seen) = (Arc::clone(&turns), Arc::clone(&seen));
            runs.spawn(async move {
                let work = pin!(work(seen, tenant, 40));
                turns.take(tenant, work).await;
            });
        }
        runs.join_all().await;
        let seen = seen.lock().unwrap();
        let last = seen.iter().rposition(|tenant| *tenant == 1).unwrap();
        let mut counts = BTreeMap::new();
        seen[..last].iter().for_each(|tenant| *counts.entry(*tenant).or_insert(0) += 1);
        // It began when some of the others had begun.
        assert!((30..=60).contains(&counts[&0]), "{counts:?}");
        let state = turns.state();
        assert_eq!((state.taken, state.ready.len()), (0, 0));
    }

    /// Who holds a run and does not poll it keeps nobody else from computing.
    #[tokio::test]
    async fn a_core_is_not_kept_for_who_does_not_come() {
        let turns = Turns::new(1);
        let (ready, pending) = (pin!(async {}), pin!(std::future::pending::<()>()));
        let never = pin!(async { std::thread::sleep(Duration::from_millis(1)) });
        // A core is taken as long as a slice of it is under way, which is only while it is polled.
        let mut waits = turns.take(0, pending);
        assert!((&mut waits).now_or_never().is_none());
        turns.take(1, ready).now_or_never().expect("a core is free");
        assert!(turns.begin(2, &mut None, Waker::noop()), "a core is free");
        let mut called = turns.take(0, never);
        assert!((&mut called).now_or_never().is_none(), "no core is free");
        let other = pin!(async { 7 });
        let mut other = turns.take(1, other);
        assert!((&mut other).now_or_never().is_none(), "no core is free");
        // Now the first is called, and does not come.
        turns.end(2, Duration::from_millis(1));
        let seven = tokio::time::timeout(Duration::from_secs(5), other).await;
        assert_eq!(seven.expect("it has its turn all the same"), 7);
        called.now_or_never().expect("a core is free");
        assert_eq!(turns.state().taken, 0);
    }

    /// Who goes away, in line or called, takes nothing along.
    #[tokio::test]
    async fn who_goes_away_leaves_no_core_taken() {
        let turns = Turns::new(1);
        assert!(turns.begin(9, &mut None, Waker::noop()));
        let (first, second, third) = (pin!(async {}), pin!(async {}), pin!(async {}));
        let (mut first, mut second, mut third) =
            (turns.take(0, first), turns.take(0, second), turns.take(1, third));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(second);
        turns.end(9, Duration::ZERO);
        drop(first);
        third.now_or_never().expect("the core went on to the third");
        let state = turns.state();
        assert_eq!((state.taken, state.ready.len()), (0, 0));
        assert!(state.lines.values().all(|line| line.computing == 0 && line.waiting.is_empty()));
    }
}
