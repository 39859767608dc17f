//! Reading the settings again while a server runs: what tenants may reach and take.

use std::convert::Infallible;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::app::App;
use super::settings::Settings;
use crate::Engine;
use crate::error::Result;

/// How often it is looked whether the file is another.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells a file from the one that takes its place, or from what it was.
type Stamp = Option<(PathBuf, u64, i64, i64, u64)>;

/// Reads the settings whenever their file has changed, for ever. What cannot be read changes nothing.
pub(super) async fn follow(app: &App, engine: &Engine) -> Infallible {
    let look = || stamp(Settings::file(&app.environment));
    let mut known = look();
    let mut last = known.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let found = look();
        // A file that is being written is not read before that is done.
        let is_settled = std::mem::replace(&mut last, found.clone()) == found;
        if found == known || !is_settled {
            continue;
        }
        match apply(app, engine) {
            Ok(fixed) if fixed.is_empty() => app.output.note("read the settings again"),
            Ok(fixed) => app.output.note(&format!(
                "read the settings again; a restart is needed for {}",
                fixed.join(", ")
            )),
            Err(error) => app.output.complain(&format!(
                "the settings stay as they were, for what is written there now is wrong: {}",
                error.chain()
            )),
        }
        known = found;
    }
}

/// Answers what has changed and cannot be changed now.
fn apply(app: &App, engine: &Engine) -> Result<Vec<String>> {
    let new = Settings::again(&app.environment)?;
    new.govern(engine)?;
    Ok(app.settings.fixed_that_differ(&new))
}

fn stamp(path: Option<PathBuf>) -> Stamp {
    let path = path?;
    let found = std::fs::metadata(&path).ok()?;
    Some((path, found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}
