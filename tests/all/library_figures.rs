//! What a library's size costs; prints, and is not run by `make test`:
//!
//!     cargo test --workspace -- --ignored --nocapture library_figures
//!
//! It makes its own libraries, of as many workflows as SIZES says (`100,1000,10000,100000`), and
//! with TENANTS=10000 that many tenants of 50. They are filled in bulk with vectors that mean
//! nothing; what is measured afterwards embeds with the real model.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use repertoire::clock::Timestamp;
use repertoire::embed::Vector;
use repertoire::id::{TenantId, WorkflowName};
use repertoire::storage::Storage;
use repertoire::storage::lance::{Durability, LanceStorage};
use repertoire::workflow::{Analysis, Parameter, Workflow};
use repertoire::{Engine, Json};
use repertoire_tests::{embedder, engine};

const VERBS: [&str; 12] = [
    "fetch",
    "convert",
    "summarise",
    "resize",
    "sort",
    "merge",
    "validate",
    "translate",
    "count",
    "plot",
    "compress",
    "rename",
];

/// How often each is measured.
const TIMES: usize = 100;

/// How many are saved at once when a library is filled.
const BULK: usize = 1000;

/// A number that looks like chance, and is the same each time.
fn mixed(number: usize) -> u64 {
    let mut mixed = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of some thousand words, of which some are much more frequent than others.
fn word(seed: usize) -> String {
    let (chance, rare) = (mixed(seed), mixed(seed ^ 0x5555));
    let range = 1 << (3 + chance % 10);
    format!("w{}", rare % range)
}

fn described(number: usize) -> String {
    let verb = VERBS[number % VERBS.len()];
    let words: Vec<_> = (0..12).map(|at| word(number * 12 + at)).collect();
    format!("{verb} {}", words.join(" "))
}

fn workflow(number: usize) -> (Workflow, Vector) {
    let name = WorkflowName::new(format!("w_{number:06}")).unwrap();
    let source = format!(
        "def run(path: str, limit: int = {number}) -> list[str]:\n    return [path] * limit\n"
    );
    let mut analysis = Analysis { description: described(number), ..Analysis::default() };
    analysis.signature.text = format!("(path: str, limit: int = {number}) -> list[str]");
    for (parameter, schema) in
        [("path", r#"{"type":"string"}"#), ("limit", r#"{"type":"integer"}"#)]
    {
        analysis.signature.parameters.push(Parameter {
            name: parameter.to_owned(),
            schema: Json::parse(schema).unwrap(),
            required: parameter == "path",
            default: None,
            description: format!("What {} {} is", word(number), parameter),
        });
    }
    let numbers: Vec<f32> =
        (0..384).map(|at| (mixed(number * 384 + at) % 2001) as f32 / 1000.0 - 1.0).collect();
    let length = numbers.iter().map(|number| number * number).sum::<f32>().sqrt();
    let vector = numbers.iter().map(|number| number / length).collect();
    (Workflow::new(name, source, described(number), analysis, Timestamp::from_millis(1)), vector)
}

async fn fill(data: &Path, tenant: &str, count: usize) {
    let model = embedder();
    let storage = LanceStorage::new(data).durability(Durability::None);
    let id = TenantId::new(tenant).unwrap();
    storage.create(&id, model.model(), model.dimensions()).await.unwrap();
    let store = storage.open(&id, model.model(), model.dimensions()).await.unwrap().unwrap();
    for from in (0..count).step_by(BULK) {
        let new: Vec<_> = (from..count.min(from + BULK)).map(workflow).collect();
        assert!(store.library.save_new(&new).await.unwrap().is_empty());
    }
    store.records.flush().await.unwrap();
}

async fn open(data: &Path) -> Engine {
    let builder = engine(&Default::default()).await.data(data).embedder(embedder());
    builder.build().await.unwrap()
}

/// Resident memory of this process that is its own, in MiB.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

struct Times(Vec<Duration>);

impl Times {
    async fn of<F: Future<Output = ()>>(count: usize, mut work: impl FnMut(usize) -> F) -> Self {
        let mut times = Vec::new();
        for at in 0..count {
            let started = Instant::now();
            work(at).await;
            times.push(started.elapsed());
        }
        times.sort();
        Self(times)
    }

    fn shown(&self) -> String {
        let at =
            |share: f64| self.0[((self.0.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        format!("p50 {:7.2} ms  p99 {:7.2} ms", at(0.5), at(0.99))
    }
}

async fn measure(data: &Path, count: usize) {
    let print = |what: &str, times: Times| println!("{count:>7} {what:<12} {}", times.shown());
    let before = memory();
    let opened = Times::of(5, |_| async {
        let tenant = open(data).await.tenant("figures").await.unwrap();
        tenant.workflow("w_000001").await.unwrap();
    });
    print("open, get", opened.await);
    let engine = open(data).await;
    let tenant = engine.tenant("figures").await.unwrap();
    print(
        "first search",
        Times::of(1, |_| async {
            assert_eq!(tenant.search("translate a page", 5).await.unwrap().len(), 5);
        })
        .await,
    );
    println!("{count:>7} memory       {} MiB, {} MiB before", memory(), before);
    print(
        "search",
        Times::of(3 * TIMES, |at| {
            let question = described(mixed(at) as usize % 1_000_003);
            let tenant = &tenant;
            async move { assert_eq!(tenant.search(&question, 5).await.unwrap().len(), 5) }
        })
        .await,
    );
    let get = |at: usize| {
        let name = format!("w_{:06}", mixed(at) as usize % count);
        let tenant = &tenant;
        async move { drop(tenant.workflow(&name).await.unwrap()) }
    };
    print("get", Times::of(TIMES, get).await);
    let list = |_| async { assert_eq!(tenant.workflows_after(None, 20).await.unwrap().len(), 20) };
    print("list", Times::of(TIMES, list).await);
    print("create", Times::of(TIMES, |at| {
        let source = format!("def run(path: str) -> str:\n    \"\"\"{} files.\n\n    Args:\n        path: Where {} is.\n    \"\"\"\n    return path\n", described(at * 7 + 1), word(at));
        let tenant = &tenant;
        async move { drop(tenant.add_workflow(format!("new_{at}"), source, "").await.unwrap()) }
    }).await);
    print("get after", Times::of(TIMES, get).await);
    print("list after", Times::of(TIMES, list).await);
    print(
        "search after",
        Times::of(TIMES, |at| {
            let question = described(mixed(at) as usize % 999_983);
            let tenant = &tenant;
            async move { assert_eq!(tenant.search(&question, 5).await.unwrap().len(), 5) }
        })
        .await,
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and prints"]
async fn of_one_tenant() {
    let sizes = std::env::var("SIZES").unwrap_or_else(|_| "100,1000,10000,100000".to_owned());
    embedder().embed(vec!["warm".to_owned()]).await.unwrap();
    for size in sizes.split(',') {
        let count = size.parse().unwrap();
        // Kept between runs of this bench if it says where.
        let kept = std::env::var_os("FIGURES_DIR").map(|dir| Path::new(&dir).join(size));
        let scratch = tempfile::tempdir().unwrap();
        let data = kept.unwrap_or_else(|| scratch.path().join("data"));
        if !data.exists() {
            let started = Instant::now();
            fill(&data, "figures", count).await;
            println!("{count:>7} filled in    {:.1} s", started.elapsed().as_secs_f64());
        }
        let copy = scratch.path().join("copy");
        let copied = std::process::Command::new("cp").arg("-r").args([&data, &copy]).status();
        assert!(copied.unwrap().success());
        measure(&copy, count).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and prints"]
async fn of_many_tenants() {
    let count: usize = std::env::var("TENANTS").map_or(200, |count| count.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    embedder().embed(vec!["warm".to_owned()]).await.unwrap();
    let started = Instant::now();
    for number in 0..count {
        fill(data.path(), &format!("t{number}"), 50).await;
    }
    println!("{count} tenants of 50, filled in {:.1} s", started.elapsed().as_secs_f64());
    let engine = Arc::new(open(data.path()).await);
    let (before, mut most) = (memory(), 0);
    let search = |at: usize| {
        let engine = Arc::clone(&engine);
        async move {
            let tenant = format!("t{}", mixed(at) as usize % count);
            let tenant = engine.tenant(tenant.as_str()).await.unwrap();
            assert_eq!(tenant.search(&described(at), 5).await.unwrap().len(), 5);
        }
    };
    for round in 0..10 {
        let from = round * count / 10;
        let times = Times::of(count / 10, |at| search(from + at)).await;
        most = most.max(memory());
        println!(
            "search of any tenant, {} so far: {}, {} MiB",
            from + count / 10,
            times.shown(),
            memory()
        );
    }
    println!("memory: {before} MiB before, at most {most} MiB");
}
