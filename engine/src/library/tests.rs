//! Both libraries, side by side: whatever is asked of them, they answer the same.

#![allow(clippy::indexing_slicing, reason = "a panic is what a test is for")]

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::Library;
use super::lance::LanceLibrary;
use super::memory::MemoryLibrary;
use crate::clock::Timestamp;
use crate::embed::Vector;
use crate::error::{Code, Result};
use crate::id::WorkflowName;
use crate::json::Json;
use crate::lance::{Database, MARKER};
use crate::search::Question;
use crate::workflow::{Analysis, Parameter, Pin, Raises, Signature, Uses, Warning, Workflow};

const HOSTILE: &str = "O'Brien \\' `x` \"y\" 100%_ /* -- */ \n\0\u{1f600}";

fn name(text: &str) -> WorkflowName {
    WorkflowName::new(text).unwrap()
}

/// A workflow whose every field has something in it that could get lost.
fn workflow(name: &WorkflowName, text: &str, at: u64) -> Workflow {
    let source = format!("def run(): return {text:?}");
    let parameter = |default| Parameter {
        name: text.to_owned(),
        schema: Json::parse("{\"type\": \"integer\", \"maximum\": 1e400}").unwrap(),
        required: true,
        default,
        description: text.to_owned(),
    };
    let analysis = Analysis {
        signature: Signature {
            parameters: vec![parameter(None), parameter(Some(Json::null()))],
            raises: vec![Raises { exception: "E".to_owned(), description: text.to_owned() }],
            ..Signature::default()
        },
        docstring: text.to_owned(),
        uses: Uses { tools: vec![text.to_owned()], ..Uses::default() },
        warnings: vec![Warning { code: "c".to_owned(), message: text.to_owned(), line: 7 }],
        ..Analysis::default()
    };
    let workflow = Workflow::new(name.clone(), source, text, analysis, Timestamp::from_millis(at));
    let pin = |name: &str, version| Pin { name: WorkflowName::new(name).unwrap(), version };
    let invokes = vec![pin("a", Some(workflow.version)), pin("missing", None)];
    Workflow { invokes, ..workflow }
}

fn vector(seed: u64) -> Vector {
    let angle = seed as f32;
    Arc::from([angle.cos(), angle.sin() * angle.sin(), angle.sin() * angle.cos()])
}

fn question(seed: u64) -> Question {
    Question { text: "1 x O'Brien".to_owned(), vector: vector(seed) }
}

fn open(dir: &std::path::Path) -> LanceLibrary {
    std::fs::write(dir.join(MARKER), "{}").unwrap();
    LanceLibrary::new(&Arc::new(Database::new(dir.to_owned())), 3).unwrap()
}

fn code<T>(result: Result<T>) -> Result<T, Code> {
    result.map_err(|error| error.code())
}

#[derive(Debug, Clone)]
enum Step {
    Create(usize, String),
    Replace(usize, String, usize),
    Page(usize, usize),
    Get(usize),
    List,
    Nearest(u64, usize),
    Delete(usize),
    History(usize),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_usize, any::<String>()).prop_map(|(name, text)| Step::Create(name, text)),
        3 => (0..4_usize, any::<String>(), 0..3_usize)
            .prop_map(|(name, text, expected)| Step::Replace(name, text, expected)),
        1 => (0..5_usize, 0..4_usize).prop_map(|(after, limit)| Step::Page(after, limit)),
        2 => (0..4_usize).prop_map(Step::Get),
        1 => Just(Step::List),
        2 => (0..100_u64, 0..6_usize).prop_map(|(seed, limit)| Step::Nearest(seed, limit)),
        2 => (0..4_usize).prop_map(Step::Delete),
        1 => (0..4_usize).prop_map(Step::History),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..20)
}

async fn agree(steps: Vec<Step>) {
    let names = ["a", "B", "fetch_json", "x1"].map(name);
    let dir = tempfile::tempdir().unwrap();
    let (memory, mut lance) = (MemoryLibrary::new(), open(dir.path()));
    for (index, step) in steps.into_iter().enumerate() {
        let now = index as u64;
        match step {
            Step::Create(at, text) => {
                let workflow = workflow(&names[at], &text, now);
                let vector = vector(now);
                let ours = code(lance.save(&workflow, &vector, None).await);
                assert_eq!(ours, code(memory.save(&workflow, &vector, None).await));
            }
            Step::Replace(at, text, expected) => {
                let (workflow, vector) = (workflow(&names[at], &text, now), vector(now));
                // What it means, what it meant once, or what it never meant.
                let versions = memory.history(&names[at]).await.unwrap();
                let versions: Vec<_> = versions.iter().map(|v| v.workflow.version).collect();
                let version = versions.get(expected).copied().unwrap_or(workflow.version);
                let ours = code(lance.save(&workflow, &vector, Some(&version)).await);
                assert_eq!(ours, code(memory.save(&workflow, &vector, Some(&version)).await));
            }
            Step::Page(after, limit) => {
                let after = names.get(after);
                let ours = lance.list(after, limit).await.unwrap();
                assert_eq!(ours, memory.list(after, limit).await.unwrap());
                assert_eq!(lance.graph().await.unwrap(), memory.graph().await.unwrap());
            }
            Step::Get(at) => {
                let ours = lance.get(&names[at]).await.unwrap();
                assert_eq!(ours, memory.get(&names[at]).await.unwrap());
            }
            Step::List => {
                assert_eq!(
                    lance.list(None, usize::MAX).await.unwrap(),
                    memory.list(None, usize::MAX).await.unwrap()
                );
            }
            Step::Nearest(seed, limit) => {
                let question = question(seed);
                let ours = lance.search(&question, limit).await.unwrap();
                assert_eq!(ours, memory.search(&question, limit).await.unwrap());
            }
            Step::Delete(at) => {
                let now = Timestamp::from_millis(now);
                let ours = lance.delete(&names[at], now).await.unwrap();
                assert_eq!(ours, memory.delete(&names[at], now).await.unwrap());
            }
            Step::History(at) => {
                let ours = lance.history(&names[at]).await.unwrap();
                assert_eq!(ours, memory.history(&names[at]).await.unwrap());
            }
            Step::Reopen => lance = open(dir.path()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 64, ..Default::default() })]

    #[test]
    fn memory_and_lance_agree(steps in steps()) {
        tokio::runtime::Runtime::new().unwrap().block_on(agree(steps));
    }
}

