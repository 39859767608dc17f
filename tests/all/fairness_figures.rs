//! What tenants notice of one that takes all it can get; prints, and is run by its name:
//!
//!     cargo test --workspace --test all -- fairness_figures --ignored --nocapture

use std::time::Duration;

use repertoire::Tenant;
use repertoire_tests::{TenantOrNew, bench};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How long each figure is measured.
const LONG: Duration = Duration::from_secs(10);

/// The tenants that behave, and how often each runs something: some hundred runs a second in all.
const OTHERS: usize = 4;
const EVERY: Duration = Duration::from_millis(40);

/// Callers of the tenant that does not, each in a loop without a pause: of the trivial workflow
/// these are more than fifty times the runs of all others.
const FLOOD: usize = 50;

const TRIVIAL: &str = "def run(): return 1";
const WORK: &str = "def run(): return sum(i * i for i in range(20_000))";
const ENDLESS: &str = "def run():\n while True: pass";

/// Runs a workflow whenever it is due, whether the run before has ended or not; how long after that
/// each run had ended.
async fn run_when_due(tenant: Tenant, name: &'static str, offset: Duration) -> Vec<Duration> {
    let mut tick = interval_at(Instant::now() + offset, EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (started, mut runs) = (Instant::now(), JoinSet::new());
    while started.elapsed() < LONG {
        let due = tick.tick().await;
        let tenant = tenant.clone();
        runs.spawn(async move {
            tenant.invoke(name, json!({})).await.unwrap();
            due.elapsed()
        });
    }
    runs.join_all().await
}

/// Runs a workflow without a pause; how many times.
async fn run_on(tenant: Tenant, name: &'static str) -> usize {
    let (started, mut runs) = (Instant::now(), 0);
    while started.elapsed() < LONG {
        tenant.invoke(name, json!({})).await.unwrap();
        runs += 1;
    }
    runs
}

fn at(times: &[Duration], share: f64) -> f64 {
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; run it by name"]
async fn fairness_figures() {
    let bench = bench().await;
    let mut others = Vec::new();
    for index in 0..OTHERS {
        others.push(bench.engine.tenant_or_new(&format!("other{index}")).await.unwrap());
    }
    let flood = bench.engine.tenant_or_new("flood").await.unwrap();
    for tenant in others.iter().chain([&flood]) {
        for (name, source) in [("trivial", TRIVIAL), ("work", WORK), ("endless", ENDLESS)] {
            tenant.add_workflow(name, source, "").await.unwrap();
        }
        tenant.invoke("work", json!({})).await.unwrap();
    }
    println!("| the others run | one floods with | runs a second of both | p50 | p99 | longest |");
    println!("|---|---|---|---|---|---|");
    for theirs in ["trivial", "work"] {
        for its in [None, Some("trivial"), Some("work"), Some("endless")] {
            let mut floods = JoinSet::new();
            for name in its.into_iter().flat_map(|its| [its; FLOOD]) {
                floods.spawn(run_on(flood.clone(), name));
            }
            let mut tasks = JoinSet::new();
            for (tenant, n) in others.iter().zip(0_u32..) {
                tasks.spawn(run_when_due(tenant.clone(), theirs, EVERY * n / OTHERS as u32));
            }
            let mut times = tasks.join_all().await.concat();
            times.sort();
            let flooded: usize = floods.join_all().await.iter().sum();
            println!(
                "| {theirs} | {} | {:.0}, {:.0} | {:.2} ms | {:.2} ms | {:.2} ms |",
                its.unwrap_or("nothing"),
                times.len() as f64 / LONG.as_secs_f64(),
                flooded as f64 / LONG.as_secs_f64(),
                at(&times, 0.5),
                at(&times, 0.99),
                at(&times, 1.0),
            );
        }
    }
}
