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
        let error = bench.tenant.decide(found[0].run, None, true).unwrap_err();
        assert_eq!(error.code(), Code::Conflict, "{error}");
        for request in found {
            let agreed = request.arguments.as_str().contains('2');
            bench.tenant.decide(request.run, Some(request.call), agreed).unwrap();
        }
    };
    let (run, ()) = tokio::join!(session.run(code), decide);
    assert_eq!(value(&run.unwrap()), json!(["denied", {"x": 2}, 3]));
}

/// Nobody agrees to what nobody reads.
#[tokio::test]
async fn what_is_too_large_to_be_shown_is_denied() {
    let bench = bench().await;
    let code = "tools.test.echo(x='a' * 100_000)";
    let run = bench.tenant.session().run(code).await.unwrap();
    let failure = run.value().unwrap_err();
    assert!(failure.message.contains("save them as an artifact"), "{}", failure.message);
    assert_eq!(bench.seen.started(), 0);
}

/// Who asks and goes on working has no time for nothing: what waits stops no clock then.
#[tokio::test]
async fn work_beside_a_call_that_waits_is_the_runs_time() {
    let bench = bench().await;
    let limits = Limits { wall_time: Duration::from_millis(400), ..Limits::default() };
    let code = "
import asyncio
async def ask():
    await tools.test.echo.call_async(x=1)
asking = asyncio.ensure_future(ask())
await asyncio.sleep(0)
while True:
    ";
    for work in ["pass", "await asyncio.sleep(0)"] {
        let mut session = bench.tenant.session().limits(limits.clone());
        let run = session.run(&format!("{code}{work}")).await.unwrap();
        assert_eq!(run.value().unwrap_err().code, Code::TimedOut, "{work}");
        assert!(bench.tenant.waiting().unwrap().is_empty());
    }
    // The control: who only waits is waited for.
    let mut session = bench.tenant.session().limits(limits);
    let decide = async {
        let found = waiting(&bench.tenant, 1).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        bench.tenant.decide(found[0].run, None, true).unwrap();
    };
    let (run, ()) = tokio::join!(session.run("await tools.test.echo.call_async(x=1)"), decide);
    assert_eq!(value(&run.unwrap()), json!({"x": 1}));
}

/// Runs that wait for people keep no others from running, and there are only so many of them.
#[tokio::test]
async fn those_that_wait_give_their_place_to_others_and_are_counted() {
    use repertoire::{Runtime, RuntimeOptions};
    use repertoire_tests::{cache_dir, component};

    // Of eight instances two are for root runs, and two for runs that wait.
    let options = RuntimeOptions { max_instances: 8, ..RuntimeOptions::new(component()) };
    let runtime = Runtime::load(options.cache(cache_dir())).await.unwrap();
    let bench = bench_with(|builder| builder.grants(asking()).runtime(runtime.into())).await;
    let mut sessions = [bench.tenant.session(), bench.tenant.session()];
    let [one, two] = &mut sessions;
    let code = "tools.test.echo(x=1)['x']";
    let rest = async {
        let found = waiting(&bench.tenant, 2).await;
        // Both have given their places: without, this would wait for them.
        let run = bench.tenant.session().run("1 + 1").await.unwrap();
        assert_eq!(value(&run), json!(2));
        let refused = bench.tenant.session().run(code).await.unwrap();
        assert_eq!(refused.value().unwrap_err().code, Code::Busy);
        // What is not asked about needs no place among those that wait.
        let run = bench.tenant.session().run("tools.test.typed(x=3)").await.unwrap();
        assert_eq!(value(&run), json!(3));
        for request in found {
            bench.tenant.decide(request.run, None, true).unwrap();
        }
    };
    let (one, two, ()) = tokio::join!(one.run(code), two.run(code), rest);
    assert_eq!([value(&one.unwrap()), value(&two.unwrap())], [json!(1), json!(1)]);
    // Nothing is lost of the places.
    for _ in 0..3 {
        let mut session = bench.tenant.session();
        let decide = async {
            let found = waiting(&bench.tenant, 1).await;
            bench.tenant.decide(found[0].run, None, false).unwrap();
        };
        let (run, ()) = tokio::join!(session.run(code), decide);
        assert_eq!(run.unwrap().value().unwrap_err().code, Code::Denied);
    }
}

