//! What a client may do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::id::quoted;

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at everything.
    Read,
    /// Invoke workflows and run code.
    Run,
    /// Create and delete workflows and artifacts.
    Write,
    /// All of that, and agree to what runs ask for.
    Admin,
}

impl Scope {
    const ALL: [Self; 4] = [Self::Read, Self::Run, Self::Write, Self::Admin];

    /// The scope's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Whether it is among these, or all are.
    pub(super) fn is_among(self, scopes: &[Self]) -> bool {
        scopes.contains(&self) || scopes.contains(&Self::Admin)
    }

    /// What a client is told whose token is not for that.
    pub(super) fn lacking(self) -> Error {
        let message = format!("the token does not have the scope {self}, which this needs");
        Error::new(Code::Denied, message)
    }

    /// The scope of that name.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if there is none.
    pub fn parse(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let text = quoted(text);
            Error::invalid_argument(format!(
                "{text} is no scope; there are read, run, write, admin"
            ))
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All that one client may do, as a request carries it.
#[derive(Debug, Clone)]
pub(super) struct Scopes(pub(super) Vec<Scope>);
