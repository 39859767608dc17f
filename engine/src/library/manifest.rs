//! What a folder of exported workflows says of them beside their sources.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::{VersionId, WorkflowName};
use crate::workflow::Workflow;

/// Its file in the folder.
pub const FILE: &str = "repertoire.json";

/// The number of its format.
const FORMAT: u32 = 1;

/// The manifest of a folder: JSON in the order of the names, so that a change of one workflow
/// is a change of its lines.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    workflows: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    description: String,
    version: String,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { format: FORMAT, workflows: BTreeMap::new() }
    }
}

impl Manifest {
    /// The manifest of a folder, if it has one.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it cannot be read, or is
    /// of a newer format.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Header {
            format: u32,
        }
        let path = dir.join(FILE);
        let unusable = |why: String| {
            Error::invalid_argument(format!("{} {why}: export the library again", path.display()))
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable("cannot be read".to_owned()).with_source(error)),
        };
        let not_one =
            |error: serde_json::Error| unusable("is no manifest".to_owned()).with_source(error);
        let Header { format } = serde_json::from_str(&text).map_err(not_one)?;
        if format > FORMAT {
            return Err(unusable(format!("has format {format}, and this version reads {FORMAT}")));
        }
        serde_json::from_str(&text).map_err(not_one).map(Some)
    }

    /// What it says that a workflow does.
    #[must_use]
    pub fn description(&self, name: &WorkflowName) -> Option<&str> {
        self.workflows.get(name.as_str()).map(|entry| entry.description.as_str())
    }

    /// Whether a workflow is that version there; `None` if it does not say.
    #[must_use]
    pub fn is_version(&self, name: &WorkflowName, version: &VersionId) -> Option<bool> {
        self.workflows.get(name.as_str()).map(|entry| entry.version == version.to_string())
    }
}

/// A folder that a library is being written into.
#[derive(Debug)]
pub struct Export<'a> {
    dir: &'a Path,
    /// What it held before.
    before: Manifest,
    manifest: Manifest,
}

impl<'a> Export<'a> {
    /// Begins to write into a folder, which is created if it is missing.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it holds something other
    /// than an export, or cannot be written.
    pub fn begin(dir: &'a Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| cannot_write(dir, error))?;
        let before = Manifest::read(dir)?;
        if before.is_none() {
            let mut inside = fs::read_dir(dir).map_err(|error| cannot_write(dir, error))?;
            if inside.next().is_some() {
                return Err(Error::invalid_argument(format!(
                    "the folder {} holds something else than an export: name a new one",
                    dir.display()
                )));
            }
        }
        Ok(Self { dir, before: before.unwrap_or_default(), manifest: Manifest::default() })
    }

    /// Writes one workflow's source.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it cannot be written.
    pub fn add(&mut self, workflow: &Workflow) -> Result<()> {
        write(&self.dir.join(format!("{}.py", workflow.name)), &workflow.source)?;
        let entry = Entry {
            description: workflow.description.clone(),
            version: workflow.version.to_string(),
        };
        self.manifest.workflows.insert(workflow.name.to_string(), entry);
        Ok(())
    }

    /// Removes what an earlier export has written and there is no more, writes the manifest,
    /// and says how many workflows it names.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it cannot be written.
    pub fn finish(self) -> Result<usize> {
        for gone in self.before.workflows.keys().filter(|name| {
            // The manifest may have been edited: only a name is made a path.
            WorkflowName::new(name).is_ok() && !self.manifest.workflows.contains_key(*name)
        }) {
            let path = self.dir.join(format!("{gone}.py"));
            match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => result.map_err(|error| cannot_write(&path, error))?,
            }
        }
        let text = serde_json::to_string_pretty(&self.manifest)
            .map_err(|error| Error::internal("cannot write JSON").with_source(error))?;
        write(&self.dir.join(FILE), &format!("{text}\n"))?;
        Ok(self.manifest.workflows.len())
    }
}

/// Writes a file whole, in the place of whatever has its name; leaves one that says the same.
fn write(path: &Path, text: &str) -> Result<()> {
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if is_file && fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    let temporary = path.with_extension("tmp");
    let written = (|| -> io::Result<()> {
        // A link of that name is not followed.
        drop(fs::remove_file(&temporary));
        let mut file = File::create_new(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|error| {
        drop(fs::remove_file(&temporary));
        cannot_write(path, error)
    })
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::invalid_argument(format!("cannot write {}", path.display())).with_source(error)
}
