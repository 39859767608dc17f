//! The tape of a run: records what its host answers and its clocks say, or
//! plays what was recorded, so that a run can be repeated with nobody to ask.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::budget::Budget;
use crate::clock::Stopwatch;
use crate::error::Code;
use crate::id::{RunId, sha256_hex};
use crate::recording::{
    Aspect, ClockReadings, Divergence, HostCall, Recorded, Recording, RuntimeIdentity, Spent,
};
use crate::sandbox::LimitReached;

/// A request that is longer is recorded by its beginning and its digest:
/// replays compare it, and nobody needs it back.
const MAX_REQUEST: usize = 4 << 10;

/// How much of a longer one is kept.
const KEPT_OF_REQUEST: usize = 512;

/// The longest name of what was called; the guest chooses tools' names.
const MAX_TARGET: usize = 200;

/// What a call, a step of a clock or a refusal costs of the recording's
/// bound, beside its texts.
const ENTRY: usize = 64;

/// A call of the host that is about to be made.
pub(crate) struct Call {
    target: String,
    request: String,
}

impl Call {
    pub(crate) fn new(target: impl Into<String>, request: &str) -> Self {
        let mut target = target.into();
        target.truncate(target.floor_char_boundary(MAX_TARGET));
        let length = request.len();
        let request = if length > MAX_REQUEST {
            // A request may have many MiB: it is looked at, and not copied.
            let (kept, _) = request.split_at(request.floor_char_boundary(KEPT_OF_REQUEST));
            let digest = sha256_hex(request.as_bytes());
            format!("{kept}... ({length} bytes, sha256 {digest})")
        } else {
            request.to_owned()
        };
        Self { target, request }
    }

    /// A call whose request is a value that serde can say.
    pub(crate) fn of(target: impl Into<String>, request: &impl Serialize) -> Self {
        Self::new(target, &serde_json::to_string(request).unwrap_or_default())
    }
}

/// One run's tape.
pub(crate) struct Tape {
    budget: Arc<Budget>,
    watch: Stopwatch,
    mode: Mode,
}

enum Mode {
    /// Neither records nor plays, for this reason.
    Off(&'static str),
    Recording(Mutex<Recorder>),
    Playing(Mutex<Player>),
}

#[derive(Default)]
struct Recorder {
    calls: Vec<HostCall>,
    clock: ClockReadings,
    growths: u64,
    refused: Vec<u64>,
    before: Spent,
    /// The rest of the tree, when it was last looked at.
    others: Spent,
    nested: Vec<RunId>,
    /// There was more than may be kept.
    is_full: bool,
}

/// What a replay has played so far.
struct Player {
    recording: Arc<Recording>,
    /// The run was ended from outside, and so is its replay.
    is_cut: bool,
    next: usize,
    /// Of the next call, how often it was played already.
    repeated: u32,
    readings: u64,
    step: usize,
    growths: u64,
    /// The calls before this one have had what others used counted.
    settled: usize,
    stopped: bool,
    divergence: Option<Divergence>,
}

/// How far a replay came.
pub(crate) struct Played {
    pub(crate) divergence: Option<Divergence>,
    /// It came to where the recorded run was ended from outside.
    pub(crate) stopped: bool,
    /// The first call that was not made.
    pub(crate) missing: Option<(u64, String)>,
    pub(crate) readings: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the guest. Why is known to the tape.
const STOP: LimitReached = LimitReached(Code::Cancelled);

impl Tape {
    /// A tape that keeps nothing.
    pub(crate) fn off(budget: &Arc<Budget>, why: &'static str) -> Arc<Self> {
        Self::new(budget, Mode::Off(why))
    }

    /// A tape that records, unless nothing may be recorded.
    pub(crate) fn recording(budget: &Arc<Budget>) -> Arc<Self> {
        if budget.limits().recording_bytes == 0 {
            return Self::off(budget, "recording is switched off: the limit recording_bytes is 0");
        }
        let before = budget.others();
        let recorder = Recorder { before, others: before, ..Recorder::default() };
        Self::new(budget, Mode::Recording(Mutex::new(recorder)))
    }

    /// A tape that plays. A run that was ended from outside `is_cut`: all that
    /// is known is where, so that its replay knows no other limit.
    pub(crate) fn playing(
        budget: &Arc<Budget>,
        recording: Arc<Recording>,
        is_cut: bool,
    ) -> Arc<Self> {
        if !is_cut {
            budget.charge_others(recording.before);
        }
        let player = Player {
            recording,
            is_cut,
            next: 0,
            repeated: 0,
            readings: 0,
            step: 0,
            growths: 0,
            settled: 0,
            stopped: false,
            divergence: None,
        };
        Self::new(budget, Mode::Playing(Mutex::new(player)))
    }

    fn new(budget: &Arc<Budget>, mode: Mode) -> Arc<Self> {
        Arc::new(Self { budget: Arc::clone(budget), watch: Stopwatch::start(), mode })
    }

