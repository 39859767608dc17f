//! Runs that wait, runs that are dropped, and many of both.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join_all;
use repertoire::{Code, Runtime, RuntimeOptions};
use repertoire_tests::{TenantOrNew, bench, bench_with, cache_dir, component};
use serde_json::json;

/// A run that waits for a tool holds no thread: two threads carry two hundred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_wait_on_two_threads() {
    let bench = bench().await;
    bench.tenant.add_workflow("wait", "def run(): return tools.test.hang()", "").await.unwrap();
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let tenant = bench.tenant.clone();
            tokio::spawn(async move { tenant.invoke("wait", json!({})).await })
        })
        .collect();
    bench.seen.until_in_flight(200).await;
    // While they wait, somebody else is served.
    let run = bench.tenant.session().run("1 + 1").await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "2");
    assert_eq!(bench.seen.most.load(Ordering::SeqCst), 200);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    bench.seen.until_in_flight(0).await;
    let _ = join_all(waiting).await;
    let runs = bench.tenant.runs(1000).await.unwrap();
    let cancelled = runs.iter().filter(|run| run.value().is_err_and(|f| f.code == Code::Cancelled));
    assert_eq!(cancelled.count(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_end_in_about_the_time_of_one() {
    let bench = bench().await;
    let source = "async def run(): return await tools.test.sleep.call_async(ms=1000)";
    bench.tenant.add_workflow("wait", source, "").await.unwrap();
    let started = Instant::now();
    let runs = join_all((0..200).map(|_| bench.tenant.invoke("wait", json!({})))).await;
    let took = started.elapsed();
    for run in runs {
        assert_eq!(run.unwrap().value().unwrap().as_str(), "1000");
    }
    // On two threads that they held they would take a hundred seconds; the
    // rest is the work of starting two hundred instances on a busy machine.
    assert!(took < Duration::from_secs(30), "{took:?}");
}

/// The best of several attempts: whatever else the machine does only adds to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_future_stops_a_guest_that_computes() {
    let bench = bench().await;
    let source = "def run():\n print('begun')\n while True: pass";
    bench.tenant.add_workflow("spin", source, "").await.unwrap();
    let mut best = Duration::MAX;
    for _ in 0..6 {
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let tenant = bench.tenant.clone();
        let task = tokio::spawn(async move {
            let invocation = tenant.invocation("spin").on_event(move |_| _ = begun.send(()));
            invocation.run().await
        });
        has_begun.recv().await.expect("the guest has printed");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let started = Instant::now();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        best = best.min(started.elapsed());
    }
    assert!(best < Duration::from_millis(50), "{best:?}");
    let runs = bench.tenant.runs(10).await.unwrap();
    assert_eq!(runs.len(), 6);
    for run in runs {
        assert_eq!(run.value().unwrap_err().code, Code::Cancelled);
        assert_eq!(run.stdout, "begun\n");
        assert!(run.usage.fuel > 1_000_000, "the usage so far is missing: {:?}", run.usage);
    }
}

#[tokio::test]
async fn a_dropped_future_stops_what_it_waits_for() {
    let bench = bench().await;
    bench.tenant.add_workflow("leaf", "def run(): return tools.test.hang()", "").await.unwrap();
    let source = "
import asyncio
async def run():
    await asyncio.gather(tools.test.hang.call_async(), workflows.invoke_async('leaf'), workflows.invoke_async('leaf'))
";
    bench.tenant.add_workflow("root", source, "").await.unwrap();
    {
        let run = bench.tenant.invoke("root", json!({}));
        tokio::select! {
            _ = run => panic!("it cannot end"),
            () = bench.seen.until_in_flight(3) => {}
        }
    }
    // Not at some later time: now.
    assert_eq!(bench.seen.in_flight(), 0);
    let runs = bench.tenant.runs(10).await.unwrap();
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.value().is_err_and(|f| f.code == Code::Cancelled)));
    let root = runs.iter().find(|run| run.invocation.parent.is_none()).unwrap();
    assert!(runs.iter().all(|run| run.usage.fuel > 0 && run.usage.fuel <= root.usage.fuel));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenants_loops_do_not_stop_anothers_answers() {
    let bench = bench().await;
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    bench.tenant.add_workflow("spin", "def run():\n while True: pass", "").await.unwrap();
    other.add_workflow("canary", "def run(): return 'alive'", "").await.unwrap();
    let spinning: Vec<_> = (0..8)
        .map(|_| {
            let tenant = bench.tenant.clone();
            tokio::spawn(async move { tenant.invoke("spin", json!({})).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..5 {
        let started = Instant::now();
        let run = other.invoke("canary", json!({})).await.unwrap();
        assert_eq!(run.value().unwrap().as_str(), "\"alive\"");
        // Eight loops of some seconds each are ahead of it; it does not wait for one to end.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(!spinning.iter().all(tokio::task::JoinHandle::is_finished));
    }
    spinning.iter().for_each(tokio::task::JoinHandle::abort);
    join_all(spinning).await;
}

/// Runs that end in every way leave no instance behind: there are fewer than runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_come_back_however_they_end() {
    let options = RuntimeOptions {
        max_instances: 16,
        standby: 0,
        ..RuntimeOptions::new(component()).cache(cache_dir())
    };
    let runtime = Arc::new(Runtime::load(options).await.unwrap());
    let tenant = bench_with(|builder| builder.runtime(runtime)).await.tenant;
    let source = "
import os
def run(how: int):
    if how == 1: raise ValueError
    if how == 2: os._exit(1)
    if how == 3:
        nested = None
        for _ in range(100_000): nested = (nested,)
        del nested
    return how
";
    tenant.add_workflow("end", source, "").await.unwrap();
    for how in 0..4 {
        let runs = join_all((0..24).map(|_| tenant.invoke("end", json!({ "how": how }))));
        let expected = [None, Some(Code::Raised), Some(Code::Trapped), Some(Code::StackExhausted)];
        for run in runs.await {
            let run = run.unwrap();
            assert_eq!(run.value().err().map(|failure| failure.code), expected[how]);
        }
    }
}

#[tokio::test]
async fn a_tool_that_panics_ends_one_run() {
    let bench = bench().await;
    let tenant = bench.tenant.clone();
    let run = tokio::spawn(async move { tenant.session().run("tools.test.panic()").await }).await;
    let code = run.expect("the panic reached the embedder").unwrap().value().unwrap_err().code;
    assert_eq!(code, Code::Internal);
    let run = bench.tenant.session().run("1").await.unwrap();
    assert!(run.value().is_ok());
}
