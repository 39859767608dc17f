//! One tenant's library with what fills and searches it: analysis, embeddings, ranking.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analysis::{self, Codes};
use crate::artifacts::MAX_DESCRIPTION;
use crate::budget::Budget;
use crate::clock::{Clock, Entropy};
use crate::embed::{Embedder, Vector};
use crate::error::{Code, Error, Result};
use crate::id::{SourceDigest, TenantId, WorkflowName, quoted};
use crate::library::{Library, folder, taken};
use crate::sandbox::Runtime;
use crate::schema::nearest;
use crate::search;
use crate::workflow::{Analysis, Hit, Workflow};

/// A workflow that is to be created.
#[derive(Debug, Clone)]
pub(crate) struct NewWorkflow {
    /// Its name.
    pub name: String,
    /// Its source.
    pub source: String,
    /// What it does; if empty, what its docstring says.
    pub description: String,
}

/// What an import did with one file.
#[derive(Debug)]
pub struct Imported {
    /// The file.
    pub path: PathBuf,
    /// What was done.
    pub action: ImportAction,
}

/// What was done with a file.
#[derive(Debug)]
pub enum ImportAction {
    /// There was no workflow of that name.
    Created(Box<Workflow>),
    /// There was one from another source; that one is in the history now.
    Updated(Box<Workflow>),
    /// There was one from the same source.
    Unchanged(WorkflowName),
    /// The file is not a workflow; whatever has its name is untouched.
    Failed(Error),
}

pub(crate) struct Catalog {
    pub(crate) tenant: TenantId,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) library: Arc<dyn Library>,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) codes: Arc<Codes>,
}

impl Catalog {
    /// Analyses and saves a workflow; on a run's budget, if a run asks for it.
    pub(crate) async fn create(
        &self,
        new: NewWorkflow,
        payer: Option<&Arc<Budget>>,
    ) -> Result<Workflow> {
        let name = WorkflowName::new(&new.name)?;
        // The library refuses a taken name in any case; this is to say so
        // before the work is done.
        if self.library.get(&name).await?.is_some() {
            return Err(taken(&name));
        }
        let workflow = self.prepare(name, new, payer).await?;
        self.library.create(&workflow, &self.vector(&workflow).await?).await?;
        Ok(workflow)
    }

    async fn prepare(
        &self,
        name: WorkflowName,
        new: NewWorkflow,
        payer: Option<&Arc<Budget>>,
    ) -> Result<Workflow> {
        let analysis = self.analyze(&new.source, payer).await?;
        let description = described(&name, &new.description, &analysis)?;
        Ok(Workflow {
            name,
            description,
            digest: SourceDigest::of(&new.source),
            source: new.source.into(),
            analysis,
            created_at: self.clock.now(),
        })
    }

    /// Analyses a source.
    pub(crate) async fn analyze(
        &self,
        source: &str,
        payer: Option<&Arc<Budget>>,
    ) -> Result<Analysis> {
        let (clock, entropy) = (&self.clock, self.entropy.as_ref());
        analysis::analyze(&self.runtime, &self.tenant, clock, entropy, source, payer).await
    }

    /// What a workflow's source compiles to; none if it cannot be made now, and
    /// the run has to compile the source itself.
    pub(crate) async fn code(
        &self,
        name: &str,
        digest: SourceDigest,
        source: &str,
    ) -> Option<Arc<[u8]>> {
        let key = (self.tenant.clone(), name.to_owned(), digest);
        if let Some(code) = self.codes.get(&key) {
            return Some(code);
        }
        let (clock, entropy) = (&self.clock, self.entropy.as_ref());
        match analysis::compile(&self.runtime, &self.tenant, clock, entropy, name, source).await {
            Ok(code) => {
                self.codes.put(key, &code);
                Some(code)
            }
            Err(error) => {
                tracing::debug!(workflow = name, error = error.chain(), "not compiled ahead");
                None
            }
        }
    }

    async fn vector(&self, workflow: &Workflow) -> Result<Vector> {
        self.embed(search::text(workflow)).await
    }

