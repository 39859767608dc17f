//! How a workflow is run, on one page:
//! resolve -> validate -> admit -> open record -> sandbox -> close record.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::artifacts::Artifacts;
use crate::budget::Budget;
use crate::catalog::{Catalog, NewWorkflow, checked_query};
use crate::error::{Code, Error, Result};
use crate::host::workflows::Workflows;
use crate::id::{RunId, SourceDigest, VersionId};
use crate::json::Json;
use crate::limits::Limits;
use crate::record::Records;
use crate::run::{Failure, Invocation, Outcome, Run};
use crate::sandbox::{EventSink, Instance, Output, RunContext, Runtime, Tape, limit_message};
use crate::schema::Validator;
use crate::search::MAX_HITS;
use crate::tools::{CallContext, Registry, ToolInfo};
use crate::workflow::{Deletion, Hit, Version, Workflow};

/// How a root run is to be run.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) seed: Option<u64>,
    pub(crate) events: Option<EventSink>,
    /// Whether what it invokes are the versions that it was created against.
    pub(crate) pinned: bool,
}

/// What is run.
pub(crate) struct Program<'a> {
    /// None of agent code.
    pub(crate) workflow: Option<&'a Workflow>,
    pub(crate) digest: SourceDigest,
    pub(crate) source: Arc<str>,
    /// Why it cannot be replayed, if it depends on more than can be recorded.
    pub(crate) unrecorded: Option<&'static str>,
}

impl<'a> From<&'a Workflow> for Program<'a> {
    fn from(workflow: &'a Workflow) -> Self {
        Self {
            workflow: Some(workflow),
            digest: workflow.digest,
            source: Arc::clone(&workflow.source),
            unrecorded: None,
        }
    }
}

/// Runs one tenant's workflows.
pub(crate) struct Invoker {
    pub(crate) catalog: Catalog,
    pub(crate) tools: Registry,
    pub(crate) artifacts: Arc<dyn Artifacts>,
    pub(crate) records: Arc<dyn Records>,
    /// Root runs that may run at once, over all tenants of the engine. Nested
    /// runs take none: their ancestors hold one already.
    pub(crate) slots: Arc<Semaphore>,
    /// Of these, what this tenant may have at once: it cannot make the others wait.
    pub(crate) share: Arc<Semaphore>,
    pub(crate) validators: Validators,
}

