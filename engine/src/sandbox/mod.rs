//! One instance of CPython per invocation. With [`host`](crate::host), the only
//! door to wasmtime.

mod cache;
mod component;
mod engine;
mod limiter;
mod memory;
mod output;
mod room;
mod snapshot;
mod standby;
mod state;
mod tape;
mod trap;
mod wasi;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use repertoire_host_bindings::{guest, types};
use wasmtime::Store;

use crate::budget::Budget;
use crate::error::{Blame, Code, Error, Result};
use crate::json::Json;
use crate::run::{Exception, Failure, Outcome, Value};
use crate::workflow::{
    Analysis, Dependency, Parameter, Raises, Requires, Signature, Uses, Warning,
};

pub use component::{Runtime, RuntimeOptions};
pub use engine::DEFAULT_MAX_INSTANCES;
pub use output::EventSink;
pub(crate) use output::Output;
pub use standby::DEFAULT_STANDBY;
use state::FuelGauge;
pub(crate) use state::{HostState, RunContext};
pub(crate) use tape::{Call, Played, Tape};
pub(crate) use trap::LimitReached;
pub(crate) use trap::limit_message;

/// A live instance: CPython, started, and what the host knows of it.
pub(crate) struct Instance {
    store: Store<HostState>,
    bindings: repertoire_host_bindings::Workflow,
    /// One of the engine's, given back after the store.
    _place: room::Place,
}

impl Instance {
    /// A fresh instance.
    ///
    /// # Errors
    /// [`Code::MemoryExceeded`] if the tree has no memory left for it,
    /// [`Code::Busy`] if the engine has no slot left.
    pub(crate) async fn new(runtime: &Runtime, context: Arc<RunContext>) -> Result<Self> {
        let exceeded = || {
            let message = limit_message(Code::MemoryExceeded, context.budget.limits());
            Error::new(Code::MemoryExceeded, message)
        };
        // What has no memory left costs nobody an instance.
        if !context.budget.has_room(runtime.footprint()) {
            context.tape.grow(|| false);
            return Err(exceeded());
        }
        let mut instance = runtime.take().await?;
        if !instance.store.data_mut().begin(Arc::clone(&context)) {
            return Err(exceeded());
        }
        instance.refuel()?;
        Ok(instance)
    }

    /// What the instance's present budget allows is what its store has.
    fn refuel(&mut self) -> Result<()> {
        let fuel = self.store.data().gauge.allowance();
        self.store.set_fuel(fuel).map_err(|error| trap::host_bug(&error))
    }

    /// Charges what the guest used, and gives its memory back to the budget:
    /// nothing of it runs again.
    fn settle(&mut self) {
        if let Ok(fuel) = self.store.get_fuel() {
            self.store.data().gauge.settle(fuel);
        }
        self.store.data_mut().limiter.leave();
    }

    /// Gives a session's instance the context of its next call.
    ///
    /// # Errors
    /// [`Code::MemoryExceeded`] if it holds more memory than that call may have.
    pub(crate) fn enter(&mut self, context: Arc<RunContext>) -> Result<()> {
        if !self.store.data_mut().enter(context) {
            return Err(Error::new(
                Code::MemoryExceeded,
                "the session holds more memory than this call may have; reset it",
            ));
        }
        self.refuel()
    }

    /// Runs a workflow; `code` is what [`compile`](Self::compile) made of it, if it was.
    pub(crate) async fn run(
        &mut self,
        name: &str,
        source: &str,
        code: Option<&[u8]>,
        arguments: &Json,
    ) -> Outcome {
        let invocation = guest::Invocation {
            name: name.to_owned(),
            source: source.to_owned(),
            arguments: arguments.as_str().to_owned(),
            code: code.map(<[u8]>::to_vec),
        };
        let Self { store, bindings, .. } = self;
        let answer = metered(store, async |store| {
            bindings.repertoire_workflow_guest().call_run(store, &invocation).await
        })
        .await;
        self.outcome(answer)
    }

