//! The library as an HTTP server, as a program meets it: over loopback.

mod document;
mod figures;
mod hostile;
mod mcp;
mod process;
mod requests;
mod schemathesis;

use std::net::SocketAddr;

use repertoire::serve::http::tokens::{NewToken, Scope, TokenFile};
use repertoire::serve::http::{HttpLimits, Server};
use repertoire::{Engine, Tenant};
use repertoire_tests::{TenantOrNew, bench};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server of a test's own. Dropping it ends it.
pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) tenant: Tenant,
    pub(crate) address: SocketAddr,
    data: tempfile::TempDir,
    end: Option<oneshot::Sender<()>>,
    ended: JoinHandle<repertoire::Result<()>>,
    /// Of `acme`, for everything.
    pub(crate) token: String,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(HttpLimits::default()).await
    }

    pub(crate) async fn with(limits: HttpLimits) -> Self {
        let bench = bench().await;
        let data = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, asked) = oneshot::channel();
        let server = Server::new(bench.engine.clone(), TokenFile::of(data.path()), limits);
        let ended = tokio::spawn(server.serve(listener, async {
            // An error is a sender that was dropped, which ends it, too.
            let _ = asked.await;
        }));
        let (engine, tenant, token) = (bench.engine, bench.tenant, String::new());
        let mut site = Self { engine, tenant, address, data, end: Some(end), ended, token };
        site.token = site.token("acme", &[Scope::Admin]).await;
        site
    }

    fn tokens(&self) -> TokenFile {
        TokenFile::of(self.data.path())
    }

    async fn token(&self, tenant: &str, scopes: &[Scope]) -> String {
        let tenant = self.engine.tenant_or_new(tenant).await.unwrap();
        let new = NewToken {
            name: String::new(),
            tenant: tenant.id().clone(),
            incarnation: tenant.incarnation().to_owned(),
            scopes: scopes.to_vec(),
            expires_in: None,
        };
        self.tokens().create(new).unwrap().1
    }

    /// A connection that nothing was sent over yet.
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A request as bytes, and what is answered until the connection ends.
    async fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        // Who refuses early does not read it all.
        let _ = stream.write_all(request).await;
        Reply::read(&mut stream).await
    }

    /// A request with these further headers, each a line.
    async fn ask_as(&self, token: &str, line: &str, headers: &[&str], body: &[u8]) -> Reply {
        let mut head = format!("{line} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n");
        if !token.is_empty() {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        for header in headers {
            head += &format!("{header}\r\n");
        }
        self.raw(&[head.as_bytes(), b"\r\n", body].concat()).await
    }

    pub(crate) async fn ask(&self, line: &str) -> Reply {
        self.ask_as(&self.token, line, &[], b"").await
    }

    pub(crate) async fn send(&self, line: &str, body: &Value) -> Reply {
        self.send_with(line, &[], body).await
    }

    async fn send_with(&self, line: &str, headers: &[&str], body: &Value) -> Reply {
        let headers = [&["content-type: application/json"], headers].concat();
        self.ask_as(&self.token, line, &headers, body.to_string().as_bytes()).await
    }

    /// Ends it, and answers how that went.
    async fn end(mut self) -> repertoire::Result<()> {
        drop(self.end.take());
        (&mut self.ended).await.unwrap()
    }
}

impl Reply {
    async fn read(stream: &mut TcpStream) -> Self {
        let mut all = Vec::new();
        // Who is refused while it sends may be cut off: what was answered before counts.
        let _ = stream.read_to_end(&mut all).await;
        Self::parse(&all)
    }

    fn parse(all: &[u8]) -> Self {
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
            let head = String::from_utf8_lossy(all).into_owned();
            return Self { status: 0, head, body: Vec::new() };
        };
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = all[end + 4..].to_vec();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = without_chunks(&body);
        }
        Self { status, head, body }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The answer, if it is one of that status.
    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} {}", self.head, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The problem's detail, if it is one of that status and code.
    #[track_caller]
    fn refuses(&self, status: u16, code: &str) -> String {
        let problem = self.is(status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

fn without_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
        whole.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}
