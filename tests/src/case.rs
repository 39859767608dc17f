//! Cases as folders: a program, what it is called with, and how that has to end.
//!
//! ```text
//! cases/<group>/<case>/source.py      a workflow; or agent.py, code for a session
//!                      args.json      its arguments; without it, none
//!                      expected.json  how it ends: see `Expected`
//!                      calls.json     instead of the two: a list of {"arguments": ..} with what is expected
//!                      limits.json    limits that differ from the tests' own
//!                      stdout.txt     all of its standard output
//!                      library/*.py   workflows that have to be there
//! ```
//!
//! A folder of `cases/workflows` has no program: it is the shipped workflow of that name.
//!
//! A case passes if it ends in the way that is named, and in no other: a
//! sandbox that cannot start does not pass for one that is safe.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use repertoire::run::{Failure, Outcome, Run};
use repertoire::{Json, Limits};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::exact::same_json;
use crate::places::{Bench, repository};

/// The cases of one folder.
pub struct Group {
    /// The folder's name.
    pub name: String,
    /// By name.
    pub cases: Vec<Case>,
}

/// One folder.
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// Whether the program is agent code.
    pub is_agent: bool,
    /// Whether it is a workflow of the project, which is in the library already.
    pub is_shipped: bool,
    /// The program.
    pub source: String,
    /// What it is called with, one after the other.
    pub calls: Vec<Call>,
    /// What differs from the limits of the bench.
    pub limits: CaseLimits,
    /// All of its standard output.
    pub stdout: Option<String>,
    /// Workflows that have to be there, by name.
    pub library: Vec<(String, String)>,
}

/// Arguments, and how the call has to end.
pub struct Call {
    /// An object; none if it is missing.
    pub arguments: Option<Box<RawValue>>,
    /// How it ends.
    pub ends: Expected,
}

/// How a run ends: with a value, a failure, or (refused before it began) an error.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The result, exactly.
    #[serde(default, deserialize_with = "present")]
    pub value: Option<Box<RawValue>>,
    /// In place of `value`: the `repr` of what agent code ended with.
    pub repr: Option<String>,
    /// How it failed.
    pub failure: Option<ExpectedFailure>,
    /// Why it was not begun.
    pub error: Option<ExpectedFailure>,
    /// Parts of the standard output.
    #[serde(default)]
    pub stdout_contains: Vec<String>,
    /// Parts that the standard output must not have.
    #[serde(default)]
    pub stdout_excludes: Vec<String>,
    /// The longest it may take; for limits in time, with room for a busy machine.
    pub at_most_ms: Option<u64>,
    /// The most linear memory that it may have held.
    pub at_most_mib: Option<u64>,
}

/// A failure, as far as it matters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFailure {
    /// The stable code.
    pub code: String,
    /// The uncaught exception's type; without it, there must be none: a limit has ended the run.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Parts of the message.
    #[serde(default)]
    pub message_contains: Vec<String>,
    /// The types of the whole chain of exceptions.
    pub chain: Option<Vec<String>>,
    /// Parts of the traceback, in this order.
    #[serde(default)]
    pub traceback_contains: Vec<String>,
    /// Parts that neither message nor traceback may have.
    #[serde(default)]
    pub excludes: Vec<String>,
    /// The longest that message and traceback may be, in bytes each.
    pub at_most_bytes: Option<usize>,
    /// Another failure that is as good, where it depends on what lies in the guest's memory.
    pub or: Option<Box<ExpectedFailure>>,
}

/// Limits in units that a person writes.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct CaseLimits {
    fuel: Option<u64>,
    memory_mib: Option<u64>,
    wall_ms: Option<u64>,
    output_bytes: Option<u64>,
    host_calls: Option<u64>,
    calls_in_flight: Option<u32>,
    concurrent_runs: Option<u32>,
    depth: Option<u32>,
}

impl CaseLimits {
    /// These limits, and for the rest the others.
    #[must_use]
    pub fn over(&self, other: Limits) -> Limits {
        Limits {
            fuel: self.fuel.unwrap_or(other.fuel),
            memory_bytes: self.memory_mib.map_or(other.memory_bytes, |mib| mib << 20),
            wall_time: self.wall_ms.map_or(other.wall_time, Duration::from_millis),
            output_bytes: self.output_bytes.unwrap_or(other.output_bytes),
            argument_bytes: other.argument_bytes,
            host_calls: self.host_calls.unwrap_or(other.host_calls),
            calls_in_flight: self.calls_in_flight.unwrap_or(other.calls_in_flight),
            concurrent_runs: self.concurrent_runs.unwrap_or(other.concurrent_runs),
            depth: self.depth.unwrap_or(other.depth),
            recording_bytes: other.recording_bytes,
        }
    }
}

