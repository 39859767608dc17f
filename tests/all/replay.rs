//! Runs once more, from their records alone: the same bytes, the same fuel, the same calls.

mod programs;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use repertoire::recording::{Aspect, Recorded, Recording};
use repertoire::replay::{Nested, Replay};
use repertoire::run::Run;
use repertoire::{Code, Limits, Runtime, RuntimeOptions, Tenant};
use repertoire_tests::{Bench, bench, bench_with, cache_dir, component};
use serde_json::{Value, json};

use self::programs::PROGRAMS;

/// How often each is run: 192 runs, and eight of agent code.
const TIMES: u64 = 8;

fn limits(program: &str) -> Limits {
    let limits = Limits { fuel: 2_000_000_000, ..Limits::default() };
    match program {
        "loops" => Limits { fuel: 30_000_000, ..limits },
        "hoards" => Limits { memory_bytes: 64 << 20, ..limits },
        "calls_too_often" => Limits { host_calls: 20, ..limits },
        "talks_too_much" => Limits { output_bytes: 10_000, ..limits },
        "waits_for_ever" | "sleeps_for_ever" | "computes_for_ever" => {
            Limits { fuel: u64::MAX / 4, wall_time: Duration::from_millis(60), ..limits }
        }
        _ => limits,
    }
}

