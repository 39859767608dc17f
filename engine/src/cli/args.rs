//! What the command line can say.

mod artifacts;
mod runtime;
mod serve;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(super) use artifacts::{Artifacts, Kind};
pub(super) use runtime::Runtime;
pub(super) use serve::{Serve, Token, Usage};

/// A searchable library of Python workflows, each run in a WebAssembly sandbox of its own.
#[derive(Debug, Parser)]
#[command(
    name = "repertoire",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "\
Exit status: 0 done; 1 the workflow failed; 2 wrong use; 3 the host failed.

Examples:
  repertoire demo
  repertoire workflows import workflows/
  repertoire workflows search \"grab JSON from a web address\"
  repertoire run fetch_json --arg url=https://api.github.com/repos/python/cpython"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command understands.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct Global {
    /// Where everything is kept: a directory, or a file:// URI
    #[arg(long, global = true, value_name = "DIR|URI")]
    pub(super) data: Option<OsString>,
    /// The tools that workflows may call, one YAML file each
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) tools: Option<OsString>,
    /// Whose library, artifacts and runs
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) tenant: Option<OsString>,
    /// The Python component
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) component: Option<OsString>,
    /// Where the compiled component is kept
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) cache: Option<OsString>,
    /// The embedding model
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) model: Option<OsString>,
    /// The shared library of ONNX Runtime
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) onnxruntime: Option<OsString>,
    /// Print one JSON object, for programs
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,
    /// Print no progress, no summaries and no warnings
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub(super) quiet: bool,
    /// Log more to standard error: -v, -vv, -vvv
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(super) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell the whole story in one screen, on real HTTP, without leaving this machine
    #[command(after_help = "\
Everything happens in a fresh directory that is removed afterwards. Each step is checked: the exit
status is 1 if one does not come out as it should.")]
    Demo,
    /// Run a workflow
    #[command(after_help = "\
What the workflow prints is shown as it is printed; its result follows.

Examples:
  repertoire run compute_text_statistics --arg text=\"to be or not to be\"
  repertoire run summarize_csv --args @arguments.json --json
  repertoire run render_markdown_table --args - --raw < arguments.json
  repertoire run fetch_json --arg url=http://localhost:8000/x.json --timeout 5 --fuel 500000000")]
    Run(Run),
    /// Run agent code: Python that may search, invoke and save workflows
    #[command(after_help = "\
The value of the last expression is the result. `await` is allowed at the top level.

Examples:
  repertoire exec script.py
  echo 'workflows.search(\"tables\", limit=3)' | repertoire exec -
  echo 'workflows.summarize_csv(csv_text=\"a,b\\n1,2\")' | repertoire exec - --json")]
    Exec(Exec),
    /// Save, find and look at workflows
    #[command(subcommand)]
    Workflows(Workflows),
    /// Find and call tools
    #[command(subcommand)]
    Tools(Tools),
    /// Values that outlive a run
    #[command(subcommand)]
    Artifacts(Artifacts),
    /// Packages that workflows find installed
    #[command(subcommand)]
    Runtime(Runtime),
    /// Records of what was run
    #[command(subcommand)]
    Runs(Runs),
    /// Measure what a run costs on this machine
    #[command(after_help = "\
Nothing is read from or written to the data directory. Limits and metering are on.

Examples:
  repertoire bench
  repertoire bench --filter trivial --seconds 5
  repertoire bench --json > figures.json")]
    Bench(Bench),
    /// Check the data directory, and say what is wrong with it
    #[command(after_help = "\
Everything is read, and nothing changed. Exit status 1 if something is damaged. A table whose newest
version is damaged is opened at the version before it when it is next used; what was set aside
stays in the tenant's folder quarantine/.")]
    Doctor,
    /// Write the tenant's workflows into a folder: .py files and one manifest
    #[command(after_help = "\
The same library gives the same bytes, so that a folder under version control shows what changed.
Artifacts, run records and the history are not part of it.

Examples:
  repertoire export library/
  repertoire --tenant other import library/")]
    Export {
        /// The folder: a new one, or one with an earlier export
        directory: PathBuf,
    },
    /// Make the tenant's workflows agree with an exported folder
    #[command(after_help = "\
Files that have not changed do nothing. Workflows without a file are left alone.")]
    Import {
        /// The folder
        directory: PathBuf,
    },
    /// Whose libraries there are
    #[command(subcommand)]
    Tenants(Tenants),
    /// Serve the library to an agent over MCP, on standard input and output
    #[command(after_help = "\
