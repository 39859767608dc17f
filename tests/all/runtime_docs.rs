//! The worked example of `docs/runtimes.md`, and the command around it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use repertoire_tests::{build_dir, cli, repository};
use serde_json::Value;

use crate::examples::commands::surround;

/// A command where pip finds what `make setup` has fetched, and nothing else.
fn prepared<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    let (venv, program) = (build_dir().join("venv/bin"), cli());
    let path = std::env::var_os("PATH").unwrap();
    let first = [venv, program.parent().unwrap().to_owned()];
    let path = std::env::join_paths(first.into_iter().chain(std::env::split_paths(&path)));
    surround(command, home)
        .env("PATH", path.unwrap())
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", build_dir().join("packages"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    prepared(&mut Command::new(cli()), home).args(arguments).output().unwrap()
}

#[test]
fn the_worked_example() {
    let page = fs::read_to_string(repository().join("docs/runtimes.md")).unwrap();
    let block = |begin: &str| {
        let (_, rest) = page.split_once(begin).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("report.py"), block("```python file=report.py\n")).unwrap();
    let mut outputs = Vec::new();
    for line in block("```sh\n").lines() {
        let mut shell = Command::new("sh");
        shell.args(["-c", line.strip_prefix("$ ").unwrap()]);
        let output = prepared(&mut shell, home.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        outputs.push((text(&output.stdout), text(&output.stderr)));
    }
    let [build, list, show, _, run_] = &outputs[..] else { panic!("{outputs:?}") };
    assert!(build.1.contains("MarkupSafe is without its native code"), "{build:?}");
    assert!(list.0.contains("reports") && list.0.contains("PyYAML 6.0.3"), "{list:?}");
    for line in fs::read_to_string(repository().join("scripts/pins/packages.txt")).unwrap().lines()
    {
        if let Some((_, digest)) = line.split_once("sha256:") {
            assert!(show.0.contains(digest), "{show:?}");
        }
    }
    let (_, promised) = page.split_once("The last command prints `").unwrap();
    assert_eq!(run_.0.trim_end(), promised.split_once('`').unwrap().0, "{run_:?}");

    let saved = run(home.path(), &["workflows", "get", "report", "--json"]);
    let saved: Value = serde_json::from_slice(&saved.stdout).unwrap();
    assert_eq!(
        saved["requires"],
        serde_json::json!({ "runtime": "reports", "dependencies": ["pyyaml>=6", "jinja2"] })
    );

    // The second time nobody is asked, not even pip.
    let again =
        ["runtime", "build", "--name", "reports", "-r", "pyyaml==6.0.3", "-r", "jinja2==3.1.6"];
    let output = run(home.path(), &[&again[..], &["--python", "/nowhere", "--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let image: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(image["packages"].as_array().unwrap().len(), 3, "{image}");

    // Who asks for nothing has what the setting says.
    fs::write(home.path().join("cell.py"), "import yaml\nyaml.safe_load('1')\n").unwrap();
    let plain = run(home.path(), &["exec", "cell.py"]);
    assert!(text(&plain.stderr).contains("the runtime image 'reports' has it"), "{plain:?}");
    let asked = run(home.path(), &["exec", "cell.py", "--runtime", "reports"]);
    let mut set = Command::new(cli());
    prepared(&mut set, home.path()).args(["exec", "cell.py"]).env("REPERTOIRE_IMAGE", "reports");
    for output in [asked, set.output().unwrap()] {
        assert_eq!(text(&output.stdout), "1\n", "{output:?}");
    }

    // A tenant has its own, whatever the others have.
    let settings = home.path().join("repertoire.toml");
    fs::write(&settings, "[tenants.acme]\nimage = \"reports\"\n").unwrap();
    let created = run(home.path(), &["tenants", "create", "acme"]);
    assert!(created.status.success(), "{created:?}");
    let own = run(home.path(), &["--tenant", "acme", "exec", "cell.py"]);
    assert_eq!(text(&own.stdout), "1\n", "{own:?}");
    let other = run(home.path(), &["exec", "cell.py"]);
    assert!(text(&other.stderr).contains("the runtime image 'reports' has it"), "{other:?}");
    let listed = text(&run(home.path(), &["config"]).stdout);
    assert!(listed.contains("tenants.acme.image"), "{listed}");
    fs::remove_file(settings).unwrap();

    for (wrong, says) in [
        (&["-r", "pyyaml>=6"][..], "PACKAGE==VERSION"),
        (&["--requirement=--index-url==x"], "PACKAGE==VERSION"),
        (&["-r", "no-such-package==1.0"], "no wheel of no-such-package"),
        (&["--wheel", "/nowhere.whl"], "cannot read"),
        (&[], "nothing to build"),
    ] {
        let output = run(home.path(), &[&["runtime", "build", "--name", "x"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
        assert!(text(&output.stderr).contains(says), "{wrong:?}: {output:?}");
    }
    let removed = run(home.path(), &["runtime", "remove", "reports"]);
    assert!(removed.status.success(), "{removed:?}");
    let gone = run(home.path(), &["run", "report", "--arg", "text=x"]);
    assert!(
        gone.status.code() == Some(3)
            && text(&gone.stderr).contains("runtime build --name reports"),
        "{gone:?}"
    );
}
