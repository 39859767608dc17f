//! The tool files that come with Repertoire, against the real commands.

use std::path::Path;

use serde_json::json;

use super::{call_in, details};
use crate::error::Code;

#[tokio::test]
async fn the_shipped_curl_and_dns() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools");
    let serve = |status: &'static str| {
        let listener = &listener;
        async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 65536];
            let count = stream.read(&mut request).await.unwrap();
            let body = String::from_utf8_lossy(&request[..count]).into_owned();
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    };
    let url = format!("http://{at}/x[1-3]?a={{b,c}}");
    let given = json!({ "url": url, "header": ["X-A: 1"] });
    let (answer, ()) = tokio::join!(call_in(&shipped, "curl.get", &given), serve("200 OK"));
    let request = answer.unwrap();
    let request = request.as_str().unwrap();
    assert!(request.starts_with("GET /x[1-3]?a={b,c} HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nX-A: 1\r\n"), "{request}");

    let given = json!({ "url": url, "data": "@/etc/passwd" });
    let (answer, ()) = tokio::join!(call_in(&shipped, "curl.post_json", &given), serve("200 OK"));
    let request = answer.unwrap();
    let request = request.as_str().unwrap();
    assert!(request.starts_with("POST ") && request.ends_with("\r\n\r\n@/etc/passwd"), "{request}");
    assert!(request.contains("Content-Type: application/json"), "{request}");

    let given = json!({ "url": url });
    let (answer, ()) = tokio::join!(call_in(&shipped, "curl.get", &given), serve("404 Not Found"));
    let error = answer.unwrap_err();
    assert_eq!(details(&error)["status"], 22);
    assert!(error.message().contains("404"), "{error}");

    for refused in [
        json!({ "url": "file:///etc/passwd" }),
        json!({ "url": "-o/tmp/pwned" }),
        json!({ "url": url, "output": "/tmp/pwned" }),
        json!({ "url": url, "header": ["@/etc/passwd"] }),
        json!({ "url": url, "header": ["A: b\r\nC: d"] }),
        json!({ "url": url, "user": "name" }),
    ] {
        let error = call_in(&shipped, "curl.get", &refused).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{refused}: {error}");
    }

    let answer = call_in(&shipped, "dns.lookup", &json!({ "host": "localhost" })).await.unwrap();
    assert!(answer.as_str().unwrap().contains("localhost"), "{answer}");
}
