//! What clients send and are answered, beside what the servers share in `serve/wire.rs`.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::super::wire;
use crate::approvals::Request;
use crate::error::{Error, Result};
use crate::json::Json;
use crate::limits::Limits;
use crate::run::Run;
use crate::workflow::{Version, Workflow};

/// What a workflow may be called.
const NAME: &str = "^[A-Za-z_][A-Za-z0-9_]{0,63}$";

/// What names a version, or the beginning of it.
const DIGEST: &str = "^[0-9a-f]{6,64}$";

/// Reads an object. To serde the fields of a struct may be a list as well, without names.
fn by_name<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
) -> std::result::Result<T, D::Error> {
    struct Fields<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    json.deserialize_map(Fields(PhantomData))
}

/// Limits of a run, in place of the server's, none of which it may exceed.
#[derive(Deserialize, Default, JsonSchema)]
#[schemars(rename = "Limits")]
#[serde(default, deny_unknown_fields)]
pub(super) struct GivenLimits {
    fuel: Option<u64>,
    memory_bytes: Option<u64>,
    wall_time_ms: Option<u64>,
    output_bytes: Option<u64>,
    host_calls: Option<u64>,
    depth: Option<u64>,
}

impl GivenLimits {
    pub(super) fn of(&self, server: &Limits) -> Result<Limits> {
        let within = |name: &str, given: Option<u64>, most: u64| match given {
            None => Ok(most),
            Some(given) if (1..=most).contains(&given) => Ok(given),
            Some(_) => Err(Error::invalid_argument(format!(
                "the limit {name} is between 1 and {most}, which is the server's"
            ))),
        };
        let wall_time = u64::try_from(server.wall_time.as_millis()).unwrap_or(u64::MAX);
        let depth = within("depth", self.depth, u64::from(server.depth))?;
        Ok(Limits {
            fuel: within("fuel", self.fuel, server.fuel)?,
            memory_bytes: within("memory_bytes", self.memory_bytes, server.memory_bytes)?,
            wall_time: Duration::from_millis(within("wall_time_ms", self.wall_time_ms, wall_time)?),
            output_bytes: within("output_bytes", self.output_bytes, server.output_bytes)?,
            host_calls: within("host_calls", self.host_calls, server.host_calls)?,
            depth: u32::try_from(depth).unwrap_or(server.depth),
            ..server.clone()
        })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWorkflow")]
pub(super) struct Create {
    /// A Python identifier.
    #[schemars(regex(pattern = NAME))]
    pub(super) name: String,
    /// Python that defines `run`.
    pub(super) source: String,
    /// What it does; the source's docstring if not given.
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    /// As the history shows it.
    #[schemars(regex(pattern = DIGEST))]
    pub(super) version: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invoke {
    /// As text: numbers keep every digit.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    arguments: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "by_name")]
    pub(super) limits: GivenLimits,
}

impl Invoke {
    pub(super) fn arguments(&self) -> Result<Json> {
        let Some(given) = &self.arguments else { return Ok(Json::empty_object()) };
        let json = Json::parse(given.get())?;
        if json.is_object() {
            return Ok(json);
        }
        Err(Error::invalid_argument("the arguments are an object: {\"name\": value}"))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    /// Python; the value of its last expression is answered.
    pub(super) code: String,
    #[serde(default, deserialize_with = "by_name")]
    pub(super) limits: GivenLimits,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionCode {
    /// Python; the value of its last expression is answered.
    pub(super) code: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenSession {
    #[serde(default, deserialize_with = "by_name")]
    pub(super) limits: GivenLimits,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Decision")]
pub(super) struct Decide {
    /// Which call of the run; not needed if it waits with one, or all are refused.
    #[serde(default)]
    pub(super) call: Option<u64>,
}

/// A workflow as it was at some time.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WorkflowVersion")]
pub(super) struct Past<'a> {
    #[serde(flatten)]
    workflow: wire::Workflow<'a>,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<String>,
}

impl<'a> From<&'a Version> for Past<'a> {
    fn from(version: &'a Version) -> Self {
        let deleted_at = version.deleted_at.map(|at| at.to_string());
        Self { deleted_at, ..Self::from(&version.workflow) }
    }
}

impl<'a> From<&'a Workflow> for Past<'a> {
    fn from(workflow: &'a Workflow) -> Self {
        Self { version: workflow.version.to_string(), workflow: workflow.into(), deleted_at: None }
    }
}

/// A line of the list of runs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RunSummary")]
pub(super) struct BriefRun<'a> {
    run_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// None of agent code.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<&'a str>,
    depth: u32,
    started_at: String,
    /// `ok`, or the code of the failure.
    outcome: &'static str,
    usage: wire::Usage,
}

impl<'a> From<&'a Run> for BriefRun<'a> {
    fn from(run: &'a Run) -> Self {
        let invocation = &run.invocation;
        Self {
            run_id: invocation.id.to_string(),
            parent: invocation.parent.map(|id| id.to_string()),
            workflow: invocation.workflow.as_deref(),
            depth: invocation.depth,
            started_at: invocation.started_at.to_string(),
            outcome: run.outcome.failure().map_or("ok", |failure| failure.code.as_str()),
            usage: wire::Usage::from(&run.usage),
        }
    }
}

/// What is recorded of a run.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RunRecord")]
pub(super) struct Record<'a> {
    run: BriefRun<'a>,
    arguments: &'a Json,
    result: wire::Run<'a>,
}

impl<'a> From<&'a Run> for Record<'a> {
    fn from(run: &'a Run) -> Self {
        Self { run: run.into(), arguments: &run.invocation.arguments, result: run.into() }
    }
}

/// What there is no more.
#[derive(Serialize, JsonSchema)]
pub(super) struct Deleted<'a> {
    pub(super) deleted: &'a str,
}

/// A call that waits for an approval.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WaitingCall")]
pub(super) struct Waiting<'a> {
    run_id: String,
    call: u64,
    target: &'a str,
    arguments: &'a Json,
    since: String,
    until: String,
}

impl<'a> From<&'a Request> for Waiting<'a> {
    fn from(request: &'a Request) -> Self {
        Self {
            run_id: request.run.to_string(),
            call: request.call,
            target: &request.target,
            arguments: &request.arguments,
            since: request.since.to_string(),
            until: request.until.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_at_most_the_servers() {
        let server = Limits::default();
        assert_eq!(GivenLimits::default().of(&server).unwrap(), server);
        let less = GivenLimits { fuel: Some(7), wall_time_ms: Some(9), ..GivenLimits::default() };
        let less = less.of(&server).unwrap();
        assert_eq!((less.fuel, less.wall_time), (7, Duration::from_millis(9)));
        for given in [0, server.fuel + 1, u64::MAX] {
            let given = GivenLimits { fuel: Some(given), ..GivenLimits::default() };
            assert!(given.of(&server).is_err());
        }
    }
}
