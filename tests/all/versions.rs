//! A name points to a version, and a version never changes; the same with both back-ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use repertoire::workflow::Deletion;
use repertoire::{Code, Engine, Tenant};
use repertoire_tests::{TenantOrNew, bench};
use serde_json::json;

macro_rules! with_both {
    ($($name:ident;)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() {
                super::$name(super::bench().await.engine).await;
            })*
        }

        #[cfg(feature = "full")]
        mod lance {
            $(#[tokio::test] async fn $name() {
                let data = tempfile::tempdir().unwrap();
                let seen = Default::default();
                let engine = repertoire_tests::engine(&seen).await.data(data.path()).build();
                super::$name(engine.await.unwrap()).await;
            })*
        }
    };
}

with_both! {
    names_go_back_to_versions;
    names_are_followed_unless_pinned;
    what_a_deletion_breaks;
    a_running_workflow_keeps_its_version;
    from_inside;
    an_export_is_the_library;
    pages;
}

async fn add(tenant: &Tenant, name: &str, source: &str) -> String {
    tenant.add_workflow(name, source, "").await.unwrap().version.to_string()
}

/// What a workflow returns, as JSON text.
async fn value(tenant: &Tenant, name: &str, pinned: bool) -> Result<String, Code> {
    let invocation = tenant.invocation(name);
    let invocation = if pinned { invocation.pinned() } else { invocation };
    let run = invocation.run().await.map_err(|error| error.code())?;
    run.value().map(|json| json.as_str().to_owned()).map_err(|failure| failure.code)
}

async fn names_go_back_to_versions(engine: Engine) {
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    let one = add(&tenant, "w", "def run(): return 1").await;
    assert!(tenant.delete_workflow("w").await.unwrap().existed);
    let two = add(&tenant, "w", "def run(): return 2").await;
    assert_ne!(one, two);
    // The content alone makes the version: not the name, not the tenant, not the time.
    let other = engine.tenant_or_new("other").await.unwrap();
    assert_eq!(add(&other, "elsewhere", "def run(): return 1").await, one);
    let described = other.add_workflow("x", "def run(): return 1", "One").await.unwrap();
    assert_ne!(described.version.to_string(), one);

    let versions = async || -> Vec<String> {
        let history = tenant.history("w").await.unwrap();
        history.iter().map(|v| v.workflow.version.to_string()).collect()
    };
    assert_eq!(versions().await, [two.clone(), one.clone()]);
    let restored = tenant.restore_workflow("w", &one[..8].to_uppercase()).await.unwrap();
    assert_eq!(restored.version.to_string(), one);
    assert_eq!(value(&tenant, "w", false).await.unwrap(), "1");
    let history = versions().await;
    assert_eq!((history.len(), &history[0]), (3, &one));
    // What it is already, it becomes by doing nothing.
    assert_eq!(tenant.restore_workflow("w", &one).await.unwrap(), restored);
    assert_eq!(versions().await.len(), 3);
    // Back from nothing, too.
    tenant.delete_workflow("w").await.unwrap();
    tenant.restore_workflow("w", &two).await.unwrap();
    assert_eq!(value(&tenant, "w", false).await.unwrap(), "2");
    assert_eq!(tenant.search("w", 5).await.unwrap().len(), 1);
    for (version, code) in [("ffffffffffff", Code::NotFound), ("", Code::NotFound)] {
        assert_eq!(tenant.restore_workflow("w", version).await.unwrap_err().code(), code);
    }
    let error = tenant.restore_workflow("w", &two[..2]).await.unwrap_err();
    assert!(error.message().contains(&two[..12]), "{error}");
    assert_eq!(tenant.restore_workflow("v", &two).await.unwrap_err().code(), Code::NotFound);
}

