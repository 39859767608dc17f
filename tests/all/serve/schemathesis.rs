//! `schemathesis` makes requests of the OpenAPI document, right ones and wrong ones, and looks whether
//! the answers are what the document says.

use std::process::Command;

use repertoire::serve::http::tokens::Scope;
use repertoire_tests::{build_dir, repository};
use serde_json::json;

use super::Site;

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_nothing() {
    let program = build_dir().join("schemathesis/bin/schemathesis");
    assert!(program.exists(), "there is no {}: run `make setup`", program.display());
    let site = Site::new().await;
    // Something to find.
    let source = "def run(number: int = 1) -> int:\n    \"\"\"Double a number.\"\"\"\n    return number * 2\n";
    site.send("POST /v1/workflows", &json!({"name": "double", "source": source})).await.is(201);
    site.send("POST /v1/workflows/double/invoke", &json!({})).await.is(200);
    let token = site.token("acme", &[Scope::Admin]).await;
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command
        .arg("--config-file")
        .arg(repository().join("tests/fixtures/schemathesis.toml"))
        .arg("run")
        .arg(repository().join("docs/openapi.json"))
        .args(["--url", &format!("http://{}", site.address)])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--max-examples", "15", "--seed", "1", "--no-color"])
        .current_dir(scratch.path());
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(
        done.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
