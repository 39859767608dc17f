//! Tools: what lets a workflow act on the world outside, under the host's control.

pub mod cli;
mod function;
pub mod registry;
pub mod spec;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::error::Result;
use crate::id::{RunId, TenantId, ToolName};
use crate::json::Json;
use crate::workflow::Parameter;

pub use cli::CliOptions;
pub use function::function;
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
    /// What the tool says about itself. Constant.
    fn info(&self) -> &ToolInfo;

    /// Calls it. The registry has checked that `callable` exists and that
    /// `arguments` is an object that fits its parameters.
    ///
    /// # Errors
    /// [`Code::ToolFailed`](crate::error::Code::ToolFailed) or
    /// [`Code::TimedOut`](crate::error::Code::TimedOut), with details.
    async fn call(&self, callable: &str, arguments: &Json, context: &CallContext) -> Result<Json>;
}
