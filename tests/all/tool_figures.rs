//! What a tool's call costs over the bare operation; prints, and is not run by `make test`:
//!
//!     cargo test --workspace -- --ignored --nocapture tool_figures

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use repertoire::Json;
use repertoire::id::TenantId;
use repertoire::tools::{CallContext, Registry, ToolOptions};
use repertoire_tests::repository;
use serde_json::{Value, json};

const CALLS: u32 = 100;
const AT_ONCE: usize = 200;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Answers requests on kept connections with `1`.
fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(mut stream: TcpStream) {
    let mut chunk = [0; 4096];
    while stream.read(&mut chunk).is_ok_and(|count| count > 0) {
        let text =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1";
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn bare(mut once: impl FnMut()) -> Duration {
    once();
    let time = |_| {
        let started = Instant::now();
        once();
        started.elapsed()
    };
    median((0..CALLS).map(time).collect())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; run it by name"]
async fn tool_figures() {
    let (folder, port) = (tempfile::tempdir().unwrap(), service());
    let probe = repository().join("tests/fixtures/mcp/probe.py");
    let probe = probe.to_str().unwrap();
    for (name, text) in [
        ("exec", "name: exec\ncommand: \"true\"\n".to_owned()),
        ("mcp", format!("name: mcp\ntype: mcp\ncommand: python3\nargs: [{probe}]\n")),
        (
            "http",
            format!(
                "name: http\ntype: http\nbase_url: http://127.0.0.1:{port}\nendpoints: {{get: {{path: /x}}}}\n\
                 egress: [{{host: 127.0.0.1, port: {port}, http: true, addresses: [127.0.0.1]}}]\n"
            ),
        ),
    ] {
        fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
    }
    let options = ToolOptions { search_path: std::env::var_os("PATH"), ..ToolOptions::default() };
    let tools = Registry::from_folder(folder.path(), &options).unwrap();
    let context = CallContext { tenant: TenantId::new("t").unwrap(), run: None, deadline: None };

    let exec = bare(|| assert!(Command::new("true").status().unwrap().success()));
    let mut server = Command::new("python3")
        .arg(probe)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) =
        (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()));
    let mcp = bare(|| {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x"}}});
        writeln!(stdin, "{call}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.contains("result"));
    });
    drop(stdin);
    server.wait().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let http = bare(|| {
        stream.write_all(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    });
    drop(stream);

    println!("| adapter | bare operation | tool call | overhead | {AT_ONCE} at once |");
    println!("|---|---|---|---|---|");
    for (tool, callable, arguments, bare) in [
        ("exec", "", json!({}), exec),
        ("mcp", "echo", json!({"text": "x"}), mcp),
        ("http", "get", json!({}), http),
    ] {
        let arguments = Json::from(arguments);
        let call = async || {
            let started = Instant::now();
            let answer: Value =
                tools.call(tool, callable, &arguments, &context).await.unwrap().to().unwrap();
            drop(answer);
            started.elapsed()
        };
        call().await;
        let mut times = Vec::new();
        for _ in 0..CALLS {
            times.push(call().await);
        }
        let one = median(times);
        let started = Instant::now();
        futures::future::join_all((0..AT_ONCE).map(|_| call())).await;
        let many = started.elapsed();
        let over = one.saturating_sub(bare);
        println!("| {tool} | {bare:.1?} | {one:.1?} | {over:.1?} | {many:.1?} |");
    }
}
