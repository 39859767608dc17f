//! Nothing is lost: processes are killed, power is cut, disks are full, files are damaged.
//!
//! What is killed is a process of this program that writes to a store directly, without an
//! engine, because that starts in no time.

mod damage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use repertoire::artifacts::{Content, Metadata};
use repertoire::clock::{Entropy, SystemEntropy, Timestamp};
use repertoire::embed::Vector;
use repertoire::id::{ArtifactName, TenantId, WorkflowName};
use repertoire::storage::lance::{Durability, LanceStorage};
use repertoire::storage::{Storage, Store};
use repertoire::workflow::{Analysis, Workflow};
use repertoire::{Code, Result};
use repertoire_tests::repository;

/// Says to [`child`] what to do, and where.
const CHILD: &str = "REPERTOIRE_TESTS_STORE";

/// How often [`a_writer_is_killed`] kills; 200 by `make test-kills`.
const KILLS: &str = "REPERTOIRE_TESTS_KILLS";

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn vector() -> Vector {
    Arc::from([0.6, 0.8])
}

async fn open_with(data: &Path, durability: Durability) -> Result<Store> {
    let storage = LanceStorage::new(data).durability(durability);
    storage.create(&acme(), "m", 2).await?;
    Ok(storage.open(&acme(), "m", 2).await?.expect("it was created"))
}

async fn open(data: &Path) -> Result<Store> {
    open_with(data, Durability::Sync).await
}

fn workflow(name: &str, source: &str) -> Workflow {
    let (name, at) = (WorkflowName::new(name).unwrap(), Timestamp::from_millis(1));
    Workflow::new(name, source, "does something", Analysis::default(), at)
}

async fn create(store: &Store, name: &str) -> Result<()> {
    store.library.save(&workflow(name, name), &vector(), None).await
}

async fn keep(store: &Store, name: &str, text: String) -> Result<()> {
    let content = Content::Text(text.into());
    let (name, at) = (ArtifactName::new(name)?, Timestamp::from_millis(1));
    let metadata = Metadata::new(name, &content, String::new(), at, None)?;
    store.artifacts.save(&metadata, &content).await
}

/// The names of the workflows, each of which must be as it was saved.
async fn names(store: &Store) -> Result<BTreeSet<String>> {
    let all = store.library.list(None, usize::MAX).await?;
    for found in &all {
        assert_eq!(*found, workflow(found.name.as_str(), found.name.as_str()));
        assert_eq!(store.library.get(&found.name).await?.as_ref(), Some(found));
    }
    let names: BTreeSet<_> = all.iter().map(|found| found.name.to_string()).collect();
    assert_eq!(names.len(), all.len(), "a name is there twice");
    Ok(names)
}

