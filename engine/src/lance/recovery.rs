//! What to do with a table that does not open.
//!
//! LanceDB commits by making one manifest file with a new version's number,
//! atomically; but it does not force files to disk. After a power cut the
//! newest manifest may be there by name and be empty, cut short or all zeros,
//! and LanceDB looks no further than the newest. Here it is set aside, so that
//! the version before it is the newest again. Nothing is deleted.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};

/// The last bytes of a manifest: offset of the message (8), format (4), magic (4).
const FOOTER: u64 = 16;
const MAGIC: &[u8] = b"LANC";

/// The newest manifest of a table.
struct Newest {
    path: PathBuf,
    version: u64,
    /// Whether there are older ones.
    has_older: bool,
}

/// Sets the newest manifest of the table in `table` aside if it is damaged:
/// torn, or `suspect`, which is that LanceDB could not make sense of it.
/// Answers whether it did, so that opening the table is worth another try.
///
/// # Errors
/// If it is damaged and there is no older version.
pub(super) fn set_damage_aside(table: &Path, quarantine: &Path, suspect: bool) -> Result<bool> {
    let unavailable = |error: io::Error| {
        let what = format!("cannot examine the damaged table {}", table.display());
        Error::unavailable(what).with_source(error)
    };
    let Some(newest) = newest(&table.join("_versions")).map_err(unavailable)? else {
        return Ok(false);
    };
    if !suspect && !is_cut(&newest.path).map_err(unavailable)? {
        return Ok(false);
    }
    // A table that was just being created has nothing to lose; any other must not become empty unnoticed.
    if !newest.has_older && newest.version > 1 {
        return Err(Error::unavailable(format!(
            "the only manifest of a table, {}, is damaged: restore that file from a backup, or \
             move the directory {} away to begin anew without its rows",
            newest.path.display(),
            table.display()
        )));
    }
    let aside = set_aside(table, &newest, quarantine).map_err(unavailable)?;
    tracing::warn!(
        damaged = %newest.path.display(),
        version = newest.version,
        kept_as = %aside.display(),
        "the newest version of a table was damaged, probably by a power cut; continuing with the version before it"
    );
    Ok(true)
}

/// Sets aside every manifest that is newer than `good`, because files that it names are damaged.
pub(super) fn set_versions_aside(
    table: &Path,
    quarantine: &Path,
    good: u64,
    damaged: &[PathBuf],
) -> Result<()> {
    let unavailable = |error: io::Error| {
        let what = format!("cannot recover the damaged table {}", table.display());
        Error::unavailable(what).with_source(error)
    };
    let mut manifests = manifests(&table.join("_versions")).map_err(unavailable)?;
    // The newest first: whoever is interrupted leaves a table with its newest versions missing.
    manifests.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    for (version, path) in manifests.into_iter().filter(|(version, _)| *version > good) {
        let newest = Newest { path, version, has_older: true };
        let aside = set_aside(table, &newest, quarantine).map_err(unavailable)?;
        tracing::warn!(
            damaged = ?damaged, version, kept_as = %aside.display(),
            "files of a table's newest version are missing or cut, probably by a power cut; continuing with a version before it"
        );
    }
    Ok(())
}

/// What LanceDB notes beside the manifests: the newest version, when it was committed.
const HINT: &str = "latest_version_hint.json";

/// A version that was committed and whose manifest is gone, with the newest one there is.
pub(super) fn lost_version(table: &Path) -> Option<(u64, u64)> {
    #[derive(serde::Deserialize)]
    struct Hint {
        version: u64,
    }
    let versions = table.join("_versions");
    // First the hint: what is committed in between makes the newest newer, not the hint.
    let hint = std::fs::read(versions.join(HINT)).ok()?;
    let Hint { version } = serde_json::from_slice(&hint).ok()?;
    let newest = newest(&versions).ok()??.version;
    (version > newest).then_some((version, newest))
}

/// Whether the table's newest manifest is torn, or cannot even be read.
pub(super) fn is_torn(table: &Path) -> bool {
    match newest(&table.join("_versions")) {
        Ok(newest) => newest.is_some_and(|newest| is_cut(&newest.path).unwrap_or(true)),
        Err(_) => true,
    }
}

