//! Bad input: each gets an error that says what was wrong, and the engine lives.

use std::time::{Duration, Instant};

use repertoire::{Code, Json, Tenant};
use repertoire_tests::bench;
use serde_json::json;

async fn refused(tenant: &Tenant, arguments: &str) -> String {
    let arguments = match Json::parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return format!("{}: {}", error.code(), error.message()),
    };
    let error = tenant.invoke("fetch", arguments).await.expect_err("it was accepted");
    format!("{}: {}", error.code(), error.message())
}

const FETCH: &str = "
from typing import Literal
def run(url: str, tags: list[str] = [], timeout: int = 30, mode: Literal['text', 'json'] = 'text', depth: float | None = None) -> dict:
    return {'url': url, 'timeout': timeout, 'depth': depth}
";

#[tokio::test]
async fn arguments_that_do_not_fit() {
    let tenant = bench().await.tenant;
    tenant.add_workflow("fetch", FETCH, "").await.unwrap();
    let mut messages = Vec::new();
    for arguments in [
        "{}",
        r#"{"url": 1}"#,
        r#"{"url": null}"#,
        r#"{"url": "x", "tiemout": 3}"#,
        r#"{"url": "x", "frobnicate": 3}"#,
        r#"{"url": "x", "tags": ["a", 2]}"#,
        r#"{"url": "x", "timeout": 1.5}"#,
        r#"{"url": "x", "timeout": true}"#,
        r#"{"url": "x", "mode": "xml"}"#,
        "[]",
        "null",
        "\"url\"",
        "{",
    ] {
        messages.push(refused(&tenant, arguments).await);
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
    invalid-argument: workflow fetch: argument url is missing (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: argument url: 1 is not of type "string" (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: argument url: null is not of type "string" (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: there is no parameter "tiemout"; did you mean timeout? (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: there is no parameter "frobnicate" (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: argument tags at /1: 2 is not of type "string" (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: argument timeout: 1.5 is not of type "integer" (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: argument timeout: true is not of type "integer" (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: argument mode: "xml" is not one of "text" or "json" (it takes url, tags, timeout, mode, depth)
    invalid-argument: workflow fetch: arguments must be a JSON object of keyword arguments, for example {"name": 1}
    invalid-argument: workflow fetch: arguments must be a JSON object of keyword arguments, for example {"name": 1}
    invalid-argument: workflow fetch: arguments must be a JSON object of keyword arguments, for example {"name": 1}
    invalid-argument: not JSON: EOF while parsing an object at line 1 column 1
    "#);
    // Each of them was refused before anything ran, and this is what they are refused for.
    assert!(tenant.runs(1).await.unwrap().is_empty());
    for arguments in [
        json!({"url": "x"}),
        json!({"url": "x", "depth": 2, "timeout": 4, "mode": "json", "tags": ["a"]}),
    ] {
        assert!(tenant.invoke("fetch", arguments).await.unwrap().value().is_ok());
    }
}

#[tokio::test]
async fn arguments_that_are_too_much() {
    let tenant = bench().await.tenant;
    tenant.add_workflow("fetch", FETCH, "").await.unwrap();
    tenant.add_workflow("any", "def run(x): return len(str(x))", "").await.unwrap();
    let started = Instant::now();
    let large = json!({"url": "x".repeat(64 << 20)});
    let error = tenant.invoke("fetch", large).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("67108") && error.message().contains("artifact"), "{error}");

    let nested = |n: usize| format!(r#"{{"x": {}{}}}"#, "[".repeat(n), "]".repeat(n));
    let error = Json::parse(nested(10_000)).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("127 levels"), "{error}");
    // One that was put together by a program, and was never parsed.
    let mut deep = serde_json::Value::Null;
    for _ in 0..300 {
        deep = json!([deep]);
    }
    let error = tenant.invoke("any", json!({ "x": deep })).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    // As deep as may be.
    let arguments = Json::parse(nested(126)).unwrap();
    let run = tenant.invoke("any", arguments).await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "252");
    let digits = format!(r#"{{"x": {}}}"#, "7".repeat(4000));
    let run = tenant.invoke("any", Json::parse(digits).unwrap()).await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "4000");
    // Refusing is cheap; the bound is for a machine that does something else as well.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn names_that_are_none() {
    let tenant = bench().await.tenant;
    let long = "x".repeat(65);
    let mut messages = Vec::new();
    for name in [
        "",
        "1st",
        "fetch-json",
        "fetch json",
        "class",
        "None",
        "invoke",
        "search",
        "_private",
        "__init__",
        long.as_str(),
        "fetch_jsоn",
        "ﬁnd",
        "名前",
        "../x",
        "/etc/passwd",
        "a.b",
        "a'b",
        "a\"b",
        "x' OR '1'='1",
        "x; DROP TABLE workflows",
        "a\0",
        "a\n",
        "\u{202e}x",
        " ",
    ] {
        let error = tenant.add_workflow(name, "def run(): return 1", "").await.expect_err(name);
        assert_eq!(error.code(), Code::InvalidArgument, "{name:?}");
        for error in [
            tenant.invoke(name, json!({})).await.expect_err(name),
            tenant.delete_workflow(name).await.expect_err(name),
            tenant.history(name).await.expect_err(name),
            tenant.workflow(name).await.expect_err(name),
        ] {
            assert_eq!(error.code(), Code::InvalidArgument, "{name:?}");
        }
        messages.push(error.message().split("; use").next().unwrap().to_owned());
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
    "" is not a workflow's name: it is empty
    "1st" is not a workflow's name: it is not a Python identifier
    "fetch-json" is not a workflow's name: it is not a Python identifier
    "fetch json" is not a workflow's name: it is not a Python identifier
    "class" is not a workflow's name: it is a Python keyword
    "None" is not a workflow's name: it is a Python keyword
    "invoke" is not a workflow's name: `workflows.invoke` has a meaning of its own
    "search" is not a workflow's name: `workflows.search` has a meaning of its own
    "_private" is not a workflow's name: it begins with an underscore
    "__init__" is not a workflow's name: it begins with an underscore
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" is not a workflow's name: it is longer than 64 characters
    "fetch_jsоn" is not a workflow's name: it has characters outside ASCII
    "ﬁnd" is not a workflow's name: it has characters outside ASCII
    "名前" is not a workflow's name: it has characters outside ASCII
    "../x" is not a workflow's name: it is not a Python identifier
    "/etc/passwd" is not a workflow's name: it is not a Python identifier
    "a.b" is not a workflow's name: it is not a Python identifier
    "a\'b" is not a workflow's name: it is not a Python identifier
    "a\"b" is not a workflow's name: it is not a Python identifier
    "x\' OR \'1\'=\'1" is not a workflow's name: it is not a Python identifier
    "x; DROP TABLE workflows" is not a workflow's name: it is not a Python identifier
    "a\0" is not a workflow's name: it is not a Python identifier
    "a\n" is not a workflow's name: it is not a Python identifier
    "\u{202e}x" is not a workflow's name: it has characters outside ASCII
    " " is not a workflow's name: it is not a Python identifier
    "#);
    assert!(tenant.workflows().await.unwrap().is_empty());
    let longest = "x".repeat(64);
    for name in ["a", "fetch_json", "match", "type", longest.as_str()] {
        tenant.add_workflow(name, "def run(): return 1", "").await.unwrap();
    }
}

#[tokio::test]
async fn sources_that_are_no_workflows() {
    let tenant = bench().await.tenant;
    let mut messages = Vec::new();
    let large = format!("{}\ndef run(): return 1", "#".repeat(2 << 20));
    for source in [
        "",
        "def run(:\n    return 1",
        "def run():\nreturn 1",
        "def main(): return 1",
        "run = 3",
        "class run: pass",
        "run = lambda: 1",
        "def run(): return 1\0",
        "# -*- coding: latin-1 -*-\ndef run(): return 1",
        "if True:\n    def run(): return 1",
        "def run(*values): return 1",
        "def run(value, /): return 1",
        "def run(): yield 1",
        "async def run(): yield 1",
        "def run(): return 1\ndef run(x): return 2",
        large.as_str(),
    ] {
        let shown = source.lines().last().unwrap_or_default();
        let line = match tenant.add_workflow("candidate", source, "").await {
            Ok(_) => {
                tenant.delete_workflow("candidate").await.unwrap();
                "accepted".to_owned()
            }
            Err(error) => {
                assert_eq!(error.code(), Code::InvalidSource, "{source:?}: {error}");
                error.message().lines().next().unwrap_or_default().to_owned()
            }
        };
        messages.push(format!("{shown:?}: {line}"));
    }
    insta::assert_snapshot!(messages.join("\n"), @r#"
    "": the source has no function `run`; add `def run(...)` or `async def run(...)` at its top level
    "    return 1": line 1, column 9: invalid syntax
    "return 1": line 2, column 1: expected an indented block after function definition on line 1
    "def main(): return 1": the source has no function `run`; add `def run(...)` or `async def run(...)` at its top level
    "run = 3": line 1: `run` is not a function here; write `def run(...)` or `async def run(...)`
    "class run: pass": line 1: `run` is not a function here; write `def run(...)` or `async def run(...)`
    "run = lambda: 1": line 1: `run` is not a function here; write `def run(...)` or `async def run(...)`
    "def run(): return 1\0": line 1: the source contains a null byte
    "def run(): return 1": accepted
    "    def run(): return 1": accepted
    "def run(*values): return 1": accepted
    "def run(value, /): return 1": line 1: `run` is called with keyword arguments, and `value` is positional-only; remove the `/`
    "def run(): yield 1": line 1: `run` is a generator, and its result would not be JSON; collect what it yields in a list and return it
    "async def run(): yield 1": line 1: `run` is a generator, and its result would not be JSON; collect what it yields in a list and return it
    "def run(x): return 2": accepted
    "def run(): return 1": the source has 2097172 bytes, and a workflow at most 1048576; keep data in artifacts
    "#);
    assert!(tenant.workflows().await.unwrap().is_empty());
}

/// Registering parses and does not run: neither a loop nor an exception at the top level is met.
#[tokio::test]
async fn top_level_code_runs_only_when_the_workflow_does() {
    let bench = bench().await;
    let tenant = &bench.tenant;
    let started = Instant::now();
    for (name, top) in [
        ("loops", "while True: pass"),
        ("raises", "raise ValueError('at once')"),
        ("calls", "tools.test.echo(x=1)"),
        ("leaves", "import os; os._exit(0)"),
    ] {
        tenant.add_workflow(name, format!("{top}\ndef run(): return 1"), "").await.unwrap();
    }
    // Parsing takes milliseconds; a loop that ran would take its fuel's seconds.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(bench.seen.started(), 0);
    let code = async |name| {
        tenant.invoke(name, json!({})).await.unwrap().value().map_err(|f| f.code).err()
    };
    assert_eq!(code("raises").await, Some(Code::Raised));
    assert_eq!(code("leaves").await, Some(Code::Trapped));
    assert_eq!(code("calls").await, None);
    assert_eq!(bench.seen.started(), 1);
}

#[tokio::test]
async fn what_is_not_there() {
    let bench = bench().await;
    let tenant = &bench.tenant;
    tenant.add_workflow("fetch_json", "def run(url: str): return url", "").await.unwrap();
    let error = tenant.invoke("fetch_jsn", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("fetch_json?"), "{error}");
    assert_eq!(tenant.invoke("zzz", json!({})).await.unwrap_err().code(), Code::NotFound);
    assert!(!tenant.delete_workflow("zzz").await.unwrap().existed);
    assert_eq!(tenant.history("zzz").await.unwrap_err().code(), Code::NotFound);
    let empty = Json::empty_object();
    let error = tenant.call_tool("tset", "echo", &empty).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("test?"), "{error}");
    let error = tenant.call_tool("test", "eco", &empty).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("echo?"), "{error}");
    assert_eq!(tenant.call_tool("../sh", "", &empty).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        tenant.call_tool("test", "typed", &empty).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(tenant.load_artifact("zzz").await.unwrap_err().code(), Code::NotFound);
    assert!(!tenant.delete_artifact("zzz").await.unwrap());
    for name in ["", "../x", "a\0", "/a", "a//b"] {
        assert_eq!(tenant.load_artifact(name).await.unwrap_err().code(), Code::InvalidArgument);
    }
    for id in ["", "..", "a/b", "Acme", "-a", "ä", &"a".repeat(65)] {
        assert_eq!(
            bench.engine.tenant(id).await.err().unwrap().code(),
            Code::InvalidArgument,
            "{id:?}"
        );
    }
    let nobody = repertoire::id::TenantId::new("nobody").unwrap();
    assert!(!bench.engine.delete_tenant(&nobody).await.unwrap());
    for query in ["", " \n", &"x".repeat(10_000)] {
        assert_eq!(tenant.search(query, 5).await.unwrap_err().code(), Code::InvalidArgument);
    }
    assert_eq!(tenant.search("json", 0).await.unwrap(), []);
    assert_eq!(tenant.search("json", usize::MAX).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_engine_without_a_component_says_so() {
    let error = repertoire::Engine::builder().build().await.err().unwrap();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("component"), "{error}");
}
