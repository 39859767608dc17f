//! An invocation with settings of its own.

use std::sync::Arc;

use crate::error::Result;
use crate::grants::LiveGrants;
use crate::invoke::{Invoker, Options};
use crate::json::Json;
use crate::limits::Limits;
use crate::run::{Event, Run};

/// An invocation that is being put together.
///
/// ```no_run
/// # async fn example(tenant: repertoire::Tenant) -> repertoire::Result<()> {
/// use repertoire::run::{Event, Outcome};
/// use serde_json::json;
///
/// let run = tenant
///     .invocation("compare_texts")
///     .arguments(json!({"before": "a", "after": "b"}))
///     .seed(7)
///     .on_event(|event| {
///         if let Event::Output { text, .. } = event {
///             print!("{text}");
///         }
///     })
///     .run()
///     .await?;
/// match run.outcome {
///     Outcome::Value(value) => println!("{} for {} units of fuel", value.json, run.usage.fuel),
///     Outcome::Failure(failure) => println!("{}: {}", failure.code, failure.message),
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is run until `run` is called and awaited"]
pub struct InvocationBuilder<'a> {
    invoker: Arc<Invoker>,
    name: &'a str,
    arguments: Json,
    options: Options,
}

impl<'a> InvocationBuilder<'a> {
    pub(crate) fn new(invoker: Arc<Invoker>, name: &'a str, options: Options) -> Self {
        Self { invoker, name, arguments: Json::empty_object(), options }
    }

    /// The keyword arguments: an object.
    pub fn arguments(mut self, arguments: impl Into<Json>) -> Self {
        self.arguments = arguments.into();
        self
    }

    /// What the run, and everything it invokes, may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Seeds `random`, `uuid` and `secrets`, so that the run can be repeated.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Lets the run, and everything it invokes, reach what these allow of what
    /// its tenant may reach.
    pub fn grants(mut self, grants: impl Into<LiveGrants>) -> Self {
        self.options.grants = self.options.grants.and(grants.into());
        self
    }

    /// Lets what it invokes be the versions that it was created against, whatever their names
    /// mean now. A name that it did not mention then is refused.
    pub const fn pinned(mut self) -> Self {
        self.options.pinned = true;
        self
    }

    /// Receives what happens while the run lasts. Called from the run; must not block.
    pub fn on_event(mut self, sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.options.events = Some(Arc::new(sink));
        self
    }

    /// Runs it. Dropping the future stops it.
    ///
    /// # Errors
    /// As [`Tenant::invoke`](crate::Tenant::invoke).
    pub async fn run(self) -> Result<Run> {
        self.invoker.invoke(self.name, self.arguments, self.options).await
    }
}
