//! Workflows that invoke workflows: instances of their own, on their caller's budget.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use repertoire::run::Run;
use repertoire::{Code, Engine, Limits, Runtime, RuntimeOptions, Tenant};
use repertoire_tests::{TenantOrNew, bench, cache_dir, component};
use serde_json::json;

async fn add(tenant: &Tenant, name: &str, source: &str) {
    tenant.add_workflow(name, source, "").await.unwrap();
}

async fn children(tenant: &Tenant, parent: &Run) -> Vec<Run> {
    let runs = tenant.runs(1000).await.unwrap();
    runs.into_iter().filter(|run| run.invocation.parent == Some(parent.invocation.id)).collect()
}

#[tokio::test]
async fn usage_includes_what_nested_runs_used_exactly() {
    let tenant = bench().await.tenant;
    add(&tenant, "leaf", "def run(n: int):\n for _ in range(n): pass\n print('leaf')\n return 1")
        .await;
    add(&tenant, "root", "def run(n: int):\n return workflows.leaf(n=n) + workflows.leaf(n=n)")
        .await;
    let mut own = Vec::new();
    for n in [100_000, 900_000] {
        let invocation = tenant.invocation("root").arguments(json!({ "n": n })).seed(1);
        let run = invocation.run().await.unwrap();
        assert_eq!(run.value().unwrap().as_str(), "2");
        let leaves = children(&tenant, &run).await;
        assert_eq!(leaves.len(), 2);
        let nested: u64 = leaves.iter().map(|leaf| leaf.usage.fuel).sum();
        own.push(run.usage.fuel - nested);
        assert!(nested > 2 * n * 10, "{nested} units for {n} turns, twice");
        assert_eq!(run.usage.host_calls, 2);
        // "leaf\n" and "1" of each, and "2".
        assert_eq!(run.usage.output_bytes, 2 * 6 + 1);
        assert_eq!(leaves[0].usage.output_bytes, 6);
        assert_eq!(leaves[0].stdout, "leaf\n");
    }
    // What the caller itself used does not depend on what its callees did.
    assert_eq!(own[0], own[1]);
}

#[tokio::test]
async fn fuel_is_the_same_for_the_same_seed_and_arguments() {
    let tenant = bench().await.tenant;
    let source = "
import json, random, re
def run(n: int):
    numbers = [random.random() for _ in range(n)]
    return len(json.dumps(sorted(numbers))) + len(re.findall('[0-9]', str(numbers)))
";
    add(&tenant, "busy", source).await;
    let used = async |seed, n| {
        let invocation = tenant.invocation("busy").arguments(json!({ "n": n })).seed(seed);
        let run = invocation.run().await.unwrap();
        (run.usage.fuel, run.value().unwrap().clone())
    };
    let first = used(7, 500).await;
    for _ in 0..3 {
        assert_eq!(used(7, 500).await, first);
    }
    assert_ne!(used(8, 500).await, first);
    assert_ne!(used(7, 501).await.0, first.0);
}

#[tokio::test]
async fn nothing_is_gained_by_nesting() {
    let tenant = bench().await.tenant;
    add(&tenant, "spin", "def run():\n while True: pass").await;
    let source = "
def run():
    while True:
        try:
            workflows.spin()
        except BaseException:
            print('again')
";
    add(&tenant, "root", source).await;
    let limits = Limits { fuel: 400_000_000, ..Limits::default() };
    let run = tenant.invocation("root").limits(limits).run().await.unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::FuelExhausted);
    assert_eq!(run.usage.fuel, 400_000_000);
    assert_eq!(run.stdout, "");
    let nested = children(&tenant, &run).await;
    assert_eq!(nested.len(), 1);
    assert_eq!(nested[0].value().unwrap_err().code, Code::FuelExhausted);
}

#[tokio::test]
async fn nothing_is_gained_by_fan_out() {
    let tenant = bench().await.tenant;
    add(&tenant, "spin", "def run():\n while True: pass").await;
    let source = "
import asyncio
async def run():
    await asyncio.gather(*[workflows.invoke_async('spin') for _ in range(6)], return_exceptions=True)
";
    add(&tenant, "root", source).await;
    let limits = Limits { fuel: 600_000_000, ..Limits::default() };
    let run = tenant.invocation("root").limits(limits).run().await.unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::FuelExhausted);
    // Instances that run at once are charged a slice at a time, some milliseconds each.
    assert!(run.usage.fuel >= 600_000_000, "{:?}", run.usage);
    assert!(run.usage.fuel <= 600_000_000 + 7 * 5_000_000, "{:?}", run.usage);
    let nested = children(&tenant, &run).await;
    assert_eq!(nested.len(), 6);
    let sum: u64 = nested.iter().map(|nested| nested.usage.fuel).sum();
    assert!(sum <= run.usage.fuel, "{sum} of {}", run.usage.fuel);
}

