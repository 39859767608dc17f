//! The command line: translates, and decides nothing.
//!
//! ```text
//! Environment -> args (clap) -> settings -> App -> one file per command -> output
//! ```

mod args;
mod settings;
mod output;
mod text;
mod wire;
mod input;
mod progress;
mod app;
mod run;
mod exec;
mod workflows;
mod versions;
mod tools;
mod artifacts;
mod capabilities;
mod runtime;
mod runs;
mod tenants;
mod mcp;
mod serve;
mod reload;
mod tokens;
mod usage;
mod exchange;
mod doctor;
mod config;
mod completions;
mod demo;
mod bench;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::app::App;
use self::args::{Cli, Command};
use self::output::Output;
use self::settings::{CommandFlags, Settings};
use crate::error::{Blame, Code, Error, Result};
use crate::run::Outcome;

/// What the process knows of itself, gathered by `main.rs`.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// The environment variables.
    pub variables: Vec<(OsString, OsString)>,
    /// Where it was started.
    pub current_dir: PathBuf,
    /// The program's file.
    pub executable: PathBuf,
    /// Where temporary files go.
    pub temp_dir: PathBuf,
    /// Where programs keep this user's data, if there is a home directory.
    pub data_dir: Option<PathBuf>,
    /// Where programs keep what they can make again.
    pub cache_dir: Option<PathBuf>,
    /// Whether a person reads standard output.
    pub stdout_is_terminal: bool,
    /// Whether a person reads standard error.
    pub stderr_is_terminal: bool,
}

impl Environment {
    fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }
}

/// How a command ends. The numbers are the exit statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done = 0,
    /// The workflow failed.
    Failed = 1,
    /// Wrong use.
    Misuse = 2,
    /// The host failed.
    Host = 3,
    /// Ctrl-C; 128 and the number of the signal, as shells have it.
    Interrupted = 130,
    /// As above, for a request to end.
    Terminated = 143,
}

impl Exit {
    /// The status for an error that kept a command from being done.
    fn of_error(error: &Error) -> Self {
        match error.blame() {
            Blame::Caller => Self::Misuse,
            Blame::Guest => Self::Failed,
            Blame::Host => Self::Host,
        }
    }

    /// The status for a run that took place.
    fn of_run(outcome: &Outcome) -> Self {
        match outcome.failure().map(|failure| failure.code.blame()) {
            None => Self::Done,
            // An uncaught exception keeps its code: `not-found` within a workflow is
            // the workflow's failure, not the caller's.
            Some(Blame::Caller | Blame::Guest) => Self::Failed,
            Some(Blame::Host) => Self::Host,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what the command line says.
#[must_use]
pub fn main(environment: Environment) -> ExitCode {
    let cli = match Cli::try_parse_from(&environment.arguments) {
        Ok(cli) => cli,
        Err(problem) => return explain(&environment, &problem),
    };
    let output = Output::new(&environment, &cli.global);
    let exit = execute(environment, cli, &output).unwrap_or_else(|error| {
        report(&output, &error);
        Exit::of_error(&error)
    });
    exit.into()
}

fn execute(environment: Environment, cli: Cli, output: &Output) -> Result<Exit> {
    if let Command::Completions { shell } = cli.command {
        return completions::print(shell, output);
    }
    let mut flags = CommandFlags::default();
    match &cli.command {
        Command::Run(run) => flags.limits = Some(&run.limits),
        Command::Exec(exec) => flags.limits = Some(&exec.limits),
        Command::Serve(serve) => flags.serve = Some(serve),
        _ => {}
    }
    let settings = Settings::read(&environment, &cli.global, flags)?;
    app::start_log(&settings, &cli.global, output)?;
    for problem in &settings.unknown_variables {
        tracing::warn!("{problem}");
    }
    if matches!(cli.command, Command::Config) {
        return config::show(&settings, output);
    }
    let is_server = matches!(cli.command, Command::Serve(_));
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    // A command waits for tools and disks, and computes in one guest at a time. A server has a
    // thread more than runs compute on, which sees whose turn it is meanwhile.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    threads.worker_threads(if is_server { cores + 1 } else { 2 });
    let runtime = threads
        .enable_all()
        .build()
        .map_err(|error| Error::unavailable("cannot start threads").with_source(error))?;
    let app = App::new(environment, settings, output.clone(), is_server);
    let exit = runtime.block_on(until_interrupted(&app, cli.command));
    // Nothing that is still under way is waited for, for example a compilation.
    runtime.shutdown_background();
    exit
}

/// Does the command, unless somebody ends it: then its future is dropped, and
/// with that whatever guest runs.
async fn until_interrupted(app: &App, command: Command) -> Result<Exit> {
    // It ends by itself when it is asked to.
    if matches!(command, Command::Serve(_)) {
        return serve::serve(app).await;
    }
    let (work, interrupted) = (Box::pin(dispatch(app, command)), interruption()?);
    let ended = tokio::select! {
        exit = work => exit,
        exit = interrupted => Ok(exit),
    };
    if let Ok(exit @ (Exit::Interrupted | Exit::Terminated)) = ended {
        exit_at_next_interruption();
        app.flush().await?;
        let error = Error::new(Code::Cancelled, "cancelled");
        if app.output.json {
            report(&app.output, &error);
        } else {
            app.output.complain(error.message());
        }
        return Ok(exit);
    }
    // What could not be recorded does not take the answer back, which is printed already.
    let flushed = app.flush().await;
    let exit = ended?;
    flushed.map(|()| exit)
}

/// Who asks twice means it.
fn exit_at_next_interruption() {
    if let Ok(interrupted) = interruption() {
        tokio::spawn(async { std::process::exit(interrupted.await as i32) });
    }
}

/// Waits until somebody ends the program; from now on that does not end it at once.
fn interruption() -> Result<impl Future<Output = Exit> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Error::unavailable("cannot wait for signals").with_source(error))
    };
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        }
    })
}

