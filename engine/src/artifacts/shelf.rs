//! What a tenant may do with its artifacts, wherever they lie.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, MutexGuard};

use super::upload::Unfinished;
use super::{
    ArtifactLimits, Artifacts, BINARY, Content, Filter, JSON, MAX_ARTIFACT, MAX_PAGE, MAX_WHOLE,
    Metadata, PIECE, SaveOptions, Upload, kind, usual_media_type,
};
use crate::clock::{Clock, Entropy, SystemEntropy, Timestamp};
use crate::error::{Code, Error, Result};
use crate::id::{ArtifactName, quoted};
use crate::json::Json;
use crate::quota::LiveQuota;

/// How many writers may race for a version before one gives up: more than a
/// tenant has runs at once.
const MAX_ATTEMPTS: u32 = 256;

/// How many bytes, and how many saves, are written before the disk is looked at again.
const LOOK_EVERY_BYTES: u64 = 32 << 20;
const LOOK_EVERY_SAVES: u64 = 256;

/// What a save costs beside its content: a row, a manifest, a file.
const OVERHEAD: u64 = LOOK_EVERY_BYTES / LOOK_EVERY_SAVES;

/// What the disk may hold beyond twice the quota: files of their own for small things.
const SLACK: u64 = 128 << 20;

/// A century: as good as for ever.
const MAX_EXPIRY: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Pieces of an upload that is older than any run are nobody's.
const STRAY_AFTER_MILLIS: u64 = 24 * 3600 * 1000;

/// One tenant's artifacts, and the rules.
pub(crate) struct Shelf {
    store: Arc<dyn Artifacts>,
    clock: Arc<dyn Clock>,
    limits: ArtifactLimits,
    /// Of which the number of artifacts is looked at here.
    quota: LiveQuota,
    /// Held from looking at the quota to having saved.
    saving: Mutex<()>,
    unfinished: Arc<Unfinished>,
    /// Bytes written since the disk was looked at.
    unseen: AtomicU64,
}

impl Shelf {
    pub(crate) fn new(
        store: Arc<dyn Artifacts>,
        clock: Arc<dyn Clock>,
        limits: ArtifactLimits,
    ) -> Self {
        Self {
            store,
            clock,
            limits,
            quota: LiveQuota::default(),
            saving: Mutex::default(),
            unfinished: Arc::default(),
            // So that the first save looks for what an earlier process left behind.
            unseen: AtomicU64::new(LOOK_EVERY_BYTES),
        }
    }

    /// Keeps to a tenant's quota.
    pub(crate) fn with_quota(mut self, quota: LiveQuota) -> Self {
        self.quota = quota;
        self
    }

    /// Whether this is the shelf of that store.
    pub(crate) fn is_of(&self, store: &Arc<dyn Artifacts>) -> bool {
        Arc::ptr_eq(&self.store, store)
    }

    /// Saves a new version.
    pub(crate) async fn save(
        &self,
        name: &ArtifactName,
        content: &Content,
        options: SaveOptions,
    ) -> Result<Metadata> {
        options.check(name)?;
        let bytes = content.as_bytes();
        if content.kind() != BINARY && bytes.len() > MAX_WHOLE {
            return Err(Error::invalid_argument(format!(
                "artifact {name} has {} bytes, and {} at most {MAX_WHOLE}; save it as bytes, or in parts",
                bytes.len(),
                content.kind()
            )));
        }
        check_size(name, bytes.len() as u64)?;
        let all = self.room_for(bytes.len() as u64, None).await?;
        let mut pieces = None;
        if bytes.len() > PIECE {
            self.check_count(name, &all.0)?;
            let id = SystemEntropy.next_u64();
            let content = bytes.chunks(PIECE).map(Bytes::copy_from_slice).collect();
            self.store.write(id, 0, content, self.clock.now()).await?;
            pieces = Some(id);
        }
        let digest = hex(&Sha256::digest(bytes));
        let size = bytes.len() as u64;
        let new = self.describe(name, content.kind(), options, size, digest, pieces);
        let whole = pieces.is_none().then(|| Bytes::copy_from_slice(bytes));
        self.insert(new, whole, all.0).await
    }

