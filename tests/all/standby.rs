//! Instances that stand by: whether a run finds one makes no difference but time.

use std::sync::Arc;
use std::time::Duration;

use repertoire::run::Run;
use repertoire::{Code, Engine, Limits, Runtime, RuntimeOptions, Tenant};
use repertoire_tests::{TenantOrNew, cache_dir, component};
use serde_json::{Value, json};

/// What a run could find out of what happened in its instance before it.
const PROGRAM: &str = "
import asyncio, json, random, re, secrets, sys, uuid
async def nap(n):
    await asyncio.sleep(0)
    return n
async def run(n: int):
    left = [name for name in dir(sys) if name == 'left_behind']
    sys.left_behind = True
    drawn = [random.random(), secrets.token_hex(4), str(uuid.uuid4()), str(uuid.uuid1())[-12:]]
    naps = await asyncio.gather(*(nap(k) for k in range(n)))
    text = re.sub('[aeiou]', lambda found: found[0].upper(), json.dumps({'naps': naps}))
    inner = workflows.inner(n=n) if n else None
    return {'left': left, 'drawn': drawn, 'text': text, 'inner': inner, 'modules': len(sys.modules)}
";

const INNER: &str = "import random\ndef run(n: int):\n    return [n, random.random()]\n";

async fn runtime(standby: u32) -> Arc<Runtime> {
    let options = RuntimeOptions {
        max_instances: 16,
        standby,
        ..RuntimeOptions::new(component()).cache(cache_dir())
    };
    Arc::new(Runtime::load(options).await.unwrap())
}

async fn tenant(runtime: &Arc<Runtime>) -> Tenant {
    let engine = Engine::builder().runtime(Arc::clone(runtime)).build().await.unwrap();
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    tenant.add_workflow("program", PROGRAM, "").await.unwrap();
    tenant.add_workflow("inner", INNER, "").await.unwrap();
    tenant
}

/// Waits until so many stand by.
async fn until_standing_by(runtime: &Runtime, count: usize) {
    let waiting = async {
        while runtime.standing_by() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("none stands by");
}

async fn run(tenant: &Tenant, n: u32, seed: Option<u64>) -> Run {
    let invocation = tenant.invocation("program").arguments(json!({ "n": n }));
    match seed {
        Some(seed) => invocation.seed(seed).run().await.unwrap(),
        None => invocation.run().await.unwrap(),
    }
}

fn value(run: &Run) -> Value {
    run.value().unwrap_or_else(|failure| panic!("{failure:?}")).to().unwrap()
}

/// Fuel to the unit, memory, results: none tells a run whether its instance stood
/// by, was made when it was asked for, or is not the first one on its slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_the_same_whether_its_instance_stood_by() {
    let mut seen = Vec::new();
    for standby in [0, 3] {
        let runtime = runtime(standby).await;
        let tenant = tenant(&runtime).await;
        for n in 0..12 {
            // Half of them find as many as there can be, the others what is left.
            if n % 2 == 0 {
                until_standing_by(&runtime, standby as usize).await;
            }
            let run = run(&tenant, 5, Some(7)).await;
            let (usage, value) = (&run.usage, value(&run));
            assert_eq!(value["left"], json!([]), "something was left behind");
            seen.push((value, usage.fuel, usage.peak_memory_bytes, usage.host_calls));
        }
    }
    assert!(seen.iter().all(|run| run == &seen[0]), "{seen:#?}");
}

/// The control of the test above, and of this file: what stands by is used.
#[tokio::test]
async fn a_run_takes_what_stands_by() {
    let runtime = runtime(3).await;
    let tenant = tenant(&runtime).await;
    run(&tenant, 0, None).await;
    until_standing_by(&runtime, 3).await;
    // On one thread nobody replaces it before the run is over.
    run(&tenant, 0, None).await;
    assert_eq!(runtime.standing_by(), 2);
    until_standing_by(&runtime, 3).await;
}

/// All of them were warmed up with the same chance; none of it is left.
#[tokio::test]
async fn chance_differs_from_run_to_run() {
    let runtime = runtime(4).await;
    let tenant = tenant(&runtime).await;
    let mut drawn = std::collections::HashSet::new();
    for _ in 0..5 {
        until_standing_by(&runtime, 4).await;
        for each in value(&run(&tenant, 0, None).await)["drawn"].as_array().unwrap() {
            assert!(drawn.insert(each.to_string()), "{each} was drawn twice");
        }
    }
    assert_eq!(value(&run(&tenant, 0, Some(1)).await), value(&run(&tenant, 0, Some(1)).await));
}

/// Warming up takes some 400,000 units of fuel, memory and time, which are nobody's.
#[tokio::test]
async fn a_run_pays_for_itself_only() {
    let runtime = runtime(2).await;
    let tenant = tenant(&runtime).await;
    let source = "import time\ndef run(): return [time.time(), time.monotonic()]";
    tenant.add_workflow("times", source, "").await.unwrap();
    let run = async |limits: Limits| {
        until_standing_by(&runtime, 2).await;
        tenant.invocation("times").limits(limits).run().await.unwrap()
    };
    let limits = Limits::default();
    let free = run(limits.clone()).await;
    assert!(free.usage.fuel < 300_000, "{}", free.usage.fuel);
    assert!(free.usage.wall_time < Duration::from_secs(60));
    let [now, since]: [f64; 2] = free.value().unwrap().to().unwrap();
    // While they warm up it is 1970, and the clocks stand still.
    let started = free.invocation.started_at.as_millis() as f64 / 1e3;
    // To the microsecond: what is smaller, a double of today's date rounds.
    let now = (now * 1e6).round() / 1e6;
    assert!(now >= started && now < started + 60.0 && since < 60.0, "{now} {since}");

    // What a run has is all its own.
    let enough = Limits { fuel: free.usage.fuel + 20_000, ..limits.clone() };
    assert!(run(enough).await.value().is_ok());
    let too_little = Limits { fuel: free.usage.fuel / 2, ..limits.clone() };
    assert_eq!(run(too_little).await.value().unwrap_err().code, Code::FuelExhausted);

    // An instance that stands by has its memory already; the run may not.
    let held = free.usage.peak_memory_bytes;
    let memory = |memory_bytes| Limits { memory_bytes, ..limits.clone() };
    assert!(run(memory(held)).await.value().is_ok());
    let refused = run(memory(held - 1)).await;
    assert_eq!(refused.value().unwrap_err().code, Code::MemoryExceeded);
    assert_eq!((refused.usage.fuel, refused.usage.peak_memory_bytes), (0, 0));
}