impl Invoker {
    /// Runs a workflow at the root.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        name: &str,
        arguments: Json,
        options: Options,
    ) -> Result<Run> {
        check_size(&arguments, &options.limits)?;
        let workflow = self.catalog.resolve(name).await?;
        self.validators.get(&workflow)?.check(&arguments)?;
        let _slot = self.admit().await?;
        let budget = Budget::root(options.limits);
        let (seed, events) = (options.seed, options.events);
        let program = Program::from(&workflow);
        let mut opened = self.open(program, arguments, budget, None, seed, events);
        if options.pinned {
            opened.pin(&workflow);
        }
        let work = self.sandbox(&workflow, &opened);
        let outcome = within_wall_time(&opened.context.budget, work).await;
        Ok(opened.close(outcome))
    }

    /// Waits until there is room for another root run.
    pub(crate) async fn admit(&self) -> Result<Admitted> {
        let closed = |error| Error::internal("the engine is closed").with_source(error);
        // The tenant's own share first: who waits for it stands in nobody's way.
        let share = Arc::clone(&self.share).acquire_owned().await.map_err(closed)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(closed)?;
        Ok(Admitted { _slot: slot, _share: share })
    }

    /// Runs a workflow that another one invokes, on what is left of its budget.
    async fn invoke_nested(
        self: &Arc<Self>,
        caller: &RunContext,
        name: &str,
        arguments: Json,
        seed: u64,
        pinned: bool,
    ) -> Result<Run> {
        check_size(&arguments, caller.budget.limits())?;
        let workflow = match &caller.pins {
            Some(pins) => self.catalog.pinned(pins, name).await?,
            None => self.catalog.resolve(name).await?,
        };
        self.validators.get(&workflow)?.check(&arguments)?;
        let budget = caller.budget.child()?;
        let (parent, events) = (Some(caller.run), caller.events.clone());
        let program = Program::from(&workflow);
        let mut opened = self.open(program, arguments, budget, parent, Some(seed), events);
        caller.tape.nested(opened.context.run);
        if pinned || caller.pins.is_some() {
            opened.pin(&workflow);
        }
        let outcome = self.sandbox(&workflow, &opened).await;
        Ok(opened.close(outcome))
    }

    /// Opens the record of a run: from here on one is left, however it ends.
    pub(crate) fn open(
        self: &Arc<Self>,
        program: Program<'_>,
        arguments: Json,
        budget: Arc<Budget>,
        parent: Option<RunId>,
        seed: Option<u64>,
        events: Option<EventSink>,
    ) -> Opened {
        let (clock, entropy) = (&self.catalog.clock, &self.catalog.entropy);
        let id = RunId::new(clock.as_ref(), entropy.as_ref());
        let invocation = Invocation {
            id,
            parent,
            tenant: self.catalog.tenant.clone(),
            workflow: program.workflow.map(|workflow| workflow.name.to_string()),
            digest: program.digest,
            version: program.workflow.map(|workflow| workflow.version),
            pinned: false,
            arguments,
            seed: seed.unwrap_or_else(|| entropy.next_u64()),
            depth: budget.depth(),
            limits: budget.limits().clone(),
            started_at: clock.now(),
        };
        let tape = match program.unrecorded {
            Some(why) => Tape::off(&budget, why),
            None => Tape::recording(&budget),
        };
        let context = Arc::new(RunContext {
            run: id,
            tenant: self.catalog.tenant.clone(),
            seed: invocation.seed,
            started_at: invocation.started_at,
            output: Output::new(id, Arc::clone(&budget), events.clone()),
            tape,
            budget,
            events,
            clock: Arc::clone(clock),
            tools: self.tools.clone(),
            pins: None,
            workflows: Arc::new(Reentry(Arc::clone(self))),
            artifacts: Arc::clone(&self.artifacts),
            nested: AtomicU64::new(0),
        });
        Opened {
            invocation: Some(invocation),
            source: program.source,
            context,
            runtime: Arc::clone(&self.catalog.runtime),
            records: Arc::clone(&self.records),
        }
    }

    /// One instance for one run.
    async fn sandbox(&self, workflow: &Workflow, opened: &Opened) -> Outcome {
        let context = Arc::clone(&opened.context);
        let arguments = opened.arguments();
        let (name, source) = (workflow.name.as_str(), &*workflow.source);
        let code = self.catalog.code(name, workflow.digest, source).await;
        match Instance::new(&self.catalog.runtime, context).await {
            Ok(mut instance) => {
                let outcome = instance.run(name, source, code.as_deref(), &arguments).await;
                self.catalog.runtime.retire(instance);
                outcome
            }
            Err(error) => Outcome::Failure(Failure::new(error.code(), error.chain())),
        }
    }
}

/// Room for a root run, until it is dropped.
pub(crate) struct Admitted {
    _slot: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

/// Ends a root run, and with it everything that it invoked, when its time is over.
pub(crate) async fn within_wall_time(
    budget: &Budget,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    tokio::time::timeout_at(budget.deadline(), work).await.unwrap_or_else(|_| {
        Outcome::Failure(Failure::new(
            Code::TimedOut,
            limit_message(Code::TimedOut, budget.limits()),
        ))
    })
}

pub(crate) fn check_size(arguments: &Json, limits: &Limits) -> Result<()> {
    if arguments.len() as u64 > limits.argument_bytes {
        return Err(Error::invalid_argument(format!(
            "the arguments have {} bytes, and may have {}; pass what is large as an artifact",
            arguments.len(),
            limits.argument_bytes
        )));
    }
    Ok(())
}

/// A run whose record is open. Dropped without [`close`](Opened::close), it
/// leaves the record of a run that was cancelled, or whose time was over.
pub(crate) struct Opened {
    invocation: Option<Invocation>,
    source: Arc<str>,
    pub(crate) context: Arc<RunContext>,
    runtime: Arc<Runtime>,
    records: Arc<dyn Records>,
}

impl Opened {
    /// What the workflow invokes are the versions that it was created against.
    fn pin(&mut self, workflow: &Workflow) {
        if let (Some(context), Some(invocation)) =
            (Arc::get_mut(&mut self.context), &mut self.invocation)
        {
            context.pins = Some(workflow.invokes.clone().into());
            invocation.pinned = true;
        }
    }

    fn arguments(&self) -> Json {
        self.invocation.as_ref().map_or_else(Json::empty_object, |open| open.arguments.clone())
    }