    /// Begins an upload in pieces.
    pub(crate) fn begin(&self) -> Upload {
        Upload::new(SystemEntropy.next_u64(), &self.unfinished)
    }

    /// Takes the next piece of an upload.
    pub(crate) async fn append(&self, upload: &mut Upload, piece: &[u8]) -> Result<()> {
        if upload.size.saturating_add(piece.len() as u64) > MAX_ARTIFACT {
            return Err(Error::invalid_argument(format!(
                "an artifact has at most {MAX_ARTIFACT} bytes; save it in parts"
            )));
        }
        let full = upload.take(piece);
        if !full.is_empty() {
            self.write(upload, full).await?;
        }
        Ok(())
    }

    async fn write(&self, upload: &mut Upload, pieces: Vec<Bytes>) -> Result<()> {
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        drop(self.room_for(bytes, None).await?);
        let count = pieces.len() as u64;
        upload.count(bytes);
        self.store.write(upload.id, upload.written, pieces, self.clock.now()).await?;
        upload.written += count;
        Ok(())
    }

    /// Saves what was uploaded as a new version.
    pub(crate) async fn finish(
        &self,
        name: &ArtifactName,
        mut upload: Upload,
        options: SaveOptions,
    ) -> Result<Metadata> {
        options.check(name)?;
        if upload.written == 0 {
            // All of it is still here: it is small.
            let bytes = upload.rest();
            return self.save(name, &Content::Binary(bytes.into()), options).await;
        }
        let rest = upload.last();
        if !rest.is_empty() {
            self.write(&mut upload, rest).await?;
        }
        let all = self.room_for(0, Some(upload.kept)).await?;
        let (size, digest) = (upload.size, upload.digest());
        let new = self.describe(name, BINARY, options, size, digest, Some(upload.id));
        let saved = self.insert(new, None, all.0).await?;
        upload.finished();
        Ok(saved)
    }

    /// One version of an artifact, or its newest.
    pub(crate) async fn find(
        &self,
        name: &ArtifactName,
        version: Option<u64>,
    ) -> Result<Option<Metadata>> {
        let mut kept = self.versions(name).await?.into_iter();
        Ok(match version {
            None => kept.next(),
            Some(wanted) => kept.find(|known| known.version == wanted),
        })
    }

    /// The content of a version.
    pub(crate) async fn content(&self, of: &Metadata) -> Result<Content> {
        let mut bytes = Vec::with_capacity(usize::try_from(of.size).unwrap_or_default());
        while (bytes.len() as u64) < of.size {
            bytes.extend_from_slice(&self.read(of, bytes.len() as u64).await?);
        }
        if of.kind == BINARY {
            return Ok(Content::Binary(bytes.into()));
        }
        let text = String::from_utf8(bytes).map_err(|error| damaged(of).with_source(error))?;
        if of.kind == JSON {
            let json = Json::parse(text).map_err(|error| damaged(of).with_source(error));
            return Ok(Content::Json(json?));
        }
        Ok(Content::Text(text.into()))
    }

    /// What there is of a version's content from an offset on, up to [`PIECE`] bytes; empty at its end.
    pub(crate) async fn read(&self, of: &Metadata, offset: u64) -> Result<Bytes> {
        if offset >= of.size {
            return Ok(Bytes::new());
        }
        let (number, within) = match of.pieces {
            Some(_) => (offset / PIECE as u64, offset % PIECE as u64),
            None => (0, offset),
        };
        let piece = self.store.read(of, number).await?.ok_or_else(|| {
            Error::not_found(format!(
                "version {} of artifact {} was removed while it was read",
                of.version, of.name
            ))
        })?;
        let within = usize::try_from(within).unwrap_or(usize::MAX);
        if within >= piece.len() {
            return Err(damaged(of));
        }
        Ok(piece.slice(within..piece.len().min(within.saturating_add(PIECE))))
    }

