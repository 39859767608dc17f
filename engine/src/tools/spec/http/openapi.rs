//! An OpenAPI 3 document to endpoints.

use reqwest::{Method, Url};
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

use super::resolve::OneEndpoint;
use super::{Answer, Endpoint, Param, Place};
use crate::error::Result;
use crate::id::{ToolName, quoted};
use crate::json::Json;
use crate::tools::Callable;
use crate::tools::spec::parse::{self, Source, hint};
use crate::workflow::Parameter;

/// The largest document, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;

/// The most operations that become ways to call a tool.
const MAX_OPERATIONS: usize = 500;

/// How deep references are followed; below it anything goes.
const MAX_DEPTH: usize = 12;

/// The most nodes of one schema, references written out; beyond it anything goes.
const MAX_NODES: usize = 2000;

/// What a document says.
pub(super) struct Found {
    /// Its first server, if that is a whole address.
    pub(super) base: Option<Url>,
    pub(super) endpoints: Vec<OneEndpoint>,
}

/// Reads a document, of whose operations only `wanted` count if they are given.
pub(super) fn read(
    source: &Source<'_>,
    file: &Spanned<String>,
    wanted: Option<&[Spanned<String>]>,
    needs_base: bool,
) -> Result<Found> {
    let refuse = |problem: String| source.refuse(file.referenced, problem);
    let path = source.path.parent().map(|folder| folder.join(&file.value)).unwrap_or_default();
    let document = Source { path: &path };
    let text = parse::read(&document, MAX_DOCUMENT)?;
    let root: Value = match serde_json::from_str(&text) {
        Ok(root) => root,
        Err(_) => parse::large(&document, &text, MAX_DOCUMENT)?,
    };
    let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(refuse(format!("{} is not an OpenAPI 3 document", quoted(&file.value))));
    }
    let server = root.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let base = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    if needs_base && base.is_none() {
        let problem = format!(
            "the document's first server is {}, no whole address; give base_url",
            quoted(server)
        );
        return Err(refuse(problem));
    }
    let reader = Reader { root: &root };
    let mut endpoints = Vec::new();
    let mut known = Vec::new();
    for (path, item) in root.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (verb, operation) in item.as_object().into_iter().flatten() {
            let Some(method) = verb_of(verb) else { continue };
            let id = operation.get("operationId").and_then(Value::as_str);
            let id = id.map_or_else(|| format!("{verb}_{path}"), ToOwned::to_owned);
            let name = identifier(&id);
            let is_wanted =
                |one: &Spanned<String>| one.value == id || identifier(&one.value) == name;
            if wanted.is_none_or(|wanted| wanted.iter().any(is_wanted)) {
                let endpoint = reader.endpoint(name.clone(), method, path, item, operation);
                endpoints.push(endpoint.map_err(|problem| {
                    refuse(format!(
                        "operation {}: {problem}; leave it out of operations",
                        quoted(&id)
                    ))
                })?);
            }
            known.push(name);
        }
    }
    for one in wanted.into_iter().flatten() {
        if !known.contains(&identifier(&one.value)) {
            let known: Vec<_> = known.iter().map(String::as_str).collect();
            let problem = format!(
                "the document has no operation {}{}",
                quoted(&one.value),
                hint(&one.value, &known)
            );
            return Err(source.refuse(one.referenced, problem));
        }
    }
    if endpoints.len() > MAX_OPERATIONS {
        let problem = format!(
            "the document has {} operations; name at most {MAX_OPERATIONS} under operations",
            endpoints.len()
        );
        return Err(refuse(problem));
    }
    Ok(Found { base, endpoints })
}

fn verb_of(verb: &str) -> Option<Method> {
    const VERBS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];
    VERBS.contains(&verb).then(|| Method::from_bytes(verb.to_ascii_uppercase().as_bytes()).ok())?
}

