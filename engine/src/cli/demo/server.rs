//! A web server on this machine that answers as GitHub does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Owner, name, stars, forks, language, description.
const REPOS: [(&str, &str, u64, u64, &str, &str); 4] = [
    ("python", "cpython", 71_204, 33_870, "Python", "The Python programming language"),
    ("bytecodealliance", "wasmtime", 17_731, 1_621, "Rust", "A lightweight WebAssembly runtime"),
    ("lancedb", "lancedb", 9_412, 742, "Rust", "The multimodal AI lakehouse"),
    ("pallets", "flask", 71_033, 16_702, "Python", "A micro framework for web applications"),
];

/// The server; it ends when this is dropped.
pub(super) struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of the loopback interface.
    pub(super) async fn start() -> Result<Self> {
        let refused = |error: std::io::Error| {
            Error::unavailable("cannot listen on 127.0.0.1").with_source(error)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let requests = Arc::new(AtomicUsize::new(0));
        let routes = Router::new()
            .route("/repos/{owner}/{repo}", get(repository))
            .with_state(Arc::clone(&requests));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the demo's web server failed");
            }
        });
        Ok(Self { address, requests, task })
    }

    /// `http://127.0.0.1:40123`
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests were answered since this was last asked.
    pub(super) fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn repository(
    State(requests): State<Arc<AtomicUsize>>,
    Path((owner, name)): Path<(String, String)>,
) -> (StatusCode, Json<Value>) {
    requests.fetch_add(1, Ordering::Relaxed);
    let found = REPOS.iter().find(|repo| (repo.0, repo.1) == (owner.as_str(), name.as_str()));
    let Some((_, _, stars, forks, language, description)) = found else {
        return (StatusCode::NOT_FOUND, Json(json!({"message": "Not Found"})));
    };
    let answer = json!({
        "name": name,
        "full_name": format!("{owner}/{name}"),
        "owner": {"login": owner},
        "private": false,
        "stargazers_count": stars,
        "forks_count": forks,
        "language": language,
        "description": description,
    });
    (StatusCode::OK, Json(answer))
}