    /// In whole microseconds, as it is stored.
    fn elapsed(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.watch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) const fn is_playing(&self) -> bool {
        matches!(self.mode, Mode::Playing(_))
    }

    /// A call begins. `Some` is its recorded answer: then it must not be made.
    /// Whoever makes it tells the tape how it ended, by [`end`](Self::end).
    pub(crate) fn begin<T: DeserializeOwned>(&self, call: Call) -> wasmtime::Result<Option<T>> {
        match &self.mode {
            Mode::Off(_) => Ok(None),
            Mode::Recording(recorder) => {
                lock(recorder).begin(call, self.elapsed(), &self.budget);
                Ok(None)
            }
            Mode::Playing(player) => lock(player).play(call).map(Some),
        }
    }

    /// The call that has begun was answered.
    pub(crate) fn end<T: Serialize>(&self, answer: &T) {
        if let Mode::Recording(recorder) = &self.mode {
            lock(recorder).end(answer, self.elapsed(), &self.budget);
        }
    }

    /// The guest is about to go on after a call: what the rest of the tree has
    /// used meanwhile is what it finds used.
    pub(crate) fn settle(&self) {
        match &self.mode {
            Mode::Off(_) => {}
            Mode::Recording(recorder) => lock(recorder).settle(self.budget.others()),
            Mode::Playing(player) => {
                let others = lock(player).others();
                self.budget.charge_others(others);
            }
        }
    }

