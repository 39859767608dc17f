//! Standard output and standard error: captured, bounded, and passed on as they are written.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::budget::Budget;
use crate::id::RunId;
use crate::run::{Event, Stream};
use crate::sandbox::LimitReached;

/// Receives what happens while a run lasts. It is called from the run itself
/// and must not block.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// The most bytes that one write of a guest may have.
const PERMIT: usize = 64 << 10;

/// What a run has written so far.
pub(crate) struct Output {
    run: RunId,
    budget: Arc<Budget>,
    events: Option<EventSink>,
    stdout: Mutex<Captured>,
    stderr: Mutex<Captured>,
}

#[derive(Default)]
struct Captured {
    text: String,
    /// The beginning of a character whose end has not been written yet.
    partial: Vec<u8>,
}

impl Output {
    pub(crate) fn new(run: RunId, budget: Arc<Budget>, events: Option<EventSink>) -> Arc<Self> {
        Arc::new(Self { run, budget, events, stdout: Mutex::default(), stderr: Mutex::default() })
    }

    /// Standard output and standard error so far.
    pub(crate) fn take(&self) -> (String, String) {
        let take = |captured: &Mutex<Captured>| {
            let mut captured = captured.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = std::mem::take(&mut captured.partial);
            captured.text.push_str(&String::from_utf8_lossy(&rest));
            std::mem::take(&mut captured.text)
        };
        (take(&self.stdout), take(&self.stderr))
    }

    fn write(&self, stream: Stream, bytes: &[u8]) -> StreamResult<()> {
        let charged = self.budget.charge_output(bytes.len());
        if let Err(error) = charged {
            return Err(StreamError::Trap(LimitReached(error.code()).into()));
        }
        let captured = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        let text = {
            let mut captured = captured.lock().unwrap_or_else(PoisonError::into_inner);
            let text = decode(&mut captured.partial, bytes);
            captured.text.push_str(&text);
            text
        };
        if let Some(events) = self.events.as_ref().filter(|_| !text.is_empty()) {
            events(Event::Output { run: self.run, stream, text });
        }
        Ok(())
    }
}

/// Decodes what is there of UTF-8 and keeps an incomplete last character for later.
fn decode(partial: &mut Vec<u8>, bytes: &[u8]) -> String {
    partial.extend_from_slice(bytes);
    let mut text = String::with_capacity(partial.len());
    let mut rest = 0;
    for chunk in partial.utf8_chunks() {
        text.push_str(chunk.valid());
        rest += chunk.valid().len();
        let invalid = chunk.invalid();
        let is_last = rest + invalid.len() == partial.len();
        if invalid.is_empty() {
            continue;
        }
        if is_last && is_prefix(invalid) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        rest += invalid.len();
    }
    partial.drain(..rest);
    text
}

/// Whether these bytes could still become a character.
fn is_prefix(bytes: &[u8]) -> bool {
    let needed = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 0,
    };
    bytes.len() < needed
}

/// Where an instance's streams lead at the moment: a session's instance keeps
/// its streams from call to call, and each call has an output of its own.
#[derive(Clone)]
pub(super) struct CurrentOutput(Arc<Mutex<Arc<Output>>>);

impl CurrentOutput {
    pub(super) fn new(output: Arc<Output>) -> Self {
        Self(Arc::new(Mutex::new(output)))
    }

    pub(super) fn set(&self, output: Arc<Output>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = output;
    }

    fn get(&self) -> Arc<Output> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One of an instance's streams, as WASI wants it.
pub(super) struct OutputPipe {
    pub(super) output: CurrentOutput,
    pub(super) stream: Stream,
}

impl IsTerminal for OutputPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputPipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // WASI 0.3's way; the component imports 0.2 and takes `p2_stream`.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self { output: self.output.clone(), stream: self.stream })
    }
}

#[async_trait::async_trait]
impl Pollable for OutputPipe {
    async fn ready(&mut self) {}
}

impl OutputStream for OutputPipe {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.output.get().write(self.stream, &bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a text is cut into writes, what arrives is the same.
        #[test]
        fn cuts_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..64) {
            let (mut partial, cut) = (Vec::new(), cut.min(bytes.len()));
            let mut text = decode(&mut partial, &bytes[..cut]);
            text.push_str(&decode(&mut partial, &bytes[cut..]));
            text.push_str(&String::from_utf8_lossy(&partial));
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn characters_survive(text in "\\PC{0,20}") {
            let mut partial = Vec::new();
            let out: String = text.bytes().map(|byte| decode(&mut partial, &[byte])).collect();
            prop_assert_eq!(out, text);
        }
    }
}
