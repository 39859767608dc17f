//! The examples of the pages about tools, run as they are written there.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use repertoire::tools::secrets::{Secret, SecretMap, SecretName};
use repertoire::tools::{Registry, ToolOptions};
use repertoire_tests::{bench_with, repository};
use serde_json::{Value, json};

/// The first YAML of a page, and the first Python behind it.
fn example(page: &str) -> (String, String) {
    example_number(1, page)
}

fn example_number(number: usize, page: &str) -> (String, String) {
    let text = fs::read_to_string(repository().join("docs").join(page)).unwrap();
    let block = |language: &str| -> String {
        let rest = text.split(&format!("```{language}\n")).nth(number);
        let rest = rest.unwrap_or_else(|| panic!("{page} has no {language} number {number}"));
        rest.split_once("```").unwrap().0.to_owned()
    };
    (block("yaml"), block("python"))
}

/// The value of each line of an example, of which comments are no part.
async fn run(yaml: &str, python: &str) -> Vec<Value> {
    run_with(("SHOP_TOKEN", "canary-token-1"), yaml, python).await
}

async fn run_with((name, secret): (&str, &str), yaml: &str, python: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.yaml"), yaml).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let servers = repository().join("build/mcp-servers/bin");
    let path = std::env::join_paths([servers].into_iter().chain(std::env::split_paths(&path)));
    let secret = Secret::new(secret).unwrap();
    let options = ToolOptions {
        search_path: Some(path.unwrap()),
        secrets: Arc::new(SecretMap::default().with(SecretName::new(name).unwrap(), secret)),
        ..ToolOptions::default()
    };
    let tools = Registry::from_folder(folder.path(), &options).unwrap();
    let bench = bench_with(|builder| builder.tools(tools)).await;
    let mut values = Vec::new();
    for line in python.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let run = bench.tenant.session().run(line).await.unwrap();
        let value = run.value().unwrap_or_else(|failure| panic!("{line}: {}", failure.message));
        values.push(value.to().unwrap());
    }
    values
}

#[tokio::test]
async fn a_command() {
    let (yaml, python) = example("tools.md");
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    fs::write(&words, "One\nother\ntwo\nzone\n").unwrap();
    let python = python
        .replace("/usr/share/dict/words", words.to_str().unwrap())
        .replace("/etc/services", words.to_str().unwrap());
    let values = run(&yaml, &python).await;
    assert_eq!(values, [json!("One\ntwo\nzone\n"), json!("zone\n")]);
}

#[tokio::test]
async fn a_server() {
    let (yaml, python) = example("tools/mcp.md");
    let values = run(&yaml, &python).await;
    assert!(values[0].to_string().contains("-3.5h"), "{values:?}");
    let names: Vec<_> = values[1].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["convert_time", "get_current_time"]);
}

#[tokio::test]
async fn a_server_over_http() {
    let site = crate::serve::Site::new().await;
    let source =
        "def run(number: int) -> int:\n    \"\"\"Double a number.\"\"\"\n    return number * 2\n";
    site.tenant.add_workflow("double", source, "").await.unwrap();
    let (yaml, python) = example_number(2, "tools/mcp.md");
    let yaml = yaml.replace("8787", &site.address.port().to_string());
    let values = run_with(("COLLEAGUES_TOKEN", &site.token), &yaml, &python).await;
    assert_eq!(values[0]["workflows"][0]["name"], "double", "{values:?}");
    assert_eq!(values[1]["value"], 8, "{values:?}");
    assert!(!format!("{values:?}").contains(&site.token));
}

/// Answers each request with what it was.
fn shop() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let serve = |mut stream: TcpStream| -> std::io::Result<String> {
            let (mut request, mut chunk) = (String::new(), [0; 4096]);
            while !request.contains("\r\n\r\n")
                || request.ends_with("\r\n\r\n") && request.starts_with("POST")
            {
                let count = stream.read(&mut chunk)?;
                request.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
            let body = json!({ "said": request }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes())?;
            Ok(request)
        };
        for stream in listener.incoming().flatten() {
            if serve(stream).map(|request| sender.send(request)).is_err() {
                break;
            }
        }
    });
    (port, receiver)
}

#[tokio::test]
async fn a_web_service() {
    let (yaml, python) = example("tools/http.md");
    let (port, requests) = shop();
    let values = run(&yaml.replace("8080", &port.to_string()), &python).await;
    let seen: Vec<String> = requests.try_iter().collect();
    assert!(seen[0].starts_with("GET /v1/orders/7?fields=product&fields=count HTTP"), "{seen:?}");
    assert!(seen[1].ends_with("{\"product\":\"tea\",\"count\":1}"), "{seen:?}");
    assert!(seen.iter().all(|request| request.contains("Bearer canary-token-1")), "{seen:?}");
    let answers = format!("{values:?}");
    assert!(
        answers.contains("Bearer [secret SHOP_TOKEN]") && !answers.contains("canary"),
        "{answers}"
    );
}

/// What `help`, `repr` and the attributes of errors show a workflow's author.
#[tokio::test]
async fn tools_describe_themselves_in_python() {
    let (yaml, _) = example("tools.md");
    let python = "[repr(tools.grep.words), repr(tools.grep), repr(tools.nothing), \
                  'max_count: int' in tools.grep.__doc__, 'Find any of some words' in tools.grep.words.__doc__, \
                  dir(tools), 'words' in dir(tools.grep), [c.name for c in tools.grep.list()]]";
    let values = run(&yaml, python).await;
    assert_eq!(
        values[0],
        json!([
            "<tools.grep.words(*, regexp: list[str | float], file: str)>",
            "<tools.grep(*, file: str, ignore_case: bool = ..., max_count: int = ..., regexp: list[str | float] = ...)>",
            "<tools.nothing>",
            true,
            true,
            ["grep", "list", "search"],
            true,
            ["", "words"],
        ])
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("grep.yaml"), &yaml).unwrap();
    let options = ToolOptions { search_path: std::env::var_os("PATH"), ..ToolOptions::default() };
    let tools = Registry::from_folder(folder.path(), &options).unwrap();
    let bench = bench_with(|builder| builder.tools(tools)).await;
    let code = "
from repertoire import ToolError
help(tools.grep.words)
try:
    tools.grep.words(regexp=['x'], file='/no/such/file')
except ToolError as error:
    answer = [error.status, 'No such file' in error.stderr, error.retryable]
answer";
    let run = bench.tenant.session().run(code).await.unwrap();
    assert_eq!(run.value().unwrap().to::<Value>().unwrap(), json!([2, true, false]));
    let printed = &run.stdout;
    assert!(printed.starts_with("tools.grep.words(*, regexp: list[str | float]"), "{printed}");
    assert!(printed.contains("Find any of some words"), "{printed}");
}