/// A nested run's call is asked about like its caller's own, and an answer is for one call.
#[tokio::test]
async fn what_a_nested_run_asks_is_answered_for_it_alone() {
    let bench = bench().await;
    let source = "def run(n: int):\n    return tools.test.echo(x=n)";
    bench.tenant.add_workflow("inner", source, "").await.unwrap();
    let mut session = bench.tenant.session();
    let decide = async {
        for (n, agreed) in [(1, true), (2, false), (1, true)] {
            let found = waiting(&bench.tenant, 1).await;
            assert_eq!(found[0].arguments.to::<Value>().unwrap(), json!({"x": n}));
            bench.tenant.decide(found[0].run, Some(found[0].call), agreed).unwrap();
            while bench.tenant.waiting().unwrap().contains(&found[0]) {
                tokio::task::yield_now().await;
            }
        }
    };
    let code = "
def attempt(n):
    try:
        return workflows.inner(n=n)
    except PermissionError as error:
        return error.code
[attempt(1), attempt(2), attempt(1)]";
    let (run, ()) = tokio::join!(session.run(code), decide);
    assert_eq!(value(&run.unwrap()), json!([{"x": 1}, "denied", {"x": 1}]));
}

/// An approval that comes when the grants have been taken away is none.
#[tokio::test]
async fn a_denial_by_grants_beats_an_approval() {
    let bench = bench().await;
    let mut session = bench.tenant.session();
    let decide = async {
        let found = waiting(&bench.tenant, 1).await;
        bench.tenant.grants().set(Grants::everything().deny("tools.test").unwrap());
        let _ = bench.tenant.decide(found[0].run, None, true);
    };
    let (run, ()) = tokio::join!(session.run("tools.test.echo(x=1)"), decide);
    assert_eq!(run.unwrap().value().unwrap_err().code, Code::Denied);
    assert_eq!(bench.seen.started(), 0);
}

/// A process that is killed takes its request with it; another one waits anew.
#[cfg(feature = "full")]
#[test]
fn a_process_that_is_gone_waits_for_nothing() {
    let place = Place::new();
    let mut run = place.command(&["exec", "say.py", "--raw"]).spawn().unwrap();
    let id = place.first_waiting();
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(place.waiting(), json!([]));
    let late = place.command(&["runs", "approve", &id, "--json"]).output().unwrap();
    assert!(!late.status.success());
    assert!(String::from_utf8_lossy(&late.stdout).contains("not-found"));
    // Nothing of it is left, and the next one is asked about anew, and denied.
    let run = place.command(&["exec", "say.py", "--json"]).spawn().unwrap();
    let again = place.first_waiting();
    assert_ne!(again, id);
    assert!(place.command(&["runs", "deny", &again]).status().unwrap().success());
    let ended = run.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((ended.status.code(), &said["error"]["code"]), (Some(1), &json!("denied")));
    // Nobody answers.
    let mut command = place.command(&["exec", "say.py", "--json"]);
    let ended = command.env("REPERTOIRE_GRANTS_ASK_SECONDS", "1").output().unwrap();
    let said: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((ended.status.code(), &said["error"]["code"]), (Some(1), &json!("denied")));
}

/// Whoever answers may be another process.
#[cfg(feature = "full")]
#[test]
fn another_process_agrees() {
    let place = Place::new();
    let run = place.command(&["exec", "say.py", "--raw"]).spawn().unwrap();
    let id = place.first_waiting();
    let waiting = &place.waiting()[0];
    assert_eq!(waiting["target"], json!("tools.say()"));
    assert_eq!(waiting["arguments"], json!({"text": "agreed"}));
    let shown = place.command(&["runs", "list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("waits for approval"));
    assert!(place.command(&["runs", "approve", &id]).status().unwrap().success());
    let ended = run.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "agreed\n");
}

/// A directory with a tool that is asked about, and code that calls it.
#[cfg(feature = "full")]
struct Place(tempfile::TempDir);

#[cfg(feature = "full")]
impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tools")).unwrap();
        let tool = "name: say\ndescription: Says it\ncommand: echo\nschema:\n  positional:\n    - {name: text, type: string, required: true}\n";
        std::fs::write(dir.path().join("tools/say.yaml"), tool).unwrap();
        std::fs::write(dir.path().join("say.py"), "tools.say(text='agreed')").unwrap();
        Self(dir)
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        use std::process::{Command, Stdio};

        let mut command = Command::new(repertoire_tests::cli());
        crate::examples::commands::surround(&mut command, self.0.path())
            .args(arguments)
            .env("REPERTOIRE_TOOLS", self.0.path().join("tools"))
            .env("REPERTOIRE_GRANTS_ASK", "tools.say")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn waiting(&self) -> Value {
        let listed = self.command(&["runs", "list", "--json"]).output().unwrap();
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        listed["waiting"].clone()
    }

    /// The run that waits, once there is one.
    fn first_waiting(&self) -> String {
        let found = (0..200).find_map(|_| self.waiting().get(0).cloned());
        let found = found.expect("nothing has waited");
        found["run_id"].as_str().unwrap().to_owned()
    }
}
