//! `type: http`: what a file says to what it means.

use std::collections::BTreeMap;

use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use serde_saphyr::{Location, Spanned};

use super::authored::{AuthoredAuth, AuthoredBasic, AuthoredRule, HttpFile};
use super::params::endpoint_of;
use super::{Auth, Endpoint, HttpSpec, openapi};
use crate::error::Result;
use crate::id::quoted;
use crate::tools::http::address::Range;
use crate::tools::http::egress::{Egress, HostPattern, Rule};
use crate::tools::secrets::Text;
use crate::tools::spec::authored::Entries;
use crate::tools::spec::common;
use crate::tools::spec::parse::{Source, hint};
use crate::tools::spec::text::{self, AuthoredText};
use crate::tools::{Callable, ToolInfo};

/// How often a request that may be repeated is, if the file does not say.
const DEFAULT_RETRIES: u64 = 2;

/// How many redirects are followed, if the file does not say.
const DEFAULT_REDIRECTS: u64 = 5;

/// The most of either.
const MAX_REPEATS: u64 = 10;

/// Checks and completes a tool.
pub(in crate::tools::spec) fn tool(source: &Source<'_>, file: HttpFile) -> Result<HttpSpec> {
    let at = file.name.referenced;
    let name = common::name(source, &file.name)?;
    let mut made = Made::default();
    let mut base = file.base_url.map(|url| base_url(source, &url)).transpose()?;
    for (key, endpoint) in file.endpoints.map(|entries| entries.0).unwrap_or_default() {
        endpoint_of(source, &key, endpoint, base.is_some())?.add_to(
            source,
            key.referenced,
            &mut made,
        )?;
    }
    if let Some(document) = &file.openapi {
        let found = openapi::read(source, document, file.operations.as_deref(), base.is_none())?;
        base = base.or(found.base);
        for one in found.endpoints {
            one.add_to(source, document.referenced, &mut made)?;
        }
    }
    if made.callables.is_empty() {
        return Err(source.refuse(at, "there is nothing to call: give endpoints, or openapi"));
    }
    let mut egress = Egress::default();
    if let Some(base) = &base {
        egress.rules.push(own_rule(base, &made.endpoints));
    }
    for rule in file.egress.unwrap_or_default() {
        egress.rules.push(rule_of(source, rule)?);
    }
    let headers =
        texts(source, file.headers, |name| HeaderName::from_bytes(name.as_bytes()).is_ok())?;
    let query = texts(source, file.query, |name| !name.is_empty())?;
    let auth = file.auth.map(|auth| auth_of(source, at, auth)).transpose()?;
    let sends_secret = headers.iter().chain(&query).map(|(_, text)| text).any(is_secret)
        || match &auth {
            None => false,
            Some(Auth::Bearer(token)) => is_secret(token),
            Some(Auth::Basic { user, password }) => is_secret(user) || is_secret(password),
        };
    if sends_secret && base.is_none() {
        let problem = "a secret goes to one host, and here callers say which: give base_url";
        return Err(source.refuse(at, problem));
    }
    let info = ToolInfo {
        name,
        description: file.description.unwrap_or_default(),
        tags: file.tags.unwrap_or_default(),
        callables: made.callables,
    };
    Ok(HttpSpec {
        info,
        file: common::file_name(source),
        base,
        headers,
        query,
        auth,
        timeout: common::timeout(source, file.timeout)?,
        max_output: common::max_output(source, file.max_output)?,
        retries: repeats(source, file.retries, DEFAULT_RETRIES)?,
        redirects: repeats(source, file.redirects, DEFAULT_REDIRECTS)?,
        egress,
        endpoints: made.endpoints,
    })
}

const fn is_secret(text: &Text) -> bool {
    matches!(text, Text::Secret { .. })
}

#[derive(Default)]
struct Made {
    callables: Vec<Callable>,
    endpoints: BTreeMap<String, Endpoint>,
}

pub(super) struct OneEndpoint {
    pub(super) callable: Callable,
    pub(super) endpoint: Endpoint,
}

impl OneEndpoint {
    fn add_to(self, source: &Source<'_>, at: Location, made: &mut Made) -> Result<()> {
        let name = self.callable.name.clone();
        made.callables.push(self.callable);
        match made.endpoints.insert(name.clone(), self.endpoint) {
            None => Ok(()),
            Some(_) => Err(source.refuse(at, format!("two endpoints are called {name}"))),
        }
    }
}

