//! Real servers: one that does what a test asks for, and others that people use.

mod real;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Code, Error, Result};
use crate::id::TenantId;
use crate::json::Json;
use crate::tools::secrets::{Secret, SecretMap, SecretName};
use crate::tools::{CallContext, Registry, ToolInfo, ToolOptions};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn options() -> ToolOptions {
    let secret = Secret::new("canary-token-1").unwrap();
    let secrets = SecretMap::default().with(SecretName::new("TOKEN").unwrap(), secret);
    ToolOptions {
        search_path: std::env::var_os("PATH"),
        variables: [("PASSED".into(), "on".into()), ("KEPT".into(), "back".into())].into(),
        secrets: std::sync::Arc::new(secrets),
        ..ToolOptions::default()
    }
}

fn registry_of(file: &str) -> Registry {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("srv.yaml"), file).unwrap();
    Registry::from_folder(folder.path(), &options()).unwrap()
}

/// The probe, with more lines in its file.
fn probe(more: &str, arguments: &[&str]) -> Registry {
    let script = root().join("tests/fixtures/mcp/probe.py");
    let arguments: Vec<_> =
        std::iter::once(script.to_str().unwrap()).chain(arguments.iter().copied()).collect();
    let command = json!(arguments);
    registry_of(&format!(
        "name: srv\ntype: mcp\ndescription: A probe\ncommand: python3\nargs: {command}\n{more}"
    ))
}

fn context(tenant: &str) -> CallContext {
    CallContext { tenant: TenantId::new(tenant).unwrap(), run: None, deadline: None }
}

async fn call(tools: &Registry, callable: &str, arguments: Value) -> Result<Value> {
    call_as("a", tools, callable, arguments).await
}

async fn call_as(
    tenant: &str,
    tools: &Registry,
    callable: &str,
    arguments: Value,
) -> Result<Value> {
    let answer = tools.call("srv", callable, &Json::from(arguments), &context(tenant)).await;
    answer.map(|json| json.to().unwrap())
}

async fn info(tools: &Registry) -> std::sync::Arc<ToolInfo> {
    tools.get_for("srv", &context("a")).await.unwrap()
}

fn details(error: &Error) -> Value {
    error.details().unwrap().to().unwrap()
}