/// `null` is a value, too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl Group {
    /// Reads `cases/<name>`.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(name);
        let mut folders: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        // To look at one: REPERTOIRE_CASE=e01 cargo test ...
        let wanted = std::env::var("REPERTOIRE_CASE").unwrap_or_default();
        let cases: Vec<Case> = folders
            .iter()
            .map(|folder| Case::read(folder))
            .filter(|case| case.name.contains(&wanted))
            .collect();
        assert!(!cases.is_empty() || !wanted.is_empty(), "{} has no cases", folder.display());
        Self { name: name.to_owned(), cases }
    }

    /// Runs all cases, two at a time, and reports all that fail.
    pub async fn run(&self, bench: &Bench) {
        use futures::StreamExt;
        let outcomes = futures::stream::iter(&self.cases).map(async |case| case.run(bench).await);
        let failed: Vec<String> =
            outcomes.buffered(2).filter_map(async |outcome| outcome.err()).collect().await;
        assert!(
            failed.is_empty(),
            "{} of {} cases of {} failed:\n\n{}\n",
            failed.len(),
            self.cases.len(),
            self.name,
            failed.join("\n\n")
        );
    }
}

impl Case {
    fn read(folder: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let read = || -> Result<Self, String> {
            let shipped = repository().join("workflows").join(format!("{name}.py"));
            let is_shipped = folder.parent().is_some_and(|group| group.ends_with("workflows"));
            let (source, is_agent) = match (text("source.py"), text("agent.py")) {
                (Some(source), None) => (source, false),
                (None, Some(code)) => (code, true),
                (None, None) if is_shipped => {
                    let source = fs::read_to_string(&shipped);
                    (source.map_err(|error| format!("{}: {error}", shipped.display()))?, false)
                }
                _ => return Err("there is not exactly one of source.py and agent.py".to_owned()),
            };
            let calls = match (text("expected.json"), text("calls.json")) {
                (Some(expected), None) => {
                    let arguments = text("args.json").map(|text| parsed(&text, "args.json"));
                    vec![Call {
                        arguments: arguments.transpose()?,
                        ends: parsed(&expected, "expected.json")?,
                    }]
                }
                (None, Some(calls)) => read_calls(&calls)?,
                _ => {
                    return Err(
                        "there is not exactly one of expected.json and calls.json".to_owned()
                    );
                }
            };
            let limits = text("limits.json").map(|text| parsed(&text, "limits.json"));
            Ok(Self {
                name: name.clone(),
                is_agent,
                is_shipped,
                source,
                calls,
                limits: limits.transpose()?.unwrap_or_default(),
                stdout: text("stdout.txt"),
                library: read_library(&folder.join("library")),
            })
        };
        read().unwrap_or_else(|problem| panic!("case {}: {problem}", folder.display()))
    }

    /// Runs the case; the error says what was otherwise than expected.
    ///
    /// # Errors
    /// What was expected and what happened.
    pub async fn run(&self, bench: &Bench) -> Result<(), String> {
        self.perform(bench).await.map_err(|problem| format!("--- {}: {problem}", self.name))
    }

    async fn perform(&self, bench: &Bench) -> Result<(), String> {
        for (name, source) in &self.library {
            match bench.tenant.add_workflow(name, source, "").await {
                Err(error) if error.code() != repertoire::Code::AlreadyExists => {
                    return Err(format!("library/{name}.py: {}", error.chain()));
                }
                _ => {}
            }
        }
        if !self.is_agent && !self.is_shipped {
            let added = bench.tenant.add_workflow(&self.name, &self.source, "").await;
            added.map_err(|error| format!("source.py: {}", error.chain()))?;
        }
        let limits = self.limits.over(Limits { fuel: 5_000_000_000, ..Limits::default() });
        for (index, call) in self.calls.iter().enumerate() {
            let started = Instant::now();
            let answer = if self.is_agent {
                bench.tenant.session().limits(limits.clone()).run(&self.source).await
            } else {
                let arguments = call.arguments.as_ref().map_or("{}", |raw| raw.get());
                let arguments = Json::parse(arguments).map_err(|error| error.to_string())?;
                let invocation = bench.tenant.invocation(&self.name).arguments(arguments);
                invocation.limits(limits.clone()).run().await
            };
            let took = started.elapsed();
            let checked = match (&call.ends.error, answer) {
                (Some(expected), Err(error)) => {
                    expected.check(&Failure::new(error.code(), error.chain()))
                }
                (Some(expected), Ok(run)) => Err(format!(
                    "an error {} was expected, and it ran: {:?}",
                    expected.code, run.outcome
                )),
                (None, Err(error)) => {
                    Err(format!("was refused: {}: {}", error.code(), error.chain()))
                }
                (None, Ok(run)) => call.ends.check(&run, took).and_then(|()| match &self.stdout {
                    Some(expected) if *expected != run.stdout => {
                        Err(format!("standard output is {:?}, not {expected:?}", run.stdout))
                    }
                    _ => Ok(()),
                }),
            };
            let which =
                if self.calls.len() > 1 { format!("call {index}: ") } else { String::new() };
            checked.map_err(|problem| format!("{which}{problem}"))?;
        }
        Ok(())
    }
}

