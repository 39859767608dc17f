//! `repertoire runtime`

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in super::super) enum Runtime {
    /// Make a runtime image: packages that workflows find installed and imported
    #[command(after_help = "\
What the packages need is found and fetched by pip, wheels only; nothing of them runs outside of a
sandbox. Native code is left out, and a package that cannot do without it is refused. An image that
has the same requirements already is left as it is.

Examples:
  repertoire runtime build --name reports --requirement pyyaml==6.0.3 --requirement jinja2==3.1.6
  repertoire runtime build --name ours --wheel dist/ours-1.0-py3-none-any.whl")]
    Build {
        /// Its name: 1 to 64 of a-z, 0-9, '-' and '_'
        #[arg(long, value_name = "NAME")]
        name: String,
        /// A package and its version; what it needs comes along. May be repeated
        #[arg(long, short, value_name = "PACKAGE==VERSION")]
        requirement: Vec<String>,
        /// A wheel of your own; what it needs does not come along. May be repeated
        #[arg(long, value_name = "FILE")]
        wheel: Vec<PathBuf>,
        /// The Python whose pip is asked
        #[arg(long, value_name = "PROGRAM", default_value = "python3")]
        python: PathBuf,
        /// Ask pip even if there is an image with these requirements
        #[arg(long)]
        refresh: bool,
    },
    /// List the runtime images
    #[command(visible_alias = "ls")]
    List,
    /// Show what is in a runtime image, each wheel with its digest
    Show {
        /// Its name, or the first digits of its digest
        name: String,
    },
    /// Remove a runtime image's name, and the image if it has no other
    #[command(after_help = "\
Recorded runs that began with the image cannot be replayed until it is built again.")]
    Remove {
        /// Its name, or the first digits of its digest
        name: String,
    },
}