fn is_alive(pid: u64) -> bool {
    // One that is dead and not yet waited for is dead.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn until_dead(pid: u64) {
    let started = Instant::now();
    while is_alive(pid) {
        assert!(started.elapsed() < Duration::from_secs(20), "{pid} is alive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn where_it_is(tenant: &str, tools: &Registry) -> Value {
    let text = call_as(tenant, tools, "where", json!({})).await.unwrap();
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_servers_tools_are_callables() {
    let tools = probe("tags: [probe]\n", &[]);
    // Nothing has been started so far.
    assert!(tools.list()[0].callables.is_empty());
    let info = info(&tools).await;
    let names: Vec<_> = info.callables.iter().map(|callable| callable.name.as_str()).collect();
    for name in ["echo", "with_dash", "class_", "t__31mred", "nested"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names.len() > 20, "all pages: {names:?}");
    assert_eq!(info.callable("echo").unwrap().description, "Does echo");
    assert!(info.callables.iter().all(|callable| !callable.description.contains('\x1b')));
    assert_eq!(call(&tools, "echo", json!({"text": "héllo\n"})).await.unwrap(), json!("héllo\n"));
    assert_eq!(call(&tools, "with_dash", json!({})).await.unwrap(), json!(r#"["with-dash", {}]"#));
    // Described once as long as nothing changes, and found by what it says.
    assert!(std::sync::Arc::ptr_eq(&info, &super::tests::info(&tools).await));
    let found =
        tools.search("does echo", 1, &crate::embed::hashing::HashingEmbedder, &context("a")).await;
    assert_eq!(found.unwrap()[0].name.as_str(), "srv");
}

#[tokio::test]
async fn arguments_are_checked_before_the_server_sees_them() {
    let tools = probe("", &[]);
    for (callable, arguments) in [
        ("echo", json!({})),
        ("echo", json!({"text": 1})),
        ("echo", json!({"text": "a", "more": 1})),
        ("nested", json!({"point": {}})),
        ("nested", json!({"point": {"x": "1"}})),
    ] {
        let error = call(&tools, callable, arguments.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{callable} {arguments}: {error}");
    }
    assert_eq!(call(&tools, "no_such", json!({})).await.unwrap_err().code(), Code::NotFound);
    assert!(call(&tools, "nested", json!({"point": {"x": 1.5}})).await.is_ok());
    // What a schema refers to elsewhere is not fetched, and anything goes.
    assert!(call(&tools, "remote", json!({"x": 1})).await.is_ok());
}

#[tokio::test]
async fn content_becomes_values() {
    let tools = probe("", &[]);
    for (callable, expected) in [
        ("structured", json!({"a": [1, 2.5, null, "é"]})),
        ("wrapped", json!(7)),
        ("image", json!({"type": "image", "media_type": "image/png", "base64": "iVD/"})),
        ("nothing", json!(null)),
        (
            "mixed",
            json!([
                "one",
                {"type": "resource", "uri": "memo://1", "media_type": "text/plain", "text": "memo"},
                {"type": "link", "uri": "memo://2", "name": "two", "description": null, "media_type": null},
            ]),
        ),
    ] {
        assert_eq!(call(&tools, callable, json!({})).await.unwrap(), expected, "{callable}");
    }
    let error = call(&tools, "fail", json!({"text": "it broke\nhere"})).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::ToolFailed, "tool srv.fail: it broke"));
    assert_eq!(details(&error)["stderr"], json!("it broke\nhere"));
    let error = call(&tools, "refuse", json!({})).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::ToolFailed, "tool srv: not today"));
    assert_eq!(details(&error)["data"], json!({"why": "rain"}));
}

/// What one tenant's server remembers, another's does not; unless the file says so.
#[tokio::test]
async fn each_tenant_has_a_server_of_its_own() {
    let tools = probe("", &[]);
    let put = json!({"key": "k", "value": "mine"});
    call_as("a", &tools, "put", put.clone()).await.unwrap();
    assert_eq!(call_as("a", &tools, "look", json!({"key": "k"})).await.unwrap(), json!("mine"));
    let error = call_as("b", &tools, "look", json!({"key": "k"})).await.unwrap_err();
    assert_eq!(error.code(), Code::ToolFailed);
    assert_ne!(where_it_is("a", &tools).await["pid"], where_it_is("b", &tools).await["pid"]);
    let shared = probe("sharing: shared\n", &[]);
    call_as("a", &shared, "put", put).await.unwrap();
    assert_eq!(call_as("b", &shared, "look", json!({"key": "k"})).await.unwrap(), json!("mine"));
}

#[tokio::test]
async fn a_server_gets_what_its_file_says_and_ends_with_its_group() {
    let tools = probe("env: {KEY: {secret: TOKEN}, PLAIN: x}\npass_env: [PASSED]\n", &["--flag"]);
    let text = call(&tools, "where", json!({})).await.unwrap();
    assert!(!text.to_string().contains("canary"), "{text}");
    let seen: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    assert_eq!(seen["env"]["KEY"], json!("[secret TOKEN]"));
    assert_eq!((&seen["env"]["PLAIN"], &seen["env"]["PASSED"]), (&json!("x"), &json!("on")));
    assert_eq!(seen["args"], json!(["--flag"]));
    let names: Vec<_> = seen["env"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(!names.contains(&"KEPT") && !names.contains(&"HOME"), "{names:?}");
    let folder = PathBuf::from(seen["cwd"].as_str().unwrap());
    assert!(folder.exists());
    let child = call(&tools, "child", json!({})).await.unwrap();
    let pids = [seen["pid"].as_u64().unwrap(), child.as_str().unwrap().parse().unwrap()];
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    drop(tools);
    for pid in pids {
        until_dead(pid).await;
    }
    assert!(!folder.exists());
}

#[tokio::test]
async fn what_a_server_says_of_itself_has_no_secret() {
    let tools = probe("env: {LEAKED: {secret: TOKEN}}\n", &[]);
    let info = info(&tools).await;
    let leaky = info.callable("leaky").unwrap();
    assert_eq!(leaky.description, "Uses [secret TOKEN]");
    let parameter = &leaky.parameters[0];
    assert_eq!(parameter.description, "not [secret TOKEN]");
    assert!(!format!("{info:?}").contains("canary"), "{info:?}");
}

#[tokio::test]
async fn a_server_that_dies_is_started_again() {
    let tools = probe("", &[]);
    let first = where_it_is("a", &tools).await["pid"].clone();
    let error = call(&tools, "die", json!({})).await.unwrap_err();
    assert_eq!(
        (error.code(), &details(&error)["retryable"]),
        (Code::ToolFailed, &json!(true)),
        "{error}"
    );
    let second = where_it_is("a", &tools).await["pid"].clone();
    assert_ne!(first, second);
}

#[tokio::test]
async fn one_that_does_not_start_is_tried_again_later() {
    let tools = probe("", &["--broken"]);
    let error = call(&tools, "echo", json!({"text": ""})).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("it cannot start"), "{error}");
    // At once: not even tried, and said so.
    let started = Instant::now();
    let error = call(&tools, "echo", json!({"text": ""})).await.unwrap_err();
    let said = error.message().contains("tried again in")
        || started.elapsed() > Duration::from_millis(200);
    assert!(said, "{error}");
    let listed = tools.list_for(&context("a")).await;
    assert!(listed[0].description.starts_with("A probe (unavailable: "), "{listed:?}");
    let mute = probe("start_timeout: 0.2\n", &["--mute"]);
    let error = call(&mute, "echo", json!({"text": ""})).await.unwrap_err();
    assert!(error.message().contains("start_timeout"), "{error}");
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled() {
    let tools = probe("timeout: 0.3\n", &[]);
    assert_eq!(call(&tools, "cancelled", json!({})).await.unwrap(), json!("0"));
    let error = call(&tools, "hang", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::TimedOut, "{error}");
    // Dropped, as when a run ends.
    let dropped = tokio::time::timeout(Duration::from_millis(50), call(&tools, "hang", json!({})));
    assert!(dropped.await.is_err());
    let started = Instant::now();
    while call(&tools, "cancelled", json!({})).await.unwrap() != json!("2") {
        assert!(started.elapsed() < Duration::from_secs(20), "the server was not told");
    }
}

#[tokio::test]
async fn output_is_limited() {
    let tools = probe("max_output: 10000\n", &[]);
    assert!(call(&tools, "big", json!({"n": 9000})).await.is_ok());
    let error = call(&tools, "big", json!({"n": 20000})).await.unwrap_err();
    assert_eq!(details(&error)["limit_bytes"], json!(10000), "{error}");
    let first = where_it_is("a", &tools).await["pid"].as_u64().unwrap();
    // A gigabyte in one line: the server is stopped, and the next call has a new one.
    let error = call(&tools, "flood", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::ToolFailed);
    assert!(error.message().contains("max_output"), "{error}");
    until_dead(first).await;
    assert!(call(&tools, "echo", json!({"text": "x"})).await.is_ok());
}

#[tokio::test]
async fn a_list_that_changes_is_followed() {
    let tools = probe("", &[]);
    assert!(info(&tools).await.callable("grown").is_none());
    call(&tools, "grow", json!({})).await.unwrap();
    assert!(info(&tools).await.callable("grown").is_some());
    assert!(call(&tools, "grown", json!({})).await.is_ok());
    let few = probe("tools: [echo, grow]\n", &[]);
    let names: Vec<_> =
        info(&few).await.callables.iter().map(|callable| callable.name.clone()).collect();
    assert_eq!(names, ["echo", "grow"]);
    assert_eq!(call(&few, "where", json!({})).await.unwrap_err().code(), Code::NotFound);
}

/// A server that asks for a model or for a person's attention is refused.
#[tokio::test]
async fn what_a_server_asks_for_is_refused() {
    let answers = call(&probe("", &[]), "ask", json!({})).await.unwrap();
    let answers: Value = serde_json::from_str(answers.as_str().unwrap()).unwrap();
    assert_eq!(answers[0]["code"], json!(-32601), "{answers}");
    assert_eq!(answers[1]["action"], json!("decline"), "{answers}");
}

#[test]
fn files_that_cannot_work_are_refused() {
    for (rest, expected) in [
        ("", "key \"command\" is missing"),
        ("transport: http", "key \"url\" is missing"),
        ("transport: sse\nurl: https://x.test", "is no transport, which servers have given up"),
        ("transport: stdoi\ncommand: x", "did you mean stdio?"),
        ("command: x\nurl: https://x.test\ntransport: stdio", "give command or url, not both"),
        ("command: x\nheaders: {A: b}", "headers are for transport: http"),
        ("command: x\nsharing: all", "is no way to share"),
        ("comand: x", "did you mean command?"),
        ("command: x -y", "under args"),
        ("command: x\nenv: {A: {secret: a}}", "is not a secret's name"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("srv.yaml");
        std::fs::write(&path, format!("name: srv\ntype: mcp\n{rest}")).unwrap();
        let message = crate::tools::spec::load_file(&path).unwrap_err().chain();
        assert!(message.contains(expected), "{rest}\n  said: {message}\n  expected: {expected}");
    }
}
