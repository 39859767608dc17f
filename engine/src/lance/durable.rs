//! Making what was written survive a power cut.
//!
//! LanceDB renames and links complete files into place, so a process that is
//! killed leaves nothing half written; but it leaves it to the operating
//! system when the files' contents reach the disk. What is acknowledged to a
//! caller is forced there first, the manifest last.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

/// Where a commit leaves files that matter after a power cut, in the order in
/// which they refer to each other, and what those files' names end with. What
/// else there is serves writers that race, or is a hint.
const FOLDERS: [(&str, &str); 3] = [("data", ""), ("_deletions", ""), ("_versions", ".manifest")];

/// Forces the table's files that are not older than `since` to disk.
pub(super) fn sync(table: &Path, since: SystemTime) -> io::Result<()> {
    for (folder, ending) in FOLDERS {
        let folder = table.join(folder);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Not every table has deletions.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut changed = false;
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().ends_with(ending.as_bytes()) {
                continue;
            }
            match sync_file(&entry.path(), since) {
                Ok(is_new) => changed |= is_new,
                // Another process may have pruned it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if changed {
            File::open(&folder)?.sync_all()?;
        }
    }
    Ok(())
}

/// Forces to disk that there is such a table.
pub(super) fn sync_new(table: &Path) -> io::Result<()> {
    sync(table, SystemTime::UNIX_EPOCH)?;
    File::open(table)?.sync_all()?;
    table.parent().map_or(Ok(()), |database| File::open(database)?.sync_all())
}

fn sync_file(path: &Path, since: SystemTime) -> io::Result<bool> {
    let metadata = std::fs::metadata(path)?;
    let is_new = metadata.is_file() && metadata.modified()? >= since;
    if is_new {
        File::open(path)?.sync_all()?;
    }
    Ok(is_new)
}
