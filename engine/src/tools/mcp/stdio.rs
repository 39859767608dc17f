//! A server that is a process of ours: started in a group of its own, and ended
//! with everything in it.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::{Error, Result};
use crate::tools::group::Group;
use crate::tools::scratch::Scratch;
use crate::tools::secrets::{Revealed, Scrubber};
use crate::tools::spec::mcp::{McpSpec, Transport};
use crate::tools::{ToolOptions, program};

/// How much of the end of standard error is kept.
const STDERR_TAIL: usize = 4096;

/// The longest line of standard error that is logged as one, in bytes.
const MAX_LOGGED: usize = 32 * 1024;

/// What a message may have beyond an answer, which it holds as structured
/// content and as text, with JSON's escapes.
const ENVELOPE: usize = 64 * 1024;

/// How long an end may take that is near: its output is closed already.
const SETTLE: Duration = Duration::from_millis(500);

/// The two ends of the conversation.
pub(super) type Streams = AsyncRwTransport<RoleClient, Lines, ChildStdin>;

/// A server's process. Dropping it ends the process and its group.
#[derive(Debug)]
pub(super) struct Process {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
    watcher: AbortHandle,
    _scratch: Option<Scratch>,
}

#[derive(Debug)]
struct Shared {
    group: Mutex<Group>,
    said: Mutex<Said>,
    scrubber: Arc<Scrubber>,
}

#[derive(Debug, Default)]
struct Said {
    stderr: Vec<u8>,
    status: Option<String>,
    flooded: bool,
}

/// What is to be started, and the directory that is made for it.
pub(super) struct Prepared {
    command: Command,
    scratch: Option<Scratch>,
}

impl Process {
    /// The command of a server's file.
    pub(super) async fn command(
        spec: &McpSpec,
        options: &ToolOptions,
        revealed: &mut Revealed<'_>,
    ) -> Result<Prepared> {
        #[cfg_attr(
            not(feature = "http"),
            expect(irrefutable_let_patterns, reason = "the only one")
        )]
        let Transport::Stdio { program, args, env, pass_env, cwd } = &spec.transport else {
            return Err(Error::internal("a server over HTTP has no command"));
        };
        let mut command =
            Command::new(program::find(program, options, &spec.info.name, &spec.file)?);
        command.args(args);
        program::environment(&mut command, options, pass_env, env, revealed).await?;
        let scratch = match cwd {
            Some(cwd) => {
                command.current_dir(cwd);
                None
            }
            None => {
                let scratch = Scratch::new(&options.scratch).map_err(|error| {
                    let name = &spec.info.name;
                    Error::unavailable(format!(
                        "tool {name}: no directory can be made for its server"
                    ))
                    .with_source(error)
                })?;
                command.current_dir(scratch.path());
                Some(scratch)
            }
        };
        Ok(Prepared { command, scratch })
    }

    /// Starts it, and hands out the two ends of the conversation.
    pub(super) fn start(
        spec: &McpSpec,
        prepared: Prepared,
        scrubber: &Arc<Scrubber>,
    ) -> Result<(Self, Streams)> {
        let Prepared { mut command, scratch } = prepared;
        let failed = |error: io::Error| {
            Error::unavailable(format!("tool {}: its MCP server cannot be started", spec.info.name))
                .with_source(error)
        };
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let group = Group::of(&child);
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(failed(io::Error::other("a pipe is missing")));
        };
        let shared = Arc::new(Shared {
            group: Mutex::new(group),
            said: Mutex::default(),
            scrubber: Arc::clone(scrubber),
        });
        let name = spec.info.name.to_string();
        let (sender, ended) = watch::channel(false);
        let watcher = watch(name, child, stderr, Arc::clone(&shared), sender);
        let watcher = tokio::spawn(watcher).abort_handle();
        let most = spec.max_output.saturating_mul(3).saturating_add(ENVELOPE);
        let lines = Lines { stdout, most, line: 0, shared: Arc::clone(&shared) };
        // The limit is ours: this one would wait on, and pass over what is too long.
        let streams = AsyncRwTransport::new(lines, stdin).with_max_line_length(usize::MAX);
        Ok((Self { shared, ended, watcher, _scratch: scratch }, streams))
    }

    /// Waits a moment for an end that is near, so that what there is to say of it is known.
    pub(super) async fn settle(&self) {
        let mut ended = self.ended.clone();
        _ = tokio::time::timeout(SETTLE, ended.wait_for(|ended| *ended)).await;
    }

    /// How it ended and what it said last, fit for the end of a message.
    pub(super) fn last_words(&self) -> String {
        let said = self.shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = String::new();
        if said.flooded {
            words.push_str(", because a message of it was larger than `max_output` allows");
        }
        if let Some(status) = &said.status {
            words.push_str(&format!(" ({status})"));
        }
        let text = String::from_utf8_lossy(&said.stderr);
        let text = self.shared.scrubber.text(&text);
        if let Some(line) = text.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
            let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
            words.push_str(&format!(": {line}"));
        }
        words
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shared.kill();
        self.watcher.abort();
    }
}

impl Shared {
    fn kill(&self) {
        self.group.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

/// Keeps the end of what a server says on standard error, and waits for its end.
async fn watch(
    name: String,
    mut child: Child,
    mut stderr: ChildStderr,
    shared: Arc<Shared>,
    ended: watch::Sender<bool>,
) {
    let (mut chunk, mut line) = (vec![0; 1024], Vec::new());
    while let Ok(count) = stderr.read(&mut chunk).await {
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        // Line by line, for half a secret would not be found.
        for byte in bytes {
            if *byte != b'\n' && line.len() < MAX_LOGGED {
                line.push(*byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            tracing::debug!(tool = %name, "the MCP server says: {}", shared.scrubber.text(&text));
            line.clear();
        }
        let mut said = shared.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.stderr.extend_from_slice(bytes);
        let excess = said.stderr.len().saturating_sub(STDERR_TAIL + shared.scrubber.longest());
        said.stderr.drain(..excess);
    }
    let status = child.wait().await;
    // What it left running goes with it; later the number may be another group's.
    shared.kill();
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    shared.said.lock().unwrap_or_else(PoisonError::into_inner).status = Some(status);
    ended.send_replace(true);
}

/// A server's messages, of which none may be longer than it may: one that does
/// not end would else be waited for until memory does.
pub(super) struct Lines {
    stdout: ChildStdout,
    most: usize,
    line: usize,
    shared: Arc<Shared>,
}

impl AsyncRead for Lines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(context, buffer))?;
        for byte in buffer.filled().iter().skip(before) {
            self.line = if *byte == b'\n' { 0 } else { self.line + 1 };
            if self.line > self.most {
                self.shared.said.lock().unwrap_or_else(PoisonError::into_inner).flooded = true;
                self.shared.kill();
                return Poll::Ready(Err(io::Error::other("a message is too long")));
            }
        }
        Poll::Ready(Ok(()))
    }
}
