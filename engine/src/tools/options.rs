//! What tools get from the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::at_once::{AtOnce, DEFAULT_PROCESSES, DEFAULT_REQUESTS};
use super::secrets::{SecretMap, Secrets};

/// What the tools of a folder get from the machine; nothing else of it reaches them.
#[derive(Debug, Clone)]
pub struct ToolOptions {
    /// Where commands are looked for, and `PATH` of what is started. Entries
    /// that are not absolute are passed over. Default: none, so that only
    /// commands with a path are found.
    pub search_path: Option<OsString>,
    /// Where the directories of single calls are made. Default: `/tmp`.
    pub scratch: PathBuf,
    /// The host's environment, of which a command gets the variables that its
    /// file names under `pass_env`. Default: empty.
    pub variables: BTreeMap<OsString, OsString>,
    /// How many commands run at once; calls beyond that wait. Default: [`DEFAULT_PROCESSES`], for
    /// all tools that share these options.
    pub processes: AtOnce,
    /// How many requests of HTTP tools are under way at once. Default: [`DEFAULT_REQUESTS`], likewise.
    pub requests: AtOnce,
    /// Where the secrets that tool files name are kept. Default: there are none.
    pub secrets: Arc<dyn Secrets>,
    /// How host names become addresses. Default: as the system does it.
    #[cfg(feature = "http")]
    pub resolver: Arc<dyn super::http::Resolver>,
}

impl Default for ToolOptions {
    fn default() -> Self {
        Self {
            search_path: None,
            scratch: PathBuf::from("/tmp"),
            variables: BTreeMap::new(),
            processes: AtOnce::new(DEFAULT_PROCESSES),
            requests: AtOnce::new(DEFAULT_REQUESTS),
            secrets: Arc::new(SecretMap::default()),
            #[cfg(feature = "http")]
            resolver: Arc::new(super::http::SystemResolver),
        }
    }
}
