//! Where requests may go, and where they may not however they are written.

use super::super::address::{Range, is_public};
use super::*;

/// Callers give whole addresses, to hosts that the rules name.
fn any(rules: &str) -> String {
    format!(
        "name: api\ntype: http\nredirects: 3\nretries: 0\negress:\n{rules}endpoints:\n  get: {{}}\n  post: {{method: POST}}\n"
    )
}

async fn get(tools: &Registry, url: &str) -> Result<Value> {
    call(tools, "get", json!({ "url": url })).await
}

/// Every way to write this machine, its network or its cloud's metadata service.
#[tokio::test]
async fn own_addresses_are_refused_however_they_are_written() {
    let trap = Server::start("127.0.0.1", |_| ok_json("\"caught\"")).await;
    let port = trap.port();
    let names = Names::new(&[
        ("localhost", &[&["127.0.0.1", "::1"]]),
        ("127.0.0.1.nip.test", &[&["127.0.0.1"]]),
        ("metadata.google.internal", &[&["169.254.169.254"]]),
        ("mixed.test", &[&["93.184.216.34", "127.0.0.1"]]),
        ("mapped.test", &[&["::ffff:127.0.0.1"]]),
        ("nat64.test", &[&["64:ff9b::7f00:1"]]),
    ]);
    let tools = registry_with(
        &any(&format!("  - {{host: '*', port: {port}, http: true}}\n")),
        names.clone(),
    )
    .unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "metadata.google.internal",
        "localhost",
        "LOCALHOST.",
        "127.0.0.1.nip.test",
        "u@127.0.0.1",
        "ok.test@169.254.169.254",
        "u:p@127.0.0.1",
        "[64:ff9b::7f00:1]",
        "100.64.0.1",
        "[fe80::1]",
        "10.0.0.1",
        "[2002:7f00:1::]",
        "mixed.test",
        "mapped.test",
        "nat64.test",
        "①②⑦.⓪.⓪.①",
        "[::127.0.0.1]",
        "168.63.129.16",
    ] {
        let error = get(&tools, &format!("http://{host}:{port}/")).await.unwrap_err();
        assert_eq!(error.code(), Code::Denied, "{host}: {}", error.chain());
    }
    for url in [
        "file:///etc/passwd",
        "ftp://x.test/",
        "gopher://x.test/",
        "data:,x",
        "unix:/x",
        "ws://x.test/",
    ] {
        let error = get(&tools, url).await.unwrap_err();
        assert!(matches!(error.code(), Code::Denied | Code::InvalidArgument), "{url}: {error}");
    }
    assert_eq!(trap.seen(), Vec::<String>::new());
    // The control: the range is named, and then it is reached.
    let rules = format!("  - {{host: '*', port: {port}, http: true, addresses: [127.0.0.1]}}\n");
    let tools = registry_with(&any(&rules), names).unwrap();
    for host in ["127.0.0.1", "127.1", "mapped.test"] {
        let answer = get(&tools, &format!("http://{host}:{port}/")).await;
        // A mapped address may be one that this machine cannot connect to; it is not refused.
        assert!(
            !matches!(&answer, Err(error) if error.code() == Code::Denied),
            "{host}: {answer:?}"
        );
    }
    assert!(trap.seen().len() >= 2);
}

#[tokio::test]
async fn what_is_not_named_is_refused_with_the_line_that_allows_it() {
    let server = Server::start("127.0.0.1", |_| ok_json("true")).await;
    let (names, port) = (loopback(), server.port());
    let url = format!("http://api.test:{port}/v1/issues");
    let mut rules = String::new();
    // The refusal's own line is enough, at most in two steps: first the host, then its address.
    for step in 0..3 {
        let text = if rules.is_empty() { any("  []\n") } else { any(&rules) };
        let tools = registry_with(&text, names.clone()).unwrap();
        match get(&tools, &url).await {
            Ok(answer) => {
                assert_eq!((answer, step), (json!(true), 2));
                let error = call(&tools, "post", json!({ "url": url })).await.unwrap_err();
                assert_eq!(error.code(), Code::Denied, "another method");
                for other in ["/v1/issues/1", "/", "/v1/issues/../x"] {
                    let error =
                        get(&tools, &format!("http://api.test:{port}{other}")).await.unwrap_err();
                    assert_eq!(error.code(), Code::Denied, "{other}");
                }
                return;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::Denied, "{}", error.chain());
                rules = format!("  {}\n", details(&error)["allow"].as_str().unwrap());
                assert!(error.message().contains(rules.trim()), "{error}");
            }
        }
    }
    panic!("the line does not allow it: {rules}");
}