pub(in crate::tools::spec) fn base_url(source: &Source<'_>, text: &Spanned<String>) -> Result<Url> {
    let problem = "base_url is an http or https address without a user, a query or a fragment";
    let refuse = || source.refuse(text.referenced, problem);
    let url = Url::parse(&text.value).map_err(|_| refuse())?;
    let plain = url.username().is_empty() && url.password().is_none();
    let whole = url.query().is_none() && url.fragment().is_none();
    if plain && whole && matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(refuse())
    }
}

/// What a file allows by naming an address: that address, and its endpoints' methods.
fn own_rule(base: &Url, endpoints: &BTreeMap<String, Endpoint>) -> Rule {
    let mut methods: Vec<Method> = Vec::new();
    for endpoint in endpoints.values() {
        if !methods.contains(&endpoint.method) {
            methods.push(endpoint.method.clone());
        }
    }
    let host = base.host_str().unwrap_or_default();
    Rule {
        host: HostPattern::parse(host).unwrap_or_else(|| HostPattern::Exact(host.to_owned())),
        port: base.port(),
        plain: base.scheme() == "http",
        methods,
        paths: vec![format!("{}/*", base.path().trim_end_matches('/')), base.path().to_owned()],
        addresses: Vec::new(),
    }
}

/// Checks a rule.
pub(in crate::tools::spec) fn rule_of(source: &Source<'_>, rule: AuthoredRule) -> Result<Rule> {
    let host = HostPattern::parse(&rule.host.value).ok_or_else(|| {
        source.refuse(
            rule.host.referenced,
            format!(
                "{} is not a host: write example.org, \"*.example.org\" or \"*\"",
                quoted(&rule.host.value)
            ),
        )
    })?;
    let methods = rule.methods.unwrap_or_default();
    let methods = methods.iter().map(|name| method(source, name)).collect::<Result<_>>()?;
    let mut paths = Vec::new();
    for path in rule.paths.unwrap_or_default() {
        if !path.value.starts_with('/') && path.value != "*" {
            return Err(source.refuse(path.referenced, "a path begins with /"));
        }
        paths.push(path.value);
    }
    let mut addresses = Vec::new();
    for range in rule.addresses.unwrap_or_default() {
        let problem = "a range of addresses is written 10.0.0.0/8 or fd00::/8";
        let parsed = Range::parse(&range.value);
        addresses.push(parsed.ok_or_else(|| source.refuse(range.referenced, problem))?);
    }
    let plain = rule.http.unwrap_or(false);
    Ok(Rule { host, port: rule.port, plain, methods, paths, addresses })
}

pub(in crate::tools::spec) fn texts(
    source: &Source<'_>,
    entries: Option<Entries<Spanned<AuthoredText>>>,
    is_name: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Text)>> {
    let mut texts = Vec::new();
    for (name, value) in entries.map(|entries| entries.0).unwrap_or_default() {
        if !is_name(&name.value) {
            return Err(
                source.refuse(name.referenced, format!("{} is no name here", quoted(&name.value)))
            );
        }
        let text = text::resolve(source, value, &name.value)?;
        texts.push((name.value, text));
    }
    Ok(texts)
}

fn auth_of(source: &Source<'_>, at: Location, auth: AuthoredAuth) -> Result<Auth> {
    match (auth.bearer, auth.basic) {
        (Some(bearer), None) => Ok(Auth::Bearer(text::resolve(source, bearer, "bearer")?)),
        (None, Some(AuthoredBasic { user, password })) => Ok(Auth::Basic {
            user: text::resolve(source, user, "user")?,
            password: text::resolve(source, password, "password")?,
        }),
        _ => Err(source.refuse(at, "auth is either bearer or basic")),
    }
}

fn repeats(source: &Source<'_>, given: Option<Spanned<u64>>, default: u64) -> Result<u32> {
    let Some(given) = given else { return Ok(u32::try_from(default).unwrap_or(0)) };
    u32::try_from(given.value).ok().filter(|_| given.value <= MAX_REPEATS).ok_or_else(|| {
        source.refuse(given.referenced, format!("use a number from 0 to {MAX_REPEATS}"))
    })
}

/// A method by its name.
pub(super) fn method(source: &Source<'_>, name: &Spanned<String>) -> Result<Method> {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let upper = name.value.to_ascii_uppercase();
    let known =
        METHODS.contains(&upper.as_str()).then(|| Method::from_bytes(upper.as_bytes()).ok());
    known.flatten().ok_or_else(|| {
        let problem = format!("{} is not a method{}", quoted(&name.value), hint(&upper, &METHODS));
        source.refuse(name.referenced, problem)
    })
}
