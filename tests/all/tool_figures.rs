//! What a tool's call costs over the bare operation; prints, and is not run by `make test`:
//!
//!     cargo test --workspace -- --ignored --nocapture tool_figures
//!
//! The bare operation, the call through the registry and the call of a workflow alternate, so that
//! what else the machine does meets all three.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use repertoire::id::TenantId;
use repertoire::run::Event;
use repertoire::tools::{CallContext, Registry, ToolOptions};
use repertoire::{Json, Tenant};
use repertoire_tests::{bench_with, repository};
use serde_json::{Value, json};

/// How often each is measured.
const CALLS: usize = 300;

/// Calls of one run whose time is divided by them: a run has its own cost, and is as long as a call.
const CALLS_OF_A_RUN: u32 = 10;

const AT_ONCE: usize = 200;

/// Answers requests on kept connections with `1`.
fn service() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut chunk = [0; 4096];
    while stream.read(&mut chunk).is_ok_and(|count| count > 0) {
        let text =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\n1";
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// A server of MCP, asked without a client.
struct Probe {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Probe {
    fn start(probe: &str) -> Self {
        let mut child = Command::new("python3")
            .arg(probe)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    fn echo(&mut self) {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": "x"}}});
        // At once: two writes could be two turns of the other process.
        let line = format!("{call}\n");
        self.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.contains("result"));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.stdin.take());
        _ = self.child.wait();
    }
}

/// The most children that this process has at once, looked at every millisecond or so.
struct Children {
    most: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    watcher: Option<std::thread::JoinHandle<()>>,
}

impl Children {
    fn count() -> usize {
        let ours = format!("PPid:\t{}\n", std::process::id());
        let statuses = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let statuses = statuses.filter_map(|path| fs::read_to_string(path.join("status")).ok());
        statuses.filter(|status| status.contains(&ours)).count()
    }

    fn watch() -> Self {
        let (most, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (seen, done) = (Arc::clone(&most), Arc::clone(&over));
        let watcher = std::thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                seen.fetch_max(Self::count(), Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { most, over, watcher: Some(watcher) }
    }

    fn most(mut self) -> usize {
        self.over.store(true, Ordering::Release);
        self.watcher.take().unwrap().join().unwrap();
        self.most.load(Ordering::Acquire)
    }
}

/// Times, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    fn p(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    fn shown(&self) -> String {
        format!("{:.0?} / {:.0?}", self.p(50), self.p(99))
    }
}

struct Adapter {
    tool: &'static str,
    callable: &'static str,
    arguments: Value,
    /// As a workflow calls it.
    python: &'static str,
}

const ADAPTERS: usize = 3;

fn adapters() -> [Adapter; ADAPTERS] {
    let nothing = || json!({});
    [
        Adapter { tool: "exec", callable: "", arguments: nothing(), python: "tools.exec" },
        Adapter {
            tool: "mcp",
            callable: "echo",
            arguments: json!({"text": "x"}),
            python: "tools.mcp.echo",
        },
        Adapter { tool: "http", callable: "get", arguments: nothing(), python: "tools.http.get" },
    ]
}

impl Adapter {
    async fn call(&self, tools: &Registry, context: &CallContext) -> Result<Duration, String> {
        let arguments = Json::from(self.arguments.clone());
        let started = Instant::now();
        let answer = tools.call(self.tool, self.callable, &arguments, context).await;
        answer.map(|_| started.elapsed()).map_err(|error| error.to_string())
    }

    async fn add_workflows(&self, tenant: &Tenant) {
        let (name, call) = (self.tool, self.python);
        let given = if self.arguments == json!({}) { "" } else { "text='x'" };
        let source = format!("def run(n: int):\n    for _ in range(n):\n        {call}({given})\n");
        tenant.add_workflow(&format!("{name}_calls"), source, "").await.unwrap();
        let source = format!(
            "import asyncio\nasync def run(n: int) -> int:\n    \
             await asyncio.gather(*[{call}.call_async({given}) for _ in range(n)])\n    return n\n"
        );
        tenant.add_workflow(&format!("{name}_at_once"), source, "").await.unwrap();
    }

    /// How long a run takes that makes so many calls, one after the other.
    async fn run(&self, tenant: &Tenant, calls: u32) -> Duration {
        let workflow = format!("{}_calls", self.tool);
        let started = Instant::now();
        let run = tenant.invoke(&workflow, json!({ "n": calls })).await.unwrap();
        let took = started.elapsed();
        assert!(run.value().is_ok(), "{run:?}");
        took
    }

    /// All calls at once, each in a task of its own: the sum of time, and the slowest.
    async fn at_once(
        self: Arc<Self>,
        tools: &Registry,
        context: &CallContext,
    ) -> (Duration, Duration) {
        let started = Instant::now();
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (this, tools, context) = (Arc::clone(&self), tools.clone(), context.clone());
                tokio::spawn(async move { this.call(&tools, &context).await })
            })
            .collect();
        let answers = futures::future::join_all(tasks).await;
        let took = started.elapsed();
        let errors: Vec<_> =
            answers.iter().filter_map(|answer| answer.as_ref().unwrap().as_ref().err()).collect();
        assert!(errors.is_empty(), "{} of {AT_ONCE} failed: {:?}", errors.len(), errors.first());
        let slowest = answers.into_iter().map(|answer| answer.unwrap().unwrap()).max();
        (took, slowest.unwrap())
    }

    /// The same, by one workflow.
    async fn run_at_once(&self, tenant: &Tenant) -> (Duration, Duration) {
        let calls = Arc::<Mutex<Vec<Duration>>>::default();
        let seen = Arc::clone(&calls);
        let started = Instant::now();
        let run = tenant
            .invocation(&format!("{}_at_once", self.tool))
            .arguments(json!({ "n": AT_ONCE }))
            .on_event(move |event| {
                if let Event::CallEnded { took, error: None, .. } = event {
                    seen.lock().unwrap().push(took);
                }
            })
            .run()
            .await
            .unwrap();
        let took = started.elapsed();
        assert!(run.value().is_ok(), "{run:?}");
        let calls = calls.lock().unwrap();
        assert_eq!(calls.len(), AT_ONCE);
        (took, *calls.iter().max().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures; run it by name"]
async fn tool_figures() {
    let (folder, port) = (tempfile::tempdir().unwrap(), service());
    let probe = repository().join("tests/fixtures/mcp/probe.py");
    let probe = probe.to_str().unwrap();
    for (name, text) in [
        ("exec", "name: exec\ncommand: \"true\"\n".to_owned()),
        ("mcp", format!("name: mcp\ntype: mcp\ncommand: python3\nargs: [{probe}]\n")),
        (
            "http",
            format!(
                "name: http\ntype: http\nbase_url: http://127.0.0.1:{port}\nendpoints: {{get: {{path: /x}}}}\n\
                 egress: [{{host: 127.0.0.1, port: {port}, http: true, addresses: [127.0.0.1]}}]\n"
            ),
        ),
    ] {
        fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
    }
    let options = ToolOptions { search_path: std::env::var_os("PATH"), ..ToolOptions::default() };
    let tools = Registry::from_folder(folder.path(), &options).unwrap();
    let bench = bench_with(|builder| builder.tools(tools.clone())).await;
    let tenant = &bench.tenant;
    // The same tenant: it has one server, whoever calls.
    let context = CallContext { tenant: TenantId::new("acme").unwrap(), run: None, deadline: None };

    let mut server = Probe::start(probe);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut bare = |tool: &str| {
        let started = Instant::now();
        match tool {
            "exec" => assert!(Command::new("true").status().unwrap().success()),
            "mcp" => server.echo(),
            _ => {
                stream.write_all(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            }
        }
        started.elapsed()
    };

    println!("p50 / p99 of {CALLS}; {AT_ONCE} at once: all / the slowest; every call succeeded");
    println!();
    println!(
        "| adapter | bare operation | tool call | over bare | call of a workflow | over bare \
         | {AT_ONCE} tool calls | {AT_ONCE} of a workflow | most children |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for adapter in adapters().map(Arc::new) {
        adapter.add_workflows(tenant).await;
        // Whatever is done once: servers, connections, code.
        bare(adapter.tool);
        adapter.call(&tools, &context).await.unwrap();
        adapter.run(tenant, 1).await;

        let (mut bares, mut calls, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CALLS {
            bares.push(bare(adapter.tool));
            calls.push(adapter.call(&tools, &context).await.unwrap());
            let none = adapter.run(tenant, 0).await;
            let some = adapter.run(tenant, CALLS_OF_A_RUN).await;
            runs.push(some.saturating_sub(none) / CALLS_OF_A_RUN);
        }
        let (bares, calls, runs) = (Times::of(bares), Times::of(calls), Times::of(runs));

        let before = Children::count();
        let children = Children::watch();
        let tasks = Arc::clone(&adapter).at_once(&tools, &context).await;
        let workflow = adapter.run_at_once(tenant).await;
        // Looking takes as long as `true` does, so that some are counted that were not there at
        // once; that no more than may be are is `processes_are_counted`, of the adapter's tests.
        let most = children.most().saturating_sub(before);
        assert!(most < AT_ONCE, "{most} processes at once");
        assert_eq!(Children::count(), before, "a process is left");

        let over = |times: &Times| times.p(50).saturating_sub(bares.p(50));
        println!(
            "| {} | {} | {} | {:.0?} | {} | {:.0?} | {:.0?} / {:.0?} | {:.0?} / {:.0?} | {most} |",
            adapter.tool,
            bares.shown(),
            calls.shown(),
            over(&calls),
            runs.shown(),
            over(&runs),
            tasks.0,
            tasks.1,
            workflow.0,
            workflow.1,
        );
    }
}
