//! How a call waits for somebody: its run's clock stands still as long as nothing of the run goes
//! on, its place among the root runs is given to others, and nothing is held but its instances.

use std::time::Duration;

use crate::approvals::{Approvals, MAX_SHOWN, Request};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::{Code, Error, Result};
use crate::grants::{Decision, Target};
use crate::id::{RunId, quoted};
use crate::json::Json;
use crate::sandbox::RunContext;

/// How often who waits looks for an answer: people do not notice less.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
/// [`Code::Denied`] if somebody does not, or nobody answers in time; [`Code::Busy`] if as many
/// calls wait as may.
pub(super) async fn ask(context: &RunContext, target: &Target<'_>, arguments: &Json) -> Result<()> {
    let shown = quoted(&target.to_string());
    if arguments.len() > MAX_SHOWN {
        return Err(Error::new(
            Code::Denied,
            format!(
                "{shown} needs an approval, and its arguments have {} bytes: nobody can agree to more than {MAX_SHOWN}, \
                 which is what is shown; save them as an artifact and pass its name",
                arguments.len()
            ),
        ));
    }
    let patience = context.grants.patience().saturating_sub(context.budget.paused());
    let (since, call) = (SystemClock.now(), context.budget.usage().host_calls);
    let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let until = Timestamp::from_millis(since.as_millis().saturating_add(millis));
    let request = Request {
        run: context.run,
        call,
        target: target.to_string(),
        arguments: arguments.clone(),
        since,
        until,
    };
    let waiting = context.slot.wait()?;
    let pause = context.budget.pause();
    context.approvals.open(&request)?;
    let open = Open { approvals: context.approvals.as_ref(), run: context.run, call };
    tracing::warn!(
        run = %context.run, call = %request.target,
        "a call waits: `repertoire runs approve` or `deny` with the run\u{2019}s id"
    );
    let agreed = loop {
        if let Some(agreed) = context.approvals.answer(context.run, call)? {
            break agreed;
        }
        // Grants may change while somebody thinks.
        if context.grants.check(target)? == Decision::Allow {
            break true;
        }
        if SystemClock.now() >= until {
            return Err(Error::new(
                Code::Denied,
                format!("{shown} was not approved within {} seconds", patience.as_secs()),
            ));
        }
        if context.budget.stands_still() {
            context.slot.give();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    drop((open, waiting));
    if !agreed {
        return Err(Error::new(Code::Denied, format!("{shown} was denied by who was asked")));
    }
    context.grants.check(target)?;
    // What follows is work again. Until there is room for it, the clock stands.
    context.slot.regain().await;
    drop(pause);
    Ok(())
}
