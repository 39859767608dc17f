//! One process, its group, and the end of both.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::tools::group::Group;

/// What bounds a process.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How long it may take.
    pub(super) timeout: Duration,
    /// How many bytes it may print.
    pub(super) max_output: usize,
    /// How much of the end of standard error is kept, in bytes.
    pub(super) stderr: usize,
}

/// How a process ended by itself.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why a process did not end by itself.
pub(super) enum Stopped {
    /// It did not start.
    NotStarted(io::Error),
    /// Its time is over.
    TimedOut {
        /// What it said until then.
        stderr: Vec<u8>,
    },
    /// It printed more than it may.
    TooMuchOutput {
        /// What it said until then.
        stderr: Vec<u8>,
    },
    /// Reading what it printed failed.
    Broken(io::Error),
}

/// Runs a command to its end, in a process group of its own.
///
/// However this ends, and if the future is dropped, every process of the group
/// is killed: a call leaves nothing behind when its command exits. A process
/// that moves itself to another group escapes; while it holds standard output
/// the call is not over, but the time limit still ends that.
///
/// `input` is written to its standard input, which is empty without one. That a
/// command does not read all of it is its own affair.
pub(super) async fn run(
    mut command: Command,
    input: Option<Vec<u8>>,
    limits: Limits,
) -> Result<Finished, Stopped> {
    command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(Stopped::NotStarted)?;
    // Declared after `child`, hence dropped before it: where a call is
    // abandoned, the group goes before its leader is reaped.
    let mut group = Group::of(&child);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Stopped::Broken(io::Error::other("a pipe is missing")));
    };

    let stdin = child.stdin.take();
    let write = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // Closed at the end, so that the command sees one.
            _ = stdin.write_all(&input).await;
        }
        Ok(())
    };
    let mut said = Vec::new();
    let work = async {
        let exit = async {
            let status = child.wait().await.map_err(Ended::Broken)?;
            // What the command left running would keep the pipes open. The
            // leader has just been reaped; while anything is left of its group
            // the number is taken, and else it is the last to be given out again.
            group.kill();
            Ok(status)
        };
        let (status, stdout, (), ()) = tokio::try_join!(
            exit,
            whole(stdout, limits.max_output),
            tail(stderr, limits.stderr, &mut said),
            write
        )?;
        Ok((status, stdout))
    };
    let ended = match tokio::time::timeout(limits.timeout, work).await {
        Ok(Ok((status, stdout))) => return Ok(Finished { status, stdout, stderr: said }),
        Ok(Err(ended)) => ended,
        Err(_) => Ended::TimedOut,
    };
    group.kill();
    // Killed, it is gone at once; the bound is for a process that the kernel
    // cannot end, stuck in a device. `kill_on_drop` reaps that one later.
    _ = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
    Err(match ended {
        Ended::TimedOut => Stopped::TimedOut { stderr: said },
        Ended::TooMuchOutput => Stopped::TooMuchOutput { stderr: said },
        Ended::Broken(error) => Stopped::Broken(error),
    })
}

enum Ended {
    TimedOut,
    TooMuchOutput,
    Broken(io::Error),
}

/// All of a stream, counted while it is read.
async fn whole(mut stream: impl AsyncRead + Unpin, max: usize) -> Result<Vec<u8>, Ended> {
    let mut read = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut chunk).await.map_err(Ended::Broken)?;
        match chunk.get(..count) {
            None | Some([]) => return Ok(read),
            Some(_) if read.len() + count > max => return Err(Ended::TooMuchOutput),
            Some(bytes) => read.extend_from_slice(bytes),
        }
    }
}

/// The end of a stream.
async fn tail(
    mut stream: impl AsyncRead + Unpin,
    most: usize,
    kept: &mut Vec<u8>,
) -> Result<(), Ended> {
    let mut chunk = vec![0; 8 * 1024];
    loop {
        let count = stream.read(&mut chunk).await.map_err(Ended::Broken)?;
        match chunk.get(..count) {
            None | Some([]) => return Ok(()),
            Some(bytes) => kept.extend_from_slice(bytes),
        }
        let excess = kept.len().saturating_sub(most);
        kept.drain(..excess);
    }
}
