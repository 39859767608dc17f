//! One tenant, or one run, against another: what is left in a slot, who waits
//! for whom, and what an answer's time or words give away.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use repertoire::{Engine, Limits, Runtime, RuntimeOptions, Tenant};
use repertoire_tests::{TenantOrNew, bench, bench_with, cache_dir, component};
use serde_json::{Value, json};

async fn runtime_of(max_instances: u32) -> Arc<Runtime> {
    let options =
        RuntimeOptions { max_instances, ..RuntimeOptions::new(component()).cache(cache_dir()) };
    Arc::new(Runtime::load(options).await.unwrap())
}

async fn value(tenant: &Tenant, name: &str, arguments: Value) -> Value {
    let run = tenant.invoke(name, arguments).await.unwrap();
    run.value().unwrap_or_else(|failure| panic!("{name}: {failure:?}")).to().unwrap()
}

/// Reads all of its own linear memory, of which Python shows none: corrupt
/// bytecode loads a constant from behind the tuple of constants, where a pointer
/// to a forged `bytearray` lies that spans what it is told to.
const SCANNER: &str = r#"
import opcode
import struct

HEAD = 64  # what lies below belongs to nobody

def forged(size):
    o = opcode.opmap
    array = struct.pack("<7I", 1 << 20, id(bytearray), size, size + 1, HEAD, HEAD, 0)
    pointer = struct.pack("<I", id(array) + 16)
    def victim():
        return None
    consts = (None, "x")
    # Both are followed by their items at the same distance.
    a, b, c, d = (((id(pointer) - id(consts)) // 4) % (1 << 30)).to_bytes(4)
    load = [o["EXTENDED_ARG"], a, o["EXTENDED_ARG"], b, o["EXTENDED_ARG"], c, o["LOAD_CONST"], d]
    victim.__code__ = victim.__code__.replace(co_consts=consts, co_code=bytes([o["RESUME"], 0, *load, o["RETURN_VALUE"], 0]))
    if victim.__code__.co_consts is not consts:
        raise RuntimeError("the constants have moved")
    return victim(), array, pointer

def run(fill: bool = False, reversed_mark: str = ""):
    mark = reversed_mark[::-1].encode()
    kept = [mark * 4096 for _ in range(200)] if fill else []
    # Grows the memory, and leaves the last eighth as it was found.
    big = bytearray(40 << 20)
    big += b"."
    low, *alive = forged(id(big))
    _, _, size, held, _, start, _ = struct.unpack("<7I", low[id(big) - HEAD : id(big) - HEAD + 28])
    memory, *alive_too = forged(start + held - HEAD)
    untouched = memory[start + size - HEAD :]
    found, at = 0, memory.find(mark)
    while at >= 0 and found < 1000:
        # The mark itself lies here and there; three in a row are what was filled in.
        found += memory[at + len(mark) : at + 2 * len(mark)] == mark and memory[at + 2 * len(mark) : at + 3 * len(mark)] == mark
        at = memory.find(mark, at + len(mark))
    return {"bytes": len(memory), "found": found, "modules": memory.count(b"CPython") > 0,
            "untouched": len(untouched), "not_zero": len(untouched) - untouched.count(0)}
"#;

/// X01: a slot has nothing of the run before it, though it is the same memory.
#[tokio::test]
async fn memory_is_no_memory() {
    let engine = Engine::builder().runtime(runtime_of(1).await).build().await.unwrap();
    let (a, b) =
        (engine.tenant_or_new("a").await.unwrap(), engine.tenant_or_new("b").await.unwrap());
    for tenant in [&a, &b] {
        tenant.add_workflow("scan", SCANNER, "").await.unwrap();
    }
    let fill = "
def run(how: str):
    kept = [b'TENANT-A-MARK-' * 4096 for _ in range(1000)]
    if how == 'exit': raise SystemExit
    if how == 'trap':
        import os
        os._exit(1)
    if how == 'spin':
        while True: pass
";
    a.add_workflow("fill", fill, "").await.unwrap();
    let mark = "-KRAM-A-TNANET";
    // The control: the scanner sees all there is, and finds what is there.
    let seen = value(&a, "scan", json!({"fill": true, "reversed_mark": mark})).await;
    assert!(seen["bytes"].as_u64() > Some(50 << 20) && seen["modules"] == true, "{seen}");
    assert!(seen["found"].as_u64() >= Some(1000), "the scanner does not see its own: {seen}");
    let limits = Limits { fuel: 1_000_000_000, ..Limits::default() };
    for how in ["return", "exit", "trap", "spin", "return", "trap"] {
        let arguments = json!({ "how": how });
        let run = a.invocation("fill").arguments(arguments).limits(limits.clone()).run().await;
        assert!(run.unwrap().usage.peak_memory_bytes > 60 << 20, "{how}: it has not filled it");
        let seen = value(&b, "scan", json!({"reversed_mark": mark})).await;
        assert!(seen["bytes"].as_u64() > Some(50 << 20) && seen["modules"] == true, "{seen}");
        assert!(seen["untouched"].as_u64() > Some(4 << 20), "{seen}");
        let left = (&seen["found"], &seen["not_zero"]);
        assert_eq!(left, (&json!(0), &json!(0)), "{how}: what one tenant wrote, another has read");
    }
}

/// X11: a tenant whose runs all wait holds its share of the slots; another's run is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_anothers_runs() {
    let runtime = runtime_of(64).await;
    let bench = bench_with(|builder| builder.runtime(runtime)).await;
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    bench.tenant.add_workflow("hang", "def run(): return tools.test.hang()", "").await.unwrap();
    other.add_workflow("canary", "def run(): return 'alive'", "").await.unwrap();
    // Another view of the same tenant has no share of its own.
    let view = bench.engine.tenant("acme").await.unwrap();
    let hanging: Vec<_> = (0..100)
        .map(|n| {
            let tenant = if n % 2 == 0 { bench.tenant.clone() } else { view.clone() };
            tokio::spawn(async move { tenant.invoke("hang", json!({})).await })
        })
        .collect();
    // Sixteen of 64 instances are for root runs, and twelve of them for one tenant.
    bench.seen.until_in_flight(12).await;
    for _ in 0..20 {
        let answered = tokio::time::timeout(Duration::from_secs(20), async {
            join_all((0..4).map(|_| value(&other, "canary", json!({})))).await
        });
        assert_eq!(answered.await.expect("it waits for another tenant"), vec!["alive"; 4]);
    }
    // The control: all that can, hang; and no more than these.
    assert_eq!(bench.seen.in_flight(), 12);
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    join_all(hanging).await;
    bench.seen.until_in_flight(0).await;
    let run = bench.tenant.session().run("1").await.unwrap();
    assert!(run.value().is_ok());
}

/// C13: four loops for each core, and another tenant's canary is answered in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loops_leave_others_their_turn() {
    let bench = bench().await;
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    bench.tenant.add_workflow("spin", "def run():\n while True: pass", "").await.unwrap();
    other.add_workflow("canary", "def run(n: int): return n", "").await.unwrap();
    let limits = Limits { fuel: u64::MAX / 4, ..Limits::default() };
    let spinning: Vec<_> = (0..8)
        .map(|_| {
            let (tenant, limits) = (bench.tenant.clone(), limits.clone());
            tokio::spawn(async move { tenant.invocation("spin").limits(limits).run().await })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for n in 0..20 {
        let started = Instant::now();
        assert_eq!(value(&other, "canary", json!({ "n": n })).await, n);
        longest = longest.max(started.elapsed());
    }
    assert!(spinning.iter().all(|task| !task.is_finished()), "the loops have ended: no attack");
    // A turn is some milliseconds, and four loops share a core: far less than this even on a busy machine.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    spinning.iter().for_each(tokio::task::JoinHandle::abort);
    join_all(spinning).await;
}

/// C03, C15: whatever the guest is busy with, dropping the future stops it within 50 ms: large
/// copies too, which the component makes in pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_future_stops_bulk_operations() {
    let bench = bench().await;
    for (name, body) in [
        ("large_copies", "b = bytearray(100 << 20)\n print('begun')\n while True: b[1:] = b[:-1]"),
        ("copies", "b = bytearray(8 << 20)\n print('begun')\n while True: b[1:] = b[:-1]"),
        ("chance", "import os\n print('begun')\n while True: os.urandom(65536)"),
        ("clocks", "import time\n print('begun')\n while True: time.perf_counter_ns()"),
        ("calls", "print('begun')\n while True: tools.test.typed(x=1)"),
        ("waits", "import wit_world.imports.calls as c\n print('begun')\n while True: c.wait(0)"),
        ("bigint", "print('begun')\n x = 3 ** 2_000_000\n while True: x * x"),
    ] {
        bench.tenant.add_workflow(name, &format!("def run():\n {body}"), "").await.unwrap();
        let limits = Limits { fuel: u64::MAX / 4, host_calls: u64::MAX / 4, ..Limits::default() };
        let bound = Duration::from_millis(50);
        // The best of several: whatever else the machine does only adds to it.
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
            let (tenant, limits) = (bench.tenant.clone(), limits.clone());
            let task = tokio::spawn(async move {
                let invocation = tenant.invocation(name).limits(limits);
                invocation.on_event(move |_| _ = begun.send(())).run().await
            });
            has_begun.recv().await.expect("the guest has printed");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let started = Instant::now();
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled(), "{name}");
            best = best.min(started.elapsed());
            if best < bound {
                break;
            }
        }
        assert!(best < bound, "{name}: {best:?}");
    }
}