#[tokio::test]
async fn concurrent_children_overlap_within_their_bound() {
    let bench = bench().await;
    let tenant = &bench.tenant;
    add(tenant, "wait", "def run(ms: int): return tools.test.sleep(ms=ms)").await;
    let source = "
import asyncio
async def run(count: int):
    return await asyncio.gather(*[workflows.invoke_async('wait', ms=50) for _ in range(count)])
";
    add(tenant, "root", source).await;
    let limits = Limits { concurrent_runs: 3, ..Limits::default() };
    let invocation = tenant.invocation("root").arguments(json!({"count": 9})).limits(limits);
    let run = invocation.run().await.unwrap();
    assert_eq!(run.value().unwrap().to::<Vec<u32>>().unwrap(), [50; 9]);
    assert_eq!(bench.seen.most.load(Ordering::SeqCst), 3);
    assert_eq!(run.usage.host_calls, 18);
}

#[tokio::test]
async fn memory_is_one_budget() {
    let tenant = bench().await.tenant;
    add(
        &tenant,
        "hold",
        "def run(mib: int):\n block = bytearray(mib << 20)\n return len(block) >> 20",
    )
    .await;
    let source = "
def run(mib: int):
    block = bytearray(mib << 20)
    return workflows.hold(mib=mib)
";
    add(&tenant, "root", source).await;
    let limits = Limits { memory_bytes: 250 << 20, ..Limits::default() };
    let held = async |mib: u32| {
        let invocation = tenant.invocation("root").arguments(json!({ "mib": mib }));
        invocation.limits(limits.clone()).run().await.unwrap()
    };
    // Two instances of some 30 MiB, and twice so much.
    assert_eq!(held(60).await.value().unwrap().as_str(), "60");
    let run = held(120).await;
    assert_eq!(run.value().unwrap_err().code, Code::MemoryExceeded);
    assert!(run.usage.peak_memory_bytes <= 250 << 20);
}

#[tokio::test]
async fn every_run_has_an_instance_of_its_own() {
    let tenant = bench().await.tenant;
    let source = "
import builtins, json, sys
count = 0
def run():
    global count
    count += 1
    builtins.leaked = getattr(builtins, 'leaked', 0) + 1
    json.leaked = getattr(json, 'leaked', 0) + 1
    sys.modules['leaked'] = json
    return [count, builtins.leaked, json.leaked]
";
    add(&tenant, "count", source).await;
    let root = "def run():\n import json\n json.leaked = 9\n return [workflows.count(), workflows.count(), json.leaked]";
    add(&tenant, "root", root).await;
    for _ in 0..3 {
        let run = tenant.invoke("count", json!({})).await.unwrap();
        assert_eq!(run.value().unwrap().as_str().replace(' ', ""), "[1,1,1]");
    }
    let run = tenant.invoke("root", json!({})).await.unwrap();
    assert_eq!(run.value().unwrap().as_str().replace(' ', ""), "[[1,1,1],[1,1,1],9]");
}

/// With room for a single root run, a chain of three still ends: nested runs
/// take no slot, or they would wait for the one that their ancestor holds.
#[tokio::test]
async fn nobody_waits_for_a_slot_of_an_ancestor() {
    let options = RuntimeOptions {
        max_instances: 4,
        standby: 0,
        ..RuntimeOptions::new(component()).cache(cache_dir())
    };
    let runtime = Arc::new(Runtime::load(options).await.unwrap());
    let engine = Engine::builder().runtime(runtime).build().await.unwrap();
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    add(&tenant, "leaf", "def run(): return 1").await;
    add(&tenant, "middle", "def run(): return workflows.leaf() + 1").await;
    add(&tenant, "root", "def run(): return workflows.middle() + 1").await;
    let both = futures::future::join_all((0..3).map(|_| tenant.invoke("root", json!({}))));
    // The bound is for a deadlock; the work takes milliseconds.
    let runs = tokio::time::timeout(Duration::from_secs(60), both).await.expect("a deadlock");
    for run in runs {
        assert_eq!(run.unwrap().value().unwrap().as_str(), "3");
    }
}

/// The pool is not deeper than it is: one instance too many is `busy`, and comes back.
#[tokio::test]
async fn a_full_pool_is_busy() {
    let options = RuntimeOptions {
        max_instances: 2,
        standby: 0,
        ..RuntimeOptions::new(component()).cache(cache_dir())
    };
    let runtime = Arc::new(Runtime::load(options).await.unwrap());
    let engine = Engine::builder().runtime(runtime).build().await.unwrap();
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    add(&tenant, "leaf", "def run(): return 1").await;
    add(&tenant, "middle", "def run(): return workflows.leaf() + 1").await;
    add(&tenant, "root", "def run(): return workflows.middle() + 1").await;
    for _ in 0..3 {
        let run = tenant.invoke("root", json!({})).await.unwrap();
        assert_eq!(run.value().unwrap_err().code, Code::Busy);
        let run = tenant.invoke("middle", json!({})).await.unwrap();
        assert_eq!(run.value().unwrap().as_str(), "2");
    }
}
