//! A data directory of an older version, and what the doctor says of one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use repertoire::Code;
use repertoire::clock::Timestamp;
use repertoire::storage::doctor::Diagnosis;
use repertoire::storage::lance::LanceStorage;
use repertoire::usage::Span;
use repertoire_tests::{TenantOrNew, engine, engine_on_disk, repository};
use serde_json::json;

/// The number of the newest format.
const NEWEST: u32 = 4;

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// As format 1 left it: `leaf`, its older version, and `caller`, which invokes it and a name
/// that means nothing.
#[tokio::test]
async fn an_older_format_is_upgraded_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let (data, fixture) = (place.path().join("data"), repository().join("tests/fixtures/format-1"));
    copy(&fixture, &data);
    for opened in ["first", "again"] {
        let tenant = engine_on_disk(&data).await.tenant("acme").await.unwrap();
        let names: Vec<_> =
            tenant.workflows().await.unwrap().iter().map(|w| w.name.to_string()).collect();
        assert_eq!(names, ["caller", "leaf"], "{opened}");
        let run = tenant.invoke("leaf", json!({})).await.unwrap();
        assert_eq!(run.value().unwrap().as_str(), "2");
        let leaf = tenant.workflow("leaf").await.unwrap();
        let invokes: Vec<_> = tenant
            .workflow("caller")
            .await
            .unwrap()
            .invokes
            .iter()
            .map(|pin| (pin.name.to_string(), pin.version))
            .collect();
        let expected = [("leaf".to_owned(), Some(leaf.version)), ("missing_one".to_owned(), None)];
        assert_eq!(invokes, expected);
        assert_eq!(tenant.history("leaf").await.unwrap().len(), 2);
        assert_eq!(tenant.search("two", 1).await.unwrap().len(), 1);
        assert_eq!(fs::read_to_string(data.join("FORMAT")).unwrap(), format!("{NEWEST}\n"));
    }
    // An older version is a version like any other.
    let tenant = engine_on_disk(&data).await.tenant("acme").await.unwrap();
    let old = tenant.history("leaf").await.unwrap()[1].workflow.version.to_string();
    tenant.restore_workflow("leaf", &old).await.unwrap();
    let run = tenant.invoke("leaf", json!({})).await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "1");
    // What there was is there, byte for byte.
    let backup = files(&data.join("tenants/acme/backup-format-1"));
    assert!(!backup.is_empty());
    for (name, bytes) in files(&fixture.join("tenants/acme")) {
        if name.starts_with("workflows.lance") || name.starts_with("history.lance") {
            assert!(backup.get(&name) == Some(&bytes), "{}", name.display());
        }
    }
}

/// As format 2 left it: five artifacts, of which `by/run` was saved by a run, and `note` twice.
/// An upgrade that was interrupted, wherever, is done again and comes out the same.
#[tokio::test]
async fn artifacts_without_versions_are_upgraded_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let fixture = repository().join("tests/fixtures/format-2");
    let acme = Path::new("tenants/acme");
    let old = files(&fixture.join(acme));
    let before = fs::read_to_string(fixture.join(acme).join("tenant.json")).unwrap();
    for interrupted in ["not at all", "before it was marked", "before the old table was removed"] {
        let data = place.path().join(interrupted);
        copy(&fixture, &data);
        for opened in ["first", "again"] {
            let tenant = engine_on_disk(&data).await.tenant("acme").await.unwrap();
            let mut found = Vec::new();
            for artifact in tenant.artifacts().await.unwrap() {
                let (_, content) = tenant.load_artifact(artifact.name.as_str()).await.unwrap();
                assert_eq!(content.digest(), artifact.digest);
                let shown = String::from_utf8_lossy(content.as_bytes()).into_owned();
                let run = artifact.run.is_some();
                found.push((
                    artifact.name.to_string(),
                    artifact.version,
                    artifact.kind,
                    run,
                    shown,
                ));
            }
            let expected = [
                ("by/run", "json", true, "[1,2]".to_owned()),
                ("bytes", "binary", false, "\u{fffd}".repeat(2000)),
                ("note", "text", false, "{\"total\": 12.5}\n".to_owned()),
                ("reports/q1", "json", false, "{\"total\": 12.5}\n".to_owned()),
            ];
            let expected =
                expected.map(|(name, kind, run, text)| (name.to_owned(), 1, kind, run, text));
            assert_eq!(found, expected, "{interrupted}, {opened}");
            let report = tenant.artifact("reports/q1", None).await.unwrap();
            assert_eq!(report.description, "Figures of the first quarter");
            assert_eq!(report.media_type, "application/json");
            assert_eq!(
                tenant.invoke("leaf", json!({})).await.unwrap().value().unwrap().as_str(),
                "2"
            );
            drop(tenant);
            if opened == "first" && interrupted != "not at all" {
                copy(
                    &fixture.join(acme).join("artifacts.lance"),
                    &data.join(acme).join("artifacts.lance"),
                );
            }
            if opened == "first" && interrupted == "before it was marked" {
                fs::write(data.join(acme).join("tenant.json"), &before).unwrap();
            }
        }
        let tenant = engine_on_disk(&data).await.tenant("acme").await.unwrap();
        let content = repertoire::artifacts::Content::Text("newer".into());
        assert_eq!(tenant.save_artifact("note", &content, "").await.unwrap().version, 2);
        let backup = files(&data.join("tenants/acme/backup-format-2"));
        for (name, bytes) in &old {
            if name.starts_with("artifacts.lance") {
                assert!(backup.get(name) == Some(bytes), "{}", name.display());
            }
        }
        let diagnosis = examine(&data).await;
        assert_eq!((diagnosis.artifacts, diagnosis.findings), (4, Vec::new()), "{interrupted}");
    }
}

