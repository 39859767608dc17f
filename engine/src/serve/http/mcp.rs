//! `/mcp`: the library as an MCP server, for clients elsewhere.
//!
//! Each tenant has sessions of its own: an id that a client of another knows, opens nothing.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::mcp::Server;
use super::auth::{Caller, Nothing, Owner};
use super::body::{check_encoding, whole};
use super::limits::HttpLimits;
use super::problem::Problem;
use super::state::{Phase, State, until};
use crate::clock::Stopwatch;
use crate::tenant::Tenant;

type Service = StreamableHttpService<Server, LocalSessionManager>;

/// The MCP servers of all tenants, whose clients are bounded in number; those that nobody uses go.
pub(super) struct Services {
    most_of_one: usize,
    idle: Duration,
    seats: Arc<Semaphore>,
    all: Mutex<HashMap<Owner, Entry>>,
}

/// One tenant's.
struct Entry {
    service: Service,
    seats: Arc<Semaphore>,
    used: Stopwatch,
}

impl Services {
    pub(super) fn new(limits: &HttpLimits) -> Self {
        Self {
            most_of_one: limits.mcp_clients_per_tenant,
            idle: limits.session_idle,
            seats: Arc::new(Semaphore::new(limits.mcp_clients)),
            all: Mutex::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Owner, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tenant's server.
    fn service(&self, owner: Owner, tenant: &Tenant, limits: &HttpLimits) -> Service {
        let mut all = self.all();
        let entry = all.entry(owner).or_insert_with(|| {
            let seats = Arc::new(Semaphore::new(self.most_of_one));
            let service = service(tenant, limits, [Arc::clone(&self.seats), Arc::clone(&seats)]);
            Entry { service, seats, used: Stopwatch::start() }
        });
        entry.used = Stopwatch::start();
        entry.service.clone()
    }

    /// Whether there is room for a client that has no session yet.
    fn has_room(&self, owner: &Owner) -> bool {
        let own = self.all().get(owner).is_none_or(|entry| entry.seats.available_permits() > 0);
        own && self.seats.available_permits() > 0
    }

    /// Forgets tenants that nobody has asked for lately, and that have no sessions.
    pub(super) fn tidy(&self) {
        self.all().retain(|_, entry| {
            entry.used.elapsed() < self.idle || entry.seats.available_permits() < self.most_of_one
        });
    }

    /// Ends all sessions.
    pub(super) fn clear(&self) {
        for (_, entry) in self.all().drain() {
            entry.service.config.cancellation_token.cancel();
        }
    }
}

fn service(tenant: &Tenant, limits: &HttpLimits, seats: [Arc<Semaphore>; 2]) -> Service {
    let tenant = tenant.clone();
    let create = move || {
        let seat: Result<Vec<OwnedSemaphorePermit>, _> =
            seats.iter().map(|seats| Arc::clone(seats).try_acquire_owned()).collect();
        let seat = seat.map_err(io::Error::other)?;
        Ok(Server::new(tenant.clone(), Vec::new()).with_seat(Box::new(seat)))
    };
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(limits.session_idle);
    // A browser's page has no token, and so no need of its own rule; none is let in at all.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .enforce_origin_validation()
        .with_max_request_body_bytes(limits.body_bytes);
    StreamableHttpService::new(create, Arc::new(sessions), config)
}

/// What a client sends, or asks for.
pub(super) async fn serve(
    caller: Caller<Nothing>,
    Shared(state): Shared<Arc<State>>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    check_encoding(&parts.headers)?;
    let owner = caller.owner();
    let is_new = !parts.headers.contains_key("mcp-session-id");
    if is_new && !state.mcp.has_room(&owner) {
        return Err(Problem::busy("too many MCP clients are connected; try again later"));
    }
    let (bytes, _room) = whole(&parts.headers, body, state.limits.body_bytes, &state).await?;
    let service = state.mcp.service(owner, &caller.tenant, &state.limits);
    let is_listening = parts.method == Method::GET;
    // The server looks at each call whether this allows it.
    parts.extensions.insert(caller.scopes);
    let answer = service.handle(Request::from_parts(parts, Body::from(bytes))).await;
    if !is_listening {
        return Ok(answer.into_response());
    }
    // It would last until its client goes.
    let (parts, body) = answer.into_parts();
    let body = Body::new(body)
        .into_data_stream()
        .take_until(until(state.phase.subscribe(), Phase::Ending));
    Ok(Response::from_parts(parts, Body::from_stream(body)))
}
