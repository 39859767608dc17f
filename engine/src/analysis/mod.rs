//! Source text to what it says about itself. The source is parsed inside the
//! sandbox and never run; the host does not look at it at all.

mod code;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::admission::Slot;
use crate::approvals::memory::MemoryApprovals;
use crate::artifacts::{ArtifactLimits, Shelf};
use crate::budget::Budget;
use crate::clock::{Clock, Entropy};
use crate::error::{Code, Error, Result};
use crate::grants::{Granted, Grants};
use crate::host::denied::Denied;
use crate::id::{RunId, TenantId};
use crate::images::Images;
use crate::library::MAX_SOURCE;
use crate::limits::Limits;
use crate::sandbox::{Instance, Output, RunContext, Runtime, Tape, limit_message};
use crate::tools::Registry;
use crate::workflow::Analysis;

pub(crate) use code::Codes;

/// What an analysis may use that no run pays for. Parsing a source of
/// [`MAX_SOURCE`] bytes takes a small part of it.
fn limits() -> Limits {
    Limits {
        fuel: 20_000_000_000,
        memory_bytes: 512 << 20,
        wall_time: Duration::from_secs(20),
        host_calls: 0,
        depth: 0,
        ..Limits::default()
    }
}

/// Analyses a source; on the budget of the run that asks for it, if one does.
///
/// # Errors
/// [`Code::InvalidSource`] if it is too large, does not parse, or has no usable `run`;
/// the code of a limit if it runs into one.
pub(crate) async fn analyze(
    runtime: &Runtime,
    tenant: &TenantId,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
    source: &str,
    payer: Option<&Arc<Budget>>,
) -> Result<Analysis> {
    check_size(source)?;
    let budget = match payer {
        Some(payer) => payer.child()?,
        None => Budget::root(limits()),
    };
    let context = incapable(tenant, clock, entropy, &budget);
    let work = async { Instance::new(runtime, context).await?.analyze(source).await };
    within(&budget, work).await
}

/// Compiles a source for later runs. Nobody pays: were it the run that happens
/// to be the first, the same run would use different fuel from time to time.
///
/// # Errors
/// [`Code::InvalidSource`] if it does not compile; the code of a limit if it runs into one.
pub(crate) async fn compile(
    runtime: &Runtime,
    tenant: &TenantId,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
    name: &str,
    source: &str,
) -> Result<Arc<[u8]>> {
    let budget = Budget::root(limits());
    let context = incapable(tenant, clock, entropy, &budget);
    let work = async { Instance::new(runtime, context).await?.compile(name, source).await };
    within(&budget, work).await.map(Arc::from)
}

/// The context of an instance that only looks at a source.
fn incapable(
    tenant: &TenantId,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
    budget: &Arc<Budget>,
) -> Arc<RunContext> {
    let run = RunId::new(clock.as_ref(), entropy);
    Arc::new(RunContext {
        run,
        tenant: tenant.clone(),
        seed: 0,
        started_at: clock.now(),
        output: Output::new(run, Arc::clone(budget), None),
        tape: Tape::off(budget, "it is an analysis"),
        budget: Arc::clone(budget),
        events: None,
        tools: Registry::empty(),
        pins: None,
        workflows: Arc::new(Denied),
        nested: AtomicU64::new(0),
        artifacts: Arc::new(Shelf::new(
            Arc::new(Denied),
            Arc::clone(clock),
            ArtifactLimits::default(),
        )),
        images: Images::default(),
        grants: Granted::only(&Grants::nothing().into()),
        approvals: Arc::new(MemoryApprovals::new()),
        slot: Slot::none(),
    })
}

async fn within<T>(budget: &Budget, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout_at(budget.deadline(), work).await.unwrap_or_else(|_| {
        Err(Error::new(Code::TimedOut, limit_message(Code::TimedOut, budget.limits())))
    })
}

/// Refuses a source that is larger than any workflow.
pub(crate) fn check_size(source: &str) -> Result<()> {
    if source.len() > MAX_SOURCE {
        return Err(Error::new(
            Code::InvalidSource,
            format!(
                "the source has {} bytes, and a workflow at most {MAX_SOURCE}; keep data in artifacts",
                source.len()
            ),
        ));
    }
    Ok(())
}