#[tokio::test]
async fn hosts_and_paths_match_as_a_whole() {
    let names = || {
        let hosts =
            ["a.example.test", "example.test", "evilexample.test", "example.test.evil.test"];
        let hosts: Vec<(&str, &[&[&str]])> =
            hosts.iter().map(|host| (*host, &[&["127.0.0.1"] as &[&str]] as &[&[&str]])).collect();
        Names::new(&hosts)
    };
    let server = Server::start("127.0.0.1", |_| ok_json("true")).await;
    let port = server.port();
    for (pattern, allowed) in [
        ("example.test", ["example.test", "EXAMPLE.test."].as_slice()),
        ("'*.example.test'", ["a.example.test"].as_slice()),
    ] {
        let rules = format!(
            "  - {{host: {pattern}, port: {port}, http: true, paths: [/v1/*], addresses: [127.0.0.0/8]}}\n"
        );
        let tools = registry_with(&any(&rules), names()).unwrap();
        for host in allowed {
            let answer = get(&tools, &format!("http://{host}:{port}/v1/x")).await;
            // Whether a resolver knows a name with the root's dot is its own affair.
            assert!(
                !matches!(&answer, Err(error) if error.code() == Code::Denied),
                "{host}: {answer:?}"
            );
            let path = get(&tools, &format!("http://{host}:{port}/v2/x")).await.unwrap_err();
            assert_eq!(path.code(), Code::Denied);
            // What a service makes of it that decodes first is `/v2/x`.
            for climb in ["..%2fv2/x", "a%2F..%2f..%2fv2/x", "%2e%2E%5cv2/x", "..%5Cv2/x"] {
                let url = format!("http://{host}:{port}/v1/{climb}");
                let error = get(&tools, &url).await.unwrap_err();
                assert_eq!(error.code(), Code::InvalidArgument, "{url}: {error}");
            }
        }
        for host in ["evilexample.test", "example.test.evil.test", "x.a.example.test.evil.test"] {
            let error = get(&tools, &format!("http://{host}:{port}/v1/x")).await.unwrap_err();
            assert_eq!(error.code(), Code::Denied, "{pattern} {host}");
        }
    }
    let rules = "  - {host: example.test, addresses: [127.0.0.0/8]}\n";
    let tools = registry_with(&any(rules), names()).unwrap();
    let error = get(&tools, "http://example.test/").await.unwrap_err();
    assert!(error.message().contains("http: true"), "{error}");
}

/// A secret is for one host: where callers name the host, they would name their own.
#[test]
fn a_secret_has_one_host() {
    for rest in [
        "auth: {bearer: {secret: TOKEN}}",
        "auth: {basic: {user: me, password: {secret: PASSWORD}}}",
        "headers: {X-Key: {secret: TOKEN}}",
        "query: {key: {secret: TOKEN}}",
    ] {
        let file = format!("{}{rest}\n", any("  - {host: '*'}\n"));
        let error = registry_with(&file, Names::new(&[])).expect_err(rest);
        assert!(error.chain().contains("give base_url"), "{rest}: {}", error.chain());
    }
    let plain = format!("{}headers: {{X-Key: open}}\n", any("  - {host: '*'}\n"));
    assert!(registry_with(&plain, Names::new(&[])).is_ok());
}

/// The name's server answers one address when it is checked, and another one later.
#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_each_time() {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::at(listener, |_| ok_json("true"));
    let trap = Server::at(TcpListener::bind(("127.0.0.1", port)).await.unwrap(), |_| ok_json("1"));
    let names = Names::new(&[("api.test", &[&["127.0.0.2"], &["127.0.0.1"]])]);
    let rules =
        format!("  - {{host: api.test, port: {port}, http: true, addresses: [127.0.0.2]}}\n");
    let tools = registry_with(&any(&rules), names).unwrap();
    let url = format!("http://api.test:{port}/");
    assert_eq!(get(&tools, &url).await.unwrap(), json!(true));
    let error = get(&tools, &url).await.unwrap_err();
    assert_eq!(error.code(), Code::Denied, "{}", error.chain());
    assert_eq!((server.seen().len(), trap.seen().len()), (1, 0));
}

