//! What a person sees while something takes long.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;

/// Most things are done by then, and need no word.
const PATIENCE: Duration = Duration::from_millis(400);

/// Waits for something, and says so if it takes long: by a spinner on a
/// terminal, by one line elsewhere.
pub(super) async fn waiting<T>(output: &Output, message: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
        return done;
    }
    if !output.has_progress() {
        output.note(message);
        return work.await;
    }
    let spinner = ProgressBar::new_spinner().with_message(message.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// A bar for work on many files.
pub(super) struct Files(ProgressBar);

impl Files {
    pub(super) fn new(output: &Output) -> Self {
        if !output.has_progress() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// So many are done, of so many, and this one is next.
    pub(super) fn next(&self, done: usize, all: usize, path: &Path) {
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.0.set_message(super::text::visible(&name));
    }

    pub(super) fn finish(self) {
        self.0.finish_and_clear();
    }
}
