//! Who may begin, whose turn it is, and what each tenant has used.
//!
//! ```text
//! Account  one tenant's: its quota, its gate, what it has used
//!   Gate     so many root runs at once, and a bounded line before it
//! Places   the root runs of all tenants
//! Slot     a root run's place, which it gives to others while it waits for people
//! Turns    the cores: whose run computes next
//! ```

mod account;
mod gate;
mod slot;
mod stored;
mod turns;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::account::Account;
use self::slot::Places;
pub(crate) use self::slot::{Admitted, Slot};
use self::turns::Turns;
use crate::clock::Clock;
use crate::id::TenantId;
use crate::live::ByTenant;
use crate::quota::Quota;
use crate::storage::Storage;

/// What all tenants of an engine share.
pub(crate) struct Admission {
    common: Arc<Common>,
    /// What each may take.
    pub(crate) quotas: ByTenant<Quota>,
    accounts: Mutex<HashMap<TenantId, Arc<Account>>>,
    lines: AtomicU64,
}

struct Common {
    places: Places,
    turns: Turns,
    /// Root runs that one tenant may have at once.
    share: usize,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
}

impl Admission {
    /// For so many root runs at once, on so many cores.
    pub(crate) fn new(
        places: usize,
        cores: usize,
        usual: Quota,
        storage: &Arc<dyn Storage>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        // A quarter of them is always for others: a tenant whose runs all wait
        // for something holds its share, and no more.
        let share = (places - places / 4).max(1);
        let common = Common {
            places: Places::new(places),
            turns: Turns::new(cores),
            share,
            storage: Arc::clone(storage),
            clock: Arc::clone(clock),
        };
        Self {
            common: Arc::new(common),
            quotas: ByTenant::new(usual),
            accounts: Mutex::default(),
            lines: AtomicU64::new(0),
        }
    }

    /// A tenant's account. It lasts as long as the process: what a tenant has used
    /// is not forgotten because nobody looks at it for a while.
    pub(crate) fn account(&self, tenant: &TenantId, incarnation: &Arc<str>) -> Arc<Account> {
        let quota = self.quotas.of(tenant);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // A tenant may have been deleted and created anew.
        if let Some(known) = accounts.get(tenant).filter(|known| known.is_of(incarnation)) {
            return Arc::clone(known);
        }
        let line = self.lines.fetch_add(1, Ordering::Relaxed);
        let common = Arc::clone(&self.common);
        let account = Account::new(tenant.clone(), Arc::clone(incarnation), quota, common, line);
        let account = Arc::new(account);
        accounts.insert(tenant.clone(), Arc::clone(&account));
        account
    }

    /// The accounts of all tenants that this process has looked at.
    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.values().cloned().collect()
    }

    /// A tenant is gone.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}
