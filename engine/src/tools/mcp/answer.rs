//! What a server answers, as a value.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Value, json};

use super::catalog::Entry;
use crate::error::{Code, Error, Result};
use crate::json::Json;
use crate::tools::secrets::Scrubber;
use crate::tools::spec::mcp::McpSpec;

/// The longest message of an error, in characters.
const MAX_MESSAGE: usize = 300;

/// Structured content as it is; else one text as a string; else a list, in which
/// texts are strings and all else are objects with a `type`.
pub(super) fn read(
    spec: &McpSpec,
    entry: &Entry,
    result: CallToolResult,
    scrubber: &Scrubber,
) -> Result<Json> {
    let name = &spec.info.name;
    if result.is_error == Some(true) {
        let texts: Vec<_> = result.content.iter().filter_map(text).collect();
        // Before it is cut: half a secret would not be found.
        let text = texts.join("\n");
        let text = scrubber.text(&text);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        let said: String = line
            .unwrap_or("it failed")
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_MESSAGE)
            .collect();
        let text: String = text.chars().take(8 * 1024).collect();
        let details = json!({
            "status": null, "stderr": text, "content": result.structured_content, "retryable": false,
        });
        return Err(Error::new(Code::ToolFailed, format!("tool {name}.{}: {said}", entry.name))
            .with_details(details.into()));
    }
    let value = match result.structured_content {
        Some(Value::Object(mut fields)) if entry.wrapped && fields.len() == 1 => {
            fields.remove("result").unwrap_or(Value::Object(fields))
        }
        Some(value) => value,
        None => {
            let mut items: Vec<Value> = result.content.into_iter().map(item).collect();
            match items.len() {
                0 => Value::Null,
                1 => items.remove(0),
                _ => Value::Array(items),
            }
        }
    };
    let json = Json::from_value(&value)?;
    if json.len() > spec.max_output {
        let details = json!({ "status": null, "limit_bytes": spec.max_output, "retryable": false });
        let message = format!(
            "tool {name}: its answer has more than {} bytes, the `max_output` in {}",
            spec.max_output, spec.file
        );
        return Err(Error::new(Code::ToolFailed, message).with_details(details.into()));
    }
    Ok(json)
}

fn text(block: &ContentBlock) -> Option<&str> {
    match block {
        ContentBlock::Text(content) => Some(&content.text),
        _ => None,
    }
}

fn item(block: ContentBlock) -> Value {
    match block {
        ContentBlock::Text(content) => Value::from(content.text),
        ContentBlock::Image(content) => {
            json!({ "type": "image", "media_type": content.mime_type, "base64": content.data })
        }
        ContentBlock::Audio(content) => {
            json!({ "type": "audio", "media_type": content.mime_type, "base64": content.data })
        }
        ContentBlock::Resource(content) => match content.resource {
            ResourceContents::TextResourceContents { uri, mime_type, text, .. } => {
                json!({ "type": "resource", "uri": uri, "media_type": mime_type, "text": text })
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                json!({ "type": "resource", "uri": uri, "media_type": mime_type, "base64": blob })
            }
            _ => Value::Null,
        },
        ContentBlock::ResourceLink(link) => json!({
            "type": "link", "uri": link.uri, "name": link.name, "description": link.description,
            "media_type": link.mime_type,
        }),
        _ => Value::Null,
    }
}