#[tokio::test]
async fn every_hop_of_a_redirect_is_checked() {
    let other = Server::start("127.0.0.1", |_| ok_json("\"other\"")).await;
    let away = other.port();
    let server = Server::start("127.0.0.1", move |request| {
        let path = request.split(' ').nth(1).unwrap();
        let target = match path {
            "/v1/metadata" => "http://169.254.169.254/latest".to_owned(),
            "/v1/other" => format!("http://other.test:{away}/"),
            "/v1/loop" => "/v1/loop".to_owned(),
            "/v1/file" => "file:///etc/passwd".to_owned(),
            "/v1/near" => "/v1/end".to_owned(),
            _ => return ok_json(&json!(request).to_string()),
        };
        response(&format!("302 Found\r\nlocation: {target}"), "")
    })
    .await;
    let endpoints = ["metadata", "other", "loop", "file", "near"]
        .map(|name| format!("  {name}: {{path: /{name}}}\n  post_{name}: {{method: POST, path: /{name}, params: {{x: {{}}}}}}\n"));
    let rest = format!(
        "auth: {{bearer: {{secret: TOKEN}}}}\nredirects: 3\nretries: 0\nendpoints:\n{}",
        endpoints.join("")
    );
    let text = file(&server, &rest);
    let tools = registry_with(&text, loopback()).unwrap();
    for (name, code) in [
        ("metadata", Code::Denied),
        ("other", Code::Denied),
        ("file", Code::Denied),
        ("loop", Code::ToolFailed),
    ] {
        let error = call(&tools, name, json!({})).await.unwrap_err();
        assert_eq!(error.code(), code, "{name}: {}", error.chain());
    }
    assert_eq!(other.seen(), Vec::<String>::new());
    // Controls: within the origin who asks is said again, and what was posted is not.
    let near = call(&tools, "post_near", json!({"x": "y"})).await.unwrap();
    let near = near.as_str().unwrap();
    assert!(near.starts_with("GET /v1/end") && near.contains("Bearer [secret TOKEN]"), "{near}");
    // To another host that is allowed nothing of the caller's goes along.
    let rule = format!(
        "egress:\n  - {{host: other.test, port: {away}, http: true, addresses: [127.0.0.0/8]}}\n"
    );
    let tools = registry_with(&text.replacen("egress:\n", &rule, 1), loopback()).unwrap();
    assert_eq!(call(&tools, "other", json!({})).await.unwrap(), json!("other"));
    let seen = other.seen().join("\n").to_lowercase();
    assert!(seen.contains("get / http") && !seen.contains("authorization"), "{seen}");
    assert!(!seen.contains("canary"), "{seen}");
}

#[test]
fn what_is_public() {
    for address in [
        "8.8.8.8",
        "1.1.1.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.169.0.1",
        "100.63.255.255",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "64:ff9b::808:808",
        "::ffff:8.8.8.8",
    ] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
    for address in [
        "0.0.0.0",
        "10.255.255.255",
        "100.127.0.1",
        "127.255.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:a00:1::",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "4000::1",
        "3fff::1",
    ] {
        assert!(!is_public(address.parse().unwrap()), "{address}");
    }
    let range = |text: &str| Range::parse(text).unwrap();
    assert!(range("10.0.0.0/8").contains("::ffff:10.1.2.3".parse().unwrap()));
    assert!(range("::ffff:10.0.0.0/104").contains("10.1.2.3".parse().unwrap()));
    assert!(!range("10.0.0.0/8").contains("11.0.0.0".parse().unwrap()));
    assert!(range("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
    assert!(!range("0.0.0.0/0").contains("fd00::1".parse().unwrap()));
    assert!(range("fd00::/8").contains("fdff::1".parse().unwrap()));
    for text in ["10.0.0.0/33", "10.0.0", "x", "10.0.0.0/", "::/129", "2002::/16", ""] {
        assert!(Range::parse(text).is_none(), "{text}");
    }
}
