//! What a guest may touch of WASI: a clock, chance, and two streams to write to.
//!
//! Nothing is inherited from the process: no arguments, no environment, no
//! directory, no socket. The clock and the randomness are the run's own, so
//! that a run can be repeated from its record.

use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use crate::clock::Timestamp;
use crate::run::Stream;
use crate::sandbox::output::{CurrentOutput, OutputPipe};
use crate::sandbox::state::{HostState, RunContext};
use crate::sandbox::tape::Tape;

/// The steps of a guest's clocks. Finer ones would let it time caches.
const STEP: Duration = Duration::from_millis(1);

/// The most random bytes that one call may ask for.
const MAX_RANDOM: u64 = 64 << 10;

/// The WASI context of a run, whose monotonic clock is `ahead` of the run's start.
pub(super) fn context(output: &CurrentOutput, run: &RunContext, ahead: Duration) -> WasiCtx {
    let seed = run.seed;
    let ahead = run.tape.clock_offset(ahead);
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
        .insecure_random_seed(
            (u128::from(insecure.next_u64()) << 64) | u128::from(insecure.next_u64()),
        )
        .insecure_random(insecure)
        .max_random_size(MAX_RANDOM)
        .wall_clock(WallClock { tape: Arc::clone(&run.tape), started_at: run.started_at })
        .monotonic_clock(MonotonicClock { tape: Arc::clone(&run.tape), ahead })
        .build()
}

/// Begins at the run's recorded start.
struct WallClock {
    tape: Arc<Tape>,
    started_at: Timestamp,
}

/// Begins at 0, or in a session where the call before has left it.
struct MonotonicClock {
    tape: Arc<Tape>,
    ahead: Duration,
}

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.started_at.as_millis().saturating_add(self.tape.read_clock()))
    }
}

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        nanoseconds(STEP)
    }

    fn now(&self) -> u64 {
        nanoseconds(self.ahead.saturating_add(Duration::from_millis(self.tape.read_clock())))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Puts our monotonic clock in the place of wasmtime's, which is the same but
/// that a replay would sleep as long as the recorded run did.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl monotonic_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        self.clocks().now()
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        self.clocks().resolution()
    }

    fn subscribe_instant(
        &mut self,
        when: monotonic_clock::Instant,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.clocks().now()?;
        self.subscribe_duration(when.saturating_sub(now))
    }

    fn subscribe_duration(
        &mut self,
        duration: monotonic_clock::Duration,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        // The recorded clock says that the time is over, whenever it is asked.
        let duration = if self.context().tape.is_playing() { 0 } else { duration };
        self.clocks().subscribe_duration(duration)
    }
}
