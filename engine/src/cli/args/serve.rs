//! What `repertoire serve` and `repertoire token` understand.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(in super::super) struct Serve {
    /// The address to listen on; only this flag can name one that other machines reach
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(in super::super) listen: Option<OsString>,
    /// How long what runs may go on after it is asked to end, for example 30s
    #[arg(long, value_name = "TIME")]
    pub(in super::super) grace: Option<OsString>,
}

#[derive(Debug, Args)]
pub(in super::super) struct Usage {
    /// Of runs that started within this time before now
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    pub(in super::super) last: Duration,
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum Token {
    /// Create a token, and print it: this once
    #[command(after_help = "\
Scopes: read looks at everything; run invokes workflows and runs code; write creates and deletes
workflows and artifacts; admin does all of that, and agrees to what runs ask for.

Examples:
  repertoire token create --tenant acme --scope read,run --name ci --expires 30d
  repertoire token create --scope admin --json")]
    Create {
        /// What it is for: some of read, run, write, admin
        #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
        scope: Vec<String>,
        /// What to call it
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        name: String,
        /// How long it is valid [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// List all tokens, of all tenants; what they are is not kept
    #[command(visible_alias = "ls")]
    List,
    /// Make a token worth nothing, at once
    Revoke {
        /// Its id, as `token list` shows it
        id: String,
    },
}
