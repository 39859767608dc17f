//! A tenant's view of the engine: the only handle with verbs.

mod artifacts;
mod grants;
mod usage;

use std::path::Path;
use std::sync::Arc;

use crate::catalog::NewWorkflow;
use crate::error::{Error, Result};
use crate::exchange::Imported;
use crate::grants::{Granted, LiveGrants};
use crate::id::{RunId, TenantId, WorkflowName};
use crate::invocation::InvocationBuilder;
use crate::invoke::{Invoker, Options};
use crate::json::Json;
use crate::limits::Limits;
use crate::replay::{self, Replay};
use crate::run::Run;
use crate::session::Session;

use crate::workflow::{Analysis, Deletion, Graph, Hit, Version, Workflow};

/// One tenant's library, tools, artifacts and runs. Cheap to clone.
#[derive(Clone)]
pub struct Tenant {
    invoker: Arc<Invoker>,
    incarnation: Arc<str>,
    limits: Limits,
    grants: LiveGrants,
}

impl Tenant {
    pub(crate) fn new(
        invoker: Invoker,
        incarnation: Arc<str>,
        limits: Limits,
        grants: LiveGrants,
    ) -> Self {
        Self { invoker: Arc::new(invoker), incarnation, limits, grants }
    }

    /// Whose view this is.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.invoker.catalog.tenant
    }

    /// Tells it from a tenant of the same name that was deleted, or will be created.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// The limits of what sets none of its own.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
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

    /// The first `limit` workflows after a name, or of all, by name: a page of them.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if `after` is no name,
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the library cannot be read.
    pub async fn workflows_after(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Workflow>> {
        let after = after.map(WorkflowName::new).transpose()?;
        self.invoker.list_after(&Granted::only(&self.grants), after.as_ref(), limit).await
    }

    /// Who invokes whom.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the library cannot be read.
    pub async fn graph(&self) -> Result<Graph> {
        self.invoker.catalog.library.graph().await
    }

    /// The workflows that answer a question, best first.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the question is empty
    /// or too long, [`Code::Unavailable`](crate::error::Code::Unavailable) without a model.
    pub async fn search(&self, query: &str, limit: usize) -> Result<Vec<Hit>> {
        self.invoker.search(&Granted::only(&self.grants), query, limit).await
    }

    /// Deletes a workflow, and says which others invoke it and cannot any more. Its history
    /// remains.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn delete_workflow(&self, name: &str) -> Result<Deletion> {
        self.invoker.catalog.delete(name, false).await
    }

    /// Deletes a workflow that no other invokes by name. One that is created at the same
    /// moment may be overlooked.
    ///
    /// # Errors
    /// [`Code::Conflict`](crate::error::Code::Conflict) if others do, which its details name,
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if that is no name.
    pub async fn delete_unused_workflow(&self, name: &str) -> Result<Deletion> {
        self.invoker.catalog.delete(name, true).await
    }

    /// Everything that a name has meant, the newest first.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if it never meant anything.
    pub async fn history(&self, name: &str) -> Result<Vec<Version>> {
        self.invoker.catalog.history(name).await
    }

    /// Makes a name mean again what it meant as that version, of which the first digits
    /// suffice. What it means now goes into the history.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::error::Code::NotFound) if it never was that version,
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the digits fit several,
    /// [`Code::Conflict`](crate::error::Code::Conflict) if somebody else changes it meanwhile.
    pub async fn restore_workflow(&self, name: &str, version: &str) -> Result<Workflow> {
        self.invoker.catalog.restore(name, version).await
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

    /// Writes the library into a folder: a `.py` file for each workflow, and one manifest.
    /// The same library gives the same bytes, wherever and whenever. What an earlier export
    /// has written there and the library has no more is removed; a folder that holds anything
    /// but an export is refused.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the folder holds
    /// something else, or cannot be written.
    pub async fn export(&self, directory: &Path) -> Result<usize> {
        self.invoker.catalog.export(directory).await
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
        Options { limits: self.limits.clone(), seed: None, events: None, grants, pinned: false }
    }

    /// The newest run records, the newest first.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if they cannot be read.
    pub async fn runs(&self, limit: usize) -> Result<Vec<Run>> {
        self.invoker.records.list(limit, None).await
    }

    /// The newest records of runs that are older than one, the newest first.
    ///
    /// # Errors
    /// As [`runs`](Self::runs).
    pub async fn runs_before(&self, before: RunId, limit: usize) -> Result<Vec<Run>> {
        self.invoker.records.list(limit, Some(before)).await
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
