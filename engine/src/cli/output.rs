//! Where everything that is printed goes through.
//!
//! Standard output belongs to the answer; progress, summaries and complaints go
//! to standard error. Text that we did not write reaches a terminal only with
//! its control characters made visible.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde::Serialize;

use super::Environment;
use super::args::Global;
use super::text::visible;
use crate::error::{Error, Result};
use crate::run::{Event, Stream};

/// How something of ours is set on a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// A heading.
    Heading,
    /// What went well.
    Good,
    /// What went wrong.
    Bad,
    /// Less important than the rest.
    Faint,
}

/// The two standard streams, and how to write to them.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// Whether the answer is one JSON object.
    pub(super) json: bool,
    /// Whether progress and summaries are left out.
    pub(super) quiet: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    colour_allowed: bool,
}

impl Output {
    pub(super) fn new(environment: &Environment, flags: &Global) -> Self {
        let is_set = |name| environment.variable(name).is_some_and(|value| !value.is_empty());
        let is_dumb = environment.variable("TERM").is_some_and(|term| term == "dumb");
        Self {
            json: flags.json,
            quiet: flags.quiet,
            stdout_is_terminal: environment.stdout_is_terminal,
            stderr_is_terminal: environment.stderr_is_terminal,
            colour_allowed: !is_set("NO_COLOR") && !is_dumb,
        }
    }

    /// Whether progress may be drawn.
    pub(super) const fn has_progress(&self) -> bool {
        self.stderr_is_terminal && !self.quiet
    }

    /// Whether standard error shows colours.
    pub(super) const fn has_coloured_stderr(&self) -> bool {
        self.stderr_is_terminal && self.colour_allowed
    }

    /// Whether somebody reads standard output on a terminal.
    pub(super) const fn is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Prints text of ours. What it quotes has to be fit for a terminal.
    pub(super) fn print(&self, text: &str) -> Result<()> {
        write(&mut io::stdout().lock(), text.as_bytes())
    }

    /// Prints text that somebody else wrote: as it is, unless that goes to a terminal.
    pub(super) fn print_foreign(&self, text: &str) -> Result<()> {
        if self.stdout_is_terminal { self.print(&visible(text)) } else { self.print(text) }
    }

    /// Prints bytes as they are.
    pub(super) fn print_bytes(&self, bytes: &[u8]) -> Result<()> {
        write(&mut io::stdout().lock(), bytes)
    }

    /// Prints the answer as one JSON object.
    pub(super) fn object(&self, answer: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(answer).map_err(|error| {
            Error::internal("cannot write the answer as JSON").with_source(error)
        })?;
        text.push('\n');
        self.print(&text)
    }

    /// Says something by the way, on standard error.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says something that must be said, on standard error.
    pub(super) fn complain(&self, text: &str) {
        let text = if self.stderr_is_terminal { visible(text) } else { text.to_owned() };
        // If standard error is gone, there is nobody left to tell.
        let _ = write(&mut io::stderr().lock(), format!("{text}\n").as_bytes());
    }

    /// Text in a style, where standard output shows one.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if !(self.stdout_is_terminal && self.colour_allowed) {
            return text.to_owned();
        }
        let code = match style {
            Style::Heading => "1",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Begins to show what a run prints, while it prints it. With `--json` standard
    /// output is part of the answer and not shown.
    pub(super) fn live(&self) -> Live {
        let (sender, receiver) = mpsc::channel::<Option<Event>>();
        let output = self.clone();
        let writer = std::thread::spawn(move || {
            // Whatever follows on standard output begins on a line of its own.
            let mut at_line_start = true;
            while let Ok(Some(event)) = receiver.recv() {
                let Event::Output { stream, text, .. } = event else { continue };
                match stream {
                    Stream::Stdout if output.json => {}
                    Stream::Stdout => {
                        at_line_start = text.ends_with('\n');
                        if output.print_foreign(&text).is_err() {
                            return;
                        }
                    }
                    Stream::Stderr => output.complain(text.trim_end_matches('\n')),
                }
            }
            if !at_line_start {
                let _ = output.print("\n");
            }
        });
        Live { sender, writer }
    }
}

/// Shows what a run prints.
pub(super) struct Live {
    sender: mpsc::Sender<Option<Event>>,
    writer: JoinHandle<()>,
}

impl Live {
    /// What a run reports to. Never blocks: a slow reader of ours must not stop the guest's clock.
    /// What waits is bounded by the run's output limit.
    pub(super) fn sink(&self) -> impl Fn(Event) + Send + Sync + 'static {
        let sender = self.sender.clone();
        move |event| {
            let _ = sender.send(Some(event));
        }
    }

    /// Waits until everything is shown.
    pub(super) fn finish(self) {
        let _ = self.sender.send(None);
        let _ = self.writer.join();
    }
}

fn write(stream: &mut impl Write, bytes: &[u8]) -> Result<()> {
    match stream.write_all(bytes).and_then(|()| stream.flush()) {
        // The reader has seen enough, as in `repertoire runs list | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => {
            result.map_err(|error| Error::unavailable("cannot write the answer").with_source(error))
        }
    }
}
