//! Requests that are done once, however often they are sent.
//!
//! A request with an idempotency key goes on when its client goes away: whoever
//! sends it again gets the answer of the first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::answer::{Answer, Answered};
use super::auth::Owner;
use super::limits::{HttpLimits, MAX_KEY};
use super::problem::Problem;
use super::state::{Phase, State, until};
use crate::clock::Stopwatch;
use crate::error::{Code, Error, Result};

/// The header that has the key.
pub(super) const KEY: &str = "idempotency-key";

/// Says that an answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Says whether an answer is kept.
const KEPT: HeaderName = HeaderName::from_static("idempotency-kept");

/// What an entry takes beside its key and its answer, in bytes, generously.
const OVERHEAD: usize = 512;

/// One tenant may have this part of what is kept.
const SHARE: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    owner: Owner,
    key: String,
}

struct Entry {
    digest: [u8; 32],
    since: Stopwatch,
    /// Which of the two is older.
    number: u64,
    bytes: usize,
    progress: Progress,
}

enum Progress {
    /// It is being done.
    Pending,
    Done(Answer),
    /// It was done, and its answer was too large.
    NotKept,
}

/// The answers that are kept, bounded in number and in bytes.
pub(super) struct Kept {
    entries: usize,
    bytes: usize,
    answer_bytes: usize,
    keep_for: Duration,
    state: Arc<Mutex<Entries>>,
}

#[derive(Default)]
struct Entries {
    all: HashMap<Key, Entry>,
    bytes: usize,
    count: u64,
}

/// What is known of a key.
enum Found {
    /// Nothing: whoever asked is to do it.
    New(Claim),
    Known(Option<Answer>),
}

/// The right to do what a key stands for. Given back if it is not done.
struct Claim {
    key: Option<Key>,
    state: Arc<Mutex<Entries>>,
}

impl Kept {
    pub(super) fn new(limits: &HttpLimits) -> Self {
        Self {
            entries: limits.kept_answers,
            bytes: limits.kept_bytes,
            answer_bytes: limits.kept_answer_bytes,
            keep_for: limits.kept_for,
            state: Arc::default(),
        }
    }

    fn claim(&self, key: Key, digest: [u8; 32]) -> Result<Found, Problem> {
        let mut entries = lock(&self.state);
        entries.expire(self.keep_for);
        if let Some(entry) = entries.all.get(&key) {
            if entry.digest != digest {
                let detail = "this idempotency key was used for another request; choose a new one";
                return Err(Problem::unprocessable(detail));
            }
            return match &entry.progress {
                Progress::Pending => Err(Error::new(
                    Code::Conflict,
                    "the first request with this idempotency key is being worked on",
                )
                .into()),
                Progress::Done(answer) => Ok(Found::Known(Some(answer.clone()))),
                Progress::NotKept => Ok(Found::Known(None)),
            };
        }
        let bytes = OVERHEAD + key.key.len();
        self.make_room(&mut entries, &key.owner, 1, bytes)?;
        entries.count += 1;
        entries.bytes += bytes;
        let (since, number) = (Stopwatch::start(), entries.count);
        let entry = Entry { digest, since, number, bytes, progress: Progress::Pending };
        entries.all.insert(key.clone(), entry);
        Ok(Found::New(Claim { key: Some(key), state: Arc::clone(&self.state) }))
    }

    /// Keeps an answer; false if it is too large, or there is no room.
    fn keep(&self, mut claim: Claim, answer: &Answer) -> bool {
        let Some(key) = claim.key.take() else { return false };
        let mut entries = lock(&self.state);
        let size = answer.size();
        let fits =
            size <= self.answer_bytes && self.make_room(&mut entries, &key.owner, 0, size).is_ok();
        let Some(entry) = entries.all.get_mut(&key) else { return false };
        entry.progress = if fits { Progress::Done(answer.clone()) } else { Progress::NotKept };
        if fits {
            entry.bytes += size;
            entries.bytes += size;
        }
        fits
    }