    /// Executes agent code.
    pub(crate) async fn execute(&mut self, code: &str) -> Outcome {
        let Self { store, bindings, .. } = self;
        let answer = metered(store, async |store| {
            bindings.repertoire_workflow_guest().call_execute(store, code).await
        })
        .await;
        self.outcome(answer)
    }

    /// Compiles a source, without running any of it.
    ///
    /// # Errors
    /// [`Code::InvalidSource`], or the code of the limit that this ran into.
    pub(crate) async fn compile(&mut self, name: &str, source: &str) -> Result<Vec<u8>> {
        let Self { store, bindings, .. } = self;
        let answer = metered(store, async |store| {
            bindings.repertoire_workflow_guest().call_compile(store, name, source).await
        })
        .await;
        self.examined(answer, "compiled")
    }

    /// Analyses a source.
    ///
    /// # Errors
    /// [`Code::InvalidSource`], or the code of the limit that the analysis ran into.
    pub(crate) async fn analyze(&mut self, source: &str) -> Result<Analysis> {
        let Self { store, bindings, .. } = self;
        let answer = metered(store, async |store| {
            bindings.repertoire_workflow_guest().call_analyze(store, source).await
        })
        .await;
        self.examined(answer, "analysed").and_then(read_analysis)
    }

    /// What the guest says of a source that it only looked at.
    fn examined<T>(
        &self,
        answer: wasmtime::Result<Result<T, types::Error>>,
        done: &str,
    ) -> Result<T> {
        match answer {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                // The host tells it nothing, so it has nobody else to blame.
                let code = read_code(error.code);
                let code = if code.blame() == Blame::Host { Code::Trapped } else { code };
                Err(Error::new(code, bounded(error.message)))
            }
            Err(error) => {
                let Failure { code, message, .. } = trap::failure(&error, self.store.data());
                Err(Error::new(code, format!("source cannot be {done}: {message}")))
            }
        }
    }

    /// Whether the guest can be called again: a trap leaves it in no defined state.
    pub(crate) fn is_alive(&self) -> bool {
        !self.store.data().is_broken()
    }

    fn outcome(
        &mut self,
        answer: wasmtime::Result<Result<guest::Outcome, guest::Failure>>,
    ) -> Outcome {
        match answer {
            Ok(Ok(outcome)) => match read_value(outcome, &self.store.data().context().budget) {
                Ok(value) => Outcome::Value(value),
                Err(error) => Outcome::Failure(Failure::new(error.code(), error.message())),
            },
            Ok(Err(failure)) => {
                let state = self.store.data();
                let (refused, told) = (state.limiter.has_refused(), state.was_told_of_fault());
                Outcome::Failure(read_failure(failure, refused, told))
            }
            Err(error) => {
                self.store.data_mut().mark_broken();
                Outcome::Failure(trap::failure(&error, self.store.data()))
            }
        }
    }
}

impl Drop for Instance {
    /// Charges what the guest used since it was last looked at. A run whose
    /// future is dropped, because it was cancelled or its time was over, has
    /// nobody else to do it.
    fn drop(&mut self) {
        self.settle();
    }
}

/// Calls into the guest while its fuel is accounted for.
async fn metered<T>(
    store: &mut Store<HostState>,
    call: impl AsyncFnOnce(&mut Store<HostState>) -> wasmtime::Result<T>,
) -> wasmtime::Result<T> {
    let gauge = Arc::clone(&store.data().gauge);
    gauge.begin_work();
    let working = Working(&gauge);
    let answer = {
        let call = pin!(call(store));
        Metered { call, gauge: &gauge }.await
    };
    drop(working);
    gauge.settle(store.get_fuel()?);
    answer
}

/// A guest's work, which is over when this is dropped.
struct Working<'a>(&'a FuelGauge);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.end_work();
    }
}

/// Charges a slice of fuel each time the guest yields, so that instances that
/// draw on one budget at the same time see what the others use.
struct Metered<'a, F> {
    call: Pin<&'a mut F>,
    gauge: &'a FuelGauge,
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Metered<'_, F> {
    type Output = wasmtime::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.gauge.begin_turn();
        match self.call.as_mut().poll(cx) {
            Poll::Pending if self.gauge.yielded() => {
                Poll::Ready(Err(LimitReached(Code::FuelExhausted).into()))
            }
            poll => poll,
        }
    }
}

