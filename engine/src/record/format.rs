//! The record of a run as JSON: what is stored, and what `runs show` prints.
//!
//! The format is numbered. Fields may be added without a new number, if a
//! reader can do without them; a reader refuses a newer number than its own.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::recording::StoredRecording;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{RunId, SourceDigest, TenantId, VersionId};
use crate::json::Json;
use crate::limits::Limits;
use crate::recording::Recorded;
use crate::run::{Exception, Failure, Invocation, Outcome, OwnUsage, Run, Usage, Value};

/// The number of the format that is written.
/// 2 has the recording of the run, or why there is none.
pub const VERSION: u32 = 2;

/// Why a record of format 1 cannot be replayed.
const BEFORE_RECORDINGS: &str = "its record is of a version of repertoire that recorded no answers";

/// The JSON form of a record.
///
/// # Errors
/// [`Code::InvalidArgument`] if the record is nested deeper than any [`Json`]
/// may be, which no record of a run is.
pub fn write(run: &Run) -> Result<String> {
    serde_json::to_string(&Stored::from(run))
        .map_err(|error| Error::internal("cannot write a run's record").with_source(error))
}

/// Reads the JSON form of a record.
///
/// # Errors
/// [`Code::Unavailable`] if it is of a newer format, or is not a record.
pub fn read(text: &str) -> Result<Run> {
    #[derive(Deserialize)]
    struct Header {
        version: u32,
    }
    let damaged = |error: serde_json::Error| {
        Error::unavailable("a run's record is damaged").with_source(error)
    };
    let Header { version } = serde_json::from_str(text).map_err(damaged)?;
    if version > VERSION {
        return Err(Error::unavailable(format!(
            "a run's record has format {version}; this version of repertoire reads up to {VERSION}: use a newer one"
        )));
    }
    serde_json::from_str::<Stored>(text).map_err(damaged)?.try_into()
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    tenant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow_version: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pinned: bool,
    arguments: Json,
    seed: u64,
    depth: u32,
    limits: StoredLimits,
    /// Milliseconds since the Unix epoch.
    started_at: u64,
    outcome: StoredOutcome,
    usage: StoredUsage,
    stdout: String,
    stderr: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recording: Option<StoredRecording>,
    /// Why there is no recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unrecorded: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredLimits {
    fuel: u64,
    memory_bytes: u64,
    wall_time_ns: u64,
    output_bytes: u64,
    argument_bytes: u64,
    host_calls: u64,
    calls_in_flight: u32,
    concurrent_runs: u32,
    depth: u32,
    #[serde(default)]
    recording_bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredOutcome {
    Value(StoredValue),
    Failure(StoredFailure),
}

#[derive(Serialize, Deserialize)]
struct StoredValue {
    json: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repr: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredFailure {
    code: String,
    message: String,
    #[serde(default)]
    exceptions: Vec<StoredException>,
    #[serde(default)]
    traceback: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    details: Option<Json>,
}

#[derive(Serialize, Deserialize)]
struct StoredException {
    type_name: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct StoredUsage {
    fuel: u64,
    peak_memory_bytes: u64,
    wall_time_ns: u64,
    host_calls: u64,
    output_bytes: u64,
    #[serde(default)]
    own: StoredOwn,
}

#[derive(Serialize, Deserialize, Default)]
struct StoredOwn {
    fuel: u64,
    tool_calls: u64,
    output_bytes: u64,
}

/// Serde reads `null` as no value; here it is one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Five hundred years of nanoseconds fit.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl From<&Run> for Stored {
    fn from(run: &Run) -> Self {
        let Run { invocation, outcome, usage, stdout, stderr, recorded } = run;
        let (recording, unrecorded) = match recorded {
            Recorded::Whole(recording) => (Some(recording.as_ref().into()), None),
            Recorded::Nothing(why) => (None, Some(why.clone())),
        };
        let limits = &invocation.limits;
        Self {
            version: VERSION,
            id: invocation.id.to_string(),
            parent: invocation.parent.map(|id| id.to_string()),
            tenant: invocation.tenant.to_string(),
            workflow: invocation.workflow.clone(),
            digest: invocation.digest.to_string(),
            workflow_version: invocation.version.map(|version| version.to_string()),
            pinned: invocation.pinned,
            arguments: invocation.arguments.clone(),
            seed: invocation.seed,
            depth: invocation.depth,
            limits: StoredLimits {
                fuel: limits.fuel,
                memory_bytes: limits.memory_bytes,
                wall_time_ns: nanoseconds(limits.wall_time),
                output_bytes: limits.output_bytes,
                argument_bytes: limits.argument_bytes,
                host_calls: limits.host_calls,
                calls_in_flight: limits.calls_in_flight,
                concurrent_runs: limits.concurrent_runs,
                depth: limits.depth,
                recording_bytes: limits.recording_bytes,
            },
            started_at: invocation.started_at.as_millis(),
            outcome: outcome.into(),
            usage: StoredUsage {
                fuel: usage.fuel,
                peak_memory_bytes: usage.peak_memory_bytes,
                wall_time_ns: nanoseconds(usage.wall_time),
                host_calls: usage.host_calls,
                output_bytes: usage.output_bytes,
                own: StoredOwn {
                    fuel: usage.own.fuel,
                    tool_calls: usage.own.tool_calls,
                    output_bytes: usage.own.output_bytes,
                },
            },
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            recording,
            unrecorded,
        }
    }
}

impl From<&Outcome> for StoredOutcome {
    fn from(outcome: &Outcome) -> Self {
        let exception = |e: &Exception| StoredException {
            type_name: e.type_name.clone(),
            message: e.message.clone(),
        };
        match outcome {
            Outcome::Value(value) => {
                Self::Value(StoredValue { json: value.json.clone(), repr: value.repr.clone() })
            }
            Outcome::Failure(failure) => Self::Failure(StoredFailure {
                code: failure.code.as_str().to_owned(),
                message: failure.message.clone(),
                exceptions: failure.exceptions.iter().map(exception).collect(),
                traceback: failure.traceback.clone(),
                details: failure.details.clone(),
            }),
        }
    }
}

impl TryFrom<Stored> for Run {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let limits = stored.limits;
        let recorded = match (stored.recording, stored.unrecorded) {
            (Some(recording), _) => Recorded::Whole(Arc::new(recording.try_into()?)),
            (None, Some(why)) => Recorded::Nothing(why),
            (None, None) => Recorded::Nothing(BEFORE_RECORDINGS.to_owned()),
        };
        let damaged = || Error::unavailable("a run's record is damaged: its digest is not one");
        let digest = SourceDigest::parse(&stored.digest).ok_or_else(damaged)?;
        let version = stored.workflow_version.as_deref();
        let version = version.map(|text| VersionId::parse(text).ok_or_else(damaged)).transpose()?;
        Ok(Self {
            invocation: Invocation {
                id: RunId::parse(&stored.id)?,
                parent: stored.parent.as_deref().map(RunId::parse).transpose()?,
                tenant: TenantId::new(stored.tenant)?,
                workflow: stored.workflow,
                digest,
                version,
                pinned: stored.pinned,
                arguments: stored.arguments,
                seed: stored.seed,
                depth: stored.depth,
                limits: Limits {
                    fuel: limits.fuel,
                    memory_bytes: limits.memory_bytes,
                    wall_time: Duration::from_nanos(limits.wall_time_ns),
                    output_bytes: limits.output_bytes,
                    argument_bytes: limits.argument_bytes,
                    host_calls: limits.host_calls,
                    calls_in_flight: limits.calls_in_flight,
                    concurrent_runs: limits.concurrent_runs,
                    depth: limits.depth,
                    recording_bytes: limits.recording_bytes,
                },
                started_at: Timestamp::from_millis(stored.started_at),
            },
            outcome: stored.outcome.try_into()?,
            usage: Usage {
                fuel: stored.usage.fuel,
                peak_memory_bytes: stored.usage.peak_memory_bytes,
                wall_time: Duration::from_nanos(stored.usage.wall_time_ns),
                host_calls: stored.usage.host_calls,
                output_bytes: stored.usage.output_bytes,
                own: OwnUsage {
                    fuel: stored.usage.own.fuel,
                    tool_calls: stored.usage.own.tool_calls,
                    output_bytes: stored.usage.own.output_bytes,
                },
            },
            stdout: stored.stdout,
            stderr: stored.stderr,
            recorded,
        })
    }
}

impl TryFrom<StoredOutcome> for Outcome {
    type Error = Error;

    fn try_from(stored: StoredOutcome) -> Result<Self> {
        let failure = match stored {
            StoredOutcome::Value(value) => {
                return Ok(Self::Value(Value { json: value.json, repr: value.repr }));
            }
            StoredOutcome::Failure(failure) => failure,
        };
        let code = Code::parse(&failure.code).ok_or_else(|| {
            let code = crate::id::quoted(&failure.code);
            Error::unavailable(format!(
                "a run's record has the unknown code {code}: use a newer version of repertoire"
            ))
        })?;
        let exception =
            |e: StoredException| Exception { type_name: e.type_name, message: e.message };
        Ok(Self::Failure(Failure {
            code,
            message: failure.message,
            exceptions: failure.exceptions.into_iter().map(exception).collect(),
            traceback: failure.traceback,
            details: failure.details,
        }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::{FixedClock, FixedEntropy};
    use crate::json::MAX_DEPTH;

    /// A run that started at that millisecond.
    pub(in crate::record) fn run(millis: u64) -> Run {
        let started_at = Timestamp::from_millis(millis);
        Run {
            invocation: Invocation {
                id: RunId::new(&FixedClock(started_at), &FixedEntropy::new(millis)),
                parent: None,
                tenant: TenantId::new("acme").unwrap(),
                workflow: Some("fetch_json".to_owned()),
                digest: SourceDigest::of("def run(): ..."),
                version: Some(VersionId::of(["def run(): ..."])),
                pinned: millis.is_multiple_of(2),
                arguments: Json::empty_object(),
                seed: u64::MAX - millis,
                depth: 0,
                limits: Limits::default(),
                started_at,
            },
            outcome: Outcome::Value(Value { json: Json::null(), repr: None }),
            usage: Usage { wall_time: Duration::from_nanos(1_234_567), ..Usage::default() },
            stdout: "O'Brien \\' `x` \"y\" 100%_ /* -- */ \n\0\u{1f600}".to_owned(),
            stderr: String::new(),
            recorded: Recorded::Nothing("a test".to_owned()),
        }
    }

    #[test]
    fn round_trips() {
        let mut run = run(1);
        assert_eq!(read(&write(&run).unwrap()).unwrap(), run);
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        run.invocation.parent = Some(run.invocation.id);
        run.invocation.workflow = None;
        run.invocation.version = None;
        run.outcome = Outcome::Value(Value {
            json: Json::parse(deep).unwrap(),
            repr: Some("<object>".to_owned()),
        });
        assert_eq!(read(&write(&run).unwrap()).unwrap(), run);
        for details in [None, Some(Json::null()), Some(Json::parse("{\"a\": 1e999}").unwrap())] {
            run.outcome = Outcome::Failure(Failure {
                exceptions: vec![Exception {
                    type_name: "ValueError".to_owned(),
                    message: "no".to_owned(),
                }],
                traceback: "Traceback".to_owned(),
                details,
                ..Failure::new(Code::Raised, "no")
            });
            assert_eq!(read(&write(&run).unwrap()).unwrap(), run);
        }
    }

    /// What the first version wrote, to the letter.
    #[test]
    fn reads_format_1() {
        let text = r#"{"version":1,"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","tenant":"acme","workflow":"w",
            "digest":"5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9","arguments":{},"seed":7,"depth":0,
            "limits":{"fuel":1,"memory_bytes":2,"wall_time_ns":3,"output_bytes":4,"argument_bytes":5,"host_calls":6,
            "calls_in_flight":7,"concurrent_runs":8,"depth":9},"started_at":1,"outcome":{"value":{"json":1}},
            "usage":{"fuel":1,"peak_memory_bytes":2,"wall_time_ns":3,"host_calls":4,"output_bytes":5},
            "stdout":"","stderr":""}"#;
        let run = read(text).unwrap();
        assert_eq!((run.invocation.seed, run.invocation.limits.depth), (7, 9));
        assert!(run.recorded.recording().is_none());
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let text = write(&run(1)).unwrap();
        let newer = text.replacen("\"version\":2", "\"version\":3", 1);
        assert!(read(&newer).unwrap_err().message().contains("format 3"));
        for damaged in ["", "{}", "{\"version\":1}", &text[..text.len() / 2]] {
            assert_eq!(read(damaged).unwrap_err().code(), Code::Unavailable);
        }
    }
}
