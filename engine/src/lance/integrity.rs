//! Whether the files that a table's version consists of are all there, and whole.
//!
//! A manifest that survived a power cut may name files that did not. LanceDB
//! notices when somebody reads them; here it is noticed when the table is
//! opened, as long as the version before can still be had. Only what the file
//! system says without a doubt counts as damage: an error on the way to it is
//! an error.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Failure, guarded};

/// What every data file ends with.
const DATA_END: &[u8] = b"LANC";

/// What a list of deleted rows begins with, if it is an Arrow file.
const ARROW: &[u8] = b"ARROW1";

/// The sixteen bits that a bitmap of deleted rows begins with; either of them.
const BITMAPS: [[u8; 2]; 2] = [12346_u16.to_le_bytes(), 12347_u16.to_le_bytes()];

/// What is wrong with a table's version.
pub(super) struct Report {
    /// Files that are missing or cut.
    pub(super) damaged: Vec<PathBuf>,
    /// Whether it has any rows.
    pub(super) is_empty: bool,
}

/// Looks at the files of the version that `table` is at.
pub(super) async fn examine(table: &lancedb::Table, dir: &Path) -> Result<Report, Failure> {
    let Some(dataset) = table.dataset() else {
        return Ok(Report { damaged: Vec::new(), is_empty: false });
    };
    let dataset = guarded(dataset.get()).await?;
    let mut files = Vec::new();
    for fragment in dataset.fragments().iter() {
        for file in fragment.files.iter().filter(|file| file.base_id.is_none()) {
            let size = file.file_size_bytes.get().map(std::num::NonZero::get);
            files.push((dir.join("data").join(&file.path), size));
        }
        if let Some(deleted) = &fragment.deletion_file {
            let (id, version, number) = (fragment.id, deleted.read_version, deleted.id);
            let name = format!("{id}-{version}-{number}.{}", deleted.file_type.suffix());
            files.push((dir.join("_deletions").join(name), None));
        }
    }
    let is_empty = files.is_empty();
    let mut damaged = Vec::new();
    for (path, size) in files {
        match is_whole(&path, size) {
            Ok(true) => {}
            Ok(false) => damaged.push(path),
            Err(error) => {
                let error = lancedb::Error::Runtime {
                    message: format!("cannot look at {}: {error}", path.display()),
                };
                return Err(Failure::Error(Box::new(error)));
            }
        }
    }
    Ok(Report { damaged, is_empty })
}

/// Whether a file is there, as long as it should be, and begins or ends as its kind does.
fn is_whole(path: &Path, size: Option<u64>) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    if length < 8 || size.is_some_and(|size| size != length) {
        return Ok(false);
    }
    let (mut begin, mut end) = ([0; 6], [0; 6]);
    file.read_exact(&mut begin)?;
    file.seek(SeekFrom::End(-6))?;
    file.read_exact(&mut end)?;
    Ok(match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("arrow") => begin == ARROW && end == ARROW,
        Some("bin") => BITMAPS.iter().any(|bitmap| begin.starts_with(bitmap)),
        _ => end.ends_with(DATA_END),
    })
}
