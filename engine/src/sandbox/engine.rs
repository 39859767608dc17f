//! How wasmtime is configured: each setting with its reason.

use wasmtime::{Config, Engine, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig};

use crate::error::Result;
use crate::sandbox::trap::host_bug;

/// Instances that may live at the same time, unless said otherwise. Each
/// reserves address space (some 4 GiB, not memory).
pub const DEFAULT_MAX_INSTANCES: u32 = 512;

/// The most linear memory that one instance can ever have. The budget of a run
/// is usually smaller.
pub(super) const MAX_MEMORY: usize = 2 << 30;

/// WebAssembly stack. CPython recurses in C: 512 KiB, the default, turns
/// `json.loads` of 2,000 nested lists into a trap.
const WASM_STACK: usize = 4 << 20;

/// The fiber's stack: the WebAssembly stack and 2 MiB for host functions.
const FIBER_STACK: usize = 6 << 20;

/// Fuel between two turns of the executor: about a millisecond.
pub(super) const FUEL_SLICE: u64 = 5_000_000;

pub(super) fn new(max_instances: u32) -> Result<Engine> {
    let mut config = Config::new();

    // Metering: fuel ends a run deterministically and gives the executor its turns.
    config.consume_fuel(true);
    let mut cost = OperatorCost::default();
    // By default growing memory is free; zeroing a page of 64 KiB is not.
    cost.variable.memory_grow_per_page = 255;
    config.operator_cost(cost);

    // Proposals that CPython's component does not need, and with them most of
    // the advisories of the past year.
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
        .gc_support(false)
        .wasm_component_model(true)
        .wasm_component_model_async(false)
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
        .total_core_instances(max_instances.saturating_mul(80))
        .total_tables(max_instances.saturating_mul(4))
        .max_core_instances_per_component(80)
        .max_memories_per_component(1)
        .max_tables_per_component(4)
        .table_elements(10_000)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memory_size(MAX_MEMORY)
        // What a run has touched is kept for the next one on that slot, zeroed
        // or reset to the snapshot by wasmtime; more is given back.
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(1 << 16)
        .decommit_batch_size(1);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));

    Engine::new(&config).map_err(|error| host_bug(&error))
}
