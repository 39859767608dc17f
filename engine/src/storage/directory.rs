//! The data directory: what lies where, and whether it can be used.
//!
//! ```text
//! FORMAT                          the number of this layout
//! tenants/acme/tenant.json        the embedding model; with it, the tenant exists
//! tenants/acme/lock               locked while a table is created, recovered or upgraded
//! tenants/acme/*.lance            LanceDB's tables
//! tenants/acme/approvals/         calls that wait, and the answers
//! tenants/acme/quarantine/        damaged files that were set aside
//! tenants/acme/backup-format-2/   the tables as they were before they were upgraded
//! ```
//!
//! A directory of an older format gets the new number when it is first used, which keeps older
//! programs out. Each tenant, which has a number of its own, is upgraded when it is first opened.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use super::incarnation;
use crate::clock::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::id::{TenantId, quoted};
use crate::lance::{MARKER, QUARANTINE, create_dir, size};

/// The number of this layout and of the tables' columns.
pub(super) const FORMAT: u32 = 4;

/// The oldest format that can be upgraded.
const OLDEST: u32 = 1;

/// What a tenant's directory is called while it is being deleted; no tenant's name begins so.
const DELETED: &str = ".deleted-";

/// What a directory is called that is removed again at once.
const SCRATCH: &str = ".scratch-";

/// A data directory that can be used.
pub(super) struct Directory {
    root: PathBuf,
}

/// What `tenant.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// The number of the format of its tables; the first one did not say.
    #[serde(default = "oldest")]
    pub(super) format: u32,
    /// Names the embedding model.
    pub(super) model: String,
    /// Numbers in its vectors.
    pub(super) dimensions: usize,
    /// Tells the tenant from others that have had its name; empty of those that were created
    /// before this was written down, which differ from all later ones.
    #[serde(default)]
    pub(super) incarnation: Arc<str>,
}

fn oldest() -> u32 {
    OLDEST
}

impl Meta {
    /// Of a new tenant whose vectors are of that model.
    pub(super) fn new(model: &str, dimensions: usize) -> Self {
        Self { format: FORMAT, model: model.to_owned(), dimensions, incarnation: incarnation() }
    }
}

