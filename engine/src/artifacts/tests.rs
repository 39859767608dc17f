//! Both stores of artifacts, side by side: whatever is asked of them, they answer the same.

#![allow(clippy::indexing_slicing, reason = "a panic is what a test is for")]

use std::sync::Arc;

use proptest::prelude::*;

use super::lance::LanceArtifacts;
use super::memory::MemoryArtifacts;
use super::{Artifacts, Content, MAX_ARTIFACT, Metadata};
use crate::clock::{FixedClock, FixedEntropy, Timestamp};
use crate::id::{ArtifactName, RunId};
use crate::json::Json;
use crate::lance::{Database, MARKER};

fn open(dir: &std::path::Path) -> LanceArtifacts {
    std::fs::write(dir.join(MARKER), "{}").unwrap();
    LanceArtifacts::new(&Arc::new(Database::new(dir.to_owned())))
}

fn metadata(name: &ArtifactName, content: &Content, description: &str, at: u64) -> Metadata {
    let now = Timestamp::from_millis(at);
    let run = at.is_multiple_of(2).then(|| RunId::new(&FixedClock(now), &FixedEntropy::new(at)));
    Metadata::new(name.clone(), content, description.to_owned(), now, run).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Save(usize, Content, String),
    Load(usize),
    List,
    Delete(usize),
    Reopen,
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        any::<String>().prop_map(|text| Content::Text(text.into())),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(|bytes| Content::Binary(bytes.into())),
        any::<(String, f64)>().prop_map(|pair| Content::Json(Json::from_value(&pair).unwrap())),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..3_usize;
    let step = prop_oneof![
        4 => (name(), content(), any::<String>()).prop_map(|(n, c, d)| Step::Save(n, c, d)),
        3 => name().prop_map(Step::Load),
        1 => Just(Step::List),
        2 => name().prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..20)
}

async fn agree(steps: Vec<Step>) {
    let names = ["a", "reports/2026 Q1.csv", "A"].map(|name| ArtifactName::new(name).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (memory, mut lance) = (MemoryArtifacts::new(), open(dir.path()));
    for (index, step) in steps.into_iter().enumerate() {
        match step {
            Step::Save(at, content, description) => {
                let metadata = metadata(&names[at], &content, &description, index as u64);
                lance.save(&metadata, &content).await.unwrap();
                memory.save(&metadata, &content).await.unwrap();
            }
            Step::Load(at) => {
                let ours = lance.load(&names[at]).await.unwrap();
                assert_eq!(ours, memory.load(&names[at]).await.unwrap());
            }
            Step::List => assert_eq!(lance.list().await.unwrap(), memory.list().await.unwrap()),
            Step::Delete(at) => {
                let ours = lance.delete(&names[at]).await.unwrap();
                assert_eq!(ours, memory.delete(&names[at]).await.unwrap());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_saves_at_once_leaves_one_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let handles = [Arc::new(open(dir.path())), Arc::new(open(dir.path()))];
    let name = ArtifactName::new("contested").unwrap();
    let savers: Vec<_> = (0..12_u64)
        .map(|saver| {
            let artifacts = Arc::clone(&handles[usize::try_from(saver % 2).unwrap()]);
            let content = Content::Text(format!("by {saver}").into());
            let metadata = metadata(&name, &content, "", saver);
            tokio::spawn(async move { artifacts.save(&metadata, &content).await })
        })
        .collect();
    for saver in savers {
        saver.await.unwrap().unwrap();
    }
    let all = handles[0].list().await.unwrap();
    assert_eq!(all.len(), 1);
    let (metadata, content) = handles[1].load(&name).await.unwrap().unwrap();
    assert_eq!(metadata, all[0]);
    assert_eq!(Metadata { run: None, ..metadata.clone() }.size, content.as_bytes().len() as u64);
}

#[tokio::test]
async fn the_largest_artifact_fits() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = open(dir.path());
    let content = Content::Binary(vec![7; MAX_ARTIFACT].into());
    let name = ArtifactName::new("large").unwrap();
    let metadata = metadata(&name, &content, "", 1);
    artifacts.save(&metadata, &content).await.unwrap();
    assert_eq!(artifacts.load(&name).await.unwrap(), Some((metadata, content)));
}