async fn with_programs(bench: &Bench) {
    for (name, source) in PROGRAMS {
        bench.tenant.add_workflow(name, source, "").await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// Runs everything, four at a time so that they get into each other's way.
async fn record(tenant: &Tenant) -> Vec<Run> {
    let runs = (0..TIMES).flat_map(|n| PROGRAMS.iter().map(move |(name, _)| (n, *name)));
    let runs = runs.map(async |(n, name)| {
        let invocation = tenant.invocation(name).arguments(json!({ "n": n })).limits(limits(name));
        invocation.run().await.unwrap()
    });
    let mut runs: Vec<Run> = futures::stream::iter(runs).buffered(4).collect().await;
    for n in 0..TIMES {
        let code = format!(
            "import random, time\nx = await tools.test.sleep.call_async(ms={n})\n(x, random.random(), time.time(), object())"
        );
        runs.push(tenant.session().run(&code).await.unwrap());
    }
    runs
}

#[track_caller]
fn assert_same(replay: &Replay, run: &Run) {
    let (name, usage) = (&run.invocation.workflow, &run.usage);
    assert_eq!(replay.divergence, None, "{name:?} {usage:?} {:?}", run.outcome);
    assert_eq!(replay.recorded_on, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_runs_come_out_the_same() {
    let bench = bench().await;
    with_programs(&bench).await;
    let roots = record(&bench.tenant).await;
    assert_eq!(roots.len(), 200);
    let how = |code: Option<Code>| {
        roots.iter().filter(|run| run.value().err().map(|failure| failure.code) == code).count()
    };
    // They are as different as they are meant to be.
    assert!(how(None) >= 120, "{}", how(None));
    for code in [
        Code::Raised,
        Code::ToolFailed,
        Code::FuelExhausted,
        Code::CallsExceeded,
        Code::OutputExceeded,
        Code::TimedOut,
    ] {
        assert!(how(Some(code)) >= 8, "{code}: {}", how(Some(code)));
    }

    // Elsewhere: an engine without tools, a library without workflows.
    let elsewhere = bench_with(|builder| builder.tools(repertoire::tools::Registry::empty())).await;
    let all = bench.tenant.runs(10_000).await.unwrap();
    assert!(all.len() > 300, "{} runs, nested ones included", all.len());
    for run in &all {
        let replay = elsewhere.tenant.replay_record(run).await.unwrap();
        assert_same(&replay, run);
    }
    assert!(elsewhere.tenant.runs(1).await.unwrap().is_empty(), "a replay left a record");

    // Whole trees, from their records, with no call of a tool that is there.
    let (calls, records) = (bench.seen.started(), all.len());
    for root in &roots {
        let replay = bench.tenant.replay(root.invocation.id).await.unwrap();
        assert!(replay.is_same(), "{replay:?}");
        let nested = match root.invocation.workflow.as_deref() {
            Some("invokes") => 3,
            Some("fans_out") => 10,
            _ => 0,
        };
        assert_eq!(replay.nested.len(), nested);
        assert!(replay.nested.iter().all(|nested| matches!(nested, Nested::Replayed(_))));
    }
    assert_eq!(bench.seen.started(), calls);
    assert_eq!(bench.tenant.runs(10_000).await.unwrap().len(), records);
}

/// What a run sees and costs does not depend on what its process did before:
/// the first instance of a runtime is like one that took a slot that others
/// have used, in a quiet process or a busy one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_instance_is_like_any_later_one() {
    let seen = async |tenant: &Tenant, name: &str| {
        let run = tenant.invocation(name).arguments(json!({"n": 3})).seed(11).run().await.unwrap();
        (run.outcome, run.stdout, run.usage.fuel)
    };
    let names = ["addresses", "random_numbers", "prints", "secret"];
    let fresh = async || {
        // A slot or two only, so that a later run gets one that was used.
        let options = RuntimeOptions::new(component()).cache(cache_dir());
        let runtime = Runtime::load(RuntimeOptions { max_instances: 8, ..options }).await.unwrap();
        let bench = bench_with(|builder| builder.runtime(Arc::new(runtime))).await;
        with_programs(&bench).await;
        let source = "import os, secrets, uuid\ndef run(n: int): return [secrets.token_hex(n), os.urandom(9).hex(), str(uuid.uuid4())]";
        bench.tenant.add_workflow("secret", source, "").await.unwrap();
        bench
    };
    let mut first = Vec::new();
    for name in names {
        // The very first run of a runtime, once for each program.
        first.push(seen(&fresh().await.tenant, name).await);
    }
    let bench = fresh().await;
    for _ in 0..3 {
        for (name, first) in names.iter().zip(&first) {
            assert_eq!(seen(&bench.tenant, name).await, *first, "{name}");
        }
        let others = [("hoards", 2), ("raises", 1), ("gathered", 4), ("keeps", 7)];
        let others = others.map(|(name, n)| {
            let invocation = bench.tenant.invocation(name).arguments(json!({ "n": n }));
            invocation.limits(limits(name)).run()
        });
        let (others, again) =
            futures::join!(futures::future::join_all(others), seen(&bench.tenant, names[0]));
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(again, first[0]);
    }
}

/// A run, and its recording to be tampered with.
async fn recorded(tenant: &Tenant, name: &str, source: &str) -> (Run, Recording) {
    tenant.add_workflow(name, source, "").await.unwrap();
    let run = tenant.invoke(name, json!({})).await.unwrap();
    let recording = run.recorded.recording().expect("it was recorded").clone();
    (run, recording)
}

fn with(run: &Run, recording: Recording) -> Run {
    Run { recorded: Recorded::Whole(Arc::new(recording)), ..run.clone() }
}

/// The control of all this: whatever is otherwise is found, at its first place.
#[tokio::test]
async fn what_was_tampered_with_is_found() {
    let tenant = bench().await.tenant;
    let source = "
import random, time
def run():
    first = tools.test.echo(x=1)['x']
    second = tools.test.echo(x=first + 1)['x']
    print(second)
    return [second, time.time(), random.random()]
";
    let (run, recording) = recorded(&tenant, "steps", source).await;
    let diverges = async |run: Run| {
        tenant.replay_record(&run).await.unwrap().divergence.expect("it was not noticed")
    };
    assert!(tenant.replay_record(&run).await.unwrap().is_same());

    let mut other = recording.clone();
    other.calls[0].answer = Some(r#"{"Ok":"{\"x\": 5}"}"#.to_owned());
    let found = diverges(with(&run, other)).await;
    assert_eq!(found.what, Aspect::Call(2));
    assert!(found.expected.contains("tools.test.echo") && found.expected.contains('2'));
    assert!(found.got.contains("tools.test.echo") && found.got.contains('6'), "{found:?}");

    let mut other = recording.clone();
    other.calls[1].answer = Some(r#"{"Ok":"{\"x\": 5}"}"#.to_owned());
    let found = diverges(with(&run, other)).await;
    assert_eq!(found.what, Aspect::Outcome);
    assert!(found.expected.contains("[2,") && found.got.contains("[5,"), "{found:?}");

    let mut other = recording.clone();
    other.calls[0].answer =
        Some(r#"{"Err":{"code":"ToolFailed","message":"no","details":null}}"#.to_owned());
    assert_eq!(diverges(with(&run, other)).await.what, Aspect::Call(2));

    let mut other = recording.clone();
    other.calls[0].answer = Some("[]".to_owned());
    assert_eq!(diverges(with(&run, other)).await.what, Aspect::Call(1));

    let mut other = recording.clone();
    other.calls.pop();
    let found = diverges(with(&run, other)).await;
    assert_eq!((found.what, found.expected.as_str()), (Aspect::Call(2), "no further call"));

    let mut other = recording.clone();
    other.calls.push(other.calls[0].clone());
    assert_eq!(diverges(with(&run, other)).await.what, Aspect::Call(3));

    let mut other = recording.clone();
    other.clock.steps = vec![(0, 60_000)];
    assert_eq!(diverges(with(&run, other)).await.what, Aspect::Outcome);

    let mut other = run.clone();
    other.invocation.seed += 1;
    assert_eq!(diverges(other).await.what, Aspect::Outcome);

    let mut other = run.clone();
    other.stdout = "3\n".to_owned();
    assert_eq!(diverges(other).await.what, Aspect::Stdout);

    let mut other = recording.clone();
    other.own.fuel += 1;
    assert_eq!(diverges(with(&run, other)).await.what, Aspect::Fuel);

    // Another source is not what was run; one whose digest was changed with it
    // is found by what it does.
    let mut other = recording.clone();
    other.source = source.replace("x=1", "x=7").into();
    let mut other = with(&run, other);
    assert_eq!(diverges(other.clone()).await.what, Aspect::Source);
    other.invocation.digest =
        repertoire::id::SourceDigest::of(&other.recorded.recording().unwrap().source);
    let found = diverges(other).await;
    assert_eq!(found.what, Aspect::Call(1));
    assert!(found.got.contains('7'), "{found:?}");

    // Another runtime is named, and what comes out of it compared.
    let mut other = recording.clone();
    other.runtime.component = "0".repeat(64);
    let replay = tenant.replay_record(&with(&run, other)).await.unwrap();
    assert_eq!(replay.recorded_on.unwrap().component, "0".repeat(64));
    assert_eq!(replay.divergence, None);
}

#[tokio::test]
async fn the_order_of_completions_is_the_recorded_one() {
    let tenant = bench().await.tenant;
    let source = "
import asyncio
async def run():
    seen = []
    async def nap(ms): await tools.test.sleep.call_async(ms=ms); seen.append(ms)
    await asyncio.gather(nap(30), nap(1)); return seen
";
    let (run, mut recording) = recorded(&tenant, "naps", source).await;
    assert_eq!(run.value().unwrap().as_str(), "[1,30]");
    for call in &mut recording.calls {
        if let (true, Some(answer)) = (call.target == "calls.wait", &mut call.answer) {
            let swapped = answer.replace("\"id\":1", "\"id\":x").replace("\"id\":2", "\"id\":1");
            *answer = swapped.replace("\"id\":x", "\"id\":2");
        }
    }
    let divergence = tenant.replay_record(&with(&run, recording)).await.unwrap().divergence;
    let divergence = divergence.unwrap();
    assert_eq!(divergence.what, Aspect::Outcome);
    assert!(divergence.got.contains("[30,1]"), "{divergence:?}");
}

/// Seeds follow from the order in which a guest asks, not from when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_outs_seeds_do_not_depend_on_timing() {
    let tenant = bench().await.tenant;
    let leaf = "
import random
def run(ms: int):
    tools.test.sleep(ms=ms); tools.test.echo(x=ms)
    return random.random()";
    tenant.add_workflow("leaf", leaf, "").await.unwrap();
    let root = "
import asyncio
async def run(times: list):
    return await asyncio.gather(*[workflows.invoke_async('leaf', ms=ms) for ms in times])";
    tenant.add_workflow("root", root, "").await.unwrap();
    let draw = async |times: [u32; 6]| {
        let limits = Limits { concurrent_runs: 2, ..Limits::default() };
        let invocation = tenant.invocation("root").arguments(json!({ "times": times })).seed(5);
        let run = invocation.limits(limits).run().await.unwrap();
        run.value().unwrap().to::<Vec<f64>>().unwrap()
    };
    let drawn = draw([0, 0, 0, 0, 0, 0]).await;
    assert_eq!(draw([20, 0, 0, 5, 0, 1]).await, drawn);
    assert_eq!(draw([0, 9, 9, 0, 0, 0]).await, drawn);
    let mut distinct = drawn.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    assert_eq!(distinct.len(), 6);
}

#[tokio::test]
async fn a_record_is_bounded_and_says_so() {
    let tenant = bench().await.tenant;
    let source = "def run(n: int): return len(tools.test.big(n=n))";
    tenant.add_workflow("big", source, "").await.unwrap();
    let run = async |n: u32, recording_bytes: u64| {
        let limits = Limits { recording_bytes, ..Limits::default() };
        let invocation = tenant.invocation("big").arguments(json!({ "n": n })).limits(limits);
        invocation.run().await.unwrap()
    };
    let kept = run(50_000, 100_000).await;
    assert!(kept.recorded.recording().unwrap().size() > 50_000);
    assert!(tenant.replay(kept.invocation.id).await.unwrap().is_same());
    // What cannot be kept does not change the run.
    let large = run(200_000, 100_000).await;
    assert_eq!(large.value().unwrap().as_str(), "200000");
    let Recorded::Nothing(why) = &large.recorded else { panic!("{large:?}") };
    assert!(why.contains("recording_bytes"), "{why}");
    let error = tenant.replay(large.invocation.id).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("recording_bytes"), "{error}");
    // Nothing of the answer is kept where nothing may be.
    let off = run(10, 0).await;
    assert!(off.recorded.recording().is_none());
    // A tree has one bound: many small recordings are as much as a large one.
    let root = "def run(n: int): return [workflows.big(n=n) for _ in range(4)]";
    tenant.add_workflow("root", root, "").await.unwrap();
    let limits = Limits { recording_bytes: 100_000, ..Limits::default() };
    let invocation = tenant.invocation("root").arguments(json!({"n": 40_000})).limits(limits);
    let root = invocation.run().await.unwrap().invocation.id;
    let runs = tenant.runs(100).await.unwrap();
    let nested = runs.iter().filter(|run| run.invocation.parent == Some(root));
    assert_eq!(nested.filter(|run| run.recorded.recording().is_some()).count(), 2);
}

#[tokio::test]
async fn only_a_sessions_first_call_stands_alone() {
    let tenant = bench().await.tenant;
    let mut session = tenant.session();
    let first = session.run("import time\nx = 1\ntime.monotonic()").await.unwrap();
    let second = session.run("x + 1").await.unwrap();
    assert!(tenant.replay(first.invocation.id).await.unwrap().is_same());
    let error = tenant.replay(second.invocation.id).await.unwrap_err();
    assert!(error.message().contains("session"), "{error}");
    session.reset();
    let third = session.run("1").await.unwrap();
    assert!(tenant.replay(third.invocation.id).await.unwrap().is_same());
}

#[tokio::test]
async fn a_cancelled_run_is_replayed_to_where_it_was() {
    let bench = bench().await;
    let source = "def run():\n print('so far')\n tools.test.hang()";
    bench.tenant.add_workflow("hangs", source, "").await.unwrap();
    {
        let run = bench.tenant.invoke("hangs", json!({}));
        tokio::select! {
            _ = run => panic!("it cannot end"),
            () = bench.seen.until_in_flight(1) => {}
        }
    }
    let run = bench.tenant.runs(1).await.unwrap().remove(0);
    assert_eq!(run.value().unwrap_err().code, Code::Cancelled);
    assert!(bench.tenant.replay(run.invocation.id).await.unwrap().is_same());
    let other = Run { stdout: "nothing".to_owned(), ..run };
    let divergence = bench.tenant.replay_record(&other).await.unwrap().divergence;
    assert_eq!(divergence.unwrap().what, Aspect::Stdout);
}

/// From disk, in a process that has no such tool.
#[cfg(feature = "full")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_replays_it() {
    use repertoire::storage::{Storage, lance::LanceStorage};
    use repertoire_tests::{build_dir, cli, embedder, engine_on_disk};

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let engine = engine_on_disk(&data).await;
    let tenant = engine.create_tenant("acme").await.unwrap();
    let mut runs = Vec::new();
    for (name, source) in PROGRAMS {
        tenant.add_workflow(name, source, "").await.unwrap();
    }
    for name in ["clocks", "gathered", "fans_out", "addresses", "hoards", "loops", "looks_around"] {
        let invocation = tenant.invocation(name).arguments(json!({"n": 2})).limits(limits(name));
        runs.push(invocation.run().await.unwrap());
    }
    let mut tampered = runs[1].clone();
    tampered.stdout = "otherwise".to_owned();
    tampered.invocation.id = repertoire::id::RunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
    let storage = LanceStorage::new(&data);
    let store = storage
        .open(tenant.id(), embedder().model(), embedder().dimensions())
        .await
        .unwrap()
        .unwrap();
    store.records.append(tampered.clone());
    store.records.flush().await.unwrap();
    tenant.flush().await.unwrap();

    let command = |arguments: &[&str]| {
        let output = std::process::Command::new(cli())
            .args(["--tenant", "acme"])
            .args(arguments)
            .env_clear()
            .env("HOME", dir.path())
            .env("REPERTOIRE_DATA", &data)
            .env("REPERTOIRE_COMPONENT", component())
            .env("REPERTOIRE_CACHE", cache_dir())
            .env("REPERTOIRE_MODEL", build_dir().join("model"))
            .env("REPERTOIRE_ONNXRUNTIME", build_dir().join("lib/libonnxruntime.so"))
            .current_dir(dir.path())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for run in &runs {
        let id = run.invocation.id.to_string();
        let (status, stdout, stderr) = command(&["runs", "replay", &id]);
        assert_eq!(status, Some(0), "{:?}: {stdout}{stderr}", run.invocation.workflow);
        assert!(stdout.contains("same result, same output, same fuel"), "{stdout}");
    }
    let (status, stdout, _) =
        command(&["runs", "replay", &runs[2].invocation.id.to_string(), "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, &report["same"]), (Some(0), &json!(true)));
    assert_eq!(report["nested"].as_array().unwrap().len(), 10);

    let (status, stdout, _) = command(&["runs", "replay", &tampered.invocation.id.to_string()]);
    assert_eq!(status, Some(1), "{stdout}");
    assert!(
        stdout.contains("differs in standard output") && stdout.contains("otherwise"),
        "{stdout}"
    );
    let (status, _, stderr) = command(&["runs", "replay", "01ARZ3NDEKTSV4RRFFQ69G5FAW"]);
    assert_eq!(status, Some(2), "{stderr}");

    let (status, stdout, _) = command(&["runs", "show", &runs[1].invocation.id.to_string()]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains("start tools.test.sleep") && stdout.contains("calls.wait"), "{stdout}");
    let (_, stdout, _) = command(&["runs", "show", &runs[1].invocation.id.to_string(), "--json"]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert!(shown["recording"]["calls"].as_array().unwrap().len() >= 6, "{shown}");
}
