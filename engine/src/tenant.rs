//! A tenant's view of the engine: the only handle with verbs.

mod artifacts;
mod grants;

use std::path::Path;
use std::sync::Arc;

use crate::catalog::{Imported, NewWorkflow};
use crate::error::{Error, Result};
use crate::grants::{Granted, LiveGrants};
use crate::id::{RunId, TenantId, WorkflowName, quoted};
use crate::invocation::InvocationBuilder;
use crate::invoke::{Invoker, Options};
use crate::json::Json;
use crate::limits::Limits;
use crate::replay::{self, Replay};
use crate::run::Run;
use crate::session::Session;
use crate::workflow::{Analysis, Hit, Version, Workflow};

/// One tenant's library, tools, artifacts and runs. Cheap to clone.
#[derive(Clone)]
pub struct Tenant {
    invoker: Arc<Invoker>,
    limits: Limits,
    grants: LiveGrants,
}

impl Tenant {
    pub(crate) fn new(invoker: Invoker, limits: Limits, grants: LiveGrants) -> Self {
        Self { invoker: Arc::new(invoker), limits, grants }
    }

    /// Whose view this is.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.invoker.catalog.tenant
    }

    /// Analyses and saves a workflow. The source is parsed in the sandbox and not run.
    ///
    /// # Errors
    /// [`Code::AlreadyExists`](crate::error::Code::AlreadyExists) if the name is taken,
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is no name,
    /// [`Code::InvalidSource`](crate::error::Code::InvalidSource) if the source is no workflow.
    pub async fn add_workflow(
        &self,
        name: impl Into<String>,
        source: impl Into<String>,
        description: impl Into<String>,
    ) -> Result<Workflow> {
        let new = NewWorkflow {
            name: name.into(),
            source: source.into(),
            description: description.into(),
        };
        self.invoker.catalog.create(new, None).await
    }

    /// What a source says about itself; nothing is saved.
    ///
    /// # Errors
    /// [`Code::InvalidSource`](crate::error::Code::InvalidSource) if it is no workflow.
    pub async fn analyze(&self, source: &str) -> Result<Analysis> {
        self.invoker.catalog.analyze(source, None).await
    }

    /// The workflow of that name.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound), naming the nearest.
    pub async fn workflow(&self, name: &str) -> Result<Workflow> {
        self.invoker.catalog.resolve(name).await
    }

    /// All workflows that it may run, by name.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the library cannot be read.
    pub async fn workflows(&self) -> Result<Vec<Workflow>> {
        self.invoker.list(&Granted::only(&self.grants)).await
    }

    /// The workflows that answer a question, best first.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the question is empty
    /// or too long, [`Code::Unavailable`](crate::error::Code::Unavailable) without a model.
    pub async fn search(&self, query: &str, limit: usize) -> Result<Vec<Hit>> {
        self.invoker.search(&Granted::only(&self.grants), query, limit).await
    }

    /// Deletes a workflow; false if there was none. Its history remains.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn delete_workflow(&self, name: &str) -> Result<bool> {
        self.invoker.catalog.delete(name).await
    }

    /// Everything that a name has meant, the newest first.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if it never meant anything.
    pub async fn history(&self, name: &str) -> Result<Vec<Version>> {
        let history = self.invoker.catalog.library.history(&WorkflowName::new(name)?).await?;
        if history.is_empty() {
            return Err(Error::not_found(format!("there never was a workflow {}", quoted(name))));
        }
        Ok(history)
    }

    /// Makes the library agree with a folder of `.py` files, and reports on each.
    /// `progress` is told the number of files done, of all, and the next one.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the folder cannot be read.
    pub async fn import(
        &self,
        directory: &Path,
        progress: impl Fn(usize, usize, &Path) + Sync,
    ) -> Result<Vec<Imported>> {
        self.invoker.catalog.import(directory, &progress).await
    }

    /// Runs a workflow with the engine's limits.
    ///
    /// A workflow that raises or runs into a limit is an `Ok` whose outcome is a failure.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) or
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument): the caller's mistakes.
    pub async fn invoke(&self, name: &str, arguments: impl Into<Json>) -> Result<Run> {
        self.invocation(name).arguments(arguments).run().await
    }

    /// Begins an invocation with settings of its own.
    pub fn invocation<'a>(&self, name: &'a str) -> InvocationBuilder<'a> {
        InvocationBuilder::new(Arc::clone(&self.invoker), name, self.options())
    }

    /// A session for agent code.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(Arc::clone(&self.invoker), self.options())
    }

    fn options(&self) -> Options {
        let grants = Granted::only(&self.grants);
        Options { limits: self.limits.clone(), seed: None, events: None, grants }
    }

    /// The newest run records, the newest first.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if they cannot be read.
    pub async fn runs(&self, limit: usize) -> Result<Vec<Run>> {
        self.invoker.records.list(limit).await
    }

    /// The record of a run.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound).
    pub async fn run_record(&self, id: RunId) -> Result<Run> {
        let found = self.invoker.records.get(id).await?;
        found.ok_or_else(|| Error::not_found(format!("there is no run {id}")))
    }

    /// Runs a recorded run again, and what it invoked, from their records alone:
    /// no tool is called, nothing is saved, and no record is left.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if there is no such run,
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if its record has nothing
    /// to replay it from, saying why.
    pub async fn replay(&self, id: RunId) -> Result<Replay> {
        replay::replay_tree(&self.invoker, self.run_record(id).await?).await
    }

    /// Runs one run again, without those that it invoked, from a record that
    /// the caller has.
    ///
    /// # Errors
    /// As [`replay`](Tenant::replay).
    pub async fn replay_record(&self, run: &Run) -> Result<Replay> {
        replay::replay_one(&self.invoker, run).await
    }

    /// Writes the run records that are still on their way. Call it before the
    /// process ends.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if a record could not be written.
    pub async fn flush(&self) -> Result<()> {
        self.invoker.records.flush().await
    }
}
