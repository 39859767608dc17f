//! Many runs of all kinds at once, a fifth of them hostile, and everybody else
//! must not notice. `make soak` is the long form, `make test` has the short one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::join_all;
use repertoire::id::{RunId, TenantId};
use repertoire::record::Records;
use repertoire::run::{Outcome, Run};
use repertoire::storage::memory::MemoryStorage;
use repertoire::storage::{Storage, Store};
use repertoire::usage::{Span, UsageReport};
use repertoire::{Blame, Limits, Result, Tenant};
use repertoire_tests::{Bench, Group, TenantOrNew, bench_with};
use serde_json::json;

use crate::hostile::{Footprint, Panics, in_a_process_of_its_own};

/// Counts the records of root runs and forgets them: keeping 200,000 would be
/// what grows.
#[derive(Default)]
struct Ledger {
    roots: AtomicUsize,
    nested: AtomicUsize,
    /// The sum of all ids: two equal sums are the same runs.
    ids: AtomicU64,
}

fn mark(id: RunId) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id)
}

#[async_trait]
impl Records for Ledger {
    fn append(&self, run: Run) {
        if run.invocation.parent.is_some() {
            self.nested.fetch_add(1, Ordering::SeqCst);
        } else {
            self.roots.fetch_add(1, Ordering::SeqCst);
            self.ids.fetch_add(mark(run.invocation.id), Ordering::SeqCst);
        }
    }

    async fn get(&self, _: RunId) -> Result<Option<Run>> {
        Ok(None)
    }

    async fn list(&self, _: usize, _: Option<RunId>) -> Result<Vec<Run>> {
        Ok(Vec::new())
    }

    async fn usage(&self, _: Span) -> Result<UsageReport> {
        Ok(UsageReport::default())
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }
}

/// Memory, with the ledger in place of the records.
struct Books {
    memory: MemoryStorage,
    ledger: Arc<Ledger>,
}

#[async_trait]
impl Storage for Books {
    async fn open(&self, tenant: &TenantId, model: &str, size: usize) -> Result<Option<Store>> {
        let store = self.memory.open(tenant, model, size).await?;
        Ok(store.map(|store| Store { records: Arc::clone(&self.ledger) as _, ..store }))
    }

    async fn create(&self, tenant: &TenantId, model: &str, size: usize) -> Result<bool> {
        self.memory.create(tenant, model, size).await
    }

    async fn tenants(&self) -> Result<Vec<TenantId>> {
        self.memory.tenants().await
    }

    async fn delete(&self, tenant: &TenantId) -> Result<bool> {
        self.memory.delete(tenant).await
    }
}

/// What everybody else runs, with what it has to answer.
const HARMLESS: [(&str, &str, &str); 6] = [
    ("trivial", "def run(): return 1", "1"),
    ("text", "def run(): return sum(len(str(n)) for n in range(300))", "790"),
    ("tool", "def run(): return [tools.test.typed(x=n) for n in range(5)]", "[0,1,2,3,4]"),
    (
        "gather",
        "import asyncio\nasync def run(): return sum(await asyncio.gather(*[tools.test.typed.call_async(x=n) for n in range(8)]))",
        "28",
    ),
    ("nested", "def run(): return workflows.trivial() + workflows.trivial()", "2"),
    ("failing", "def run(): raise ValueError('as it should')", "raised"),
];

/// Cases that change what there is to run, or need it.
const NOT_HERE: [&str; 8] = ["c17_", "p09_", "r0", "e11_", "l08_", "n11_", "n12_", "p07_"];

struct Soak {
    own: Tenant,
    hostile: Tenant,
    names: Vec<String>,
    started: AtomicUsize,
    returned: AtomicUsize,
    ids: AtomicU64,
    wrong: Mutex<Vec<String>>,
    ended: Mutex<BTreeMap<String, u64>>,
}

/// A sequence that is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

impl Soak {
    fn note(&self, run: &Run) {
        self.returned.fetch_add(1, Ordering::SeqCst);
        self.ids.fetch_add(mark(run.invocation.id), Ordering::SeqCst);
    }

