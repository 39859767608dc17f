//! The library as an HTTP server: `repertoire serve`.
//!
//! ```text
//! connection (bounds, timeouts) -> auth (token, scope, tenant) -> body (size, type)
//!     -> once (idempotency) -> routes -> the tenant -> wire, or problem
//! ```

mod limits;
pub mod tokens;
mod problem;
mod state;
mod auth;
mod body;
mod query;
mod answer;
mod once;
mod events;
mod sessions;
mod mcp;
mod health;
mod routes;
mod openapi;
mod connection;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use self::limits::HttpLimits;
pub use self::openapi::document as openapi_document;
use self::state::State;
use self::tokens::TokenFile;
use super::{check_shown, shown, wire};
use crate::engine::Engine;
use crate::error::Result;

/// An HTTP server for the tenants of an engine.
///
/// ```no_run
/// # async fn example(engine: repertoire::Engine) -> Result<(), Box<dyn std::error::Error>> {
/// use repertoire::serve::http::{HttpLimits, Server, tokens::TokenFile};
///
/// let tokens = TokenFile::of("/var/lib/repertoire".as_ref());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8787").await?;
/// let ended = async { drop(tokio::signal::ctrl_c().await) };
/// Server::new(engine, tokens, HttpLimits::default()).serve(listener, ended).await?;
/// # Ok(())
/// # }
/// ```
pub struct Server {
    state: Arc<State>,
}

impl Server {
    /// A server that lets in whoever has one of these tokens.
    #[must_use]
    pub fn new(engine: Engine, tokens: TokenFile, limits: HttpLimits) -> Self {
        Self { state: Arc::new(State::new(engine, tokens, limits)) }
    }

    /// Serves until `ended` is over. Then no connection is accepted any more, what runs may go on for
    /// [`HttpLimits::grace`], and what is left is cancelled. Run records are written.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if run records cannot be written.
    pub async fn serve(
        self,
        listener: TcpListener,
        ended: impl Future<Output = ()> + Send,
    ) -> Result<()> {
        let router = routes::router(&self.state);
        connection::serve(router, listener, &self.state, ended).await;
        self.state.sessions.clear();
        self.state.mcp.clear();
        self.state.flush().await
    }
}

/// Whether only this machine can reach an address.
#[must_use]
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