async fn names_are_followed_unless_pinned(engine: Engine) {
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    let old = add(&tenant, "leaf", "def run(): return 'old'").await;
    add(&tenant, "middle", "def run(): return workflows.leaf()").await;
    add(&tenant, "root", "def run(): return workflows.invoke('middle')").await;
    add(&tenant, "early", "def run(): return workflows.late()").await;
    add(&tenant, "late", "def run(): return 'late'").await;
    let computed = "def run():\n name = 'le' + 'af'\n return workflows.invoke(name)";
    add(&tenant, "computed", computed).await;
    tenant.delete_workflow("leaf").await.unwrap();
    let new = add(&tenant, "leaf", "def run(): return 'new'").await;
    for (name, follows, pinned) in [
        ("root", Ok("\"new\""), Ok("\"old\"")),
        ("middle", Ok("\"new\""), Ok("\"old\"")),
        ("leaf", Ok("\"new\""), Ok("\"new\"")),
        // It was created when the name meant nothing, or without naming it.
        ("early", Ok("\"late\""), Err(Code::Conflict)),
        ("computed", Ok("\"new\""), Err(Code::Conflict)),
    ] {
        assert_eq!(value(&tenant, name, false).await, follows.map(str::to_owned), "{name}");
        assert_eq!(value(&tenant, name, true).await, pinned.map(str::to_owned), "{name} pinned");
    }
    // What is pinned needs no name any more.
    tenant.delete_workflow("leaf").await.unwrap();
    assert_eq!(value(&tenant, "root", false).await, Err(Code::NotFound));
    assert_eq!(value(&tenant, "root", true).await.unwrap(), "\"old\"");
    // Each record says which version ran, and whether it was pinned.
    tenant.flush().await.unwrap();
    let leaves: Vec<_> = tenant
        .runs(100)
        .await
        .unwrap()
        .into_iter()
        .filter(|run| run.invocation.workflow.as_deref() == Some("leaf"))
        .map(|run| (run.invocation.version.unwrap().to_string(), run.invocation.pinned))
        .collect();
    assert_eq!(leaves.first(), Some(&(old.clone(), true)));
    assert!(leaves.contains(&(new, false)), "{leaves:?}");
    assert!(!leaves.contains(&(old, false)), "{leaves:?}");
    // Who invokes whom, and what became of it.
    let graph = tenant.graph().await.unwrap();
    let middle = graph.workflows.iter().find(|links| links.name.as_str() == "middle").unwrap();
    assert_eq!(middle.invokes.len(), 1);
    assert_eq!(graph.version(&middle.invokes[0].name), None);
    let leaf = "leaf".parse().unwrap();
    let callers: Vec<_> = graph.callers(&leaf).map(ToString::to_string).collect();
    assert_eq!(callers, ["middle"]);
}

