//! The data directory: what lies where, and whether it can be used.
//!
//! ```text
//! FORMAT                    the number of this layout
//! tenants/acme/tenant.json  the embedding model; with it, the tenant exists
//! tenants/acme/lock         locked while a table is created or recovered
//! tenants/acme/*.lance      LanceDB's tables
//! tenants/acme/approvals/   calls that wait, and the answers
//! tenants/acme/quarantine/  damaged files that were set aside
//! ```

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use crate::clock::{Entropy, SystemEntropy};
use crate::error::{Error, Result};
use crate::id::{TenantId, quoted};
use crate::lance::MARKER;

/// The number of this layout and of the tables' columns.
const FORMAT: u32 = 1;

/// What a tenant's directory is called while it is being deleted; no tenant's name begins so.
const DELETED: &str = ".deleted-";

/// A data directory that can be used.
pub(super) struct Directory {
    root: PathBuf,
}

/// What `tenant.json` says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Names the embedding model.
    pub(super) model: String,
    /// Numbers in its vectors.
    pub(super) dimensions: usize,
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
        let text = serde_json::to_string_pretty(meta)
            .map_err(|error| Error::internal("cannot write JSON").with_source(error))?;
        let created = write_new(&dir.join(MARKER), &text)?;
        // That there is such a directory has to reach the disk, too.
        let tenants = self.tenants_dir();
        let synced = File::open(&tenants).and_then(|dir| dir.sync_all());
        synced.map(|()| created).map_err(|error| cannot("write", &tenants, error))
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
            if entry.file_name().to_string_lossy().starts_with(DELETED) {
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

fn check_format(root: &Path) -> Result<()> {
    let path = root.join("FORMAT");
    let Some(text) = read(&path)? else {
        return write_new(&path, &format!("{FORMAT}\n")).map(drop);
    };
    match text.trim().parse::<u32>() {
        Ok(FORMAT) => Ok(()),
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

fn parse_meta(path: &Path, text: &str) -> Result<Meta> {
    serde_json::from_str(text).map_err(|error| {
        Error::unavailable(format!(
            "{} is damaged: write the embedding model into it again, for example \
             {{\"model\": \"all-MiniLM-L6-v2\", \"dimensions\": 384}}",
            path.display()
        ))
        .with_source(error)
    })
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

/// Creates a directory, and those above it, for this user alone.
fn create(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| cannot("create", dir, error))
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
        assert_eq!(std::fs::read_to_string(root.join("FORMAT")).unwrap(), "1\n");
        let (acme, meta) =
            (TenantId::new("acme").unwrap(), Meta { model: "m".into(), dimensions: 3 });
        assert_eq!(directory.meta(&acme).unwrap(), None);
        assert!(directory.create(&acme, &meta).unwrap());
        let other = Meta { model: "o".into(), dimensions: 4 };
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
        std::fs::write(dir.path().join("FORMAT"), "2").unwrap();
        let message = refused(dir.path());
        assert!(message.contains("format 2") && message.contains("format 1"), "{message}");
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
        let (acme, meta) =
            (TenantId::new("acme").unwrap(), Meta { model: "m".into(), dimensions: 3 });
        directory.create(&acme, &meta).unwrap();
        std::fs::write(directory.tenant(&acme).join(MARKER), "").unwrap();
        let error = directory.meta(&acme).unwrap_err();
        assert!(error.message().contains("tenant.json is damaged"), "{error}");
    }
}