fn read_value(outcome: guest::Outcome, budget: &Budget) -> Result<Value> {
    budget.charge_output(outcome.value.len() + outcome.text.as_ref().map_or(0, String::len))?;
    let json = Json::parse(outcome.value).map_err(|error| {
        Error::new(Code::InvalidResult, format!("result is {}", error.message()))
    })?;
    Ok(Value { json, repr: outcome.text })
}

/// The most bytes of a failure's text that are kept; the guest bounds it as
/// well, but the guest is not to be trusted.
const MAX_TEXT: usize = 72 << 10;

/// The most exceptions of a chain that are kept.
const MAX_CHAIN: usize = 32;

pub(super) fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let cut = text.floor_char_boundary(MAX_TEXT);
        text.truncate(cut);
        text.push_str(" ... truncated");
    }
    text
}

fn read_failure(failure: guest::Failure, memory_was_refused: bool, told_of_fault: bool) -> Failure {
    let is_memory_error =
        failure.exceptions.first().is_some_and(|first| first.type_name == "MemoryError");
    let code = match read_code(failure.code) {
        Code::Raised if is_memory_error && memory_was_refused => Code::MemoryExceeded,
        // A guest can claim what it likes; only the host puts the blame on the host.
        code if code.blame() == Blame::Host && !told_of_fault => Code::Raised,
        code => code,
    };
    Failure {
        code,
        message: bounded(failure.message),
        exceptions: failure
            .exceptions
            .into_iter()
            .take(MAX_CHAIN)
            .map(|exception| Exception {
                type_name: bounded(exception.type_name),
                message: bounded(exception.message),
            })
            .collect(),
        traceback: bounded(failure.traceback),
        details: failure
            .details
            .filter(|details| details.len() <= MAX_TEXT)
            .and_then(|details| Json::parse(details).ok()),
    }
}

/// The most bytes that an analysis may have: a source of one MiB says its
/// docstring, its description and its defaults each once or twice. It is kept
/// with the workflow, and the guest that made it is not to be trusted.
const MAX_ANALYSIS: usize = 4 << 20;

/// What an item of a list costs beside its text.
const ITEM: usize = 64;

fn size_of(analysis: &guest::Analysis) -> usize {
    let parameters = analysis.parameters.iter().map(|parameter| {
        let default = parameter.default_value.as_ref().map_or(0, String::len);
        parameter.name.len() + parameter.schema.len() + parameter.description.len() + default
    });
    let raises = analysis.raises.iter().map(|each| each.exception.len() + each.description.len());
    let uses = &analysis.uses;
    let names = uses.tools.iter().chain(&uses.workflows).chain(&uses.artifacts).map(String::len);
    let warnings = analysis.warnings.iter().map(|each| each.code.len() + each.message.len());
    let requires = &analysis.requires;
    let required = requires.dependencies.iter().map(|each| each.name.len() + each.versions.len());
    let required = required.chain(requires.runtime.as_ref().map(String::len));
    let items: usize = parameters
        .chain(raises)
        .chain(names)
        .chain(warnings)
        .chain(required)
        .map(|n| n + ITEM)
        .sum();
    let texts = [
        &analysis.signature,
        &analysis.returns,
        &analysis.returns_description,
        &analysis.description,
        &analysis.docstring,
    ];
    items + texts.map(String::len).iter().sum::<usize>()
}

