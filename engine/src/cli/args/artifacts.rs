//! What `repertoire artifacts` can say.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Artifacts {
    /// List artifacts, the newest version of each
    #[command(
        visible_alias = "ls",
        after_help = "\
Example:
  repertoire artifacts list --prefix reports/ --kind json --limit 20"
    )]
    List {
        /// Those whose names begin so
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        prefix: String,
        /// Those of this kind
        #[arg(long)]
        kind: Option<Kind>,
        /// Those of this media type, or all that begin so: text/csv, image/
        #[arg(long, value_name = "TYPE", default_value = "", hide_default_value = true)]
        media_type: String,
        /// Those after this name: the last of the page before
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        after: String,
        /// The most of them
        #[arg(long, short = 'n', value_name = "N", default_value_t = 1000)]
        limit: usize,
    },
    /// Print an artifact's content
    Get {
        /// Its name
        name: String,
        /// An older version
        #[arg(long, value_name = "N")]
        version: Option<u64>,
    },
    /// Save a file as a new version of an artifact
    #[command(after_help = "\
What the name held before stays as an older version. A file is read and saved piece by piece.

Examples:
  repertoire artifacts put report.md --file report.md --media-type text/markdown
  echo '{\"a\": 1}' | repertoire artifacts put numbers --file - --kind json
  repertoire artifacts put scratch/today --file notes.txt --expires-in 86400")]
    Put {
        /// Its name
        name: String,
        /// The content, or - for standard input
        #[arg(long, value_name = "FILE|-")]
        file: PathBuf,
        /// What the content is [default: json if the file's name ends so, else text if it is
        /// UTF-8, else binary]
        #[arg(long)]
        kind: Option<Kind>,
        /// For example text/csv [default: what follows from the kind]
        #[arg(long, value_name = "TYPE", default_value = "", hide_default_value = true)]
        media_type: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        description: String,
        /// How long it is kept
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
    },
    /// Show the versions of an artifact that are kept
    Versions {
        /// Its name
        name: String,
    },
    /// Delete an artifact with all its versions
    Delete {
        /// Its name
        name: String,
        /// Only this version
        #[arg(long, value_name = "N")]
        version: Option<u64>,
    },
}

/// What an artifact holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Kind {
    /// A JSON value
    Json,
    /// UTF-8
    Text,
    /// Bytes
    Binary,
}

impl Kind {
    /// As the engine calls it.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}
