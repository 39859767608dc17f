//! Bearer tokens: who may do what, with which tenant.
//!
//! They are kept in one file of the data directory, as digests: who reads the file
//! can use none of them. A server looks whether the file was replaced at each request, so that a
//! token that is created or revoked counts at once.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use super::super::scope::Scope;
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy, Timestamp};
use crate::error::{Error, Result};
use crate::id::TenantId;

/// The file's name in the data directory.
pub const FILE: &str = "tokens.json";

/// What every token begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "rpt_";

/// The number of the file's format.
const FORMAT: u32 = 1;

/// The largest file that is read, in bytes: what as many tokens as there may be take.
const MAX_FILE: u64 = 4 << 20;

/// The most tokens. Each request is compared with all of them.
const MAX_TOKENS: usize = 4096;

/// The longest name of a token, in bytes.
const MAX_NAME: usize = 64;

/// What is known of a token; not the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Names it, to revoke it by.
    pub id: String,
    /// For people.
    pub name: String,
    tenant: String,
    /// The tenant's [incarnation](crate::Tenant::incarnation).
    incarnation: String,
    /// What it is for, in order.
    pub scopes: Vec<Scope>,
    created_at: u64,
    expires_at: Option<u64>,
    sha256: String,
}

impl Token {
    /// The tenant's name.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Which tenant of that name.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// When it was created.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        Timestamp::from_millis(self.created_at)
    }

    /// When it is worth nothing any more, if ever.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at.map(Timestamp::from_millis)
    }

    /// Whether it lets its holder do what needs that scope.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        scope.is_among(&self.scopes)
    }
}

/// A token that is to be created.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For people; may be empty.
    pub name: String,
    /// Whose.
    pub tenant: TenantId,
    /// Which tenant of that name.
    pub incarnation: String,
    /// What it is for.
    pub scopes: Vec<Scope>,
    /// How long it is valid; `None` until it is revoked.
    pub expires_in: Option<Duration>,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    format: u32,
    tokens: Vec<Token>,
}

