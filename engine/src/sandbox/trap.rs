//! How a call into the guest ends that does not return: wasmtime's errors as failures of ours.

use std::fmt;

use wasmtime::Trap;

use crate::error::{Code, Error};
use crate::run::Failure;
use crate::sandbox::component::HOST_CALL_BYTES;
use crate::sandbox::state::HostState;

/// A limit that ends the run at once and that Python cannot catch. Host
/// functions return it to make the guest trap.
#[derive(Debug)]
pub(crate) struct LimitReached(pub(crate) Code);

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit reached: {}", self.0)
    }
}

impl std::error::Error for LimitReached {}

/// The failure that an error out of a guest's call stands for.
pub(super) fn failure(error: &wasmtime::Error, state: &HostState) -> Failure {
    let limits = state.context().budget.limits();
    if let Some(LimitReached(code)) = error.downcast_ref::<LimitReached>() {
        return Failure::new(*code, limit_message(*code, limits));
    }
    if let Some(error) = error.downcast_ref::<HostError>() {
        return Failure::new(error.0.code(), error.0.chain());
    }
    if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
        return Failure::new(
            Code::Trapped,
            "the workflow left through exit; return a value instead",
        );
    }
    if is_host_call_fuel(error) {
        let limit = HOST_CALL_BYTES >> 20;
        return Failure::new(
            Code::OutputExceeded,
            format!(
                "a result, or a call's arguments, had more than {limit} MiB; pass them in parts"
            ),
        );
    }
    let code = code_of(error, state.limiter.has_refused());
    match code {
        Code::Trapped => {
            let cause = error.root_cause();
            if !error.is::<Trap>() {
                // Wasmtime refused what the guest passed or returned. That is
                // what it is there for, and worth a line in the host's log.
                tracing::warn!(error = format!("{error:#}"), "a guest broke the contract");
            }
            Failure::new(code, format!("the Python runtime stopped: {cause}"))
        }
        Code::Internal => {
            tracing::error!(error = format!("{error:#}"), "a guest's call failed in the host");
            Failure::new(code, "the host failed; its log says more")
        }
        _ => Failure::new(code, limit_message(code, limits)),
    }
}

/// What an error stands for that no limit of ours has caused.
///
/// Whatever wasmtime does not call a bug of its own is the guest's doing: a trap,
/// or a value that does not fit the contract (a pointer out of bounds, a string
/// that is not UTF-8, a handle that it does not hold, a full table of them). No
/// host function of ours fails but by [`LimitReached`] or [`HostError`].
fn code_of(error: &wasmtime::Error, memory_was_refused: bool) -> Code {
    match error.downcast_ref::<Trap>() {
        _ if error.is::<wasmtime::WasmtimeBug>() => Code::Internal,
        Some(Trap::OutOfFuel) => Code::FuelExhausted,
        Some(Trap::StackOverflow) => Code::StackExhausted,
        // CPython aborts where it cannot raise MemoryError, and so does the
        // adapter that would copy an answer into it.
        _ if memory_was_refused => Code::MemoryExceeded,
        _ => Code::Trapped,
    }
}

/// Whether a guest passed more bytes to the host than one call may. wasmtime
/// keeps the error's type to itself, so that only its words tell.
fn is_host_call_fuel(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls")
}

pub(crate) fn limit_message(code: Code, limits: &crate::limits::Limits) -> String {
    match code {
        Code::FuelExhausted => {
            format!("the run used up its {} units of fuel", limits.fuel)
        }
        Code::MemoryExceeded => format!(
            "the run's instances wanted more than {} MiB of memory",
            limits.memory_bytes >> 20
        ),
        Code::TimedOut => {
            format!("the run took longer than {} s", limits.wall_time.as_secs_f64())
        }
        Code::OutputExceeded => format!(
            "output and results are larger than {} bytes; save what is large as an artifact",
            limits.output_bytes
        ),
        Code::CallsExceeded => format!("the run made its {} host calls", limits.host_calls),
        Code::StackExhausted => {
            "recursion in C went deeper than the WebAssembly stack; use a loop".to_owned()
        }
        code => code.to_string(),
    }
}

/// Why there is no instance.
pub(super) fn instantiation_error(error: &wasmtime::Error, state: &HostState) -> Error {
    if state.limiter.has_refused() {
        let limits = state.context().budget.limits();
        return Error::new(Code::MemoryExceeded, limit_message(Code::MemoryExceeded, limits));
    }
    // A sibling may have used up the tree's fuel just before.
    if let Some(Trap::OutOfFuel) = error.downcast_ref::<Trap>() {
        let limits = state.context().budget.limits();
        return Error::new(Code::FuelExhausted, limit_message(Code::FuelExhausted, limits));
    }
    host_bug(error)
}

/// An error of the host's own, carried through the guest's frames.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostError(pub(crate) Error);

/// An error that is nobody's fault but ours.
pub(super) fn host_bug(error: &wasmtime::Error) -> Error {
    Error::internal(format!("the sandbox failed: {error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame() {
        let broken = || wasmtime::Error::msg("string pointer/length out of bounds of memory");
        assert_eq!(code_of(&broken(), false), Code::Trapped);
        assert_eq!(code_of(&broken(), true), Code::MemoryExceeded);
        for (trap, code) in [
            (Trap::OutOfFuel, Code::FuelExhausted),
            (Trap::StackOverflow, Code::StackExhausted),
            (Trap::MemoryOutOfBounds, Code::Trapped),
            (Trap::UnreachableCodeReached, Code::Trapped),
        ] {
            assert_eq!(code_of(&trap.into(), false), code, "{trap}");
            let wrapped = wasmtime::Error::from(trap).context("on the way");
            assert_eq!(code_of(&wrapped, false), code, "{trap}");
        }
    }
}
