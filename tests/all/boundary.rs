//! The boundary between guest and host, under fire: every import is called with
//! hostile values, and every export answers with them. See `tests/corpus`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use repertoire::run::Outcome;
use repertoire::{Blame, Limits, Tenant};
use repertoire_tests::{Bench, bench};
use serde::Deserialize;
use serde_json::json;

use crate::hostile::{Panics, in_a_process_of_its_own};

fn corpus(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the program of the corpus answers.
#[derive(Deserialize)]
struct Answer {
    made: Vec<String>,
    ended: BTreeMap<String, u64>,
}

/// What many seeds have come to.
#[derive(Default)]
struct Tally {
    runs: usize,
    calls: usize,
    imports: BTreeSet<String>,
    /// How calls ended, and how runs did.
    ended: BTreeMap<String, u64>,
}

async fn fire(tenant: &Tenant, seed: u64, tally: &mut Tally) {
    let limits = Limits {
        fuel: 3_000_000_000,
        wall_time: Duration::from_secs(2),
        memory_bytes: 192 << 20,
        host_calls: 500,
        ..Limits::default()
    };
    let arguments = json!({"seed": seed, "count": 40});
    let run = tenant.invocation("boundary").arguments(arguments).limits(limits).run().await;
    let run = run.unwrap_or_else(|error| panic!("seed {seed}: {}", error.chain()));
    // Each name is printed before its call, so that a run which is cut short counts as well.
    tally.imports.extend(run.stdout.lines().map(str::to_owned));
    tally.calls += run.stdout.lines().count();
    tally.runs += 1;
    match &run.outcome {
        Outcome::Value(value) => {
            let answer: Answer = value.json.to().unwrap();
            assert_eq!(answer.made.len(), 40, "seed {seed}");
            for (end, count) in answer.ended {
                *tally.ended.entry(end).or_default() += count;
            }
        }
        Outcome::Failure(failure) => {
            assert_eq!(
                failure.code.blame(),
                Blame::Guest,
                "seed {seed}: {}: {}",
                failure.code,
                failure.message
            );
            let last = run.stdout.lines().last().unwrap_or("nothing");
            eprintln!("seed {seed}: {} in {last}: {}", failure.code, failure.message);
            *tally.ended.entry(format!("run: {} in {last}", failure.code)).or_default() += 1;
        }
    }
}

async fn many(seeds: impl Iterator<Item = u64>) -> Tally {
    let Bench { tenant, seen, .. } = bench().await;
    let panics = Panics::counted();
    tenant.add_workflow("boundary", &corpus("calls.py"), "").await.unwrap();
    tenant.add_workflow("leaf", "def run(**given): return given", "").await.unwrap();
    let mut tally = Tally::default();
    for seed in seeds {
        fire(&tenant, seed, &mut tally).await;
        assert_eq!(panics.seen(), 0, "seed {seed}: the host panicked");
        assert_eq!(seen.in_flight(), 0, "seed {seed}: a call is in flight");
    }
    let run = tenant.session().run("6 * 7").await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "42");
    // The control: a panic is seen, and so is the blame.
    let run = tenant.session().run("tools.test.panic()").await.unwrap();
    assert_eq!(run.value().unwrap_err().code.blame(), Blame::Host);
    assert_eq!(panics.seen(), 1);
    tally
}

#[test]
fn hostile_calls() {
    in_a_process_of_its_own("boundary::hostile_calls_alone");
}

#[tokio::test]
#[ignore = "run by `hostile_calls`, in a process of its own; long, with SEEDS, by `make fuzz`"]
async fn hostile_calls_alone() {
    if std::env::var_os("REPERTOIRE_TESTS_SECRET").is_none() {
        return;
    }
    let known = corpus("seeds.txt");
    let known = known.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok());
    let count = std::env::var("SEEDS").map_or(25, |count| count.parse().expect("a number"));
    let first = std::env::var("FIRST_SEED").map_or(1000, |first| first.parse().expect("a number"));
    let tally = many(known.chain(first..first + count)).await;
    eprintln!(
        "{} calls of {} imports in {} runs, from seed {first} on: {:?}",
        tally.calls,
        tally.imports.len(),
        tally.runs,
        tally.ended
    );
    // It is what it says it is: all imports, and calls that get through to them.
    assert_eq!(tally.imports.len(), 24, "{:?}", tally.imports);
    assert!(tally.calls > tally.runs * 15, "{} calls in {} runs", tally.calls, tally.runs);
    for end in ["answered", "NOT_FOUND", "INVALID_ARGUMENT", "UnicodeEncodeError"] {
        assert!(tally.ended.contains_key(end), "no call ended in {end}: {:?}", tally.ended);
    }
}

/// Agent code can rewrite the runtime that executes it; what that returns then is what an attacker says.
#[tokio::test]
async fn hostile_answers() {
    const PATCH: &str = "
import app
from repertoire_guest import perform
from wit_world.exports.guest import Exception as Exc, Failure, Outcome
from wit_world.imports.types import ErrorCode

def failed(code=ErrorCode.RAISED, message='m', exceptions=(), traceback='', details=None):
    raise perform.Failed(Failure(code=code, message=message, exceptions=list(exceptions) if exceptions != 5 else 5, traceback=traceback, details=details))

def rewritten(code):
    return eval(code, globals())

app._session.execute = rewritten
";
    let tenant = bench().await.tenant;
    let answers: Vec<(String, String)> = serde_json::from_str(&corpus("answers.json")).unwrap();
    let mut wrong = Vec::new();
    for (answer, expected) in answers {
        let mut session = tenant.session();
        session.run(PATCH).await.unwrap().value().expect("the runtime can be rewritten");
        let run = session.run(&answer).await.unwrap();
        let ended = match &run.outcome {
            Outcome::Value(_) => "value",
            Outcome::Failure(failure) => {
                let longest = failure.exceptions.iter().map(|each| each.message.len()).max();
                assert!(failure.message.len() < 80_000 && failure.traceback.len() < 80_000);
                assert!(failure.exceptions.len() <= 32 && longest.unwrap_or(0) < 80_000);
                failure.code.as_str()
            }
        };
        if ended != expected {
            wrong.push(format!("{answer} ended as {ended}, not {expected}: {:?}", run.outcome));
        }
    }
    wrong.iter_mut().for_each(|each| each.truncate(400));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The next is as ever.
    let run = tenant.session().run("6 * 7").await.unwrap();
    assert_eq!(run.value().unwrap().as_str(), "42");
}
