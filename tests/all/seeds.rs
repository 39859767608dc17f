//! Chance and time: the run's own, and the same again for the same seed.

use std::sync::Arc;

use repertoire::clock::{FixedClock, FixedEntropy, Timestamp};
use repertoire_tests::{bench, bench_with};
use serde_json::{Value, json};

const DRAWS: &str = "
import os, random, secrets, uuid
def run():
    return {
        'random': random.random(), 'shuffled': random.sample(range(1000), 5), 'uuid4': str(uuid.uuid4()), 'uuid1': str(uuid.uuid1())[-12:],
        'secrets': secrets.token_hex(8), 'urandom': os.urandom(8).hex(), 'system': random.SystemRandom().random(),
    }
";

#[tokio::test]
async fn differ_between_runs_unless_a_seed_is_given() {
    let tenant = bench().await.tenant;
    tenant.add_workflow("draw", DRAWS, "").await.unwrap();
    let draw = async |seed: Option<u64>| {
        let invocation = tenant.invocation("draw");
        let run = match seed {
            Some(seed) => invocation.seed(seed).run().await,
            None => invocation.run().await,
        };
        let run = run.unwrap();
        (run.value().unwrap().to::<Value>().unwrap(), run.invocation.seed)
    };
    let (first, drawn) = draw(None).await;
    let (second, _) = draw(None).await;
    for (name, value) in first.as_object().unwrap() {
        assert_ne!(value, &second[name], "{name} is the same in two runs");
    }
    let (seven, _) = draw(Some(7)).await;
    assert_eq!(draw(Some(7)).await.0, seven);
    let (eight, _) = draw(Some(8)).await;
    for (name, value) in seven.as_object().unwrap() {
        assert_ne!(value, &eight[name], "{name} does not depend on the seed");
    }
    // Any run can be repeated, because its record has the seed.
    assert_eq!(draw(Some(drawn)).await.0, first);
    // One that a tool cannot tell from the other: the two generators are not one.
    assert_ne!(seven["secrets"], seven["urandom"]);
}

#[tokio::test]
async fn nested_runs_follow_from_their_callers_seed() {
    let tenant = bench().await.tenant;
    tenant.add_workflow("draw", DRAWS, "").await.unwrap();
    tenant
        .add_workflow("root", "def run(): return [workflows.draw(), workflows.draw()]", "")
        .await
        .unwrap();
    let draw = async |seed| {
        let run = tenant.invocation("root").seed(seed).run().await.unwrap();
        run.value().unwrap().to::<Vec<Value>>().unwrap()
    };
    let first = draw(7).await;
    assert_eq!(draw(7).await, first);
    assert_ne!(first[0], first[1]);
    assert_ne!(draw(8).await[0], first[0]);
}

#[tokio::test]
async fn a_session_draws_from_its_seed_too() {
    let tenant = bench().await.tenant;
    let draw = async |seed| {
        let mut session = tenant.session().seed(seed);
        let run =
            session.run("import random, uuid; [random.random(), str(uuid.uuid4())]").await.unwrap();
        run.value().unwrap().clone()
    };
    assert_eq!(draw(3).await, draw(3).await);
    assert_ne!(draw(3).await, draw(4).await);
}

#[tokio::test]
async fn the_guests_clock_is_the_engines() {
    let start = Timestamp::from_millis(1_700_000_000_000);
    let bench = bench_with(|builder| {
        builder.clock(Arc::new(FixedClock(start))).entropy(Arc::new(FixedEntropy::new(1)))
    })
    .await;
    let code = "import datetime, time; [time.time(), datetime.datetime.now(datetime.UTC).isoformat()[:10]]";
    let run = bench.tenant.session().run(code).await.unwrap();
    let (now, today): (f64, String) = run.value().unwrap().to().unwrap();
    // It begins at the recorded start and goes on from there.
    assert!((1_700_000_000.0..1_700_000_060.0).contains(&now), "{now}");
    assert_eq!(today, "2023-11-14");
    assert_eq!(run.invocation.started_at, start);
}

#[tokio::test]
async fn an_engine_with_fixed_chance_repeats_itself() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let bench = bench_with(|builder| builder.entropy(Arc::new(FixedEntropy::new(5)))).await;
        bench.tenant.add_workflow("draw", DRAWS, "").await.unwrap();
        let run = bench.tenant.invoke("draw", json!({})).await.unwrap();
        seen.push((run.value().unwrap().clone(), run.invocation.seed));
    }
    assert_eq!(seen[0], seen[1]);
}

/// A source is compiled once and its code kept: neither who comes first nor
/// what the code is called may be told from a run's fuel or traceback.
#[tokio::test]
async fn a_first_run_is_as_its_second() {
    let tenant = bench().await.tenant;
    let mut source = String::from("def run(n: int):\n    return 1 // n\n");
    for index in 0..400 {
        source += &format!("def helper_{index}(text):\n    return [text, {index}]\n");
    }
    tenant.add_workflow("fuel_a", &source, "").await.unwrap();
    tenant.add_workflow("fuel_b", &source, "").await.unwrap();
    let run = async |name: &str, n: u32| {
        tenant.invocation(name).arguments(json!({ "n": n })).seed(1).run().await.unwrap()
    };
    // The other one has the same source, and tracebacks of its own.
    for name in ["fuel_a", "fuel_b"] {
        let (first, second) = (run(name, 1).await, run(name, 1).await);
        assert_eq!(first.usage.fuel, second.usage.fuel, "{name}");
        // Reading what was compiled is a small part of compiling it.
        assert!(first.usage.fuel < 10_000_000, "{}", first.usage.fuel);
    }
    for name in ["fuel_a", "fuel_b"] {
        let run = run(name, 0).await;
        let traceback = &run.value().unwrap_err().traceback;
        assert!(traceback.contains(&format!("<workflow {name}>\", line 2, in run")), "{traceback}");
        assert!(traceback.contains("return 1 // n"), "{traceback}");
    }
}
