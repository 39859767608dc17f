//! How wasmtime is configured: each setting with its reason.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig,
};

use crate::error::Result;
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

/// Linear memory that stays with a slot between two instances.
const KEEP_RESIDENT: usize = 1 << 20;

/// Fuel between two turns of the executor: about a millisecond.
pub(super) const FUEL_SLICE: u64 = 5_000_000;

pub(super) fn new(max_instances: u32) -> Result<Engine> {
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

    // Instances start as copy-on-write views of the snapshot.
    config.memory_init_cow(true);

    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(max_instances)
        .total_memories(max_instances)
        .total_stacks(max_instances)
        // Measured on the component: see python-wasm/README.md.
        .total_core_instances(max_instances.saturating_mul(CORE_INSTANCES))
        .total_tables(max_instances.saturating_mul(TABLES))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .table_elements(10_000)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memory_size(MAX_MEMORY)
        // What a run has touched is kept for the next one on that slot, zeroed
        // or reset to the snapshot by wasmtime; more is given back.
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(1 << 16)
        // At once: memory that waits for a batch still holds what a guest wrote.
        .decommit_batch_size(1)
        // Which pages were touched is not asked: what is kept is reset whole.
        .pagemap_scan(Enabled::No);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));

    Engine::new(&config).map_err(|error| host_bug(&error))
}
