//! Tools that an embedder writes in Rust.

use std::future::Future;

use async_trait::async_trait;

use super::{CallContext, Callable, Tool, ToolInfo};
use crate::error::Result;
use crate::id::ToolName;
use crate::json::Json;
use crate::workflow::Parameter;

/// A tool that calls a closure with the arguments, an object that fits `parameters`.
///
/// ```
/// # fn main() -> repertoire::error::Result<()> {
/// use repertoire::tools::{Registry, function};
///
/// let echo = function("echo", "Answers its arguments.", Vec::new(), |arguments, _context| async {
///     Ok(arguments)
/// })?;
/// let tools = Registry::empty().with(echo)?;
/// assert_eq!(tools.list().len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if `name` is not a tool's name.
pub fn function<F, Answer>(
    name: &str,
    description: impl Into<String>,
    parameters: Vec<Parameter>,
    call: F,
) -> Result<impl Tool + 'static>
where
    F: Fn(Json, CallContext) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Json>> + Send + 'static,
{
    let description = description.into();
    let itself = Callable { name: String::new(), description: description.clone(), parameters };
    let name = ToolName::new(name)?;
    let info = ToolInfo { name, description, tags: Vec::new(), callables: vec![itself] };
    Ok(Function { info, call })
}

struct Function<F> {
    info: ToolInfo,
    call: F,
}

#[async_trait]
impl<F, Answer> Tool for Function<F>
where
    F: Fn(Json, CallContext) -> Answer + Send + Sync,
    Answer: Future<Output = Result<Json>> + Send,
{
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    async fn call(&self, _callable: &str, arguments: &Json, context: &CallContext) -> Result<Json> {
        (self.call)(arguments.clone(), context.clone()).await
    }
}
