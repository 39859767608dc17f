//! What is wrong with a data directory, found without changing it.
//!
//! Each tenant's tables are read through links to their files, in a directory of their own:
//! what opening does to a damaged table is done there, and noticed, and thrown away.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::{Directory, FORMAT, Scratch, is_left_over};
use crate::artifacts::Artifacts;
use crate::artifacts::lance::LanceArtifacts;
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::lance::{Database, MARKER, QUARANTINE};
use crate::library::lance::LanceLibrary;
use crate::record::Records;
use crate::record::lance::LanceRecords;

/// Something that a doctor noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether something is damaged or lost. What is not is left over, or old, and harmless.
    pub is_damage: bool,
    /// The file or directory.
    pub path: PathBuf,
    /// What is the matter with it, and what to do.
    pub message: String,
}

/// What a doctor says of a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnosis {
    /// How many tenants there are.
    pub tenants: usize,
    /// How many workflows they have.
    pub workflows: usize,
    /// How many artifacts they have.
    pub artifacts: usize,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    fn note(&mut self, path: &Path, message: impl Into<String>) {
        let finding = Finding { is_damage: false, path: path.to_owned(), message: message.into() };
        self.findings.push(finding);
    }

    fn damage(&mut self, path: &Path, message: impl Into<String>) {
        let finding = Finding { is_damage: true, path: path.to_owned(), message: message.into() };
        self.findings.push(finding);
    }
}

/// Looks at everything in a data directory.
///
/// # Errors
/// [`Code::NotFound`](crate::error::Code::NotFound) if there is none,
/// [`Code::Unavailable`](crate::error::Code::Unavailable) if it cannot be used at all.
pub(super) async fn examine(root: &Path) -> Result<Diagnosis> {
    let Some(directory) = Directory::existing(root)? else {
        return Err(Error::not_found(format!(
            "{} is not a data directory: it has no file FORMAT",
            root.display()
        )));
    };
    let mut diagnosis = Diagnosis::default();
    for path in directory.inside()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_left_over(&name) {
            diagnosis.note(
                &path,
                "is left of something that was interrupted: the next deletion removes it",
            );
        } else if let Ok(tenant) = TenantId::new(&name) {
            if path.join(MARKER).exists() {
                examine_tenant(&directory, &tenant, &mut diagnosis).await;
            } else {
                diagnosis.note(
                    &path,
                    format!("has no {MARKER}: the tenant was never completely created"),
                );
            }
        } else {
            diagnosis.note(&path, "is nothing of repertoire's");
        }
    }
    Ok(diagnosis)
}

async fn examine_tenant(directory: &Directory, tenant: &TenantId, diagnosis: &mut Diagnosis) {
    diagnosis.tenants += 1;
    let dir = directory.tenant(tenant);
    let meta = match directory.meta(tenant) {
        Ok(Some(meta)) => meta,
        Ok(None) => return,
        Err(error) => return diagnosis.damage(&dir.join(MARKER), error.chain()),
    };
    let quarantine = dir.join(QUARANTINE);
    for path in std::fs::read_dir(&quarantine).into_iter().flatten().flatten().map(|e| e.path()) {
        diagnosis.note(&path, "was damaged, and set aside when its table was opened");
    }
    if meta.format < FORMAT {
        let message = format!("is of format {}: the next use makes it {FORMAT}", meta.format);
        return diagnosis.note(&dir, message);
    }
    let scratch = match Scratch::of(&dir) {
        Ok(scratch) => scratch,
        Err(error) => return diagnosis.damage(&dir, error.chain()),
    };
    let database = Arc::new(Database::new(scratch.path().to_owned()));
    match LanceLibrary::new(&database, meta.dimensions) {
        Ok(library) => match library.examine().await {
            Ok(workflows) => diagnosis.workflows += workflows,
            Err(error) => diagnosis.damage(&dir, error.chain()),
        },
        Err(error) => diagnosis.damage(&dir, error.chain()),
    }
    let artifacts = LanceArtifacts::new(&database);
    match artifacts.versions(None).await {
        Ok(all) => {
            diagnosis.artifacts +=
                all.iter().map(|known| &known.name).collect::<HashSet<_>>().len();
            for known in all {
                let problem = match artifacts.is_intact(&known).await {
                    Ok(true) => continue,
                    Ok(false) => "is not what was saved".to_owned(),
                    Err(error) => error.chain(),
                };
                let (name, version) = (&known.name, known.version);
                diagnosis
                    .damage(&dir, format!("the artifact {name}, version {version}, {problem}"));
            }
        }
        Err(error) => diagnosis.damage(&dir, error.chain()),
    }
    if let Err(error) = LanceRecords::new(&database).list(usize::MAX, None).await {
        diagnosis.damage(&dir, error.chain());
    }
    let aside = scratch.path().join(QUARANTINE);
    for path in std::fs::read_dir(aside).into_iter().flatten().flatten().map(|e| e.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        diagnosis.damage(
            &dir,
            format!("has a damaged version of a table: the next use sets it aside as {QUARANTINE}/{name}"),
        );
    }
}
