//! YAML text to the authored structs, within a budget.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_saphyr::{Location, MergeKeyPolicy, MessageFormatter, UserMessageFormatter};

use super::authored::{Kind, ToolFile};
use super::{MAX_FILE, ToolSpec, resolve};
use crate::error::{Error, Result};
use crate::id::quoted;
use crate::schema::nearest;

/// Nodes of a file, aliases expanded. One of [`MAX_FILE`] that is written as
/// people write them, a key and a value a line, has some five thousand.
const MAX_NODES: usize = 8 * 1024;

/// Levels of nesting; the format itself has six.
const MAX_DEPTH: usize = 16;

/// The file that is being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// As messages name it.
    pub(super) path: &'a Path,
}

impl Source<'_> {
    /// A refusal that points at its place.
    pub(super) fn refuse(&self, at: Location, problem: impl fmt::Display) -> Error {
        let path = self.path.display();
        Error::invalid_argument(if at.line() == 0 {
            format!("{path}: {problem}")
        } else {
            format!("{path}:{}:{}: {problem}", at.line(), at.column())
        })
    }
}

/// Reads one tool file.
pub(super) fn file(path: &Path) -> Result<ToolSpec> {
    let source = Source { path };
    let text = read(&source, MAX_FILE)?;
    // Which adapter the file is for comes first, so that a file for another one
    // gets that answer and not a complaint about a key that is right there.
    #[cfg_attr(
        all(feature = "mcp", feature = "http"),
        allow(unused_variables, reason = "for a type that this build has not")
    )]
    let Kind { name, kind } = yaml(&source, &text)?;
    let Some(kind) = kind.filter(|kind| kind.value != "cli") else {
        let authored: ToolFile = yaml(&source, &text)?;
        return resolve::tool(&source, authored).map(ToolSpec::Cli);
    };
    match kind.value.as_str() {
        #[cfg(feature = "mcp")]
        "mcp" => super::mcp::tool(&source, yaml(&source, &text)?).map(ToolSpec::Mcp),
        #[cfg(feature = "http")]
        "http" => super::http::tool(&source, yaml(&source, &text)?).map(ToolSpec::Http),
        #[cfg(not(all(feature = "mcp", feature = "http")))]
        "mcp" | "http" => Err(source.refuse(
            kind.referenced,
            format!(
                "tool {} is of type {kind}, and this program was built without its cargo feature \
                 {kind}",
                quoted(&name),
                kind = kind.value
            ),
        )),
        other => Err(source.refuse(
            kind.referenced,
            format!(
                "{} is not a type of tool{}",
                quoted(other),
                hint(other, &["cli", "mcp", "http"])
            ),
        )),
    }
}

/// A file's text, if it is not larger than it may be.
pub(super) fn read(source: &Source<'_>, max: u64) -> Result<String> {
    let unreadable = |error: std::io::Error| {
        Error::invalid_argument(format!("{}: cannot be read", source.path.display()))
            .with_source(error)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(source.path).map_err(unreadable)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max {
        return Err(Error::invalid_argument(format!(
            "{}: larger than {} KiB, the most that it may have",
            source.path.display(),
            max / 1024
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Error::invalid_argument(format!(
            "{}:{line}: not UTF-8; save the file in that encoding",
            source.path.display()
        ))
    })
}

fn yaml<T: DeserializeOwned>(source: &Source<'_>, text: &str) -> Result<T> {
    within(source, text, MAX_NODES, MAX_DEPTH)
}

/// A document of another format, which may be larger than a tool file.
#[cfg(feature = "http")]
pub(super) fn large<T: DeserializeOwned>(
    source: &Source<'_>,
    text: &str,
    max_bytes: u64,
) -> Result<T> {
    // A node a few bytes, as in the densest documents.
    within(source, text, usize::try_from(max_bytes / 4).unwrap_or(MAX_NODES), 64)
}

fn within<T: DeserializeOwned>(
    source: &Source<'_>,
    text: &str,
    max_nodes: usize,
    max_depth: usize,
) -> Result<T> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // A key of one mapping that comes from another is a puzzle in review.
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: max_nodes },
        budget: serde_saphyr::budget! {
            max_nodes: max_nodes,
            max_events: 2 * max_nodes,
            max_depth: max_depth,
            flow_nesting_limit: max_depth,
            max_recorded_anchor_events: 2 * max_nodes,
            max_documents: 1,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explained(source, &error))
}

/// The library's error in our words where ours say what to do, else in its own.
fn explained(source: &Source<'_>, error: &serde_saphyr::Error) -> Error {
    use serde_saphyr::Error as Yaml;

    let at = error.location().unwrap_or(Location::UNKNOWN);
    let mut inner = error.without_snippet();
    while let Yaml::AliasError { error, .. } = inner {
        inner = error;
    }
    match inner {
        Yaml::SerdeUnknownField { field, expected, .. } => {
            source.refuse(at, format!("unknown key {}{}", quoted(field), hint(field, expected)))
        }
        Yaml::SerdeMissingField { field, .. } => {
            source.refuse(at, format!("key \"{field}\" is missing"))
        }
        Yaml::DuplicateMappingKey { key, .. } => source.refuse(
            at,
            format!(
                "key {} is there twice; remove one",
                key.as_deref().map_or_else(|| "of a mapping".to_owned(), quoted)
            ),
        ),
        Yaml::MergeKeyNotAllowed { .. } => {
            source.refuse(at, "merge keys (<<) are not supported; write the keys out")
        }
        Yaml::AliasReplayLimitExceeded { .. }
        | Yaml::AliasExpansionLimitExceeded { .. }
        | Yaml::AliasReplayStackDepthExceeded { .. } => {
            source.refuse(at, "aliases expand to more than a tool file may have; write it out")
        }
        Yaml::Budget { breach, .. } => source.refuse(
            at,
            format!("larger or more deeply nested than a tool file may be ({breach:?})"),
        ),
        other => {
            let message = UserMessageFormatter.format_message(other);
            let message: String = message.chars().flat_map(char::escape_debug).take(300).collect();
            source.refuse(at, format!("not a tool file: {message}"))
        }
    }
}

/// The nearest of what is known, or all of it.
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(known) => format!("; did you mean {known}?"),
        None if known.is_empty() => String::new(),
        None => format!("; known here: {}", known.join(", ")),
    }
}
