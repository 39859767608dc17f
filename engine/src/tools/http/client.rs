//! The only door to the network: requests that are checked, hop by hop.
//!
//! A host's name is resolved by [`Checked`], which hands on only addresses that
//! the policy allows, so what is connected to is what was checked, whatever the
//! name's server says next time.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Method, Request, Response, StatusCode, Url};

use super::egress::{self, Egress, HostPattern, Who};
use crate::error::{Code, Error, Result};

/// Idle connections to one host that are kept for the next request.
const MAX_IDLE: usize = 32;

/// How host names become addresses.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of a host.
    ///
    /// # Errors
    /// That there are none, or nobody could be asked.
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A resolver that answers nothing unless all of it is allowed.
struct Checked {
    egress: Arc<Egress>,
    resolver: Arc<dyn Resolver>,
}

/// An address that a host may not have.
#[derive(Debug)]
struct NotPublic(IpAddr);

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the address {} is not a public one", self.0)
    }
}

impl std::error::Error for NotPublic {}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, resolver) = (Arc::clone(&self.egress), Arc::clone(&self.resolver));
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            // One bad address refuses the name: which one is connected to is not ours to say.
            let bad = addresses.iter().find(|one| !egress.allows_address(name.as_str(), **one));
            if let Some(address) = bad {
                return Err(Box::new(NotPublic(*address)) as _);
            }
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// Makes requests within a policy. Keeps connections, and nothing else: no cookies, no cache.
#[derive(Debug, Clone)]
pub struct CheckedClient {
    client: Client,
    egress: Arc<Egress>,
    redirects: u32,
}

impl CheckedClient {
    /// A client that follows at most so many redirects.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if TLS cannot be set up: no root certificates, for example.
    pub fn new(egress: Egress, resolver: Arc<dyn Resolver>, redirects: u32) -> Result<Self> {
        // Where callers name the host, each would leave connections behind.
        let few = egress.rules.iter().all(|rule| matches!(rule.host, HostPattern::Exact(_)));
        let egress = Arc::new(egress);
        let checked = Checked { egress: Arc::clone(&egress), resolver };
        let client = Client::builder()
            // Redirects are followed below, each checked; a proxy would resolve names itself.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(checked))
            .referer(false)
            .pool_max_idle_per_host(if few { MAX_IDLE } else { 0 })
            .user_agent(concat!("repertoire/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Error::unavailable("no HTTP client can be made").with_source(error.without_url())
            })?;
        Ok(Self { client, egress, redirects })
    }

    /// Makes a request and follows its redirects. What the caller sent along,
    /// credentials above all, goes to the first origin only.
    ///
    /// # Errors
    /// [`Code::Denied`] if the policy refuses it or a redirect, [`Code::ToolFailed`] if it cannot be made.
    pub async fn send(&self, request: Request, who: &Who<'_>) -> Result<Response> {
        let mut request = request;
        for _ in 0..=self.redirects {
            let (method, url) = (request.method().clone(), request.url().clone());
            self.egress.check(&method, &url, who)?;
            let again = request.try_clone();
            let response = self
                .client
                .execute(request)
                .await
                .map_err(|error| self.explained(error, &method, &url, who))?;
            let Some(target) = redirected(&response) else { return Ok(response) };
            let target = url.join(target).map_err(|_| {
                failed(who, "was redirected to what is no address", false, Some(response.status()))
            })?;
            let Some(mut next) = again else {
                return Err(failed(who, "was redirected, and cannot be sent twice", false, None));
            };
            if url.scheme() == "https" && target.scheme() != "https" {
                let message =
                    format!("tool {}: redirected from https to {}", who.tool, target.scheme());
                return Err(Error::new(Code::Denied, message));
            }
            if response.status() == StatusCode::SEE_OTHER
                || (method == Method::POST
                    && matches!(
                        response.status(),
                        StatusCode::FOUND | StatusCode::MOVED_PERMANENTLY
                    ))
            {
                *next.body_mut() = None;
                *next.method_mut() =
                    if method == Method::HEAD { Method::HEAD } else { Method::GET };
                for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
                    next.headers_mut().remove(name);
                }
            }
            if target.origin() != url.origin() {
                keep_only_harmless(next.headers_mut());
                if next.body().is_some() {
                    let problem = "was redirected to another host, which does not get its body";
                    return Err(failed(who, problem, false, Some(response.status())));
                }
            }
            *next.url_mut() = target;
            request = next;
        }
        let problem = format!("was redirected more than {} times", self.redirects);
        Err(failed(who, &problem, false, None))
    }

    /// The error of a request that got no answer.
    fn explained(&self, error: reqwest::Error, method: &Method, url: &Url, who: &Who<'_>) -> Error {
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            if let Some(NotPublic(address)) = error.downcast_ref() {
                let host = egress::canonical(url.host_str().unwrap_or_default());
                return egress::refused(method, url, &host, Some(*address), who);
            }
            cause = error.source();
        }
        let what = if error.is_connect() { "cannot connect" } else { "got no answer" };
        // Without its address, which can hold a secret of the query's.
        failed(who, what, true, None).with_source(error.without_url())
    }
}

pub(super) fn failed(
    who: &Who<'_>,
    problem: &str,
    retryable: bool,
    status: Option<StatusCode>,
) -> Error {
    let status = status.map(|status| status.as_u16());
    let details = serde_json::json!({ "status": status, "retryable": retryable });
    Error::new(Code::ToolFailed, format!("tool {}: {problem}", who.tool))
        .with_details(details.into())
}

/// Where a response sends its caller.
fn redirected(response: &Response) -> Option<&str> {
    let moves = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    moves.then(|| response.headers().get(header::LOCATION)?.to_str().ok()).flatten()
}

/// For another origin: nothing that somebody gave for the first one.
fn keep_only_harmless(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        if ![header::ACCEPT, header::ACCEPT_ENCODING, header::USER_AGENT].contains(&name) {
            headers.remove(name);
        }
    }
}
