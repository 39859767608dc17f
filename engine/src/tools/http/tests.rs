//! Real requests to a real server on loopback, whose names a resolver of ours knows.

mod openapi;
mod policy;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::Resolver;
use crate::error::{Code, Error, Result};
use crate::id::TenantId;
use crate::json::Json;
use crate::tools::secrets::{Secret, SecretMap, SecretName};
use crate::tools::{AtOnce, CallContext, Registry, ToolOptions};

/// What a server was asked, as it came: head and body.
type Log = Arc<Mutex<Vec<String>>>;

struct Server {
    address: SocketAddr,
    log: Log,
}

impl Server {
    /// Answers every request with what `answer` says, and closes the connection.
    async fn start(ip: &str, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::at(TcpListener::bind((ip, 0)).await.unwrap(), answer)
    }

    fn at(listener: TcpListener, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let (address, log) = (listener.local_addr().unwrap(), Log::default());
        let (answer, seen) = (Arc::new(answer), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
                    loop {
                        let count = stream.read(&mut chunk).await.unwrap_or(0);
                        request.extend_from_slice(&chunk[..count]);
                        let text = String::from_utf8_lossy(&request).into_owned();
                        let Some((head, body)) = text.split_once("\r\n\r\n") else {
                            if count == 0 {
                                return;
                            }
                            continue;
                        };
                        let length = head.to_lowercase();
                        let length = length.split("content-length: ").nth(1).map_or(0, |rest| {
                            rest.split("\r\n").next().unwrap().parse::<usize>().unwrap()
                        });
                        if body.len() >= length || count == 0 {
                            break;
                        }
                    }
                    let text = String::from_utf8_lossy(&request).into_owned();
                    seen.lock().unwrap().push(text.clone());
                    _ = stream.write_all(&answer(&text)).await;
                    _ = stream.shutdown().await;
                });
            }
        });
        Self { address, log }
    }

    fn seen(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

fn response(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn ok_json(body: &str) -> Vec<u8> {
    response("200 OK\r\ncontent-type: application/json", body)
}

/// Names, each with what it resolves to, one list after the other; the last one remains.
#[derive(Debug, Default)]
struct Names(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Names {
    fn new(names: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        let names = names
            .iter()
            .map(|(name, lists)| ((*name).to_owned(), lists.iter().rev().map(parse).collect()));
        Arc::new(Self(Mutex::new(names.collect())))
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let mut names = self.0.lock().unwrap();
        let lists = names
            .get_mut(host.to_lowercase().trim_end_matches('.'))
            .ok_or(std::io::ErrorKind::NotFound)?;
        Ok(if lists.len() > 1 { lists.pop().unwrap() } else { lists[0].clone() })
    }
}

fn options(resolver: Arc<dyn Resolver>) -> ToolOptions {
    let secret = |name, value| (SecretName::new(name).unwrap(), Secret::new(value).unwrap());
    let secrets = [secret("TOKEN", "canary-token-1"), secret("PASSWORD", "canary/pass+1")];
    let secrets = secrets.into_iter().fold(SecretMap::default(), |map, (n, s)| map.with(n, s));
    ToolOptions { secrets: Arc::new(secrets), resolver, ..ToolOptions::default() }
}

/// Names that all mean this machine.
fn loopback() -> Arc<Names> {
    Names::new(&[("api.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])])
}

fn registry_with(file: &str, resolver: Arc<dyn Resolver>) -> Result<Registry> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.yaml"), file).unwrap();
    Registry::from_folder(folder.path(), &options(resolver))
}

async fn call(tools: &Registry, callable: &str, arguments: Value) -> Result<Value> {
    let context = CallContext { tenant: TenantId::new("test").unwrap(), run: None, deadline: None };
    let answer = tools.call("api", callable, &Json::from(arguments), &context).await;
    answer.map(|json| json.to().unwrap())
}

fn details(error: &Error) -> Value {
    error.details().unwrap().to().unwrap()
}

/// A file whose base is the server, which lies on loopback: the line that allows that.
fn file(server: &Server, rest: &str) -> String {
    let port = server.port();
    format!(
        "name: api\ntype: http\nbase_url: http://api.test:{port}/v1\n\
         egress:\n  - {{host: api.test, port: {port}, http: true, addresses: [127.0.0.0/8]}}\n{rest}"
    )
}

#[tokio::test]
async fn parameters_go_where_the_file_says() {
    let server = Server::start("127.0.0.1", |_| ok_json(r#"{"n": 12345678901234567890}"#)).await;
    let tools = registry_with(
        &file(
            &server,
            "headers: {X-Fixed: always}\nquery: {version: 2}\nendpoints:\n\
             \x20 get_issue:\n    path: /repos/{owner}/issues/{number}\n    params:\n      owner: {}\n\
             \x20     number: {type: integer}\n      labels: {type: array}\n      page: {type: integer, default: 1}\n\
             \x20     trace: {in: header, as: X-Trace}\n\
             \x20 create:\n    method: POST\n    path: /issues\n    params:\n      title: {required: true}\n      meta: {type: object}\n\
             \x20 put_text:\n    method: PUT\n    path: /text\n    params: {text: {in: content}}\n",
        ),
        loopback(),
    )
    .unwrap();
    let arguments = json!({"owner": "a/b", "number": 7, "labels": ["x y", "é"], "trace": "t1"});
    let answer = call(&tools, "get_issue", arguments).await.unwrap();
    assert_eq!(answer, json!({"n": 12345678901234567890_u64}));
    call(&tools, "create", json!({"title": "a\"b", "meta": {"k": [1]}})).await.unwrap();
    call(&tools, "put_text", json!({"text": "as it is"})).await.unwrap();
    let seen = server.seen();
    assert!(
        seen[0].starts_with(
            "GET /v1/repos/a%2Fb/issues/7?labels=x+y&labels=%C3%A9&page=1&version=2 HTTP/1.1\r\n"
        ),
        "{}",
        seen[0]
    );
    let head = seen[0].to_lowercase();
    assert!(head.contains("x-trace: t1\r\n") && head.contains("x-fixed: always\r\n"), "{head}");
    assert!(
        seen[1].ends_with("\r\n\r\n{\"title\":\"a\\\"b\",\"meta\":{\"k\":[1]}}"),
        "{}",
        seen[1]
    );
    assert!(seen[1].to_lowercase().contains("content-type: application/json"), "{}", seen[1]);
    assert!(seen[2].ends_with("\r\n\r\nas it is"), "{}", seen[2]);
}

#[tokio::test]
async fn arguments_cannot_leave_their_place() {
    let server = Server::start("127.0.0.1", |_| ok_json("1")).await;
    let tools = registry_with(
        &file(
            &server,
            "endpoints:\n  get:\n    path: /{id}/x\n    params: {id: {}, tag: {in: header, as: X-Tag}}\n",
        ),
        loopback(),
    )
    .unwrap();
    for (id, tag) in [
        ("..", "v"),
        (".", "v"),
        ("", "v"),
        ("a/../../admin", "v"),
        ("a\\..\\admin", "v"),
        ("..;/admin", "v"),
        ("../", "v"),
        ("a", "v\r\nX-Admin: 1\r\n\r\nGET /x HTTP/1.1"),
        ("a", "v\n"),
        ("a", "v\0"),
    ] {
        let error = call(&tools, "get", json!({"id": id, "tag": tag})).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{id:?} {tag:?}: {error}");
    }
    assert_eq!(server.seen(), Vec::<String>::new());
    // The control; and what is encoded stays what it is.
    call(&tools, "get", json!({"id": "%2e%2e", "tag": "v"})).await.unwrap();
    call(&tools, "get", json!({"id": "a/b..c", "tag": "v"})).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].starts_with("GET /v1/%252e%252e/x HTTP"), "{seen:?}");
    assert!(seen[1].starts_with("GET /v1/a%2Fb..c/x HTTP"), "{seen:?}");
}

#[tokio::test]
async fn answers_are_values() {
    let server = Server::start("127.0.0.1", |request| {
        match request.split(' ').nth(1).unwrap().trim_start_matches("/v1/") {
            "json" => {
                response("200 OK\r\ncontent-type: application/problem+json; charset=utf-8", "[1]")
            }
            "text" => response("200 OK\r\ncontent-type: text/plain", "h\u{e9}"),
            "bytes" => response("200 OK\r\ncontent-type: image/png", [0x89, b'P', 0xff]),
            "none" => response("204 No Content", ""),
            "liar" => response("200 OK\r\ncontent-type: application/json", "{"),
            "deep" => ok_json(&"[".repeat(100_000)),
            "missing" => {
                response("404 Not Found\r\ncontent-type: text/plain", "\n no such thing \nx")
            }
            _ => response("500 Oops\r\nx-a: 1\r\nx-a: 2", "broken"),
        }
    })
    .await;
    let endpoints = ["json", "text", "bytes", "none", "liar", "deep", "missing", "oops"];
    let mut text =
        "retries: 0\nendpoints:\n  whole: {path: /missing, answer: response}\n".to_owned();
    for name in endpoints {
        text.push_str(&format!("  {name}: {{path: /{name}}}\n"));
    }
    let tools = registry_with(&file(&server, &text), loopback()).unwrap();
    let answer = async |name: &str| call(&tools, name, json!({})).await;
    assert_eq!(answer("json").await.unwrap(), json!([1]));
    assert_eq!(answer("text").await.unwrap(), json!("h\u{e9}"));
    let bytes = json!({"media_type": "image/png", "base64": "iVD/"});
    assert_eq!(answer("bytes").await.unwrap(), bytes);
    assert_eq!(answer("none").await.unwrap(), Value::Null);
    for name in ["liar", "deep"] {
        assert_eq!(answer(name).await.unwrap_err().code(), Code::ToolFailed, "{name}");
    }
    let error = answer("missing").await.unwrap_err();
    assert_eq!(error.message(), "tool api: HTTP status 404 Not Found: no such thing");
    let known = details(&error);
    assert_eq!((&known["status"], &known["retryable"]), (&json!(404), &json!(false)), "{known}");
    let known = details(&answer("oops").await.unwrap_err());
    assert_eq!((&known["status"], &known["retryable"]), (&json!(500), &json!(true)), "{known}");
    let whole = answer("whole").await.unwrap();
    assert_eq!((&whole["status"], &whole["body"]), (&json!(404), &json!("\n no such thing \nx")));
}

/// Zeros, compressed two hundredfold: a match of 258 bytes is 13 bits.
fn bomb(size: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let mut put =
        |code: u16, length: u32| (0..length).rev().for_each(|at| bits.push(code >> at & 1 == 1));
    put(0x30, 8); // the literal 0
    for _ in 0..size / 258 {
        put(0xc5, 8); // as before, 258 times
        put(0, 5); // at distance 1
    }
    put(0, 7); // the end
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for byte in bits.chunks(8) {
        bytes.push(byte.iter().enumerate().map(|(at, bit)| u8::from(*bit) << at).sum());
    }
    bytes
}

#[tokio::test]
async fn what_is_decompressed_is_counted() {
    let server = Server::start("127.0.0.1", |request| {
        let body = bomb(if request.contains("/big") { 8 << 20 } else { 2000 });
        response("200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip", body)
    })
    .await;
    let text = "max_output: 100000\nendpoints: {big: {path: /big}, small: {path: /small}}\n";
    let tools = registry_with(&file(&server, text), loopback()).unwrap();
    let error = call(&tools, "big", json!({})).await.unwrap_err();
    assert_eq!(details(&error)["limit_bytes"], json!(100_000), "{}", error.chain());
    // The control: the same bytes, fewer. Its checksum is not right, which is found at its end.
    let error = call(&tools, "small", json!({})).await.unwrap_err();
    assert!(error.message().contains("broke off"), "{}", error.chain());
    let coded = Server::start("127.0.0.1", |_| {
        response("200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: br", "x")
    })
    .await;
    let tools = registry_with(&file(&coded, "endpoints: {get: {path: /x}}\n"), loopback()).unwrap();
    let error = call(&tools, "get", json!({})).await.unwrap_err();
    assert!(error.message().contains("not asked for"), "{error}");
}

#[tokio::test]
async fn what_may_be_repeated_is() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start("127.0.0.1", move |_| {
        match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 3 {
            0 | 1 => response("503 Busy\r\nretry-after: 0", "later"),
            _ => ok_json("true"),
        }
    })
    .await;
    let text = "endpoints: {get: {path: /x}, post: {path: /x, method: POST}}\n";
    let tools = registry_with(&file(&server, text), loopback()).unwrap();
    assert_eq!(call(&tools, "get", json!({})).await.unwrap(), json!(true));
    assert_eq!(server.seen().len(), 3);
    let error = call(&tools, "post", json!({})).await.unwrap_err();
    assert_eq!((error.code(), server.seen().len()), (Code::ToolFailed, 4));
    // Nobody listens: repeated too, and an error that says so.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = Server { address: gone.local_addr().unwrap(), log: Log::default() };
    let tools = registry_with(&file(&gone, &format!("retries: 1\n{text}")), loopback()).unwrap();
    let error = call(&tools, "get", json!({})).await.unwrap_err();
    assert_eq!(details(&error)["retryable"], json!(true), "{error}");
}

#[tokio::test]
async fn time_is_limited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server { address: listener.local_addr().unwrap(), log: Log::default() };
    // Accepts, and says nothing: the kernel does that for it.
    let text = "timeout: 0.2\nendpoints: {get: {path: /x}}\n";
    let tools = registry_with(&file(&server, text), loopback()).unwrap();
    let error = call(&tools, "get", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::TimedOut, "{error}");
    assert!(tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.is_ok());
}

/// The service gets each secret, and sends it all back: as it came, decoded, in an error.
#[tokio::test]
async fn secrets_go_out_and_do_not_come_back() {
    let server = Server::start("127.0.0.1", |request| {
        let hex = ["63616e6172792d746f6b656e2d31", "63616e6172792f706173732b31"];
        let text = serde_json::to_string(&json!({ "sent": request, "hex": hex }));
        let head = if request.contains("/fail") { "400 Bad" } else { "200 OK" };
        response(&format!("{head}\r\ncontent-type: application/json"), text.unwrap())
    })
    .await;
    let endpoints = "endpoints: {get: {path: /get}, fail: {path: /fail}}\n";
    // A tool's answers are scrubbed of what that tool knows: hex is its own secret's.
    let (token, password) = ("63616e6172792d", "63616e6172792f");
    for (auth, sent, hex) in [
        ("auth: {bearer: {secret: TOKEN}}", "authorization: Bearer canary-token-1", token),
        (
            "auth: {basic: {user: me, password: {secret: PASSWORD}}}",
            "authorization: Basic bWU6Y2FuYXJ5L3Bhc3MrMQ==",
            password,
        ),
        ("headers: {X-Key: {secret: TOKEN, before: 'k='}}", "x-key: k=canary-token-1", token),
        ("query: {key: {secret: PASSWORD}}", "?key=canary%2Fpass%2B1 HTTP", password),
    ] {
        let tools =
            registry_with(&file(&server, &format!("{auth}\n{endpoints}")), loopback()).unwrap();
        let got = call(&tools, "get", json!({})).await.unwrap().to_string();
        let error = call(&tools, "fail", json!({})).await.unwrap_err();
        let failed = format!("{} {}", error.chain(), details(&error));
        for text in [&got, &failed] {
            let leaks =
                ["canary", "Y2FuYXJ5", hex, "2Fpass"].iter().any(|part| text.contains(part));
            assert!(!leaks && text.contains("[secret "), "{auth}: {text}");
        }
        // The control: it was sent.
        assert!(server.seen().iter().any(|request| request.contains(sent)), "{:?}", server.seen());
    }
    let tools = registry_with(
        &file(&server, &format!("auth: {{bearer: {{secret: NONE}}}}\n{endpoints}")),
        loopback(),
    );
    let error = call(&tools.unwrap(), "get", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("there is no secret NONE"), "{error}");
}

#[tokio::test]
async fn nothing_is_kept_from_one_request_to_the_next() {
    let server = Server::start("127.0.0.1", |_| {
        response("200 OK\r\nset-cookie: session=1; Path=/\r\ncontent-type: text/plain", "x")
    })
    .await;
    let tools =
        registry_with(&file(&server, "endpoints: {get: {path: /x}}\n"), loopback()).unwrap();
    for _ in 0..2 {
        call(&tools, "get", json!({})).await.unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(!seen[1].to_lowercase().contains("cookie"), "{}", seen[1]);
}

/// Only so many requests are under way at once; the others wait.
#[tokio::test]
async fn requests_are_counted() {
    let server = Server::start("127.0.0.1", |_| ok_json("1")).await;
    let folder = tempfile::tempdir().unwrap();
    let text = file(&server, "endpoints: {get: {path: /x}}\n");
    std::fs::write(folder.path().join("api.yaml"), text).unwrap();
    let options = ToolOptions { requests: AtOnce::new(1), ..options(loopback()) };
    let tools = Registry::from_folder(folder.path(), &options).unwrap();
    let place = options.requests.enter(&TenantId::new("test").unwrap()).await.unwrap();
    let waiting = call(&tools, "get", json!({}));
    assert!(tokio::time::timeout(Duration::from_millis(100), waiting).await.is_err());
    assert!(server.seen().is_empty());
    drop(place);
    assert_eq!(call(&tools, "get", json!({})).await.unwrap(), json!(1));
}
