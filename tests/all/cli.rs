//! The program, as a process: what it prints where, and how it exits.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use repertoire_tests::{build_dir, cache_dir, cli, component, repository};
use serde_json::{Value, json};

/// A data directory, and the program working on it.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// With nothing of this process's environment but what finds programs, and
    /// in a directory of its own, so that no settings are found by chance.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cli());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("REPERTOIRE_DATA", self.dir.path().join("data"))
            .env("REPERTOIRE_COMPONENT", component())
            .env("REPERTOIRE_CACHE", cache_dir())
            .env("REPERTOIRE_MODEL", build_dir().join("model"))
            .env("REPERTOIRE_ONNXRUNTIME", build_dir().join("lib/libonnxruntime.so"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        Answer::from(self.command(arguments).output().unwrap())
    }

    fn pipe(&self, arguments: &[&str], input: &[u8]) -> Answer {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever refuses early does not read it.
        let _ = child.stdin.take().unwrap().write_all(input);
        Answer::from(child.wait_with_output().unwrap())
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Answer {
    /// The answer's one JSON object.
    pub(crate) fn object(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "not one line: {self:?}");
        let value: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object(), "{self:?}");
        value
    }

    #[track_caller]
    pub(crate) fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:?}");
        self
    }
}

const DIVIDE: &str = "def run(by: int) -> float:\n    \"\"\"Divide one by a number.\"\"\"\n    print('dividing')\n    return 1 / by\n";

