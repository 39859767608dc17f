//! Tool files: YAML to [`ToolSpec`], every mistake with its file, line and column.
//!
//! The format is that of py-code-mode, whose users' files load unchanged, with
//! a few keys of our own; `docs/tools.md` describes all of it.

mod authored;
mod common;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "mcp")]
pub mod mcp;
mod parse;
mod resolve;
#[cfg(feature = "schemars")]
pub mod schema;
mod slots;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::id::ToolName;
use crate::json::Json;
use crate::tools::ToolInfo;
use crate::tools::secrets::Text;

/// The largest tool file, in bytes. Real ones have two to five thousand.
pub const MAX_FILE: u64 = 64 * 1024;

/// How long a call may take if its file does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How many bytes a call may print if its file does not say: more than a model
/// can read, and little enough to hold for many calls at once.
pub const DEFAULT_MAX_OUTPUT: usize = 4 << 20;

/// What a tool file describes, by its `type`.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a few are made when a folder is loaded")]
pub enum ToolSpec {
    /// `type: cli`, or none: a command.
    Cli(CliSpec),
    /// `type: mcp`: the tools of an MCP server.
    #[cfg(feature = "mcp")]
    Mcp(mcp::McpSpec),
    /// `type: http`: the endpoints of a web service.
    #[cfg(feature = "http")]
    Http(http::HttpSpec),
}

impl ToolSpec {
    /// The tool's name.
    #[must_use]
    pub const fn name(&self) -> &ToolName {
        match self {
            Self::Cli(spec) => &spec.info.name,
            #[cfg(feature = "mcp")]
            Self::Mcp(spec) => &spec.info.name,
            #[cfg(feature = "http")]
            Self::Http(spec) => &spec.info.name,
        }
    }
}

/// A command-line tool as its file describes it, checked and complete.
#[derive(Debug, Clone)]
pub struct CliSpec {
    /// What callers see.
    pub info: ToolInfo,
    /// The file's name, without its folder: messages reach workflows, and those
    /// learn nothing of the machine.
    pub file: String,
    /// What is started.
    pub program: Program,
    /// Arguments that precede all others, in every call.
    pub fixed: Vec<String>,
    /// Options and then positionals, in the order in which they are given.
    pub slots: Vec<Slot>,
    /// Whether `--` is put before the positionals.
    pub double_dash: bool,
    /// By callable and parameter: what holds unless a caller who may says otherwise.
    pub values: BTreeMap<String, BTreeMap<String, Json>>,
    /// How long a call may take.
    pub timeout: Duration,
    /// How many bytes a call may print on standard output.
    pub max_output: usize,
    /// The environment, besides `PATH` and `LANG`.
    pub env: BTreeMap<String, Text>,
    /// Variables of the host's environment that reach the command.
    pub pass_env: Vec<String>,
    /// What exit statuses mean, where it is not that 0 is success and all else failure.
    pub exit_codes: BTreeMap<i32, ExitCode>,
    /// Where calls run; each in a fresh directory of its own if `None`.
    pub cwd: Option<PathBuf>,
}

/// What an exit status means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitCode {
    /// What it means.
    pub meaning: Meaning,
    /// In words; empty if the file has none.
    pub description: String,
}

/// What an exit status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// What was printed is the answer.
    Answer,
    /// An error.
    Error,
    /// An error that may be gone if the call is made again.
    Retry,
}

/// The program that a tool starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Looked for on the search path at every call.
    Named(String),
    /// At this place.
    At(PathBuf),
}

/// A place in the command line that one parameter fills.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The parameter.
    pub name: String,
    /// Where its value goes.
    pub place: Place,
    /// Whether it is a flag, one value or several.
    pub shape: Shape,
    /// Whether a caller's value may begin with `@`, which to many commands
    /// means "read this file".
    pub allow_at: bool,
    /// What joins the values of a list into one; without it an option is repeated.
    pub join: Option<String>,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// With its option.
    Option {
        /// With its dashes.
        flag: String,
        /// How the two are joined.
        form: Form,
    },
    /// After the options.
    Positional,
    /// To standard input.
    Stdin,
}

/// How an option and its value are joined. In the first two they are one
/// argument, so that no value can be taken for an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `--option=value`
    Equals,
    /// `-ovalue`
    Attached,
    /// `-option value`
    Separate {
        /// Whether the command takes the next argument whatever it begins with.
        allow_dash: bool,
    },
}

/// How many values a slot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Present or absent.
    Flag,
    /// One.
    One,
    /// Any number; an option is repeated.
    Many,
}

/// Reads every `.yaml` and `.yml` file of a folder, in the order of their names.
///
/// # Errors
/// [`Code::NotFound`](crate::error::Code::NotFound) if there is no such folder;
/// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) with every
/// mistake in every file, or if two files name one tool.
pub fn load_folder(folder: &Path) -> Result<Vec<ToolSpec>> {
    let (mut specs, mut mistakes) = (Vec::new(), Vec::new());
    let mut named: BTreeMap<ToolName, PathBuf> = BTreeMap::new();
    for path in tool_files(folder)? {
        match load_file(&path) {
            Err(error) => mistakes.push(error.chain()),
            Ok(spec) => match named.get(spec.name()) {
                Some(other) => mistakes.push(format!(
                    "{}: there is a tool {} in {} already; rename one of them",
                    path.display(),
                    spec.name(),
                    other.display()
                )),
                None => {
                    named.insert(spec.name().clone(), path);
                    specs.push(spec);
                }
            },
        }
    }
    if mistakes.is_empty() {
        Ok(specs)
    } else {
        // All at once: whoever repairs a folder should not need one start per mistake.
        Err(Error::invalid_argument(mistakes.join("\n")))
    }
}

/// Reads one tool file.
///
/// # Errors
/// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument), with file, line and column.
pub fn load_file(path: &Path) -> Result<ToolSpec> {
    parse::file(path)
}

fn tool_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("there is no folder {}; create it, or name another one", folder.display())
            }
            std::io::ErrorKind::NotADirectory => {
                format!(
                    "{} is not a folder; name the one that holds the tool files",
                    folder.display()
                )
            }
            _ => format!("the folder {} cannot be read", folder.display()),
        };
        Error::not_found(message).with_source(error)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml =
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
