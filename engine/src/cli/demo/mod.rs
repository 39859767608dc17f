//! `repertoire demo`: the whole story in one screen, each step of it checked.
//!
//! Nothing leaves this machine: the web server listens on the loopback
//! interface, and everything is kept in a directory that is removed afterwards.

mod shipped;
mod server;
mod stage;
mod story;
mod hostile;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Exit;
use super::app::App;
use super::output::Style;
use super::text;
use crate::clock::{Entropy, Stopwatch, SystemEntropy};
use crate::error::{Error, Result};
use stage::Stage;

/// Tells the story.
pub(super) async fn tell(app: &App) -> Result<Exit> {
    #[derive(Serialize)]
    struct Answer<'a> {
        passed: usize,
        failed: &'a [String],
        wall_time_ms: f64,
    }
    let watch = Stopwatch::start();
    app.settings.check_complete()?;
    let place = Place::create(app.settings.temp_dir())?;
    let mut stage = Stage::new(&app.output);
    story::tell(app, &place, &mut stage).await?;
    let (passed, failed) = (stage.passed(), stage.failed());
    if app.output.json {
        let wall_time_ms = (watch.elapsed().as_secs_f64() * 1e3).round();
        app.output.object(&Answer { passed, failed, wall_time_ms })?;
    } else if failed.is_empty() {
        let took = text::duration(watch.elapsed());
        let summary =
            format!("All {passed} checks passed in {took}, and nothing left this machine.");
        stage.line(&format!("\n{}", app.output.paint(Style::Good, &summary)))?;
    } else {
        for problem in failed {
            app.output.complain(&format!("error[demo]: {problem}"));
        }
    }
    Ok(if failed.is_empty() { Exit::Done } else { Exit::Failed })
}

/// A directory for one telling, removed when it is over.
struct Place(PathBuf);

impl Place {
    fn create(below: &Path) -> Result<Self> {
        let path = below.join(format!("repertoire-demo-{:016x}", SystemEntropy.next_u64()));
        let place = Self(path);
        for directory in [place.0.clone(), place.workflows(), place.tools()] {
            // For this user alone, and not if somebody else was quicker.
            DirBuilder::new().mode(0o700).create(&directory).map_err(|error| {
                Error::unavailable(format!("cannot create {}", directory.display()))
                    .with_source(error)
            })?;
        }
        for (file, source) in shipped::WORKFLOWS {
            place.write(&place.workflows().join(file), source)?;
        }
        place.write(&place.tools().join("curl.yaml"), shipped::CURL)?;
        Ok(place)
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        std::fs::write(path, text).map_err(|error| {
            Error::unavailable(format!("cannot write {}", path.display())).with_source(error)
        })
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn workflows(&self) -> PathBuf {
        self.0.join("workflows")
    }

    fn tools(&self) -> PathBuf {
        self.0.join("tools")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // After an interruption a file may still appear while its directory is being removed.
        let remove = || std::fs::remove_dir_all(&self.0);
        if let Err(error) = remove().or_else(|_| remove()).or_else(|_| remove()) {
            tracing::warn!(path = %self.0.display(), %error, "the demo's directory is left behind");
        }
    }
}
