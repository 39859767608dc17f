//! Making what was written survive a power cut.
//!
//! LanceDB renames and links complete files into place, so a process that is
//! killed leaves nothing half written; but it leaves it to the operating
//! system when the files' contents reach the disk. What is acknowledged to a
//! caller is forced there first, the manifest last.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where a commit leaves files that matter after a power cut, in the order in
/// which they refer to each other, and what those files' names end with. What
/// else there is serves writers that race, or is a hint.
const FOLDERS: [(&str, &str); 4] =
    [("data", ""), ("_deletions", ""), ("_indices", ""), ("_versions", ".manifest")];

/// What of a table is known to be on disk.
#[derive(Debug, Default)]
pub(super) struct Synced {
    known: HashSet<PathBuf>,
}

impl Synced {
    /// Forces the table's files to disk, except those that are known to be there and
    /// those older than `since`, which the operating system has written on its own. Not only
    /// what this process has written: a manifest refers to others' files, too.
    pub(super) fn sync(&mut self, table: &Path, since: SystemTime) -> io::Result<()> {
        let mut seen = HashSet::new();
        let mut has_new_folder = false;
        let mut manifests = None;
        for (folder, ending) in FOLDERS {
            let folder = table.join(folder);
            if ending == ".manifest" {
                manifests = Some((folder, ending));
                continue;
            }
            let (new, all) = self.folder(&folder, ending, since, &mut seen)?;
            has_new_folder |= new > 0 && new == all;
        }
        if has_new_folder {
            // The folder's own name has to be found again.
            File::open(table)?.sync_all()?;
        }
        // When everything is there that it refers to.
        if let Some((folder, ending)) = manifests {
            self.folder(&folder, ending, since, &mut seen)?;
        }
        self.known = seen;
        Ok(())
    }

    /// How many things in the folder were not on disk yet, and how many there are.
    fn folder(
        &self,
        folder: &Path,
        ending: &str,
        since: SystemTime,
        seen: &mut HashSet<PathBuf>,
    ) -> io::Result<(usize, usize)> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            // Not every table has deletions, or indexes.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, 0)),
            Err(error) => return Err(error),
        };
        let (mut new, mut all) = (0, 0);
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().ends_with(ending.as_bytes()) {
                continue;
            }
            all += 1;
            let path = entry.path();
            if self.known.contains(&path) {
                seen.insert(path);
                continue;
            }
            let found = entry.metadata().and_then(|found| self.entry(&path, &found, since, seen));
            match found {
                Ok(is_new) => new += usize::from(is_new),
                // Another process may have pruned it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            seen.insert(path);
        }
        if new > 0 {
            File::open(folder)?.sync_all()?;
        }
        Ok((new, all))
    }

    fn entry(
        &self,
        path: &Path,
        found: &Metadata,
        since: SystemTime,
        seen: &mut HashSet<PathBuf>,
    ) -> io::Result<bool> {
        if found.is_dir() {
            // An index is a folder of files; its name is new if they are.
            return self.folder(path, "", since, seen).map(|(new, _)| new > 0);
        }
        let is_new = found.modified()? >= since;
        if is_new {
            File::open(path)?.sync_all()?;
        }
        Ok(is_new)
    }
}

/// Forces to disk that there is such a table.
pub(super) fn sync_new(table: &Path) -> io::Result<()> {
    Synced::default().sync(table, SystemTime::UNIX_EPOCH)?;
    File::open(table)?.sync_all()?;
    table.parent().map_or(Ok(()), |database| File::open(database)?.sync_all())
}

/// Creates a directory, and those above it that are missing, for this user alone, so that a
/// power cut leaves them there.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.exists()) {
        create_dir(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => return Ok(()),
        Err(error) => return Err(error),
    }
    parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_young_and_unknown_is_synced_once() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("a/b/t.lance");
        create_dir(&table.join("data")).unwrap();
        create_dir(&table.join("_versions")).unwrap();
        create_dir(&table.join("_indices/one")).unwrap();
        let files = ["data/1.lance", "_versions/1.manifest", "_indices/one/index"];
        for file in files {
            std::fs::write(table.join(file), "x").unwrap();
        }
        std::fs::write(table.join("_versions/hint.json"), "{}").unwrap();
        let mut synced = Synced::default();
        synced.sync(&table, SystemTime::UNIX_EPOCH).unwrap();
        for file in files {
            assert!(synced.known.contains(&table.join(file)), "{file}");
        }
        assert_eq!(synced.known.len(), files.len() + 1, "{:?}", synced.known);
        std::fs::remove_file(table.join("data/1.lance")).unwrap();
        synced.sync(&table, SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert!(!synced.known.contains(&table.join("data/1.lance")), "what is gone is forgotten");
        // What does not exist, or cannot be a directory, is an error.
        assert!(create_dir(&table.join("_versions/hint.json/x")).is_err());
        assert!(create_dir(&table.join("_versions/hint.json")).is_err());
    }
}
