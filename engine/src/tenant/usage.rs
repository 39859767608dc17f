//! What the tenant has used.

use super::Tenant;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::usage::{QuotaUse, Reckoned, Span, UsageReport};

impl Tenant {
    /// What its recorded runs of that span have used, in all and by workflow.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the records cannot be read.
    pub async fn usage(&self, span: Span) -> Result<UsageReport> {
        self.invoker.records.usage(span).await
    }

    /// How much of its quota is used. Runs, fuel and calls of tools are those of this period that
    /// this process has counted, and those that were recorded before it began to.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the store cannot be read.
    pub async fn quota_use(&self) -> Result<QuotaUse> {
        let invoker = &self.invoker;
        let (mut all, period_ends_at) = invoker.account.reckon(invoker.records.as_ref()).await?;
        let quota = invoker.account.quota();
        let workflows = invoker.catalog.library.count().await?;
        all.push(Reckoned { name: "workflows", used: workflows, limit: quota.workflows });
        let artifacts = invoker.artifacts.count().await?;
        all.push(Reckoned { name: "artifacts", used: artifacts, limit: quota.artifacts });
        Ok(QuotaUse { all, period_ends_at })
    }

    /// The moment that its clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.invoker.catalog.clock.now()
    }
}
