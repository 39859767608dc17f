//! Both stores of artifacts, side by side: whatever is asked of them, they answer the same.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic is what a test is for")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::lance::LanceArtifacts;
use super::memory::MemoryArtifacts;
use super::{
    ArtifactLimits, Artifacts, Content, Filter, MAX_WHOLE, Metadata, PIECE, SaveOptions, Shelf,
    upgrade,
};
use crate::clock::{Clock, Timestamp};
use crate::error::Code;
use crate::id::ArtifactName;
use crate::json::Json;
use crate::lance::{Database, MARKER};

/// A clock that a test sets.
#[derive(Default)]
struct Set(AtomicU64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + self.0.load(Ordering::Relaxed))
    }
}

fn store(dir: &Path) -> LanceArtifacts {
    std::fs::write(dir.join(MARKER), "{}").unwrap();
    LanceArtifacts::new(&Arc::new(Database::new(dir.to_owned())))
}

fn limits() -> ArtifactLimits {
    ArtifactLimits { quota_bytes: 40 << 20, versions: 3 }
}

fn shelf(store: impl Artifacts + 'static, clock: &Arc<Set>) -> Shelf {
    Shelf::new(Arc::new(store), Arc::clone(clock) as _, limits())
}

fn name(name: &str) -> ArtifactName {
    ArtifactName::new(name).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Save(usize, Content, String, Option<u64>),
    Upload(usize, Vec<usize>),
    Load(usize, Option<u64>),
    List(usize, &'static str),
    Versions(usize),
    Delete(usize, Option<u64>),
    Pass(u64),
    Reopen,
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        any::<String>().prop_map(|text| Content::Text(text.into())),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(|bytes| Content::Binary(bytes.into())),
        (PIECE - 1..PIECE * 2 + 2).prop_map(|size| Content::Binary(vec![3; size].into())),
        any::<(String, f64)>().prop_map(|pair| Content::Json(Json::from_value(&pair).unwrap())),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..3_usize;
    let version = || prop::option::of(1..5_u64);
    let sizes = prop::collection::vec(prop_oneof![0..10_usize, Just(3 * PIECE)], 0..4);
    let step = prop_oneof![
        5 => (name(), content(), any::<String>(), prop::option::of(1..50_u64))
            .prop_map(|(n, c, d, e)| Step::Save(n, c, d, e)),
        1 => (name(), sizes).prop_map(|(n, sizes)| Step::Upload(n, sizes)),
        3 => (name(), version()).prop_map(|(n, v)| Step::Load(n, v)),
        1 => (0..4_usize, prop::sample::select(vec!["", "a", "re", "json"]))
            .prop_map(|(limit, prefix)| Step::List(limit, prefix)),
        1 => name().prop_map(Step::Versions),
        2 => (name(), version()).prop_map(|(n, v)| Step::Delete(n, v)),
        1 => (1..30_u64).prop_map(Step::Pass),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..20)
}

/// What is the same in both: ids of pieces are drawn.
fn alike(metadata: Metadata) -> Metadata {
    Metadata { pieces: metadata.pieces.map(|_| 0), ..metadata }
}

async fn agree(steps: Vec<Step>) {
    let names = ["a", "reports/2026 Q1.csv", "A"].map(name);
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::<Set>::default();
    let (memory, mut lance) =
        (shelf(MemoryArtifacts::new(), &clock), shelf(store(dir.path()), &clock));
    for step in steps {
        match step {
            Step::Save(at, content, description, expires) => {
                let expires_in = expires.map(Duration::from_millis);
                let options = SaveOptions { expires_in, ..description.into() };
                let ours = lance.save(&names[at], &content, options.clone()).await.unwrap();
                let theirs = memory.save(&names[at], &content, options).await.unwrap();
                assert_eq!(alike(ours), alike(theirs));
            }
            Step::Upload(at, sizes) => {
                let mut saved = Vec::new();
                for shelf in [&lance, &memory] {
                    let mut upload = shelf.begin();
                    for size in &sizes {
                        shelf.append(&mut upload, &vec![9; *size]).await.unwrap();
                    }
                    saved.push(alike(shelf.finish(&names[at], upload, "".into()).await.unwrap()));
                }
                assert_eq!(saved[0], saved[1]);
                assert_eq!(saved[0].size, sizes.iter().sum::<usize>() as u64);
            }
            Step::Load(at, version) => {
                let (ours, theirs) = (
                    lance.find(&names[at], version).await.unwrap(),
                    memory.find(&names[at], version).await.unwrap(),
                );
                assert_eq!(ours.clone().map(alike), theirs.clone().map(alike));
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    let content = lance.content(&ours).await.unwrap();
                    assert!(content == memory.content(&theirs).await.unwrap());
                    assert_eq!(content.as_bytes().len() as u64, ours.size);
                }
            }
            Step::List(limit, prefix) => {
                let filter = Filter { limit, prefix: prefix.to_owned(), ..Filter::default() };
                let ours = lance.list(&filter).await.unwrap().into_iter().map(alike);
                let theirs = memory.list(&filter).await.unwrap().into_iter().map(alike);
                assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
            }
            Step::Versions(at) => {
                let ours = lance.versions(&names[at]).await.unwrap().into_iter().map(alike);
                let theirs = memory.versions(&names[at]).await.unwrap().into_iter().map(alike);
                assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
            }
            Step::Delete(at, version) => {
                let ours = lance.delete(&names[at], version).await.unwrap();
                assert_eq!(ours, memory.delete(&names[at], version).await.unwrap());
            }
            Step::Pass(millis) => drop(clock.0.fetch_add(millis, Ordering::Relaxed)),
            Step::Reopen => lance = shelf(store(dir.path()), &clock),
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

/// Two handles stand for two processes; nobody's save is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_who_save_at_once_leave_a_version() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::<Set>::default();
    let limits = ArtifactLimits { versions: 12, ..limits() };
    let open = || {
        Arc::new(Shelf::new(Arc::new(store(dir.path())), Arc::clone(&clock) as _, limits.clone()))
    };
    let shelves = [open(), open()];
    let savers: Vec<_> = (0..12_usize)
        .map(|saver| {
            let shelf = Arc::clone(&shelves[saver % 2]);
            let content = Content::Text(format!("by {saver}").into());
            tokio::spawn(async move { shelf.save(&name("contested"), &content, "".into()).await })
        })
        .collect();
    for saver in savers {
        saver.await.unwrap().unwrap();
    }
    let versions = shelves[0].versions(&name("contested")).await.unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, (1..=12).rev().collect::<Vec<_>>());
    let mut texts = Vec::new();
    for version in &versions {
        let content = shelves[1].content(version).await.unwrap();
        texts.push(String::from_utf8(content.as_bytes().to_vec()).unwrap());
    }
    texts.sort();
    let mut expected: Vec<_> = (0..12).map(|saver| format!("by {saver}")).collect();
    expected.sort();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn the_quota_counts_versions_and_uploads() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::<Set>::default();
    let shelf = shelf(store(dir.path()), &clock);
    let large = Content::Binary(vec![1; 15 << 20].into());
    shelf.save(&name("a"), &large, "".into()).await.unwrap();
    shelf.save(&name("a"), &large, "".into()).await.unwrap();
    let refused = shelf.save(&name("a"), &large, "".into()).await.unwrap_err();
    assert_eq!(refused.code(), Code::QuotaExceeded);
    assert!(refused.message().contains("artifacts.quota_mib"), "{refused}");
    // Pieces that belong to nobody yet count too, and no more when they are given up.
    let mut upload = shelf.begin();
    let refused = loop {
        if let Err(error) = shelf.append(&mut upload, &vec![2; PIECE]).await {
            break error;
        }
    };
    assert_eq!(refused.code(), Code::QuotaExceeded);
    assert!(upload.size() <= 15 << 20, "{}", upload.size());
    drop(upload);
    let rest = Content::Binary(vec![1; 9 << 20].into());
    shelf.save(&name("b"), &rest, "".into()).await.unwrap();
    assert!(shelf.delete(&name("a"), Some(1)).await.unwrap());
    shelf.save(&name("c"), &large, "".into()).await.unwrap();
}

/// Who saves and deletes in a loop does not fill the disk.
#[tokio::test]
async fn churn_leaves_a_bounded_directory() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::<Set>::default();
    let shelf = shelf(store(dir.path()), &clock);
    let large = Content::Binary(vec![1; 12 << 20].into());
    let (mut written, mut refused) = (0_u64, 0);
    // Noughts would be compressed; so would this, if Lance compressed bytes.
    for _ in 0..40 {
        match shelf.save(&name("same"), &large, "".into()).await {
            Ok(saved) => {
                written += saved.size;
                shelf.delete(&name("same"), None).await.unwrap();
            }
            Err(error) => {
                assert_eq!(error.code(), Code::QuotaExceeded, "{error}");
                refused += 1;
            }
        }
    }
    let disk = store(dir.path()).disk(u64::MAX).await.unwrap();
    let most = 2 * limits().quota_bytes + (128 << 20) + (48 << 20);
    assert!(disk <= most, "{disk} bytes on disk after {written} were written");
    assert!(written > most || refused > 0, "the test writes too little: {written}");
}