    async fn embed(&self, text: String) -> Result<Vector> {
        self.embedder
            .embed(vec![text])
            .await?
            .pop()
            .ok_or_else(|| Error::internal("the embedder returned no vector"))
    }

    /// The workflow of that name.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Workflow> {
        // What cannot be a name cannot be found either, and which it is makes
        // a difference to the caller.
        let valid = WorkflowName::new(name)?;
        if let Some(workflow) = self.library.get(&valid).await? {
            return Ok(workflow);
        }
        let all = self.library.list().await?;
        let hint = nearest(name, all.iter().map(|workflow| workflow.name.as_str())).map_or_else(
            || "; search or list the library to see what there is".to_owned(),
            |near| format!("; did you mean {near}?"),
        );
        Err(Error::not_found(format!("there is no workflow {}{hint}", quoted(name))))
    }

    /// The workflows that answer a question, best first.
    pub(crate) async fn search(&self, query: &str, limit: usize) -> Result<Vec<Hit>> {
        let query = checked_query(query)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let vector = self.embed(query.to_owned()).await?;
        let candidates = self.library.nearest(&vector, limit.min(search::MAX_HITS)).await?;
        Ok(search::rank(candidates, limit))
    }

    /// Deletes a workflow; false if there was none.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool> {
        self.library.delete(&WorkflowName::new(name)?, self.clock.now()).await
    }

    /// Makes the library agree with a folder of `.py` files. Workflows that
    /// have no file are left alone.
    pub(crate) async fn import(
        &self,
        directory: &Path,
        progress: &(dyn Fn(usize, usize, &Path) + Sync),
    ) -> Result<Vec<Imported>> {
        let files = folder::read(directory)?;
        let total = files.len();
        let mut report = Vec::with_capacity(total);
        for (index, file) in files.into_iter().enumerate() {
            progress(index, total, &file.path);
            let action = match file.workflow {
                Ok((name, source)) => {
                    self.import_one(name, source).await.unwrap_or_else(ImportAction::Failed)
                }
                Err(error) => ImportAction::Failed(error),
            };
            report.push(Imported { path: file.path, action });
        }
        Ok(report)
    }

    async fn import_one(&self, name: WorkflowName, source: String) -> Result<ImportAction> {
        let existing = self.library.get(&name).await?;
        if existing.as_ref().is_some_and(|old| old.digest == SourceDigest::of(&source)) {
            return Ok(ImportAction::Unchanged(name));
        }
        let new = NewWorkflow { name: name.to_string(), source, description: String::new() };
        // Everything that can fail for the source's sake comes before the deletion.
        let workflow = self.prepare(name.clone(), new, None).await?;
        let vector = self.vector(&workflow).await?;
        if existing.is_some() {
            self.library.delete(&name, self.clock.now()).await?;
        }
        self.library.create(&workflow, &vector).await?;
        let workflow = Box::new(workflow);
        Ok(match existing {
            Some(_) => ImportAction::Updated(workflow),
            None => ImportAction::Created(workflow),
        })
    }
}

/// A question, checked.
pub(crate) fn checked_query(query: &str) -> Result<&str> {
    let query = query.trim();
    if query.is_empty() {
        return Err(Error::invalid_argument("the query is empty; say what you want to do"));
    }
    if query.len() > search::MAX_QUERY {
        return Err(Error::invalid_argument(format!(
            "the query has more than {} bytes",
            search::MAX_QUERY
        )));
    }
    Ok(query)
}

/// The description, without control characters: it is shown on terminals and
/// read by models.
fn described(name: &WorkflowName, given: &str, analysis: &Analysis) -> Result<String> {
    let text = if given.trim().is_empty() { &analysis.description } else { given };
    if text.len() > MAX_DESCRIPTION {
        return Err(Error::new(
            Code::InvalidArgument,
            format!("the description of {name} has more than {MAX_DESCRIPTION} bytes"),
        ));
    }
    Ok(text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect())
}
