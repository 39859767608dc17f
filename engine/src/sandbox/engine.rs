//! How wasmtime is configured: each setting with its reason.

use std::sync::Arc;

use wasmtime::{Config, Engine, OperatorCost};

use crate::error::Result;
use crate::sandbox::memory::{self, Memories, Stacks};
use crate::sandbox::trap::host_bug;

/// Instances that may live at the same time, unless said otherwise. Each
/// reserves address space (some 4 GiB, not memory).
pub const DEFAULT_MAX_INSTANCES: u32 = 512;

/// The most linear memory that one instance can ever have. The budget of a run
/// is usually smaller.
pub(super) const MAX_MEMORY: usize = 2 << 30;

/// What one component may consist of, with room to grow: componentize-py writes 68
/// instances of 14 core modules, of which our build leaves few, one memory and two
/// tables. What has more is not ours, and is refused.
pub(super) const CORE_INSTANCES: u32 = 80;
pub(super) const TABLES: u32 = 4;
pub(super) const MEMORIES: u32 = 1;

/// WebAssembly stack. CPython recurses in C: 512 KiB, the default, turns
/// `json.loads` of 2,000 nested lists into a trap, and 4 MiB the freeing of a
/// tuple 20,000 deep. It is address space; what a run touches is given back.
const WASM_STACK: usize = 16 << 20;

/// The fiber's stack: the WebAssembly stack and 2 MiB for host functions.
const FIBER_STACK: usize = WASM_STACK + (2 << 20);

/// Fuel between two turns of the executor: about a millisecond.
pub(super) const FUEL_SLICE: u64 = 5_000_000;

/// An engine, and what its memories begin with.
pub(super) struct Sandbox {
    pub(super) engine: Engine,
    /// Bytes of memory that an instance has when it begins.
    pub(super) initial_bytes: u64,
}

/// Runs instances in such memories.
pub(super) fn new(memories: Memories) -> Result<Sandbox> {
    let initial_bytes = memories.initial_bytes() as u64;
    let mut config = config();
    config.with_host_memory(Arc::new(memories)).with_host_stack(Arc::new(Stacks::default()));
    let engine = Engine::new(&config).map_err(|error| host_bug(&error))?;
    Ok(Sandbox { engine, initial_bytes })
}

/// Compiles, for engines that run.
pub(super) fn compiler() -> Result<Engine> {
    Engine::new(&config()).map_err(|error| host_bug(&error))
}

fn config() -> Config {
    let mut config = Config::new();

    // What the checklist in docs/decisions/0020 asks for and wasmtime does by
    // default is said all the same: a default may change, and these are the walls.
    // Bounds are checked by guard pages, before and after a memory; without
    // signals Spectre's mitigations of heap accesses would go, too.
    config.signals_based_traps(true).guard_before_linear_memory(true);

    // Metering: fuel ends a run deterministically and gives the executor its turns.
    config.consume_fuel(true);
    let mut cost = OperatorCost::default();
    // By default growing memory is free; zeroing a page of 64 KiB is not.
    cost.variable.memory_grow_per_page = 255;
    config.operator_cost(cost);

    // Proposals that CPython's component does not need, and with them most of
    // the advisories of the past year. Of the component model everything that
    // is younger than WASI 0.2 is off by default and said to be so.
    config
        .wasm_threads(false)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_stack_switching(false)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_shared_everything_threads(false)
        .gc_support(false)
        .wasm_component_model(true)
        .wasm_component_model_async(false)
        .wasm_component_model_more_async_builtins(false)
        .wasm_component_model_async_stackful(false)
        .wasm_component_model_threading(false)
        .wasm_component_model_error_context(false)
        .wasm_component_model_gc(false)
        .wasm_component_model_map(false)
        .wasm_component_model_memory64(false)
        .wasm_component_model_fixed_length_lists(false)
        .concurrency_support(false);

    // Stacks: zeroed between guests, because they are pooled across tenants.
    config.max_wasm_stack(WASM_STACK).async_stack_size(FIBER_STACK).async_stack_zeroing(true);

    // A backtrace of WebAssembly frames means nothing to the author of a
    // workflow; Python's own traceback is what is shown.
    config.wasm_backtrace_max_frames(None);

    // Memories are our own, see `memory`: they hold the snapshot before wasmtime has
    // them, never move, and are as large as 32 bits can address.
    config
        .memory_init_cow(false)
        .memory_may_move(false)
        .memory_reservation(memory::RESERVED as u64)
        .memory_guard_size(memory::GUARD as u64);

    config
}