/// Whether a table has at least that many versions, half of which are older than
/// `since`. Dropping versions means to read every manifest, so it has to be worth it.
pub(super) fn has_stale_versions(table: &Path, least: usize, since: SystemTime) -> bool {
    let Ok(mut manifests) = manifests(&table.join("_versions")) else { return false };
    manifests.sort_unstable_by_key(|(version, _)| *version);
    manifests.len() >= least
        && manifests
            .get(manifests.len() / 2)
            .and_then(|(_, path)| std::fs::metadata(path).ok()?.modified().ok())
            .is_some_and(|modified| modified < since)
}

fn manifests(versions: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match std::fs::read_dir(versions) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut manifests = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(version) = version(&path) {
            manifests.push((version, path));
        }
    }
    Ok(manifests)
}

fn newest(versions: &Path) -> io::Result<Option<Newest>> {
    let manifests = manifests(versions)?;
    let has_older = manifests.len() > 1;
    let newest = manifests.into_iter().max_by_key(|(version, _)| *version);
    Ok(newest.map(|(version, path)| Newest { path, version, has_older }))
}

/// The version that a manifest's file name stands for: twenty digits that count
/// down from the largest number, or fewer that count up.
fn version(path: &Path) -> Option<u64> {
    if path.extension() != Some(OsStr::new("manifest")) {
        return None;
    }
    let digits = path.file_stem()?.to_str()?;
    let number: u64 = digits.parse().ok()?;
    Some(if digits.len() == 20 { u64::MAX - number } else { number })
}

/// Whether a manifest is not even complete.
fn is_cut(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(FOOTER) else { return Ok(true) };
    file.seek(SeekFrom::Start(end))?;
    let (mut offset, mut rest) = ([0; 8], [0; 8]);
    file.read_exact(&mut offset)?;
    file.read_exact(&mut rest)?;
    let begin = u64::from_le_bytes(offset);
    if !rest.ends_with(MAGIC) || begin.saturating_add(4) > end {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(begin))?;
    let mut message = [0; 4];
    file.read_exact(&mut message)?;
    Ok(begin + 4 + u64::from(u32::from_le_bytes(message)) > end)
}

fn set_aside(table: &Path, newest: &Newest, quarantine: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(quarantine)?;
    // It names what is about to go.
    match std::fs::remove_file(table.join("_versions").join(HINT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let table = table.file_stem().and_then(OsStr::to_str).unwrap_or("table");
    let mut attempt = 0_u32;
    loop {
        let aside = quarantine.join(format!("{table}-{}-{attempt}.manifest", newest.version));
        if aside.exists() {
            attempt += 1;
            continue;
        }
        return match std::fs::rename(&newest.path, &aside) {
            // Another process was quicker, and as good.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(aside),
            result => result.map(|()| aside),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(message: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(message.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(message);
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(MAGIC);
        bytes
    }

    #[test]
    fn knows_a_torn_manifest_wherever_it_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.manifest");
        let whole = manifest(b"a message");
        std::fs::write(&path, &whole).unwrap();
        assert!(!is_cut(&path).unwrap());
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(is_cut(&path).unwrap(), "cut at {cut}");
            let mut zeros = whole.clone();
            zeros[cut..].fill(0);
            std::fs::write(&path, &zeros).unwrap();
            assert!(is_cut(&path).unwrap(), "zeros from {cut}");
        }
    }

    #[test]
    fn sets_aside_the_newest_only_and_never_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let (table, quarantine) = (dir.path().join("t.lance"), dir.path().join("quarantine"));
        let versions = table.join("_versions");
        std::fs::create_dir_all(&versions).unwrap();
        let name = |version: u64| versions.join(format!("{:020}.manifest", u64::MAX - version));
        std::fs::write(name(7), manifest(b"seven")).unwrap();
        std::fs::write(name(8), b"").unwrap();
        std::fs::write(versions.join("latest_version_hint.json"), b"{}").unwrap();
        assert!(set_damage_aside(&table, &quarantine, false).unwrap());
        assert!(name(7).exists() && !name(8).exists());
        assert!(quarantine.join("t-8-0.manifest").exists());
        assert!(!set_damage_aside(&table, &quarantine, false).unwrap());
        std::fs::write(name(7), b"LANC").unwrap();
        assert!(set_damage_aside(&table, &quarantine, false).is_err());
        assert!(name(7).exists());
    }
}
