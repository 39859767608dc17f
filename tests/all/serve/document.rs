//! The OpenAPI document: as it was published, and as the server behaves.

use repertoire::serve::http::openapi_document;
use repertoire::serve::http::tokens::Scope;
use repertoire_tests::repository;
use serde_json::Value;

use super::Site;

#[test]
fn the_published_document_is_fresh() {
    let fresh = serde_json::to_string_pretty(&openapi_document()).unwrap() + "\n";
    let published = std::fs::read_to_string(repository().join("docs/openapi.json"));
    if published.unwrap_or_default() != fresh {
        std::fs::write(repository().join("build/openapi.json"), fresh).unwrap();
        panic!("what the server offers has changed: cp build/openapi.json docs/");
    }
}

/// All operations: a request line, and the scope it needs.
fn operations() -> Vec<(String, Option<String>)> {
    let document = openapi_document();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{name}", "none").replace("{id}", "none");
            let security = operation["security"].as_array().unwrap();
            let scope = security.first().map(|one| {
                let scopes = one["token"].as_array().unwrap();
                scopes.first().and_then(Value::as_str).unwrap_or_default().to_owned()
            });
            all.push((format!("{} {path}", method.to_uppercase()), scope));
        }
    }
    assert!(all.len() > 25);
    all
}

#[tokio::test]
async fn each_operation_needs_the_scope_that_it_names() {
    let site = Site::new().await;
    let scopes = [Scope::Read, Scope::Run, Scope::Write, Scope::Admin];
    let mut tokens = Vec::new();
    for scope in scopes {
        tokens.push((scope.as_str(), site.token("acme", &[scope]).await));
    }
    for (line, scope) in operations() {
        let Some(scope) = scope else {
            // Open to all.
            assert_eq!(site.ask_as("", &line, &[], b"").await.status, 200, "{line}");
            continue;
        };
        let reply = site.ask_as("", &line, &[], b"").await;
        reply.refuses(401, "unauthenticated");
        for (name, token) in &tokens {
            let reply = site.ask_as(token, &line, &[], b"").await;
            if scope.is_empty() || scope == *name || *name == "admin" {
                assert!(![401, 403, 405].contains(&reply.status), "{line} with {name}: {reply:?}");
            } else {
                let said = reply.refuses(403, "denied");
                assert!(said.contains(&scope), "{line} with {name}: {said}");
                assert!(reply.header("www-authenticate").unwrap().contains(&scope));
            }
        }
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let site = Site::new().await;
    assert_eq!(site.ask("GET /v1/openapi.json").await.is(200), openapi_document());
}
