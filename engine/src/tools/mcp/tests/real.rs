//! Servers that people use, as `make setup` installs them.

use super::*;

/// Where `make setup` puts the servers from PyPI.
fn installed(program: &str) -> PathBuf {
    let path = root().join("build/mcp-servers/bin").join(program);
    assert!(path.exists(), "there is no {}: run `make setup`", path.display());
    path
}

#[tokio::test]
async fn the_time_server_of_pypi() {
    let command = installed("mcp-server-time");
    let tools = registry_of(&format!(
        "name: srv\ntype: mcp\ncommand: {}\nargs: [--local-timezone=UTC]\n",
        command.display()
    ));
    let names: Vec<_> = info(&tools).await.callables.iter().map(|one| one.name.clone()).collect();
    assert_eq!(names, ["convert_time", "get_current_time"]);
    let arguments = json!({"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "Asia/Kolkata"});
    let answer = call(&tools, "convert_time", arguments).await.unwrap();
    // A text in one release, structured content in another.
    assert!(answer.to_string().contains("-3.5h"), "{answer}");
    let error =
        call(&tools, "get_current_time", json!({"timezone": "Mars/Olympus"})).await.unwrap_err();
    assert!(matches!(error.code(), Code::ToolFailed | Code::InvalidArgument), "{error}");
}

/// A server made with PyPI's SDK, over stdio and over HTTP: structured content, images, a list that changes.
#[tokio::test]
async fn a_server_made_with_the_python_sdk() {
    let (python, script) = (installed("python"), root().join("tests/fixtures/mcp/sdk.py"));
    let over_stdio = registry_of(&format!(
        "name: srv\ntype: mcp\ncommand: {}\nargs: [{}]\n",
        python.display(),
        script.display()
    ));
    checked(&over_stdio).await;

    // It takes a port that is free, and says which.
    let mut server = tokio::process::Command::new(python)
        .arg(script)
        .arg("--http")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = tokio::io::BufReader::new(server.stdout.take().unwrap());
    tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line).await.unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let file = |egress: &str| {
        format!(
            "name: srv\ntype: mcp\nurl: http://127.0.0.1:{port}/mcp\nheaders: {{X-Key: {{secret: TOKEN}}}}\n{egress}"
        )
    };
    let refused = call(&registry_of(&file("")), "add", json!({"a": 1, "b": 2})).await.unwrap_err();
    assert!(refused.message().contains("is not a public one"), "{}", refused.chain());
    let allowed = format!(
        "egress: [{{host: 127.0.0.1, port: {port}, http: true, addresses: [127.0.0.1]}}]\n"
    );
    let over_http = registry_of(&file(&allowed));
    checked(&over_http).await;
    // The header was sent, and is not shown.
    assert_eq!(call(&over_http, "key", json!({})).await.unwrap(), json!("<[secret TOKEN]>"));
}

async fn checked(tools: &Registry) {
    assert_eq!(call(tools, "add", json!({"a": 1, "b": 2})).await.unwrap(), json!(3));
    assert_eq!(call(tools, "point", json!({"x": 1.5})).await.unwrap(), json!({"x": 1.5, "y": 0.0}));
    let image = call(tools, "dot", json!({})).await.unwrap();
    assert_eq!(image["media_type"], json!("image/png"), "{image}");
    let error = call(tools, "broken", json!({})).await.unwrap_err();
    assert!(error.message().contains("srv.broken"), "{error}");
    assert!(info(tools).await.callable("later").is_none());
    call(tools, "grow", json!({})).await.unwrap();
    let started = Instant::now();
    // The news may come after the answer.
    while info(tools).await.callable("later").is_none() {
        assert!(started.elapsed() < Duration::from_secs(20), "the new tool is not seen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(call(tools, "later", json!({})).await.unwrap(), json!("now"));
}

/// Needs Node.js, which a machine may not have.
#[tokio::test]
async fn the_everything_server_of_npm() {
    let script = root()
        .join("build/mcp-npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    if !script.exists() {
        eprintln!(
            "SKIPPED: Node.js was not there when `make setup` ran, so npm's server is not tested"
        );
        return;
    }
    let tools = registry_of(&format!(
        "name: srv\ntype: mcp\ncommand: node\nargs: [{}]\n",
        script.display()
    ));
    let info = info(&tools).await;
    assert!(info.callables.len() > 5, "{info:?}");
    assert!(
        call(&tools, "echo", json!({"message": "hi"})).await.unwrap().to_string().contains("hi")
    );
    let image = call(&tools, "get_tiny_image", json!({})).await.unwrap();
    assert!(image.to_string().contains("image/png"), "{image}");
}
