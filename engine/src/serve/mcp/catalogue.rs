//! The tools that a client's model sees. Each word of this costs every
//! conversation tokens: short, typed, one example where it helps.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::wire::object_schema;
use crate::workflow::Workflow;

/// The tools that work on the library, in the order in which an agent needs them.
pub(super) fn tools() -> Vec<Tool> {
    let name = || json!({"type": "string"});
    let query = |what: &str| {
        json!({
            "query": {"type": "string", "description": what},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
        })
    };
    vec![
        tool(
            "search_workflows",
            "Find saved workflows by what they do. Each hit has its typed signature.",
            query("What it should do, e.g. \"grab JSON from a web address\""),
            &["query"],
            Hints::READ,
        ),
        tool(
            "invoke_workflow",
            "Run a saved workflow. Answers {value, stdout, usage} or {error: {code, message, traceback}}.",
            json!({
                "name": name(),
                "arguments": {"type": "object", "description": "Keyword arguments, e.g. {\"url\": \"https://...\"}"},
            }),
            &["name"],
            Hints::ACT,
        ),
        tool(
            "run_code",
            "Run Python in a sandbox; variables last as long as the client's session. The last expression is the value; `await` works. \
             Compose workflows and tools here: `workflows.fetch_json(url=...)`, `tools.curl.get(url=...)`, \
             `artifacts.save(\"name\", value)`, `asyncio.gather` with `workflows.invoke_async(...)`.",
            json!({
                "code": {"type": "string"},
                "reset": {"type": "boolean", "default": false, "description": "Forget all variables first"},
            }),
            &["code"],
            Hints::ACT,
        ),
        tool(
            "create_workflow",
            "Save Python source with a `def run(...)` or `async def run(...)` so that it can be found and run again. \
             Type hints and a docstring (Args, Returns) become its signature. Names are never overwritten: delete first.",
            json!({
                "name": {"type": "string", "description": "A Python identifier, verb_noun"},
                "source": {"type": "string"},
                "description": {"type": "string", "default": "", "description": "Default: the docstring's first paragraph"},
            }),
            &["name", "source"],
            Hints::WRITE,
        ),
        tool(
            "get_workflow",
            "Read a workflow's source and signature.",
            json!({"name": name()}),
            &["name"],
            Hints::READ,
        ),
        tool(
            "delete_workflow",
            "Delete a workflow.",
            json!({"name": name()}),
            &["name"],
            Hints::DELETE,
        ),
        tool(
            "list_tools",
            "List what code can call as `tools.<name>...`, with typed parameters.",
            json!({}),
            &[],
            Hints::READ,
        ),
        tool(
            "search_tools",
            "Find tools by what they do.",
            query("What it should do"),
            &["query"],
            Hints::READ,
        ),
        tool(
            "artifacts",
            "Named values that outlive a run: list, load, save (text, or any JSON value) or delete.",
            json!({
                "action": {"type": "string", "enum": ["list", "load", "save", "delete"]},
                "name": {"type": "string", "description": "Not for list"},
                "value": {"description": "For save"},
                "description": {"type": "string"},
            }),
            &["action"],
            Hints::DELETE,
        ),
    ]
}

/// A workflow as a tool of its own.
pub(super) fn of_workflow(workflow: &Workflow) -> Tool {
    let signature = &workflow.analysis.signature;
    let schema = object_schema(&signature.parameters, signature.accepts_unknown);
    Tool::new(workflow.name.to_string(), workflow.description.clone(), object(schema))
        .with_annotations(Hints::ACT.annotations())
}

/// What a client may assume of a tool.
struct Hints {
    reads: bool,
    destroys: bool,
    reaches_outside: bool,
}

impl Hints {
    const READ: Self = Self { reads: true, destroys: false, reaches_outside: false };
    const WRITE: Self = Self { reads: false, destroys: false, reaches_outside: false };
    const DELETE: Self = Self { reads: false, destroys: true, reaches_outside: false };
    /// Runs code, which may call every tool.
    const ACT: Self = Self { reads: false, destroys: true, reaches_outside: true };

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::new()
            .read_only(self.reads)
            .destructive(self.destroys)
            .open_world(self.reaches_outside)
    }
}

fn tool(
    name: &'static str,
    description: &'static str,
    properties: Value,
    required: &[&str],
    hints: Hints,
) -> Tool {
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    Tool::new(name, description, object(schema)).with_annotations(hints.annotations())
}

fn object(schema: Value) -> Arc<serde_json::Map<String, Value>> {
    match schema {
        Value::Object(map) => Arc::new(map),
        _ => Arc::default(),
    }
}