impl Expected {
    /// Whether a run has ended like this.
    ///
    /// # Errors
    /// What is otherwise.
    pub fn check(&self, run: &Run, took: Duration) -> Result<(), String> {
        let shown = || describe(&run.outcome);
        match (&self.value, &self.repr, &self.failure, &run.outcome) {
            (Some(expected), None, None, Outcome::Value(value)) => {
                if !same_json(expected.get(), value.json.as_str()) {
                    return Err(format!(
                        "returned {}\n    expected {expected}",
                        cut(value.json.as_str())
                    ));
                }
            }
            (None, Some(expected), None, Outcome::Value(value)) => {
                if value.repr.as_ref() != Some(expected) {
                    return Err(format!("the repr is {:?}, not {expected:?}", value.repr));
                }
            }
            (None, None, Some(expected), Outcome::Failure(failure)) => expected.check(failure)?,
            (None, None, None, _) => {
                return Err(format!("nothing is expected; it ended so: {}", shown()));
            }
            _ => return Err(format!("ended in another way: {}", shown())),
        }
        for part in &self.stdout_contains {
            if !run.stdout.contains(part) {
                return Err(format!("standard output lacks {part:?}: {:?}", cut(&run.stdout)));
            }
        }
        for part in &self.stdout_excludes {
            if run.stdout.contains(part) {
                return Err(format!("standard output has {part:?}: {:?}", cut(&run.stdout)));
            }
        }
        if let Some(limit) = self.at_most_ms
            && took > Duration::from_millis(limit)
        {
            return Err(format!("took {} ms, and may take {limit}", took.as_millis()));
        }
        if let Some(limit) = self.at_most_mib
            && run.usage.peak_memory_bytes > limit << 20
        {
            return Err(format!(
                "held {} MiB, and may hold {limit}",
                run.usage.peak_memory_bytes >> 20
            ));
        }
        Ok(())
    }
}

impl ExpectedFailure {
    fn check(&self, failure: &Failure) -> Result<(), String> {
        let shown = || describe(&Outcome::Failure(failure.clone()));
        let types: Vec<&str> =
            failure.exceptions.iter().map(|exception| exception.type_name.as_str()).collect();
        let problem = if failure.code.as_str() != self.code {
            format!("the code is {}, not {}", failure.code, self.code)
        } else if types.first().copied() != self.type_name.as_deref() {
            format!("the exception is {:?}, not {:?}", types.first(), self.type_name)
        } else if self.chain.as_ref().is_some_and(|chain| *chain != types) {
            format!("the chain is {types:?}, not {:?}", self.chain)
        } else if let Some(part) =
            self.message_contains.iter().find(|part| !failure.message.contains(*part))
        {
            format!("the message lacks {part:?}")
        } else if let Some(part) = missing_in_order(&failure.traceback, &self.traceback_contains) {
            format!("the traceback lacks, in its place, {part:?}")
        } else if let Some(part) = self
            .excludes
            .iter()
            .find(|part| failure.message.contains(*part) || failure.traceback.contains(*part))
        {
            format!("message or traceback have {part:?}")
        } else if self
            .at_most_bytes
            .is_some_and(|limit| failure.message.len() > limit || failure.traceback.len() > limit)
        {
            format!(
                "message and traceback have {} and {} bytes",
                failure.message.len(),
                failure.traceback.len()
            )
        } else {
            return Ok(());
        };
        match &self.or {
            Some(other) => {
                other.check(failure).map_err(|also| format!("{problem}; nor is it as good: {also}"))
            }
            None => Err(format!("{problem}\n{}", shown())),
        }
    }
}

fn missing_in_order<'a>(text: &str, parts: &'a [String]) -> Option<&'a String> {
    let mut rest = text;
    for part in parts {
        match rest.split_once(part.as_str()) {
            Some((_, after)) => rest = after,
            None => return Some(part),
        }
    }
    None
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value(value) => {
            format!("value {} repr {:?}", cut(value.json.as_str()), value.repr)
        }
        Outcome::Failure(failure) => format!(
            "failure {} {}\n{:?}\n{}",
            failure.code,
            cut(&failure.message),
            failure.exceptions.iter().map(|exception| &exception.type_name).collect::<Vec<_>>(),
            cut(&failure.traceback)
        ),
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(3000)]
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{what}: {error}"))
}

fn read_calls(text: &str) -> Result<Vec<Call>, String> {
    // In two steps, because serde cannot both keep a text raw and pass the rest on.
    let calls: Vec<std::collections::BTreeMap<String, Box<RawValue>>> = parsed(text, "calls.json")?;
    calls
        .into_iter()
        .map(|mut call| {
            let arguments = call.remove("arguments");
            let rest = serde_json::to_string(&call).map_err(|error| error.to_string())?;
            let ends = parsed(&rest, "calls.json")?;
            Ok(Call { arguments, ends })
        })
        .collect()
}

fn read_library(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut library: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    library.sort();
    library
}
