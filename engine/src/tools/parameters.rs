//! From the JSON Schema of an object to parameters.

use serde_json::{Map, Value, json};

use crate::json::Json;
use crate::workflow::Parameter;

/// The longest description of a tool or a parameter, in characters.
const MAX_DESCRIPTION: usize = 4096;

/// The largest schema of a tool's arguments, in bytes.
const MAX_SCHEMA: usize = 64 * 1024;

/// One parameter a property. What the schema says, a stranger may have written.
pub(super) fn of(schema: &Map<String, Value>) -> Result<Vec<Parameter>, &'static str> {
    let size = serde_json::to_string(schema).map_or(usize::MAX, |text| text.len());
    if size > MAX_SCHEMA {
        return Err("the schema of its arguments is too large");
    }
    let needed = schema.get("required").and_then(Value::as_array);
    // References point from the root, and a parameter's schema is a root of its own.
    let definitions: Map<String, Value> = ["$defs", "definitions"]
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), schema.get(*key)?.clone())))
        .collect();
    let mut parameters = Vec::new();
    for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        let mut own = schema.clone();
        if let Value::Object(map) = &mut own
            && own_refers(map)
        {
            map.extend(definitions.clone());
        }
        // Whatever it refers to elsewhere is not fetched; then anything goes.
        if jsonschema::validator_for(&own).is_err() {
            own = json!({});
        }
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        parameters.push(Parameter {
            name: name.clone(),
            required: needed.is_some_and(|needed| needed.iter().any(|one| one == name)),
            default: schema.get("default").map(|value| Json::from(value.clone())),
            description: shown(text("description").or(text("title")).unwrap_or_default()),
            schema: Json::from(own),
        });
    }
    Ok(parameters)
}

fn own_refers(schema: &Map<String, Value>) -> bool {
    serde_json::to_string(schema).is_ok_and(|text| text.contains("\"$ref\""))
}

/// A stranger's text: bounded, and without what a terminal obeys.
pub(super) fn shown(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    plain.take(MAX_DESCRIPTION).collect()
}