async fn dispatch(app: &App, command: Command) -> Result<Exit> {
    match command {
        Command::Demo => demo::tell(app).await,
        Command::Bench(bench) => bench::bench(app, bench).await,
        Command::Run(run) => run::run(app, run).await,
        Command::Exec(exec) => exec::exec(app, exec).await,
        Command::Workflows(command) => workflows::dispatch(app, command).await,
        Command::Tools(command) => tools::dispatch(app, command).await,
        Command::Artifacts(command) => artifacts::dispatch(app, command).await,
        Command::Runtime(command) => Box::pin(runtime::dispatch(app, command)).await,
        Command::Runs(command) => runs::dispatch(app, command).await,
        Command::Tenants(command) => tenants::dispatch(app, command).await,
        Command::Mcp(given) => Box::pin(mcp::mcp(app, given)).await,
        Command::Doctor => doctor::doctor(app).await,
        Command::Export { directory } => exchange::export(app, &directory).await,
        Command::Import { directory } => workflows::import(app, &directory).await,
        Command::Usage(command) => usage::usage(app, &command).await,
        Command::Token(command) => tokens::dispatch(app, command).await,
        // Done elsewhere: in `execute`, and in `until_interrupted`.
        Command::Config | Command::Completions { .. } | Command::Serve(_) => Ok(Exit::Done),
    }
}

/// Says why a command was not done.
fn report(output: &Output, error: &Error) {
    if output.json {
        let answer = wire::Answer { error: Some(error.into()), ..wire::Answer::default() };
        // If standard output is gone, the exit status still says it.
        let _ = output.object(&answer);
    } else {
        output.complain(&format!("error[{}]: {}", error.code(), error.chain()));
    }
}

/// Help, version, or what was wrong with the command line.
fn explain(environment: &Environment, problem: &clap::Error) -> ExitCode {
    if !problem.use_stderr() {
        // Help on a pipe that was closed is no failure.
        let _ = problem.print();
        return Exit::Done.into();
    }
    let wants_json = environment.arguments.iter().any(|argument| argument == "--json");
    if wants_json {
        let text = problem.render().to_string();
        let message = text.trim().trim_start_matches("error: ").to_owned();
        let error = Error::invalid_argument(message);
        let flags = args::Global { json: true, ..args::Global::default() };
        report(&Output::new(environment, &flags), &error);
    } else {
        let _ = problem.print();
    }
    Exit::Misuse.into()
}
