//! Command-line tools: a call is one process, started without a shell.

mod argv;
mod process;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::json;
use tokio::process::Command;

use process::{Finished, Scratch, Stopped};

use super::spec::{CliSpec, Program};
use super::{CallContext, Tool, ToolInfo};
use crate::error::{Code, Error, Result};
use crate::json::Json;

/// The most of a message that a command wrote itself, in characters.
const MAX_MESSAGE: usize = 300;

/// What command-line tools get from the machine; nothing else of it reaches them.
#[derive(Debug, Clone)]
pub struct CliOptions {
    /// Where commands are looked for, and `PATH` of what is started. Entries
    /// that are not absolute are passed over. Default: none, so that only
    /// commands with a path are found.
    pub search_path: Option<OsString>,
    /// Where the directories of single calls are made. Default: `/tmp`.
    pub scratch: PathBuf,
}

impl Default for CliOptions {
    fn default() -> Self {
        Self { search_path: None, scratch: PathBuf::from("/tmp") }
    }
}

/// A tool that is a command.
#[derive(Debug)]
pub struct CliTool {
    spec: CliSpec,
    options: CliOptions,
}

impl CliTool {
    /// A tool as its file describes it. Warns if its command is not there; that
    /// it may be installed later is for calls to find out.
    #[must_use]
    pub fn new(spec: CliSpec, options: CliOptions) -> Self {
        let tool = Self { spec, options };
        if let Err(error) = tool.program() {
            tracing::warn!(tool = %tool.spec.info.name, "{}", error.message());
        }
        tool
    }

    /// The file to execute, found now.
    fn program(&self) -> Result<PathBuf> {
        let missing = |command: &str, problem: &str| {
            Error::unavailable(format!(
                "tool {}: command {} {problem}; install it, or correct `command` in {}",
                self.spec.info.name,
                crate::id::quoted(command),
                self.spec.file
            ))
        };
        match &self.spec.program {
            Program::At(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // Absolute, because the call runs in another directory.
                match std::path::absolute(path) {
                    Ok(path) if is_executable(&path) => Ok(path),
                    _ => Err(missing(&name, "is not an executable file")),
                }
            }
            Program::Named(name) => {
                let path = self.options.search_path.as_deref().unwrap_or_default();
                std::env::split_paths(path)
                    .filter(|folder| folder.is_absolute())
                    .map(|folder| folder.join(name))
                    .find(|candidate| is_executable(candidate))
                    .ok_or_else(|| missing(name, "is not on the search path"))
            }
        }
    }

    fn command(&self, argv: &[String], directory: &Path) -> Result<Command> {
        let mut command = Command::new(self.program()?);
        command.args(argv).current_dir(directory).env_clear().env("LANG", "C.UTF-8");
        if let Some(path) = &self.options.search_path {
            command.env("PATH", path);
        }
        command.envs(&self.spec.env);
        Ok(command)
    }

    fn answer(&self, ended: Result<Finished, Stopped>) -> Result<Json> {
        let name = &self.spec.info.name;
        let file = &self.spec.file;
        match ended {
            Ok(Finished { status, stdout, .. }) if status.success() => {
                Json::from_value(&String::from_utf8_lossy(&stdout))
            }
            Ok(Finished { status, stderr, .. }) => {
                use std::os::unix::process::ExitStatusExt;

                let stderr = String::from_utf8_lossy(&stderr);
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit status {code}"),
                    (None, Some(signal)) => format!("killed by signal {signal}"),
                    (None, None) => "ended".to_owned(),
                };
                let said = last_line(&stderr).map(|line| format!(": {line}")).unwrap_or_default();
                let details = json!({
                    "status": status.code(), "signal": status.signal(), "stderr": stderr, "retryable": false,
                });
                Err(Error::new(Code::ToolFailed, format!("tool {name}: {how}{said}"))
                    .with_details(details.into()))
            }
            Err(Stopped::TimedOut { stderr }) => {
                let limit = humantime::format_duration(self.spec.timeout);
                let details = json!({
                    "status": null, "stderr": String::from_utf8_lossy(&stderr), "retryable": true,
                });
                Err(Error::new(
                    Code::TimedOut,
                    format!("tool {name}: stopped after {limit}, the `timeout` in {file}"),
                )
                .with_details(details.into()))
            }
            Err(Stopped::TooMuchOutput { stderr }) => {
                let details = json!({
                    "status": null, "stderr": String::from_utf8_lossy(&stderr), "retryable": false,
                    "limit_bytes": self.spec.max_output,
                });
                Err(Error::new(
                    Code::ToolFailed,
                    format!(
                        "tool {name}: stopped because it printed more than {} bytes, the \
                         `max_output` in {file}",
                        self.spec.max_output
                    ),
                )
                .with_details(details.into()))
            }
            Err(Stopped::NotStarted(error)) => {
                Err(Error::unavailable(format!("tool {name}: its command cannot be started"))
                    .with_source(error))
            }
            Err(Stopped::Broken(error)) => {
                Err(Error::internal(format!("tool {name}: its output cannot be read"))
                    .with_source(error))
            }
        }
    }
}

#[async_trait]
impl Tool for CliTool {
    fn info(&self) -> &ToolInfo {
        &self.spec.info
    }

    async fn call(&self, callable: &str, arguments: &Json, _context: &CallContext) -> Result<Json> {
        let argv = argv::build(&self.spec, callable, arguments)?;
        let (_scratch, directory) = match &self.spec.cwd {
            Some(cwd) => (None, cwd.clone()),
            None => {
                let scratch = Scratch::new(&self.options.scratch).map_err(|error| {
                    Error::unavailable(format!(
                        "tool {}: no directory can be made for it to run in",
                        self.spec.info.name
                    ))
                    .with_source(error)
                })?;
                let directory = scratch.path().to_owned();
                (Some(scratch), directory)
            }
        };
        if !directory.is_dir() {
            return Err(Error::unavailable(format!(
                "tool {}: `cwd` in {} is not a directory",
                self.spec.info.name, self.spec.file
            )));
        }
        let command = self.command(&argv, &directory)?;
        self.answer(process::run(command, self.spec.timeout, self.spec.max_output).await)
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The last line that says something, fit for a message.
fn last_line(text: &str) -> Option<String> {
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let mut shown: String = line.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
    if line.chars().nth(MAX_MESSAGE).is_some() {
        shown.push('…');
    }
    Some(shown)
}
