//! What a guest may touch: the contract's imports, each a thin translation to
//! a plain trait. With [`sandbox`](crate::sandbox), the only door to wasmtime.
//!
//! Everything that comes in is the choice of an attacker: names, texts and
//! sizes are checked here or behind the trait, never in Python.

mod approval;
pub(crate) mod artifacts;
pub(crate) mod calls;
pub(crate) mod denied;
mod images;
mod tools;
pub(crate) mod workflows;

use std::future::Future;
use std::sync::Arc;

use repertoire_host_bindings::types;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmtime::component::{Access, HasSelf};
use wasmtime::{AsContext, AsContextMut};

use crate::clock::Stopwatch;
use crate::error::{Blame, Code, Error, Result};
use crate::grants::{Decision, Target};
use crate::json::Json;
use crate::run::Event;
use crate::sandbox::{Call, HostState, LimitReached, RunContext, read_code, wire_code};
use crate::workflow::Parameter;

/// The guest that makes a call, and its store.
type Caller<'a> = Access<'a, HostState, HasSelf<HostState>>;

impl types::Host for HostState {}

/// Performs a host call while the guest is blocked in it: counts it, keeps
/// fuel and budget in step, and lets the calls in flight proceed meanwhile. In
/// a replay it answers what was recorded, and `work` is never begun.
async fn blocking<T: Serialize + DeserializeOwned>(
    caller: &mut Caller<'_>,
    call: Call,
    work: impl Future<Output = Result<T>>,
) -> wasmtime::Result<Result<T, types::Error>> {
    count(caller)?;
    enter(caller)?;
    let tape = Arc::clone(&caller.data_mut().context().tape);
    let answer = match tape.begin(call)? {
        Some(recorded) => recorded,
        None => {
            let answer = caller.data_mut().calls.drive_while(work).await.map_err(wire_error);
            tape.end(&answer);
            answer
        }
    };
    if let Err(error) = &answer {
        blame(caller, error);
    }
    leave(caller).await?;
    Ok(answer)
}

/// Starts a call that the guest does not wait for; in a replay its id is the
/// recorded one, and so is the completion that it will appear in.
async fn starting(
    caller: &mut Caller<'_>,
    call: Call,
    work: impl Future<Output = Result<Json>> + Send + 'static,
) -> wasmtime::Result<Result<u64, types::Error>> {
    count(caller)?;
    let tape = Arc::clone(&caller.data_mut().context().tape);
    let answer = match tape.begin(call)? {
        Some(recorded) => recorded,
        None => {
            let answer = caller.data_mut().calls.start(work).await.map_err(wire_error);
            tape.end(&answer);
            answer
        }
    };
    tape.settle();
    Ok(answer)
}

/// Remembers that the guest is told of a fault that is not its own.
fn blame(caller: &mut Caller<'_>, error: &types::Error) {
    if read_code(error.code).blame() == Blame::Host {
        caller.data_mut().tell_of_fault();
    }
}

/// Counts a host call.
fn count(caller: &mut Caller<'_>) -> wasmtime::Result<()> {
    caller
        .data_mut()
        .context()
        .budget
        .charge_call()
        .map_err(|error| LimitReached(error.code()).into())
}

/// The guest is about to be blocked.
fn enter(caller: &mut Caller<'_>) -> wasmtime::Result<()> {
    let fuel = caller.as_context().get_fuel()?;
    caller.data_mut().gauge().enter_host(fuel);
    Ok(())
}

/// The guest is about to proceed on what its tree has left; if that is
/// nothing, it does not, and no `except` of Python's sees why.
///
/// Setting the fuel begins the slice anew after which a guest yields. One that
/// does little but call the host would never come to its end: it would hold its
/// thread, and outlive its deadline. So its turn is measured in time as well.
async fn leave(caller: &mut Caller<'_>) -> wasmtime::Result<()> {
    if caller.data_mut().gauge().turn_is_over() {
        tokio::task::yield_now().await;
    }
    // Others may have its place, if it has waited for somebody. Until there is one again, its
    // clock stands.
    let context = Arc::clone(caller.data_mut().context());
    if context.slot.is_given() {
        let _pause = context.budget.pause();
        context.slot.regain().await;
    }
    let state = caller.data_mut();
    state.context().tape.settle();
    let fuel = state.gauge().leave_host();
    if let Some(code) = state.context().budget.exhausted() {
        return Err(LimitReached(code).into());
    }
    caller.as_context_mut().set_fuel(fuel)
}

fn wire_error(error: Error) -> types::Error {
    if error.code() == Code::Internal {
        tracing::error!(error = error.chain(), "a host call failed in the host");
    }
    types::Error {
        code: wire_code(error.code()),
        details: error.details().map(|details| details.as_str().to_owned()),
        message: error.chain(),
    }
}

fn wire_parameter(parameter: &Parameter) -> types::Parameter {
    types::Parameter {
        name: parameter.name.clone(),
        schema: parameter.schema.as_str().to_owned(),
        required: parameter.required,
        default_value: parameter.default.as_ref().map(|json| json.as_str().to_owned()),
        description: parameter.description.clone(),
    }
}

/// Refuses what is not granted, whatever the source said of itself, and waits
/// for whoever has to be asked.
async fn gate(context: &RunContext, target: &Target<'_>, arguments: &Json) -> Result<()> {
    match context.grants.check(target)? {
        Decision::Ask => approval::ask(context, target, arguments).await,
        Decision::Allow | Decision::Deny => Ok(()),
    }
}

/// Reads the arguments of a call.
fn read_arguments(text: String) -> Result<Json> {
    let json = Json::parse(text)?;
    if !json.is_object() {
        return Err(Error::invalid_argument("arguments must be a JSON object"));
    }
    Ok(json)
}

/// Tells whoever follows the run that a call began and how it ended.
async fn observed(
    context: &Arc<RunContext>,
    target: impl FnOnce() -> String,
    work: impl Future<Output = Result<Json>>,
) -> Result<Json> {
    let Some(events) = &context.events else { return work.await };
    let (target, watch) = (target(), Stopwatch::start());
    events(Event::CallStarted { run: context.run, target: target.clone() });
    let answer = work.await;
    events(Event::CallEnded {
        run: context.run,
        target,
        took: watch.elapsed(),
        error: answer.as_ref().err().map(Error::code),
    });
    answer
}
