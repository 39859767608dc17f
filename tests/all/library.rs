//! Saving, finding, importing, and whose it is; the same with both back-ends.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use repertoire::artifacts::{Content, MAX_WHOLE};
use repertoire::{Code, Engine, ImportAction, Tenant};
use repertoire_tests::{TenantOrNew, bench};
use serde_json::json;

/// Runs a test against the library in memory, and against LanceDB in a directory.
macro_rules! with_both {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        mod memory {
            $(#[tokio::test] $(#[$meta])* async fn $name() {
                super::$name(super::bench().await.engine).await;
            })*
        }

        #[cfg(feature = "full")]
        mod lance {
            $(#[tokio::test] $(#[$meta])* async fn $name() {
                let data = tempfile::tempdir().unwrap();
                super::$name(repertoire_tests::engine_on_disk(data.path()).await).await;
            })*
        }
    };
}

with_both! {
    create_get_list_delete;
    names_are_created_once;
    artifacts_of_all_kinds;
    tenants_do_not_see_each_other;
    tenants_are_created_once;
    an_empty_library_answers;
    import_is_idempotent;
    runs_are_recorded;
}

async fn tenant(engine: &Engine) -> Tenant {
    engine.tenant_or_new("acme").await.unwrap()
}

async fn create_get_list_delete(engine: Engine) {
    let tenant = tenant(&engine).await;
    let source = "def run(number: int) -> int:\n    \"\"\"Twice the number.\n\n    More of it.\n    \"\"\"\n    return 2 * number\n";
    let created = tenant.add_workflow("double", source, "").await.unwrap();
    assert_eq!(created.description, "Twice the number.");
    assert_eq!(created.analysis.signature.text, "(number: int) -> int");
    tenant.add_workflow("again", "def run(): return 1", "Do it again").await.unwrap();
    assert_eq!(tenant.workflow("double").await.unwrap(), created);
    let names: Vec<_> =
        tenant.workflows().await.unwrap().iter().map(|w| w.name.to_string()).collect();
    assert_eq!(names, ["again", "double"]);
    assert_eq!(
        tenant.invoke("double", json!({"number": 4})).await.unwrap().value().unwrap().as_str(),
        "8"
    );

    // Immutable: not even the same source again, and nothing changes by trying.
    for attempt in [source, "def run(): return 'other'"] {
        let error = tenant.add_workflow("double", attempt, "").await.unwrap_err();
        assert_eq!(error.code(), Code::AlreadyExists);
        assert!(
            error.message().contains("double") && error.message().contains("delete"),
            "{error}"
        );
    }
    assert_eq!(tenant.workflow("double").await.unwrap(), created);

    assert!(tenant.delete_workflow("double").await.unwrap().existed);
    assert!(!tenant.delete_workflow("double").await.unwrap().existed);
    assert_eq!(tenant.workflow("double").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(tenant.invoke("double", json!({})).await.unwrap_err().code(), Code::NotFound);
    tenant.add_workflow("double", "def run(): return 'new'", "").await.unwrap();
    assert_eq!(
        tenant.invoke("double", json!({})).await.unwrap().value().unwrap().as_str(),
        "\"new\""
    );
    let history = tenant.history("double").await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!((history[0].deleted_at, &history[1].workflow), (None, &created));
    assert!(history[1].deleted_at.is_some());
}

async fn names_are_created_once(engine: Engine) {
    let tenant = tenant(&engine).await;
    let attempts = join_all(
        (0..12).map(|n| tenant.add_workflow("once", format!("def run(): return {n}"), "")),
    )
    .await;
    let (won, lost): (Vec<_>, Vec<_>) =
        attempts.into_iter().enumerate().partition(|(_, result)| result.is_ok());
    assert_eq!((won.len(), lost.len()), (1, 11));
    for (_, error) in lost {
        assert_eq!(error.unwrap_err().code(), Code::AlreadyExists);
    }
    let run = tenant.invoke("once", json!({})).await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), won[0].0.to_string());
    assert_eq!(tenant.workflows().await.unwrap().len(), 1);
}

