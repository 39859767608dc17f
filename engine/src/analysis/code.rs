//! What workflows compile to, so that only the first run of a source in a
//! process waits for it to be compiled.
//!
//! The bytes are CPython's, made and read inside the sandbox only: to the host
//! they are as opaque, and to the guest as untrusted, as the source. They are
//! made in an instance that runs nothing of the source, so no workflow has a
//! say in another's, or in its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::{SourceDigest, TenantId};

/// Bytes that the code of all tenants' workflows may take. That of a thousand
/// lines has some 50 KB.
const CAPACITY: usize = 64 << 20;

/// The longest code that is kept: more than the longest source compiles to.
const MAX_CODE: usize = 8 << 20;

/// Whose code: a tenant's, so that nobody can tell from the time of a first run
/// what others have. The name is in it because tracebacks say it.
pub(crate) type Key = (TenantId, String, SourceDigest);

/// The code of the workflows that were run lately, by all tenants of an engine.
#[derive(Default)]
pub(crate) struct Codes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    uses: u64,
}

struct Entry {
    code: Arc<[u8]>,
    last_use: u64,
}

impl Codes {
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<[u8]>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let entry = kept.entries.get_mut(key)?;
        entry.last_use = now;
        Some(Arc::clone(&entry.code))
    }

    pub(crate) fn put(&self, key: Key, code: &Arc<[u8]>) {
        if code.len() > MAX_CODE {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + code.len() > CAPACITY {
            kept.forget_older_half();
        }
        let entry = Entry { code: Arc::clone(code), last_use: kept.uses };
        kept.bytes += code.len();
        if let Some(replaced) = kept.entries.insert(key, entry) {
            kept.bytes -= replaced.code.len();
        }
    }
}

impl Kept {
    /// Half at once, so that looking for the oldest is not done at each run.
    fn forget_older_half(&mut self) {
        let mut uses: Vec<_> = self.entries.values().map(|entry| entry.last_use).collect();
        uses.sort_unstable();
        let middle = uses.get(uses.len() / 2).copied().unwrap_or(u64::MAX);
        self.entries.retain(|_, entry| entry.last_use > middle);
        self.bytes = self.entries.values().map(|entry| entry.code.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (TenantId::new("acme").unwrap(), name.to_owned(), SourceDigest::of("def run(): pass"))
    }

    #[test]
    fn what_is_used_stays_and_the_whole_is_bounded() {
        let codes = Codes::default();
        let code: Arc<[u8]> = vec![0; 4 << 20].into();
        for index in 0..64 {
            codes.put(key(&index.to_string()), &code);
            assert!(codes.get(&key("0")).is_some(), "the one in use was forgotten at {index}");
        }
        let kept = codes.0.lock().unwrap();
        assert!(kept.bytes <= CAPACITY);
        assert_eq!(kept.bytes, kept.entries.len() * code.len());
        assert!(kept.entries.len() > 4);
    }

    #[test]
    fn replacing_counts_once_and_what_is_too_long_is_not_kept() {
        let codes = Codes::default();
        for length in [10, 20] {
            codes.put(key("a"), &vec![0; length].into());
        }
        codes.put(key("b"), &vec![0; MAX_CODE + 1].into());
        assert_eq!(codes.0.lock().unwrap().bytes, 20);
        assert!(codes.get(&key("b")).is_none());
        let other = (
            TenantId::new("acme").unwrap(),
            "a".to_owned(),
            SourceDigest::of("def run(): return 1"),
        );
        assert!(codes.get(&other).is_none());
    }
}
