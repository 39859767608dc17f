//! One tenant's server: started when it is asked for, and again when it has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

use super::connection::Connection;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::json::Json;
use crate::tools::spec::mcp::McpSpec;
use crate::tools::{ToolInfo, ToolOptions};

/// How long after its first failure a server is tried again; after each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest of these waits.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A server, running or not.
#[derive(Debug)]
pub(super) struct Server {
    spec: Arc<McpSpec>,
    options: ToolOptions,
    tenant: TenantId,
    state: AsyncMutex<State>,
    used: Mutex<Stopwatch>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// How often in a row it did not start, or ended before it had answered a call.
    failures: u32,
    /// The last failure.
    failed: Option<(Stopwatch, String)>,
}

impl Server {
    pub(super) fn new(spec: Arc<McpSpec>, options: ToolOptions, tenant: TenantId) -> Self {
        let used = Mutex::new(Stopwatch::start());
        Self { spec, options, tenant, state: AsyncMutex::default(), used }
    }

    /// How long nobody has asked for it.
    pub(super) fn unused_for(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// The server's connection, made if there is none. Those who ask while it is
    /// being made wait for it; dropping the one who makes it stops that.
    async fn connection(&self) -> Result<Arc<Connection>> {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Stopwatch::start();
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            if !connection.is_closed() {
                return Ok(Arc::clone(connection));
            }
            let (served, why) = (connection.has_answered(), connection.last_words());
            tracing::warn!(tool = %self.spec.info.name, tenant = %self.tenant, "the MCP server ended{why}");
            state.connection = None;
            // One that did its work and then ended is started anew at once.
            state.failures = if served { 0 } else { state.failures + 1 };
            state.failed = (!served).then(|| (Stopwatch::start(), format!("it ended{why}")));
        }
        if let Some((since, why)) = &state.failed {
            let wait = FIRST_WAIT
                .saturating_mul(1 << state.failures.saturating_sub(1).min(16))
                .min(MAX_WAIT);
            if let Some(left) = wait.checked_sub(since.elapsed()) {
                let left =
                    humantime::format_duration(Duration::from_millis(left.as_millis() as u64));
                let details = serde_json::json!({ "retryable": true });
                let message = format!(
                    "tool {}: its MCP server did not start: {why}; it is tried again in {left}",
                    self.spec.info.name
                );
                return Err(Error::unavailable(message).with_details(details.into()));
            }
        }
        let start = Connection::open(&self.spec, &self.options, &self.tenant);
        let started = tokio::time::timeout(self.spec.start_timeout, Box::pin(start)).await;
        let started = started.unwrap_or_else(|_| {
            let limit = humantime::format_duration(self.spec.start_timeout);
            Err(Error::unavailable(format!(
                "tool {}: its MCP server said nothing within {limit}, the `start_timeout` in {}",
                self.spec.info.name, self.spec.file
            )))
        });
        match started {
            Ok(connection) => {
                let connection = Arc::new(connection);
                state.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                state.failures += 1;
                state.failed = Some((Stopwatch::start(), error.message().to_owned()));
                Err(error)
            }
        }
    }

    /// What the server has now.
    pub(super) async fn describe(&self) -> Result<Arc<ToolInfo>> {
        self.connection().await?.info().await
    }

    /// Calls one of its tools.
    pub(super) async fn call(&self, callable: &str, arguments: &Json) -> Result<Json> {
        let connection = self.connection().await?;
        let outcome = connection.call(callable, arguments).await;
        if connection.has_answered() {
            let mut state = self.state.lock().await;
            (state.failures, state.failed) = (0, None);
        }
        outcome
    }
}