async fn artifacts_of_all_kinds(engine: Engine) {
    let tenant = tenant(&engine).await;
    let code = "
kinds = {'bytes': b'\\x00\\xff', 'text': 'é\\n', 'json': {'n': 10**40, 'list': [None]}, 'a/b c.txt': ''}
saved = [artifacts.save(name, value, description='what ' + name) for name, value in kinds.items()]
assert all(artifacts.load(name) == value for name, value in kinds.items())
[[a.name, a.kind, a.size, a.description] for a in artifacts.list()]
";
    let run = tenant.session().run(code).await.unwrap();
    let listed: Vec<(String, String, u64, String)> =
        run.value().unwrap_or_else(|f| panic!("{}", f.traceback)).to().unwrap();
    let shown: Vec<_> =
        listed.iter().map(|(name, kind, size, _)| format!("{name} {kind} {size}")).collect();
    assert_eq!(shown, ["a/b c.txt text 0", "bytes binary 2", "json json 61", "text text 3"]);
    let (metadata, content) = tenant.load_artifact("bytes").await.unwrap();
    assert_eq!(content, Content::Binary([0, 255].into()));
    assert_eq!(
        (metadata.run, metadata.description.as_str()),
        (Some(run.invocation.id), "what bytes")
    );
    assert_eq!(metadata.digest, "06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8");

    // A name means its newest version; the older one is still there.
    let new = tenant.save_artifact("bytes", &Content::Text("now text".into()), "").await.unwrap();
    assert_eq!(new.version, 2);
    assert_eq!(tenant.load_artifact("bytes").await.unwrap().1, Content::Text("now text".into()));
    let first = tenant.artifact("bytes", Some(1)).await.unwrap();
    assert_eq!(tenant.artifact_content(&first).await.unwrap(), Content::Binary([0, 255].into()));
    assert_eq!(tenant.artifacts().await.unwrap().len(), 4);
    let large = Content::Text("x".repeat(MAX_WHOLE + 1).into());
    let error = tenant.save_artifact("large", &large, "").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let large = Content::Binary(vec![7; (16 << 20) + 5].into());
    tenant.save_artifact("large", &large, "").await.unwrap();
    assert!(tenant.load_artifact("large").await.unwrap().1 == large);
    assert!(tenant.delete_artifact("large").await.unwrap());
    assert!(!tenant.delete_artifact("large").await.unwrap());
}

/// The same names mean each tenant's own; what the other has leaves no trace, not even in an error.
async fn tenants_do_not_see_each_other(engine: Engine) {
    let a = engine.tenant_or_new("a").await.unwrap();
    let b = engine.tenant_or_new("b").await.unwrap();
    let secret = "quarterly payroll reconciliation for ACME";
    b.add_workflow("private_name", "def run(): return 'of b'", secret).await.unwrap();
    b.save_artifact("report", &Content::Text("of b".into()), "").await.unwrap();
    a.add_workflow("public_name", "def run(): return 'of a'", "resize an image").await.unwrap();
    let code = format!(
        "from repertoire import RepertoireError
def error_of(door):
    try: return repr(door())
    except RepertoireError as error: return error.code
seen = [
    workflows.get('private_name'), artifacts.load('report'), [a.name for a in artifacts.list()],
    [w.name for w in workflows.list()], [hit.name for hit in workflows.search('{secret}', limit=100)],
    error_of(lambda: workflows.invoke('private_name')) == error_of(lambda: workflows.invoke('random_name')),
    artifacts.delete('report'), workflows.delete('private_name'), workflows.create('private_name', 'def run(): return 1').name,
]
seen"
    );
    let run = a.session().run(&code).await.unwrap();
    let seen = run.value().unwrap_or_else(|f| panic!("{}", f.traceback)).as_str().replace(' ', "");
    assert_eq!(
        seen,
        r#"[null,null,[],["public_name"],["public_name"],true,false,false,"private_name"]"#
    );
    assert_eq!(
        b.invoke("private_name", json!({})).await.unwrap().value().unwrap().as_str(),
        "\"of b\""
    );
    assert!(b.runs(10).await.unwrap().iter().all(|r| r.invocation.id != run.invocation.id));
    let error = a.run_record(b.runs(1).await.unwrap()[0].invocation.id).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);

    let tenants: Vec<_> = engine.tenants().await.unwrap().iter().map(ToString::to_string).collect();
    assert!(tenants.contains(&"a".to_owned()) && tenants.contains(&"b".to_owned()), "{tenants:?}");
    assert!(engine.delete_tenant(b.id()).await.unwrap());
    assert_eq!(engine.tenant("b").await.err().unwrap().code(), Code::NotFound);
    let b = engine.create_tenant("b").await.unwrap();
    assert!(b.workflows().await.unwrap().is_empty() && b.artifacts().await.unwrap().is_empty());
    assert_eq!(a.workflows().await.unwrap().len(), 2);
}

