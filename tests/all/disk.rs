//! What is on disk: races, processes that are killed, and directories that cannot be used.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use repertoire::artifacts::Content;
use repertoire::{Code, Engine};
use repertoire_tests::{TenantOrNew, engine, engine_on_disk};
use serde_json::json;

/// Names the directory in which [`child_writer`] works, and what it does.
const CHILD: &str = "REPERTOIRE_TESTS_CHILD";

/// Without the model, which has no part in what is tested here.
async fn open(data: &Path) -> Engine {
    engine(&Default::default()).await.data(data).build().await.unwrap()
}

/// Not a test: what a second process does, when a test starts this program again.
#[tokio::test]
#[ignore = "run by other tests, in a process of its own"]
async fn child_writer() {
    let Some(task) = std::env::var_os(CHILD) else { return };
    let (what, data) = task.to_str().unwrap().split_once('=').unwrap();
    let tenant = open(Path::new(data)).await.tenant_or_new("acme").await.unwrap();
    let say = |line: String| {
        let mut out = std::io::stderr().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    say("ready".to_owned());
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    if let Some(me) = what.strip_prefix("race") {
        for n in 0..10 {
            match tenant.add_workflow(format!("w{n}"), format!("def run(): return {me}"), "").await
            {
                Ok(_) => say(format!("won w{n}")),
                Err(error) => assert_eq!(error.code(), Code::AlreadyExists, "{}", error.chain()),
            }
        }
    } else {
        for n in 0.. {
            let name = format!("{what}_{n}");
            tenant.add_workflow(name.as_str(), "def run(): return 'whole'", "").await.unwrap();
            say(format!("saved {name}"));
            tenant
                .save_artifact(&name, &Content::Text(name.repeat(1000).into()), "")
                .await
                .unwrap();
            say(format!("kept {name}"));
        }
    }
    say("done".to_owned());
}

struct Writer {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Writer {
    /// Starts a process that is ready to write.
    fn start(what: &str, data: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["disk::child_writer", "--exact", "--ignored", "--nocapture", "--quiet"])
            .env(CHILD, format!("{what}={}", data.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the writer did not start");
        }
        Self { child, lines }
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// What it said until it ended.
    fn rest(mut self) -> Vec<String> {
        let lines = (&mut self.lines).lines().map_while(Result::ok).collect();
        self.child.wait().unwrap();
        lines
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_create_the_same_names() {
    let data = tempfile::tempdir().unwrap();
    open(data.path()).await.tenant_or_new("acme").await.unwrap();
    let path = data.path().to_owned();
    let both = tokio::task::spawn_blocking(move || {
        let mut writers = [Writer::start("race1", &path), Writer::start("race2", &path)];
        writers.iter_mut().for_each(Writer::go);
        writers.map(Writer::rest)
    });
    let [one, two] = both.await.unwrap();
    assert_eq!(
        (one.last().unwrap().as_str(), two.last().unwrap().as_str()),
        ("done", "done"),
        "{one:?} {two:?}"
    );
    let won = |lines: &[String]| -> BTreeSet<String> {
        lines.iter().filter_map(|line| line.strip_prefix("won ").map(str::to_owned)).collect()
    };
    let (one, two) = (won(&one), won(&two));
    assert_eq!(one.len() + two.len(), 10, "{one:?} {two:?}");
    assert!(one.is_disjoint(&two));
    let tenant = open(data.path()).await.tenant_or_new("acme").await.unwrap();
    assert_eq!(tenant.workflows().await.unwrap().len(), 10);
    for (names, me) in [(one, "1"), (two, "2")] {
        for name in names {
            assert_eq!(
                tenant.invoke(&name, json!({})).await.unwrap().value().unwrap().as_str(),
                me
            );
        }
    }
}

/// Two engines of one process race for every name, and each sees what the other has made.
#[tokio::test]
async fn two_engines_create_the_same_name() {
    let data = tempfile::tempdir().unwrap();
    let tenants = [open(data.path()).await, open(data.path()).await];
    let tenants = [
        tenants[0].tenant_or_new("acme").await.unwrap(),
        tenants[1].tenant_or_new("acme").await.unwrap(),
    ];
    for round in 0..5 {
        let name = format!("w{round}");
        let add =
            |n: usize| tenants[n].add_workflow(name.as_str(), format!("def run(): return {n}"), "");
        let (a, b) = tokio::join!(add(0), add(1));
        let winner = if a.is_ok() { "0" } else { "1" };
        let error = a.err().or(b.err()).expect("both have won");
        assert_eq!(error.code(), Code::AlreadyExists);
        for tenant in &tenants {
            assert_eq!(tenant.workflows().await.unwrap().len(), round + 1);
            assert_eq!(
                tenant.invoke(&name, json!({})).await.unwrap().value().unwrap().as_str(),
                winner
            );
        }
    }
}

/// Whatever a writer was doing when it was killed: what it had confirmed is
/// there, whole, and the next one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_leaves_the_last_good_state() {
    let data = tempfile::tempdir().unwrap();
    let (mut saved, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for (round, after) in [3, 40, 110, 260, 400].into_iter().enumerate() {
        let path = data.path().to_owned();
        let lines = tokio::task::spawn_blocking(move || {
            let mut writer = Writer::start(&format!("round{round}"), &path);
            writer.go();
            std::thread::sleep(Duration::from_millis(after));
            writer.child.kill().unwrap();
            writer.rest()
        });
        for line in lines.await.unwrap() {
            match line.split_once(' ') {
                Some(("saved", name)) => drop(saved.insert(name.to_owned())),
                Some(("kept", name)) => drop(kept.insert(name.to_owned())),
                _ => panic!("the writer said {line:?}"),
            }
        }
        let tenant = open(data.path()).await.tenant_or_new("acme").await.unwrap();
        let names: BTreeSet<_> =
            tenant.workflows().await.unwrap().iter().map(|w| w.name.to_string()).collect();
        assert!(names.is_superset(&saved), "lost: {:?}", saved.difference(&names));
        // At most the one that was on its way is there without a confirmation.
        assert!(names.len() <= saved.len() + round + 1, "{names:?}");
        let artifacts: BTreeSet<_> =
            tenant.artifacts().await.unwrap().iter().map(|a| a.name.to_string()).collect();
        assert!(artifacts.is_superset(&kept), "lost: {:?}", kept.difference(&artifacts));
        for name in &artifacts {
            let (metadata, content) = tenant.load_artifact(name).await.unwrap();
            assert_eq!(content, Content::Text(name.repeat(1000).into()));
            assert_eq!(metadata.size, content.as_bytes().len() as u64);
        }
        for name in names.iter().take(3) {
            let run = tenant.invoke(name, json!({})).await.unwrap();
            assert_eq!(run.value().unwrap().as_str(), "\"whole\"");
        }
        tenant
            .add_workflow(format!("after{round}"), "def run(): return 'whole'", "")
            .await
            .unwrap();
        saved.insert(format!("after{round}"));
    }
    assert!(!kept.is_empty(), "nothing was written before the kill: the test shows nothing");
}

#[tokio::test]
async fn outlives_the_engine() {
    let data = tempfile::tempdir().unwrap();
    let run = {
        let tenant = engine_on_disk(data.path()).await.tenant_or_new("acme").await.unwrap();
        tenant
            .add_workflow("fetch_json", "def run(url: str): return url", "Fetch JSON from a URL")
            .await
            .unwrap();
        tenant.save_artifact("a", &Content::Text("kept".into()), "").await.unwrap();
        let run = tenant.invoke("fetch_json", json!({"url": "x"})).await.unwrap();
        tenant.flush().await.unwrap();
        run
    };
    let tenant = engine_on_disk(data.path()).await.tenant_or_new("acme").await.unwrap();
    let hits = tenant.search("grab JSON from a web address", 1).await.unwrap();
    assert_eq!(hits[0].workflow.name.as_str(), "fetch_json");
    assert_eq!(tenant.load_artifact("a").await.unwrap().1, Content::Text("kept".into()));
    assert_eq!(tenant.run_record(run.invocation.id).await.unwrap().outcome, run.outcome);
    assert_eq!(
        tenant.invoke("fetch_json", json!({"url": "y"})).await.unwrap().value().unwrap().as_str(),
        "\"y\""
    );
}

async fn refused(data: &Path) -> String {
    let error = open(data).await.tenant_or_new("acme").await.err().expect("it was opened");
    assert_eq!(error.code(), Code::Unavailable, "{}", error.chain());
    let message = error.chain();
    assert!(message.contains(data.to_str().unwrap()), "which directory? {message}");
    message
}

#[tokio::test]
async fn directories_that_cannot_be_used() {
    let place = tempfile::tempdir().unwrap();
    // One that is missing is made.
    open(&place.path().join("a/b")).await.tenant_or_new("acme").await.unwrap();
    assert!(place.path().join("a/b/FORMAT").exists());

    let file = place.path().join("file");
    fs::write(&file, "kept").unwrap();
    assert!(refused(&file).await.contains("is a file"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");

    let newer = place.path().join("newer");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("FORMAT"), "999\n").unwrap();
    let message = refused(&newer).await;
    assert!(message.contains("newer version") && message.contains("999"), "{message}");
    assert_eq!(fs::read_to_string(newer.join("FORMAT")).unwrap(), "999\n");
    assert_eq!(fs::read_dir(&newer).unwrap().count(), 1);

    let foreign = place.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("FORMAT"), "a letter\n").unwrap();
    assert!(refused(&foreign).await.contains("not the number"));
}

#[tokio::test]
async fn a_directory_that_is_read_only() {
    if rustix::process::geteuid().is_root() {
        // Permissions do not stop root: what cannot be written for anyone is /proc.
        assert!(refused(Path::new("/proc/repertoire-data")).await.contains("create"));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), PermissionsExt::from_mode(0o500)).unwrap();
    assert!(refused(place.path()).await.contains("permissions"));
}

#[tokio::test]
async fn another_models_vectors_are_not_mixed_in() {
    let data = tempfile::tempdir().unwrap();
    open(data.path()).await.tenant_or_new("acme").await.unwrap();
    let error = engine_on_disk(data.path()).await.tenant_or_new("acme").await.err().unwrap();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("hashing-1") && error.message().contains("MiniLM"), "{error}");
    // And another tenant of the same directory is free to use it.
    engine_on_disk(data.path()).await.tenant_or_new("other").await.unwrap();
}

fn newest(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    // LanceDB numbers versions downwards, so that the newest is the first by name; time is safer.
    entries.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap()
}

/// Power was lost while the newest version of a table was written: the one before is there.
#[tokio::test]
async fn a_torn_version_is_set_aside() {
    for torn in ["empty", "half", "flipped"] {
        let data = tempfile::tempdir().unwrap();
        {
            let tenant = open(data.path()).await.tenant_or_new("acme").await.unwrap();
            tenant.add_workflow("first", "def run(): return 1", "").await.unwrap();
            tenant.add_workflow("second", "def run(): return 2", "").await.unwrap();
        }
        let table = data.path().join("tenants/acme/workflows.lance/_versions");
        assert!(table.is_dir(), "the table lies elsewhere: {}", table.display());
        let version = newest(&table);
        let mut bytes = fs::read(&version).unwrap();
        match torn {
            "empty" => bytes.clear(),
            "half" => bytes.truncate(bytes.len() / 2),
            _ => bytes.iter_mut().rev().take(40).for_each(|byte| *byte ^= 0xff),
        }
        fs::write(&version, &bytes).unwrap();
        let tenant = open(data.path()).await.tenant_or_new("acme").await.unwrap();
        let listed =
            tenant.workflows().await.unwrap_or_else(|error| panic!("{torn}: {}", error.chain()));
        let names: Vec<_> = listed.iter().map(|w| w.name.as_str()).collect();
        assert!(names.contains(&"first"), "{torn}: {names:?}");
        tenant.add_workflow("third", "def run(): return 3", "").await.unwrap();
        assert_eq!(tenant.invoke("third", json!({})).await.unwrap().value().unwrap().as_str(), "3");
        assert_eq!(tenant.invoke("first", json!({})).await.unwrap().value().unwrap().as_str(), "1");
    }
}

/// A damaged file is an error that says so, for whoever needs it; nobody else notices.
#[tokio::test]
async fn a_damaged_data_file_is_named() {
    let data = tempfile::tempdir().unwrap();
    {
        let engine = open(data.path()).await;
        for name in ["acme", "other"] {
            let tenant = engine.tenant_or_new(name).await.unwrap();
            tenant.add_workflow("one", "def run(): return 1", "").await.unwrap();
        }
    }
    let files = data.path().join("tenants/acme/workflows.lance/data");
    let damaged = newest(&files);
    let whole = fs::read(&damaged).unwrap();
    for bytes in [Vec::new(), whole[..whole.len() / 2].to_vec(), vec![0xa5; whole.len()]] {
        fs::write(&damaged, &bytes).unwrap();
        let engine = open(data.path()).await;
        let tenant = engine.tenant_or_new("acme").await.unwrap();
        let error = tenant.workflows().await.expect_err("the damage went unnoticed");
        assert_eq!(error.code(), Code::Unavailable, "{}", error.chain());
        let other = engine.tenant_or_new("other").await.unwrap();
        assert_eq!(other.invoke("one", json!({})).await.unwrap().value().unwrap().as_str(), "1");
    }
    // Put back from a copy, everything is there again.
    fs::write(&damaged, &whole).unwrap();
    let tenant = open(data.path()).await.tenant_or_new("acme").await.unwrap();
    assert_eq!(tenant.invoke("one", json!({})).await.unwrap().value().unwrap().as_str(), "1");
}

/// The model is needed to save and to search, and its absence is not the end of the rest.
#[tokio::test]
async fn without_the_model_what_is_saved_still_runs() {
    use repertoire::embed::fastembed::FastEmbedder;
    use std::sync::Arc;
    let data = tempfile::tempdir().unwrap();
    engine_on_disk(data.path())
        .await
        .tenant_or_new("acme")
        .await
        .unwrap()
        .add_workflow("one", "def run(): return 1", "")
        .await
        .unwrap();
    let missing = Arc::new(FastEmbedder::new(data.path().join("no-model"), None));
    let builder = engine(&Default::default()).await.data(data.path()).embedder(missing);
    let tenant = builder.build().await.unwrap().tenant_or_new("acme").await.unwrap();
    for error in [
        tenant.search("anything", 1).await.unwrap_err(),
        tenant.add_workflow("two", "def run(): return 2", "").await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.message().contains("no-model"), "{error}");
    }
    assert_eq!(tenant.invoke("one", json!({})).await.unwrap().value().unwrap().as_str(), "1");
    assert_eq!(tenant.workflows().await.unwrap().len(), 1);
}

/// Another process that hangs while it holds a tenant's lock stops nobody for ever.
#[tokio::test]
async fn a_directory_that_is_locked() {
    let data = tempfile::tempdir().unwrap();
    let tenant = open(data.path()).await.create_tenant("acme").await.unwrap();
    let path = data.path().join("tenants/acme/lock");
    let lock = fs::File::create(&path).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    // The first write creates a table, under the lock.
    let error = tenant.add_workflow("one", "def run(): return 1", "").await.unwrap_err();
    assert_eq!(error.code(), Code::Busy, "{}", error.chain());
    assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    drop(lock);
    tenant.add_workflow("one", "def run(): return 1", "").await.unwrap();
    assert_eq!(tenant.workflows().await.unwrap().len(), 1);
}
