//! One tenant's account: what it may take, and what it has taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Common;
use super::gate::{Gate, Pass};
use super::slot::{Admitted, Slot};
use super::stored::Stored;
use super::turns::InTurn;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::TenantId;
use crate::quota::{LiveQuota, Quota};
use crate::record::Records;
use crate::run::Run;
use crate::usage::{Metered, Reckoned, Span, Totals};

/// One tenant's. All views of the tenant have it in common.
pub(crate) struct Account {
    pub(super) tenant: TenantId,
    incarnation: Arc<str>,
    quota: LiveQuota,
    pub(super) common: Arc<Common>,
    /// Its line before the cores.
    line: u64,
    gate: Arc<Gate>,
    /// Calls that may wait for people.
    pub(super) waiting: Arc<Semaphore>,
    period: Mutex<Period>,
    /// Held while what earlier processes have used is read.
    reading: tokio::sync::Mutex<()>,
    totals: Mutex<Totals>,
    stored: Arc<Stored>,
    /// A run's usual time, in microseconds: the mean of the last ones.
    usual_time: AtomicU64,
}

/// What was used in a period.
#[derive(Debug, Clone, Copy, Default)]
struct Period {
    length: Duration,
    number: u64,
    /// When it was looked at last.
    now: Timestamp,
    counted_from: Timestamp,
    /// Whether what was used before that is counted, too.
    is_whole: bool,
    runs: u64,
    fuel: u64,
    tool_calls: u64,
}

impl Account {
    pub(super) fn new(
        tenant: TenantId,
        incarnation: Arc<str>,
        quota: LiveQuota,
        common: Arc<Common>,
        line: u64,
    ) -> Self {
        Self {
            tenant,
            incarnation,
            quota,
            line,
            gate: Arc::default(),
            waiting: Arc::new(Semaphore::new(common.share)),
            period: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            totals: Mutex::default(),
            stored: Arc::default(),
            usual_time: AtomicU64::new(0),
            common,
        }
    }

    pub(crate) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(super) fn is_of(&self, incarnation: &Arc<str>) -> bool {
        self.incarnation == *incarnation
    }

    pub(crate) fn quota(&self) -> Arc<Quota> {
        self.quota.get()
    }

    /// Waits until there is room for another root run.
    ///
    /// # Errors
    /// [`Code::Busy`] if too many wait, [`Code::QuotaExceeded`] if the tenant has used up its
    /// quota; when it is worth to come back is among the details.
    pub(crate) async fn admit(self: &Arc<Self>, records: &dyn Records) -> Result<Admitted> {
        let admitted = self.try_admit(records).await;
        if admitted.is_err() {
            self.totals().refused += 1;
        }
        admitted
    }

    async fn try_admit(self: &Arc<Self>, records: &dyn Records) -> Result<Admitted> {
        let quota = self.quota.get();
        self.check_stored(&quota)?;
        if quota.runs.is_some() || quota.fuel.is_some() || quota.tool_calls.is_some() {
            self.read_period(records).await?;
        }
        // Who may not begin is told so before it waits, and others may begin while it does.
        self.period(&quota).check(&quota)?;
        let admitted = Slot::admit(self).await?;
        let mut period = self.period(&quota);
        period.check(&quota)?;
        period.runs += 1;
        drop(period);
        Ok(admitted)
    }

    /// Waits at the tenant's gate; a run that was let in once waits however many do.
    pub(super) async fn enter(&self, is_new: bool) -> Result<Pass> {
        let quota = self.quota.get();
        let most = self.concurrency(&quota);
        let longest = if is_new { quota.waiting_runs } else { usize::MAX };
        self.gate.enter(most, longest).await.map_err(|waiting| {
            let usual = Duration::from_micros(self.usual_time.load(Ordering::Relaxed));
            let after = usual.saturating_mul(u32::try_from(waiting / most + 1).unwrap_or(u32::MAX));
            let message = format!(
                "{waiting} runs of tenant {} wait already, and {most} run: come back later, or raise \
                 quota.waiting_runs or quota.concurrent_runs",
                self.tenant
            );
            Error::new(Code::Busy, message).with_retry_after(after)
        })
    }