fn say(line: &str) {
    let mut out = std::io::stderr().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// What the writer does as its `n`th step: creates two, keeps a text, deletes the first.
fn step(prefix: &str, n: usize) -> (&'static str, String) {
    let group = n / 4;
    match n % 4 {
        0 => ("create", format!("{prefix}_{group}_a")),
        1 => ("create", format!("{prefix}_{group}_b")),
        2 => ("keep", format!("{prefix}_{group}")),
        _ => ("delete", format!("{prefix}_{group}_a")),
    }
}

async fn take(store: &Store, what: &str, name: &str) -> Result<()> {
    match what {
        "create" => create(store, name).await,
        "keep" => keep(store, name, name.repeat(100)).await,
        _ => store
            .library
            .delete(&WorkflowName::new(name)?, Timestamp::from_millis(2))
            .await
            .map(|existed| assert!(existed, "{name} was not there")),
    }
}

/// Not a test: what a process does that a test starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by other tests, in a process of its own"]
async fn child() {
    let Some(task) = std::env::var_os(CHILD) else { return };
    let task: Vec<&str> = task.to_str().unwrap().splitn(4, ' ').collect();
    let [what, prefix, count, data] = task[..] else { panic!("{task:?}") };
    let (count, data): (usize, _) = (count.parse().unwrap(), Path::new(data));
    let durability = if what == "careless" { Durability::None } else { Durability::Sync };
    let store = open_with(data, durability).await.unwrap();
    say("ready");
    match what {
        "hammer" => hammer(&store, prefix, count).await,
        "full" => full(&store).await,
        _ => {
            for n in 0..count {
                let (what, name) = step(prefix, n);
                take(&store, what, &name).await.unwrap();
                say(&format!("{n}"));
            }
        }
    }
    say("done");
    if what != "hammer" && what != "full" {
        // Until it is killed: what it does at its end must not help it.
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
    }
}

struct Writer {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Writer {
    fn start(task: &str, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sh");
        // A limit on the size of files is to be an error, not the end.
        let program = std::env::current_exe().unwrap();
        let blocks = if task.starts_with("full") { "ulimit -f 200;" } else { "" };
        command
            .args(["-c", &format!("trap '' XFSZ; {blocks} exec \"$0\" \"$@\"")])
            .arg(program)
            .args(["durable::child", "--exact", "--ignored", "--nocapture", "--quiet"])
            .env(CHILD, task)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let mut writer = Self { child, lines };
        while let Some(line) = writer.line() {
            if line == "ready" {
                return writer;
            }
        }
        panic!("the writer did not start: {task}");
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim().to_owned())
    }

    /// How many steps it says it has taken.
    fn kill(mut self, after: usize, wait: std::time::Duration) -> usize {
        let mut taken = 0;
        while taken < after {
            match self.line() {
                Some(line) if line == (taken).to_string() => taken += 1,
                Some(line) if line == "done" => break,
                other => panic!("after {taken} steps the writer said {other:?}"),
            }
        }
        // Somewhere in the middle of the next step.
        std::thread::sleep(wait);
        self.child.kill().unwrap();
        while let Some(line) = self.line() {
            if line == taken.to_string() {
                taken += 1;
            }
        }
        self.child.wait().unwrap();
        taken
    }
}

/// What the first `taken` steps leave.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    workflows: BTreeSet<String>,
    artifacts: BTreeSet<String>,
}

impl Model {
    fn after(&self, prefix: &str, taken: usize) -> Self {
        let mut model = self.clone();
        for n in 0..taken {
            match step(prefix, n) {
                ("create", name) => drop(model.workflows.insert(name)),
                ("keep", name) => drop(model.artifacts.insert(name)),
                (_, name) => drop(model.workflows.remove(&name)),
            }
        }
        model
    }

    async fn of(store: &Store) -> Result<Self> {
        let mut artifacts = BTreeSet::new();
        for kept in store.artifacts.list().await? {
            let (_, content) = store.artifacts.load(&kept.name).await?.unwrap();
            assert_eq!(content, Content::Text(kept.name.as_str().repeat(100).into()));
            artifacts.insert(kept.name.to_string());
        }
        Ok(Self { workflows: names(store).await?, artifacts })
    }
}

/// Whenever a writer is killed: what it has acknowledged is there, and the step that it was
/// in the middle of is there as a whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_is_killed() {
    let kills = std::env::var(KILLS).map_or(20, |kills| kills.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    let (mut model, mut steps) = (Model::default(), 0);
    for round in 0..kills {
        let (prefix, random) = (format!("r{round}"), SystemEntropy.next_u64());
        let task = format!("write {prefix} 1000 {}", data.path().display());
        let wait = std::time::Duration::from_micros(random % 15_000);
        let after = usize::try_from(random >> 32).unwrap() % 6;
        let taken = tokio::task::spawn_blocking({
            let prefix = task.clone();
            move || Writer::start(&prefix, |_| ()).kill(after, wait)
        });
        let taken = taken.await.unwrap();
        let found = Model::of(&open(data.path()).await.unwrap()).await.unwrap();
        let (acknowledged, one_more) =
            (model.after(&prefix, taken), model.after(&prefix, taken + 1));
        assert!(
            found == acknowledged || found == one_more,
            "round {round}, {taken} steps: {found:?} is neither {acknowledged:?} nor {one_more:?}"
        );
        (model, steps) = (found, steps + taken);
    }
    assert!(steps >= kills, "nothing was written before the kills: the test shows nothing");
    create(&open(data.path()).await.unwrap(), "after_all").await.unwrap();
}

