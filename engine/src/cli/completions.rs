//! `repertoire completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::Exit;
use super::args::Cli;
use super::output::Output;
use crate::error::Result;

pub(super) fn print(shell: Shell, output: &Output) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "repertoire", &mut script);
    output.print_bytes(&script)?;
    Ok(Exit::Done)
}
