//! The shipped workflows that fetch something: real HTTP, by the real curl.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use repertoire::Tenant;
use repertoire::tools::{CliOptions, Registry};
use repertoire_tests::{bench_with, repository};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PAGE: &str = "<!doctype html><title>A page</title><p>What it says.</p>
<a href='/other'>Here</a> <a href='http://elsewhere.test/'>There</a> <a href='/other'>Again</a>";

/// A web server, and what it was asked for.
async fn serve() -> (String, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let answer = move |request: Request| {
        let token = request.headers().get("x-token").and_then(|value| value.to_str().ok());
        let line = format!("{} {}", request.uri().path(), token.unwrap_or("-"));
        log.lock().unwrap().push(line);
        let answer: Response = match request.uri().path() {
            "/repos/python/cpython" => repo("python/cpython", 7, "Python").into_response(),
            "/repos/o%2Fo/a%20b" => repo("o/o/a b", 1, "Rust").into_response(),
            "/repos/no/repo" => axum::Json(json!({"message": "hello"})).into_response(),
            "/page" => ([(header::CONTENT_TYPE, "text/html")], PAGE).into_response(),
            "/moved" => (StatusCode::FOUND, [(header::LOCATION, "/page")]).into_response(),
            _ => (StatusCode::NOT_FOUND, "{}").into_response(),
        };
        std::future::ready(answer)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().fallback(answer);
    // Ends with the test's runtime.
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (address, seen)
}

fn repo(name: &str, stars: u32, language: &str) -> axum::Json<Value> {
    axum::Json(json!({"full_name": name, "stargazers_count": stars, "language": language}))
}

async fn tenant() -> Tenant {
    let options = CliOptions { search_path: std::env::var_os("PATH"), ..CliOptions::default() };
    let tools = Registry::from_folder(&repository().join("tools"), &options).unwrap();
    let tenant = bench_with(|builder| builder.tools(tools)).await.tenant;
    tenant.import(&repository().join("workflows"), |_, _, _| {}).await.unwrap();
    tenant
}

async fn invoke(tenant: &Tenant, name: &str, arguments: Value) -> Result<Value, String> {
    let run = tenant.invoke(name, arguments).await.unwrap();
    let value = run.value().map_err(|failure| failure.message.clone());
    value.map(|value| value.to().unwrap())
}

#[tokio::test]
async fn the_shipped_workflows_over_http() {
    let (tenant, (server, seen)) = (tenant().await, serve().await);

    let url = format!("{server}/repos/python/cpython");
    let fetched = invoke(&tenant, "fetch_json", json!({"url": url, "headers": {"X-Token": "t"}}));
    assert_eq!(fetched.await.unwrap()["stargazers_count"], 7);
    assert_eq!(*seen.lock().unwrap(), ["/repos/python/cpython t"]);
    for (path, says) in [("/page", "invalid JSON"), ("/nothing", "404")] {
        let refused =
            invoke(&tenant, "fetch_json", json!({"url": format!("{server}{path}")})).await;
        assert!(refused.as_ref().is_err_and(|message| message.contains(says)), "{refused:?}");
    }

    let repo = json!({"owner": "o/o", "repo": "a b", "base_url": server});
    let expected =
        json!({"name": "o/o/a b", "stars": 1, "forks": 0, "language": "Rust", "description": ""});
    assert_eq!(invoke(&tenant, "get_repo_metadata", repo).await.unwrap(), expected);
    let none = json!({"owner": "no", "repo": "repo", "base_url": server});
    let refused = invoke(&tenant, "get_repo_metadata", none).await.unwrap_err();
    assert!(refused.contains("does not describe a repository"), "{refused}");

    let page = json!({"url": format!("{server}/moved")});
    let summary = invoke(&tenant, "fetch_and_summarize", page.clone()).await.unwrap();
    assert_eq!(
        (&summary["title"], &summary["summary"]),
        (&json!("A page"), &json!("What it says."))
    );
    // Where a redirect leads is not known to who asked: links are relative to what was asked for.
    let links = invoke(&tenant, "fetch_page_links", page).await.unwrap();
    let other = json!({"url": format!("{server}/other"), "text": "Here"});
    assert_eq!(links, json!([other, {"url": "http://elsewhere.test/", "text": "There"}]));
    let same_site = json!({"url": format!("{server}/page"), "only_same_site": true});
    assert_eq!(invoke(&tenant, "fetch_page_links", same_site).await.unwrap(), json!([other]));
}