/// Makes of a directory what a power cut would leave: what the log does not say was forced to
/// disk is gone.
fn cut_power(root: &Path, log: &Path) {
    let mut files = HashMap::new();
    let mut folders: HashMap<PathBuf, HashMap<String, u64>> = HashMap::new();
    let mut folder = PathBuf::new();
    for line in fs::read_to_string(log).unwrap_or_default().lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        match kind {
            "D" => {
                folder = PathBuf::from(rest);
                folders.insert(folder.clone(), HashMap::new());
            }
            kind => {
                let (inode, rest) = rest.split_once(' ').unwrap();
                let inode: u64 = inode.parse().unwrap();
                if kind == "F" {
                    files.insert(inode, rest.parse::<u64>().unwrap());
                } else if let Some(entries) = folders.get_mut(&folder) {
                    entries.insert(rest.to_owned(), inode);
                }
            }
        }
    }
    cut_folder(root, &files, &folders);
}

fn cut_folder(
    folder: &Path,
    files: &HashMap<u64, u64>,
    folders: &HashMap<PathBuf, HashMap<String, u64>>,
) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::symlink_metadata(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let on_disk = folders.get(folder).and_then(|entries| entries.get(name));
        match (on_disk == Some(&found.ino()), found.is_dir()) {
            (true, true) => cut_folder(&path, files, folders),
            (true, false) => {
                let length = files.get(&found.ino()).copied().unwrap_or(0);
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_len(length).unwrap();
            }
            (false, true) => fs::remove_dir_all(&path).unwrap(),
            (false, false) => fs::remove_file(&path).unwrap(),
        }
    }
}

/// More than enough that the table is compacted in between.
const STEPS: usize = 48;

/// A writer takes its steps, and then the power is cut.
async fn after_a_power_cut(how: &str) -> Result<Model> {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let shim = root.join("shim.so");
    let source = repository().join("tests/fixtures/power/shim.c");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&shim, &source])
        .status()
        .expect("there is a C compiler");
    assert!(compiled.success());
    let (data, log) = (root.join("data"), root.join("log"));
    let task = format!("{how} w {STEPS} {}", data.display());
    let taken = tokio::task::spawn_blocking({
        let log = log.clone();
        move || {
            let preload = |command: &mut Command| {
                command.env("LD_PRELOAD", &shim).env("SHIM_LOG", &log);
            };
            Writer::start(&task, preload).kill(STEPS, std::time::Duration::ZERO)
        }
    });
    assert_eq!(taken.await.unwrap(), STEPS);
    cut_power(&data, &log);
    Model::of(&open(&data).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let found = after_a_power_cut("write").await.unwrap_or_else(|e| panic!("{}", e.chain()));
    assert_eq!(found, Model::default().after("w", STEPS));
}

/// The control: what is not forced to disk is gone, so the test above shows something.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_what_was_not_forced_to_disk() {
    let expected = Model::default().after("w", STEPS);
    if let Ok(found) = after_a_power_cut("careless").await {
        assert!(found.workflows.len() < expected.workflows.len(), "{found:?}");
    }
}

