//! What a server says that it has, made fit for callers.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmcp::model::{JsonObject, PaginatedRequestParams, Tool};
use rmcp::service::{Peer, RoleClient, ServiceError};
use serde_json::Value;

use crate::id::ToolName;
use crate::json::Json;
use crate::tools::parameters::{self, shown};
use crate::tools::secrets::Scrubber;
use crate::tools::spec::mcp::McpSpec;
use crate::tools::{Callable, ToolInfo};

/// The most tools that one server can have.
const MAX_TOOLS: usize = 512;

/// The most pages that its list can have.
const MAX_PAGES: usize = 64;

/// What a server has.
#[derive(Debug)]
pub(super) struct Catalog {
    /// For callers.
    pub(super) info: Arc<ToolInfo>,
    /// By callable.
    pub(super) entries: BTreeMap<String, Entry>,
}

/// One of its tools.
#[derive(Debug)]
pub(super) struct Entry {
    /// As the server calls it.
    pub(super) name: String,
    /// Whether what it answers lies in an object's only field, `result`.
    pub(super) wrapped: bool,
}

/// Asks a server what it has. What its tools say of themselves is scrubbed: of what
/// the server was started with.
pub(super) async fn read(
    spec: &McpSpec,
    peer: &Peer<RoleClient>,
    scrubber: &Scrubber,
) -> Result<Catalog, ServiceError> {
    let (mut tools, mut cursor, mut more) = (Vec::new(), None, true);
    for _ in 0..MAX_PAGES {
        let page = PaginatedRequestParams::default().with_cursor(cursor.take());
        let page = peer.list_tools(Some(page)).await?;
        tools.extend(page.tools);
        cursor = page.next_cursor;
        more = cursor.is_some();
        if !more || tools.len() > MAX_TOOLS {
            break;
        }
    }
    let name = &spec.info.name;
    if more || tools.len() > MAX_TOOLS {
        tracing::warn!(tool = %name, "the MCP server has more than {MAX_TOOLS} tools; the rest is left out");
    }
    tools.truncate(MAX_TOOLS);
    Ok(catalog(spec, tools, scrubber))
}

fn catalog(spec: &McpSpec, tools: Vec<Tool>, scrubber: &Scrubber) -> Catalog {
    let (mut callables, mut entries) = (Vec::new(), BTreeMap::new());
    for tool in tools {
        let wanted =
            spec.tools.as_ref().is_none_or(|names| names.iter().any(|name| *name == tool.name));
        if !wanted {
            continue;
        }
        let callable = match callable(&tool, scrubber) {
            Ok(callable) if !entries.contains_key(&callable.name) => callable,
            refused => {
                let why = refused.err().unwrap_or("another has its name");
                let shown = crate::id::quoted(&tool.name);
                tracing::warn!(tool = %spec.info.name, "the MCP server's tool {shown} is left out: {why}");
                continue;
            }
        };
        let wrapped = is_wrapped(tool.output_schema.as_deref());
        entries.insert(callable.name.clone(), Entry { name: tool.name.into_owned(), wrapped });
        callables.push(callable);
    }
    callables.sort_by(|a, b| a.name.cmp(&b.name));
    let info = ToolInfo { callables, ..spec.info.clone() };
    Catalog { info: Arc::new(info), entries }
}

/// A server's tool as callers see it.
fn callable(tool: &Tool, scrubber: &Scrubber) -> Result<Callable, &'static str> {
    let mut name: String = tool
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit() || c == '_') {
        name.insert(0, 't');
    }
    if name != "search" && ToolName::new(&name).is_err() {
        // A keyword, or what has a meaning of its own here.
        name.push('_');
        ToolName::new(&name).map_err(|_| "its name cannot be one in Python")?;
    }
    let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    let schema = scrubber.json(Json::from(Value::Object((*tool.input_schema).clone())));
    let schema: JsonObject = schema.to().map_err(|_| "its schema is not one of an object")?;
    Ok(Callable {
        name,
        // Before it is cut: half a secret would not be found.
        description: shown(&scrubber.text(description)),
        parameters: parameters::of(&schema)?,
    })
}

/// Structured content has to be an object, so libraries put a list or a number into one.
fn is_wrapped(schema: Option<&JsonObject>) -> bool {
    let Some(schema) = schema else { return false };
    let only = schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|fields| fields.len() == 1 && fields.contains_key("result"));
    let said = schema.get("x-fastmcp-wrap-result") == Some(&Value::Bool(true));
    // The SDK's own name for the object that it makes: `<function>Output`.
    let made =
        schema.get("title").and_then(Value::as_str).is_some_and(|title| title.ends_with("Output"));
    only && (said || made)
}
