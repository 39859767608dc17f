//! What one invocation, and everything it invokes, may use.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// The limits of an invocation. All are on by default.
///
/// They hold for the whole tree of runs: a workflow that another one invokes
/// draws on what its caller has left, so that nothing is gained by nesting or
/// by fan-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// WebAssembly instructions, roughly: every operator costs one unit of
    /// [wasmtime fuel], a bulk operation one per byte. Deterministic. The
    /// default, fifty thousand million, is some ten seconds of one core.
    ///
    /// [wasmtime fuel]: https://docs.rs/wasmtime/latest/wasmtime/struct.Config.html#method.consume_fuel
    pub fuel: u64,
    /// Bytes of linear memory, summed over the live instances of the tree. A
    /// fresh instance holds the Python runtime's image already (some tens of
    /// MiB, shared between instances until written to). The default, 512 MiB,
    /// leaves a single run far more than such code needs and a chain of eight
    /// nested ones enough to start.
    pub memory_bytes: u64,
    /// Wall time, waiting for tools included. The default is one minute: agents wait for answers.
    pub wall_time: Duration,
    /// Bytes of standard output, standard error and results. The default,
    /// 8 MiB, is more than a model can read.
    pub output_bytes: u64,
    /// Bytes of arguments, of the root and of each nested run: they are kept
    /// with its record. The default is 8 MiB.
    pub argument_bytes: u64,
    /// Calls of tools, workflows and artifacts. The default is 10,000.
    pub host_calls: u64,
    /// Calls that one instance may have in flight at once, started and not yet
    /// completed. The default is 1,024: some hundred bytes each while queued.
    pub calls_in_flight: u32,
    /// Nested runs that one instance may have running at once; more are
    /// queued. The default is 8, for the memory they need.
    pub concurrent_runs: u32,
    /// How deep workflows may invoke workflows; the root has depth 0. The default is 8.
    pub depth: u32,
    /// Bytes that may be kept of a tree's sources and host calls, so that its
    /// runs can be replayed. A run that would exceed it is run all the same,
    /// and its record says why it cannot be replayed. The default, 1 MiB, is a
    /// thousand answers of one KiB; with 0, no answer of the host is kept.
    pub recording_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 50_000_000_000,
            memory_bytes: 512 * MIB,
            wall_time: Duration::from_secs(60),
            output_bytes: 8 * MIB,
            argument_bytes: 8 * MIB,
            host_calls: 10_000,
            calls_in_flight: 1_024,
            concurrent_runs: 8,
            depth: 8,
            recording_bytes: MIB,
        }
    }
}
