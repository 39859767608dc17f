//! Command-line tools: a call is one process, started without a shell.

mod argv;
mod process;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::json;
use tokio::process::Command;

use process::{Finished, Stopped};

use super::program;
use super::scratch::Scratch;
use super::secrets::{Revealed, Scrubber};
use super::spec::{CliSpec, Meaning};
use super::{CallContext, Tool, ToolInfo, ToolOptions};
use crate::error::{Code, Error, Result};
use crate::json::Json;

/// How much of the end of standard error is kept, in bytes.
const STDERR_TAIL: usize = 8 * 1024;

/// The most of a message that a command wrote itself, in characters.
const MAX_MESSAGE: usize = 300;

/// A tool that is a command.
#[derive(Debug)]
pub struct CliTool {
    spec: CliSpec,
    options: ToolOptions,
}

impl CliTool {
    /// A tool as its file describes it. Warns if its command is not there; that
    /// it may be installed later is for calls to find out.
    #[must_use]
    pub fn new(spec: CliSpec, options: ToolOptions) -> Self {
        let tool = Self { spec, options };
        if let Err(error) = tool.program() {
            tracing::warn!(tool = %tool.spec.info.name, "{}", error.message());
        }
        tool
    }

    /// The file to execute, found now.
    fn program(&self) -> Result<PathBuf> {
        program::find(&self.spec.program, &self.options, &self.spec.info.name, &self.spec.file)
    }

    async fn command(
        &self,
        argv: &[String],
        directory: &Path,
        revealed: &mut Revealed<'_>,
    ) -> Result<Command> {
        let mut command = Command::new(self.program()?);
        command.args(argv).current_dir(directory);
        program::environment(
            &mut command,
            &self.options,
            &self.spec.pass_env,
            &self.spec.env,
            revealed,
        )
        .await?;
        Ok(command)
    }

    fn means_answer(&self, status: std::process::ExitStatus) -> bool {
        let known = status.code().and_then(|code| self.spec.exit_codes.get(&code));
        known.map_or(status.success(), |known| known.meaning == Meaning::Answer)
    }

    fn answer(&self, ended: Result<Finished, Stopped>, scrubber: &Scrubber) -> Result<Json> {
        let name = &self.spec.info.name;
        let file = &self.spec.file;
        match ended {
            Ok(Finished { status, stdout, .. }) if self.means_answer(status) => {
                Json::from_value(&String::from_utf8_lossy(&stdout))
            }
            Ok(Finished { status, stderr, .. }) => {
                use std::os::unix::process::ExitStatusExt;

                let known = status.code().and_then(|code| self.spec.exit_codes.get(&code));
                let retryable = known.is_some_and(|known| known.meaning == Meaning::Retry);
                let meaning = known.map(|known| &known.description).filter(|text| !text.is_empty());

                let stderr = said(&stderr, scrubber);
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit status {code}"),
                    (None, Some(signal)) => format!("killed by signal {signal}"),
                    (None, None) => "ended".to_owned(),
                };
                let meant = meaning.map(|text| format!(" ({text})")).unwrap_or_default();
                let said = last_line(&stderr).map(|line| format!(": {line}")).unwrap_or_default();
                let details = json!({
                    "status": status.code(), "signal": status.signal(), "meaning": meaning,
                    "stderr": stderr, "retryable": retryable,
                });
                Err(Error::new(Code::ToolFailed, format!("tool {name}: {how}{meant}{said}"))
                    .with_details(details.into()))
            }
            Err(Stopped::TimedOut { stderr }) => {
                let limit = humantime::format_duration(self.spec.timeout);
                let details = json!({
                    "status": null, "stderr": said(&stderr, scrubber), "retryable": true,
                });
                Err(Error::new(
                    Code::TimedOut,
                    format!("tool {name}: stopped after {limit}, the `timeout` in {file}"),
                )
                .with_details(details.into()))
            }
            Err(Stopped::TooMuchOutput { stderr }) => {
                let details = json!({
                    "status": null, "stderr": said(&stderr, scrubber), "retryable": false,
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

    async fn call(&self, callable: &str, arguments: &Json, context: &CallContext) -> Result<Json> {
        let input = argv::build(&self.spec, callable, arguments)?;
        let _running = self.options.processes.enter(&context.tenant).await?;
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
        let secrets = self.options.secrets.as_ref();
        let mut revealed = Revealed::new(self.spec.info.name.as_str(), secrets, &context.tenant);
        let command = self.command(&input.argv, &directory, &mut revealed).await?;
        let scrubber = revealed.scrubber;
        let limits = process::Limits {
            timeout: self.spec.timeout,
            max_output: self.spec.max_output,
            stderr: STDERR_TAIL + scrubber.longest(),
        };
        let ended = process::run(command, input.stdin, limits).await;
        scrubber.outcome(self.answer(ended, &scrubber))
    }
}

/// The end of what a command said. Scrubbed before it is cut, for half a secret
/// would not be found.
fn said(stderr: &[u8], scrubber: &Scrubber) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = scrubber.text(&text);
    let from = text.ceil_char_boundary(text.len().saturating_sub(STDERR_TAIL));
    text.get(from..).unwrap_or_default().to_owned()
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
