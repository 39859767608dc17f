//! MCP tools: each is a server, whose own tools are its callables.
//!
//! ```text
//! McpTool -> one Server a tenant (or one for all) -> Connection -> process or HTTP
//! ```
//!
//! A server is started when it is first asked for, and again, after a while,
//! when it has ended. One tenant's server knows nothing of another's.

mod answer;
mod catalog;
mod connection;
mod server;
mod stdio;
#[cfg(feature = "http")]
mod web;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::spec::mcp::McpSpec;
use super::{CallContext, Tool, ToolInfo, ToolOptions};
use crate::error::{Error, Result};
use crate::id::TenantId;
use crate::json::Json;

use server::Server;

/// The most servers of one file that run at once. Beyond it the one that was
/// used least recently, and is not in use, is stopped.
const MAX_SERVERS: usize = 64;

/// Whose a shared server is; what it asks of secrets is asked for this tenant.
const SHARED: &str = "shared";

/// The tools of an MCP server.
#[derive(Debug)]
pub struct McpTool {
    spec: Arc<McpSpec>,
    options: ToolOptions,
    servers: Mutex<HashMap<TenantId, Arc<Server>>>,
}

impl McpTool {
    /// A tool as its file describes it. Nothing is started.
    ///
    /// # Errors
    /// None at present.
    pub fn new(spec: McpSpec, options: &ToolOptions) -> Result<Self> {
        Ok(Self { spec: Arc::new(spec), options: options.clone(), servers: Mutex::default() })
    }

    /// This caller's server, started or not.
    fn server(&self, context: &CallContext) -> Result<Arc<Server>> {
        let tenant = if self.spec.shared { TenantId::new(SHARED)? } else { context.tenant.clone() };
        // Nothing is done under the lock that could leave the map half changed.
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(&tenant) {
            return Ok(Arc::clone(server));
        }
        if servers.len() >= MAX_SERVERS {
            let idle = servers.iter().filter(|(_, server)| Arc::strong_count(server) == 1);
            let oldest =
                idle.max_by_key(|(_, server)| server.unused_for()).map(|(tenant, _)| tenant);
            let oldest = oldest.cloned().ok_or_else(|| {
                Error::new(
                    crate::error::Code::Busy,
                    format!("tool {}: {MAX_SERVERS} servers of it are in use", self.spec.info.name),
                )
            })?;
            servers.remove(&oldest);
        }
        let spec = Arc::clone(&self.spec);
        let server = Arc::new(Server::new(spec, self.options.clone(), tenant.clone()));
        servers.insert(tenant, Arc::clone(&server));
        Ok(server)
    }
}

#[async_trait]
impl Tool for McpTool {
    fn info(&self) -> &ToolInfo {
        &self.spec.info
    }

    async fn describe(&self, context: &CallContext) -> Result<Option<Arc<ToolInfo>>> {
        self.server(context)?.describe().await.map(Some)
    }

    async fn call(&self, callable: &str, arguments: &Json, context: &CallContext) -> Result<Json> {
        self.server(context)?.call(callable, arguments).await
    }
}
