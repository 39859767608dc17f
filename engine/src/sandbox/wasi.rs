//! What a guest may touch of WASI: a clock, chance, and two streams to write to.
//!
//! Nothing is inherited from the process: no arguments, no environment, no
//! directory, no socket. The clock and the randomness are the run's own, so
//! that a run can be repeated from its record.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use crate::clock::{Stopwatch, Timestamp};
use crate::run::Stream;
use crate::sandbox::output::{CurrentOutput, OutputPipe};

/// The steps of a guest's clocks. Finer ones would let it time caches.
const STEP: Duration = Duration::from_millis(1);

/// The most random bytes that one call may ask for.
const MAX_RANDOM: u64 = 64 << 10;

/// The WASI context of a run. `watch` began with the instance: a session's
/// monotonic clock must not go back from one call to the next.
pub(super) fn context(
    output: &CurrentOutput,
    seed: u64,
    started_at: Timestamp,
    watch: Stopwatch,
) -> WasiCtx {
    let pipe = |stream| OutputPipe { output: output.clone(), stream };
    // Two streams of one seed: what a guest draws from the insecure generator
    // must not tell it what the secure one says.
    let mut secure = ChaCha12Rng::seed_from_u64(seed);
    let mut insecure = secure.clone();
    secure.set_stream(1);
    insecure.set_stream(2);
    WasiCtxBuilder::new()
        .stdout(pipe(Stream::Stdout))
        .stderr(pipe(Stream::Stderr))
        .secure_random(secure)
        .insecure_random(insecure)
        .insecure_random_seed(u128::from(seed))
        .max_random_size(MAX_RANDOM)
        .wall_clock(WallClock { watch: Stopwatch::start(), started_at })
        .monotonic_clock(MonotonicClock(watch))
        .build()
}

/// Begins at the run's recorded start.
struct WallClock {
    watch: Stopwatch,
    started_at: Timestamp,
}

/// Begins with the instance.
struct MonotonicClock(Stopwatch);

/// Time in whole steps.
fn steps(watch: Stopwatch) -> Duration {
    Duration::from_millis(u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX))
}

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.started_at.as_millis()) + steps(self.watch)
    }
}

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        u64::try_from(STEP.as_nanos()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        u64::try_from(steps(self.0).as_nanos()).unwrap_or(u64::MAX)
    }
}
