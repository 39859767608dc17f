//! How a workflow is run, on one page:
//! resolve -> validate -> admit -> open record -> sandbox -> close record.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::future::Either;

use crate::admission::{Account, Admitted, Slot};
use crate::approvals::Approvals;
use crate::artifacts::Shelf;
use crate::budget::Budget;
use crate::capabilities::keep_visible;
use crate::catalog::{Catalog, NewWorkflow, checked_query};
use crate::error::{Code, Error, Result};
use crate::grants::{Granted, Target};
use crate::host::workflows::Workflows;
use crate::id::{ImageName, RunId, SourceDigest, VersionId, WorkflowName};
use crate::json::Json;
use crate::limits::Limits;
use crate::record::Records;
use crate::run::{Failure, Invocation, Outcome, Run};
use crate::runtimes::Runtimes;
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
    pub(crate) grants: Granted,
    /// Whether what it invokes are the versions that it was created against.
    pub(crate) pinned: bool,
}

/// What a run may reach, its place among those that run, and who hears of it.
pub(crate) struct Reach {
    pub(crate) grants: Granted,
    pub(crate) events: Option<EventSink>,
    pub(crate) slot: Arc<Slot>,
}

/// What is run.
pub(crate) struct Program<'a> {
    /// None of agent code.
    pub(crate) workflow: Option<&'a Workflow>,
    pub(crate) digest: SourceDigest,
    pub(crate) source: Arc<str>,
    pub(crate) runtime: Arc<Runtime>,
    /// Why it cannot be replayed, if it depends on more than can be recorded.
    pub(crate) unrecorded: Option<&'static str>,
}

