//! Where a tool may go: nowhere, but for what its file says.

use std::fmt::Write as _;
use std::net::IpAddr;

use reqwest::{Method, Url};

use super::address::{self, Range};
use crate::error::{Code, Error};

/// What a tool may ask: a request has to match one rule, and every address that
/// its host has must be public, or named by a rule that matches.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// The rules; without one everything is refused.
    pub rules: Vec<Rule>,
}

/// One line of `egress:`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Which host.
    pub host: HostPattern,
    /// Which port; the scheme's own if `None`.
    pub port: Option<u16>,
    /// Whether `http:` will do, beside `https:`.
    pub plain: bool,
    /// Which methods; all if empty.
    pub methods: Vec<Method>,
    /// Which paths; all if empty. A `*` at the end stands for any rest.
    pub paths: Vec<String>,
    /// Which addresses that are not public the host may have.
    pub addresses: Vec<Range>,
}

/// Which host a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// Any.
    Any,
    /// This one, in lower case.
    Exact(String),
    /// Those below this one.
    Below(String),
}

impl HostPattern {
    /// Reads `*`, `*.example.org` or `example.org`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = |text: &str| {
            let text = canonical(text);
            let plain = !text.is_empty() && !text.contains(['*', '/', '@', ' ', '?', '#']);
            plain.then_some(text)
        };
        match text.strip_prefix("*.") {
            _ if text == "*" => Some(Self::Any),
            Some(rest) => name(rest).map(Self::Below),
            None => name(text).map(Self::Exact),
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => host == exact,
            Self::Below(parent) => {
                host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
        }
    }
}

/// A host as rules are compared with: lower case, without the root's dot.
pub(super) fn canonical(host: &str) -> String {
    host.trim_end_matches('.').trim_matches(['[', ']']).to_ascii_lowercase()
}

impl Rule {
    fn matches(&self, method: &Method, url: &Url) -> bool {
        let scheme = match url.scheme() {
            "https" => true,
            "http" => self.plain,
            _ => false,
        };
        scheme
            && self.host.matches(&canonical(url.host_str().unwrap_or_default()))
            && match self.port {
                Some(port) => url.port_or_known_default() == Some(port),
                None => url.port().is_none(),
            }
            && (self.methods.is_empty() || self.methods.contains(method))
            && (self.paths.is_empty() || self.paths.iter().any(|path| fits(path, url.path())))
    }
}

/// Whether a path is the one of a rule, or below it where that ends in `*`.
fn fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => path.starts_with(begin),
        None => path == pattern,
    }
}

impl Egress {
    /// Whether a request may be made, as far as its text tells.
    ///
    /// # Errors
    /// [`Code::Denied`], with the line that would allow it.
    pub fn check(&self, method: &Method, url: &Url, who: &Who<'_>) -> Result<(), Error> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::new(
                Code::Denied,
                format!(
                    "tool {}: an address may not hold a user's name or password; \
                     give them as `auth` in {}",
                    who.tool, who.file
                ),
            ));
        }
        let host = canonical(url.host_str().unwrap_or_default());
        if !self.rules.iter().any(|rule| rule.matches(method, url)) {
            let literal = host.parse().ok().filter(|address| !address::is_public(*address));
            return Err(refused(method, url, &host, literal, who));
        }
        // A literal address is connected to without asking anybody.
        match host.parse::<IpAddr>() {
            Ok(address) if !self.allows_address(&host, address) => {
                Err(refused(method, url, &host, Some(address), who))
            }
            _ => Ok(()),
        }
    }

    /// Whether a host may have an address.
    #[must_use]
    pub fn allows_address(&self, host: &str, address: IpAddr) -> bool {
        let host = canonical(host);
        let named = |rule: &Rule| {
            rule.host.matches(&host) && rule.addresses.iter().any(|range| range.contains(address))
        };
        address::is_public(address) || self.rules.iter().any(named)
    }
}

/// Who asks, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The tool.
    pub tool: &'a str,
    /// Its file.
    pub file: &'a str,
}

/// A refusal with the line that would allow what was refused.
pub(super) fn refused(
    method: &Method,
    url: &Url,
    host: &str,
    address: Option<IpAddr>,
    who: &Who<'_>,
) -> Error {
    let Who { tool, file } = who;
    let shown: String = url.path().chars().take(200).collect();
    let target = format!("{}://{}{shown}", url.scheme(), shown_host(url, host));
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("tool {tool}: {target} is neither http nor https");
        return Error::new(Code::Denied, message);
    }
    let mut line = format!("- {{host: \"{host}\"");
    if let Some(port) = url.port() {
        _ = write!(line, ", port: {port}");
    }
    if url.scheme() == "http" {
        line.push_str(", http: true");
    }
    _ = write!(line, ", methods: [{method}], paths: [{}]", serde_json::Value::from(shown.as_str()));
    if let Some(address) = address {
        let meant = address::meant(address);
        let bits = if meant.is_ipv4() { 32 } else { 128 };
        _ = write!(line, ", addresses: [\"{meant}/{bits}\"]");
    }
    line.push('}');
    let own = match address {
        Some(address) => format!(", whose address {address} is not a public one"),
        None => String::new(),
    };
    let message = format!(
        "tool {tool} may not {method} {target}{own}; this line under `egress:` in {file} would \
         allow it: {line}"
    );
    let details = serde_json::json!({ "url": target, "method": method.as_str(), "allow": line });
    Error::new(Code::Denied, message).with_details(details.into())
}

fn shown_host(url: &Url, host: &str) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    url.port().map_or(host.clone(), |port| format!("{host}:{port}"))
}
