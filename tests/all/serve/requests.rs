//! What a program may ask for, and what it is answered.

use repertoire::serve::http::HttpLimits;
use repertoire::serve::http::tokens::Scope;
use serde_json::{Value, json};

use super::Site;

const DOUBLE: &str = "def run(number: int) -> int:\n    \"\"\"Double a number.\"\"\"\n    print('doubling')\n    return number * 2\n";

async fn with_double() -> Site {
    let site = Site::new().await;
    let new = json!({"name": "double", "source": DOUBLE});
    let reply = site.send("POST /v1/workflows", &new).await;
    assert_eq!(reply.is(201)["signature"], "double(number: int) -> int");
    assert_eq!(reply.header("location"), Some("/v1/workflows/double"));
    site
}

#[tokio::test]
async fn a_workflow_is_saved_found_run_and_deleted() {
    let site = with_double().await;
    let shown = site.ask("GET /v1/workflows/double").await.is(200);
    assert_eq!(shown["source"], DOUBLE);
    let found = site.ask("GET /v1/search?query=double%20a%20number&limit=1").await.is(200);
    assert_eq!(found["workflows"][0]["name"], "double");
    assert!(found["workflows"][0]["score"].as_f64().unwrap() > 0.0);
    let ran = site
        .send("POST /v1/workflows/double/invoke", &json!({"arguments": {"number": 21}}))
        .await
        .is(200);
    assert_eq!((&ran["value"], &ran["stdout"]), (&json!(42), &json!("doubling\n")));
    let run = ran["run_id"].as_str().unwrap();
    let record = site.ask(&format!("GET /v1/runs/{run}")).await.is(200);
    assert_eq!(record["run"]["workflow"], "double");
    assert_eq!(record["arguments"], json!({"number": 21}));
    let runs = site.ask("GET /v1/runs?limit=1").await.is(200);
    assert_eq!(runs["runs"][0]["run_id"], run);
    let deleted = site.ask("DELETE /v1/workflows/double").await.is(200);
    assert_eq!(deleted, json!({"deleted": "double", "broken": []}));
    site.ask("GET /v1/workflows/double").await.refuses(404, "not-found");
    site.ask("DELETE /v1/workflows/double").await.refuses(404, "not-found");
    let history = site.ask("GET /v1/workflows/double/history").await.is(200);
    let version = history["versions"][0]["version"].as_str().unwrap();
    let back = site.send("POST /v1/workflows/double/restore", &json!({"version": version})).await;
    assert_eq!(back.is(200)["source"], DOUBLE);
}

/// A run that fails is a run: its failure is in the answer, as in the record.
#[tokio::test]
async fn a_run_that_raises_is_answered() {
    let site = Site::new().await;
    let ran = site.send("POST /v1/run", &json!({"code": "1 / 0"})).await.is(200);
    assert_eq!(ran["error"]["code"], "raised");
    assert!(ran["error"]["message"].as_str().unwrap().contains("ZeroDivisionError"));
    let limits = json!({"fuel": 1000});
    let ran = site.send("POST /v1/run", &json!({"code": "1", "limits": limits})).await.is(200);
    assert_eq!(ran["error"]["code"], "fuel-exhausted");
}

#[tokio::test]
async fn lists_have_pages() {
    let site = Site::new().await;
    for name in ["a", "b", "c"] {
        let new = json!({"name": name, "source": DOUBLE});
        site.send("POST /v1/workflows", &new).await.is(201);
    }
    let first = site.ask("GET /v1/workflows?limit=2").await.is(200);
    assert_eq!(first["workflows"].as_array().unwrap().len(), 2);
    assert_eq!(first["next"], "b");
    let second = site.ask("GET /v1/workflows?limit=2&after=b").await.is(200);
    assert_eq!(second["workflows"][0]["name"], "c");
    assert_eq!(second.get("next"), None);
    let mut ran = Vec::new();
    for code in ["1", "2", "3"] {
        let run = site.send("POST /v1/run", &json!({"code": code})).await.is(200);
        ran.push(run["run_id"].as_str().unwrap().to_owned());
    }
    let first = site.ask("GET /v1/runs?limit=2").await.is(200);
    assert_eq!(first["next"], ran[1]);
    let second = site.ask(&format!("GET /v1/runs?limit=2&before={}", ran[1])).await.is(200);
    assert_eq!((&second["runs"][0]["run_id"], second.get("next")), (&json!(ran[0]), None));
    site.ask("GET /v1/runs?before=x").await.refuses(400, "invalid-argument");
    for wrong in ["limit=0", "limit=201", "limit=x", "limits=1"] {
        let line = format!("GET /v1/workflows?{wrong}");
        site.ask(&line).await.refuses(400, "invalid-argument");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let site = with_double().await;
    let twice = json!({"name": "double", "source": DOUBLE});
    site.send("POST /v1/workflows", &twice).await.refuses(409, "already-exists");
    let bad = json!({"name": "bad", "source": "def run("});
    site.send("POST /v1/workflows", &bad).await.refuses(422, "invalid-source");
    let typo = json!({"name": "bad", "sauce": "x"});
    let said = site.send("POST /v1/workflows", &typo).await.refuses(422, "invalid-argument");
    assert!(said.contains("sauce") && said.contains("source"), "{said}");
    let invoke = "POST /v1/workflows/double/invoke";
    let wrong = json!({"arguments": {"number": "x"}});
    site.send(invoke, &wrong).await.refuses(400, "invalid-argument");
    site.send(invoke, &json!({"arguments": [1]})).await.refuses(400, "invalid-argument");
    site.send("POST /v1/workflows/nothing/invoke", &json!({})).await.refuses(404, "not-found");
    let text = site.ask_as(&site.token, "POST /v1/run", &["content-type: text/plain"], b"1").await;
    text.refuses(415, "unsupported-media-type");
    let reply = site.ask("PATCH /v1/workflows").await;
    reply.refuses(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), Some("GET,HEAD,POST"));
    site.ask("GET /v1/nothing").await.refuses(404, "not-found");
}

