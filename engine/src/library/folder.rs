//! Reading a folder of Python files that are to become workflows.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::MAX_SOURCE;
use crate::error::{Error, Result};
use crate::id::WorkflowName;

/// A file that may become a workflow.
#[derive(Debug)]
pub struct Candidate {
    /// Where it lies.
    pub path: PathBuf,
    /// The file's name without `.py`, and its text without a byte order mark;
    /// or why it cannot be used.
    pub workflow: Result<(WorkflowName, String)>,
}

/// Reads the `.py` files of a folder, by name; subfolders, other files and
/// `__init__.py` are passed over.
///
/// A file that cannot be used is one candidate with an error, and stops nobody
/// else's.
///
/// # Errors
/// [`Code::NotFound`](crate::error::Code::NotFound) if there is no such folder,
/// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it cannot be read.
pub fn read(dir: &Path) -> Result<Vec<Candidate>> {
    let unreadable = |error: std::io::Error| {
        let dir = dir.display();
        match error.kind() {
            ErrorKind::NotFound => Error::not_found(format!("there is no folder {dir}")),
            ErrorKind::NotADirectory => Error::invalid_argument(format!(
                "{dir} is not a folder: name the folder it lies in"
            )),
            _ => {
                Error::invalid_argument(format!("cannot read the folder {dir}")).with_source(error)
            }
        }
    };
    let inside = fs::canonicalize(dir).map_err(unreadable)?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_python = path.extension().is_some_and(|extension| extension == "py");
        if is_python && path.file_name().is_some_and(|name| name != "__init__.py") {
            paths.push(path);
        }
    }
    paths.sort();
    let candidate =
        |path: PathBuf| read_file(&inside, &path).map(|workflow| Candidate { path, workflow });
    Ok(paths.into_iter().filter_map(candidate).collect())
}

/// The content of one file; `None` if it is a folder.
fn read_file(inside: &Path, path: &Path) -> Option<Result<(WorkflowName, String)>> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Error::invalid_argument(format!("cannot read {shown}")).with_source(error)
    };
    // A link may lead to another file of the folder, not to the rest of the machine.
    let found = match fs::canonicalize(path) {
        Ok(found) if found.starts_with(inside) => found,
        Ok(_) => {
            return Some(Err(Error::invalid_argument(format!(
                "{shown} is a link out of the folder: copy the file instead"
            ))));
        }
        Err(error) => return Some(Err(unreadable(error))),
    };
    let metadata = match fs::metadata(&found) {
        Ok(metadata) if metadata.is_dir() => return None,
        // Opening a named pipe would wait for whoever writes into it.
        Ok(metadata) if !metadata.is_file() => {
            return Some(Err(Error::invalid_argument(format!("{shown} is not a file"))));
        }
        Ok(metadata) => metadata,
        Err(error) => return Some(Err(unreadable(error))),
    };
    let limit = MAX_SOURCE as u64;
    let too_large = || {
        Error::invalid_argument(format!("{shown} is larger than {MAX_SOURCE} bytes: split it up"))
    };
    if metadata.len() > limit {
        return Some(Err(too_large()));
    }
    let read = || -> Result<(WorkflowName, String)> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = WorkflowName::new(stem).map_err(|error| {
            Error::new(
                error.code(),
                format!("{shown} cannot become a workflow: {error}; rename the file"),
            )
        })?;
        let mut bytes = Vec::new();
        let file = fs::File::open(&found).map_err(unreadable)?;
        // It may have grown since.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > MAX_SOURCE {
            return Err(too_large());
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::invalid_argument(format!("{shown} is not UTF-8 at byte {at}: save it as UTF-8"))
        })?;
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok((name, text))
    };
    Some(read())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn one_bad_file_stops_nobody_elses() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.py"), "def run(): ...").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| std::fs::write(dir.path().join(name), text).unwrap();
        write("b.py", b"def run(): return 'b'");
        write("a.py", b"\xef\xbb\xbfdef run(): return 'a'");
        write("class.py", b"def run(): ...");
        write("not-a-name.py", b"def run(): ...");
        write("latin.py", b"# \xe9");
        write("large.py", &vec![b'#'; MAX_SOURCE + 1]);
        write("largest.py", &vec![b'#'; MAX_SOURCE]);
        write("notes.txt", b"");
        write("__init__.py", b"");
        std::fs::create_dir(dir.path().join("folder.py")).unwrap();
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        };
        link(&outside.path().join("secret.py"), "link.py");
        link(Path::new("b.py"), "alias.py");
        link(Path::new("nowhere"), "broken.py");

        let shown: Vec<String> = read(dir.path())
            .unwrap()
            .iter()
            .map(|candidate| {
                let file = candidate.path.file_name().unwrap().to_str().unwrap();
                match &candidate.workflow {
                    Ok((name, text)) => format!("{file}: {name}, {} bytes", text.len()),
                    Err(error) => format!("{file}: {}", error.code()),
                }
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a.py: a, 21 bytes",
                "alias.py: alias, 21 bytes",
                "b.py: b, 21 bytes",
                "broken.py: invalid-argument",
                "class.py: invalid-argument",
                "large.py: invalid-argument",
                "largest.py: largest, 1048576 bytes",
                "latin.py: invalid-argument",
                "link.py: invalid-argument",
                "not-a-name.py: invalid-argument",
            ]
        );
    }

    #[test]
    fn says_what_is_wrong_with_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.py");
        std::fs::write(&file, "").unwrap();
        assert_eq!(read(&dir.path().join("none")).unwrap_err().code(), Code::NotFound);
        assert_eq!(read(&file).unwrap_err().code(), Code::InvalidArgument);
    }
}
