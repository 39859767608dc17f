//! The calls that were started and not waited for, and their completion queue.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::{FuturesUnordered, StreamExt};
use repertoire_host_bindings::calls;
use tokio::sync::Semaphore;
use wasmtime::component::HasSelf;

use super::{Caller, blame, enter, leave, wire_error};
use crate::budget::Budget;
use crate::error::{Code, Error, Result};
use crate::json::Json;
use crate::sandbox::{Call, HostState};

type Answer = (u64, Result<Json>);

/// Bytes of arguments that one instance's calls in flight may hold. What may be
/// in flight is counted by `Limits::calls_in_flight`; a thousand calls of 16 MiB
/// each would be 16 GiB of the host's memory all the same.
const MAX_HELD: usize = 64 << 20;

/// Bytes of answers that may lie ready for an instance that does not fetch them:
/// beyond it, calls in flight wait for `calls.wait`.
const MAX_READY: usize = 64 << 20;

/// Arguments of a call in flight, until it is dropped.
pub(super) struct Held {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn size(answer: &Answer) -> usize {
    match &answer.1 {
        Ok(json) => json.len(),
        Err(error) => error.message().len() + error.details().map_or(0, Json::len),
    }
}

/// One instance's calls in flight.
///
/// They are driven by the instance's own task, while its guest is blocked in a
/// host call: no task is spawned, and dropping the instance drops them all.
pub(crate) struct Calls {
    next: u64,
    limit: usize,
    pending: FuturesUnordered<Abortable<BoxFuture<'static, Answer>>>,
    handles: HashMap<u64, AbortHandle>,
    done: VecDeque<Answer>,
    /// Bytes of the answers in `done`.
    ready: usize,
    held: Arc<AtomicUsize>,
    /// Bounds the nested runs that run at once.
    pub(super) slots: Arc<Semaphore>,
}

impl Calls {
    pub(crate) fn new(budget: &Budget) -> Self {
        let limits = budget.limits();
        Self {
            next: 1,
            limit: limits.calls_in_flight as usize,
            pending: FuturesUnordered::new(),
            handles: HashMap::new(),
            done: VecDeque::new(),
            ready: 0,
            held: Arc::default(),
            slots: Arc::new(Semaphore::new(limits.concurrent_runs.max(1) as usize)),
        }
    }

    /// A session's next call begins: what may be in flight is now its limits'
    /// to say. What an earlier call has started goes on, on that call's budget.
    pub(crate) fn enter(&mut self, budget: &Budget) {
        let limits = budget.limits();
        self.limit = limits.calls_in_flight as usize;
        self.slots = Arc::new(Semaphore::new(limits.concurrent_runs.max(1) as usize));
    }

    /// Reserves room for the arguments of a call that is about to be started.
    /// The error is the call's own to report.
    pub(super) fn hold(&self, bytes: usize) -> Result<Held> {
        let held = Held { all: Arc::clone(&self.held), bytes };
        if self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > MAX_HELD {
            return Err(Error::new(
                Code::CallsExceeded,
                format!(
                    "the arguments of the calls in flight have more than {} MiB; \
                     await some of them first",
                    MAX_HELD >> 20
                ),
            ));
        }
        Ok(held)
    }

    /// Drops what is in flight, and with it everything below it.
    pub(crate) fn clear(&mut self) {
        self.pending = FuturesUnordered::new();
        self.handles.clear();
        self.done.clear();
        self.ready = 0;
    }

    /// Starts a call and returns its id.
    pub(super) async fn start(
        &mut self,
        work: impl Future<Output = Result<Json>> + Send + 'static,
    ) -> Result<u64> {
        if self.handles.len() >= self.limit {
            return Err(Error::new(
                Code::CallsExceeded,
                format!("{} calls are in flight already; await some of them first", self.limit),
            ));
        }
        let id = self.next;
        self.next += 1;
        let (handle, registration) = AbortHandle::new_pair();
        let work: BoxFuture<'static, Answer> = Box::pin(async move { (id, work.await) });
        self.pending.push(Abortable::new(work, registration));
        self.handles.insert(id, handle);
        // One turn now, so that it is under way while the guest goes on.
        self.turn().await;
        Ok(id)
    }

    /// Waits for `work` while the calls in flight proceed.
    pub(super) async fn drive_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.poll_pending(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Gives each call that can proceed one turn.
    async fn turn(&mut self) {
        poll_fn(|cx| {
            self.poll_pending(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) {
        while self.ready <= MAX_READY
            && let Poll::Ready(Some(answer)) = self.pending.poll_next_unpin(cx)
        {
            // An aborted one was cancelled and is forgotten already.
            if let Ok(answer) = answer {
                self.handles.remove(&answer.0);
                self.ready += size(&answer);
                self.done.push_back(answer);
            }
        }
    }

    /// Waits until something is done, or the time is over.
    async fn wait(&mut self, timeout: Option<Duration>) -> Vec<Answer> {
        self.turn().await;
        if self.done.is_empty() {
            match timeout {
                None if self.pending.is_empty() => {}
                None => self.first().await,
                Some(timeout) => {
                    let sleep = tokio::time::sleep(timeout);
                    // Nothing to wait for but time: a plain sleep.
                    tokio::select! {
                        () = sleep => {}
                        () = self.first(), if !self.pending.is_empty() => {}
                    }
                }
            }
        }
        self.ready = 0;
        self.done.drain(..).collect()
    }

    /// Waits until something is done.
    async fn first(&mut self) {
        poll_fn(|cx| {
            self.poll_pending(cx);
            if self.done.is_empty() && !self.pending.is_empty() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    async fn cancel(&mut self, id: u64) {
        if let Some(handle) = self.handles.remove(&id) {
            handle.abort();
            // The turn drops what the call has started.
            self.turn().await;
        }
        self.done.retain(|(done, _)| *done != id);
        self.ready = self.done.iter().map(size).sum();
    }
}

impl calls::Host for HostState {}

impl calls::HostWithStore<HostState> for HasSelf<HostState> {
    async fn wait(
        mut caller: Caller<'_>,
        timeout_ns: Option<u64>,
    ) -> wasmtime::Result<Vec<calls::Completion>> {
        enter(&mut caller)?;
        let tape = Arc::clone(&caller.data_mut().context().tape);
        let done = match tape.begin(Call::of("calls.wait", &timeout_ns))? {
            Some(recorded) => recorded,
            None => {
                let timeout = timeout_ns.map(Duration::from_nanos);
                let done = caller.data_mut().calls.wait(timeout).await;
                let done: Vec<_> = done.into_iter().map(completion).collect();
                tape.end(&done);
                done
            }
        };
        for error in done.iter().filter_map(|done| done.answer.as_ref().err()) {
            blame(&mut caller, error);
        }
        leave(&mut caller).await?;
        Ok(done)
    }

    async fn cancel(mut caller: Caller<'_>, id: calls::CallId) -> wasmtime::Result<()> {
        enter(&mut caller)?;
        let tape = Arc::clone(&caller.data_mut().context().tape);
        if tape.begin::<()>(Call::of("calls.cancel", &id))?.is_none() {
            caller.data_mut().calls.cancel(id).await;
            tape.end(&());
        }
        leave(&mut caller).await
    }
}

fn completion((id, answer): Answer) -> calls::Completion {
    let answer = answer.map(|json| json.as_str().to_owned()).map_err(wire_error);
    calls::Completion { id, answer }
}
