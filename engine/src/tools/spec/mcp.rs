//! `type: mcp`: the tools of an MCP server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::authored::Entries;
use super::parse::{Source, hint};
use super::text::AuthoredText;
use super::{Program, common};
use crate::error::Result;
use crate::id::{ToolName, quoted};
use crate::tools::ToolInfo;
use crate::tools::secrets::Text;

/// How long a server may take to start and say what it has, if the file does
/// not say: one that is fetched first takes a while.
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(30);

/// An MCP server as its file describes it, checked and complete.
#[derive(Debug, Clone)]
pub struct McpSpec {
    /// What callers see before the server is asked: no callables.
    pub info: ToolInfo,
    /// The file's name, without its folder.
    pub file: String,
    /// How it is reached.
    pub transport: Transport,
    /// How long a call may take.
    pub timeout: Duration,
    /// How long it may take to start and say what it has.
    pub start_timeout: Duration,
    /// How many bytes an answer may have.
    pub max_output: usize,
    /// Whether all tenants share one; else each has its own.
    pub shared: bool,
    /// Which of its tools can be called; all if `None`.
    pub tools: Option<Vec<String>>,
}

/// How a server is reached.
#[derive(Debug, Clone)]
pub enum Transport {
    /// It is a process of ours.
    Stdio {
        /// What is started.
        program: Program,
        /// Its arguments.
        args: Vec<String>,
        /// The environment, besides `PATH` and `LANG`.
        env: BTreeMap<String, Text>,
        /// Variables of the host's environment that reach it.
        pass_env: Vec<String>,
        /// Where it runs; in a directory of its own if `None`.
        cwd: Option<PathBuf>,
    },
    /// It is asked over HTTP.
    #[cfg(feature = "http")]
    Http {
        /// Where.
        url: reqwest::Url,
        /// Sent with every request.
        headers: Vec<(String, Text)>,
        /// Where requests may go.
        egress: crate::tools::http::egress::Egress,
    },
}

#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct McpFile {
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    name: Spanned<String>,
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schemars", schemars(with = "super::schema::TypeMcp"))]
    _kind: Spanned<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    /// stdio or http; by whether there is a command or a url if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    transport: Option<Spanned<String>>,
    /// The server's program: a name or a path. No shell reads it.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    command: Option<Spanned<String>>,
    /// Its arguments.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    args: Option<Vec<Spanned<String>>>,
    /// Its environment, besides PATH and LANG.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, AuthoredText>>"))]
    env: Option<Entries<Spanned<AuthoredText>>>,
    /// Variables of the host's environment that reach it.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<Vec<String>>"))]
    pass_env: Option<Vec<Spanned<String>>>,
    /// Where it runs; a directory of its own if not given.
    cwd: Option<String>,
    /// Where it is asked over HTTP.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    url: Option<Spanned<String>>,
    /// Sent with every request.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<BTreeMap<String, AuthoredText>>"))]
    headers: Option<Entries<Spanned<AuthoredText>>>,
    /// Where requests may go besides url, and which addresses it may have.
    #[cfg(feature = "http")]
    egress: Option<Vec<super::http::AuthoredRule>>,
    /// Seconds that a call may take; 60 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    timeout: Option<Spanned<f64>>,
    /// Seconds that it may take to start and say what it has; 30 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<f64>"))]
    start_timeout: Option<Spanned<f64>>,
    /// Bytes that an answer may have; 4194304 if not given.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<u64>"))]
    max_output: Option<Spanned<u64>>,
    /// tenant: each tenant has a server of its own; shared: all have one.
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>"))]
    sharing: Option<Spanned<String>>,
    /// Which of its tools can be called; all if not given.
    tools: Option<Vec<String>>,
}

