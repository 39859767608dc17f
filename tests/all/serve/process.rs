//! `repertoire serve` and `repertoire token`, as processes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::cli::Home;

/// A server that is running; killed if a test forgets it.
struct Running {
    child: Child,
    base: String,
}

impl Running {
    fn start(home: &Home) -> Self {
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0", "--grace", "2s"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let base = lines
            .find_map(|line| Some(line.unwrap().split_once("listening on ")?.1.to_owned()))
            .expect("it says where it listens");
        // Whatever it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base }
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
