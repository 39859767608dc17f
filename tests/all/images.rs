//! Runtime images: real packages, what is refused, and what runs on which.

use std::path::Path;
use std::sync::Arc;

use repertoire::id::{ImageName, TenantId};
use repertoire::images::{Image, Wheel};
use repertoire::replay::Replay;
use repertoire::run::Run;
use repertoire::{Code, Result, Runtime, RuntimeOptions};
use repertoire_tests::{
    Bench, Member, TenantOrNew, bench_with, build_dir, cache_dir, component, wheel, wheel_of,
};
use serde_json::{Value, json};

/// A bench that keeps images in a directory.
async fn bench_in(directory: &Path) -> Bench {
    bench_with(|builder| builder.images(directory)).await
}

fn name(name: &str) -> ImageName {
    ImageName::new(name).unwrap()
}

async fn build(bench: &Bench, image: &str, wheels: Vec<Wheel>) -> Result<Image> {
    bench.engine.build_image(name(image), Vec::new(), wheels).await
}

/// The wheels that `make setup` fetches: PyYAML, Jinja2 and MarkupSafe.
fn real_wheels() -> Vec<Wheel> {
    let folder = build_dir().join("packages");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make setup`", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    files.sort();
    let wheel = |path: &std::path::PathBuf| Wheel {
        file: path.file_name().unwrap().to_string_lossy().into_owned(),
        bytes: std::fs::read(path).unwrap(),
    };
    files.iter().map(wheel).collect()
}

fn on(image: &str, source: &str) -> String {
    format!("# /// script\n# [tool.repertoire]\n# runtime = \"{image}\"\n# ///\n{source}")
}

#[track_caller]
fn value(run: &Run) -> Value {
    run.value().unwrap_or_else(|failure| panic!("{failure:?}")).to().unwrap()
}

#[track_caller]
fn message(run: &Run) -> &str {
    &run.outcome.failure().expect("a failure").message
}

#[track_caller]
fn assert_same(replay: &Replay) {
    assert!(replay.is_same() && replay.recorded_on.is_none(), "{replay:?}");
}

const REPORT: &str = r#"
import importlib.metadata

import jinja2
import yaml

def run(text: str) -> list:
    rows = yaml.safe_load(text)
    page = jinja2.Template("{% for row in rows %}{{ row|e }};{% endfor %}").render(rows=rows)
    return [page, yaml.__with_libyaml__, importlib.metadata.version("PyYAML")]
"#;

#[tokio::test]
async fn real_packages_are_there_for_whoever_asks() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench_in(dir.path()).await;
    let image = build(&bench, "reports", real_wheels()).await.unwrap();
    let packages: Vec<_> = image
        .packages
        .iter()
        .map(|each| (each.package.name.as_str(), each.package.without.len()))
        .collect();
    assert_eq!(packages, [("Jinja2", 0), ("MarkupSafe", 1), ("PyYAML", 1)]);

    let tenant = &bench.tenant;
    let wanted = json!(["a;&lt;b&gt;;", false, "6.0.3"]);
    let arguments = json!({ "text": "[a, <b>]" });
    tenant.add_workflow("by_name", on("reports", REPORT), "").await.unwrap();
    let depends =
        format!("# /// script\n# dependencies = [\"PyYAML>=6,<7\", \"jinja2\"]\n# ///\n{REPORT}");
    tenant.add_workflow("by_need", depends, "").await.unwrap();
    for workflow in ["by_name", "by_need"] {
        let run = tenant.invocation(workflow).arguments(arguments.clone()).run().await.unwrap();
        assert_eq!(value(&run), wanted, "{workflow}");
        let recording = run.recorded.recording().expect("it is recorded");
        assert_eq!(recording.runtime.image.as_ref(), Some(&image.digest));
        assert_same(&tenant.replay(run.invocation.id).await.unwrap());
    }

    // Whoever asks for nothing has nothing, and learns where it is.
    tenant.add_workflow("plain", REPORT, "").await.unwrap();
    let run = tenant.invocation("plain").arguments(arguments.clone()).run().await.unwrap();
    assert!(message(&run).contains("the runtime image 'reports' has it"), "{}", message(&run));
    assert!(message(&run).contains("# runtime = \"reports\""), "{}", message(&run));
    assert_same(&tenant.replay(run.invocation.id).await.unwrap());
    // Also after the image is gone: where it was is part of the record.
    let other = "try:\n    import nowhere_at_all\nexcept ImportError as error:\n    said = str(error)\ndef run() -> str:\n    return said\n";
    tenant.add_workflow("other", other, "").await.unwrap();
    let run_without = tenant.invocation("other").run().await.unwrap();
    assert!(value(&run_without).as_str().unwrap().contains("standard library"), "{run_without:?}");

    // A nested run is on its own image, whatever its caller's is.
    let nested = "def run() -> list:\n    return workflows.by_name(text='[x]')\n";
    tenant.add_workflow("nested", nested, "").await.unwrap();
    assert_eq!(value(&tenant.invocation("nested").run().await.unwrap())[0], "x;");

    // Agent code, too, in a session that lasts.
    let mut session = tenant.session().image(name("reports"));
    session.run("import yaml").await.unwrap();
    assert_eq!(value(&session.run("yaml.safe_load('3')").await.unwrap()), json!(3));

    // The same wheels are the same image; without it the run cannot be replayed, and with it again it can.
    let run = tenant.invocation("by_name").arguments(arguments).run().await.unwrap();
    bench.engine.remove_image("reports").await.unwrap();
    let gone = tenant.replay(run.invocation.id).await.unwrap_err();
    assert!(gone.message().contains(&image.digest), "{gone:?}");
    let missing = tenant.invocation("by_name").arguments(json!({ "text": "" })).run().await;
    assert_eq!(missing.unwrap_err().code(), Code::Unavailable);
    let mut again = real_wheels();
    again.reverse();
    assert_eq!(build(&bench, "again", again).await.unwrap().digest, image.digest);
    assert_same(&tenant.replay(run.invocation.id).await.unwrap());
}

#[tokio::test]
async fn what_no_image_satisfies_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench_in(dir.path()).await;
    let tools = wheel("tools_of_ours", &[("ours.py", "answer = 42\n")]);
    build(&bench, "ours", vec![tools]).await.unwrap();
    let tenant = &bench.tenant;
    let body = "import ours\ndef run() -> int:\n    return ours.answer\n";
    let head = |lines: &str| format!("# /// script\n{lines}\n# ///\n{body}");
    for (workflow, lines, problem) in [
        ("fits", "# dependencies = [\"tools.of-ours ~= 1.0\"]", None),
        ("newer", "# dependencies = [\"tools-of-ours>=2\"]", Some("tools-of-ours>=2")),
        ("absent", "# dependencies = [\"numpy\"]", Some("numpy")),
        (
            "both",
            "# dependencies = [\"numpy\"]\n# [tool.repertoire]\n# runtime = \"ours\"",
            Some("does not have it"),
        ),
        ("unknown", "# [tool.repertoire]\n# runtime = \"our\"", Some("did you mean ours?")),
    ] {
        tenant.add_workflow(workflow, head(lines), "").await.unwrap();
        let run = tenant.invocation(workflow).run().await;
        match problem {
            None => assert_eq!(value(&run.unwrap()), json!(42)),
            Some(problem) => {
                let error = run.unwrap_err();
                assert_eq!(error.code(), Code::Unavailable, "{workflow}: {error:?}");
                assert!(error.message().contains(problem), "{workflow}: {error:?}");
            }
        }
    }
    for lines in [
        "# dependencies = \"numpy\"",
        "# dependencies = [\"numpy @ https://example.org/n.whl\"]",
        "# dependencies = [\"numpy; python_version<'3'\"]",
        "# not toml",
        "# requires-python = \">=3.15\"",
        "# [tool.repertoire]\n# runtmie = \"ours\"",
    ] {
        let error = tenant.add_workflow("wrong", head(lines), "").await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidSource, "{lines}: {error:?}");
    }
    // Blocks of other kinds are nobody's business here.
    let other = format!(
        "# /// other\n# not toml\n# ///\n# /// script\n# requires-python = \">=3.11\"\n# ///\n{}",
        "def run() -> int:\n    return 1\n"
    );
    tenant.add_workflow("other", other, "").await.unwrap();
}

#[tokio::test]
async fn a_tenant_has_its_image_and_each_run_its_own_memory() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench_with(|b| b.images(dir.path()).image(name("counts"))).await;
    let counts = "from random import random as chance\ncount = 0\nprint('imported')\n";
    build(&bench, "counts", vec![wheel("counts", &[("counts.py", counts)])]).await.unwrap();
    let source = "import counts\ndef run() -> list:\n    counts.count += 1\n    return [counts.count, counts.chance()]\n";
    bench.tenant.add_workflow("count", source, "").await.unwrap();
    let mut chances = Vec::new();
    for seed in [1, 1, 2] {
        let run = bench.tenant.invocation("count").seed(seed).run().await.unwrap();
        assert_eq!((value(&run)[0].clone(), run.stdout.as_str()), (json!(1), ""), "{run:?}");
        chances.push(value(&run)[1].clone());
    }
    // What a package has bound of `random` is seeded by the run all the same.
    assert!(chances[0] == chances[1] && chances[0] != chances[2], "{chances:?}");
}

#[tokio::test]
async fn a_workflows_image_then_its_tenants_then_the_usual_one() {
    let dir = tempfile::tempdir().unwrap();
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let bench = bench_with(|b| {
        b.images(dir.path())
            .image(name("usual"))
            .tenant_image(tenant("own"), name("theirs"))
            .tenant_image(tenant("plain"), None)
    })
    .await;
    for image in ["usual", "theirs", "asked"] {
        let says = format!("said = '{image}'\n");
        let package = wheel(&format!("chosen_{image}"), &[("chosen.py", &says)]);
        build(&bench, image, vec![package]).await.unwrap();
    }
    let source = "try:\n    from chosen import said\nexcept ImportError:\n    said = None\n\
                  def run() -> str | None:\n    return said\n";
    for (id, expected) in
        [("own", json!("theirs")), ("plain", Value::Null), ("other", json!("usual"))]
    {
        let tenant = bench.engine.tenant_or_new(id).await.unwrap();
        tenant.add_workflow("ask_nothing", source, "").await.unwrap();
        tenant.add_workflow("ask", on("asked", source), "").await.unwrap();
        let run = tenant.invocation("ask_nothing").run().await.unwrap();
        assert_eq!(value(&run), expected, "{id}");
        let run = tenant.invocation("ask").run().await.unwrap();
        assert_eq!(value(&run), json!("asked"), "{id}");
        // Agent code begins as workflows do that ask for nothing.
        let agent = "try:\n    from chosen import said\nexcept ImportError:\n    said = None\nsaid";
        assert_eq!(value(&tenant.session().run(agent).await.unwrap()), expected, "{id}");
    }
}

#[tokio::test]
async fn as_many_images_stay_in_memory_as_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench_with(|b| b.images(dir.path()).images_in_memory(2)).await;
    let (tenant, engine) = (&bench.tenant, &bench.engine);
    let images = ["one", "two", "three", "four"];
    for image in images {
        let says = format!("said = '{image}'\n");
        build(&bench, image, vec![wheel(&format!("kept_{image}"), &[("kept.py", &says)])])
            .await
            .unwrap();
        let source = on(image, "import kept\ndef run() -> str:\n    return kept.said\n");
        tenant.add_workflow(image, source, "").await.unwrap();
    }
    for _ in 0..2 {
        for image in images {
            assert_eq!(value(&tenant.invocation(image).run().await.unwrap()), json!(image));
        }
        assert_eq!(engine.images_in_memory(), 2);
    }
    // One with a session on it stays, whoever else is asked for.
    let mut sessions = Vec::new();
    for image in images {
        let mut session = tenant.session().image(name(image));
        session.run("import kept").await.unwrap();
        sessions.push(session);
    }
    assert_eq!(engine.images_in_memory(), 4);
    for (session, image) in sessions.iter_mut().zip(images) {
        assert_eq!(value(&session.run("kept.said").await.unwrap()), json!(image));
    }
    drop(sessions);
    tenant.invocation("one").run().await.unwrap();
    assert_eq!(engine.images_in_memory(), 2);
    engine.remove_image("one").await.unwrap();
    assert_eq!(engine.images_in_memory(), 1);
}

/// What stands by for an image has room of its own, which goes when the image does.
#[tokio::test]
async fn an_image_that_is_gone_leaves_no_room() {
    let options = RuntimeOptions {
        max_instances: 4,
        standby: 1,
        ..RuntimeOptions::new(component()).cache(cache_dir())
    };
    let runtime = Arc::new(Runtime::load(options).await.unwrap());
    let dir = tempfile::tempdir().unwrap();
    let bench = bench_with(|b| b.runtime(runtime).images(dir.path()).images_in_memory(1)).await;
    for image in ["one", "two"] {
        let says = format!("said = '{image}'\n");
        let package = wheel(&format!("room_{image}"), &[("room.py", &says)]);
        build(&bench, image, vec![package]).await.unwrap();
    }
    let fit = async || {
        let mut sessions = Vec::new();
        loop {
            let mut session = bench.tenant.session();
            let run = session.run("1").await.unwrap();
            match run.outcome.failure() {
                None => sessions.push(session),
                Some(failure) => {
                    assert_eq!(failure.code, Code::Busy, "{failure:?}");
                    return sessions.len();
                }
            }
        }
    };
    // Those of `max_instances`, and for one that stands by twice that. The background makes some and
    // takes others apart, so that for a moment there may be fewer; there are never more.
    let until_all_fit = async || {
        for _ in 0..1_000 {
            let count = fit().await;
            assert!(count <= 6, "{count} instances fit");
            if count == 6 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{} instances fit", fit().await);
    };
    until_all_fit().await;
    for _ in 0..4 {
        for image in ["one", "two"] {
            let mut session = bench.tenant.session().image(name(image));
            assert_eq!(value(&session.run("import room\nroom.said").await.unwrap()), json!(image));
        }
    }
    for image in ["one", "two"] {
        bench.engine.remove_image(image).await.unwrap();
    }
    // What takes the last one apart may still be at it.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    until_all_fit().await;
}

#[tokio::test]
async fn hostile_wheels_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench_in(dir.path()).await;
    let one = |path, text| vec![wheel("evil", &[(path, text)])];
    let member = |path, bytes, mode, claimed| Member { path, bytes, mode, claimed };
    let raw = |member| {
        let text = b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n";
        let info =
            Member { path: "evil-1.0.dist-info/METADATA", bytes: text, mode: 0, claimed: None };
        vec![wheel_of("evil", &[info, member])]
    };
    // A control: what is not hostile is taken, whatever lies beside it.
    let fine = wheel(
        "fine",
        &[
            ("fine/__init__.py", "from . import part\n"),
            ("fine/part.py", "x = 1\n"),
            ("fine/bad.py", "this is not Python\n"),
            ("evil.pth", "import os; os.abort()\n"),
            ("fine-1.0.data/scripts/fine", "#!/bin/sh\n"),
        ],
    );
    assert_eq!(
        build(&bench, "fine", vec![fine]).await.unwrap().packages[0].package.modules,
        ["fine"]
    );

    let cases: Vec<(&str, Vec<Wheel>, &str)> = vec![
        ("outside", one("../../outside.py", ""), "outside"),
        ("absolute", one("/etc/evil.py", ""), "outside"),
        ("drive", one("C:/evil.py", ""), "outside"),
        ("backslash", one("..\\evil.py", ""), "outside"),
        ("link", raw(member("evil.py", b"/etc/passwd", 0o120_777, None)), "link"),
        ("claims 4 GiB", raw(member("evil.bin", b"x", 0, Some(u32::MAX - 1))), "bytes"),
        ("writes past print", one("evil.py", "import os; os.write(1, b'x')"), "leaves streams"),
        ("replaces json", one("json/__init__.py", ""), "Python's own"),
        ("replaces the runtime", one("repertoire_guest/perform.py", ""), "the runtime's"),
        ("replaces the exceptions", one("repertoire.py", ""), "the runtime's"),
        ("twice", vec![wheel("a", &[("x.py", "")]), wheel("b", &[("x.py", "")])], "already"),
        ("no archive", vec![Wheel { file: "x.whl".to_owned(), bytes: b"PK".to_vec() }], "no wheel"),
        ("nothing", Vec::new(), "at least one"),
        ("raises", one("evil.py", "raise ValueError('so there')"), "so there"),
        ("exits", one("evil.py", "raise SystemExit(0)"), "SystemExit"),
        ("needs native code", native(), "native"),
        ("hoards", one("evil.py", "x = bytearray(1 << 30)"), "MemoryError"),
        (
            "calls tools",
            one("evil.py", "from repertoire import tools\ntools.test.echo(x=1)"),
            "not granted",
        ),
        ("reads files", one("evil.py", "open('/etc/passwd')"), "No such file"),
    ];
    for (what, wheels, problem) in cases {
        let error = build(&bench, "evil", wheels).await.expect_err(what);
        let message = error.chain();
        assert!(
            matches!(error.code(), Code::InvalidArgument) && message.contains(problem),
            "{what}: {error:?}"
        );
    }
    for (what, source, code) in [
        ("leaves", "import os\nos._exit(1)", Code::Trapped),
        ("never ends", "while True: pass", Code::FuelExhausted),
        ("writes", "import os\nwhile True: os.write(1, b'x' * 4000)", Code::OutputExceeded),
    ] {
        let error = build(&bench, "evil", one("evil.py", source)).await.expect_err(what);
        assert_eq!(error.code(), code, "{what}: {error:?}");
    }
    assert_eq!(bench.seen.started(), 0, "a tool was called");
    // Nothing of them is kept.
    let images = bench.engine.images().await.unwrap();
    assert_eq!(images.len(), 1, "{images:?}");
}

fn native() -> Vec<Wheel> {
    let files = [
        ("evil/__init__.py", "from . import _native\n"),
        ("evil/_native.cpython-314-x86_64-linux-gnu.so", "\x7fELF"),
    ];
    vec![wheel("evil", &files)]
}

#[tokio::test]
async fn a_damaged_wheel_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let ours = wheel("unique_to_this_test", &[("ours_alone.py", "x = 1\n")]);
    let image = build(&bench_in(dir.path()).await, "ours", vec![ours]).await.unwrap();
    let file = dir.path().join(&image.digest).join(format!("{}.whl", image.packages[0].sha256));
    let source = on("ours", "import ours_alone\ndef run() -> int:\n    return ours_alone.x\n");
    let run = async |expected: Result<i32>| {
        let bench = bench_in(dir.path()).await;
        bench.tenant.add_workflow("x", source.as_str(), "").await.unwrap();
        let run = bench.tenant.invocation("x").run().await;
        match expected {
            Ok(expected) => assert_eq!(value(&run.unwrap()), json!(expected)),
            Err(_) => assert_eq!(run.unwrap_err().code(), Code::Unavailable),
        }
    };
    run(Ok(1)).await;
    // Its memory lies in the cache; without that the wheels are asked, byte for byte.
    for entry in std::fs::read_dir(repertoire_tests::cache_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(&image.digest[..32]) {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::write(&file, b"PK other bytes").unwrap();
    run(Err(repertoire::Error::internal(""))).await;
}
