//! The JSON Schema of tool files, for editors: made of the structs that files are read into.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::authored::ToolFile;
use crate::json::Json;

macro_rules! constant {
    ($type:ident, $value:literal) => {
        /// The file's `type`.
        pub(super) struct $type;

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "const": $value })
            }
        }
    };
}

constant!(TypeCli, "cli");
#[cfg(feature = "mcp")]
constant!(TypeMcp, "mcp");
#[cfg(feature = "http")]
constant!(TypeHttp, "http");

/// The schema of a tool file, of every type that this build knows.
#[must_use]
pub fn tool_file() -> Json {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let cli = generator.subschema_for::<ToolFile>().to_value();
    #[allow(unused_mut, reason = "the other types are features")]
    let mut schema = cli;
    // By its type, so that an editor speaks of the one that is meant.
    #[cfg(feature = "http")]
    {
        let http = generator.subschema_for::<super::http::HttpFile>().to_value();
        schema = of_type("http", http, schema);
    }
    #[cfg(feature = "mcp")]
    {
        let mcp = generator.subschema_for::<super::mcp::McpFile>().to_value();
        schema = of_type("mcp", mcp, schema);
    }
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A tool file of Repertoire",
    });
    if let (Value::Object(whole), Value::Object(schema)) = (&mut whole, schema) {
        whole.extend(schema);
        whole.insert("$defs".to_owned(), Value::Object(generator.take_definitions(true)));
    }
    Json::from(whole)
}

#[cfg(any(feature = "http", feature = "mcp"))]
fn of_type(name: &str, then: Value, otherwise: Value) -> Value {
    json!({
        "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
        "then": then,
        "else": otherwise,
    })
}