    /// The newest version of each artifact that the filter admits, by name.
    pub(crate) async fn list(&self, filter: &Filter) -> Result<Vec<Metadata>> {
        if !filter.kind.is_empty() && kind(&filter.kind).is_none() {
            return Err(Error::invalid_argument(format!(
                "{} is no kind of artifact; there are json, text and binary",
                quoted(&filter.kind)
            )));
        }
        let limit = if filter.limit == 0 { MAX_PAGE } else { filter.limit.min(MAX_PAGE) };
        let now = self.clock.now();
        let mut newest = BTreeMap::<ArtifactName, Metadata>::new();
        for found in self.store.versions(None).await? {
            let known = newest.get(&found.name);
            if !found.is_expired(now) && known.is_none_or(|known| known.version < found.version) {
                newest.insert(found.name.clone(), found);
            }
        }
        Ok(newest.into_values().filter(|found| filter.admits(found)).take(limit).collect())
    }

    /// All versions of a name that are kept, the newest first.
    pub(crate) async fn versions(&self, name: &ArtifactName) -> Result<Vec<Metadata>> {
        let mut found = self.store.versions(Some(name)).await?;
        let now = self.clock.now();
        found.retain(|version| !version.is_expired(now));
        found.sort_by_key(|version| Reverse(version.version));
        found.truncate(self.limits.versions.max(1) as usize);
        Ok(found)
    }

    /// Deletes one version, or all; false if there was none.
    pub(crate) async fn delete(&self, name: &ArtifactName, version: Option<u64>) -> Result<bool> {
        let now = self.clock.now();
        let mut doomed = self.store.versions(Some(name)).await?;
        doomed.retain(|found| version.is_none_or(|version| found.version == version));
        let existed = doomed.iter().any(|found| !found.is_expired(now));
        if !doomed.is_empty() {
            self.store.remove(&doomed).await?;
        }
        Ok(existed)
    }

