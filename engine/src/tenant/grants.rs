//! What a tenant may reach, what waits for an approval, and what its workflows
//! say that they reach.

use std::sync::Arc;

use super::Tenant;
use crate::approvals::Request;
use crate::capabilities::{Broken, Index, Manifest, decide_tool, reachable, visible_tool};
use crate::catalog::checked_query;
use crate::error::{Code, Error, Result};
use crate::grants::{Decision, Granted, LiveGrants, Target};
use crate::id::RunId;
use crate::json::Json;
use crate::search::MAX_HITS;
use crate::tools::{CallContext, ToolInfo};

impl Tenant {
    /// What it may reach, to be looked at or changed.
    #[must_use]
    pub const fn grants(&self) -> &LiveGrants {
        &self.grants
    }

    /// What a workflow reaches, with everything that it invokes.
    ///
    /// # Errors
    /// [`Code::NotFound`], naming the nearest.
    pub async fn capabilities(&self, name: &str) -> Result<Manifest> {
        let catalog = &self.invoker.catalog;
        let workflow = catalog.resolve(name).await?;
        Ok(Index::of(catalog.library.as_ref()).await?.manifest(&workflow))
    }

    /// What becomes of a call of what a manifest names: `root` is `tools`,
    /// `workflows` or `artifacts`.
    #[must_use]
    pub fn decision(&self, root: &str, name: &str) -> Decision {
        let granted = Granted::only(&self.grants);
        match root {
            "tools" => decide_tool(&granted, &self.invoker.tools, name),
            "workflows" => granted.decide(&Target::Workflow(name)),
            _ => granted.decide(&Target::Artifact(name)),
        }
    }

    /// Tools, recipes and workflows that workflows name and that are not there. Servers are
    /// started for it; what one has that cannot be started is taken to be there.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the library cannot be read.
    pub async fn broken(&self) -> Result<Vec<Broken>> {
        let index = Index::of(self.invoker.catalog.library.as_ref()).await?;
        Ok(index.broken(&self.invoker.tools.list_for(&self.call_context()).await))
    }

    /// The calls that wait for an approval, the oldest first; of runs of other processes too.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if they cannot be read.
    pub fn waiting(&self) -> Result<Vec<Request>> {
        self.invoker.approvals.waiting()
    }

    /// Agrees to what a run waits for, or does not. If several of its calls wait, one
    /// has to be named to be agreed to; all are refused at once. Answers what was decided.
    ///
    /// # Errors
    /// [`Code::NotFound`] if it waits for nothing, [`Code::Conflict`] if several calls wait and none
    /// is named.
    pub fn decide(&self, run: RunId, call: Option<u64>, agreed: bool) -> Result<Vec<Request>> {
        let mut decided = self.waiting()?;
        decided
            .retain(|request| request.run == run && call.is_none_or(|call| call == request.call));
        if decided.is_empty() {
            return Err(Error::not_found(format!("run {run} waits for no approval")));
        }
        // Whoever agrees has seen a call; another may have come since.
        if agreed && decided.len() > 1 {
            let calls: Vec<_> = decided.iter().map(|request| request.call.to_string()).collect();
            let calls = calls.join(", ");
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "run {run} has several calls that wait ({calls}): name the one that you mean"
                ),
            ));
        }
        for request in &decided {
            self.invoker.approvals.decide(run, request.call, agreed)?;
        }
        Ok(decided)
    }

    /// The tools that workflows may call, by name, as far as they are known
    /// without starting anything.
    #[must_use]
    pub fn tools(&self) -> Vec<Arc<ToolInfo>> {
        self.visible(reachable(&Granted::only(&self.grants), &self.invoker.tools).list())
    }

    /// The tools that workflows may call, by name, those of servers included,
    /// which are started for it.
    pub async fn tools_now(&self) -> Vec<Arc<ToolInfo>> {
        let tools = reachable(&Granted::only(&self.grants), &self.invoker.tools);
        self.visible(tools.list_for(&self.call_context()).await)
    }

    fn call_context(&self) -> CallContext {
        CallContext { tenant: self.id().clone(), run: None, deadline: None }
    }

    /// The tools nearest in meaning to a question, best first.
    ///
    /// # Errors
    /// As [`search`](Tenant::search).
    pub async fn search_tools(&self, query: &str, limit: usize) -> Result<Vec<Arc<ToolInfo>>> {
        let embedder = self.invoker.catalog.embedder.as_ref();
        let (query, all, context) =
            (checked_query(query)?, MAX_HITS.max(limit), self.call_context());
        let tools = reachable(&Granted::only(&self.grants), &self.invoker.tools);
        let found = tools.search(query, all, embedder, &context).await?;
        let mut visible = self.visible(found);
        visible.truncate(limit);
        Ok(visible)
    }

    fn visible(&self, tools: Vec<Arc<ToolInfo>>) -> Vec<Arc<ToolInfo>> {
        let granted = Granted::only(&self.grants);
        tools.iter().filter_map(|tool| visible_tool(&granted, tool)).collect()
    }

    /// Calls a tool from outside a run. `callable` is empty for the tool itself.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::InvalidArgument`], [`Code::ToolFailed`],
    /// [`Code::TimedOut`]; [`Code::Denied`], also if somebody would have to be
    /// asked first: outside a run nothing waits.
    pub async fn call_tool(&self, tool: &str, callable: &str, arguments: &Json) -> Result<Json> {
        self.check(&Target::Tool { tool, callable })?;
        let tools = reachable(&Granted::only(&self.grants), &self.invoker.tools);
        tools.call(tool, callable, arguments, &self.call_context()).await
    }

    /// Refuses what is not granted, and what somebody would have to be asked about.
    ///
    /// # Errors
    /// [`Code::Denied`], with the line that would allow it.
    pub(crate) fn check(&self, target: &Target<'_>) -> Result<()> {
        if Granted::only(&self.grants).check(target)? > Decision::Allow {
            return Err(Error::new(
                Code::Denied,
                format!("{target} needs an approval, and only a run can wait for one"),
            ));
        }
        Ok(())
    }
}
