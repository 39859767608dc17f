//! `repertoire serve` and `repertoire token`, as processes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::cli::Home;

/// A server that is running; killed if a test forgets it.
struct Running {
    child: Child,
    base: String,
    /// The lines of its standard error.
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn start(home: &Home) -> Self {
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0", "--grace", "2s"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let base = lines
            .find_map(|line| Some(line.unwrap().split_once("listening on ")?.1.to_owned()))
            .expect("it says where it listens");
        let said = Arc::<Mutex<Vec<String>>>::default();
        // Whatever it says later must not block it.
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            lines.for_each(|line| heard.lock().unwrap().push(line.unwrap()))
        });
        Self { child, base, said }
    }

    /// Waits for a line that it has not said before.
    fn says(&self, text: &str) {
        for _ in 0..200 {
            if self.said.lock().unwrap().drain(..).any(|line| line.contains(text)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it has not said {text:?}");
    }

    fn end(mut self) -> Option<i32> {
        let id = Pid::from_child(&self.child);
        kill_process(id, Signal::TERM).unwrap();
        for _ in 0..200 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn curl(arguments: &[&str]) -> String {
    let done = Command::new("curl").args(["--silent", "--show-error"]).args(arguments).output();
    let done = done.expect("curl is installed");
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn a_server_is_started_used_and_stopped() {
    let home = Home::new();
    home.run(&["workflows", "list"]).ends(0);
    let scopes = ["token", "create", "--scope", "run,write", "--name", "ci"];
    let created = home.run(&scopes).ends(0);
    let token = created.stdout.trim();
    assert!(token.starts_with("rpt_") && created.stderr.contains("not shown again"), "{created:?}");
    let server = Running::start(&home);
    let bearer = format!("authorization: Bearer {token}");
    let json = "content-type: application/json";
    let send = |path: &str, body: &serde_json::Value| -> serde_json::Value {
        let (url, body) = (format!("{}{path}", server.base), body.to_string());
        let text = curl(&["-H", &bearer, "-H", json, "--data", &body, &url]);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let source = "def run(name: str) -> str:\n    \"\"\"Greet somebody.\"\"\"\n    return 'Hello, ' + name\n";
    send("/v1/workflows", &json!({"name": "greet", "source": source}));
    let ran = send("/v1/workflows/greet/invoke", &json!({"arguments": {"name": "you"}}));
    assert_eq!(ran["value"], "Hello, you", "{ran}");
    let told = curl(&[
        "-H",
        &bearer,
        "-H",
        json,
        "-H",
        "accept: text/event-stream",
        "--data",
        r#"{"code": "print(1)"}"#,
        &format!("{}/v1/run", server.base),
    ]);
    assert!(
        told.starts_with("event: stdout\ndata: ") && told.contains("event: result\n"),
        "{told}"
    );
    // A token that is revoked is worth nothing to the server that runs.
    let listed = home.run(&["token", "list", "--json"]).ends(0).object();
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    assert!(!listed.to_string().contains(token));
    home.run(&["token", "revoke", id]).ends(0);
    let refused = send("/v1/run", &json!({"code": "1"}));
    assert_eq!(refused["code"], "unauthenticated");
    assert_eq!(server.end(), Some(0));
    // What was done stays.
    let runs = home.run(&["runs", "list"]).ends(0);
    assert!(runs.stdout.contains("greet"), "{runs:?}");
    home.run(&["run", "greet", "--arg", "name=me"]).ends(0);
}

#[test]
fn what_tenants_may_is_read_again_while_it_runs() {
    let home = Home::new();
    let period = "period_seconds = 25_920_000";
    home.file("repertoire.toml", &format!("[quota]\nruns = 1\n{period}\n"));
    let created = home.run(&["token", "create", "--scope", "read,run"]).ends(0);
    let bearer = format!("authorization: Bearer {}", created.stdout.trim());
    let server = Running::start(&home);
    let run = |code: &str| {
        let (url, body) = (format!("{}/v1/run", server.base), json!({ "code": code }).to_string());
        let json = "content-type: application/json";
        curl(&["--include", "-H", &bearer, "-H", json, "--data", &body, &url])
    };
    assert!(run("1").contains("\"value\":1"));
    let refused = run("1");
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: "), "{refused}");
    assert!(refused.contains("\"quota-exceeded\"") && refused.contains("quota.runs"), "{refused}");

    let more = format!("[quota]\nruns = 3\n{period}\n[grants]\ndeny = [\"artifacts\"]\n");
    home.file("repertoire.toml", &more);
    server.says("read the settings again");
    let denied = run("artifacts.save('a', 1)");
    assert!(denied.contains("\"denied\""), "{denied}");
    let usage = curl(&["-H", &bearer, &format!("{}/v1/usage", server.base)]);
    let usage: serde_json::Value = serde_json::from_str(&usage).unwrap();
    let runs = usage["quotas"].as_array().unwrap().iter().find(|one| one["name"] == "runs");
    assert_eq!(runs, Some(&json!({"name": "runs", "used": 2, "limit": 3})), "{usage}");

    home.file("repertoire.toml", "[quota]\nrunz = 9\n");
    server.says("did you mean quota.runs");
    assert!(run("artifacts.save('a', 1)").contains("\"denied\""), "what was right holds");
    assert!(run("1").starts_with("HTTP/1.1 429 "));
    home.file("repertoire.toml", "[limits]\nfuel = 9_000_000\n");
    server.says("a restart is needed for limits.fuel");
    assert!(run("1").contains("\"value\":1"));
    assert_eq!(server.end(), Some(0));
}

#[test]
fn what_opens_the_library_to_a_network_is_said_by_hand() {
    let home = Home::new();
    home.file("repertoire.toml", "[serve]\nlisten = \"0.0.0.0:8787\"\n");
    let refused = home.run(&["serve"]).ends(2);
    assert!(refused.stderr.contains("--listen 0.0.0.0:8787"), "{refused:?}");
    let home = Home::new();
    let refused = home.run(&["serve", "--listen", "nonsense"]).ends(2);
    assert!(refused.stderr.contains("127.0.0.1:8787"), "{refused:?}");
    let refused = home.run(&["token", "create", "--scope", "everything"]).ends(2);
    assert!(refused.stderr.contains("read, run, write, admin"), "{refused:?}");
}