An agent's program starts this and talks to it; `docs/mcp.md` shows how to add it.

Examples:
  repertoire mcp
  repertoire mcp --expose fetch_json,summarize_csv
  repertoire mcp --tenant acme")]
    Mcp(Mcp),
    /// Serve the library to programs over HTTP
    #[command(after_help = "\
Nobody can use it without a token, which `repertoire token create` makes; `docs/serving.md` says
what there is. SIGINT and SIGTERM end it: what runs may go on for a while, and exit status is 0.

Examples:
  repertoire serve
  repertoire serve --listen 0.0.0.0:8787 --grace 60s")]
    Serve(Serve),
    /// Show what a tenant's runs have used, by workflow, and how much of its quota
    #[command(after_help = "\
`[quota]` and `[tenants.NAME.quota]` in repertoire.toml say what may be used; docs/quotas.md has all
of them.

Examples:
  repertoire usage --tenant acme
  repertoire usage --last 30days --json")]
    Usage(Usage),
    /// Say who may use `repertoire serve`
    #[command(subcommand)]
    Token(Token),
    /// Show every setting, its value and where it comes from
    #[command(after_help = "\
A setting comes from its flag, else from its environment variable, else from the nearest
repertoire.toml in this directory or one above it, else it has its default. Paths in a
repertoire.toml are relative to that file.

Examples:
  repertoire config
  REPERTOIRE_FUEL=1000000000 repertoire config --json")]
    Config,
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  repertoire completions bash > ~/.local/share/bash-completion/completions/repertoire
  repertoire completions fish > ~/.config/fish/completions/repertoire.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Mcp {
    /// Offer these workflows as tools of their own, too
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) expose: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The workflow
    pub(super) name: String,
    #[command(flatten)]
    pub(super) arguments: Arguments,
    #[command(flatten)]
    pub(super) limits: LimitFlags,
    /// Let it invoke the versions that it was created against, whatever their names mean now
    #[arg(long)]
    pub(super) pinned: bool,
    /// Print a result that is a string without quotes
    #[arg(long, short, conflicts_with = "json", help_heading = "Output")]
    pub(super) raw: bool,
}

#[derive(Debug, Args)]
pub(super) struct Exec {
    /// The code, or - for standard input
    #[arg(value_name = "FILE|-")]
    pub(super) file: PathBuf,
    /// The runtime image that it begins with [default: the setting runtime.image]
    #[arg(long, value_name = "NAME")]
    pub(super) runtime: Option<String>,
    #[command(flatten)]
    pub(super) limits: LimitFlags,
    /// Print a result that is a string without quotes
    #[arg(long, short, conflicts_with = "json", help_heading = "Output")]
    pub(super) raw: bool,
}

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Only figures whose name contains this
    #[arg(long, short, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// How long each figure is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(super) seconds: f64,
    /// Tasks that invoke at once, for `throughput`
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(super) tasks: u32,
    /// Instances that stand by [default: as an engine has them]
    #[arg(long, value_name = "N")]
    pub(super) standby: Option<u32>,
    /// Runs that wait at once, for `waiting-memory`
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(super) waiting: u32,
}

/// Keyword arguments.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keyword arguments: a JSON object, @FILE with one, or - for standard input
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub(super) args: Option<String>,
    /// One keyword argument; what is not JSON is a string. May be repeated
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pub(super) pairs: Vec<String>,
}

/// Limits of this run, in place of those of the settings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitFlags {
    /// Units of fuel, roughly WebAssembly instructions
    #[arg(long, value_name = "N")]
    pub(super) fuel: Option<OsString>,
    /// MiB of memory
    #[arg(long, value_name = "MIB")]
    pub(super) memory: Option<OsString>,
    /// Wall time, waiting for tools included
    #[arg(long, value_name = "SECONDS")]
    pub(super) timeout: Option<OsString>,
    /// Seeds random numbers, so that a run can be repeated
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Workflows {
    /// Save a workflow. Its source is analysed and not run
    #[command(after_help = "\
Workflows are immutable: to change one, delete it and create it anew. The old one stays in its
history.

Examples:
  repertoire workflows create greet --source greet.py --description \"Greet somebody\"
  repertoire workflows create greet --source - < greet.py")]
    Create {
        /// Its name: a Python identifier
        name: String,
        /// Python with a function `run`; - for standard input
        #[arg(long, value_name = "FILE|-")]
        source: PathBuf,
        /// What it does, in the words one would search for [default: its docstring]
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        description: String,
    },
    /// List all workflows
    #[command(visible_alias = "ls")]
    List,
    /// Show a workflow: how to call it, what it does, its source
    Get {
        /// Its name
        name: String,
        /// Print the source and nothing else
        #[arg(long, conflicts_with = "json")]
        source: bool,
    },
    /// Find workflows by what they are for
    #[command(after_help = "\
The search is by meaning: words need not match.

Example:
  repertoire workflows search \"grab JSON from a web address\"")]
    Search {
        /// What you want to do
        query: String,
        /// The most results
        #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
        limit: usize,
    },
    /// Delete a workflow. It stays in its history
    #[command(after_help = "\
