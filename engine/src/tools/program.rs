//! Finding what a tool starts, and what of the host it gets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::ToolOptions;
use super::secrets::{Revealed, Text};
use super::spec::Program;
use crate::error::{Error, Result};
use crate::id::ToolName;

/// The file to execute, found now.
pub(super) fn find(
    program: &Program,
    options: &ToolOptions,
    tool: &ToolName,
    file: &str,
) -> Result<PathBuf> {
    let missing = |command: &str, problem: &str| {
        Error::unavailable(format!(
            "tool {tool}: command {} {problem}; install it, or correct `command` in {file}",
            crate::id::quoted(command),
        ))
    };
    match program {
        Program::At(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Absolute, because the call runs in another directory.
            match std::path::absolute(path) {
                Ok(path) if is_executable(&path) => Ok(path),
                _ => Err(missing(&name, "is not an executable file")),
            }
        }
        Program::Named(name) => {
            let path = options.search_path.as_deref().unwrap_or_default();
            std::env::split_paths(path)
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join(name))
                .find(|candidate| is_executable(candidate))
                .ok_or_else(|| missing(name, "is not on the search path"))
        }
    }
}

/// Gives a command `PATH` and `LANG`, what the file passes on of the host's
/// environment, and what the file says itself; nothing else.
pub(super) async fn environment(
    command: &mut Command,
    options: &ToolOptions,
    passed: &[String],
    own: &BTreeMap<String, Text>,
    revealed: &mut Revealed<'_>,
) -> Result<()> {
    command.env_clear().env("LANG", "C.UTF-8");
    if let Some(path) = &options.search_path {
        command.env("PATH", path);
    }
    for name in passed {
        if let Some(value) = options.variables.get(std::ffi::OsStr::new(name)) {
            command.env(name, value);
        }
    }
    for (name, text) in own {
        command.env(name, revealed.text(text).await?);
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