impl Directory {
    /// Checks a data directory, and creates it if it is missing.
    pub(super) fn prepare(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).map_err(|error| cannot("find", root, error))?;
        if std::fs::metadata(&root).is_ok_and(|found| !found.is_dir()) {
            return Err(Error::unavailable(format!(
                "the data directory {} is a file: choose a directory, or a path where one can be created",
                root.display()
            )));
        }
        create(&root)?;
        rustix::fs::access(&root, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).map_err(
            |error| {
                Error::unavailable(format!(
                    "the data directory {} cannot be both read and written by this user: change its \
                     permissions, or choose another",
                    root.display()
                ))
                .with_source(error)
            },
        )?;
        check_format(&root)?;
        create(&root.join("tenants"))?;
        Ok(Self { root })
    }

    /// A data directory as it is; `None` if it is none.
    pub(super) fn existing(root: &Path) -> Result<Option<Self>> {
        let root = std::path::absolute(root).map_err(|error| cannot("find", root, error))?;
        Ok(format(&root)?.map(|_| Self { root }))
    }

    /// Where a tenant's data lies.
    pub(super) fn tenant(&self, tenant: &TenantId) -> PathBuf {
        self.tenants_dir().join(tenant.as_str())
    }

    fn tenants_dir(&self) -> PathBuf {
        self.root.join("tenants")
    }

    /// What a tenant was created with; `None` if there is no such tenant.
    pub(super) fn meta(&self, tenant: &TenantId) -> Result<Option<Meta>> {
        let path = self.tenant(tenant).join(MARKER);
        read(&path)?.map(|text| parse_meta(&path, &text)).transpose()
    }

    /// Creates a tenant; false if there is one.
    pub(super) fn create(&self, tenant: &TenantId, meta: &Meta) -> Result<bool> {
        let dir = self.tenant(tenant);
        create(&dir)?;
        write_new(&dir.join(MARKER), &meta_text(meta)?)
    }

    /// Bytes of all files of a tenant. Those of a table's backup are links to its files, and count
    /// twice until these are replaced.
    pub(super) fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        let dir = self.tenant(tenant);
        match size(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            found => found.map_err(|error| cannot("measure", &dir, error)),
        }
    }

    /// Keeps a tenant's tables as they are, before they are upgraded. Nothing is copied: the
    /// files are linked, and never change.
    pub(super) fn back_up(&self, tenant: &TenantId, format: u32) -> Result<()> {
        let dir = self.tenant(tenant);
        let backup = dir.join(format!("backup-format-{format}"));
        if backup.exists() {
            return Ok(());
        }
        let link = || -> io::Result<()> {
            let unfinished = dir.join(format!("backup-{:016x}.tmp", SystemEntropy.next_u64()));
            create_dir(&unfinished)?;
            for entry in std::fs::read_dir(&dir)? {
                let path = entry?.path();
                let (Some(name), true) = (
                    path.file_name(),
                    path.extension().is_some_and(|extension| extension == "lance"),
                ) else {
                    continue;
                };
                link_tree(&path, &unfinished.join(name))?;
            }
            std::fs::rename(&unfinished, &backup)?;
            File::open(&dir)?.sync_all()
        };
        link().map_err(|error| cannot("back up", &dir, error))
    }

    /// Notes that a tenant's tables are of the newest format.
    pub(super) fn set_upgraded(&self, tenant: &TenantId, meta: &Meta) -> Result<()> {
        let path = self.tenant(tenant).join(MARKER);
        replace(&path, &meta_text(&Meta { format: FORMAT, ..meta.clone() })?)
    }

    /// Removes a table that is not of the newest format, and that a backup has. What stays, should
    /// it be interrupted, is in nobody's way.
    pub(super) fn remove_table(&self, tenant: &TenantId, table: &str) {
        let _ = std::fs::remove_dir_all(self.tenant(tenant).join(format!("{table}.lance")));
    }

    /// What lies where the tenants do, by name.
    pub(super) fn inside(&self) -> Result<Vec<PathBuf>> {
        let dir = self.tenants_dir();
        let entries = std::fs::read_dir(&dir).map_err(|error| cannot("read", &dir, error))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        Ok(paths)
    }

    /// The tenants that exist, by name.
    pub(super) fn tenants(&self) -> Result<Vec<TenantId>> {
        let dir = self.tenants_dir();
        let entries = std::fs::read_dir(&dir).map_err(|error| cannot("read", &dir, error))?;
        let mut tenants = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| cannot("read", &dir, error))?;
            let name = entry.file_name();
            let tenant = name.to_str().and_then(|name| TenantId::new(name).ok());
            if let Some(tenant) = tenant.filter(|_| entry.path().join(MARKER).exists()) {
                tenants.push(tenant);
            }
        }
        tenants.sort();
        Ok(tenants)
    }

    /// Deletes a tenant's data; false if there is none. Also removes what an
    /// earlier deletion left behind when it was interrupted.
    pub(super) fn delete(&self, tenant: &TenantId) -> Result<bool> {
        let dir = self.tenant(tenant);
        let existed = dir.join(MARKER).exists();
        if dir.exists() {
            // Renamed first: it is gone at once and as a whole, however long removing it takes.
            let random = SystemEntropy.next_u64();
            let doomed = self.tenants_dir().join(format!("{DELETED}{tenant}-{random:016x}"));
            std::fs::rename(&dir, &doomed).map_err(|error| cannot("delete", &dir, error))?;
        }
        let all = self.tenants_dir();
        for entry in std::fs::read_dir(&all).map_err(|error| cannot("read", &all, error))?.flatten()
        {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if is_left_over(&name) {
                let path = entry.path();
                match std::fs::remove_dir_all(&path) {
                    // Another process removes it, too.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    result => result.map_err(|error| cannot("delete", &path, error))?,
                }
            }
        }
        Ok(existed)
    }
}

/// Whether a directory of that name among the tenants' is of something that was interrupted.
pub(super) fn is_left_over(name: &str) -> bool {
    name.starts_with(DELETED) || name.starts_with(SCRATCH)
}

/// A tenant's directory once more, made of links to its files, until it is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let name = format!("{SCRATCH}{:016x}", SystemEntropy.next_u64());
        let scratch = Self(dir.with_file_name(name));
        link_tree(dir, &scratch.0).map_err(|error| cannot("link", dir, error))?;
        // What was set aside earlier is none of its business.
        let quarantine = scratch.0.join(QUARANTINE);
        if quarantine.exists() {
            std::fs::remove_dir_all(&quarantine)
                .map_err(|error| cannot("remove", &quarantine, error))?;
        }
        Ok(scratch)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is removed with the next tenant that is deleted.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn check_format(root: &Path) -> Result<()> {
    let path = root.join("FORMAT");
    match format(root)? {
        Some(FORMAT) => Ok(()),
        Some(_) => replace(&path, &format!("{FORMAT}\n")),
        None => write_new(&path, &format!("{FORMAT}\n")).map(drop),
    }
}

/// The number of a data directory's format; `None` if it has none yet.
fn format(root: &Path) -> Result<Option<u32>> {
    let path = root.join("FORMAT");
    let Some(text) = read(&path)? else { return Ok(None) };
    match text.trim().parse::<u32>() {
        Ok(known @ OLDEST..=FORMAT) => Ok(Some(known)),
        Ok(newer) if newer > FORMAT => Err(Error::unavailable(format!(
            "the data directory {} has format {newer}, and this version of repertoire reads format \
             {FORMAT}: use a newer version, or choose another directory",
            root.display()
        ))),
        _ => Err(Error::unavailable(format!(
            "{} holds {}, not the number of a format: if this is a data directory of repertoire, \
             write {FORMAT} into that file; if it is not, choose another",
            path.display(),
            quoted(&text)
        ))),
    }
}

