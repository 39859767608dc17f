//! Each limit: its code, the usage so far, and the record that is left.

use std::time::Duration;

use repertoire::run::Run;
use repertoire::{Blame, Code, Limits};
use repertoire_tests::{Bench, bench};

/// Runs a workflow that has to meet a limit, and checks what every limit has
/// in common: the failure is an outcome, not an error, and it is on record.
async fn meets(bench: &Bench, code: Code, source: &str, limits: Limits) -> Run {
    bench.tenant.add_workflow("greedy", source, "").await.unwrap();
    let run = bench.tenant.invocation("greedy").limits(limits.clone()).run().await.unwrap();
    let failure = run.outcome.failure().unwrap_or_else(|| panic!("{code}: it ended well"));
    assert_eq!(failure.code, code, "{}", failure.message);
    assert_eq!(code.blame(), Blame::Guest);
    assert_eq!(run.invocation.limits, limits);
    let recorded = bench.tenant.run_record(run.invocation.id).await.unwrap();
    assert_eq!(recorded, run);
    run
}

#[tokio::test]
async fn fuel() {
    let limits = Limits { fuel: 300_000_000, ..Limits::default() };
    let run =
        meets(&bench().await, Code::FuelExhausted, "def run():\n while True: pass", limits).await;
    assert_eq!(run.usage.fuel, 300_000_000);
    assert!(run.usage.peak_memory_bytes > 20 << 20, "{:?}", run.usage);
    assert!(run.outcome.failure().unwrap().message.contains("300000000"));
}

#[tokio::test]
async fn memory() {
    let limits = Limits { memory_bytes: 100 << 20, ..Limits::default() };
    let source = "def run():\n held = []\n while True: held.append(bytearray(1 << 20))";
    let run = meets(&bench().await, Code::MemoryExceeded, source, limits).await;
    let peak = run.usage.peak_memory_bytes >> 20;
    assert!((60..=100).contains(&peak), "{peak} MiB");
    assert!(run.outcome.failure().unwrap().exceptions[0].type_name == "MemoryError");
}

#[tokio::test]
async fn memory_that_is_too_small_to_begin_with() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let run = meets(&bench().await, Code::MemoryExceeded, "def run(): return 1", limits).await;
    assert_eq!(run.usage.fuel, 0);
}

#[tokio::test]
async fn wall_time_of_a_guest_that_computes() {
    let limits =
        Limits { wall_time: Duration::from_millis(300), fuel: u64::MAX >> 1, ..Limits::default() };
    let source = "def run():\n print('begun')\n while True: pass";
    let run = meets(&bench().await, Code::TimedOut, source, limits).await;
    // Far above what it takes to stop a guest, for machines that do something else as well.
    assert!(run.usage.wall_time < Duration::from_secs(5), "{:?}", run.usage);
    assert!(run.usage.wall_time >= Duration::from_millis(300), "{:?}", run.usage);
    assert!(run.usage.fuel > 1_000_000, "the usage so far is missing: {:?}", run.usage);
    assert_eq!(run.stdout, "begun\n");
}

#[tokio::test]
async fn wall_time_of_a_guest_that_waits() {
    let limits = Limits { wall_time: Duration::from_millis(300), ..Limits::default() };
    let bench = bench().await;
    let run = meets(&bench, Code::TimedOut, "def run(): return tools.test.hang()", limits).await;
    assert!(run.usage.wall_time < Duration::from_secs(5), "{:?}", run.usage);
    assert_eq!(run.usage.host_calls, 1);
    assert_eq!((bench.seen.started(), bench.seen.in_flight()), (1, 0));
}

#[tokio::test]
async fn output() {
    let limits = Limits { output_bytes: 10_000, ..Limits::default() };
    let source = "def run():\n while True:\n  try: print('x' * 99)\n  except BaseException: pass";
    let run = meets(&bench().await, Code::OutputExceeded, source, limits).await;
    assert_eq!(run.stdout.len(), 10_000);
    assert!(run.usage.output_bytes > 10_000, "{:?}", run.usage);
}

