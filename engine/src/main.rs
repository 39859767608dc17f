//! The program. The only place that asks the process about itself: arguments,
//! environment, current directory, terminals. Everything else is in [`repertoire::cli`].

use std::env;
use std::io::{IsTerminal, stderr, stdout};
use std::process::ExitCode;

use repertoire::cli::{self, Environment};

/// Gives memory back: the C library's keeps what large values took, in an arena for
/// each thread, and a server's memory would only grow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let home = directories::BaseDirs::new();
    cli::main(Environment {
        arguments: env::args_os().collect(),
        variables: env::vars_os().collect(),
        current_dir: env::current_dir().unwrap_or_default(),
        executable: env::current_exe().unwrap_or_default(),
        temp_dir: env::temp_dir(),
        data_dir: home.as_ref().map(|home| home.data_dir().to_owned()),
        cache_dir: home.as_ref().map(|home| home.cache_dir().to_owned()),
        stdout_is_terminal: stdout().is_terminal(),
        stderr_is_terminal: stderr().is_terminal(),
    })
}