#[tokio::test]
async fn a_request_with_a_key_is_done_once() {
    let site = with_double().await;
    let (line, body) = ("POST /v1/workflows/double/invoke", json!({"arguments": {"number": 4}}));
    let key = &["idempotency-key: one"][..];
    let first = site.send_with(line, key, &body).await;
    assert_eq!(first.header("idempotency-kept"), Some("true"));
    let again = site.send_with(line, key, &body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.is(200), first.is(200));
    let runs = site.ask("GET /v1/runs").await.is(200);
    let invoked = |run: &&Value| run["workflow"] == "double";
    assert_eq!(runs["runs"].as_array().unwrap().iter().filter(invoked).count(), 1);
    let other = json!({"arguments": {"number": 5}});
    site.send_with(line, key, &other).await.refuses(422, "invalid-argument");
    // Another tenant's key is another key.
    let token = site.token("other", &[Scope::Admin]).await;
    let headers = ["content-type: application/json", key[0]];
    let theirs = site.ask_as(&token, line, &headers, body.to_string().as_bytes()).await;
    theirs.refuses(404, "not-found");
    // What was not done may be tried again.
    let new = json!({"name": "late", "source": "def run("});
    let key = &["idempotency-key: two"][..];
    site.send_with("POST /v1/workflows", key, &new).await.refuses(422, "invalid-source");
    let new = json!({"name": "late", "source": DOUBLE});
    site.send_with("POST /v1/workflows", key, &new).await.is(201);
    site.send_with("POST /v1/workflows", key, &new).await.is(201);
    for wrong in ["idempotency-key: ", "idempotency-key: a b"] {
        site.send_with(line, &[wrong], &body).await.refuses(400, "invalid-argument");
    }
}

#[tokio::test]
async fn a_run_tells_what_it_does() {
    let site = with_double().await;
    let code = "print('a')\nx = workflows.invoke('double', number=2)\nprint(x)\nx";
    let accept = &["accept: text/event-stream"][..];
    let reply = site.send_with("POST /v1/run", accept, &json!({"code": code})).await;
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let events: Vec<(String, Value)> = reply
        .text()
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("event: "))
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        })
        .collect();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["stdout", "call-started", "stdout", "call-ended", "stdout", "result"]);
    assert_eq!(events[1].1["target"], "workflows.double");
    assert_eq!(events[2].1["text"], "doubling\n");
    assert_ne!(events[2].1["run_id"], events[0].1["run_id"]);
    assert_eq!(events[5].1["value"], 4);
    // What cannot even start is a problem, not a stream.
    let headers = ["accept: text/event-stream", "idempotency-key: k"];
    let reply = site.send_with("POST /v1/run", &headers, &json!({"code": "1"})).await;
    reply.refuses(400, "invalid-argument");
}

