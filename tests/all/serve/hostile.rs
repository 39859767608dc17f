//! Clients that take what they can get, or that are not who they say.

use std::time::{Duration, Instant};

use repertoire::serve::http::HttpLimits;
use repertoire::serve::http::tokens::{NewToken, Scope};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Reply, Site};

#[tokio::test]
async fn tokens_that_are_wrong_old_or_revoked() {
    let site = Site::new().await;
    let line = "GET /v1/workflows";
    let is_refused = async |token: &str| {
        let reply = site.ask_as(token, line, &[], b"").await;
        reply.refuses(401, "unauthenticated");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
    };
    for wrong in ["", "rpt_", "x", &site.token[..20], &format!("{}x", site.token)] {
        is_refused(wrong).await;
    }
    let both = format!("authorization: Bearer {}", site.token);
    let twice = site.ask_as(&site.token, line, &[&both], b"").await;
    twice.refuses(401, "unauthenticated");
    let new = NewToken {
        name: "short".to_owned(),
        tenant: site.tenant.id().clone(),
        incarnation: site.tenant.incarnation().to_owned(),
        scopes: vec![Scope::Read],
        expires_in: Some(Duration::ZERO),
    };
    let (_, expired) = site.tokens().create(new).unwrap();
    is_refused(&expired).await;
    let token = site.token("acme", &[Scope::Read]).await;
    site.ask_as(&token, line, &[], b"").await.is(200);
    let id = site.tokens().list().unwrap().last().unwrap().id.clone();
    assert!(site.tokens().revoke(&id).unwrap());
    is_refused(&token).await;
    site.ask(line).await.is(200);
    // The text of no token is kept.
    let kept = std::fs::read_to_string(site.data.path().join("tokens.json")).unwrap();
    assert!(!kept.contains(&site.token) && !kept.contains(&site.token[4..]));
}

#[tokio::test]
async fn a_tenant_that_was_created_anew_lets_nobody_in_that_knew_the_old_one() {
    let site = Site::new().await;
    let token = site.token("brief", &[Scope::Admin]).await;
    site.ask_as(&token, "GET /v1/workflows", &[], b"").await.is(200);
    let brief = repertoire::id::TenantId::new("brief").unwrap();
    site.engine.delete_tenant(&brief).await.unwrap();
    let refused = async || {
        let reply = site.ask_as(&token, "GET /v1/workflows", &[], b"").await;
        reply.refuses(401, "unauthenticated");
    };
    refused().await;
    site.engine.create_tenant("brief").await.unwrap();
    refused().await;
}