async fn what_a_deletion_breaks(engine: Engine) {
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    add(&tenant, "leaf", "def run(n: int): return workflows.leaf(n=n - 1) if n else 0").await;
    add(&tenant, "one", "def run(): return workflows.leaf(n=1)").await;
    add(&tenant, "two", "def run(): return workflows.invoke('leaf', n=2)").await;
    let error = tenant.delete_unused_workflow("leaf").await.unwrap_err();
    assert_eq!(error.code(), Code::Conflict);
    assert_eq!(error.details().unwrap().as_str().replace(' ', ""), r#"{"used_by":["one","two"]}"#);
    assert!(tenant.workflow("leaf").await.is_ok());
    let deletion = tenant.delete_workflow("leaf").await.unwrap();
    let broken: Vec<_> = deletion.broken.iter().map(ToString::to_string).collect();
    assert_eq!((deletion.existed, broken), (true, vec!["one".to_owned(), "two".to_owned()]));
    // Nothing is broken by deleting what is not there.
    assert_eq!(tenant.delete_workflow("leaf").await.unwrap(), Deletion::default());
    assert_eq!(tenant.delete_unused_workflow("leaf").await.unwrap(), Deletion::default());
    // What invokes only itself is unused.
    add(&tenant, "alone", "def run(): return workflows.alone").await;
    assert!(tenant.delete_unused_workflow("alone").await.unwrap().existed);
}

/// It edits itself while it runs: the run goes on as it began, the next one is another.
async fn a_running_workflow_keeps_its_version(engine: Engine) {
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    let source = "
def run(edit: bool = True):
    if not edit:
        return 'first'
    workflows.delete('me')
    workflows.create('me', 'def run(edit: bool = True): return \"second\"')
    return ['first', workflows.me(edit=False)]
";
    let first = add(&tenant, "me", source).await;
    let run = tenant.invoke("me", json!({})).await.unwrap();
    assert_eq!(run.value().unwrap().as_str().replace(' ', ""), r#"["first","second"]"#);
    assert_eq!(run.invocation.version.unwrap().to_string(), first);
    let next = tenant.invoke("me", json!({})).await.unwrap();
    assert_eq!(next.value().unwrap().as_str(), "\"second\"");
    assert_ne!(next.invocation.version, run.invocation.version);
    // Pinned, what it invokes is itself as it was.
    tenant.restore_workflow("me", &first).await.unwrap();
    let run = tenant.invocation("me").pinned().run().await.unwrap();
    assert_eq!(run.value().unwrap().as_str().replace(' ', ""), r#"["first","first"]"#);
}

async fn from_inside(engine: Engine) {
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    let code = "
import asyncio, warnings, repertoire
workflows.create('leaf', 'def run(): return 1')
old = workflows.get('leaf')
workflows.create('caller', 'def run(): return workflows.leaf()')
try:
    workflows.delete('leaf', if_unused=True)
except repertoire.ConflictError as error:
    refused = [error.code, error.details['used_by']]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    deleted = workflows.delete('leaf')
warned = [[w.category.__name__, 'caller' in str(w.message)] for w in caught]
workflows.create('leaf', 'def run(): return 2')
answers = [workflows.caller(), workflows.pinned.caller(), workflows.pinned.invoke('caller'), workflows.pinned['caller']()]
answers += await asyncio.gather(workflows.caller.call_async(), workflows.pinned.invoke_async('caller'))
history = [[entry.version == old.version, entry.deleted_at_ms is None] for entry in workflows.history('leaf')]
pins = [[pin.name, pin['version'] == old.version] for pin in workflows.get('caller').invokes]
restored = workflows.restore('leaf', old.version[:10]).version == old.version
[refused, deleted, warned, answers, history, pins, restored, workflows.caller()]
";
    let run = tenant.session().run(code).await.unwrap();
    let value = run.value().unwrap_or_else(|failure| panic!("{}", failure.traceback));
    assert_eq!(
        value.as_str().replace(' ', ""),
        r#"[["conflict",["caller"]],true,[["BrokenWorkflowsWarning",true]],[2,1,1,1,2,1],[[false,true],[true,false]],[["leaf",true]],true,1]"#
    );
    // Left alone, the warning is something that the run has printed.
    let run = tenant.session().run("workflows.delete('leaf')").await.unwrap();
    assert!(run.stderr.contains("caller") && run.stderr.contains("Broken"), "{}", run.stderr);
    // Names that mean something else to `workflows` are not to be had.
    for name in ["pinned", "restore", "history"] {
        let error = tenant.add_workflow(name, "def run(): return 1", "").await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{name}");
    }
}

/// The files of a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

async fn an_export_is_the_library(engine: Engine) {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    // In the order of the alphabet the caller comes first.
    let leaf = "def run():\n    '''É.'''\n    return 1\n";
    tenant.add_workflow("leaf", leaf, "Not what its docstring says").await.unwrap();
    add(&tenant, "caller", "def run(): return workflows.leaf()").await;
    add(&tenant, "gone", "def run(): return 0").await;
    assert_eq!(tenant.export(&first).await.unwrap(), 3);
    assert_eq!(fs::read_to_string(first.join("leaf.py")).unwrap(), leaf);
    tenant.delete_workflow("gone").await.unwrap();
    assert_eq!(tenant.export(&first).await.unwrap(), 2);
    let exported = files(&first);
    let names: Vec<_> = exported.keys().map(String::as_str).collect();
    assert_eq!(names, ["caller.py", "leaf.py", "repertoire.json"]);

    let other = engine.create_tenant("other").await.unwrap();
    let report = other.import(&first, |_, _, _| ()).await.unwrap();
    assert_eq!(report.len(), 2);
    other.export(&second).await.unwrap();
    assert_eq!(files(&second), exported);
    let (ours, theirs) = (tenant.workflow("leaf").await, other.workflow("leaf").await);
    assert_eq!(ours.unwrap().version, theirs.unwrap().version);
    // It was created against what came with it.
    let caller = other.workflow("caller").await.unwrap();
    assert_eq!(caller.invokes, tenant.workflow("caller").await.unwrap().invokes);
    assert_eq!(value(&other, "caller", true).await.unwrap(), "1");
    let again = other.import(&first, |_, _, _| ()).await.unwrap();
    let unchanged =
        |file: &repertoire::Imported| matches!(file.action, repertoire::ImportAction::Unchanged(_));
    assert!(again.iter().all(unchanged), "{again:?}");

    // A folder with something else in it is left alone, and so are files of others.
    let foreign = place.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("mine.py"), "print()").unwrap();
    assert_eq!(tenant.export(&foreign).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
    fs::write(first.join("notes.txt"), "mine").unwrap();
    tenant.export(&first).await.unwrap();
    assert_eq!(fs::read_to_string(first.join("notes.txt")).unwrap(), "mine");
    // A manifest from the future, or one that is none, is refused.
    for manifest in [r#"{"format": 2, "workflows": {}, "more": 1}"#, "[]", ""] {
        fs::write(second.join("repertoire.json"), manifest).unwrap();
        let error = other.import(&second, |_, _, _| ()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{manifest}");
    }
}

async fn pages(engine: Engine) {
    let tenant = engine.tenant_or_new("acme").await.unwrap();
    assert!(tenant.workflows_after(None, 5).await.unwrap().is_empty());
    for n in 0..5 {
        add(&tenant, &format!("w{n}"), "def run(): return 1").await;
    }
    let page = async |after, limit| -> Vec<String> {
        let page = tenant.workflows_after(after, limit).await.unwrap();
        page.iter().map(|workflow| workflow.name.to_string()).collect()
    };
    assert_eq!(page(None, 2).await, ["w0", "w1"]);
    assert_eq!(page(Some("w1"), 2).await, ["w2", "w3"]);
    assert_eq!(page(Some("w11"), 9).await, ["w2", "w3", "w4"]);
    assert!(page(Some("w4"), 2).await.is_empty() && page(None, 0).await.is_empty());
    tenant.delete_workflow("w2").await.unwrap();
    assert_eq!(page(Some("w1"), 2).await, ["w3", "w4"]);
}