    fn wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < 20 {
            wrong.push(what);
        }
    }

    /// One harmless run; how long it took.
    async fn harmless(&self, dice: &mut Dice) -> Duration {
        let (name, _, expected) = HARMLESS[dice.roll(HARMLESS.len() as u64) as usize];
        let begun = Instant::now();
        self.started.fetch_add(1, Ordering::SeqCst);
        let run = self.own.invoke(name, json!({})).await.unwrap();
        let took = begun.elapsed();
        self.note(&run);
        let said = match &run.outcome {
            Outcome::Value(value) => value.json.as_str().replace(' ', ""),
            Outcome::Failure(failure) => failure.code.to_string(),
        };
        if said != expected {
            self.wrong(format!("{name} said {said}, not {expected}: {:?}", run.outcome));
        }
        took
    }

    /// One hostile run, or one whose caller goes away.
    async fn attack(&self, dice: &mut Dice) {
        let name = &self.names[dice.roll(self.names.len() as u64) as usize];
        let limits = Limits {
            fuel: 30_000_000,
            memory_bytes: 128 << 20,
            wall_time: Duration::from_millis(250),
            output_bytes: 256 << 10,
            host_calls: 100,
            ..Limits::default()
        };
        self.started.fetch_add(1, Ordering::SeqCst);
        let arguments = match name.split('_').next() {
            Some("e10") => {
                let how = ["os", "sys", "abort", "kbd"][dice.roll(4) as usize];
                json!({ "how": how })
            }
            Some("m06" | "m07" | "m08" | "m09" | "m21") => json!({"n": 100_000}),
            Some("m11") => json!({"mib": 40}),
            Some("m20") => json!({"k": dice.roll(5)}),
            _ => json!({}),
        };
        let run = self.hostile.invocation(name).arguments(arguments).limits(limits).run();
        let run = match dice.roll(10) {
            0 => match tokio::time::timeout(Duration::from_millis(dice.roll(20)), run).await {
                Ok(run) => run,
                // Its caller went away; the record says so.
                Err(_) => return,
            },
            _ => run.await,
        };
        let run = run.unwrap_or_else(|error| panic!("{name}: {}", error.chain()));
        self.note(&run);
        let end = match &run.outcome {
            Outcome::Value(_) => "value",
            Outcome::Failure(failure) => failure.code.as_str(),
        };
        if run.value().is_err_and(|failure| failure.code.blame() == Blame::Host) {
            self.wrong(format!("{name} blames the host: {:?}", run.outcome));
        }
        *self.ended.lock().unwrap().entry(end.to_owned()).or_default() += 1;
    }

    /// So many runs by so many tasks; every `attacks`-th is hostile. What the others took.
    async fn phase(self: &Arc<Self>, runs: usize, tasks: usize, attacks: u64) -> Vec<Duration> {
        let left = Arc::new(AtomicUsize::new(runs));
        let working = (0..tasks as u64).map(|task| {
            let (soak, left) = (Arc::clone(self), Arc::clone(&left));
            tokio::spawn(async move {
                let (mut dice, mut took) = (Dice(0x9e37_79b9 + task * 7919), Vec::new());
                while left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .is_ok()
                {
                    if attacks > 0 && dice.roll(attacks) == 0 {
                        soak.attack(&mut dice).await;
                    } else {
                        took.push(soak.harmless(&mut dice).await);
                    }
                }
                took
            })
        });
        let mut took: Vec<Duration> =
            join_all(working).await.into_iter().flat_map(|task| task.expect("a task")).collect();
        took.sort();
        took
    }
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    sorted.get(((sorted.len() - 1) as f64 * share) as usize).copied().unwrap_or_default()
}