fn read_analysis(analysis: guest::Analysis) -> Result<Analysis> {
    if size_of(&analysis) > MAX_ANALYSIS {
        return Err(Error::new(
            Code::InvalidSource,
            format!("what its signature and docstring say has more than {MAX_ANALYSIS} bytes"),
        ));
    }
    let json = |text: String| {
        Json::parse(text).map_err(|error| {
            Error::new(Code::Trapped, "the runtime's analysis is not well-formed")
                .with_source(error)
        })
    };
    let parameters = analysis
        .parameters
        .into_iter()
        .map(|parameter| {
            Ok(Parameter {
                name: parameter.name,
                schema: json(parameter.schema)?,
                required: parameter.required,
                default: parameter.default_value.map(json).transpose()?,
                description: parameter.description,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Analysis {
        signature: Signature {
            text: analysis.signature,
            is_async: analysis.is_async,
            parameters,
            accepts_unknown: analysis.accepts_unknown,
            returns: json(analysis.returns)?,
            returns_description: analysis.returns_description,
            raises: analysis
                .raises
                .into_iter()
                .map(|raises| Raises {
                    exception: raises.exception,
                    description: raises.description,
                })
                .collect(),
        },
        description: analysis.description,
        docstring: analysis.docstring,
        uses: Uses {
            tools: analysis.uses.tools,
            workflows: analysis.uses.workflows,
            artifacts: analysis.uses.artifacts,
            computed: analysis.uses.computed,
        },
        requires: Requires {
            runtime: analysis.requires.runtime,
            dependencies: analysis
                .requires
                .dependencies
                .into_iter()
                .map(|each| Dependency { name: each.name, versions: each.versions })
                .collect(),
        },
        warnings: analysis
            .warnings
            .into_iter()
            .map(|warning| Warning {
                code: warning.code,
                message: warning.message,
                line: warning.line,
            })
            .collect(),
    })
}

/// The contract's code as ours; both lists are the same.
pub(crate) const fn read_code(code: types::ErrorCode) -> Code {
    use types::ErrorCode as Wire;
    match code {
        Wire::NotFound => Code::NotFound,
        Wire::AlreadyExists => Code::AlreadyExists,
        Wire::Conflict => Code::Conflict,
        Wire::InvalidArgument => Code::InvalidArgument,
        Wire::InvalidSource => Code::InvalidSource,
        Wire::InvalidResult => Code::InvalidResult,
        Wire::Denied => Code::Denied,
        Wire::Raised => Code::Raised,
        Wire::FuelExhausted => Code::FuelExhausted,
        Wire::MemoryExceeded => Code::MemoryExceeded,
        Wire::TimedOut => Code::TimedOut,
        Wire::OutputExceeded => Code::OutputExceeded,
        Wire::CallsExceeded => Code::CallsExceeded,
        Wire::DepthExceeded => Code::DepthExceeded,
        Wire::StackExhausted => Code::StackExhausted,
        Wire::Trapped => Code::Trapped,
        Wire::Cancelled => Code::Cancelled,
        Wire::QuotaExceeded => Code::QuotaExceeded,
        Wire::Busy => Code::Busy,
        Wire::ToolFailed => Code::ToolFailed,
        Wire::Unavailable => Code::Unavailable,
        Wire::Internal => Code::Internal,
    }
}

/// Our code as the contract's.
pub(crate) const fn wire_code(code: Code) -> types::ErrorCode {
    use types::ErrorCode as Wire;
    match code {
        Code::NotFound => Wire::NotFound,
        Code::AlreadyExists => Wire::AlreadyExists,
        Code::Conflict => Wire::Conflict,
        Code::InvalidArgument => Wire::InvalidArgument,
        Code::InvalidSource => Wire::InvalidSource,
        Code::InvalidResult => Wire::InvalidResult,
        Code::Denied => Wire::Denied,
        Code::Raised => Wire::Raised,
        Code::FuelExhausted => Wire::FuelExhausted,
        Code::MemoryExceeded => Wire::MemoryExceeded,
        Code::TimedOut => Wire::TimedOut,
        Code::OutputExceeded => Wire::OutputExceeded,
        Code::CallsExceeded => Wire::CallsExceeded,
        Code::DepthExceeded => Wire::DepthExceeded,
        Code::StackExhausted => Wire::StackExhausted,
        Code::Trapped => Wire::Trapped,
        Code::Cancelled => Wire::Cancelled,
        Code::QuotaExceeded => Wire::QuotaExceeded,
        Code::Busy => Wire::Busy,
        Code::ToolFailed => Wire::ToolFailed,
        Code::Unavailable => Wire::Unavailable,
        Code::Internal => Wire::Internal,
    }
}
