//! Named values that outlive a run, in versions.
//!
//! ```text
//! Shelf     what a tenant may do: versions, quota, expiry, uploads in pieces
//! Artifacts where the versions lie: lance.rs, memory.rs
//! ```

#[cfg(feature = "lancedb")]
pub mod lance;
pub mod memory;
mod shelf;
#[cfg(all(test, feature = "lancedb"))]
mod tests;
#[cfg(feature = "lancedb")]
pub(crate) mod upgrade;
mod upload;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{ArtifactName, RunId, quoted, sha256_hex};
use crate::json::Json;

pub(crate) use shelf::Shelf;
pub use upload::Upload;

/// The largest artifact of bytes, in bytes. It is handed over, kept and read in pieces.
pub const MAX_ARTIFACT: u64 = 256 << 20;

/// The largest JSON value or text, in bytes: both are checked as a whole, and
/// cross the sandbox's boundary in one piece.
pub const MAX_WHOLE: usize = 16 << 20;

/// The largest piece, in bytes. What is larger is kept in pieces of this size.
pub const PIECE: usize = 1 << 20;

/// The longest description of an artifact or a workflow, in bytes.
pub const MAX_DESCRIPTION: usize = 4096;

/// The most artifacts that one page of a list has.
pub const MAX_PAGE: usize = 1000;

/// The longest media type, in bytes (RFC 6838 has 127 for either half).
const MAX_MEDIA_TYPE: usize = 255;

/// What an artifact holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Any JSON value.
    Json(Json),
    /// Text.
    Text(Arc<str>),
    /// Bytes.
    Binary(Arc<[u8]>),
}

impl Content {
    /// `json`, `text` or `binary`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Json(_) => JSON,
            Self::Text(_) => TEXT,
            Self::Binary(_) => BINARY,
        }
    }

    /// The content as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(json) => json.as_str().as_bytes(),
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// SHA-256 of those bytes, in lower-case hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(self.as_bytes())
    }
}

pub(crate) const JSON: &str = "json";
pub(crate) const TEXT: &str = "text";
pub(crate) const BINARY: &str = "binary";

/// The kind of that name.
pub(crate) fn kind(name: &str) -> Option<&'static str> {
    [JSON, TEXT, BINARY].into_iter().find(|kind| *kind == name)
}

/// The media type of a kind of which nobody says more.
pub(crate) fn usual_media_type(kind: &str) -> &'static str {
    match kind {
        JSON => "application/json",
        TEXT => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// What is known of one version of an artifact without loading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Unique within a tenant.
    pub name: ArtifactName,
    /// 1 for the first that was saved under the name, and so on.
    pub version: u64,
    /// `json`, `text` or `binary`.
    pub kind: &'static str,
    /// For example `text/csv`.
    pub media_type: String,
    /// What it is.
    pub description: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub digest: String,
    /// When it was saved.
    pub created_at: Timestamp,
    /// When it is gone; `None` if it stays.
    pub expires_at: Option<Timestamp>,
    /// The run that saved it; `None` if it was saved from outside.
    pub run: Option<RunId>,
    /// Names its pieces, if it is kept in pieces.
    pub pieces: Option<u64>,
}

impl Metadata {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// How an artifact is saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaveOptions {
    /// What it is; at most [`MAX_DESCRIPTION`] bytes.
    pub description: String,
    /// For example `text/csv`; if empty, what follows from the kind of content.
    pub media_type: String,
    /// How long it is kept; `None` for as long as nobody deletes it.
    pub expires_in: Option<Duration>,
    /// The run that saves it.
    pub(crate) run: Option<RunId>,
}

impl<T: Into<String>> From<T> for SaveOptions {
    /// A description, and the rest as usual.
    fn from(description: T) -> Self {
        Self { description: description.into(), ..Self::default() }
    }
}