    /// A clock is read: milliseconds since the run's start.
    pub(super) fn read_clock(&self) -> u64 {
        let now = || u64::try_from(self.watch.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &self.mode {
            Mode::Off(_) => now(),
            Mode::Recording(recorder) => {
                let mut recorder = lock(recorder);
                let now = now();
                recorder.read_clock(now, &self.budget);
                now
            }
            Mode::Playing(player) => lock(player).read_clock(),
        }
    }

    /// What the monotonic clock is ahead of the run's start.
    pub(super) fn clock_offset(&self, live: Duration) -> Duration {
        let live = u64::try_from(live.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(match &self.mode {
            Mode::Off(_) => live,
            Mode::Recording(recorder) => {
                lock(recorder).clock.offset = live;
                live
            }
            Mode::Playing(player) => lock(player).recording.clock.offset,
        })
    }

    /// The instance asks for memory: whether it gets it.
    pub(super) fn grow(&self, grant: impl FnOnce() -> bool) -> bool {
        match &self.mode {
            Mode::Off(_) => grant(),
            Mode::Recording(recorder) => {
                let granted = grant();
                lock(recorder).grown(granted, &self.budget);
                granted
            }
            Mode::Playing(player) => {
                let mut player = lock(player);
                let refused = player.recording.refused_growths.binary_search(&player.growths);
                player.growths += 1;
                refused.is_err() && grant()
            }
        }
    }

    /// A nested run has begun.
    pub(crate) fn nested(&self, run: RunId) {
        if let Mode::Recording(recorder) = &self.mode {
            let mut recorder = lock(recorder);
            if recorder.afford(ENTRY, &self.budget) {
                recorder.nested.push(run);
            }
        }
    }

    /// What was recorded; the tape is empty then.
    pub(crate) fn take(&self, source: &Arc<str>, runtime: &RuntimeIdentity) -> Recorded {
        let recorder = match &self.mode {
            Mode::Off(why) => return Recorded::Nothing((*why).to_owned()),
            Mode::Playing(_) => return Recorded::Nothing("it is a replay itself".to_owned()),
            Mode::Recording(recorder) => std::mem::take(&mut *lock(recorder)),
        };
        if recorder.is_full || !self.budget.charge_recording(source.len()) {
            return Recorded::Nothing(format!(
                "its recording, with those of the runs it belongs to, would have more than {} bytes; \
                 raise the limit recording_bytes to keep more",
                self.budget.limits().recording_bytes
            ));
        }
        Recorded::Whole(Arc::new(Recording {
            runtime: runtime.clone(),
            source: Arc::clone(source),
            calls: recorder.calls,
            clock: recorder.clock,
            refused_growths: recorder.refused,
            before: recorder.before,
            own: self.budget.own(),
            nested: recorder.nested,
        }))
    }

    /// How far a replay came.
    pub(crate) fn played(&self) -> Option<Played> {
        let Mode::Playing(player) = &self.mode else { return None };
        let mut player = lock(player);
        let missing = player
            .recording
            .calls
            .get(player.next)
            .map(|call| (player.number(), describe(&call.target, &call.request)));
        Some(Played {
            divergence: player.divergence.take(),
            stopped: player.stopped,
            missing,
            readings: player.readings,
        })
    }
}

impl Recorder {
    /// Counts bytes; if there are too many, nothing is kept any more.
    fn afford(&mut self, bytes: usize, budget: &Budget) -> bool {
        if !self.is_full && !budget.charge_recording(bytes) {
            let (before, others) = (self.before, self.others);
            *self = Self { before, others, is_full: true, ..Self::default() };
        }
        !self.is_full
    }

    fn begin(&mut self, call: Call, at: Duration, budget: &Budget) {
        if self.is_full {
            return;
        }
        self.fold();
        let Call { target, request } = call;
        if self.afford(ENTRY + target.len() + request.len(), budget) {
            let others = Spent::default();
            let took = Duration::ZERO;
            self.calls.push(HostCall { target, request, answer: None, times: 1, at, took, others });
        }
    }

    /// Counts a call that is the same as the one before as one with it: an
    /// asyncio loop that is busy looks for completions at every turn.
    fn fold(&mut self) {
        let [.., first, second] = self.calls.as_mut_slice() else { return };
        let same = first.target == second.target
            && first.request == second.request
            && first.answer == second.answer
            && first.others.is_nothing()
            && second.others.is_nothing();
        if same && let Some(times) = first.times.checked_add(second.times) {
            (first.times, first.took) = (times, second.took);
            self.calls.pop();
        }
    }

    fn end<T: Serialize>(&mut self, answer: &T, now: Duration, budget: &Budget) {
        let Some(call) = self.calls.last_mut() else { return };
        call.took = now.saturating_sub(call.at);
        let mut text = Bounded { bytes: Vec::new(), left: budget.recording_left() };
        let written = serde_json::to_writer(&mut text, answer).is_ok();
        // What serde_json writes is UTF-8.
        call.answer = String::from_utf8(text.bytes).ok().filter(|_| written);
        let too_much = budget.recording_left().saturating_add(1);
        let size = call.answer.as_ref().map_or(too_much, String::len);
        self.afford(size, budget);
    }

    fn settle(&mut self, others: Spent) {
        let spent = others.since(self.others);
        self.others = others;
        if let Some(call) = self.calls.last_mut() {
            call.others = call.others.plus(spent);
        }
    }

    fn read_clock(&mut self, now: u64, budget: &Budget) {
        if self.clock.steps.last().is_none_or(|(_, then)| *then != now)
            && self.afford(ENTRY / 4, budget)
        {
            self.clock.steps.push((self.clock.count, now));
        }
        self.clock.count += 1;
    }

    fn grown(&mut self, granted: bool, budget: &Budget) {
        if !granted && self.afford(ENTRY / 4, budget) {
            self.refused.push(self.growths);
        }
        self.growths += 1;
    }
}

impl Player {
    /// The number of the next call, from 1.
    fn number(&self) -> u64 {
        let before = self.recording.calls.iter().take(self.next);
        before.map(|call| u64::from(call.times)).sum::<u64>() + u64::from(self.repeated) + 1
    }

    fn diverge(&mut self, expected: String, got: String) -> wasmtime::Error {
        let what = Aspect::Call(self.number());
        self.divergence.get_or_insert(Divergence { what, expected, got });
        STOP.into()
    }

    fn play<T: DeserializeOwned>(&mut self, call: Call) -> wasmtime::Result<T> {
        let recording = Arc::clone(&self.recording);
        let got = || describe(&call.target, &call.request);
        let Some(expected) = recording.calls.get(self.next) else {
            if self.is_cut {
                self.stopped = true;
                return Err(STOP.into());
            }
            return Err(self.diverge("no further call".to_owned(), got()));
        };
        if expected.target != call.target || expected.request != call.request {
            return Err(self.diverge(describe(&expected.target, &expected.request), got()));
        }
        let Some(answer) = &expected.answer else {
            self.next += 1;
            self.stopped = true;
            return Err(STOP.into());
        };
        let answer = serde_json::from_str(answer).map_err(|error| {
            let expected =
                format!("an answer to {}", describe(&expected.target, &expected.request));
            self.diverge(expected, format!("an answer that cannot be read: {error}"))
        })?;
        self.repeated += 1;
        if self.repeated >= expected.times {
            (self.next, self.repeated) = (self.next + 1, 0);
        }
        Ok(answer)
    }

    /// What the rest of the tree had used since this was asked last.
    fn others(&mut self) -> Spent {
        let played = self.recording.calls.iter().take(self.next).skip(self.settled);
        let others = played.fold(Spent::default(), |sum, call| sum.plus(call.others));
        self.settled = self.next;
        if self.is_cut { Spent::default() } else { others }
    }

    fn read_clock(&mut self) -> u64 {
        let steps = &self.recording.clock.steps;
        while steps.get(self.step + 1).is_some_and(|(from, _)| *from <= self.readings) {
            self.step += 1;
        }
        self.readings += 1;
        steps.get(self.step).map_or(0, |(_, millis)| *millis)
    }
}

fn describe(target: &str, request: &str) -> String {
    format!("{target} {request}")
}

/// A buffer that takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
