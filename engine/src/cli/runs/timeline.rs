//! A run's host calls, in order, with their times.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::text::{self, Align, Table};
use crate::recording::{HostCall, Recording as Recorded};

/// How many characters of requests and answers a table shows.
const SHOWN: usize = 56;

/// A run's recording, for programs.
#[derive(Serialize)]
pub(super) struct Recording<'a> {
    component: &'a str,
    compiled: &'a str,
    /// The runtime image that it began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    source: &'a str,
    /// Units of fuel that the run's own instance has used, without nested runs.
    own_fuel: i64,
    clock_readings: u64,
    nested: Vec<String>,
    calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Call<'a> {
    at_us: u64,
    took_us: u64,
    /// How often it was made, and answered the same, in a row.
    times: u32,
    target: &'a str,
    request: &'a str,
    /// Missing if the run ended before it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Box<RawValue>>,
}

impl<'a> From<&'a Recorded> for Recording<'a> {
    fn from(recording: &'a Recorded) -> Self {
        let micros =
            |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let call = |call: &'a HostCall| Call {
            at_us: micros(call.at),
            took_us: micros(call.took),
            times: call.times,
            target: &call.target,
            request: &call.request,
            answer: call.answer.clone().and_then(|json| RawValue::from_string(json).ok()),
        };
        Self {
            component: &recording.runtime.component,
            compiled: &recording.runtime.compiled,
            image: recording.runtime.image.as_deref(),
            source: &recording.source,
            own_fuel: recording.own.fuel,
            clock_readings: recording.clock.count,
            nested: recording.nested.iter().map(ToString::to_string).collect(),
            calls: recording.calls.iter().map(call).collect(),
        }
    }
}

/// One line per call.
pub(super) fn table(recording: &Recorded) -> String {
    if recording.calls.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("AT", Align::Right),
        ("TOOK", Align::Right),
        ("CALL", Align::Left),
        ("REQUEST", Align::Left),
        ("ANSWER", Align::Left),
    ]);
    for call in &recording.calls {
        let target = match call.times {
            1 => text::shortened(&call.target, SHOWN),
            times => format!("{} x{times}", text::shortened(&call.target, SHOWN)),
        };
        table.row([
            text::duration(call.at),
            text::duration(call.took),
            target,
            text::shortened(&call.request, SHOWN),
            call.answer.as_deref().map_or_else(
                || "(none: the run ended)".to_owned(),
                |answer| text::shortened(answer, SHOWN),
            ),
        ]);
    }
    table.render()
}
