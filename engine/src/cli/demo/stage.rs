//! What the demo is told on: headings, lines, and checks that are counted.

use crate::cli::output::{Output, Style};
use crate::cli::text::{self, indented, visible};
use crate::error::Result;
use crate::run::{Outcome, Run};

/// The stage.
pub(super) struct Stage<'a> {
    output: &'a Output,
    acts: usize,
    passed: usize,
    failed: Vec<String>,
}

impl<'a> Stage<'a> {
    pub(super) const fn new(output: &'a Output) -> Self {
        Self { output, acts: 0, passed: 0, failed: Vec::new() }
    }

    /// Prints a line of ours; not with `--json`, which gets one object at the end.
    pub(super) fn line(&self, text: &str) -> Result<()> {
        if self.output.json { Ok(()) } else { self.output.print(&format!("{text}\n")) }
    }

    /// Begins a step.
    pub(super) fn act(&mut self, title: &str) -> Result<()> {
        self.acts += 1;
        let heading = format!("{}  {title}", self.acts);
        self.line(&format!("\n{}", self.output.paint(Style::Heading, &heading)))
    }

    /// Text in the style of what matters less.
    pub(super) fn faint(&self, text: &str) -> String {
        self.output.paint(Style::Faint, text)
    }

    /// Text that somebody else wrote, moved to the right.
    pub(super) fn quote(&self, text: &str) -> Result<()> {
        self.line(indented(&visible(text), 5).trim_end_matches('\n'))
    }

    /// Code, set back.
    pub(super) fn code(&self, code: &str) -> Result<()> {
        for line in code.trim_end().lines() {
            self.line(&self.faint(&format!("   | {line}")))?;
        }
        Ok(())
    }

    /// How a run ended and what it took.
    pub(super) fn usage(&self, run: &Run) -> String {
        let usage = text::usage(&run.usage);
        match run.outcome.failure() {
            None => format!("{} {}", self.mark(true), self.faint(&usage)),
            Some(failure) => {
                format!("{} {}: {}", self.mark(false), failure.code, visible(&failure.message))
            }
        }
    }

    fn mark(&self, is_good: bool) -> String {
        if is_good {
            self.output.paint(Style::Good, "ok")
        } else {
            self.output.paint(Style::Bad, "FAILED")
        }
    }

    /// Notes whether something came out as expected, and returns `ok` or `FAILED`.
    pub(super) fn check(&mut self, came_out: bool, what: &str, found: &str) -> String {
        if came_out {
            self.passed += 1;
        } else {
            self.failed.push(format!(
                "step {}: expected {what}, found {}",
                self.acts,
                visible(found)
            ));
        }
        self.mark(came_out)
    }

    /// As [`check`](Self::check), of a run that has to return a value for which `is_right` holds.
    pub(super) fn check_value(&mut self, run: &Run, what: &str, is_right: impl Fn(&str) -> bool) {
        let found = match &run.outcome {
            Outcome::Value(value) => value.json.to_string(),
            Outcome::Failure(failure) => format!("{}: {}", failure.code, failure.message),
        };
        let came_out = run.value().is_ok_and(|value| is_right(value.as_str()));
        self.check(came_out, what, &found);
    }

    /// How many checks came out as expected.
    pub(super) const fn passed(&self) -> usize {
        self.passed
    }

    /// What did not.
    pub(super) fn failed(&self) -> &[String] {
        &self.failed
    }
}