    /// Closes the record.
    pub(crate) fn close(&mut self, outcome: Outcome) -> Run {
        let (stdout, stderr) = self.context.output.take();
        let run = Run {
            #[expect(
                clippy::expect_used,
                reason = "closed once: `close` and `drop` are the only callers"
            )]
            invocation: self.invocation.take().expect("a record is closed once"),
            outcome,
            usage: self.context.budget.usage(),
            stdout,
            stderr,
            recorded: self.context.tape.take(&self.source, self.runtime.identity()),
        };
        self.records.append(run.clone());
        run
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.invocation.is_some() {
            let budget = &self.context.budget;
            let failure = if budget.is_overdue() {
                Failure::new(Code::TimedOut, limit_message(Code::TimedOut, budget.limits()))
            } else {
                Failure::new(Code::Cancelled, "the caller went away, or cancelled")
            };
            self.close(Outcome::Failure(failure));
        }
    }
}

/// The way back in from a running workflow.
struct Reentry(Arc<Invoker>);

#[async_trait]
impl Workflows for Reentry {
    async fn create(
        &self,
        caller: &RunContext,
        name: &str,
        source: &str,
        description: &str,
    ) -> Result<Workflow> {
        let new = NewWorkflow {
            name: name.to_owned(),
            source: source.to_owned(),
            description: description.to_owned(),
        };
        self.0.catalog.create(new, Some(&caller.budget)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Workflow>> {
        match self.0.catalog.resolve(name).await {
            Ok(workflow) => Ok(Some(workflow)),
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Vec<Workflow>> {
        self.0.catalog.library.list(None, usize::MAX).await
    }

    async fn search(&self, query: &str, limit: u32) -> Result<Vec<Hit>> {
        self.0.catalog.search(query, limit as usize).await
    }

    async fn delete(&self, name: &str, if_unused: bool) -> Result<Deletion> {
        self.0.catalog.delete(name, if_unused).await
    }

    async fn history(&self, name: &str) -> Result<Vec<Version>> {
        self.0.catalog.history(name).await
    }

    async fn restore(&self, name: &str, version: &str) -> Result<Workflow> {
        self.0.catalog.restore(name, version).await
    }

    async fn invoke(
        &self,
        caller: &RunContext,
        name: &str,
        arguments: Json,
        seed: u64,
        pinned: bool,
    ) -> Result<Json> {
        let run = Box::pin(self.0.invoke_nested(caller, name, arguments, seed, pinned)).await?;
        match run.outcome {
            Outcome::Value(value) => Ok(value.json),
            Outcome::Failure(failure) => Err(nested_error(name, run.invocation.id, failure)),
        }
    }

    async fn search_tools(
        &self,
        tools: &Registry,
        query: &str,
        limit: u32,
        caller: &CallContext,
    ) -> Result<Vec<Arc<ToolInfo>>> {
        let limit = (limit as usize).min(MAX_HITS);
        let embedder = self.0.catalog.embedder.as_ref();
        tools.search(checked_query(query)?, limit, embedder, caller).await
    }
}

/// A nested run's failure as its caller's exception.
fn nested_error(name: &str, run: RunId, failure: Failure) -> Error {
    let message = match failure.exceptions.first() {
        Some(raised) => format!("workflow {name} raised {}: {}", raised.type_name, raised.message),
        None => format!("workflow {name} failed: {}", failure.message),
    };
    let details = serde_json::json!({
        "workflow": name,
        "run_id": run.to_string(),
        "exception": failure.exceptions.first().map(|raised| &raised.type_name),
        "traceback": failure.traceback,
    });
    Error::new(failure.code, message).with_details(details.into())
}

/// Compiled signatures of the workflows that were run lately.
#[derive(Default)]
pub(crate) struct Validators(Mutex<HashMap<VersionId, Arc<Validator>>>);

impl Validators {
    /// More than a tenant runs in an hour; beyond it the cache starts anew.
    const CAPACITY: usize = 1024;

    fn get(&self, workflow: &Workflow) -> Result<Arc<Validator>> {
        let cached = |this: &Self| {
            let validators = this.0.lock().unwrap_or_else(PoisonError::into_inner);
            validators.get(&workflow.version).cloned()
        };
        if let Some(validator) = cached(self) {
            return Ok(validator);
        }
        let signature = &workflow.analysis.signature;
        let validator = Arc::new(Validator::new(
            format!("workflow {}", workflow.name),
            &signature.parameters,
            signature.accepts_unknown,
        )?);
        let mut validators = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if validators.len() >= Self::CAPACITY {
            validators.clear();
        }
        validators.insert(workflow.version, Arc::clone(&validator));
        Ok(validator)
    }
}
