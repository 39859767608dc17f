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

/// A tool that calls a closure with arguments of a type of yours: its fields are
/// the parameters, their documentation is shown to whoever calls.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> repertoire::error::Result<()> {
/// use repertoire::tools::{Registry, typed};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Add {
///     /// One number.
///     a: i64,
///     /// Another; 1 if not given.
///     #[serde(default = "one")]
///     b: i64,
/// }
/// fn one() -> i64 {
///     1
/// }
///
/// let add = typed("add", "Adds two numbers.", |Add { a, b }, _context| async move { Ok(a + b) })?;
/// let tools = Registry::empty().with(add)?;
/// let info = tools.get("add").expect("it was added");
/// let parameters = &info.callables[0].parameters;
/// assert_eq!((parameters[0].name.as_str(), parameters[0].required), ("a", true));
/// assert_eq!((parameters[1].description.as_str(), parameters[1].required), ("Another; 1 if not given.", false));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Code::InvalidArgument`](crate::error::Code::InvalidArgument) if `name` is not a tool's
/// name, or `Arguments` is not a struct with named fields.
#[cfg(feature = "schemars")]
pub fn typed<Arguments, Value, F, Answer>(
    name: &str,
    description: impl Into<String>,
    call: F,
) -> Result<impl Tool + 'static>
where
    Arguments: serde::de::DeserializeOwned + schemars::JsonSchema,
    Value: serde::Serialize,
    F: Fn(Arguments, CallContext) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Value>> + Send + 'static,
{
    use crate::error::Error;

    let schema = schemars::schema_for!(Arguments).to_value();
    let fields = schema.as_object().filter(|schema| schema.contains_key("properties"));
    let parameters = match fields {
        Some(schema) => super::parameters::of(schema)
            .map_err(|problem| Error::invalid_argument(format!("tool {name}: {problem}")))?,
        // A struct without fields has no properties.
        None if schema.get("type") == Some(&serde_json::Value::from("object")) => Vec::new(),
        None => {
            return Err(Error::invalid_argument(format!(
                "tool {name}: its arguments are no struct with named fields"
            )));
        }
    };
    let tool = name.to_owned();
    function(name, description, parameters, move |arguments, context| {
        let answer = arguments.to::<Arguments>().map(|arguments| call(arguments, context));
        let tool = tool.clone();
        async move {
            match answer {
                Ok(answer) => Json::from_value(&answer.await?),
                Err(error) => {
                    Err(Error::invalid_argument(format!("tool {tool}: {}", error.message())))
                }
            }
        }
    })
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
