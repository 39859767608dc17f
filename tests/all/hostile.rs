//! Programs that mean harm, each of which has to end in the way that is named
//! in its folder, and to leave everybody else alone.
//!
//! They run in a process of their own, where nothing else changes what is
//! measured after each: another tenant's answers, panics, memory, threads,
//! open files, calls in flight, and what of the host shows in any record.

use std::panic;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use repertoire::Tenant;
use repertoire::artifacts::Content;
use repertoire_tests::{Bench, Case, Group, TenantOrNew, bench, repository};
use serde_json::json;

const SECRET: &str = "CANARY-5f0c7e6a-of-another-tenant";

#[test]
fn hostile_programs() {
    in_a_process_of_its_own("hostile::alone");
}

/// Runs an ignored test where nothing else does, so that what the process holds is the test's.
pub(crate) fn in_a_process_of_its_own(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env("REPERTOIRE_TESTS_SECRET", SECRET)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(output.status.success() && said.contains("1 passed"), "{}\n{said}", output.status);
    eprintln!("{said}");
}

/// Counts the panics of this process.
pub(crate) struct Panics(Arc<AtomicUsize>);

impl Panics {
    /// From now on.
    pub(crate) fn counted() -> Self {
        let panics = Arc::new(AtomicUsize::new(0));
        let (counted, before) = (Arc::clone(&panics), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            counted.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
        Self(panics)
    }

    /// How many there were.
    pub(crate) fn seen(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by `hostile_programs`, in a process of its own"]
async fn alone() {
    if std::env::var_os("REPERTOIRE_TESTS_SECRET").is_none() {
        return;
    }
    let panics = Panics::counted();
    let bench = bench().await;
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    let source = "def run(n: int): return [n, artifacts.load('secret')]";
    other.add_workflow("canary", source, "A canary").await.unwrap();
    other.save_artifact("secret", &Content::Text(SECRET.into()), "").await.unwrap();
    let group = Group::read("hostile");
    // The first of everything takes memory that stays.
    for n in 0..20 {
        sing(&other, n).await.unwrap();
    }
    let before = Footprint::settled().await;
    a_footprint_is_seen(before);
    let baseline = Footprint::settled().await;
    let mut failed = Vec::new();
    for case in &group.cases {
        let started = Instant::now();
        if let Err(problem) = attack(case, &bench, &other, baseline).await {
            failed.push(problem);
        }
        eprintln!("{:>6} ms  {}", started.elapsed().as_millis(), case.name);
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases failed:\n\n{}\n",
        failed.len(),
        group.cases.len(),
        failed.join("\n\n")
    );
    assert_eq!(panics.seen(), 0, "the host panicked");
}

/// Another tenant's workflow answers as ever.
async fn sing(other: &Tenant, n: usize) -> Result<Duration, String> {
    let started = Instant::now();
    let run = other.invoke("canary", json!({ "n": n })).await.map_err(|error| error.chain())?;
    match run.value() {
        Ok(value) if value.as_str().replace(' ', "") == format!("[{n},\"{SECRET}\"]") => {
            Ok(started.elapsed())
        }
        outcome => Err(format!("the canary said {outcome:?}")),
    }
}

/// Keeps the longest time, or the first problem.
fn note(slowest: &Mutex<Result<Duration, String>>, sung: Result<Duration, String>) {
    let mut slowest = slowest.lock().unwrap();
    let known = std::mem::replace(&mut *slowest, Ok(Duration::ZERO));
    *slowest = known.and_then(|known| sung.map(|sung| sung.max(known)));
}

async fn attack(
    case: &Case,
    bench: &Bench,
    other: &Tenant,
    baseline: Footprint,
) -> Result<(), String> {
    let known = bench.tenant.runs(usize::MAX).await.map_err(|error| error.chain())?.len();
    let (over, slowest) =
        (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Ok(Duration::ZERO))));
    let singing = tokio::spawn({
        let (over, slowest, other) = (Arc::clone(&over), Arc::clone(&slowest), other.clone());
        async move {
            let mut n = 0;
            while !over.load(Ordering::SeqCst) {
                let sung = sing(&other, n).await;
                n += 1;
                note(&slowest, sung);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let outcome = case.run(bench).await;
    over.store(true, Ordering::SeqCst);
    singing.await.map_err(|error| error.to_string())?;
    outcome?;
    let named = |problem: String| format!("--- {}: {problem}", case.name);

    let slowest = slowest.lock().unwrap().clone().map_err(named)?;
    // An idle machine answers in milliseconds; two cores that do something else, in hundreds.
    if slowest > Duration::from_secs(2) {
        return Err(named(format!("meanwhile another tenant waited {slowest:?}")));
    }
    if bench.seen.in_flight() != 0 {
        return Err(named(format!("{} calls are still in flight", bench.seen.in_flight())));
    }
    let runs = bench.tenant.runs(usize::MAX).await.map_err(|error| error.chain())?;
    for run in &runs[..runs.len() - known.min(runs.len())] {
        let shown = format!("{run:?}");
        let home = std::env::var("HOME").unwrap_or_else(|_| "/nobody".to_owned());
        for mark in
            [SECRET, repository().to_str().unwrap(), &format!("{home}/"), "/rustc/", ".cargo/"]
        {
            if shown.contains(mark) {
                return Err(named(format!(
                    "{mark} shows in the record of run {}",
                    run.invocation.id
                )));
            }
        }
        if run.value().is_err_and(|failure| failure.code == repertoire::Code::Internal) {
            return Err(named(format!("a failure of the host's: {:?}", run.outcome)));
        }
    }
    baseline.is_restored().await.map_err(named)
}

/// What this process holds of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Footprint {
    pub(crate) resident_mib: u64,
    pub(crate) threads: usize,
    pub(crate) files: usize,
    pub(crate) children: usize,
}

impl Footprint {
    pub(crate) fn now() -> Self {
        let count = |dir: &str| std::fs::read_dir(dir).unwrap().count();
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        // Pages of files are the snapshot's, and the same for all memories that show them.
        let mut fields = statm.split(' ').skip(1).map(|field| field.parse::<u64>().unwrap());
        let pages = fields.next().unwrap() - fields.next().unwrap();
        Self {
            resident_mib: (pages * rustix::param::page_size() as u64) >> 20,
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
            children: children(),
        }
    }

    /// Waits until memory is no longer given back: compiling the component takes hundreds of MiB.
    async fn settled() -> Self {
        let mut last = Self::now();
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = Self::now();
            if now.resident_mib + 1 >= last.resident_mib {
                return now;
            }
            last = now;
        }
        last
    }

    /// Waits until no more is held than before, the records of the runs apart.
    async fn is_restored(self) -> Result<(), String> {
        // 32 memories and stacks keep 2.25 MiB each, once they were all in use, as in the
        // fan-out bomb; the next instances stand by; the allocator gives back late; the
        // records keep what the cases have written.
        const MORE_MIB: u64 = 256;
        let mut now = Self::now();
        for _ in 0..50 {
            if now.resident_mib <= self.resident_mib + MORE_MIB
                && now.threads <= self.threads
                && now.files <= self.files
                && now.children <= self.children
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            now = Self::now();
        }
        Err(format!("it left something behind: {now:?}, before: {self:?}"))
    }
}

/// Processes whose parent this one is.
fn children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .map(|children| children.split_whitespace().count())
        .sum()
}

/// The control: what is measured above is seen when it is there.
fn a_footprint_is_seen(before: Footprint) {
    let block = std::hint::black_box(vec![1_u8; 100 << 20]);
    let file = std::fs::File::open("/dev/null").unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let during = Footprint::now();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(during.children > before.children, "{during:?} {before:?}");
    assert!(during.resident_mib >= before.resident_mib + 60, "{during:?} {before:?}");
    assert!(
        during.threads > before.threads && during.files > before.files,
        "{during:?} {before:?}"
    );
    drop((block, file, stop));
    let _ = thread.join();
}
