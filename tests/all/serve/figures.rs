//! Invocations over HTTP beside those within the process; prints, and is run by its name:
//!
//!     cargo test --workspace --test all -- serve_figures --ignored --nocapture

use std::time::{Duration, Instant};

use repertoire::serve::http::HttpLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Site;

/// How long each figure is measured.
const LONG: Duration = Duration::from_secs(4);

const SOURCE: &str = "def run(number: int) -> int:\n    return number * 2\n";

fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

/// One request over a connection that stays, and its answer.
async fn ask(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) {
    stream.write_all(request).await.unwrap();
    answer.clear();
    loop {
        assert!(stream.read_buf(answer).await.unwrap() > 0, "it was closed");
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).unwrap();
        let length = text.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if answer.len() == head + 4 + length {
            break;
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
    assert!(answer.windows(10).any(|part| part == b"\"value\":42"));
}

fn print(how: &str, clients: usize, mut times: Vec<Duration>, took: Duration) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "| {how} | {clients} | {:.0} | {:.2} ms | {:.2} ms | {} MiB |",
        times.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        memory()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; run it by name"]
async fn serve_figures() {
    let limits = HttpLimits { connections_per_address: 1024, ..HttpLimits::default() };
    let site = Site::with(limits).await;
    site.tenant.add_workflow("double", SOURCE, "").await.unwrap();
    let body = r#"{"arguments":{"number":21}}"#;
    let request = format!(
        "POST /v1/workflows/double/invoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        site.token,
        body.len()
    );
    println!("| how | clients | runs a second | p50 | p99 | resident |");
    println!("|---|---|---|---|---|---|");
    for clients in [1, 16, 256] {
        let (started, mut tasks) = (Instant::now(), JoinSet::new());
        for _ in 0..clients {
            let tenant = site.tenant.clone();
            tasks.spawn(async move {
                let mut times = Vec::new();
                while started.elapsed() < LONG {
                    let watch = Instant::now();
                    let arguments = repertoire::Json::parse(r#"{"number":21}"#).unwrap();
                    let run = tenant.invoke("double", arguments).await.unwrap();
                    assert_eq!(run.value().unwrap().as_str(), "42");
                    times.push(watch.elapsed());
                }
                times
            });
        }
        let times = tasks.join_all().await.concat();
        print("in the process", clients, times, started.elapsed());
        let (started, mut tasks) = (Instant::now(), JoinSet::new());
        for _ in 0..clients {
            let (address, request) = (site.address, request.clone());
            tasks.spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (mut times, mut answer) = (Vec::new(), Vec::new());
                while started.elapsed() < LONG {
                    let watch = Instant::now();
                    ask(&mut stream, request.as_bytes(), &mut answer).await;
                    times.push(watch.elapsed());
                }
                times
            });
        }
        let times = tasks.join_all().await.concat();
        print("over HTTP", clients, times, started.elapsed());
    }
}
