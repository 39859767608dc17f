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

/// What an entry takes beside its code.
const ENTRY: usize = 256;

/// The longest code that is kept: more than the longest source compiles to.
const MAX_CODE: usize = 8 << 20;

/// Whose code: a tenant's, so that nobody can tell from the time of a first run
/// what others have. The name is in it because tracebacks say it.
pub(crate) type Key = (TenantId, String, SourceDigest);

/// What is known of a source's code; none if it does not compile.
pub(crate) struct Known(pub(crate) Option<Arc<[u8]>>);

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
    /// None if the source does not compile: its runs find out for themselves, on their own fuel.
    code: Option<Arc<[u8]>>,
    last_use: u64,
}

impl Entry {
    fn size(&self) -> usize {
        ENTRY + self.code.as_ref().map_or(0, |code| code.len())
    }
}

impl Codes {
    /// What is known of a source: its code, or that it has none. Nothing if it is not known.
    pub(crate) fn get(&self, key: &Key) -> Option<Known> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let now = kept.uses;
        let entry = kept.entries.get_mut(key)?;
        entry.last_use = now;
        Some(Known(entry.code.clone()))
    }

    /// Remembers a source's code, or that it has none; returns what runs are to be given.
    pub(crate) fn put(&self, key: Key, code: Option<Arc<[u8]>>) -> Option<Arc<[u8]>> {
        let code = code.filter(|code| code.len() <= MAX_CODE);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry { code: code.clone(), last_use: kept.uses };
        if kept.bytes + entry.size() > CAPACITY {
            kept.forget_older_half();
        }
        kept.bytes += entry.size();
        if let Some(replaced) = kept.entries.insert(key, entry) {
            kept.bytes -= replaced.size();
        }
        code
    }
}

impl Kept {
    /// Half at once, so that looking for the oldest is not done at each run.
    fn forget_older_half(&mut self) {
        let mut uses: Vec<_> = self.entries.values().map(|entry| entry.last_use).collect();
        uses.sort_unstable();
        let middle = uses.get(uses.len() / 2).copied().unwrap_or(u64::MAX);
        self.entries.retain(|_, entry| entry.last_use > middle);
        self.bytes = self.entries.values().map(Entry::size).sum();
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
            codes.put(key(&index.to_string()), Some(Arc::clone(&code)));
            assert!(codes.get(&key("0")).is_some(), "the one in use was forgotten at {index}");
        }
        let kept = codes.0.lock().unwrap();
        assert!(kept.bytes <= CAPACITY);
        assert_eq!(kept.bytes, kept.entries.len() * (ENTRY + code.len()));
        assert!(kept.entries.len() > 4);
    }

    #[test]
    fn replacing_counts_once_and_what_is_too_long_is_not_kept() {
        let codes = Codes::default();
        for length in [10, 20] {
            codes.put(key("a"), Some(vec![0; length].into()));
        }
        assert_eq!(codes.0.lock().unwrap().bytes, ENTRY + 20);
        assert!(codes.put(key("b"), Some(vec![0; MAX_CODE + 1].into())).is_none());
        assert!(codes.put(key("c"), None).is_none());
        for without in ["b", "c"] {
            let known = codes.get(&key(without)).expect("it is not tried again");
            assert!(known.0.is_none(), "{without} is kept");
        }
        assert_eq!(codes.0.lock().unwrap().bytes, 3 * ENTRY + 20);
        let other = (
            TenantId::new("acme").unwrap(),
            "a".to_owned(),
            SourceDigest::of("def run(): return 1"),
        );
        assert!(codes.get(&other).is_none());
    }
}
