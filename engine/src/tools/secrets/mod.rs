//! Secrets: named by tool files, put in at the last moment, and never seen by a workflow.
//!
//! ```text
//! `secret: NAME` in a tool file -> Secrets (environment, file, yours) -> one request or process
//!                                       answers, errors and logs <- Scrubber
//! ```

mod scrub;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::id::{MAX_NAME, TenantId, quoted};

pub use scrub::Scrubber;

/// The shortest secret, in bytes. A shorter one could not be told from other
/// text, and taking it out of answers would take them apart.
pub const MIN_SECRET: usize = 8;

/// The longest secret, in bytes: room for a private key in PEM.
pub const MAX_SECRET: usize = 16 * 1024;

/// The name that tool files call a secret by: 1 to 64 of `A-Z`, `0-9` and `_`,
/// beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(Arc<str>);

impl SecretName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is none.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        let well_formed = name.len() <= MAX_NAME
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if well_formed {
            return Ok(Self(name.into()));
        }
        Err(Error::invalid_argument(format!(
            "{} is not a secret's name: use A-Z, 0-9 and '_', for example GITHUB_TOKEN",
            quoted(name)
        )))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret. It is not shown by `Debug`, and has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Checks a secret.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is shorter than
    /// [`MIN_SECRET`], longer than [`MAX_SECRET`], or has a null byte. It is not quoted.
    pub fn new(value: impl AsRef<str>) -> Result<Self> {
        let value = value.as_ref();
        if !(MIN_SECRET..=MAX_SECRET).contains(&value.len()) || value.contains('\0') {
            return Err(Error::invalid_argument(format!(
                "a secret has {MIN_SECRET} to {MAX_SECRET} bytes and no null byte; this has {}",
                value.len()
            )));
        }
        Ok(Self(value.into()))
    }

    /// The secret itself, for the request or process that it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where secrets are kept. Asked anew for each call, so that one which was
/// replaced is used from the next call on.
#[async_trait]
pub trait Secrets: fmt::Debug + Send + Sync {
    /// A tenant's secret of that name, if there is one.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if the store cannot be asked.
    /// The message reaches the workflow.
    async fn get(&self, tenant: &TenantId, name: &SecretName) -> Result<Option<Secret>>;
}

/// Secrets that are known from the start, the same for all tenants: from
/// environment variables, a file, or code. What is added later wins.
#[derive(Debug, Clone, Default)]
pub struct SecretMap(BTreeMap<SecretName, Secret>);

impl SecretMap {
    /// These secrets and one more.
    #[must_use]
    pub fn with(mut self, name: SecretName, secret: Secret) -> Self {
        self.0.insert(name, secret);
        self
    }

    /// These secrets and those of a file of lines `NAME=value`. Empty lines and
    /// those that begin with `#` are passed over; a value is what follows the
    /// first `=`, to the end of the line, as it is.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if the file cannot be read,
    /// if others than its owner can read it, or for a line that is none, by its number.
    pub fn with_file(mut self, path: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;

        let shown = path.display();
        let unreadable = |error: std::io::Error| {
            Error::invalid_argument(format!("the secrets file {shown} cannot be read"))
                .with_source(error)
        };
        let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::invalid_argument(format!(
                "the secrets file {shown} can be read by others (mode {:03o}): chmod 600 {shown}",
                mode & 0o777
            )));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            // Whatever is wrong with a line, it is not quoted: it may be half a secret.
            let refuse = |problem: &str| {
                Error::invalid_argument(format!("{shown}:{}: {problem}", index + 1))
            };
            let (name, value) =
                line.split_once('=').ok_or_else(|| refuse("not a line NAME=value"))?;
            let name = SecretName::new(name.trim()).map_err(|_| refuse("not a secret's name"))?;
            let secret = Secret::new(value).map_err(|error| refuse(error.message()))?;
            self = self.with(name, secret);
        }
        Ok(self)
    }

    /// These secrets and those of environment variables, which the caller has
    /// read: `PREFIX` and the name.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) for a variable with the
    /// prefix whose rest is no name, or whose value is no secret.
    pub fn with_variables<'a>(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
    ) -> Result<Self> {
        for (variable, value) in variables {
            let Some(name) = variable.to_str().and_then(|name| name.strip_prefix(prefix)) else {
                continue;
            };
            let refuse = |problem: &str| {
                Error::invalid_argument(format!("variable {prefix}{name}: {problem}"))
            };
            let secret = match value.to_str() {
                None => Err(refuse("not UTF-8")),
                // How one unsets a variable for one command.
                Some("") => continue,
                Some(text) => Secret::new(text).map_err(|error| refuse(error.message())),
            };
            self = self.with(SecretName::new(name)?, secret?);
        }
        Ok(self)
    }
}

#[async_trait]
impl Secrets for SecretMap {
    async fn get(&self, _: &TenantId, name: &SecretName) -> Result<Option<Secret>> {
        Ok(self.0.get(name).cloned())
    }
}

/// A text that a tool file gives: itself, or the name of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// As it is written.
    Plain(String),
    /// A secret, behind what precedes it (`Bearer `, for example).
    Secret {
        /// Put before it.
        before: String,
        /// Which.
        name: SecretName,
    },
}

/// What a call has asked secrets for: reveals texts, and remembers what to scrub.
#[derive(Debug)]
pub struct Revealed<'a> {
    tool: &'a str,
    secrets: &'a dyn Secrets,
    tenant: &'a TenantId,
    /// Takes the secrets that were revealed out of what comes back.
    pub scrubber: Scrubber,
}

impl<'a> Revealed<'a> {
    /// Nothing yet.
    pub fn new(tool: &'a str, secrets: &'a dyn Secrets, tenant: &'a TenantId) -> Self {
        Self { tool, secrets, tenant, scrubber: Scrubber::default() }
    }

    /// The text, its secret in place.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if there is no such secret.
    pub async fn text(&mut self, text: &Text) -> Result<String> {
        let (before, name) = match text {
            Text::Plain(text) => return Ok(text.clone()),
            Text::Secret { before, name } => (before, name),
        };
        let Some(secret) = self.secrets.get(self.tenant, name).await? else {
            return Err(Error::unavailable(format!(
                "tool {}: there is no secret {name}; whoever runs this can set the environment \
                 variable REPERTOIRE_SECRET_{name}, or add a line {name}=... to the secrets file",
                self.tool
            )));
        };
        self.scrubber.add(name, &secret);
        Ok(format!("{before}{}", secret.reveal()))
    }
}

#[cfg(test)]
mod tests;
