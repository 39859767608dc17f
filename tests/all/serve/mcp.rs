//! `/mcp`, and `repertoire mcp`, as the official clients use them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use repertoire::serve::http::HttpLimits;
use repertoire::serve::http::tokens::Scope;
use repertoire_tests::{build_dir, cli, repository};
use serde_json::{Value, json};

use super::Site;
use crate::cli::Home;

/// The programs of the official clients. Node.js is not asked for: without it there is one.
fn clients() -> Vec<Vec<PathBuf>> {
    let fixtures = repository().join("tests/fixtures/mcp");
    let python = build_dir().join("mcp-servers/bin/python");
    let sdk = build_dir().join("mcp-npm/node_modules/@modelcontextprotocol/sdk");
    let mut all = vec![vec![python, fixtures.join("client.py")]];
    if sdk.exists() {
        all.push(vec!["node".into(), fixtures.join("client.mjs"), sdk]);
    } else {
        println!("no {}: the TypeScript client is left out", sdk.display());
    }
    all
}

fn run(mut command: Command, program: &[PathBuf], arguments: &[&OsStr]) -> Value {
    command.args(&program[1..]).args(arguments);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn check(answers: &Value) {
    for tool in ["run_code", "search_workflows", "create_workflow", "artifacts"] {
        assert!(answers["tools"].as_array().unwrap().contains(&tool.into()), "{answers}");
    }
    let value = |name: &str| &answers[name]["value"];
    assert_eq!(value("second")["value"], 21, "{answers}");
    assert_eq!(value("create")["created"]["signature"], "double(number: int) -> int");
    assert_eq!(value("search")["workflows"][0]["name"], "double");
    assert_eq!(value("invoke")["value"], 8);
    assert_eq!(answers["wrong"]["error"], true);
    assert_eq!(value("wrong")["error"]["code"], "not-found", "{answers}");
    assert_eq!(answers["prompts"], json!(["when_to_save"]));
    assert!(answers["resources"].to_string().contains("double"), "{answers}");
    assert!(answers["told"].to_string().contains("doubling"), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_over_http() {
    for program in clients() {
        let site = Site::new().await;
        let (url, token) = (format!("http://{}/mcp", site.address), site.token.clone());
        let answers = tokio::task::spawn_blocking(move || {
            let command = Command::new(&program[0]);
            run(command, &program, &["http".as_ref(), url.as_ref(), token.as_ref()])
        });
        check(&answers.await.unwrap());
        site.end().await.unwrap();
    }
}

#[test]
fn the_official_clients_over_stdio() {
    for program in clients() {
        let home = Home::new();
        let mut command = home.command(&[]);
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = Command::new(&program[0]);
        command.current_dir(home.path()).envs(environment.iter().cloned());
        // The Python client passes on little of its environment: the server's is said by `env`.
        let mut arguments: Vec<&OsStr> = vec!["stdio".as_ref(), "env".as_ref()];
        let settings: Vec<_> = environment
            .iter()
            .map(|(name, value)| {
                let mut setting = name.clone();
                setting.push("=");
                setting.push(value);
                setting
            })
            .collect();
        arguments.extend(settings.iter().map(AsRef::<OsStr>::as_ref));
        let cli = cli();
        arguments.extend([cli.as_os_str(), "mcp".as_ref()]);
        check(&run(command, &program, &arguments));
    }
}

/// The MCP inspector's command line, which connects anew for each question. Node.js is not asked
/// for: without it there is none.
fn inspector() -> Option<PathBuf> {
    let package = build_dir().join("mcp-npm/node_modules/@modelcontextprotocol/inspector");
    let program = package.join("cli/build/cli.js");
    if program.exists() {
        return Some(program);
    }
    println!("no {}: the inspector is left out", program.display());
    None
}

/// Asks one question by the inspector's command line.
fn inspect(
    program: &Path,
    environment: &[(OsString, OsString)],
    server: &[&OsStr],
    question: &[&str],
) -> Value {
    let mut command = Command::new("node");
    command.arg(program).arg("--cli").args(server).args(question);
    command.envs(environment.iter().cloned());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{question:?}: {done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// What the inspector is told by a server; both kinds are told the same.
fn check_inspector(ask: impl Fn(&[&str]) -> Value) {
    let tools = ask(&["--method", "tools/list"]);
    let names: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(names.contains(&&json!("run_code")), "{tools}");

    let call = ["--method", "tools/call", "--tool-name"];
    let code = ["run_code", "--tool-arg", "code=print('hi')\n6 * 7"];
    let ran = ask(&[&call[..], &code[..]].concat());
    assert_eq!(ran["structuredContent"]["value"], 42, "{ran}");
    assert_eq!(ran["structuredContent"]["stdout"], "hi\n", "{ran}");

    let source = "source=def run(number: int) -> int:\n    return number * 2\n";
    let create = ["create_workflow", "--tool-arg", "name=double", "--tool-arg", source];
    let created = ask(&[&call[..], &create[..]].concat());
    let signature = &created["structuredContent"]["created"]["signature"];
    assert_eq!(*signature, "double(number: int) -> int", "{created}");
    let invoke = ["invoke_workflow", "--tool-arg", "name=double", "--tool-arg"];
    let ran = ask(&[&call[..], &invoke[..], &["arguments={\"number\": 4}"]].concat());
    assert_eq!(ran["structuredContent"]["value"], 8, "{ran}");

    let resources = ask(&["--method", "resources/list"]);
    assert_eq!(resources["resources"][0]["uri"], "workflow://double", "{resources}");
    let read = ask(&["--method", "resources/read", "--uri", "workflow://double"]);
    assert!(read["contents"][0]["text"].as_str().unwrap().contains("number * 2"), "{read}");

    let prompts = ask(&["--method", "prompts/list"]);
    assert_eq!(prompts["prompts"][0]["name"], "when_to_save", "{prompts}");
    let prompt = ask(&["--method", "prompts/get", "--prompt-name", "when_to_save"]);
    assert!(prompt["messages"].to_string().contains("create_workflow"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_over_http() {
    let Some(program) = inspector() else { return };
    let site = Site::new().await;
    let url = format!("http://{}/mcp", site.address);
    let header = format!("Authorization: Bearer {}", site.token);
    let asked = tokio::task::spawn_blocking(move || {
        let words = [url.as_str(), "--transport", "http", "--header", header.as_str()];
        let server = words.map(OsStr::new);
        check_inspector(|question| inspect(&program, &[], &server, question));
    });
    asked.await.unwrap();
    site.end().await.unwrap();
}

#[test]
fn the_inspector_over_stdio() {
    let Some(program) = inspector() else { return };
    let home = Home::new();
    let environment: Vec<(OsString, OsString)> = home
        .command(&[])
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let cli = cli();
    check_inspector(|question| {
        inspect(&program, &environment, &[cli.as_os_str(), OsStr::new("mcp")], question)
    });
}

/// A client's side of the protocol, without its library.
async fn post(site: &Site, token: &str, session: Option<&str>, message: &Value) -> super::Reply {
    let session = session.map(|session| format!("mcp-session-id: {session}"));
    let mut headers = vec![
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        "mcp-protocol-version: 2025-06-18",
    ];
    headers.extend(session.as_deref());
    site.ask_as(token, "POST /mcp", &headers, message.to_string().as_bytes()).await
}

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }})
}

async fn connect(site: &Site, token: &str) -> String {
    let reply = post(site, token, None, &initialize()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let session = reply.header("mcp-session-id").unwrap().to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(site, token, Some(&session), &initialized).await.status, 202);
    session
}

async fn call(site: &Site, token: &str, session: &str, tool: &str, arguments: Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
    post(site, token, Some(session), &message).await.text().to_owned()
}

#[tokio::test]
async fn a_session_is_its_tenants_and_each_call_needs_its_scope() {
    let site = Site::new().await;
    let session = connect(&site, &site.token).await;
    let code = json!({"code": "1 + 1"});
    let told = call(&site, &site.token, &session, "run_code", code.clone()).await;
    assert!(told.contains(r#""value":2"#), "{told}");
    // Another tenant that knows the id.
    let other = site.token("other", &[Scope::Admin]).await;
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    let reply = post(&site, &other, Some(&session), &list).await;
    assert!(reply.status >= 400, "{reply:?}");
    // The same tenant's other token may join, and do what it is for.
    let reader = site.token("acme", &[Scope::Read]).await;
    for (tool, arguments) in [
        ("run_code", code),
        ("invoke_workflow", json!({"name": "x"})),
        ("create_workflow", json!({"name": "x", "source": "def run(): pass"})),
        ("delete_workflow", json!({"name": "x"})),
        ("artifacts", json!({"action": "save", "name": "x", "value": 1})),
    ] {
        let told = call(&site, &reader, &session, tool, arguments).await;
        assert!(told.contains("does not have the scope"), "{tool}: {told}");
    }
    let query = json!({"query": "anything"});
    let told = call(&site, &reader, &session, "search_workflows", query).await;
    assert!(told.contains(r#""workflows":[]"#), "{told}");
    post(&site, "", None, &initialize()).await.refuses(401, "unauthenticated");
}

#[tokio::test]
async fn clients_are_counted() {
    let limits = HttpLimits { mcp_clients_per_tenant: 2, ..HttpLimits::default() };
    let site = Site::with(limits).await;
    let first = connect(&site, &site.token).await;
    connect(&site, &site.token).await;
    post(&site, &site.token, None, &initialize()).await.refuses(429, "busy");
    let other = site.token("other", &[Scope::Admin]).await;
    connect(&site, &other).await;
    let header = format!("mcp-session-id: {first}");
    let ended = site.ask_as(&site.token, "DELETE /mcp", &[&header], b"").await;
    assert!(ended.status < 300, "{ended:?}");
    for _ in 0..100 {
        if post(&site, &site.token, None, &initialize()).await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the seat was not given back");
}