/// Runs one tenant's workflows.
pub(crate) struct Invoker {
    pub(crate) catalog: Catalog,
    pub(crate) runtimes: Arc<Runtimes>,
    /// The runtime image of what names none.
    pub(crate) image: Option<ImageName>,
    pub(crate) tools: Registry,
    pub(crate) artifacts: Arc<Shelf>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) approvals: Arc<dyn Approvals>,
    /// Lets root runs begin. Nested runs are not asked: their ancestors were.
    pub(crate) account: Arc<Account>,
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
        options.grants.check(&Target::Workflow(name))?;
        let workflow = self.catalog.resolve(name).await?;
        self.validators.get(&workflow)?.check(&arguments)?;
        let program = self.program(&workflow).await?;
        let admitted = self.admit().await?;
        let budget = Budget::root(options.limits);
        let (grants, events) = (options.grants, options.events);
        let reach = Reach { grants, events, slot: admitted.slot() };
        let mut opened = self.open(program, arguments, budget, None, options.seed, reach);
        if options.pinned {
            opened.pin(&workflow);
        }
        let work = self.sandbox(&workflow, &opened);
        let outcome = within_wall_time(&opened.context, work).await;
        Ok(opened.close(outcome))
    }

    /// All workflows that may be run, by name.
    pub(crate) async fn list(&self, grants: &Granted) -> Result<Vec<Workflow>> {
        self.list_after(grants, None, usize::MAX).await
    }

    /// The first of them after a name.
    pub(crate) async fn list_after(
        &self,
        grants: &Granted,
        after: Option<&WorkflowName>,
        limit: usize,
    ) -> Result<Vec<Workflow>> {
        let library = self.catalog.library.as_ref();
        if grants.is_everything() {
            return library.list(after, limit).await;
        }
        let all = library.list(after, usize::MAX).await?;
        let mut found =
            keep_visible(grants, library, &self.tools, all, |workflow| workflow).await?;
        found.truncate(limit);
        Ok(found)
    }

    /// The workflows that answer a question and may be run, best first.
    pub(crate) async fn search(
        &self,
        grants: &Granted,
        query: &str,
        limit: usize,
    ) -> Result<Vec<Hit>> {
        if grants.is_everything() {
            return self.catalog.search(query, limit).await;
        }
        // What may not be run takes no place from what may.
        let (library, all) = (self.catalog.library.as_ref(), MAX_HITS.max(limit));
        let hits = self.catalog.search(query, all).await?;
        let mut hits =
            keep_visible(grants, library, &self.tools, hits, |hit| &hit.workflow).await?;
        hits.truncate(limit);
        Ok(hits)
    }

    /// Waits until there is room for another root run.
    pub(crate) async fn admit(&self) -> Result<Admitted> {
        self.account.admit(self.records.as_ref()).await
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
        let program = self.program(&workflow).await?;
        // Whoever asks, it is in the caller's name: a workflow lends nothing.
        let (grants, events) = (caller.grants.clone(), caller.events.clone());
        let reach = Reach { grants, events, slot: Arc::clone(&caller.slot) };
        let parent = Some(caller.run);
        let mut opened = self.open(program, arguments, budget, parent, Some(seed), reach);
        caller.tape.nested(opened.context.run);
        if pinned || caller.pins.is_some() {
            opened.pin(&workflow);
        }
        let outcome = self.sandbox(&workflow, &opened).await;
        Ok(opened.close(outcome))
    }

    /// A workflow, and the runtime that it asks for.
    async fn program<'a>(&self, workflow: &'a Workflow) -> Result<Program<'a>> {
        let requires = &workflow.analysis.requires;
        let runtime = self.runtimes.choose(requires, self.image.as_ref()).await?;
        Ok(Program {
            workflow: Some(workflow),
            digest: workflow.digest,
            source: Arc::clone(&workflow.source),
            runtime,
            unrecorded: None,
        })
    }

    /// Opens the record of a run: from here on one is left, however it ends.
    pub(crate) fn open(
        self: &Arc<Self>,
        program: Program<'_>,
        arguments: Json,
        budget: Arc<Budget>,
        parent: Option<RunId>,
        seed: Option<u64>,
        reach: Reach,
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
            output: Output::new(id, Arc::clone(&budget), reach.events.clone()),
            tape,
            budget,
            events: reach.events,
            tools: self.tools.clone(),
            pins: None,
            workflows: Arc::new(Reentry(Arc::clone(self))),
            artifacts: Arc::clone(&self.artifacts),
            images: self.runtimes.images().clone(),
            nested: AtomicU64::new(0),
            grants: reach.grants,
            approvals: Arc::clone(&self.approvals),
            slot: reach.slot,
        });
        Opened {
            invocation: Some(invocation),
            source: program.source,
            context,
            runtime: program.runtime,
            records: Arc::clone(&self.records),
        }
    }

    /// One instance for one run.
    async fn sandbox(&self, workflow: &Workflow, opened: &Opened) -> Outcome {
        let context = Arc::clone(&opened.context);
        let arguments = opened.arguments();
        let (name, source) = (workflow.name.as_str(), &*workflow.source);
        let code = self.catalog.code(name, workflow.digest, source).await;
        let runtime = &opened.runtime;
        match Instance::new(runtime, context).await {
            Ok(mut instance) => {
                let outcome = instance.run(name, source, code.as_deref(), &arguments).await;
                runtime.retire(instance);
                outcome
            }
            Err(error) => Outcome::Failure(Failure::new(error.code(), error.chain())),
        }
    }
}

/// Ends a root run, and with it everything that it invoked, when its time is over.
pub(crate) async fn within_wall_time(
    context: &RunContext,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    let budget = &context.budget;
    let work = pin!(work);
    let mut work = match context.slot.account() {
        Some(account) => Either::Left(account.in_turn(work)),
        None => Either::Right(work),
    };
    let mut keep = pin!(context.slot.keep());
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            () = &mut keep => {}
            // It moves while the run waits for somebody.
            () = tokio::time::sleep_until(budget.look_at()) => {}
        }
        // Also while the clock stands: a guest that works between short waits is looked at in one.
        if budget.is_overdue() {
            let message = limit_message(Code::TimedOut, budget.limits());
            return Outcome::Failure(Failure::new(Code::TimedOut, message));
        }
    }
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
        if let Some(account) = self.context.slot.account() {
            account.ended(&run);
        }
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

    async fn list(&self, caller: &RunContext) -> Result<Vec<Workflow>> {
        self.0.list(&caller.grants).await
    }

    async fn search(&self, caller: &RunContext, query: &str, limit: u32) -> Result<Vec<Hit>> {
        self.0.search(&caller.grants, query, limit as usize).await
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
