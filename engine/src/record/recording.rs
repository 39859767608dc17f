//! A run's recording as JSON: part of its record.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::RunId;
use crate::recording::{ClockReadings, HostCall, Recording, RuntimeIdentity, Spent};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredRecording {
    component: String,
    compiled: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    source: Arc<str>,
    calls: Vec<StoredCall>,
    clock: StoredClock,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused_growths: Vec<u64>,
    #[serde(default, skip_serializing_if = "StoredSpent::is_nothing")]
    before: StoredSpent,
    own: StoredSpent,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nested: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredCall {
    target: String,
    request: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    #[serde(default = "once", skip_serializing_if = "is_once")]
    times: u32,
    at_us: u64,
    took_us: u64,
    #[serde(default, skip_serializing_if = "StoredSpent::is_nothing")]
    others: StoredSpent,
}

#[derive(Serialize, Deserialize)]
struct StoredClock {
    count: u64,
    steps: Vec<(u64, u64)>,
    #[serde(default)]
    offset_ms: u64,
}

#[derive(Serialize, Deserialize, Default, Clone, Copy, PartialEq)]
struct StoredSpent {
    fuel: i64,
    host_calls: u64,
    output_bytes: u64,
}

impl StoredSpent {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

const fn once() -> u32 {
    1
}

const fn is_once(times: &u32) -> bool {
    *times == 1
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl From<Spent> for StoredSpent {
    fn from(spent: Spent) -> Self {
        let Spent { fuel, host_calls, output_bytes } = spent;
        Self { fuel, host_calls, output_bytes }
    }
}

impl From<StoredSpent> for Spent {
    fn from(stored: StoredSpent) -> Self {
        let StoredSpent { fuel, host_calls, output_bytes } = stored;
        Self { fuel, host_calls, output_bytes }
    }
}

impl From<&Recording> for StoredRecording {
    fn from(recording: &Recording) -> Self {
        let call = |call: &HostCall| StoredCall {
            target: call.target.clone(),
            request: call.request.clone(),
            answer: call.answer.clone(),
            times: call.times,
            at_us: microseconds(call.at),
            took_us: microseconds(call.took),
            others: call.others.into(),
        };
        Self {
            component: recording.runtime.component.clone(),
            compiled: recording.runtime.compiled.clone(),
            image: recording.runtime.image.clone(),
            source: Arc::clone(&recording.source),
            calls: recording.calls.iter().map(call).collect(),
            clock: StoredClock {
                count: recording.clock.count,
                steps: recording.clock.steps.clone(),
                offset_ms: recording.clock.offset,
            },
            refused_growths: recording.refused_growths.clone(),
            before: recording.before.into(),
            own: recording.own.into(),
            nested: recording.nested.iter().map(RunId::to_string).collect(),
        }
    }
}

impl TryFrom<StoredRecording> for Recording {
    type Error = Error;

    fn try_from(stored: StoredRecording) -> Result<Self> {
        let call = |call: StoredCall| HostCall {
            target: call.target,
            request: call.request,
            answer: call.answer,
            times: call.times,
            at: Duration::from_micros(call.at_us),
            took: Duration::from_micros(call.took_us),
            others: call.others.into(),
        };
        let nested = stored.nested.iter().map(|id| RunId::parse(id)).collect::<Result<_>>()?;
        Ok(Self {
            runtime: RuntimeIdentity {
                component: stored.component,
                compiled: stored.compiled,
                image: stored.image,
            },
            source: stored.source,
            calls: stored.calls.into_iter().map(call).collect(),
            clock: ClockReadings {
                count: stored.clock.count,
                steps: stored.clock.steps,
                offset: stored.clock.offset_ms,
            },
            refused_growths: stored.refused_growths,
            before: stored.before.into(),
            own: stored.own.into(),
            nested,
        })
    }
}