#[tokio::test]
async fn what_has_expired_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::<Set>::default();
    let shelf = shelf(store(dir.path()), &clock);
    let content = Content::Text("soon gone".into());
    let options =
        SaveOptions { expires_in: Some(Duration::from_secs(60)), ..SaveOptions::default() };
    let saved = shelf.save(&name("note"), &content, options).await.unwrap();
    clock.0.fetch_add(59_999, Ordering::Relaxed);
    assert_eq!(shelf.find(&name("note"), None).await.unwrap(), Some(saved));
    clock.0.fetch_add(1, Ordering::Relaxed);
    assert_eq!(shelf.find(&name("note"), None).await.unwrap(), None);
    assert!(shelf.list(&Filter::default()).await.unwrap().is_empty());
    assert!(!shelf.delete(&name("note"), None).await.unwrap());
    shelf.save(&name("other"), &content, "".into()).await.unwrap();
    assert_eq!(store(dir.path()).versions(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_largest_text_fits_and_pages_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::<Set>::default();
    let shelf = shelf(store(dir.path()), &clock);
    let content = Content::Text("é".repeat(MAX_WHOLE / 2).into());
    let saved = shelf.save(&name("large"), &content, "".into()).await.unwrap();
    assert!(shelf.content(&saved).await.unwrap() == content);
    for index in 0..5 {
        let csv = SaveOptions { media_type: "text/csv".to_owned(), ..SaveOptions::default() };
        shelf.save(&name(&format!("r/{index}")), &Content::Text("".into()), csv).await.unwrap();
    }
    let mut filter = Filter { media_type: "text/".to_owned(), limit: 2, ..Filter::default() };
    let mut seen = Vec::new();
    loop {
        let page = shelf.list(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = last.name.to_string();
        seen.extend(page.iter().map(|found| found.name.to_string()));
    }
    assert_eq!(seen, ["large", "r/0", "r/1", "r/2", "r/3", "r/4"]);
    let filter = Filter { media_type: "text/csv".to_owned(), ..Filter::default() };
    assert_eq!(shelf.list(&filter).await.unwrap().len(), 5);
    let filter = Filter { kind: "picture".to_owned(), ..Filter::default() };
    assert_eq!(shelf.list(&filter).await.unwrap_err().code(), Code::InvalidArgument);
    for media_type in ["text", "a/b\nc", "/x", "x/", "a b/c"] {
        let options = SaveOptions { media_type: media_type.to_owned(), ..SaveOptions::default() };
        let refused = shelf.save(&name("x"), &Content::Text("".into()), options).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument, "{media_type}");
    }
}

/// Formats 1 and 2 had one content a name. What an upgrade that was interrupted has left is
/// not there twice.
#[tokio::test]
async fn what_was_saved_before_there_were_versions_is_version_1() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(MARKER), "{}").unwrap();
    let database = Arc::new(Database::new(dir.path().to_owned()));
    let saved = [("a", "json", b"[1]".to_vec()), ("b", "binary", vec![5; 2 * PIECE + 1])];
    upgrade::save_as_before(&database, &saved).await;
    for _ in 0..2 {
        upgrade::from_2(&database).await.unwrap();
    }
    assert_eq!(store(dir.path()).versions(None).await.unwrap().len(), 2);
    let clock = Arc::<Set>::default();
    let shelf = shelf(store(dir.path()), &clock);
    let found = shelf.find(&name("a"), None).await.unwrap().unwrap();
    assert_eq!((found.version, found.media_type.as_str()), (1, "application/json"));
    assert_eq!((found.description.as_str(), found.created_at.as_millis()), ("what a is", 7));
    assert_eq!(shelf.content(&found).await.unwrap().as_bytes(), b"[1]");
    let large = shelf.find(&name("b"), Some(1)).await.unwrap().unwrap();
    assert_eq!(
        shelf.content(&large).await.unwrap(),
        Content::Binary(vec![5; 2 * PIECE + 1].into())
    );
    assert!(large.pieces.is_some(), "it is not in pieces");
    let new = shelf.save(&name("a"), &Content::Text("new".into()), "".into()).await.unwrap();
    assert_eq!(new.version, 2);
}