    fn describe(
        &self,
        name: &ArtifactName,
        kind: &'static str,
        options: SaveOptions,
        size: u64,
        digest: String,
        pieces: Option<u64>,
    ) -> Metadata {
        let created_at = self.clock.now();
        let media_type = match options.media_type.is_empty() {
            false => options.media_type,
            true => usual_media_type(kind).to_owned(),
        };
        let expires_at = options.expires_in.map(|time| {
            let time = u64::try_from(time.min(MAX_EXPIRY).as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(created_at.as_millis().saturating_add(time))
        });
        Metadata {
            name: name.clone(),
            version: 0,
            kind,
            media_type,
            description: options.description,
            size,
            digest,
            created_at,
            expires_at,
            run: options.run,
            pieces,
        }
    }

    /// Makes sure that there may be an artifact of that name beside those that are known.
    fn check_count(&self, name: &ArtifactName, known: &[Metadata]) -> Result<()> {
        let Some(most) = self.quota.get().artifacts else { return Ok(()) };
        let names: HashSet<_> = known.iter().map(|found| &found.name).collect();
        if names.contains(name) || (names.len() as u64) < most {
            return Ok(());
        }
        let message = format!(
            "the tenant has {} artifacts and may have {most}: delete some, or raise quota.artifacts",
            names.len()
        );
        Err(Error::new(Code::QuotaExceeded, message))
    }

    /// How many artifacts there are.
    pub(crate) async fn count(&self) -> Result<u64> {
        let (all, now) = (self.store.versions(None).await?, self.clock.now());
        let names: HashSet<_> =
            all.iter().filter(|found| !found.is_expired(now)).map(|found| &found.name).collect();
        Ok(names.len() as u64)
    }

    /// Inserts the next version. Somebody else may take its number, and then
    /// both are kept, one after the other.
    async fn insert(
        &self,
        mut new: Metadata,
        whole: Option<Bytes>,
        mut known: Vec<Metadata>,
    ) -> Result<Metadata> {
        self.check_count(&new.name, &known)?;
        for _ in 0..MAX_ATTEMPTS {
            let own = known.iter().filter(|found| found.name == new.name);
            new.version = own.map(|found| found.version).max().unwrap_or(0) + 1;
            if self.store.insert(&new, whole.clone()).await? {
                self.drop_old(known, &new).await?;
                return Ok(new);
            }
            known = self.store.versions(Some(&new.name)).await?;
        }
        let name = &new.name;
        Err(Error::new(Code::Busy, format!("too many save artifact {name} at once; try again")))
    }

    /// Drops versions beyond those that are kept: a few at a time, for each removal is a commit.
    async fn drop_old(&self, mut known: Vec<Metadata>, new: &Metadata) -> Result<()> {
        let keep = self.limits.versions.max(1) as usize;
        known.retain(|found| found.name == new.name);
        // The new one is not among them.
        if known.len() < keep + keep / 4 {
            return Ok(());
        }
        known.sort_by_key(|found| Reverse(found.version));
        self.store.remove(known.get(keep - 1..).unwrap_or_default()).await.map(drop)
    }

    /// All versions that there are, once it is certain that so many bytes more
    /// may be kept; of an upload that is `counted` under way already, none.
    /// Nobody else saves until what is returned is dropped.
    async fn room_for(
        &self,
        bytes: u64,
        counted: Option<u64>,
    ) -> Result<(Vec<Metadata>, MutexGuard<'_, ()>)> {
        let saving = self.saving.lock().await;
        let (mut all, now) = (self.store.versions(None).await?, self.clock.now());
        let expired: Vec<_> = all.extract_if(.., |found| found.is_expired(now)).collect();
        if !expired.is_empty() {
            self.store.remove(&expired).await?;
        }
        self.remove_given_up(&all).await?;
        let kept: u64 = all.iter().map(|found| found.size).sum();
        let under_way = self.unfinished.bytes.load(Ordering::Relaxed);
        let used = kept + under_way.saturating_sub(counted.unwrap_or(0));
        let quota = self.limits.quota_bytes;
        let wanted = bytes + counted.unwrap_or(0);
        if used.saturating_add(wanted) > quota {
            return Err(Error::new(
                Code::QuotaExceeded,
                format!(
                    "the tenant's artifacts, older versions included, have {used} bytes and may have \
                     {quota}: {wanted} more do not fit; delete some, or raise artifacts.quota_mib"
                ),
            ));
        }
        self.look_at_disk(bytes + OVERHEAD, &all).await?;
        Ok((all, saving))
    }

    async fn look_at_disk(&self, bytes: u64, all: &[Metadata]) -> Result<()> {
        if self.unseen.fetch_add(bytes, Ordering::Relaxed) < LOOK_EVERY_BYTES {
            return Ok(());
        }
        let kept = all.iter().filter_map(|found| found.pieces).collect();
        let before = self.clock.now().as_millis().saturating_sub(STRAY_AFTER_MILLIS);
        self.store.remove_strays(&kept, Timestamp::from_millis(before)).await?;
        let most = self.limits.quota_bytes.saturating_mul(2).saturating_add(SLACK);
        let found = self.store.disk(most).await?;
        if found > most {
            return Err(Error::new(
                Code::QuotaExceeded,
                format!(
                    "the tenant's artifacts, what was deleted a moment ago included, take {found} bytes \
                     of disk and may take {most}; the rest is given back within a minute"
                ),
            ));
        }
        self.unseen.store(0, Ordering::Relaxed);
        Ok(())
    }

    async fn remove_given_up(&self, all: &[Metadata]) -> Result<()> {
        let given_up = self.unfinished.take_given_up();
        if given_up.is_empty() {
            return Ok(());
        }
        // Whatever has a row is kept, whoever thinks otherwise.
        let doomed = given_up.into_iter().filter(|id| all.iter().all(|f| f.pieces != Some(*id)));
        let doomed: Vec<Metadata> = doomed.map(stray).collect::<Result<_>>()?;
        self.store.remove(&doomed).await.map(drop)
    }
}

/// A version that was never inserted, by which its pieces are removed.
fn stray(pieces: u64) -> Result<Metadata> {
    Ok(Metadata {
        name: ArtifactName::new("-")?,
        version: 0,
        kind: BINARY,
        media_type: String::new(),
        description: String::new(),
        size: 0,
        digest: String::new(),
        created_at: Timestamp::default(),
        expires_at: None,
        run: None,
        pieces: Some(pieces),
    })
}

fn check_size(name: &ArtifactName, size: u64) -> Result<()> {
    if size <= MAX_ARTIFACT {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "artifact {name} has {size} bytes, and an artifact at most {MAX_ARTIFACT}; save it in parts"
    )))
}

fn damaged(of: &Metadata) -> Error {
    Error::unavailable(format!(
        "the data directory is damaged, or was changed by something else: version {} of artifact {} \
         is not as it was saved",
        of.version, of.name
    ))
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