/// X07, X08, X09: another tenant's names are names that nobody has.
#[tokio::test]
async fn answers_give_nothing_away() {
    let bench = bench().await;
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    let probe = "
def run(name: str):
    try: said = workflows.invoke(name)
    except Exception as error: said = [error.code, str(error).replace(name, '*'), error.details]
    found = [(hit.name, hit.score) for hit in workflows.search('quarterly payroll reconciliation for ACME', limit=100)]
    return [said, workflows.get(name), artifacts.load(name), workflows.delete(name), artifacts.delete(name), found]
";
    bench.tenant.add_workflow("probe", probe, "Asks").await.unwrap();
    let before = value(&bench.tenant, "probe", json!({"name": "b_private_name"})).await;
    let text = "quarterly payroll reconciliation for ACME";
    other.add_workflow("b_private_name", "def run(): return 1", text).await.unwrap();
    other.add_workflow("probe", probe, "Asks").await.unwrap();
    let after = value(&bench.tenant, "probe", json!({"name": "b_private_name"})).await;
    let nobodys = value(&bench.tenant, "probe", json!({"name": "z_nobodys_name"})).await;
    assert_eq!(before, after);
    assert_eq!(nobodys, after);
    // The control: whose it is finds it.
    let own = value(&other, "probe", json!({"name": "b_private_name"})).await;
    assert_ne!(own, after);
    // And the name is free.
    bench.tenant.add_workflow("b_private_name", "def run(): return 2", "").await.unwrap();
    assert_eq!(value(&bench.tenant, "b_private_name", json!({})).await, 2);
}

