//! Calls that wait for somebody to agree.

use std::time::Duration;

use repertoire::approvals::Request;
use repertoire::run::Run;
use repertoire::{Code, Grants, Limits, Tenant};
use repertoire_tests::{Bench, bench_with};
use serde_json::{Value, json};

fn asking() -> Grants {
    Grants::everything().ask("tools.test.echo").unwrap()
}

async fn bench() -> Bench {
    bench_with(|builder| builder.grants(asking())).await
}

/// The calls that wait, once there are so many.
async fn waiting(tenant: &Tenant, count: usize) -> Vec<Request> {
    for _ in 0..30_000 {
        let waiting = tenant.waiting().unwrap();
        if waiting.len() == count {
            return waiting;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} calls wait after 30 s, not {count}", tenant.waiting().unwrap().len());
}

fn value(run: &Run) -> Value {
    run.value().unwrap_or_else(|failure| panic!("{}", failure.traceback)).to().unwrap()
}

const CODE: &str = "
def attempt(n):
    try:
        return tools.test.echo(x=n)
    except PermissionError as error:
        return error.code
[attempt(1), tools.test.typed(x=2)]";

#[tokio::test]
async fn a_call_waits_until_somebody_agrees_or_does_not() {
    let bench = bench().await;
    for (agreed, expected) in [(true, json!([{"x": 1}, 2])), (false, json!(["denied", 2]))] {
        let before = bench.seen.started();
        let mut session = bench.tenant.session();
        let decide = async {
            let found = waiting(&bench.tenant, 1).await;
            assert_eq!(found[0].target, "tools.test.echo");
            assert_eq!(found[0].arguments.to::<Value>().unwrap(), json!({"x": 1}));
            assert_eq!(bench.seen.started(), before, "it was called before anybody agreed");
            bench.tenant.decide(found[0].run, None, agreed).unwrap();
        };
        let (run, ()) = tokio::join!(session.run(CODE), decide);
        assert_eq!(value(&run.unwrap()), expected);
        assert!(bench.tenant.waiting().unwrap().is_empty());
    }
    let nothing = bench.tenant.runs(1).await.unwrap()[0].invocation.id;
    let error = bench.tenant.decide(nothing, None, true).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

/// The clock of the run stands still meanwhile, and goes on afterwards.
#[tokio::test]
async fn waiting_for_somebody_is_not_the_runs_time() {
    let bench = bench().await;
    let limits = Limits { wall_time: Duration::from_millis(1500), ..Limits::default() };
    let mut session = bench.tenant.session().limits(limits);
    let decide = async {
        let found = waiting(&bench.tenant, 1).await;
        tokio::time::sleep(Duration::from_millis(1600)).await;
        bench.tenant.decide(found[0].run, Some(found[0].call), true).unwrap();
    };
    let (run, ()) = tokio::join!(session.run("tools.test.echo(x=1)\ntools.test.hang()"), decide);
    let run = run.unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::TimedOut);
    assert_eq!(bench.seen.started(), 2, "the call that was agreed to was not made");
    assert!(run.usage.wall_time >= Duration::from_millis(3000), "{:?}", run.usage);
}

#[tokio::test]
async fn nobody_answers_in_time_and_a_run_that_ends_takes_its_request_back() {
    let bench = bench().await;
    bench.tenant.grants().set(Grants { ask_seconds: Some(1), ..asking() });
    let run = bench.tenant.session().run("tools.test.echo(x=1)").await.unwrap();
    let failure = run.value().unwrap_err();
    assert_eq!(failure.code, Code::Denied);
    assert!(failure.message.contains("within 1 seconds"), "{}", failure.message);
    bench.tenant.grants().set(asking());
    let mut session = bench.tenant.session();
    let run = session.run("tools.test.echo(x=1)");
    let gone = tokio::select! {
        _ = run => false,
        _ = waiting(&bench.tenant, 1) => true,
    };
    assert!(gone);
    assert!(bench.tenant.waiting().unwrap().is_empty());
    assert_eq!(bench.seen.started(), 0);
}

/// Several that wait at once are told apart, and what needs nobody goes on.
#[tokio::test]
async fn each_call_is_answered_by_itself() {
    let bench = bench().await;
    let code = "
import asyncio
async def one(n):
    try:
        return await tools.test.echo.call_async(x=n)
    except PermissionError as error:
        return error.code
await asyncio.gather(one(1), one(2), tools.test.typed.call_async(x=3))";
    let mut session = bench.tenant.session();
    let decide = async {
        let found = waiting(&bench.tenant, 2).await;
        assert_ne!(found[0].call, found[1].call);
        for request in found {
            let agreed = request.arguments.as_str().contains('2');
            bench.tenant.decide(request.run, Some(request.call), agreed).unwrap();
        }
    };
    let (run, ()) = tokio::join!(session.run(code), decide);
    assert_eq!(value(&run.unwrap()), json!(["denied", {"x": 2}, 3]));
}

/// Whoever answers may be another process.
#[cfg(feature = "full")]
#[test]
fn another_process_agrees() {
    use std::process::{Command, Stdio};

    use crate::examples::commands::surround;

    let dir = tempfile::tempdir().unwrap();
    let tools = dir.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let tool = "name: say\ndescription: Says it\ncommand: echo\nschema:\n  positional:\n    - {name: text, type: string, required: true}\n";
    std::fs::write(tools.join("say.yaml"), tool).unwrap();
    std::fs::write(dir.path().join("say.py"), "tools.say(text='agreed')").unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(repertoire_tests::cli());
        surround(&mut command, dir.path())
            .args(arguments)
            .env("REPERTOIRE_TOOLS", &tools)
            .env("REPERTOIRE_GRANTS_ASK", "tools.say")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    let run = command(&["exec", "say.py", "--raw"]).spawn().unwrap();
    let id = (0..200).find_map(|_| {
        let listed = command(&["runs", "list", "--json"]).output().unwrap();
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let found = listed["waiting"].get(0)?;
        assert_eq!(found["target"], json!("tools.say()"));
        assert_eq!(found["arguments"], json!({"text": "agreed"}));
        Some(found["run_id"].as_str().unwrap().to_owned())
    });
    let id = id.expect("nothing has waited");
    let shown = command(&["runs", "list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("waits for approval"));
    assert!(command(&["runs", "approve", &id]).status().unwrap().success());
    let ended = run.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "agreed\n");
}