/// As format 3 left it: a run whose record has no columns of what it used.
#[tokio::test]
async fn runs_from_before_usage_was_kept_are_kept_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let fixture = repository().join("tests/fixtures/format-3");
    let data = place.path().join("data");
    copy(&fixture, &data);
    let old = files(&fixture.join("tenants/acme/runs.lance"));
    for runs in [1, 2] {
        let tenant = engine_on_disk(&data).await.tenant("acme").await.unwrap();
        assert_eq!(tenant.runs(10).await.unwrap().len(), runs);
        let run = tenant.invoke("answer", json!({})).await.unwrap();
        let always = Span { since: Timestamp::default(), until: Timestamp::from_millis(u64::MAX) };
        let usage = tenant.usage(always).await.unwrap();
        assert_eq!(usage.total.runs, runs as u64 + 1);
        assert_eq!(usage.total.root_runs, runs as u64, "of the first is not known that it is one");
        assert!(usage.total.fuel >= run.usage.fuel);
        tenant.flush().await.unwrap();
    }
    let backup = files(&data.join("tenants/acme/backup-format-3/runs.lance"));
    assert_eq!(backup, old);
    assert_eq!(examine(&data).await.findings, Vec::new());
}

/// A tenant of a format that is yet to come keeps others out of nothing but itself.
#[tokio::test]
async fn a_newer_tenant_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let engine = engine(&Default::default()).await.data(data.path()).build().await.unwrap();
    engine.create_tenant("acme").await.unwrap();
    engine.create_tenant("other").await.unwrap();
    let path = data.path().join("tenants/acme/tenant.json");
    let newer = fs::read_to_string(&path)
        .unwrap()
        .replace(&format!("\"format\": {NEWEST}"), &format!("\"format\": {}", NEWEST + 1));
    fs::write(&path, &newer).unwrap();
    let engine = repertoire_tests::engine(&Default::default()).await.data(data.path());
    let engine = engine.build().await.unwrap();
    let error = engine.tenant("acme").await.err().unwrap();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains(&format!("format {}", NEWEST + 1)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    engine.tenant("other").await.unwrap();
}

async fn examine(data: &Path) -> Diagnosis {
    LanceStorage::new(data).examine().await.unwrap()
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let missing = LanceStorage::new(data.path().join("none")).examine().await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert!(!data.path().join("none").exists());
    {
        let engine = engine(&Default::default()).await.data(data.path()).build().await.unwrap();
        for name in ["acme", "other"] {
            let tenant = engine.tenant_or_new(name).await.unwrap();
            for n in 0..3 {
                let source = format!("def run(): return {n}");
                tenant.add_workflow(format!("w{n}"), source, "").await.unwrap();
            }
            let content = repertoire::artifacts::Content::Text("kept".into());
            tenant.save_artifact("a", &content, "").await.unwrap();
            tenant.delete_workflow("w0").await.unwrap();
        }
    }
    let before = files(data.path());
    let healthy = examine(data.path()).await;
    assert_eq!((healthy.tenants, healthy.workflows, healthy.artifacts), (2, 4, 2));
    assert_eq!(healthy.findings, []);
    assert!(files(data.path()) == before, "the doctor has changed something");

    // A torn manifest, and a leftover.
    let versions = data.path().join("tenants/acme/workflows.lance/_versions");
    let mut manifests: Vec<_> =
        fs::read_dir(&versions).unwrap().map(|entry| entry.unwrap().path()).collect();
    manifests.retain(|path| path.extension().is_some_and(|e| e == "manifest"));
    manifests.sort();
    fs::write(&manifests[0], "").unwrap();
    fs::create_dir(data.path().join("tenants/.deleted-gone-0")).unwrap();
    let before = files(data.path());
    let sick = examine(data.path()).await;
    let found: Vec<_> = sick
        .findings
        .iter()
        .map(|f| (f.is_damage, f.path.file_name().unwrap().to_str().unwrap().to_owned()))
        .collect();
    assert_eq!(found, [(false, ".deleted-gone-0".to_owned()), (true, "acme".to_owned())]);
    assert!(files(data.path()) == before, "the doctor has changed something");

    // An artifact that is not what was saved.
    let files = data.path().join("tenants/other/artifact_versions.lance/data");
    let file = fs::read_dir(&files).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(4).position(|window| window == b"kept").unwrap();
    bytes[at] = b'w';
    fs::write(&file, bytes).unwrap();
    let sick = examine(data.path()).await;
    assert!(
        sick.findings.iter().any(|f| f.is_damage && f.message.contains("the artifact a")),
        "{:?}",
        sick.findings
    );
}