fn meta_text(meta: &Meta) -> Result<String> {
    serde_json::to_string_pretty(meta)
        .map_err(|error| Error::internal("cannot write JSON").with_source(error))
}

fn parse_meta(path: &Path, text: &str) -> Result<Meta> {
    let meta: Meta = serde_json::from_str(text).map_err(|error| {
        Error::unavailable(format!(
            "{} is damaged: write the embedding model into it again, for example \
             {{\"model\": \"all-MiniLM-L6-v2\", \"dimensions\": 384}}",
            path.display()
        ))
        .with_source(error)
    })?;
    if meta.format > FORMAT {
        return Err(Error::unavailable(format!(
            "{} is of format {}, and this version of repertoire reads format {FORMAT}: use a newer version",
            path.display(),
            meta.format
        )));
    }
    Ok(meta)
}

/// A small file's text; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, error)),
    }
}

/// Creates a file with all of its text or not at all; leaves one that is there as it is,
/// and answers whether it was created.
fn write_new(path: &Path, text: &str) -> Result<bool> {
    let temporary = path.with_extension(format!("{:016x}.tmp", SystemEntropy.next_u64()));
    let write = || -> io::Result<bool> {
        let mut file = File::create_new(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let created = match std::fs::hard_link(&temporary, path) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())?;
        Ok(created)
    };
    let written = write();
    // Whatever happened, the temporary name is not needed any more.
    let _ = std::fs::remove_file(&temporary);
    written.map_err(|error| cannot("write", path, error))
}

/// Puts a file with that text in the place of another, at once.
fn replace(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension(format!("{:016x}.tmp", SystemEntropy.next_u64()));
    let write = || -> io::Result<()> {
        let mut file = File::create_new(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(|error| {
        // It may never have been created.
        let _ = std::fs::remove_file(&temporary);
        cannot("write", path, error)
    })
}

/// Makes the files of a directory be found in another, too.
fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_tree(&source, &target)?;
        } else if std::fs::hard_link(&source, &target).is_err() {
            // Not every file system has links.
            std::fs::copy(&source, &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

/// Creates a directory, and those above it, for this user alone.
fn create(dir: &Path) -> Result<()> {
    create_dir(dir).map_err(|error| cannot("create", dir, error))
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    Error::unavailable(format!(
        "cannot {what} {} of the data directory: check the path and its permissions, or choose another directory",
        path.display()
    ))
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn refused(root: &Path) -> String {
        let error = Directory::prepare(root).err().unwrap();
        assert_eq!(error.code(), Code::Unavailable);
        error.chain()
    }

    #[test]
    fn creates_what_is_missing_for_this_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b c");
        let directory = Directory::prepare(&root).unwrap();
        assert_eq!(std::fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_to_string(root.join("FORMAT")).unwrap(), format!("{FORMAT}\n"));
        let (acme, meta) = (TenantId::new("acme").unwrap(), Meta::new("m", 3));
        assert_eq!(directory.meta(&acme).unwrap(), None);
        assert!(directory.create(&acme, &meta).unwrap());
        let other = Meta::new("o", 4);
        let again = Directory::prepare(&root).unwrap();
        assert!(!again.create(&acme, &other).unwrap());
        assert_eq!(again.meta(&acme).unwrap(), Some(meta));
        assert_eq!(directory.tenants().unwrap(), std::slice::from_ref(&acme));
        assert_eq!(std::fs::read_dir(directory.tenant(&acme)).unwrap().count(), 1);
        assert!(directory.delete(&acme).unwrap());
        assert!(!directory.delete(&acme).unwrap());
        assert_eq!(std::fs::read_dir(root.join("tenants")).unwrap().count(), 0);
    }

    #[test]
    fn refuses_what_it_cannot_use() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(refused(&file).contains("is a file"));
        assert!(refused(&file.join("below")).contains("cannot create"));
        std::fs::write(dir.path().join("FORMAT"), (FORMAT + 1).to_string()).unwrap();
        let message = refused(dir.path());
        let (newer, known) = (format!("format {}", FORMAT + 1), format!("format {FORMAT}"));
        assert!(message.contains(&newer) && message.contains(&known), "{message}");
        std::fs::write(dir.path().join("FORMAT"), b"\xff\0").unwrap();
        assert!(refused(dir.path()).contains("not the number"));
    }

    #[test]
    fn refuses_a_directory_that_is_read_only() {
        use std::os::unix::fs::PermissionsExt;
        if rustix::process::geteuid().is_root() {
            return; // whom permissions do not stop
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o500)).unwrap();
        assert!(refused(dir.path()).contains("permissions"));
    }

    #[test]
    fn says_which_file_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(dir.path()).unwrap();
        let (acme, meta) = (TenantId::new("acme").unwrap(), Meta::new("m", 3));
        directory.create(&acme, &meta).unwrap();
        std::fs::write(directory.tenant(&acme).join(MARKER), "").unwrap();
        let error = directory.meta(&acme).unwrap_err();
        assert!(error.message().contains("tenant.json is damaged"), "{error}");
    }
}