impl SaveOptions {
    fn check(&self, name: &ArtifactName) -> Result<()> {
        if self.description.len() > MAX_DESCRIPTION {
            return Err(Error::invalid_argument(format!(
                "the description of artifact {name} has more than {MAX_DESCRIPTION} bytes"
            )));
        }
        let token = |text: &str| {
            let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b);
            !text.is_empty() && text.bytes().all(is_token)
        };
        let (essence, rest) = self.media_type.split_once(';').unwrap_or((&self.media_type, ""));
        let is_type = essence.split_once('/').is_some_and(|(a, b)| token(a) && token(b.trim_end()))
            && rest.bytes().all(|b| matches!(b, b' '..=b'~'))
            && self.media_type.len() <= MAX_MEDIA_TYPE;
        if !self.media_type.is_empty() && !is_type {
            return Err(Error::invalid_argument(format!(
                "{} is not a media type; one is text/csv",
                quoted(&self.media_type)
            )));
        }
        if self.expires_in == Some(Duration::ZERO) {
            return Err(Error::invalid_argument(format!(
                "artifact {name} would expire at once; give it some time"
            )));
        }
        Ok(())
    }
}

/// Which artifacts a list shows: the newest version of each that all of this is true of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// What their names begin with.
    pub prefix: String,
    /// `json`, `text` or `binary`; all kinds if empty.
    pub kind: String,
    /// `text/csv`, or `text/` for all that begin so; all if empty.
    pub media_type: String,
    /// Names after this one: the last of the page before.
    pub after: String,
    /// How many, at most [`MAX_PAGE`]; 0 for as many.
    pub limit: usize,
}

impl Filter {
    fn admits(&self, artifact: &Metadata) -> bool {
        artifact.name.as_str().starts_with(&self.prefix)
            && (self.kind.is_empty() || artifact.kind == self.kind)
            && artifact.media_type.starts_with(&self.media_type)
            && artifact.name.as_str() > self.after.as_str()
    }
}

/// What one tenant may keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// Bytes of all versions together. The default, 1 GiB, is far more than
    /// agents' notes and reports take. What is deleted counts no more, but the
    /// disk may hold as much again for the minute until it is tidied.
    pub quota_bytes: u64,
    /// Versions of one name; older ones are dropped. The default is 32: enough
    /// to look back, and a bound for who saves in a loop.
    pub versions: u32,
}

impl Default for ArtifactLimits {
    fn default() -> Self {
        Self { quota_bytes: 1 << 30, versions: 32 }
    }
}

/// Where one tenant's artifacts lie. It keeps what it is given; what a tenant
/// may do is decided before.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Adds a version, atomically; false, and nothing done, if it is there
    /// already. `whole` is its content, unless that was [written](Self::write).
    async fn insert(&self, metadata: &Metadata, whole: Option<Bytes>) -> Result<bool>;

    /// Keeps pieces of a content; `first` counts the pieces before them.
    async fn write(
        &self,
        pieces: u64,
        first: u64,
        content: Vec<Bytes>,
        at: Timestamp,
    ) -> Result<()>;

    /// All of a content that was inserted whole, else the piece of that number;
    /// `None` if it is gone.
    async fn read(&self, metadata: &Metadata, piece: u64) -> Result<Option<Bytes>>;

    /// All versions of a name, or of all names, in no particular order.
    async fn versions(&self, name: Option<&ArtifactName>) -> Result<Vec<Metadata>>;

    /// Removes versions and their pieces; answers how many versions there were.
    async fn remove(&self, doomed: &[Metadata]) -> Result<u64>;

    /// Removes pieces that were written before then and are not among `kept`:
    /// of uploads that nobody finished.
    async fn remove_strays(&self, kept: &HashSet<u64>, before: Timestamp) -> Result<()>;

    /// Bytes on disk, what was removed and not yet given back included; gives
    /// back what can be, if that is more than `most`.
    async fn disk(&self, most: u64) -> Result<u64>;
}
