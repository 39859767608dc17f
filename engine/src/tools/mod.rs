//! Tools: what lets a workflow act on the world outside, under the host's control.

mod at_once;
pub mod cli;
mod function;
mod group;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "mcp")]
pub mod mcp;
mod options;
#[cfg(any(feature = "mcp", feature = "schemars"))]
mod parameters;
mod program;
pub mod registry;
mod scratch;
pub mod secrets;
pub mod spec;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::error::Result;
use crate::id::{RunId, TenantId, ToolName};
use crate::json::Json;
use crate::workflow::Parameter;

pub use at_once::{AtOnce, DEFAULT_PROCESSES, DEFAULT_REQUESTS};
pub use function::function;
#[cfg(feature = "schemars")]
pub use function::typed;
pub use options::ToolOptions;
#[doc(hidden)]
pub use options::ToolOptions as CliOptions;
pub use registry::Registry;

/// What a tool says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolInfo {
    /// Unique within a registry.
    pub name: ToolName,
    /// What it does.
    pub description: String,
    /// To find it by.
    pub tags: Vec<String>,
    /// Ways to call it, at least one.
    pub callables: Vec<Callable>,
}

impl ToolInfo {
    /// The callable of that name.
    #[must_use]
    pub fn callable(&self, name: &str) -> Option<&Callable> {
        self.callables.iter().find(|callable| callable.name == name)
    }
}

/// One way to call a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Callable {
    /// Empty for the tool itself, else a recipe's name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// All by keyword.
    pub parameters: Vec<Parameter>,
}

/// For whom a tool is called, and within what bounds.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Whose run it is.
    pub tenant: TenantId,
    /// Which run; `None` for a call from outside a run.
    pub run: Option<RunId>,
    /// When the run's wall time is over; the call's future is dropped then.
    pub deadline: Option<Instant>,
}

/// Something that workflows can call.
///
/// Dropping the future that `call` returns must stop whatever it started.
#[async_trait]
pub trait Tool: Send + Sync {
    /// What the tool says about itself before anything is started. Constant.
    fn info(&self) -> &ToolInfo;

    /// What the tool says about itself to this caller now, if that is more than
    /// [`info`](Tool::info) knows: a tool that is a server's starts the server
    /// and asks it. Called often; the same `Arc` as long as nothing changes.
    ///
    /// # Errors
    /// [`Code::Unavailable`](crate::error::Code::Unavailable) if it cannot be asked.
    async fn describe(&self, _context: &CallContext) -> Result<Option<Arc<ToolInfo>>> {
        Ok(None)
    }

    /// Calls it. The registry has checked that `callable` exists and that
    /// `arguments` is an object that fits its parameters.
    ///
    /// # Errors
    /// [`Code::ToolFailed`](crate::error::Code::ToolFailed) or
    /// [`Code::TimedOut`](crate::error::Code::TimedOut), with details.
    async fn call(&self, callable: &str, arguments: &Json, context: &CallContext) -> Result<Json>;
}