#[test]
fn many_runs_in_short() {
    in_a_process_of_its_own("soak::alone");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `many_runs_in_short`, in a process of its own; long, with RUNS, by `make soak`"]
async fn alone() {
    if std::env::var_os("REPERTOIRE_TESTS_SECRET").is_none() {
        return;
    }
    let runs = std::env::var("RUNS").map_or(1_000, |runs| runs.parse::<usize>().expect("a number"));
    let is_long = runs >= 20_000;
    let panics = Panics::counted();
    let ledger = Arc::new(Ledger::default());
    let books = Books { memory: MemoryStorage::new(), ledger: Arc::clone(&ledger) };
    let Bench { engine, tenant: hostile, seen } =
        bench_with(|builder| builder.storage(Arc::new(books))).await;
    let own = engine.tenant_or_new("own").await.unwrap();
    for (name, source, _) in HARMLESS {
        own.add_workflow(name, source, "").await.unwrap();
    }
    let mut names = Vec::new();
    for case in Group::read("hostile").cases {
        if !case.is_agent && !NOT_HERE.iter().any(|skipped| case.name.starts_with(skipped)) {
            hostile.add_workflow(&case.name, &case.source, "").await.unwrap();
            names.push(case.name);
        }
    }
    assert!(names.len() > 40, "{} hostile programs", names.len());
    let soak = Arc::new(Soak {
        own,
        hostile,
        names,
        started: AtomicUsize::new(0),
        returned: AtomicUsize::new(0),
        ids: AtomicU64::new(0),
        wrong: Mutex::default(),
        ended: Mutex::default(),
    });
    let cores = std::thread::available_parallelism().map_or(2, Into::into);
    let tasks = cores * 4;
    // What is measured against: the same tasks, and nobody means harm.
    let _ = soak.phase(runs / 10, tasks, 5).await;
    let quiet = soak.phase(runs / 10, tasks, 0).await;
    let warm = Footprint::now();
    let watch = Instant::now();
    let mut took = Vec::new();
    let mut resident = vec![warm.resident_mib];
    for _ in 0..10 {
        took.extend(soak.phase(runs / 10, tasks, 5).await);
        resident.push(Footprint::now().resident_mib);
    }
    took.sort();
    let elapsed = watch.elapsed();
    let after = Footprint::now();
    let (started, returned) =
        (soak.started.load(Ordering::SeqCst), soak.returned.load(Ordering::SeqCst));
    let recorded = ledger.roots.load(Ordering::SeqCst);
    eprintln!(
        "{runs} runs in {:.1} s ({:.0}/s) by {tasks} tasks on {cores} cores; with warm-up {started} started, \
         {recorded} recorded, {} nested, {} whose caller went away\n\
         others' runs, quiet: p50 {:?} p99 {:?}; under attack: p50 {:?} p99 {:?}\n\
         resident MiB: {resident:?}; before {warm:?}, after {after:?}\n\
         hostile runs ended so: {:?}; host panics: {}",
        elapsed.as_secs_f64(),
        runs as f64 / elapsed.as_secs_f64(),
        ledger.nested.load(Ordering::SeqCst),
        started - returned,
        at(&quiet, 0.5),
        at(&quiet, 0.99),
        at(&took, 0.5),
        at(&took, 0.99),
        soak.ended.lock().unwrap(),
        panics.seen(),
    );
    assert_eq!(*soak.wrong.lock().unwrap(), Vec::<String>::new());
    assert_eq!(panics.seen(), 0);
    assert_eq!(seen.in_flight(), 0);
    // Every run is on record, however it ended; those that returned, by their ids.
    assert_eq!(recorded, started);
    if started == returned {
        assert_eq!(ledger.ids.load(Ordering::SeqCst), soak.ids.load(Ordering::SeqCst));
    }
    // It was an attack: limits were met, and callers went away.
    let ended = soak.ended.lock().unwrap().clone();
    for end in ["fuel-exhausted", "memory-exceeded", "timed-out", "raised"] {
        assert!(ended.contains_key(end), "no hostile run ended in {end}: {ended:?}");
    }
    assert!(after.files <= warm.files + 2 && after.threads <= warm.threads + 4, "{after:?}");
    assert!(after.children <= warm.children);
    // What the allocator has not given back yet comes and goes, by some 150 MiB; what
    // leaks would lift the least of it too. The pool's slots fill up in the first tenths.
    let least = |tenths: &[u64]| tenths.iter().copied().min().unwrap_or_default();
    let (first, last) = (least(&resident[1..6]), least(&resident[6..]));
    let allowed = if is_long { 32 } else { 192 };
    assert!(last <= first + allowed, "resident memory grows: {resident:?} MiB");
    // A short one, beside other tests, measures these as well.
    let factor = if is_long { 3 } else { 8 };
    assert!(
        at(&took, 0.99) <= at(&quiet, 0.99).max(Duration::from_millis(10)) * factor,
        "others wait: {:?} at p99, and {:?} when nobody means harm",
        at(&took, 0.99),
        at(&quiet, 0.99)
    );
}