    /// Work that computes when it is the tenant's turn.
    pub(crate) fn in_turn<'a, F: Future>(
        &'a self,
        work: std::pin::Pin<&'a mut F>,
    ) -> InTurn<'a, F> {
        self.common.turns.take(self.line, work)
    }

    /// A run is to call a tool.
    ///
    /// # Errors
    /// [`Code::QuotaExceeded`] if the tenant has made as many calls in the period as it may.
    pub(crate) fn call_tool(&self) -> Result<()> {
        let quota = self.quota.get();
        let mut period = self.period(&quota);
        if let Some(most) = quota.tool_calls.filter(|most| period.tool_calls >= *most) {
            return Err(period.used_up("calls of tools", most, "tool_calls"));
        }
        period.tool_calls += 1;
        Ok(())
    }

    /// A run has ended.
    pub(crate) fn ended(&self, run: &Run) {
        let used = Metered::of(run);
        let quota = self.quota.get();
        self.period(&quota).fuel += used.fuel;
        let mut totals = self.totals();
        totals.used += used.in_total();
        drop(totals);
        if used.root_runs > 0 {
            let took = u64::try_from(used.wall_time.as_micros()).unwrap_or(u64::MAX);
            let usual = self.usual_time.load(Ordering::Relaxed);
            // Two at once may lose one of them: it is an estimate.
            self.usual_time.store(usual - usual / 8 + took / 8, Ordering::Relaxed);
        }
    }

    /// Whether something more may be stored, as far as is known.
    ///
    /// # Errors
    /// [`Code::QuotaExceeded`].
    pub(crate) fn check_stored(&self, quota: &Quota) -> Result<()> {
        let Some(most) = quota.stored_bytes else { return Ok(()) };
        let bytes = self.stored.bytes(&self.common.storage, &self.tenant);
        if bytes < most {
            return Ok(());
        }
        let message = format!(
            "tenant {} has {bytes} bytes stored, and may have {most}: delete something, or raise \
             quota.stored_mib",
            self.tenant
        );
        Err(Error::new(Code::QuotaExceeded, message))
    }

    /// How much of the quota is used.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if the records cannot be read.
    pub(crate) async fn reckon(&self, records: &dyn Records) -> Result<(Vec<Reckoned>, Timestamp)> {
        self.read_period(records).await?;
        let quota = self.quota.get();
        let stored = self.stored.look(self.common.storage.as_ref(), &self.tenant).await;
        let (inside, waiting) = self.gate.count();
        let period = *self.period(&quota);
        let all = [
            ("concurrent_runs", inside as u64, Some(self.concurrency(&quota) as u64)),
            ("waiting_runs", waiting as u64, Some(quota.waiting_runs as u64)),
            ("runs", period.runs, quota.runs),
            ("fuel", period.fuel, quota.fuel),
            ("tool_calls", period.tool_calls, quota.tool_calls),
            ("stored_bytes", stored, quota.stored_bytes),
        ];
        let all = all.map(|(name, used, limit)| Reckoned { name, used, limit });
        Ok((all.to_vec(), period.end()))
    }

    /// What it has used since this process looked at the tenant first.
    pub(crate) fn summary(&self) -> Totals {
        let (running, waiting) = self.gate.count();
        let stored_bytes = self.stored.bytes(&self.common.storage, &self.tenant);
        Totals { running, waiting, stored_bytes, ..*self.totals() }
    }

    /// How many root runs may be under way at once.
    fn concurrency(&self, quota: &Quota) -> usize {
        quota.concurrent_runs.clamp(1, self.common.share)
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The period that it is now.
    fn period(&self, quota: &Quota) -> MutexGuard<'_, Period> {
        let mut period = self.period.lock().unwrap_or_else(PoisonError::into_inner);
        period.go_on(quota.period, self.common.clock.now());
        period
    }

    /// Counts what was used in this period before this process began to count.
    async fn read_period(&self, records: &dyn Records) -> Result<()> {
        let quota = self.quota.get();
        if self.period(&quota).is_whole {
            return Ok(());
        }
        let _reading = self.reading.lock().await;
        let begun = *self.period(&quota);
        if begun.is_whole {
            return Ok(());
        }
        let span = Span { since: begun.begin(), until: begun.counted_from };
        let before = records.usage(span).await?.total;
        let mut period = self.period(&quota);
        if period.number == begun.number && !period.is_whole {
            period.runs += before.root_runs;
            period.fuel += before.fuel;
            period.tool_calls += before.tool_calls;
            period.is_whole = true;
        }
        Ok(())
    }
}

impl Period {
    fn millis(&self) -> u64 {
        u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn begin(&self) -> Timestamp {
        Timestamp::from_millis(self.number.saturating_mul(self.millis()))
    }

    fn end(&self) -> Timestamp {
        Timestamp::from_millis(self.number.saturating_add(1).saturating_mul(self.millis()))
    }

    fn go_on(&mut self, length: Duration, now: Timestamp) {
        let is_first = self.length.is_zero();
        self.now = now;
        let mut next = Self { length, now, counted_from: now, ..Self::default() };
        next.number = now.as_millis() / next.millis();
        if (self.length, self.number) != (length, next.number) {
            // One that follows another has begun while this process counted.
            next.is_whole = !is_first && self.length == length;
            *self = next;
        }
    }

    fn check(&self, quota: &Quota) -> Result<()> {
        for (what, used, most, name) in [
            ("runs", self.runs, quota.runs, "runs"),
            ("units of fuel", self.fuel, quota.fuel, "fuel"),
        ] {
            if let Some(most) = most.filter(|most| used >= *most) {
                return Err(self.used_up(what, most, name));
            }
        }
        Ok(())
    }

    fn used_up(&self, what: &str, most: u64, name: &str) -> Error {
        let end = self.end();
        let after = Duration::from_millis(end.as_millis().saturating_sub(self.now.as_millis()));
        let message = format!(
            "the tenant has used up its {most} {what} of this period; the next begins at {end}. Come \
             back then, or raise quota.{name}"
        );
        Error::new(Code::QuotaExceeded, message).with_retry_after(after)
    }
}
