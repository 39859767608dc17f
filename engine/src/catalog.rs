//! One tenant's library with what fills and searches it: analysis, embeddings, ranking.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admission::Account;
use crate::analysis::{self, Codes};
use crate::artifacts::MAX_DESCRIPTION;
use crate::budget::Budget;
use crate::clock::{Clock, Entropy};
use crate::embed::{Embedder, Vector, embedded};
use crate::error::{Blame, Code, Error, Result};
use crate::id::{SourceDigest, TenantId, WorkflowName, quoted};
use crate::library::{Library, taken};
use crate::sandbox::Runtime;
use crate::schema::nearest;
use crate::search::{self, Document, Question};
use crate::workflow::{Analysis, Deletion, Hit, Pin, Version, Warning, Workflow};

/// The fewest digits that name a version.
const MIN_VERSION: usize = 6;

/// How near in meaning a workflow is that does nearly the same, as a cosine: of two descriptions
/// of one thing in other words.
const ALIKE: f64 = 0.9;

/// How many of them are named.
const MAX_ALIKE: usize = 3;

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

pub(crate) struct Catalog {
    pub(crate) tenant: TenantId,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) library: Arc<dyn Library>,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) codes: Arc<Codes>,
    pub(crate) account: Arc<Account>,
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
        self.check_room().await?;
        let mut workflow = self.prepare(name, new, payer).await?;
        self.pin(&mut workflow).await?;
        let vector = self.vector(&workflow).await?;
        let alike = self.alike(&vector).await?;
        self.library.save(&workflow, &vector, None).await?;
        // Said to whoever creates it, and not part of it: what is alike may go tomorrow.
        workflow.analysis.warnings.extend(alike);
        Ok(workflow)
    }

    /// Makes sure that the tenant may save another workflow. Those that are saved at the same
    /// moment may be a few too many.
    ///
    /// # Errors
    /// [`Code::QuotaExceeded`].
    pub(crate) async fn check_room(&self) -> Result<()> {
        let quota = self.account.quota();
        self.account.check_stored(&quota)?;
        let Some(most) = quota.workflows else { return Ok(()) };
        let there_are = self.library.count().await?;
        if there_are < most {
            return Ok(());
        }
        let message = format!(
            "tenant {} has {there_are} workflows and may have {most}: delete some, or raise \
             quota.workflows",
            self.tenant
        );
        Err(Error::new(Code::QuotaExceeded, message))
    }

    /// Names the workflows that do nearly the same.
    async fn alike(&self, vector: &Vector) -> Result<Option<Warning>> {
        let question = Question { text: String::new(), vector: vector.clone() };
        let mut hits = self.library.search(&question, MAX_ALIKE).await?;
        hits.retain(|hit| hit.score >= ALIKE);
        let names = hits.iter().map(|hit| format!("{} ({:.2})", hit.workflow.name, hit.score));
        let names: Vec<_> = names.collect();
        Ok((!names.is_empty()).then(|| Warning {
            code: "near-duplicate".to_owned(),
            message: format!("the library has what does nearly the same: {}", names.join(", ")),
            line: 1,
        }))
    }

    pub(crate) async fn prepare(
        &self,
        name: WorkflowName,
        new: NewWorkflow,
        payer: Option<&Arc<Budget>>,
    ) -> Result<Workflow> {
        let analysis = self.analyze(&new.source, payer).await?;
        let description = described(&name, &new.description, &analysis)?;
        Ok(Workflow::new(name, new.source, description, analysis, self.clock.now()))
    }

    /// Records which versions a workflow is created against.
    pub(crate) async fn pin(&self, workflow: &mut Workflow) -> Result<()> {
        let mut pins = BTreeMap::new();
        for name in workflow.analysis.invoked() {
            let version = if name == workflow.name {
                Some(workflow.version)
            } else {
                self.library.get(&name).await?.map(|found| found.version)
            };
            pins.insert(name, version);
        }
        let pin = |(name, version)| Pin { name, version };
        workflow.invokes = pins.into_iter().map(pin).collect();
        Ok(())
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
        if let Some(known) = self.codes.get(&key) {
            return known.0;
        }
        let (clock, entropy) = (&self.clock, self.entropy.as_ref());
        match analysis::compile(&self.runtime, &self.tenant, clock, entropy, name, source).await {
            Ok(code) => self.codes.put(key, Some(code)),
            Err(error) => {
                tracing::debug!(workflow = name, error = error.chain(), "not compiled ahead");
                // Nobody pays for compiling, so what is the source's fault happens once. The
                // host's may pass, and a busy machine's, too.
                if error.blame() == Blame::Host || error.code() == Code::TimedOut {
                    return None;
                }
                self.codes.put(key, None)
            }
        }
    }

    pub(crate) async fn vector(&self, workflow: &Workflow) -> Result<Vector> {
        embedded(self.embedder.as_ref(), Document::from(workflow).texts()).await
    }

    /// The workflow of that name.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Workflow> {
        // What cannot be a name cannot be found either, and which it is makes
        // a difference to the caller.
        let valid = WorkflowName::new(name)?;
        if let Some(workflow) = self.library.get(&valid).await? {
            return Ok(workflow);
        }
        let all = self.library.graph().await?.workflows;
        let hint = nearest(name, all.iter().map(|links| links.name.as_str())).map_or_else(
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
        let vector = embedded(self.embedder.as_ref(), vec![query.to_owned()]).await?;
        let question = Question { text: query.to_owned(), vector };
        self.library.search(&question, limit.min(search::MAX_HITS)).await
    }

    /// What a name meant when a workflow was created that invokes it.
    pub(crate) async fn pinned(&self, pins: &[Pin], name: &str) -> Result<Workflow> {
        let valid = WorkflowName::new(name)?;
        let pin = pins.iter().find(|pin| pin.name == valid).and_then(|pin| pin.version);
        let Some(version) = pin else {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "the run is pinned, and its workflow was created when there was no workflow {}, or \
                     without naming it: create it anew, or run it as the names are now",
                    quoted(name)
                ),
            ));
        };
        if let Some(live) = self.library.get(&valid).await?.filter(|live| live.version == version) {
            return Ok(live);
        }
        let history = self.library.history(&valid).await?;
        let found = history.into_iter().find(|known| known.workflow.version == version);
        found.map(|known| known.workflow).ok_or_else(|| {
            Error::not_found(format!(
                "the run is pinned to version {} of {valid}, which the library does not have",
                version.short()
            ))
        })
    }

    /// Deletes a workflow; if it is unused, or whether it is or not.
    pub(crate) async fn delete(&self, name: &str, if_unused: bool) -> Result<Deletion> {
        let name = WorkflowName::new(name)?;
        let broken: Vec<_> = self.library.graph().await?.callers(&name).cloned().collect();
        if if_unused && !broken.is_empty() && self.library.get(&name).await?.is_some() {
            let callers = named(&broken);
            let names = broken.iter().map(ToString::to_string).collect::<Vec<_>>();
            return Err(Error::new(Code::Conflict, format!("{name} is invoked by {callers}"))
                .with_details(serde_json::json!({ "used_by": names }).into()));
        }
        if self.library.delete(&name, self.clock.now()).await? {
            return Ok(Deletion { existed: true, broken });
        }
        Ok(Deletion::default())
    }

    /// Everything that a name has meant, the newest first.
    pub(crate) async fn history(&self, name: &str) -> Result<Vec<Version>> {
        let history = self.library.history(&WorkflowName::new(name)?).await?;
        if history.is_empty() {
            return Err(Error::not_found(format!("there never was a workflow {}", quoted(name))));
        }
        Ok(history)
    }

    /// Makes a name mean again what it meant as that version.
    pub(crate) async fn restore(&self, name: &str, version: &str) -> Result<Workflow> {
        let history = self.history(name).await?;
        let wanted = version.trim().to_ascii_lowercase();
        let mut found: Vec<&Workflow> = Vec::new();
        for Version { workflow, .. } in &history {
            let fits =
                wanted.len() >= MIN_VERSION && workflow.version.to_string().starts_with(&wanted);
            if fits && !found.iter().any(|other| other.version == workflow.version) {
                found.push(workflow);
            }
        }
        let [found] = found.as_slice() else {
            let mut known: Vec<_> = history.iter().map(|v| v.workflow.version.short()).collect();
            known.dedup();
            let (what, versions) = (quoted(version), known.join(", "));
            return Err(if found.is_empty() {
                Error::not_found(format!(
                    "{name} was never version {what}; it was {versions}: name one with at least \
                     {MIN_VERSION} digits"
                ))
            } else {
                Error::invalid_argument(format!(
                    "more than one version of {name} begins with {what}: write more digits of {versions}"
                ))
            });
        };
        let live = history.first().filter(|newest| newest.deleted_at.is_none());
        if let Some(live) = live.filter(|live| live.workflow.version == found.version) {
            return Ok(live.workflow.clone());
        }
        let restored = Workflow { created_at: self.clock.now(), ..Workflow::clone(found) };
        let vector = self.vector(&restored).await?;
        let instead_of = live.map(|live| &live.workflow.version);
        self.library.save(&restored, &vector, instead_of).await?;
        Ok(restored)
    }
}

/// Some names, of which the first few are shown.
pub(crate) fn named(names: &[WorkflowName]) -> String {
    const SHOWN: usize = 5;
    let mut text =
        names.iter().take(SHOWN).map(WorkflowName::as_str).collect::<Vec<_>>().join(", ");
    if let Some(more) = names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
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
