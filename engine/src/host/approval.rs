//! How a run waits for somebody: its clock stands still, its place among the
//! root runs is given to others, and nothing is held but its instances.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::approvals::{Approvals, MAX_SHOWN, Request};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::{Code, Error, Result};
use crate::grants::{Decision, Target};
use crate::id::{RunId, quoted};
use crate::json::Json;
use crate::sandbox::RunContext;

/// How often who waits looks for an answer: people do not notice less.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A root run's place among those that may run at once.
pub(crate) struct Slot {
    pub(crate) slots: Arc<Semaphore>,
    /// Of these, what its tenant may have.
    pub(crate) share: Arc<Semaphore>,
    pub(crate) permits: Mutex<Option<[OwnedSemaphorePermit; 2]>>,
}

impl Slot {
    /// Of a run that is admitted by nobody and waits for nobody.
    pub(crate) fn none() -> Arc<Self> {
        let none = Arc::new(Semaphore::new(0));
        Arc::new(Self { slots: Arc::clone(&none), share: none, permits: Mutex::default() })
    }

    /// Waits for a place, if it has none.
    pub(crate) async fn enter(&self) -> Result<()> {
        let has_one = self.permits.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if has_one {
            return Ok(());
        }
        let closed = |error| Error::internal("the engine is closed").with_source(error);
        // The tenant's own share first: who waits for it stands in nobody's way.
        let share = Arc::clone(&self.share).acquire_owned().await.map_err(closed)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(closed)?;
        *self.permits.lock().unwrap_or_else(PoisonError::into_inner) = Some([slot, share]);
        Ok(())
    }

    fn leave(&self) {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A root run that was admitted, until this is dropped.
pub(crate) struct Admitted(pub(crate) Arc<Slot>);

impl Admitted {
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.0)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A request that is taken back however the waiting ends.
struct Open<'a> {
    approvals: &'a dyn Approvals,
    run: RunId,
    call: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.approvals.close(self.run, self.call);
    }
}

/// Waits until somebody agrees to a call.
///
/// # Errors
/// [`Code::Denied`] if somebody does not, or nobody answers in time.
pub(super) async fn ask(context: &RunContext, target: &Target<'_>, arguments: &Json) -> Result<()> {
    let patience = context.grants.patience().saturating_sub(context.budget.paused());
    let (since, call) = (SystemClock.now(), context.budget.usage().host_calls);
    let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let until = Timestamp::from_millis(since.as_millis().saturating_add(millis));
    let shown = quoted(&target.to_string());
    let arguments = if arguments.len() <= MAX_SHOWN {
        arguments.clone()
    } else {
        serde_json::json!({ "too_large_to_show": arguments.len() }).into()
    };
    let request =
        Request { run: context.run, call, target: target.to_string(), arguments, since, until };
    let _pause = context.budget.pause();
    context.approvals.open(&request)?;
    let open = Open { approvals: context.approvals.as_ref(), run: context.run, call };
    tracing::warn!(
        run = %context.run, call = %request.target,
        "a call waits: `repertoire runs approve` or `deny` with the run\u{2019}s id"
    );
    context.slot.leave();
    let agreed = loop {
        if let Some(agreed) = context.approvals.answer(context.run, call)? {
            break agreed;
        }
        // Grants may change while somebody thinks.
        match context.grants.check(target)? {
            Decision::Allow => break true,
            Decision::Ask | Decision::Deny => {}
        }
        if SystemClock.now() >= until {
            return Err(Error::new(
                Code::Denied,
                format!("{shown} was not approved within {} seconds", patience.as_secs()),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    drop(open);
    context.slot.enter().await?;
    if agreed {
        return Ok(());
    }
    Err(Error::new(Code::Denied, format!("{shown} was denied by who was asked")))
}