#[tokio::test]
async fn a_result_is_output() {
    let limits = Limits { output_bytes: 10_000, ..Limits::default() };
    let source = "def run(n: int): return 'x' * n";
    let bench = bench().await;
    bench.tenant.add_workflow("large", source, "").await.unwrap();
    let result = async |n: usize| {
        let arguments = serde_json::json!({ "n": n });
        let invocation = bench.tenant.invocation("large").arguments(arguments);
        invocation.limits(limits.clone()).run().await.unwrap()
    };
    assert!(result(9_998).await.value().is_ok());
    assert_eq!(result(9_999).await.value().unwrap_err().code, Code::OutputExceeded);
}

#[tokio::test]
async fn host_calls() {
    let limits = Limits { host_calls: 25, ..Limits::default() };
    let bench = bench().await;
    let source =
        "def run():\n while True:\n  try: tools.test.echo(x=1)\n  except BaseException: pass";
    let run = meets(&bench, Code::CallsExceeded, source, limits).await;
    // What was refused was not made.
    assert_eq!((bench.seen.started(), run.usage.host_calls), (25, 25));
}

#[tokio::test]
async fn calls_in_flight_can_be_caught() {
    let bench = bench().await;
    let source = "
import asyncio
async def run():
    calls = [tools.test.sleep.call_async(ms=300) for _ in range(40)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    return sum(1 for each in ended if each == 300), {each.code for each in ended if each != 300} == {'calls-exceeded'}
";
    bench.tenant.add_workflow("wide", source, "").await.unwrap();
    let limits = Limits { calls_in_flight: 16, ..Limits::default() };
    let run = bench.tenant.invocation("wide").limits(limits).run().await.unwrap();
    assert_eq!(run.value().unwrap().as_str().replace(' ', ""), "[16,true]");
    assert_eq!(bench.seen.most.load(std::sync::atomic::Ordering::SeqCst), 16);
}

#[tokio::test]
async fn depth() {
    let bench = bench().await;
    let source = "def run(n: int = 0): return workflows.greedy(n=n + 1)";
    let limits = Limits { depth: 3, ..Limits::default() };
    let run = meets(&bench, Code::DepthExceeded, source, limits).await;
    let mut runs = bench.tenant.runs(100).await.unwrap();
    runs.sort_by_key(|run| run.invocation.depth);
    let depths: Vec<_> = runs.iter().map(|run| run.invocation.depth).collect();
    assert_eq!(depths, [0, 1, 2, 3]);
    assert_eq!(runs[0], run);
    for pair in runs.windows(2) {
        assert_eq!(pair[1].invocation.parent, Some(pair[0].invocation.id));
        assert!(pair[0].usage.fuel > pair[1].usage.fuel);
        assert_eq!(pair[1].outcome.failure().unwrap().code, Code::DepthExceeded);
    }
}

#[tokio::test]
async fn python_recursion_is_an_exception_and_c_recursion_a_limit() {
    let bench = bench().await;
    let mut session = bench.tenant.session();
    let run = session.run("def f(): f()\nf()").await.unwrap();
    let failure = run.outcome.failure().unwrap();
    assert_eq!(
        (failure.code, failure.exceptions[0].type_name.as_str()),
        (Code::Raised, "RecursionError")
    );
    let run = session.run("1 + 1").await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "2");
    let source = "import sys\ndef run():\n sys.setrecursionlimit(10**9)\n def f(): f()\n f()";
    let limits = Limits::default();
    let run = meets(&bench, Code::StackExhausted, source, limits).await;
    assert!(run.usage.fuel > 0);
}

#[tokio::test]
async fn every_default_is_a_limit() {
    let limits = Limits::default();
    assert!(limits.fuel <= 100_000_000_000);
    assert!(limits.memory_bytes <= 1 << 30);
    assert!(limits.wall_time <= Duration::from_secs(600));
    assert!(limits.output_bytes.max(limits.argument_bytes) <= 64 << 20);
    assert!(limits.host_calls <= 100_000 && limits.calls_in_flight <= 10_000);
    assert!(limits.concurrent_runs <= 64 && limits.depth <= 64);
    let bench = bench().await;
    let run = bench.tenant.session().run("1").await.unwrap();
    assert_ne!(run.invocation.limits.fuel, u64::MAX);
}