/// A name in Python: `getPet-by.id` is `get_pet_by_id`.
fn identifier(text: &str) -> String {
    let mut name = String::new();
    let mut after_small = false;
    for c in text.chars() {
        if c.is_ascii_uppercase() && after_small {
            name.push('_');
        }
        after_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let mut name: String = name.trim_end_matches('_').chars().take(60).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "n_");
    }
    // A keyword, or a name that means something else here.
    if ToolName::new(&name).is_err() {
        name.push('_');
    }
    name
}

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn endpoint(
        &self,
        name: String,
        method: Method,
        path: &str,
        item: &Value,
        operation: &Value,
    ) -> Result<OneEndpoint, String> {
        let (mut parameters, mut params) = (Vec::new(), Vec::new());
        let mut add = |wire: &str,
                       place: Place,
                       schema: Value,
                       required: bool,
                       description: &str| {
            let mut own = identifier(wire);
            while params.iter().any(|other: &Param| other.name == own) {
                own.push('_');
            }
            let default = schema.get("default").map(|value| Json::from(value.clone()));
            params.push(Param { name: own.clone(), wire: wire.to_owned(), place, default: None });
            parameters.push(Parameter {
                name: own,
                schema: Json::from(schema),
                required,
                default,
                description: description.to_owned(),
            });
        };
        let lists = [item.get("parameters"), operation.get("parameters")];
        let mut listed: Vec<&Value> = Vec::new();
        for parameter in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
            let parameter = self.followed(parameter)?;
            // The operation's own take the place of the path's.
            listed.retain(|other| {
                other.get("name") != parameter.get("name") || other.get("in") != parameter.get("in")
            });
            listed.push(parameter);
        }
        for parameter in listed {
            let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
            let place = match text("in") {
                "path" => Place::Path,
                "query" => Place::Query,
                "header" => Place::Header,
                // A cookie is somebody's session: nothing for a workflow to set.
                _ => continue,
            };
            let schema = self.schema(parameter.get("schema"));
            let required =
                place == Place::Path || parameter.get("required") == Some(&Value::Bool(true));
            add(text("name"), place, schema, required, text("description"));
        }
        if let Some(body) = operation.get("requestBody") {
            let body = self.followed(body)?;
            let required = body.get("required") == Some(&Value::Bool(true));
            let content = body.get("content").and_then(Value::as_object);
            let json = content.and_then(|content| {
                content.iter().find(|(kind, _)| {
                    kind.starts_with("application/json") || kind.ends_with("+json")
                })
            });
            let Some((_, media)) = json else {
                return Err("it takes no JSON".to_owned());
            };
            let schema = self.schema(media.get("schema"));
            match schema.get("properties").and_then(Value::as_object).filter(|_| is_plain(&schema))
            {
                Some(fields) => {
                    let needed = schema.get("required").and_then(Value::as_array);
                    for (field, schema) in fields {
                        let needed = needed.is_some_and(|needed| needed.contains(&json!(field)));
                        let description = schema.get("description").and_then(Value::as_str);
                        let description = description.unwrap_or_default().to_owned();
                        add(field, Place::Field, schema.clone(), required && needed, &description);
                    }
                }
                None => add("body", Place::Content, schema, required, "What is sent, as JSON"),
            }
        }
        for placeholder in super::params::placeholders(path) {
            if !params.iter().any(|param| param.place == Place::Path && param.wire == placeholder) {
                return Err(format!("its path names {{{placeholder}}}, which is no parameter"));
            }
        }
        for parameter in &parameters {
            let schema: Value = parameter.schema.to().map_err(|error| error.to_string())?;
            if let Err(error) = jsonschema::validator_for(&schema) {
                return Err(format!("parameter {}: {error}", parameter.name));
            }
        }
        let text =
            |key: &str| operation.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let description =
            text("summary").or_else(|| text("description")).unwrap_or_default().to_owned();
        let idempotent = method.is_idempotent();
        Ok(OneEndpoint {
            callable: Callable { name, description, parameters },
            endpoint: Endpoint {
                method,
                path: Some(path.to_owned()),
                params,
                answer: Answer::Auto,
                idempotent,
            },
        })
    }

    /// What a reference means; only those within the document are followed.
    fn followed<'b>(&'b self, mut value: &'b Value) -> Result<&'b Value, String> {
        for _ in 0..MAX_DEPTH {
            let Some(target) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
            let within = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            value = within.ok_or_else(|| format!("{} is not in the document", quoted(target)))?;
        }
        Err("its references go round".to_owned())
    }

    /// A schema with its references written out.
    fn schema(&self, schema: Option<&Value>) -> Value {
        let mut nodes = 0;
        schema.map_or(json!({}), |schema| self.written_out(schema, 0, &mut nodes))
    }

    fn written_out(&self, schema: &Value, depth: usize, nodes: &mut usize) -> Value {
        // A schema that is left out takes anything; what is none stays.
        if !schema.is_object() && !schema.is_array() {
            return schema.clone();
        }
        *nodes += 1;
        if schema.is_object() && (depth > MAX_DEPTH || *nodes > MAX_NODES) {
            return json!({});
        }
        let Ok(schema) = self.followed(schema) else { return json!({}) };
        match schema {
            Value::Object(map) => {
                let mut made = Map::new();
                for (key, value) in map {
                    let value = match key.as_str() {
                        // Data, in which `$ref` would be a word like another.
                        "example" | "examples" | "xml" | "externalDocs" | "discriminator" => {
                            continue;
                        }
                        "default" | "enum" | "const" | "required" | "type" => value.clone(),
                        _ => self.written_out(value, depth + 1, nodes),
                    };
                    made.insert(key.clone(), value);
                }
                // 3.0 says `nullable` where JSON Schema has a type.
                if made.remove("nullable") == Some(Value::Bool(true))
                    && let Some(kind) = made.get("type").cloned()
                {
                    made.insert("type".to_owned(), json!([kind, "null"]));
                }
                // Likewise a bound that is exclusive was a boolean.
                for key in ["exclusiveMinimum", "exclusiveMaximum"] {
                    if made.get(key).is_some_and(Value::is_boolean) {
                        made.remove(key);
                    }
                }
                Value::Object(made)
            }
            Value::Array(items) => Value::Array(
                items.iter().map(|item| self.written_out(item, depth + 1, nodes)).collect(),
            ),
            other => other.clone(),
        }
    }
}

/// Whether an object's fields are all that there is to say of it.
fn is_plain(schema: &Value) -> bool {
    ["allOf", "anyOf", "oneOf", "not"].iter().all(|key| schema.get(key).is_none())
}