#[tokio::test]
async fn a_session_keeps_its_variables_for_its_tenant() {
    let site = Site::with(HttpLimits { sessions_per_tenant: 2, ..HttpLimits::default() }).await;
    let opened = site.send("POST /v1/sessions", &json!({})).await;
    let session = opened.is(201)["session_id"].as_str().unwrap().to_owned();
    let line = format!("POST /v1/sessions/{session}/run");
    assert_eq!(opened.header("location"), Some(format!("/v1/sessions/{session}").as_str()));
    site.send(&line, &json!({"code": "x = 20"})).await.is(200);
    assert_eq!(site.send(&line, &json!({"code": "x + 1"})).await.is(200)["value"], 21);
    let token = site.token("other", &[Scope::Admin]).await;
    let headers = ["content-type: application/json"];
    let theirs = site.ask_as(&token, &line, &headers, br#"{"code": "x"}"#).await;
    theirs.refuses(404, "not-found");
    site.ask(&format!("POST /v1/sessions/{session}/reset")).await.is(200);
    let gone = site.send(&line, &json!({"code": "x"})).await.is(200);
    assert!(gone["error"]["message"].as_str().unwrap().contains("NameError"));
    site.send("POST /v1/sessions", &json!({})).await.is(201);
    let full = site.send("POST /v1/sessions", &json!({})).await;
    full.refuses(429, "busy");
    assert!(full.header("retry-after").is_some());
    site.ask(&format!("DELETE /v1/sessions/{session}")).await.is(200);
    site.send(&line, &json!({"code": "1"})).await.refuses(404, "not-found");
    site.send("POST /v1/sessions", &json!({})).await.is(201);
}

#[tokio::test]
async fn artifacts_come_back_as_they_were_put() {
    let site = Site::new().await;
    let token = &site.token;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let binary = ["content-type: application/pdf"];
    let line = "PUT /v1/artifacts/reports%2F2026.pdf?description=yearly";
    let saved = site.ask_as(token, line, &binary, &bytes).await.is(200);
    assert_eq!(saved["saved"]["size"], 3_000_000);
    // A slash in a name is one in a path, too.
    for path in ["reports%2F2026.pdf", "reports/2026.pdf"] {
        let reply = site.ask(&format!("GET /v1/artifacts/{path}")).await;
        assert_eq!((reply.status, reply.body == bytes), (200, true));
        assert_eq!(reply.header("content-type"), Some("application/pdf"));
        assert_eq!(reply.header("content-disposition"), Some("attachment"));
    }
    let json = ["content-type: application/json"];
    site.ask_as(token, "PUT /v1/artifacts/n", &json, b"{\"a\": 1}").await.is(200);
    assert_eq!(site.ask("GET /v1/artifacts/n").await.is(200), json!({"a": 1}));
    let broken = site.ask_as(token, "PUT /v1/artifacts/n", &json, b"{").await;
    broken.refuses(400, "invalid-argument");
    let code = "artifacts.load('n')";
    let seen = site.send("POST /v1/run", &json!({"code": code})).await.is(200);
    assert_eq!(seen["value"], json!({"a": 1}));
    let listed = site.ask("GET /v1/artifacts?prefix=rep").await.is(200);
    assert_eq!(listed["artifacts"][0]["description"], "yearly");
    site.ask("DELETE /v1/artifacts/n").await.is(200);
    site.ask("GET /v1/artifacts/n").await.refuses(404, "not-found");
}

#[tokio::test]
async fn tools_are_listed_and_found() {
    let site = Site::new().await;
    let all = site.ask("GET /v1/tools").await.is(200);
    assert!(all["tools"][0]["call"].as_str().unwrap().starts_with("tools."));
    let found = site.ask("GET /v1/tools/search?query=echo").await.is(200);
    assert!(!found["tools"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn one_tenant_sees_nothing_of_another() {
    let site = with_double().await;
    site.ask_as(&site.token, "PUT /v1/artifacts/mine", &["content-type: text/plain"], b"x")
        .await
        .is(200);
    let token = site.token("other", &[Scope::Admin]).await;
    for path in ["workflows/double", "artifacts/mine", "workflows/double/capabilities"] {
        let reply = site.ask_as(&token, &format!("GET /v1/{path}"), &[], b"").await;
        reply.refuses(404, "not-found");
    }
    for (path, list) in [("workflows", "workflows"), ("artifacts", "artifacts"), ("runs", "runs")] {
        let reply = site.ask_as(&token, &format!("GET /v1/{path}"), &[], b"").await.is(200);
        assert_eq!(reply[list], json!([]), "{path}");
    }
}

#[tokio::test]
async fn health_is_open_and_says_little() {
    let site = Site::new().await;
    assert_eq!(site.ask_as("", "GET /healthz", &[], b"").await.is(200), json!({"status": "ok"}));
    let open = site.ask_as("", "GET /readyz", &[], b"").await.is(200);
    assert_eq!(open, json!({"status": "ready"}));
    let known = site.ask("GET /readyz").await.is(200);
    assert_eq!(known["checks"]["storage"], "ok");
}
