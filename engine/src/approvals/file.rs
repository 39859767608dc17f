//! Requests as files, so that another process can answer.
//!
//! ```text
//! approvals/<run>-<call>.json    the request, locked by who waits: without the lock, nobody does
//! approvals/<run>-<call>.answer  approve, or deny
//! ```

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

use super::{Approvals, Request, Written};
use crate::error::{Error, Result};
use crate::id::RunId;

/// Requests as files in a directory.
#[derive(Debug)]
pub struct FileApprovals {
    dir: PathBuf,
    /// The files of those that wait in this process, locked.
    held: Mutex<BTreeMap<(RunId, u64), File>>,
}

impl FileApprovals {
    /// In that directory, which is made when something waits.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(RunId, u64), File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, run: RunId, call: u64, ending: &str) -> PathBuf {
        self.dir.join(format!("{run}-{call}.{ending}"))
    }

    /// A request that somebody waits with; what was left behind by a process that is gone is removed.
    fn read(path: &Path) -> io::Result<Option<Request>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_file(path.with_extension("answer"));
            return Ok(None);
        }
        let written: Option<Written> = serde_json::from_reader(io::BufReader::new(file)).ok();
        Ok(written.and_then(|written| Request::try_from(written).ok()))
    }
}

impl Approvals for FileApprovals {
    fn open(&self, request: &Request) -> Result<()> {
        let path = self.path(request.run, request.call, "json");
        let open = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            // Locked and whole before it has its name, under which others find it.
            let beside = path.with_extension("new");
            let mut file = File::create(&beside)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            serde_json::to_writer(&mut file, &Written::from(request))?;
            file.flush()?;
            std::fs::rename(&beside, &path)?;
            Ok(file)
        };
        let file = open().map_err(|error| cannot("write", &path, error))?;
        self.held().insert((request.run, request.call), file);
        Ok(())
    }

    fn answer(&self, run: RunId, call: u64) -> Result<Option<bool>> {
        let path = self.path(run, call, "answer");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim() == "approve")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot("read", &path, error)),
        }
    }

    fn close(&self, run: RunId, call: u64) {
        // Under the lock, which is let go last: who looks now must not take it for left behind.
        let held = self.held().remove(&(run, call));
        for ending in ["json", "answer"] {
            let _ = std::fs::remove_file(self.path(run, call, ending));
        }
        drop(held);
    }

    fn waiting(&self) -> Result<Vec<Request>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot("read", &self.dir, error)),
        };
        let mut waiting = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|ending| ending == "json") {
                let found = Self::read(&path).map_err(|error| cannot("read", &path, error))?;
                waiting.extend(found.filter(|_| !path.with_extension("answer").exists()));
            }
        }
        waiting.sort_by_key(|request| (request.since, request.call));
        Ok(waiting)
    }

    fn decide(&self, run: RunId, call: u64, agreed: bool) -> Result<()> {
        let path = self.path(run, call, "answer");
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || -> io::Result<()> {
            std::fs::write(&beside, if agreed { "approve" } else { "deny" })?;
            // A link, not a rename: who has answered first is heard.
            match std::fs::hard_link(&beside, &path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        };
        let written = write();
        let _ = std::fs::remove_file(&beside);
        written.map_err(|error| cannot("write", &path, error))
    }
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!("cannot {what} {}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{FixedClock, FixedEntropy, Timestamp};
    use crate::json::Json;

    #[test]
    fn another_process_answers_and_what_is_left_behind_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let (waits, answers) = (FileApprovals::new(dir.path()), FileApprovals::new(dir.path()));
        let run = RunId::new(&FixedClock(Timestamp::from_millis(7)), &FixedEntropy::new(7));
        let request = Request {
            run,
            call: 3,
            target: "tools.test.echo".to_owned(),
            arguments: Json::parse("{\"x\": 1}").unwrap(),
            since: Timestamp::from_millis(7),
            until: Timestamp::from_millis(9),
        };
        assert!(answers.waiting().unwrap().is_empty());
        waits.open(&request).unwrap();
        assert_eq!(answers.waiting().unwrap(), std::slice::from_ref(&request));
        assert_eq!(waits.answer(run, 3).unwrap(), None);
        answers.decide(run, 3, true).unwrap();
        answers.decide(run, 3, false).unwrap();
        assert_eq!(waits.answer(run, 3).unwrap(), Some(true));
        waits.close(run, 3);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // A process that is gone holds no lock.
        waits.open(&request).unwrap();
        drop(waits);
        assert!(answers.waiting().unwrap().is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
