//! Agent code with state.

use std::time::Duration;

use repertoire::{Code, Limits, Session};
use repertoire_tests::bench;

async fn value(session: &mut Session, code: &str) -> String {
    let run = session.run(code).await.unwrap();
    match run.value() {
        Ok(value) => value.to_string(),
        Err(failure) => panic!("{code}: {} {}", failure.message, failure.traceback),
    }
}

#[tokio::test]
async fn keeps_what_earlier_calls_defined() {
    let mut session = bench().await.tenant.session();
    assert_eq!(
        value(&mut session, "import math\nx = 20\ndef double(n): return 2 * n\nclass A: y = 1")
            .await,
        "null"
    );
    assert_eq!(value(&mut session, "double(x) + A.y + math.floor(1.5)").await, "42");
    assert_eq!(value(&mut session, "_ + 1").await, "43");
    // What raised half-way has done the first half.
    let run = session.run("z = 5\nraise ValueError('half')").await.unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::Raised);
    assert!(!session.was_reset());
    assert_eq!(value(&mut session, "z").await, "5");
    session.reset();
    let run = session.run("x").await.unwrap();
    assert_eq!(run.value().unwrap_err().exceptions[0].type_name, "NameError");
    assert!(!session.was_reset());
}

#[tokio::test]
async fn says_when_a_limit_has_taken_the_variables() {
    let limits =
        Limits { fuel: 500_000_000, wall_time: Duration::from_secs(30), ..Limits::default() };
    let mut session = bench().await.tenant.session().limits(limits);
    assert_eq!(value(&mut session, "x = 1; x").await, "1");
    let run = session.run("while True: pass").await.unwrap();
    let failure = run.value().unwrap_err();
    assert_eq!(failure.code, Code::FuelExhausted);
    assert!(failure.message.contains("variables are gone"), "{}", failure.message);
    assert!(session.was_reset());
    let run = session.run("x").await.unwrap();
    assert_eq!(run.value().unwrap_err().exceptions[0].type_name, "NameError");
    assert!(!session.was_reset());
    assert_eq!(value(&mut session, "x = 2; x").await, "2");
}

#[tokio::test]
async fn a_first_call_has_nothing_to_lose() {
    let limits = Limits { fuel: 200_000_000, ..Limits::default() };
    let mut session = bench().await.tenant.session().limits(limits);
    let run = session.run("while True: pass").await.unwrap();
    assert!(!run.value().unwrap_err().message.contains("variables"));
    assert!(!session.was_reset());
}

#[tokio::test]
async fn each_call_has_the_limits_anew_and_memory_stays() {
    let tenant = bench().await.tenant;
    let busy = "for _ in range(300_000): pass";
    let fuel = tenant.session().run(busy).await.unwrap().usage.fuel * 3 / 2;
    let mut session = tenant.session().limits(Limits { fuel, ..Limits::default() });
    for _ in 0..3 {
        let run = session.run(busy).await.unwrap();
        assert!(run.value().is_ok() && run.usage.fuel > fuel / 2, "{:?}", run.usage);
    }
    let limits = Limits { memory_bytes: 200 << 20, ..Limits::default() };
    let mut session = tenant.session().limits(limits);
    assert_eq!(value(&mut session, "held = bytearray(100 << 20)").await, "null");
    let run = session.run("more = bytearray(100 << 20)").await.unwrap();
    assert_eq!(run.value().unwrap_err().code, Code::MemoryExceeded);
    assert_eq!(value(&mut session, "len(held) >> 20").await, "100");
    // What is let go can be had again.
    assert_eq!(
        value(&mut session, "del held; more = bytearray(100 << 20); len(more) >> 20").await,
        "100"
    );
}

#[tokio::test]
async fn a_dropped_call_takes_the_variables_along() {
    let bench = bench().await;
    let mut session = bench.tenant.session();
    assert_eq!(value(&mut session, "x = 1; x").await, "1");
    {
        let call = session.run("tools.test.hang()");
        tokio::select! {
            _ = call => panic!("it cannot end"),
            () = bench.seen.until_in_flight(1) => {}
        }
    }
    assert_eq!(bench.seen.in_flight(), 0);
    assert!(session.was_reset());
    let run = session.run("x").await.unwrap();
    assert_eq!(run.value().unwrap_err().exceptions[0].type_name, "NameError");
    let runs = bench.tenant.runs(10).await.unwrap();
    assert_eq!(runs[1].value().unwrap_err().code, Code::Cancelled);
    assert_eq!(runs[1].invocation.workflow, None);
}

#[tokio::test]
async fn two_sessions_share_a_library_and_no_variables() {
    let tenant = bench().await.tenant;
    let (mut one, mut other) = (tenant.session(), tenant.session());
    assert_eq!(value(&mut one, "x = 1; x").await, "1");
    let run = other.run("x").await.unwrap();
    assert_eq!(run.value().unwrap_err().exceptions[0].type_name, "NameError");
    one.add_workflow("triple", "def run(number: int) -> int:\n    return 3 * number", "")
        .await
        .unwrap();
    assert_eq!(value(&mut other, "workflows.triple(number=2)").await, "6");
    let create = "workflows.create('quadruple', 'def run(n: int): return 4 * n', description='Four times'); [w.name for w in workflows.list()]";
    assert_eq!(value(&mut other, create).await.replace(' ', ""), r#"["quadruple","triple"]"#);
    assert_eq!(value(&mut one, "workflows.quadruple(n=2)").await, "8");
    assert_eq!(
        value(&mut one, "artifacts.save('a', b'\\x00\\xff'); artifacts.load('a') == b'\\x00\\xff'")
            .await,
        "true"
    );
    assert_eq!(value(&mut other, "artifacts.load('a')[1]").await, "255");
}

#[tokio::test]
async fn tasks_go_on_in_the_next_cell() {
    let mut session = bench().await.tenant.session();
    let begin = "import asyncio\ntask = asyncio.create_task(tools.test.sleep.call_async(ms=20))\nawait asyncio.sleep(0)";
    assert_eq!(value(&mut session, begin).await, "null");
    assert_eq!(value(&mut session, "await task").await, "20");
    // A workflow too, and not only for one cell; ids are never used twice.
    let double = "workflows.create('double', 'def run(n: int): return tools.test.echo(x=2 * n)[\\'x\\']').name";
    assert_eq!(value(&mut session, double).await, "\"double\"");
    let begin = "tasks = [asyncio.create_task(workflows.invoke_async('double', n=n)) for n in range(3)]\nawait asyncio.sleep(0)";
    assert_eq!(value(&mut session, begin).await, "null");
    assert_eq!(value(&mut session, "await tools.test.echo.call_async(x=7)").await, "{\"x\":7}");
    assert_eq!(value(&mut session, "await asyncio.gather(*tasks)").await, "[0,2,4]");
}

#[tokio::test]
async fn code_of_any_size_is_an_answer() {
    let mut session = bench().await.tenant.session();
    let error = session.run(&"#".repeat(2 << 20)).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidSource);
    assert_eq!(value(&mut session, "").await, "null");
    for code in ["def f(:", "x = '", "\0", "return 1", "await"] {
        let run = session.run(code).await.unwrap();
        let failure = run.value().unwrap_err();
        assert_eq!(failure.code, Code::InvalidSource, "{code:?}: {}", failure.message);
        assert_eq!(failure.exceptions[0].type_name, "SyntaxError", "{code:?}");
    }
    assert_eq!(value(&mut session, "1").await, "1");
}
