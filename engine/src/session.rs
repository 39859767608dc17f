//! Agent code with state that lasts from one call to the next.

use std::sync::Arc;

use crate::budget::Budget;
use crate::catalog::NewWorkflow;
use crate::error::Result;
use crate::grants::LiveGrants;
use crate::id::{ImageName, SourceDigest};
use crate::invoke::{Invoker, Options, Program, Reach, within_wall_time};
use crate::json::Json;
use crate::limits::Limits;
use crate::run::{Event, Failure, Outcome, Run};
use crate::sandbox::{Instance, Runtime};
use crate::workflow::Workflow;

/// Why a later call of a session is not recorded.
const CONTINUED: &str = "it goes on from what earlier calls of its session have left, which no record holds; \
     a session's first call can be replayed";

/// A live instance that executes agent code: variables, functions and imports
/// last until [`reset`](Session::reset), or until a limit ends the instance.
///
/// Each call has the limits of the session anew; the memory that earlier calls
/// left behind counts. Dropping the future that [`run`](Session::run) returns
/// stops the code, and with it the instance.
///
/// ```no_run
/// # async fn example(tenant: repertoire::Tenant) -> repertoire::Result<()> {
/// let mut session = tenant.session();
/// session.run("import math\nradius = 2").await?;
/// let run = session.run("math.pi * radius ** 2").await?;
/// assert!(run.value().is_ok_and(|value| value.as_str().starts_with("12.56")));
/// session.add_workflow("area", "def run(radius: float) -> float: ...", "Area of a circle").await?;
/// # Ok(())
/// # }
/// ```
pub struct Session {
    invoker: Arc<Invoker>,
    options: Options,
    /// The runtime image that its instance begins with.
    image: Option<ImageName>,
    /// That, once it was looked up.
    runtime: Option<Arc<Runtime>>,
    instance: Option<Instance>,
    /// Whether there was an instance whose variables are gone.
    lost: bool,
}

impl Session {
    pub(crate) fn new(invoker: Arc<Invoker>, options: Options) -> Self {
        let image = invoker.image.clone();
        Self { invoker, options, image, runtime: None, instance: None, lost: false }
    }

    /// Sets the limits of each call.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Seeds `random`, `uuid` and `secrets` of each call.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Lets the session reach what these allow of what its tenant may reach.
    #[must_use]
    pub fn grants(mut self, grants: impl Into<LiveGrants>) -> Self {
        self.options.grants = self.options.grants.and(grants.into());
        self
    }

    /// Begins with this runtime image, and not with the tenant's.
    #[must_use]
    pub fn image(mut self, image: ImageName) -> Self {
        self.image = Some(image);
        self
    }

    /// Receives what happens while code runs. Called from the run; must not block.
    #[must_use]
    pub fn on_event(mut self, sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.options.events = Some(Arc::new(sink));
        self
    }

    /// Executes code. `await` is allowed at its top level, and the run's value
    /// is that of the last expression.
    ///
    /// If the instance of earlier calls was lost to a limit or to a dropped
    /// future, [`was_reset`](Session::was_reset) says so.
    ///
    /// # Errors
    /// [`Code::InvalidSource`](crate::error::Code::InvalidSource) if the code is
    /// too large; what the code itself does wrong is an outcome, not an error.
    pub async fn run(&mut self, code: &str) -> Result<Run> {
        crate::analysis::check_size(code)?;
        let admitted = self.invoker.admit().await?;
        let budget = Budget::root(self.options.limits.clone());
        let runtime = match &self.runtime {
            Some(runtime) => Arc::clone(runtime),
            None => self.invoker.runtimes.named(self.image.as_ref()).await?,
        };
        self.runtime = Some(Arc::clone(&runtime));
        let program = Program {
            workflow: None,
            runtime: Arc::clone(&runtime),
            digest: SourceDigest::of(code),
            source: code.into(),
            unrecorded: self.instance.is_some().then_some(CONTINUED),
        };
        let (grants, events) = (self.options.grants.clone(), self.options.events.clone());
        let reach = Reach { grants, events, slot: admitted.slot() };
        let (arguments, seed) = (Json::empty_object(), self.options.seed);
        let mut opened = self.invoker.open(program, arguments, budget, None, seed, reach);
        let context = Arc::clone(&opened.context);
        // The instance is put back only when it is in order: a dropped future
        // takes it along.
        let had_instance = self.instance.is_some();
        self.lost = had_instance;
        let taken = self.instance.take();
        let work = async {
            let entered = match taken {
                Some(mut instance) => instance.enter(Arc::clone(&context)).map(|()| instance),
                None => Instance::new(&runtime, Arc::clone(&context)).await,
            };
            match entered {
                Ok(mut instance) => {
                    let outcome = instance.execute(code).await;
                    if instance.is_alive() {
                        self.instance = Some(instance);
                    }
                    outcome
                }
                Err(error) => Outcome::Failure(Failure::new(error.code(), error.chain())),
            }
        };
        let mut outcome = within_wall_time(&context, work).await;
        self.lost = had_instance && self.instance.is_none();
        if let (true, Outcome::Failure(failure)) = (self.lost, &mut outcome) {
            failure
                .message
                .push_str("; the session's variables are gone, the next call starts anew");
        }
        Ok(opened.close(outcome))
    }

    /// Whether the last call has lost the variables of those before it.
    #[must_use]
    pub const fn was_reset(&self) -> bool {
        self.lost
    }

    /// Forgets all variables.
    pub fn reset(&mut self) {
        self.instance = None;
        self.runtime = None;
        self.lost = false;
    }

    /// Saves a workflow in the tenant's library.
    ///
    /// # Errors
    /// As [`Tenant::add_workflow`](crate::Tenant::add_workflow).
    pub async fn add_workflow(
        &self,
        name: &str,
        source: &str,
        description: &str,
    ) -> Result<Workflow> {
        let new = NewWorkflow {
            name: name.to_owned(),
            source: source.to_owned(),
            description: description.to_owned(),
        };
        self.invoker.catalog.create(new, None).await
    }
}