#[tokio::test]
async fn hostile_text_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    let saved = workflow(&name("ob"), HOSTILE, 1);
    library.save(&saved, &vector(1), None).await.unwrap();
    assert_eq!(library.get(&saved.name).await.unwrap(), Some(saved.clone()));
    assert_eq!(
        open(dir.path()).list(None, usize::MAX).await.unwrap(),
        std::slice::from_ref(&saved)
    );
    assert_eq!(library.search(&question(1), 9).await.unwrap()[0].workflow, saved);
}

#[tokio::test]
async fn an_empty_library_answers() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    for _ in 0..2 {
        assert_eq!(library.get(&name("a")).await.unwrap(), None);
        assert!(library.list(None, usize::MAX).await.unwrap().is_empty());
        assert!(library.search(&question(0), 10).await.unwrap().is_empty());
        assert!(!library.delete(&name("a"), Timestamp::default()).await.unwrap());
        // The second time, the tables exist, without rows.
        library.save(&workflow(&name("b"), "", 1), &vector(0), None).await.unwrap();
        assert!(library.delete(&name("b"), Timestamp::default()).await.unwrap());
    }
}

/// Two handles are as good as two processes: they share nothing but the directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_races_for_a_name_either_has_it_or_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let handles = [Arc::new(open(dir.path())), Arc::new(open(dir.path()))];
    for round in 0..4_u64 {
        let contested = name(&format!("w{round}"));
        let racers: Vec<_> = (0..16_u64)
            .map(|racer| {
                let library = Arc::clone(&handles[usize::try_from(racer % 2).unwrap()]);
                let workflow = workflow(&contested, &format!("by {racer}"), racer);
                tokio::spawn(async move {
                    (workflow.clone(), library.save(&workflow, &vector(racer), None).await)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            let (workflow, result) = racer.await.unwrap();
            match result {
                Ok(()) => winners.push(workflow),
                Err(error) => assert_eq!(error.code(), Code::AlreadyExists, "{}", error.chain()),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        for library in &handles {
            assert_eq!(library.get(&contested).await.unwrap().as_ref(), winners.first());
        }
    }
    assert_eq!(handles[0].list(None, usize::MAX).await.unwrap().len(), 4);
}

#[tokio::test]
async fn others_writes_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (open(dir.path()), open(dir.path()));
    assert_eq!(two.get(&name("a")).await.unwrap(), None);
    one.save(&workflow(&name("a"), "1", 1), &vector(1), None).await.unwrap();
    assert!(two.get(&name("a")).await.unwrap().is_some());
    assert!(two.delete(&name("a"), Timestamp::from_millis(2)).await.unwrap());
    assert_eq!(one.get(&name("a")).await.unwrap(), None);
    one.save(&workflow(&name("a"), "2", 3), &vector(1), None).await.unwrap();
    let history = two.history(&name("a")).await.unwrap();
    let when: Vec<_> = history.iter().map(|v| v.deleted_at.map(Timestamp::as_millis)).collect();
    assert_eq!(when, [None, Some(2)]);
}

fn newest_manifest(table: &std::path::Path) -> std::path::PathBuf {
    let mut manifests: Vec<_> = std::fs::read_dir(table.join("_versions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "manifest"))
        .collect();
    // Their names count down.
    manifests.sort();
    manifests.swap_remove(0)
}

#[tokio::test]
async fn a_torn_write_leaves_the_last_good_state() {
    type Damage = fn(&mut Vec<u8>);
    let kinds: [(&str, Damage); 4] = [
        ("empty", Vec::clear),
        ("half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("zeros", |bytes| bytes.fill(0)),
        ("garbage", |bytes| bytes[4..].fill(0xa5)),
    ];
    for (kind, damage) in kinds {
        let dir = tempfile::tempdir().unwrap();
        let library = open(dir.path());
        for (at, text) in ["a", "b", "c"].into_iter().enumerate() {
            library.save(&workflow(&name(text), "", at as u64), &vector(0), None).await.unwrap();
        }
        let torn = newest_manifest(&dir.path().join("workflows.lance"));
        let mut bytes = std::fs::read(&torn).unwrap();
        damage(&mut bytes);
        std::fs::write(&torn, bytes).unwrap();

        let library = open(dir.path());
        let names: Vec<_> = library
            .list(None, usize::MAX)
            .await
            .unwrap()
            .into_iter()
            .map(|w| w.name.to_string())
            .collect();
        assert_eq!(names, ["a", "b"], "{kind}");
        assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 1);
        library.save(&workflow(&name("c"), "again", 9), &vector(0), None).await.unwrap();
        assert_eq!(open(dir.path()).list(None, usize::MAX).await.unwrap().len(), 3, "{kind}");
    }
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let versions = dir.path().join("workflows.lance/_versions");
    std::fs::create_dir_all(&versions).unwrap();
    std::fs::create_dir_all(dir.path().join("workflows.lance/data")).unwrap();
    std::fs::write(versions.join("18446744073709551614.manifest#1"), "half").unwrap();
    std::fs::write(dir.path().join("workflows.lance/data/half.lance"), "half").unwrap();
    let library = open(dir.path());
    assert!(library.list(None, usize::MAX).await.unwrap().is_empty());
    library.save(&workflow(&name("a"), "", 1), &vector(0), None).await.unwrap();
    assert_eq!(library.list(None, usize::MAX).await.unwrap().len(), 1);
}

/// Run it by name, with `--ignored --nocapture`, for the figures.
#[tokio::test]
#[ignore = "takes half a minute"]
async fn a_thousand_workflows() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(MARKER), "{}").unwrap();
    let database = Arc::new(Database::new(dir.path().to_owned()));
    let library = LanceLibrary::new(&database, 384).unwrap();
    let vector = |seed: u64| -> Vector {
        let mut numbers = vec![0.0_f32; 384];
        numbers[usize::try_from(seed % 384).unwrap()] = 0.6;
        numbers[usize::try_from(seed * 7 % 383).unwrap()] += 0.8;
        numbers.into()
    };
    let report = |what: &str, mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times[(times.len() - 1) * part / 100];
        println!("{what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(50), at(99), at(100));
    };
    let mut times = Vec::new();
    // Not a multiple of what is tidied at: some files are still to be merged.
    for index in 0..1011_u64 {
        let new = workflow(&name(&format!("w{index}")), "does something useful", index);
        let start = Instant::now();
        library.save(&new, &vector(index), None).await.unwrap();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    report("create, first 100", times[..100].to_vec());
    report("create, last 100", times[911..].to_vec());
    database.settle().await;
    let (mut get, mut again, mut search) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..200_u64 {
        for times in [&mut get, &mut again] {
            let start = Instant::now();
            assert!(library.get(&name(&format!("w{}", index * 5))).await.unwrap().is_some());
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let start = Instant::now();
        assert_eq!(library.search(&question(index * 3), 10).await.unwrap().len(), 10);
        search.push(start.elapsed().as_secs_f64() * 1e3);
    }
    report("get at 1,000", get);
    report("get again", again);
    report("search at 1,000", search);
    let mut reopen = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let library = open_wide(dir.path());
        assert!(library.get(&name("w7")).await.unwrap().is_some());
        reopen.push(start.elapsed().as_secs_f64() * 1e3);
    }
    report("reopen and get", reopen);
    let start = Instant::now();
    assert_eq!(library.list(None, usize::MAX).await.unwrap().len(), 1011);
    println!("list: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    let files = |folder: &str| {
        std::fs::read_dir(dir.path().join("workflows.lance").join(folder)).unwrap().count()
    };
    println!("{} data files, {} manifests", files("data"), files("_versions"));
}

fn open_wide(dir: &std::path::Path) -> LanceLibrary {
    LanceLibrary::new(&Arc::new(Database::new(dir.to_owned())), 384).unwrap()
}

#[tokio::test]
async fn what_is_saved_together_is_there_but_for_names_that_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (lance, memory) = (open(dir.path()), MemoryLibrary::new());
    for library in [&lance as &dyn Library, &memory] {
        library.save(&workflow(&name("b"), "old", 1), &vector(1), None).await.unwrap();
        let new = ["a", "b", "c"].map(|new| (workflow(&name(new), "new", 2), vector(2)));
        assert_eq!(library.save_new(&new).await.unwrap(), [name("b")]);
        let kept = library.get(&name("b")).await.unwrap().unwrap();
        assert_eq!(kept.description, "old");
        let found = library.search(&question(2), 9).await.unwrap();
        assert_eq!(found.len(), 3);
        let twice = [0, 1].map(|_| (workflow(&name("d"), "new", 2), vector(2)));
        assert_eq!(code(library.save_new(&twice).await), Err(Code::AlreadyExists));
        assert!(library.get(&name("d")).await.unwrap().is_none());
    }
}