/// The file that the tokens are kept in.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// That of a data directory.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self { path: data.join(FILE) }
    }

    /// The directory that it lies in.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Creates a token. The text is what its holder sends; it is not kept, and cannot be had again.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it would be for nothing, or
    /// its name is too long; [`Code::Unavailable`](crate::error::Code::Unavailable) if the file
    /// cannot be read or written.
    pub fn create(&self, new: NewToken) -> Result<(Token, String)> {
        let is_plain = new.name.chars().all(|c| !c.is_control()) && new.name.len() <= MAX_NAME;
        if !is_plain {
            return Err(Error::invalid_argument(format!(
                "a token's name is at most {MAX_NAME} bytes, without control characters"
            )));
        }
        let mut scopes = new.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(Error::invalid_argument(
                "a token without a scope is for nothing: name some of read, run, write, admin",
            ));
        }
        let now = SystemClock.now().as_millis();
        let lifetime =
            new.expires_in.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let secret: Vec<u8> = (0..4).flat_map(|_| SystemEntropy.next_u64().to_le_bytes()).collect();
        let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret);
        let text = format!("{PREFIX}{secret}");
        let token = Token {
            id: format!("{:016x}", SystemEntropy.next_u64()),
            name: new.name,
            tenant: new.tenant.to_string(),
            incarnation: new.incarnation,
            scopes,
            created_at: now,
            expires_at: lifetime.map(|lifetime| now.saturating_add(lifetime)),
            sha256: hex(&digest(&text)),
        };
        let added = token.clone();
        self.change(move |tokens| {
            if tokens.len() >= MAX_TOKENS {
                return Err(Error::invalid_argument(format!(
                    "there are {MAX_TOKENS} tokens already: revoke some"
                )));
            }
            tokens.push(added);
            Ok(())
        })?;
        Ok((token, text))
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the file cannot be read.
    pub fn list(&self) -> Result<Vec<Token>> {
        Ok(self.read()?.1)
    }

    /// Makes a token worth nothing; false if there is none of that id.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the file cannot be read or written.
    pub fn revoke(&self, id: &str) -> Result<bool> {
        self.remove(|token| token.id == id)
    }

    /// Makes all of a tenant's tokens worth nothing; false if it has none.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub fn revoke_all_of(&self, tenant: &TenantId) -> Result<bool> {
        self.remove(|token| token.tenant == tenant.as_str())
    }

    fn remove(&self, is_doomed: impl Fn(&Token) -> bool) -> Result<bool> {
        if !self.list()?.iter().any(&is_doomed) {
            return Ok(false);
        }
        let mut found = false;
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|token| !is_doomed(token));
            found = tokens.len() < before;
            Ok(())
        })?;
        Ok(found)
    }

    /// Replaces the file, at once. Two processes do it one after the other.
    fn change(&self, change: impl FnOnce(&mut Vec<Token>) -> Result<()>) -> Result<()> {
        let lock = self.path.with_extension("lock");
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(&lock).map_err(|error| self.cannot("lock", error))?;
        // Held until the file is closed.
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| self.cannot("lock", error.into()))?;
        let mut tokens = self.read()?.1;
        change(&mut tokens)?;
        let mut text = serde_json::to_string_pretty(&Contents { format: FORMAT, tokens })
            .map_err(|error| Error::internal("cannot write JSON").with_source(error))?;
        text.push('\n');
        if text.len() as u64 > MAX_FILE {
            return Err(Error::invalid_argument("there are too many tokens: revoke some"));
        }
        let temporary = self.path.with_extension(format!("{:016x}.tmp", SystemEntropy.next_u64()));
        let write = || -> std::io::Result<()> {
            let mut options = File::options();
            let mut file = options.create_new(true).write(true).mode(0o600).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            File::open(self.directory())?.sync_all()
        };
        write().map_err(|error| {
            // It may never have been created.
            let _ = fs::remove_file(&temporary);
            self.cannot("write", error)
        })
    }

    /// The tokens, and what tells this file from the one that replaces it.
    fn read(&self) -> Result<(Option<Stamp>, Vec<Token>)> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((None, Vec::new())),
            Err(error) => return Err(self.cannot("read", error)),
        };
        let stamp = file.metadata().map_err(|error| self.cannot("read", error))?;
        let mut text = String::new();
        let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
        read.map_err(|error| self.cannot("read", error))?;
        if text.len() as u64 > MAX_FILE {
            return Err(Error::unavailable(format!(
                "{} has more than {MAX_FILE} bytes, and is no file of tokens",
                self.path.display()
            )));
        }
        let damaged = |error| {
            Error::unavailable(format!(
                "{} is damaged: remove it, and create the tokens anew",
                self.path.display()
            ))
            .with_source(error)
        };
        // The number is read first: a newer format has other fields.
        #[derive(Deserialize)]
        struct Numbered {
            format: u32,
        }
        let numbered: Numbered = serde_json::from_str(&text).map_err(damaged)?;
        if numbered.format != FORMAT {
            return Err(Error::unavailable(format!(
                "{} is of format {}, and this version of repertoire reads format {FORMAT}",
                self.path.display(),
                numbered.format
            )));
        }
        let contents: Contents = serde_json::from_str(&text).map_err(damaged)?;
        Ok((Some(Stamp::of(&stamp)), contents.tokens))
    }

    fn stamp(&self) -> Result<Option<Stamp>> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.cannot("read", error)),
        }
    }

    fn cannot(&self, what: &str, error: std::io::Error) -> Error {
        let path = self.path.display();
        Error::unavailable(format!("cannot {what} the file of tokens {path}")).with_source(error)
    }
}

/// Tells a file from the one that replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { inode: metadata.ino(), bytes: metadata.len(), modified }
    }
}

/// The tokens as a server has them: read anew when their file was replaced.
pub(super) struct Tokens {
    file: TokenFile,
    known: Mutex<Option<Known>>,
}

struct Known {
    stamp: Option<Stamp>,
    tokens: Arc<[Token]>,
}

impl Tokens {
    pub(super) fn new(file: TokenFile) -> Self {
        Self { file, known: Mutex::default() }
    }

    pub(super) fn file(&self) -> &TokenFile {
        &self.file
    }

    /// The token whose text this is, if it is valid now.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the file cannot be read: then
    /// nobody is let in, rather than who was before.
    pub(super) fn find(&self, text: &str) -> Result<Option<Token>> {
        let wanted = hex(&digest(text));
        let (now, mut found) = (SystemClock.now(), None);
        // All are compared, each in whole: how long it takes says nothing.
        for token in self.now()?.iter() {
            if is_same(token.sha256.as_bytes(), wanted.as_bytes()) {
                found = Some(token.clone());
            }
        }
        Ok(found.filter(|token| token.expires_at().is_none_or(|end| now < end)))
    }

    fn now(&self) -> Result<Arc<[Token]>> {
        let stamp = self.file.stamp()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.stamp == stamp) {
            return Ok(Arc::clone(&known.tokens));
        }
        *known = None;
        let (stamp, tokens) = self.file.read()?;
        let tokens: Arc<[Token]> = tokens.into();
        *known = Some(Known { stamp, tokens: Arc::clone(&tokens) });
        Ok(tokens)
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares without stopping at the first difference.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let different = a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b));
    std::hint::black_box(different) == 0 && a.len() == b.len()
}

#[cfg(test)]
mod tests;