/// Files may not grow beyond 100 KiB, as if the disk were full.
async fn full(store: &Store) {
    create(store, "before").await.unwrap();
    keep(store, "small", "small".repeat(100)).await.unwrap();
    let error = keep(store, "large", "large".repeat(100_000)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{}", error.chain());
    assert_eq!(names(store).await.unwrap().len(), 1);
    create(store, "after").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let task = format!("full x 0 {}", data.path().display());
    let last = tokio::task::spawn_blocking(move || {
        let mut writer = Writer::start(&task, |_| ());
        let mut last = String::new();
        while let Some(line) = writer.line() {
            last = line;
        }
        assert!(writer.child.wait().unwrap().success(), "{last}");
        last
    });
    assert_eq!(last.await.unwrap(), "done");
    let store = open(data.path()).await.unwrap();
    assert_eq!(names(&store).await.unwrap().len(), 2);
    let artifacts = store.artifacts.list().await.unwrap();
    assert_eq!(artifacts.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["small"]);
    // Where there is room it goes on.
    keep(&store, "large", "large".repeat(100_000)).await.unwrap();
}

/// Twenty tasks that create, delete and count. Each increment replaces the number that it read.
async fn hammer(store: &Store, prefix: &str, count: usize) {
    let tasks: Vec<_> = (0..count)
        .map(|task| {
            let (store, mine) = (store.clone(), format!("{prefix}_{task}"));
            tokio::spawn(async move {
                create(&store, &mine).await.unwrap();
                let shared = format!("shared_{}", task % 5);
                match create(&store, &shared).await {
                    Ok(()) => say(&format!("won {shared}")),
                    Err(error) => {
                        assert_eq!(error.code(), Code::AlreadyExists, "{}", error.chain());
                    }
                }
                if task % 4 == 0 {
                    increment(&store).await;
                }
                let seen = store.library.list(None, usize::MAX).await.unwrap();
                assert!(seen.iter().any(|found| found.name.as_str() == mine));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn increment(store: &Store) {
    let name = WorkflowName::new("counter").unwrap();
    loop {
        let old = store.library.get(&name).await.unwrap().unwrap();
        let next = old.source.parse::<u64>().unwrap() + 1;
        let new = workflow("counter", &next.to_string());
        match store.library.save(&new, &vector(), Some(&old.version)).await {
            Ok(()) => return,
            Err(error) => assert_eq!(error.code(), Code::Conflict, "{}", error.chain()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_with_twenty_tasks_each() {
    const TASKS: usize = 20;
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await.unwrap();
    store.library.save(&workflow("counter", "0"), &vector(), None).await.unwrap();
    let path = data.path().display().to_string();
    let both = tokio::task::spawn_blocking(move || {
        let start = |me: &str| Writer::start(&format!("hammer {me} {TASKS} {path}"), |_| ());
        let rest = |mut writer: Writer| {
            let mut lines = Vec::new();
            while let Some(line) = writer.line() {
                lines.push(line);
            }
            lines
        };
        [start("p"), start("q")].map(rest)
    });
    let [one, two] = both.await.unwrap();
    assert_eq!((one.last().unwrap().as_str(), two.last().unwrap().as_str()), ("done", "done"));
    let mut winners = BTreeMap::new();
    for line in one.iter().chain(&two).filter(|line| line.starts_with("won")) {
        *winners.entry(line.clone()).or_insert(0) += 1;
    }
    assert_eq!((winners.len(), winners.values().sum::<i32>()), (5, 5), "{winners:?}");
    let counter = WorkflowName::new("counter").unwrap();
    let counted = store.library.get(&counter).await.unwrap().unwrap();
    assert_eq!(counted.source.parse::<usize>().unwrap(), 2 * TASKS / 4);
    assert_eq!(store.library.history(&counter).await.unwrap().len(), 2 * TASKS / 4 + 1);
    assert_eq!(store.library.list(None, usize::MAX).await.unwrap().len(), 2 * TASKS + 5 + 1);
}

/// What was deleted does not come back with the next of its name.
#[tokio::test]
async fn a_name_that_is_used_again() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).await.unwrap();
    for n in 0..3 {
        let new = workflow("again", &n.to_string());
        store.library.save(&new, &vector(), None).await.unwrap();
        let store = open(data.path()).await.unwrap();
        assert_eq!(store.library.get(&new.name).await.unwrap(), Some(new.clone()));
        assert!(store.library.delete(&new.name, Timestamp::from_millis(n)).await.unwrap());
        assert_eq!(open(data.path()).await.unwrap().library.get(&new.name).await.unwrap(), None);
    }
}