/// Nobody gets a library by mistyping a name, and nobody overwrites one.
async fn tenants_are_created_once(engine: Engine) {
    let error = engine.tenant("globex").await.err().unwrap();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("tenants create globex"), "{error}");
    let names = async || -> Vec<String> {
        engine.tenants().await.unwrap().iter().map(ToString::to_string).collect()
    };
    assert!(!names().await.contains(&"globex".to_owned()), "asking for it has created it");
    let globex = engine.create_tenant("globex").await.unwrap();
    globex.add_workflow("one", "def run(): return 1", "").await.unwrap();
    let error = engine.tenant("globx").await.err().unwrap();
    assert!(error.message().contains("did you mean globex?"), "{error}");
    let error = engine.create_tenant("globex").await.err().unwrap();
    assert_eq!(error.code(), Code::AlreadyExists);
    let again = engine.tenant("globex").await.unwrap();
    assert_eq!(again.workflows().await.unwrap().len(), 1);
    // Two at once: one has created it.
    let (a, b) = tokio::join!(engine.create_tenant("x"), engine.create_tenant("x"));
    assert_eq!(a.is_ok(), b.is_err());
    // One exists by itself.
    engine.tenant(repertoire::id::TenantId::DEFAULT).await.unwrap();
    assert!(engine.delete_tenant(globex.id()).await.unwrap());
    assert!(!engine.delete_tenant(globex.id()).await.unwrap());
    let names = names().await;
    assert!(names.contains(&"default".to_owned()) && names.contains(&"x".to_owned()), "{names:?}");
    assert!(!names.contains(&"globex".to_owned()), "{names:?}");
}

async fn an_empty_library_answers(engine: Engine) {
    let tenant = tenant(&engine).await;
    assert!(tenant.search("grab JSON from a web address", 5).await.unwrap().is_empty());
    assert!(tenant.workflows().await.unwrap().is_empty());
    assert!(tenant.artifacts().await.unwrap().is_empty());
    assert!(tenant.runs(5).await.unwrap().is_empty());
    let run = tenant
        .session()
        .run("[workflows.search('x'), workflows.list(), artifacts.list()]")
        .await
        .unwrap();
    assert_eq!(run.value().unwrap().as_str().replace(' ', ""), "[[],[],[]]");
}

async fn import_is_idempotent(engine: Engine) {
    let tenant = tenant(&engine).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "one.py",
        "\"\"\"From the module.\n\nMore.\n\"\"\"\n\ndef run():\n    \"\"\"From run.\"\"\"\n    return 1\n",
    );
    write("two.py", "def run():\n    \"\"\"From run.\"\"\"\n    return 2\n");
    write("broken.py", "def run(:\n");
    write("class.py", "def run(): return 1\n");
    fs::write(folder.path().join("latin.py"), b"# \xe9\ndef run(): return 1").unwrap();
    write("README.md", "not a workflow");
    let told = AtomicUsize::new(0);
    let import = async || {
        let report = tenant
            .import(folder.path(), |_, _, _| {
                told.fetch_add(1, Ordering::SeqCst);
            })
            .await
            .unwrap();
        report
            .iter()
            .map(|file| {
                let name = file.path.file_name().unwrap().to_string_lossy().into_owned();
                match &file.action {
                    ImportAction::Created(workflow) => {
                        format!("{name} created: {}", workflow.description)
                    }
                    ImportAction::Updated(_) => format!("{name} updated"),
                    ImportAction::Unchanged(_) => format!("{name} unchanged"),
                    ImportAction::Failed(error) => format!("{name} {}", error.code()),
                }
            })
            .collect::<Vec<_>>()
    };
    let failed =
        ["broken.py invalid-source", "class.py invalid-argument", "latin.py invalid-argument"];
    assert_eq!(
        import().await,
        [
            failed[0],
            failed[1],
            failed[2],
            "one.py created: From the module.",
            "two.py created: From run."
        ]
    );
    assert_eq!(told.load(Ordering::SeqCst), 5);
    let created_at = tenant.workflow("one").await.unwrap().created_at;
    assert_eq!(
        import().await,
        [failed[0], failed[1], failed[2], "one.py unchanged", "two.py unchanged"]
    );
    assert_eq!(tenant.workflow("one").await.unwrap().created_at, created_at);
    write("two.py", "def run():\n    return 'two'\n");
    assert_eq!(
        import().await,
        [failed[0], failed[1], failed[2], "one.py unchanged", "two.py updated"]
    );
    assert_eq!(tenant.invoke("two", json!({})).await.unwrap().value().unwrap().as_str(), "\"two\"");
    assert_eq!(tenant.history("two").await.unwrap().len(), 2);
    assert_eq!(tenant.history("one").await.unwrap().len(), 1);
    // A change that does not parse leaves what there was.
    write("two.py", "def run(\n");
    assert_eq!(
        import().await,
        [failed[0], failed[1], failed[2], "one.py unchanged", "two.py invalid-source"]
    );
    assert_eq!(tenant.invoke("two", json!({})).await.unwrap().value().unwrap().as_str(), "\"two\"");
    let error = tenant.import(&folder.path().join("none"), |_, _, _| ()).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