/// X10: how long it takes to be refused does not tell another tenant's names from nobody's.
#[tokio::test]
async fn time_gives_nothing_away() {
    let bench = bench().await;
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    // So many names of one form, of which the other tenant has every second one:
    // nothing else is different about them.
    let name = |n: usize| format!("private_{n:03}");
    for n in (0..100).step_by(2) {
        other.add_workflow(&name(n), "def run(): return 1", "").await.unwrap();
    }
    bench.tenant.add_workflow("own", "def run(): return 1", "").await.unwrap();
    let time = async |name: &str| {
        let started = Instant::now();
        let _ = std::hint::black_box(bench.tenant.workflow(name).await);
        started.elapsed()
    };
    let (mut theirs, mut nobodys, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..600 {
        // Now one is first and now the other, of neighbours among the names.
        let pair = round * 7 % 50 * 2;
        for n in if round % 2 == 0 { [pair, pair + 1] } else { [pair + 1, pair] } {
            let took = time(&name(n)).await;
            if n % 2 == 0 { theirs.push(took) } else { nobodys.push(took) }
        }
    }
    for _ in 0..600 {
        own.push(time("own").await);
    }
    // The share of pairs in which the first is slower: a half, if nothing is to be told.
    let share = |a: &[Duration], b: &[Duration]| {
        let slower = a.iter().map(|a| b.iter().filter(|b| a > b).count()).sum::<usize>();
        let equal = a.iter().map(|a| b.iter().filter(|b| a == *b).count()).sum::<usize>();
        (slower as f64 + equal as f64 / 2.0) / (a.len() * b.len()) as f64
    };
    let told = share(&theirs, &nobodys);
    assert!((0.38..0.62).contains(&told), "{told}");
    // The control: a name that is there is told from one that is not.
    let control = share(&own, &nobodys);
    assert!(!(0.38..0.62).contains(&control), "{control}");
}

/// X15: two tenants save the same text; one deletes it, and nothing changes for the other.
#[tokio::test]
async fn what_is_cached_is_nobody_elses() {
    let bench = bench().await;
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    let source = "def run(n: int = 3): return n * 2";
    for tenant in [&bench.tenant, &other] {
        tenant.add_workflow("same", source, "The same").await.unwrap();
        assert_eq!(value(tenant, "same", json!({})).await, 6);
    }
    assert!(other.delete_workflow("same").await.unwrap().existed);
    assert_eq!(value(&bench.tenant, "same", json!({"n": 4})).await, 8);
    assert_eq!(other.invoke("same", json!({})).await.unwrap_err().code().as_str(), "not-found");
}

/// E04, O4: a run opens no socket of the host's, though it asks for hundreds.
#[tokio::test]
async fn a_guest_holds_no_file_of_the_hosts() {
    let source = "
import socket
def run():
    ended = set()
    for _ in range(500):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try: held = socket.socket(socket.AF_INET, kind); ended.add('made')
            except OSError as error: ended.add(type(error).__name__)
    tools.test.hang()
    return sorted(ended)
";
    let bench = bench().await;
    bench.tenant.add_workflow("sockets", source, "").await.unwrap();
    let sockets = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        files
            .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
            .filter(|to| to.to_string_lossy().starts_with("socket:"))
            .map(|to| to.into_os_string())
            .collect::<HashSet<_>>()
    };
    let before = sockets();
    let control = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(sockets().difference(&before).count() >= 1, "a socket is not seen");
    drop(control);
    let during = {
        let run = bench.tenant.invoke("sockets", json!({}));
        tokio::select! {
            run = run => panic!("it cannot end: {run:?}"),
            () = bench.seen.until_in_flight(1) => sockets()
        }
    };
    // Other tests of this process may open one or two.
    assert!(during.difference(&before).count() < 50, "{} sockets", during.len());
}
