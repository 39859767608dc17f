//! Names and identifiers, valid by construction.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock::{Clock, Entropy};
use crate::error::{Error, Result};

/// The longest name of a workflow or a tenant, in characters.
pub const MAX_NAME: usize = 64;

/// The longest name of an artifact, in bytes.
pub const MAX_ARTIFACT_NAME: usize = 255;

/// Python's keywords and soft keywords that cannot, or should not, be an attribute's name.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// What `workflows` itself offers: a workflow of that name could not be called as `workflows.<name>()`.
const RESERVED: [&str; 10] = [
    "create",
    "delete",
    "get",
    "history",
    "invoke",
    "invoke_async",
    "list",
    "pinned",
    "restore",
    "search",
];

macro_rules! name {
    ($(#[$meta:meta])* $type:ident, $check:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks a name.
            ///
            /// # Errors
            /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument), saying what
            /// is wrong with it.
            pub fn new(name: impl AsRef<str>) -> Result<Self> {
                let name = name.as_ref();
                let check: fn(&str) -> Result<()> = $check;
                check(name)?;
                Ok(Self(name.into()))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $type {
            type Err = Error;
            fn from_str(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = Error;
            fn try_from(name: &str) -> Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(name: String) -> Result<Self> {
                Self::new(name)
            }
        }

        impl TryFrom<&$type> for $type {
            type Error = Error;
            fn try_from(name: &$type) -> Result<Self> {
                Ok(name.clone())
            }
        }
    };
}

name!(
    /// Names a tenant: 1 to 64 of `a-z`, `0-9`, `-` and `_`, beginning with a letter or digit.
    ///
    /// A tenant's data lies in a directory of this name, so it can neither leave
    /// that directory nor differ from another only in case.
    TenantId,
    |name| {
        let well_formed = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && !name.starts_with(['-', '_']);
        if well_formed {
            Ok(())
        } else {
            Err(Error::invalid_argument(format!(
                "{} is not a tenant's name: use 1 to {MAX_NAME} of a-z, 0-9, '-' and '_', \
                 beginning with a letter or digit",
                quoted(name)
            )))
        }
    }
);

impl TenantId {
    /// The tenant that exists by itself, for those who need no other.
    pub const DEFAULT: &str = "default";
}

name!(
    /// Names a workflow: an ASCII Python identifier of at most 64 characters that is
    /// neither a keyword nor a method of `workflows`, and does not begin with `_`.
    WorkflowName,
    |name| identifier("workflow", name).and_then(|()| {
        if RESERVED.contains(&name) {
            return Err(Error::invalid_argument(format!(
                "{} is not a workflow's name: `workflows.{name}` has a meaning of its own",
                quoted(name)
            )));
        }
        Ok(())
    })
);

name!(
    /// Names a tool: as a workflow's name, `search` and `list` excepted.
    ToolName,
    |name| identifier("tool", name).and_then(|()| {
        if matches!(name, "list" | "search" | "call_async") {
            return Err(Error::invalid_argument(format!(
                "{} is not a tool's name: `tools.{name}` has a meaning of its own",
                quoted(name)
            )));
        }
        Ok(())
    })
);

name!(
    /// Names a runtime image: 1 to 64 of `a-z`, `0-9`, `-` and `_`, beginning with a letter.
    ImageName,
    |name| {
        let well_formed = name.len() <= MAX_NAME
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && name.starts_with(|first: char| first.is_ascii_lowercase());
        if well_formed {
            Ok(())
        } else {
            Err(Error::invalid_argument(format!(
                "{} is not a runtime image's name: use 1 to {MAX_NAME} of a-z, 0-9, '-' and '_', \
                 beginning with a letter",
                quoted(name)
            )))
        }
    }
);

name!(
    /// Names an artifact: 1 to 255 bytes of ASCII letters, digits and `._-/ `,
    /// where every `/`-separated part is neither empty, `.` nor `..`.
    ArtifactName,
    |name| {
        let well_formed = !name.is_empty()
            && name.len() <= MAX_ARTIFACT_NAME
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/ ".contains(&b))
            && name.split('/').all(|part| !matches!(part.trim(), "" | "." | ".."));
        if well_formed {
            Ok(())
        } else {
            Err(Error::invalid_argument(format!(
                "{} is not an artifact's name: use 1 to {MAX_ARTIFACT_NAME} of A-Z, a-z, 0-9, \
                 '.', '_', '-', ' ' and '/', without empty parts, '.' or '..'",
                quoted(name)
            )))
        }
    }
);

fn identifier(what: &str, name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > MAX_NAME {
        format!("is longer than {MAX_NAME} characters")
    } else if !name.is_ascii() {
        // Look-alikes of other scripts would make two names that read the same.
        "has characters outside ASCII".to_owned()
    } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        "is not a Python identifier".to_owned()
    } else if KEYWORDS.contains(&name) {
        "is a Python keyword".to_owned()
    } else if name.starts_with('_') {
        "begins with an underscore".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::invalid_argument(format!(
        "{} is not a {what}'s name: it {problem}; use letters, digits and '_', for example fetch_json",
        quoted(name)
    )))
}

/// A hostile name, made fit for a message: bounded, and without control characters.
#[must_use]
pub fn quoted(name: &str) -> String {
    const SHOWN: usize = 80;
    let mut text: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    format!("\"{text}\"")
}

/// SHA-256, in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

macro_rules! digest {
    ($(#[$meta:meta])* $type:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type([u8; 32]);

        impl $type {
            /// Reads 64 hexadecimal digits.
            #[must_use]
            pub fn parse(hex: &str) -> Option<Self> {
                if hex.len() != 64 || !hex.is_ascii() {
                    return None;
                }
                let mut bytes = [0; 32];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
                }
                Some(Self(bytes))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

digest!(
    /// SHA-256 of a source's UTF-8 bytes.
    SourceDigest
);

digest!(
    /// Names one version of a workflow by its content: a digest of source, description and
    /// schema. Equal content has an equal name, in every library.
    VersionId
);

impl SourceDigest {
    /// The digest of a source.
    #[must_use]
    pub fn of(source: &str) -> Self {
        Self(Sha256::digest(source.as_bytes()).into())
    }
}

impl VersionId {
    /// The digest of a version's parts, none of which can run into the next.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"repertoire workflow version 1");
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part.as_bytes());
        }
        Self(digest.finalize().into())
    }

    /// The first eight bytes, as a number.
    #[cfg(feature = "lancedb")]
    pub(crate) fn number(&self) -> u64 {
        self.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// As many digits as tell versions apart at a glance.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Names a run: a ULID, so that runs sort by when they started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(ulid::Ulid);

impl RunId {
    /// A new id.
    pub fn new(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        let random = u128::from(entropy.next_u64()) << 64 | u128::from(entropy.next_u64());
        Self(ulid::Ulid::from_parts(clock.now().as_millis(), random))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if it is not a ULID.
    pub fn parse(text: &str) -> Result<Self> {
        ulid::Ulid::from_string(text).map(Self).map_err(|error| {
            Error::invalid_argument(format!("{} is not a run's id: {error}", quoted(text)))
        })
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_names() {
        for good in ["fetch_json", "a", "A1", &"x".repeat(64)] {
            assert!(WorkflowName::new(good).is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        let bad = [
            "",
            "1a",
            "a-b",
            "a b",
            "../x",
            "x' OR 1=1 --",
            "class",
            "invoke",
            "list",
            "_private",
            "fetch_jsоn",
            "a\0",
            "\u{202e}x",
            long.as_str(),
        ];
        for name in bad {
            assert!(WorkflowName::new(name).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn tenant_names() {
        for good in ["acme", "a", "0", "team-1_x"] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "A", "-a", "_a", "a.b", "ä", "a\0"] {
            assert!(TenantId::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn artifact_names() {
        for good in ["report", "reports/2026 Q1.csv", "a.b-c_d"] {
            assert!(ArtifactName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a//b", "../x", "a/../b", "a/. ./..", "x'", "a\\b", "a\n"] {
            assert!(ArtifactName::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn digests_round_trip() {
        let digest = SourceDigest::of("def run(): return 1");
        assert_eq!(SourceDigest::parse(&digest.to_string()), Some(digest));
        assert_eq!(SourceDigest::parse("é".repeat(32).as_str()), None);
        let version = VersionId::of(["ab", "c"]);
        assert_eq!(VersionId::parse(&version.to_string()), Some(version));
        assert_ne!(version, VersionId::of(["a", "bc"]));
        assert!(version.to_string().starts_with(&version.short()));
    }
}
