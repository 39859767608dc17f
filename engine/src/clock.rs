//! Time and chance: the only place that asks the operating system for either.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use tokio::time::Instant;

/// A point in time: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// As the operating system's time.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, in UTC. It ends with the year 9999, and what is later is shown as its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST: u64 = 253_402_300_799_999;
        humantime::format_rfc3339_millis(Self(self.0.min(LAST)).to_system_time()).fmt(f)
    }
}

/// Tells the date.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still, for tests and replays.
#[derive(Debug)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A source of seeds.
pub trait Entropy: Send + Sync {
    /// The next 64 bits.
    fn next_u64(&self) -> u64;
}

/// The operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn next_u64(&self) -> u64 {
        rand::rng().next_u64()
    }
}

/// A reproducible sequence, for tests.
#[derive(Debug)]
pub struct FixedEntropy(AtomicU64);

impl FixedEntropy {
    /// The sequence that belongs to a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for FixedEntropy {
    fn next_u64(&self) -> u64 {
        ChaCha12Rng::seed_from_u64(self.0.fetch_add(1, Ordering::Relaxed)).next_u64()
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// When `after` will have passed since the start.
    #[must_use]
    pub fn deadline(&self, after: Duration) -> Instant {
        // A century is as good as forever, and does not overflow.
        self.0 + after.min(Duration::from_secs(100 * 365 * 24 * 3600))
    }
}

/// The seed of a run's `nth` nested run. One-way: a nested run that learns its
/// own seed learns nothing of its caller's, nor of its siblings'.
#[must_use]
pub(crate) fn nested_seed(seed: u64, nth: u64) -> u64 {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(b"repertoire nested run");
    hash.update(seed.to_le_bytes());
    hash.update(nth.to_le_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*first)
}
