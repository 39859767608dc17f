//! So many at once, and a line of bounded length. Unlike a semaphore's, its size can change at any
//! time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

#[derive(Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Default)]
struct State {
    inside: usize,
    most: usize,
    line: VecDeque<oneshot::Sender<Pass>>,
}

/// Who has it is inside until it is dropped.
pub(super) struct Pass(Option<Arc<Gate>>);

impl Gate {
    /// Waits until fewer than `most` are inside; of those who wait, the first comes first.
    ///
    /// # Errors
    /// If `longest` wait already: how many.
    pub(super) async fn enter(
        self: &Arc<Self>,
        most: usize,
        longest: usize,
    ) -> Result<Pass, usize> {
        let turn = {
            let mut state = self.state();
            state.most = most.max(1);
            state.open(self);
            if state.line.is_empty() && state.inside < state.most {
                state.inside += 1;
                return Ok(Pass(Some(Arc::clone(self))));
            }
            // Those who went away stand in nobody's way.
            if state.line.len() >= longest {
                state.line.retain(|waiting| !waiting.is_closed());
            }
            let waiting = state.line.len();
            if waiting >= longest {
                return Err(waiting);
            }
            let (sender, turn) = oneshot::channel();
            state.line.push_back(sender);
            turn
        };
        // Its sender is kept until it was used.
        turn.await.map_err(|_| 0)
    }

    /// How many are inside, and how many wait.
    pub(super) fn count(&self) -> (usize, usize) {
        let state = self.state();
        let waiting = state.line.iter().filter(|waiting| !waiting.is_closed()).count();
        (state.inside, waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets in who may come in.
    fn open(&mut self, gate: &Arc<Gate>) {
        while self.inside < self.most
            && let Some(next) = self.line.pop_front()
        {
            match next.send(Pass(Some(Arc::clone(gate)))) {
                Ok(()) => self.inside += 1,
                Err(pass) => pass.forget(),
            }
        }
    }
}

impl Pass {
    /// For somebody who went away: it was never used.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            let mut state = gate.state();
            state.inside = state.inside.saturating_sub(1);
            state.open(gate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn so_many_at_once_and_so_many_in_line() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter(1, 2).await.ok().unwrap();
        let (mut second, mut third) = (Box::pin(gate.enter(1, 2)), Box::pin(gate.enter(1, 2)));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert_eq!(gate.count(), (1, 2));
        assert_eq!(gate.enter(1, 2).await.err(), Some(2), "the line is full");
        // Who goes away leaves room, in the line and before it.
        drop(second);
        assert_eq!(gate.count(), (1, 1));
        let mut fourth = Box::pin(gate.enter(1, 2));
        assert!((&mut fourth).now_or_never().is_none());
        drop(first);
        let third = third.now_or_never().expect("it is the third's turn").ok().unwrap();
        assert!((&mut fourth).now_or_never().is_none());
        // A pass that was given to somebody who then goes away goes on.
        let fifth = Box::pin(gate.enter(1, 2));
        drop(third);
        drop(fourth);
        drop(fifth.now_or_never().expect("it is the fifth's turn").ok().unwrap());
        assert_eq!(gate.count(), (0, 0));
    }

    #[tokio::test]
    async fn its_size_changes_while_it_is_used() {
        let gate = Arc::new(Gate::default());
        let mut inside =
            vec![gate.enter(3, 9).await.ok().unwrap(), gate.enter(3, 9).await.ok().unwrap()];
        assert!(gate.enter(1, 9).now_or_never().is_none(), "it is smaller now");
        let mut waiting = Box::pin(gate.enter(1, 9));
        assert!((&mut waiting).now_or_never().is_none());
        inside.pop();
        assert!((&mut waiting).now_or_never().is_none(), "as many as may are inside");
        // Larger again: who waits longest is the first to notice.
        let mut last = Box::pin(gate.enter(2, 9));
        assert!((&mut last).now_or_never().is_none());
        let waited = waiting.now_or_never().expect("there is room").ok().unwrap();
        drop(inside);
        drop(last.now_or_never().expect("there is room").ok().unwrap());
        drop(waited);
    }
}