#[tokio::test]
async fn requests_that_are_too_large() {
    let limits = HttpLimits { body_bytes: 1000, artifact_bytes: 2000, ..HttpLimits::default() };
    let site = Site::with(limits).await;
    let long = json!({"code": "#".repeat(2000)});
    site.send("POST /v1/run", &long).await.refuses(413, "too-large");
    // Nothing is read of what is announced, and what is not announced is counted.
    let json = "content-type: application/json";
    let reply =
        site.ask_as(&site.token, "POST /v1/run", &[json, "content-length: 99999999999"], b"").await;
    reply.refuses(413, "too-large");
    let chunk = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000));
    let head = format!(
        "POST /v1/run HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{json}\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n{chunk}",
        site.token
    );
    site.raw(head.as_bytes()).await.refuses(413, "too-large");
    for kind in ["text/plain", "application/octet-stream"] {
        let content = format!("content-type: {kind}");
        let line = "PUT /v1/artifacts/large";
        let reply = site.ask_as(&site.token, line, &[&content], &[b'x'; 2001]).await;
        reply.refuses(413, "too-large");
    }
    site.ask("GET /v1/artifacts/large").await.refuses(404, "not-found");
    let deep = format!("{{\"code\": {}1{}}}", "[".repeat(400), "]".repeat(400));
    let reply = site.ask_as(&site.token, "POST /v1/run", &[json], deep.as_bytes()).await;
    reply.refuses(400, "invalid-argument");
    let packed = [json, "content-encoding: gzip"];
    let reply = site.ask_as(&site.token, "POST /v1/run", &packed, b"x").await;
    reply.refuses(415, "unsupported-media-type");
    let many: Vec<String> = (0..100).map(|n| format!("x-{n}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(site.ask_as(&site.token, "GET /v1/workflows", &many, b"").await.status, 431);
    let long = format!("x: {}", "y".repeat(40_000));
    assert_eq!(site.ask_as(&site.token, "GET /v1/workflows", &[&long], b"").await.status, 431);
}

/// Names and paths that are hostile are names that there are none of.
#[tokio::test]
async fn names_that_would_leave_their_place() {
    let site = Site::new().await;
    for name in ["..%2F..%2Fetc", "%00", "%ff", "a%0d%0ax", "%2e%2e", "x%20y", "..%5c"] {
        for path in ["workflows", "runs", "artifacts", "sessions"] {
            let method = if path == "sessions" { "DELETE" } else { "GET" };
            let reply = site.ask(&format!("{method} /v1/{path}/{name}")).await;
            assert!([400, 404].contains(&reply.status), "{path}/{name}: {reply:?}");
        }
    }
}

/// How long it takes until a connection that sends this, and then nothing, is at its end.
async fn patience(site: &Site, sent: &str) -> (Duration, Reply) {
    let started = Instant::now();
    let mut stream = site.connect().await;
    stream.write_all(sent.as_bytes()).await.unwrap();
    let reply = tokio::time::timeout(Duration::from_secs(20), Reply::read(&mut stream)).await;
    (started.elapsed(), reply.expect("the connection is closed"))
}

#[tokio::test]
async fn clients_that_are_slow() {
    let limits = HttpLimits {
        header_time: Duration::from_millis(300),
        body_time: Duration::from_millis(300),
        ..HttpLimits::default()
    };
    let site = Site::with(limits).await;
    for nothing in ["", "GET /v1/workflows HTTP/1.1\r\nhost: x\r\n", "GET"] {
        let (time, _) = patience(&site, nothing).await;
        assert!(time < Duration::from_secs(10), "{nothing:?} took {time:?}");
    }
    let head = format!(
        "POST /v1/run HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{\"co",
        site.token
    );
    let (time, reply) = patience(&site, &head).await;
    assert!(time < Duration::from_secs(10), "{time:?}");
    reply.refuses(408, "timed-out");
}

/// Who reads none of its answer does not hold it for ever.
#[tokio::test]
async fn clients_that_read_nothing() {
    let limits = HttpLimits { write_time: Duration::from_millis(300), ..HttpLimits::default() };
    let site = Site::with(limits).await;
    let bytes = vec![7; 64 << 20];
    let line = "PUT /v1/artifacts/large";
    let kind = ["content-type: application/octet-stream"];
    site.ask_as(&site.token, line, &kind, &bytes).await.is(200);
    let mut stream = site.connect().await;
    let ask = format!(
        "GET /v1/artifacts/large HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        site.token
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // What was on its way arrives, and then it is over.
    let read = tokio::time::timeout(Duration::from_secs(20), Reply::read(&mut stream)).await;
    let read = read.expect("the connection is closed");
    assert!(read.body.len() < bytes.len(), "all {} bytes came", read.body.len());
}

#[tokio::test]
async fn connections_of_one_address_are_counted() {
    let limits = HttpLimits { connections_per_address: 3, ..HttpLimits::default() };
    let site = Site::with(limits).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = site.connect().await;
        // Until it is accepted it has no seat.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        idle.push(stream);
    }
    let mut stream = site.connect().await;
    Reply::read(&mut stream).await.refuses(503, "busy");
    drop(idle);
    for _ in 0..100 {
        if site.ask("GET /healthz").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the seats were not given back");
}

/// A run whose client goes away is cancelled; with a key it goes on.
#[tokio::test]
async fn a_client_that_goes_away_takes_its_run_with_it() {
    let site = Site::new().await;
    let body = json!({"code": "while True: pass"}).to_string();
    let mut stream = site.connect().await;
    let ask = format!(
        "POST /v1/run HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        site.token,
        body.len()
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(stream);
    for _ in 0..100 {
        let runs = site.ask("GET /v1/runs").await.is(200);
        if runs["runs"][0]["outcome"] == "cancelled" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it was not cancelled: {}", site.ask("GET /v1/runs").await.is(200));
}

#[tokio::test]
async fn ending_lets_what_runs_go_on_for_a_while() {
    let limits = HttpLimits { grace: Duration::from_secs(2), ..HttpLimits::default() };
    let site = Site::with(limits).await;
    let send = |code: &str| {
        let body = json!({"code": code}).to_string();
        format!(
            "POST /v1/run HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            site.token,
            body.len()
        )
    };
    let mut short = site.connect().await;
    let code = "import time\ntime.sleep(1)\n'done'";
    short.write_all(send(code).as_bytes()).await.unwrap();
    let mut long = site.connect().await;
    long.write_all(send("import time\ntime.sleep(30)").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (tenant, address) = (site.tenant.clone(), site.address);
    let started = Instant::now();
    site.end().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(Reply::read(&mut short).await.is(200)["value"], "done");
    assert_eq!(Reply::read(&mut long).await.status, 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let runs = tenant.runs(10).await.unwrap();
    let failure = runs.iter().find_map(|run| run.outcome.failure()).unwrap();
    assert_eq!(failure.code, repertoire::Code::Cancelled);
    assert_eq!(runs.len(), 2);
}