Workflows that invoke it by name are broken then, and named. `workflows restore` takes it back.")]
    Delete {
        /// Its name
        name: String,
        /// Refuse if other workflows invoke it by name
        #[arg(long)]
        if_unused: bool,
    },
    /// Make the library agree with a folder of .py files
    #[command(after_help = "\
Files that have not changed do nothing. Workflows without a file are left alone.

Example:
  repertoire workflows import workflows/")]
    Import {
        /// The folder
        directory: PathBuf,
    },
    /// Show what a workflow reaches, with everything that it invokes
    #[command(after_help = "\
What is read off sources is what to expect, and no boundary: grants are asked at every call.

Example:
  repertoire workflows capabilities fetch_json")]
    Capabilities {
        /// Its name
        name: String,
    },
    /// Show everything that a name has meant
    History {
        /// The name
        name: String,
    },
    /// Make a name mean again what it meant as an earlier version
    #[command(after_help = "\
What the name means now goes into its history.

Examples:
  repertoire workflows history fetch_json
  repertoire workflows restore fetch_json 3f9a0c")]
    Restore {
        /// The name
        name: String,
        /// The version, or its first digits, as `workflows history` shows them
        version: String,
    },
    /// Show which workflows invoke which
    Graph,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tools {
    /// List all tools and their recipes
    #[command(visible_alias = "ls")]
    List,
    /// Name the workflows that need a tool, a recipe or a workflow that is not there
    #[command(after_help = "\
To be run after a tool was changed. The exit status is 1 if something is missing.")]
    Check,
    /// Find tools by what they are for
    Search {
        /// What you want to do
        query: String,
        /// The most results
        #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
        limit: usize,
    },
    /// Print the JSON Schema of tool files, for editors
    Schema,
    /// Call a tool, or one of its recipes
    #[command(after_help = "\
Examples:
  repertoire tools call curl.get --arg url=https://example.org
  repertoire tools call curl --args '{\"url\": \"https://example.org\", \"head\": true}'")]
    Call {
        /// The tool, and after a dot one of its recipes
        #[arg(value_name = "TOOL[.RECIPE]")]
        tool: String,
        #[command(flatten)]
        arguments: Arguments,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Runs {
    /// List the newest runs
    #[command(visible_alias = "ls")]
    List {
        /// How many
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Agree to the call that a run waits with
    #[command(after_help = "\
`runs list` shows what waits, and with which arguments.")]
    Approve {
        /// The run's id
        id: String,
        /// Which of its calls, if several wait
        #[arg(long, value_name = "N")]
        call: Option<u64>,
    },
    /// Refuse the calls that a run waits with
    Deny {
        /// The run's id
        id: String,
        /// Only this one of its calls
        #[arg(long, value_name = "N")]
        call: Option<u64>,
    },
    /// Show what is recorded of a run, its host calls one by one
    Show {
        /// Its id, as `runs list` and --json show it
        id: String,
    },
    /// Run a run again, from its record alone, and say whether it comes out the same
    #[command(after_help = "\
No tool is called, nothing is saved, and no record is left: the run's host calls are answered with
what was recorded, and so are its clocks. Runs that it invoked are replayed from their own records.

Exit status: 0 same result, same output, same fuel; 1 it came out differently; 2 it cannot be replayed.")]
    Replay {
        /// Its id, as `runs list` and --json show it
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Tenants {
    /// List the tenants that have anything
    #[command(visible_alias = "ls")]
    List,
    /// Create a tenant. The tenant `default` exists by itself
    #[command(after_help = "\
Examples:
  repertoire tenants create acme
  repertoire --tenant acme workflows import workflows/")]
    Create {
        /// Its name: 1 to 64 of a-z, 0-9, '-' and '_'
        name: String,
    },
    /// Delete a tenant with its workflows, their history, its artifacts and its run records
    Delete {
        /// Its name
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        super::Cli::command().debug_assert();
    }
}