/// Checks and completes a tool.
pub(super) fn tool(source: &Source<'_>, file: McpFile) -> Result<McpSpec> {
    let name: ToolName = common::name(source, &file.name)?;
    let shared = match file.sharing.as_ref().map(|sharing| sharing.value.as_str()) {
        None | Some("tenant") => false,
        Some("shared") => true,
        Some(other) => {
            let at =
                file.sharing.as_ref().map_or(file.name.referenced, |sharing| sharing.referenced);
            let problem = format!(
                "{} is no way to share{}",
                quoted(other),
                hint(other, &["tenant", "shared"])
            );
            return Err(source.refuse(at, problem));
        }
    };
    let start_timeout = match file.start_timeout.clone() {
        None => DEFAULT_START_TIMEOUT,
        given => common::timeout(source, given)?,
    };
    let info = ToolInfo {
        name,
        description: file.description.clone().unwrap_or_default(),
        tags: file.tags.clone().unwrap_or_default(),
        callables: Vec::new(),
    };
    let (timeout, max_output) = (
        common::timeout(source, file.timeout.clone())?,
        common::max_output(source, file.max_output.clone())?,
    );
    let tools = file.tools.clone();
    Ok(McpSpec {
        info,
        file: common::file_name(source),
        transport: transport(source, file)?,
        timeout,
        start_timeout,
        max_output,
        shared,
        tools,
    })
}

fn transport(source: &Source<'_>, file: McpFile) -> Result<Transport> {
    let at = file.name.referenced;
    let named = file.transport.as_ref().map(|transport| transport.value.as_str());
    let is_http = match named {
        None => file.url.is_some(),
        Some("stdio") => false,
        Some("http" | "streamable-http" | "streamable_http") => true,
        Some(other) => {
            let at = file.transport.as_ref().map_or(at, |transport| transport.referenced);
            let old = if other == "sse" { ", which servers have given up for http" } else { "" };
            let problem = format!(
                "{} is no transport{old}{}",
                quoted(other),
                hint(other, &["stdio", "http"])
            );
            return Err(source.refuse(at, problem));
        }
    };
    let Some(command) = file.command.as_ref().filter(|_| !is_http) else {
        let Some(url) = file.url.as_ref().filter(|_| is_http) else {
            let missing = if is_http { "url" } else { "command" };
            return Err(source.refuse(at, format!("key \"{missing}\" is missing")));
        };
        let url = url.clone();
        return over_http(source, file, &url);
    };
    if let Some(url) = &file.url {
        return Err(source.refuse(url.referenced, "give command or url, not both"));
    }
    if let Some(headers) = &file.headers {
        let at = headers.0.first().map_or(at, |(name, _)| name.referenced);
        return Err(source.refuse(at, "headers are for transport: http"));
    }
    let folder = source.path.parent().map(PathBuf::from).unwrap_or_default();
    Ok(Transport::Stdio {
        program: common::program(source, Some(command), &file.name, &folder)?,
        args: common::fixed(source, file.args.unwrap_or_default())?,
        env: common::env(source, file.env)?,
        pass_env: common::pass_env(source, file.pass_env)?,
        cwd: file.cwd.map(|cwd| folder.join(cwd)),
    })
}

#[cfg(not(feature = "http"))]
fn over_http(source: &Source<'_>, _: McpFile, url: &Spanned<String>) -> Result<Transport> {
    Err(source.refuse(url.referenced, "this program was built without its cargo feature http"))
}

#[cfg(feature = "http")]
fn over_http(source: &Source<'_>, file: McpFile, url: &Spanned<String>) -> Result<Transport> {
    use super::http::{base_url, rule_of, texts};
    use crate::tools::http::egress::{Egress, HostPattern, Rule};

    let parsed = base_url(source, url)?;
    let host = parsed.host_str().unwrap_or_default();
    let own = Rule {
        host: HostPattern::parse(host).unwrap_or_else(|| HostPattern::Exact(host.to_owned())),
        port: parsed.port(),
        plain: parsed.scheme() == "http",
        methods: Vec::new(),
        paths: vec![parsed.path().to_owned()],
        addresses: Vec::new(),
    };
    let mut rules = vec![own];
    for rule in file.egress.unwrap_or_default() {
        rules.push(rule_of(source, rule)?);
    }
    let headers = texts(source, file.headers, |name| {
        reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
    })?;
    Ok(Transport::Http { url: parsed, headers, egress: Egress { rules } })
}