    /// Drops what is oldest until there is room: the tenant's own if it has its share, else
    /// anybody's. What is being worked on is never dropped.
    fn make_room(
        &self,
        entries: &mut Entries,
        owner: &Owner,
        more: usize,
        bytes: usize,
    ) -> Result<(), Problem> {
        loop {
            let own = entries.all.iter().filter(|(key, _)| key.owner == *owner);
            let (count, taken) =
                own.fold((0, 0), |(n, sum), (_, entry)| (n + 1, sum + entry.bytes));
            let has_share =
                count + more > self.entries.div_ceil(SHARE) || taken + bytes > self.bytes / SHARE;
            let is_full =
                entries.all.len() + more > self.entries || entries.bytes + bytes > self.bytes;
            if !has_share && !is_full {
                return Ok(());
            }
            let done = entries.all.iter().filter(|(key, entry)| {
                !matches!(entry.progress, Progress::Pending) && (!has_share || key.owner == *owner)
            });
            let oldest = done.min_by_key(|(_, entry)| entry.number).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else {
                let detail = "too many requests with idempotency keys are being worked on";
                return Err(Problem::busy(detail));
            };
            entries.remove(&oldest);
        }
    }
}

impl Entries {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.all.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    fn expire(&mut self, keep_for: Duration) {
        let bytes = &mut self.bytes;
        self.all.retain(|_, entry| {
            let stays =
                matches!(entry.progress, Progress::Pending) || entry.since.elapsed() < keep_for;
            if !stays {
                *bytes = bytes.saturating_sub(entry.bytes);
            }
            stays
        });
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            lock(&self.state).remove(&key);
        }
    }
}

fn lock(state: &Mutex<Entries>) -> MutexGuard<'_, Entries> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key that a request has, if any.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut given = headers.get_all(KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        is_visible && !text.is_empty() && text.len() <= MAX_KEY
    });
    match (text, given.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(Error::invalid_argument(format!(
            "an idempotency key is one header with 1 to {MAX_KEY} visible ASCII characters"
        ))),
    }
}

/// Does what a request asks for, once if it has a key. What is refused or fails is not kept:
/// nothing was done, or nobody knows what.
pub(super) async fn once(
    state: &Arc<State>,
    headers: &HeaderMap,
    owner: Owner,
    digest: [u8; 32],
    work: impl Future<Output = Answered> + Send + 'static,
) -> Result<Response, Problem> {
    let Some(key) = key(headers)? else {
        return Ok(work.await?.into_response());
    };
    let claim = match state.kept.claim(Key { owner, key }, digest)? {
        Found::New(claim) => claim,
        Found::Known(Some(answer)) => return Ok(marked(answer, REPLAYED, "true")),
        Found::Known(None) => {
            return Err(Error::new(
                Code::Conflict,
                "the request with this idempotency key was done, and its answer was too large to \
                 be kept; /v1/runs has what was run",
            )
            .into());
        }
    };
    let (state, phase, time) =
        (Arc::clone(state), state.phase.subscribe(), state.limits.request_time);
    let work = Box::pin(work);
    let task = tokio::spawn(async move {
        let answer = tokio::select! {
            answer = tokio::time::timeout(time, work) => {
                answer.map_err(|_| Error::new(Code::TimedOut, "the request took too long"))??
            }
            () = until(phase, Phase::Ended) => {
                return Err(Error::new(Code::Cancelled, "the server is being stopped").into());
            }
        };
        let is_kept = state.kept.keep(claim, &answer);
        Ok::<_, Problem>((answer, is_kept))
    });
    let done = task.await;
    let done = done.map_err(|error| Error::internal("a request panicked").with_source(error))?;
    let (answer, is_kept) = done?;
    Ok(marked(answer, KEPT, if is_kept { "true" } else { "false" }))
}

fn marked(answer: Answer, name: HeaderName, value: &'static str) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests;