#[test]
fn exit_statuses() {
    let home = Home::new();
    let source = home.file("divide.py", DIVIDE);
    home.run(&["workflows", "create", "divide", "--source", &source]).ends(0);
    let done = home.run(&["run", "divide", "--arg", "by=4"]).ends(0);
    assert_eq!(done.stdout, "dividing\n0.25\n");
    let failed = home.run(&["run", "divide", "--arg", "by=0"]).ends(1);
    assert!(
        failed.stderr.contains("ZeroDivisionError") && failed.stderr.contains("line 4, in run"),
        "{failed:?}"
    );
    assert_eq!(failed.stdout, "dividing\n");
    for wrong in [
        &["run", "divide"][..],
        &["run", "divide", "--arg", "by=x"],
        &["run", "divide", "--args", "{"],
        &["run", "divdie"],
        &["run", "../x"],
        &["frobnicate"],
        &["run"],
        &["--no-such-flag"],
        &["workflows", "create", "divide", "--source", &source],
        &["workflows", "create", "other", "--source", "/nowhere.py"],
        &["workflows", "import", "/nowhere"],
        &["tools", "call", "nothing"],
        &["artifacts", "get", "nothing"],
        &["runs", "show", "nothing"],
        &["runs", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
        &["--tenant", "../x", "workflows", "list"],
        &["exec", "/nowhere.py"],
    ] {
        let answer = home.run(wrong).ends(2);
        assert!(!answer.stderr.trim().is_empty(), "{wrong:?} says nothing");
        assert_eq!(answer.stdout, "", "{wrong:?}");
    }
    let hint = home.run(&["run", "divdie"]);
    assert!(hint.stderr.contains("did you mean divide?"), "{hint:?}");
    for host in [
        &["--component", "/nowhere.wasm", "run", "divide", "--arg", "by=1"][..],
        &["--data", "/proc/nothing", "workflows", "list"],
        &["--model", "/nowhere", "workflows", "search", "x"],
    ] {
        let answer = home.run(host).ends(3);
        assert!(
            answer.stderr.contains("nowhere") || answer.stderr.contains("/proc/nothing"),
            "{answer:?}"
        );
    }
}

#[test]
fn json_is_one_object() {
    let home = Home::new();
    let source = home.file("divide.py", DIVIDE);
    let created = home
        .run(&["--json", "workflows", "create", "divide", "--source", &source])
        .ends(0)
        .object();
    assert_eq!(created["name"], created.pointer("/name").cloned().unwrap_or(json!("divide")));
    let done = home.run(&["run", "divide", "--arg", "by=4", "--json"]).ends(0);
    let object = done.object();
    assert_eq!((&object["value"], &object["stdout"]), (&json!(0.25), &json!("dividing\n")));
    for key in ["fuel", "peak_memory_bytes", "wall_time_ms", "host_calls"] {
        assert!(object["usage"][key].is_number(), "{key}: {object}");
    }
    let failed = home.run(&["run", "divide", "--arg", "by=0", "--json"]).ends(1).object();
    assert_eq!(failed["error"]["code"], "raised");
    assert!(failed["error"]["traceback"].as_str().unwrap().contains("1 / by"));
    assert!(failed["usage"]["fuel"].as_u64().unwrap() > 0);
    for (wrong, code) in [
        (&["run", "nothing", "--json"][..], "not-found"),
        (&["run", "divide", "--json"], "invalid-argument"),
        (&["frobnicate", "--json"], "invalid-argument"),
        (&["run", "--json"], "invalid-argument"),
    ] {
        assert_eq!(home.run(wrong).ends(2).object()["error"]["code"], code, "{wrong:?}");
    }
    let host = home
        .run(&["--json", "--component", "/nowhere.wasm", "run", "divide", "--arg", "by=1"])
        .ends(3);
    assert_eq!(host.object()["error"]["code"], "unavailable");
    for list in [
        &["workflows", "list"][..],
        &["workflows", "get", "divide"],
        &["workflows", "search", "divide"],
        &["workflows", "history", "divide"],
        &["tools", "list"],
        &["tools", "search", "x"],
        &["artifacts", "list"],
        &["runs", "list"],
        &["config"],
    ] {
        home.run(&[&["--json"], list].concat()).ends(0).object();
    }
    let limit =
        home.run(&["run", "divide", "--arg", "by=1", "--fuel", "1000", "--json"]).ends(1).object();
    assert_eq!(limit["error"]["code"], "fuel-exhausted");
}

#[test]
fn agent_code_from_a_file_and_from_standard_input() {
    let home = Home::new();
    let code = "print('hello')\nworkflows.create('twice', 'def run(n: int): return 2 * n')\nworkflows.twice(n=21)\n";
    let answer = home.pipe(&["exec", "-"], code.as_bytes()).ends(0);
    assert_eq!(answer.stdout, "hello\n42\n");
    let file =
        home.file("script.py", "import asyncio\nawait asyncio.sleep(0)\nworkflows.twice(n=1)");
    assert_eq!(home.run(&["exec", &file]).ends(0).stdout, "2\n");
    let failed = home.pipe(&["exec", "-"], b"1 / 0").ends(1);
    assert!(failed.stderr.contains("ZeroDivisionError"), "{failed:?}");
    home.pipe(&["exec", "-"], b"\xff\xfe").ends(2);
    home.pipe(&["exec", "-"], &vec![b'#'; 2 << 20]).ends(2);
    // Terminal control sequences are data where no terminal is.
    let raw = home.pipe(&["exec", "-", "--raw"], b"'\\x1b[31m'").ends(0);
    assert_eq!(raw.stdout, "\u{1b}[31m\n");
    let quiet = home.pipe(&["exec", "-"], b"print('x', end='')").ends(0);
    assert!(quiet.stdout.starts_with('x'), "{quiet:?}");
}

#[test]
fn the_library_outlives_the_process() {
    let home = Home::new();
    let folder = repository().join("workflows");
    let folder = folder.to_str().unwrap();
    home.run(&["workflows", "import", folder]).ends(0);
    let found = home
        .run(&["--json", "workflows", "search", "grab JSON from a web address", "--limit", "3"])
        .ends(0);
    assert!(found.stdout.contains("fetch_json"), "{found:?}");
    let first = found.stdout.find("\"name\":\"").map(|at| &found.stdout[at + 8..at + 18]);
    assert_eq!(first, Some("fetch_json"), "{found:?}");
    let again = home.run(&["workflows", "import", folder]).ends(0);
    assert!(!again.stdout.contains("created"), "{again:?}");
    let run = home
        .run(&["run", "compute_text_statistics", "--arg", "text=to be or not to be", "--json"])
        .ends(0)
        .object();
    let id = run["run_id"].as_str().unwrap().to_owned();
    let shown = home.run(&["runs", "show", &id, "--json"]).ends(0);
    assert!(
        shown.stdout.contains(&id) && shown.stdout.contains("compute_text_statistics"),
        "{shown:?}"
    );
    // Another tenant has none of it.
    let other = &["--tenant", "other", "run", "compute_text_statistics"];
    let unknown = home.run(other).ends(2);
    assert!(unknown.stderr.contains("tenants create other"), "{unknown:?}");
    home.run(&["tenants", "create", "other"]).ends(0);
    home.run(&["tenants", "create", "other"]).ends(2);
    let other = home.run(other).ends(2);
    assert!(other.stderr.contains("no workflow"), "{other:?}");
    assert_eq!(home.run(&["tenants", "list"]).ends(0).stdout, "default\nother\n");
    home.run(&["tenants", "delete", "other"]).ends(0);
    home.run(&["tenants", "delete", "other"]).ends(2);
    home.pipe(&["artifacts", "put", "numbers", "--file", "-", "--kind", "json"], b"{\"a\": 1}")
        .ends(0);
    assert!(home.run(&["artifacts", "get", "numbers"]).ends(0).stdout.contains("\"a\""));
    home.run(&["artifacts", "delete", "numbers"]).ends(0);
    home.run(&["artifacts", "get", "numbers"]).ends(2);
}

#[test]
fn settings_and_where_they_come_from() {
    let home = Home::new();
    let fuel = |answer: Answer| {
        let object = answer.ends(0).object();
        let text = object.to_string();
        assert!(text.contains("fuel"), "{text}");
        text
    };
    home.file("repertoire.toml", "[limits]\nfuel = 1111111111\n");
    home.file("below/here/empty", "");
    let below = |arguments: &[&str], variable: Option<&str>| {
        let mut command = home.command(arguments);
        command.current_dir(home.dir.path().join("below/here"));
        if let Some(value) = variable {
            command.env("REPERTOIRE_FUEL", value);
        }
        Answer::from(command.output().unwrap())
    };
    let from_file = fuel(below(&["config", "--json"], None));
    assert!(
        from_file.contains("1111111111") && from_file.contains("repertoire.toml"),
        "{from_file}"
    );
    let from_environment = fuel(below(&["config", "--json"], Some("2222222222")));
    assert!(
        from_environment.contains("2222222222") && from_environment.contains("REPERTOIRE_FUEL"),
        "{from_environment}"
    );
    assert!(!from_environment.contains("1111111111"), "{from_environment}");
    // What is in force is what a run gets.
    home.file("below/here/spin.py", "while True: pass");
    for (arguments, variable, expected) in [
        (&["exec", "spin.py", "--json"][..], None, 1_111_111_111),
        (&["exec", "spin.py", "--json"], Some("222222222"), 222_222_222),
        (&["exec", "spin.py", "--json", "--fuel", "33333333"], Some("222222222"), 33_333_333),
    ] {
        let object = below(arguments, variable).ends(1).object();
        assert_eq!(object["usage"]["fuel"], json!(expected), "{object}");
    }
    home.file("repertoire.toml", "[limits]\nfule = 1\n");
    let unknown = below(&["config"], None).ends(2);
    assert!(
        unknown.stderr.contains("fule") && unknown.stderr.contains("did you mean limits.fuel?"),
        "{unknown:?}"
    );
    assert!(unknown.stderr.contains("repertoire.toml"), "{unknown:?}");
    home.file("repertoire.toml", "[limits]\nfuel = \"many\"\n");
    let wrong = below(&["config"], None).ends(2);
    assert!(wrong.stderr.contains("fuel"), "{wrong:?}");
    home.file("repertoire.toml", "[limits\n");
    below(&["config"], None).ends(2);
    fs::remove_file(home.dir.path().join("repertoire.toml")).unwrap();
    assert!(below(&["config"], Some("many")).ends(2).stderr.contains("REPERTOIRE_FUEL"));
}

/// Ctrl-C: the guest is stopped at once, and the status is that of a program that was interrupted.
#[test]
fn an_interrupt_ends_the_run() {
    let home = Home::new();
    let file = home.file("spin.py", "print('begun', flush=True)\nwhile True: pass");
    let mut command =
        home.command(&["exec", &file, "--fuel", "900000000000000", "--timeout", "600"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut begun = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut begun).unwrap();
    assert_eq!(&begun, b"begun");
    let started = Instant::now();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let answer = Answer::from(child.wait_with_output().unwrap());
    // Stopping takes milliseconds; writing the record and leaving takes a busy machine longer.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    answer.ends(130);
    let runs = home.run(&["runs", "list", "--json"]).ends(0);
    assert!(runs.stdout.contains("cancelled"), "{runs:?}");
}

#[test]
fn two_processes_share_a_data_directory() {
    let home = Home::new();
    let source = home.file("one.py", "def run(): return 1");
    let create = || {
        let mut command = home.command(&[
            "workflows",
            "create",
            "one",
            "--source",
            &source,
            "--description",
            "one",
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (a, b) = (create(), create());
    let mut statuses = [a, b].map(|child| child.wait_with_output().unwrap().status.code());
    statuses.sort_unstable();
    assert_eq!(statuses, [Some(0), Some(2)]);
    assert_eq!(home.run(&["run", "one"]).ends(0).stdout, "1\n");
}

#[test]
fn help_version_and_completions() {
    let home = Home::new();
    assert!(home.run(&["--help"]).ends(0).stdout.contains("workflows"));
    assert!(home.run(&["--version"]).ends(0).stdout.contains(env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(&["completions", shell]).ends(0).stdout.contains("repertoire"));
    }
}

/// The whole story, in its own words: it checks each step itself.
#[test]
fn the_demo_tells_its_story() {
    let home = Home::new();
    let answer = home.run(&["demo"]).ends(0);
    for word in ["fetch_json", "analyze_multiple_repos"] {
        assert!(answer.stdout.contains(word), "{word}: {answer:?}");
    }
    assert!(
        !Path::new(&home.dir.path().join("data")).join("tenants").exists(),
        "the demo used the user's library"
    );
}
