//! What a run does, as server-sent events, and how it ended.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, stream};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{problem, wire};
use crate::error::{Code, Error, Result};
use crate::run::{Event, Run, Stream as Output};

/// How often a stream with nothing to say says so: proxies close what is silent for a minute.
const ALIVE: Duration = Duration::from_secs(15);

/// A run that is under way.
pub(super) type Running = BoxFuture<'static, Result<Run>>;

/// Whether a client asks for a stream of events.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|text| text.split(',')).any(|one| {
        let essence = one.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}

/// Where a run's events go. What waits for a client that reads slowly is bounded by the run's
/// limits of output and of calls.
pub(super) fn channel() -> (UnboundedSender<Event>, UnboundedReceiver<Event>) {
    unbounded_channel()
}

#[derive(Serialize)]
struct Text<'a> {
    run_id: String,
    text: &'a str,
}

#[derive(Serialize)]
struct Call<'a> {
    run_id: String,
    target: &'a str,
}

#[derive(Serialize)]
struct Called<'a> {
    run_id: String,
    target: &'a str,
    took_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

struct Progress {
    events: UnboundedReceiver<Event>,
    running: Option<Running>,
    ended: Option<Result<Run>>,
}

/// Streams a run. It is driven by whoever reads: a client that goes away drops it, and with it the run.
pub(super) fn stream(
    events: UnboundedReceiver<Event>,
    running: Running,
    longest: Duration,
) -> Response {
    let running = async move {
        tokio::time::timeout(longest, running)
            .await
            .unwrap_or_else(|_| Err(Error::new(Code::TimedOut, "the run took too long")))
    };
    let progress = Progress { events, running: Some(running.boxed()), ended: None };
    let keep_alive = KeepAlive::new().interval(ALIVE);
    Sse::new(sent(progress)).keep_alive(keep_alive).into_response()
}

fn sent(progress: Progress) -> impl Stream<Item = Result<Sent, Infallible>> + Send {
    stream::unfold(progress, async |mut progress| {
        while let Some(running) = &mut progress.running {
            tokio::select! {
                // What was told before it ended is told first.
                biased;
                Some(event) = progress.events.recv() => return Some((Ok(told(&event)), progress)),
                ended = running => {
                    progress.running = None;
                    progress.ended = Some(ended);
                }
            }
        }
        if let Ok(event) = progress.events.try_recv() {
            return Some((Ok(told(&event)), progress));
        }
        let last = match progress.ended.take()? {
            Ok(run) => event("result", &wire::Run::from(&run)),
            Err(error) => Sent::default().event("problem").data(problem::text(error)),
        };
        Some((Ok(last), progress))
    })
}

fn told(told: &Event) -> Sent {
    match told {
        Event::Output { run, stream, text } => {
            let name = match stream {
                Output::Stdout => "stdout",
                Output::Stderr => "stderr",
            };
            event(name, &Text { run_id: run.to_string(), text })
        }
        Event::CallStarted { run, target } => {
            event("call-started", &Call { run_id: run.to_string(), target })
        }
        Event::CallEnded { run, target, took, error } => event(
            "call-ended",
            &Called {
                run_id: run.to_string(),
                target,
                took_ms: (took.as_secs_f64() * 1e6).round() / 1e3,
                error: error.map(Code::as_str),
            },
        ),
    }
}

/// JSON is one line: it has no character that ends one.
fn event(name: &'static str, data: &impl Serialize) -> Sent {
    Sent::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}
