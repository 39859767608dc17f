//! The lock of a tenant's directory: one process at a time creates a table, or
//! recovers one.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::clock::Stopwatch;
use crate::error::{Code, Error, Result};

/// How long to wait for another process. What is done under the lock takes
/// milliseconds; recovering many tables, a second.
pub(super) const WAIT: Duration = Duration::from_secs(3);

/// How long to pause between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// Where Linux lists all locks.
const LOCKS: &str = "/proc/locks";

/// Locks the file at `path`, which is created if it is missing, until the
/// answer is dropped. Blocks the thread.
///
/// # Errors
/// [`Code::Busy`] if another process holds it all the while, [`Code::Unavailable`] if it
/// cannot be locked at all.
pub(super) fn acquire(path: &Path, wait: Duration) -> Result<File> {
    let cannot = |error: io::Error| {
        Error::unavailable(format!("cannot lock {}", path.display())).with_source(error)
    };
    let file = File::options().create(true).append(true).open(path).map_err(cannot)?;
    let waited = Stopwatch::start();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if waited.elapsed() < wait => std::thread::sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(held(path, &file, wait)),
            Err(error) => return Err(cannot(error.into())),
        }
    }
}

fn held(path: &Path, file: &File, wait: Duration) -> Error {
    let who = file.metadata().ok().and_then(|metadata| holder(metadata.ino()));
    let who = who.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    Error::new(
        Code::Busy,
        format!(
            "{} has been locked by {who} for {} seconds: try again, and if that process hangs, end it",
            path.display(),
            wait.as_secs_f64()
        ),
    )
}

/// The process that holds a lock on the file with that number, if it can be known.
fn holder(inode: u64) -> Option<u32> {
    let locks = std::fs::read_to_string(LOCKS).ok()?;
    // `7: FLOCK  ADVISORY  WRITE 4711 fe:01:123456 0 EOF`; one that waits has `->` after its number.
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        if words.next() != Some("FLOCK") {
            return None;
        }
        let (pid, place) = (words.nth(2)?, words.next()?);
        let same = place.rsplit(':').next()?.parse() == Ok(inode);
        // One of another container is shown as 0 or -1.
        pid.parse().ok().filter(|pid| same && *pid > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_ends_in_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = acquire(&path, Duration::ZERO).unwrap();
        let error = acquire(&path, Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.code(), Code::Busy);
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        if Path::new(LOCKS).exists() {
            let me = format!("process {} ", std::process::id());
            assert!(error.message().contains(&me), "{error}");
        }
        drop(held);
        acquire(&path, Duration::ZERO).unwrap();
        assert_eq!(acquire(dir.path(), WAIT).unwrap_err().code(), Code::Unavailable);
    }
}