async fn runs_are_recorded(engine: Engine) {
    let tenant = tenant(&engine).await;
    tenant
        .add_workflow("divide", "def run(by: int):\n print('dividing')\n return 1 / by", "")
        .await
        .unwrap();
    let good = tenant.invocation("divide").arguments(json!({"by": 2})).seed(9).run().await.unwrap();
    let bad = tenant.invoke("divide", json!({"by": 0})).await.unwrap();
    tenant.flush().await.unwrap();
    for run in [&good, &bad] {
        let record = tenant.run_record(run.invocation.id).await.unwrap();
        assert_eq!((&record.invocation, &record.outcome), (&run.invocation, &run.outcome));
        assert_eq!((record.usage.fuel, record.stdout.as_str()), (run.usage.fuel, "dividing\n"));
    }
    assert_eq!(tenant.runs(10).await.unwrap().len(), 2);
    let failure = bad.outcome.failure().unwrap();
    assert_eq!(
        (failure.code, failure.exceptions[0].type_name.as_str()),
        (Code::Raised, "ZeroDivisionError")
    );
}

/// Found by what they mean, in other words than theirs.
#[cfg(feature = "full")]
#[tokio::test]
async fn search_finds_by_meaning() {
    let data = tempfile::tempdir().unwrap();
    let engine = repertoire_tests::engine_on_disk(data.path()).await;
    let tenant = tenant(&engine).await;
    for (name, description) in [
        ("fetch_json", "Fetch and parse JSON from a URL"),
        ("resize_image", "Resize a picture to a thumbnail"),
        ("send_email", "Send an e-mail message to a recipient"),
        ("summarize_csv", "Compute statistics of the columns of a table"),
        ("count_words", "Count how often each word occurs in a text"),
        ("get_repo_metadata", "Get stars, language and licence of a GitHub repository"),
        ("convert_temperature", "Convert degrees Celsius to Fahrenheit"),
    ] {
        tenant.add_workflow(name, "def run(): return 1", description).await.unwrap();
    }
    for (question, expected) in [
        ("grab JSON from a web address", "fetch_json"),
        ("make a photo smaller", "resize_image"),
        ("how popular is this open source project", "get_repo_metadata"),
        ("mail somebody", "send_email"),
        ("how warm is it in American units", "convert_temperature"),
    ] {
        let hits = tenant.search(question, 3).await.unwrap();
        assert_eq!(hits.len(), 3);
        assert_eq!(hits[0].workflow.name.as_str(), expected, "{question}");
        assert!(hits[0].score > 0.2 && hits[0].score <= 1.0, "{question}: {}", hits[0].score);
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
    // From inside, too, as dictionaries and as objects.
    let code = "hit = workflows.search('grab JSON from a web address', limit=1)[0]; [hit.name, hit['score'] > 0.2]";
    let run = tenant.session().run(code).await.unwrap();
    assert_eq!(run.value().unwrap().as_str().replace(' ', ""), r#"["fetch_json",true]"#);
    assert!(tenant.delete_workflow("fetch_json").await.unwrap().existed);
    let hits = tenant.search("grab JSON from a web address", 10).await.unwrap();
    assert!(hits.iter().all(|hit| hit.workflow.name.as_str() != "fetch_json"));
}
