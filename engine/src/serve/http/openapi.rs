//! What the server offers, as an OpenAPI 3.1 document: made of what its routes say of themselves.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Answered};
use super::auth::{Caller, Nothing};
use super::limits::MAX_KEY;
use super::problem::Sent;
use super::state::State;
use super::tokens::Scope;

/// Makes a type's schema.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One method of one path, and what is said of it.
pub(super) struct Route {
    path: &'static str,
    method: &'static str,
    handler: MethodRouter<Arc<State>>,
    /// Names it in clients that are generated.
    id: &'static str,
    summary: &'static str,
    scope: Option<Scope>,
    is_open: bool,
    takes_key: bool,
    /// What the name in the path looks like, if not anything.
    named: Option<&'static str>,
    query: Option<SchemaOf>,
    body: Option<Content>,
    status: StatusCode,
    answers: Vec<Content>,
}

/// A body, or what is answered.
enum Content {
    Json(SchemaOf),
    /// Of any type that its sender chose.
    Bytes,
    Events,
}

macro_rules! methods {
    ($($name:ident: $filter:ident;)*) => {
        $(pub(super) fn $name<H: Handler<T, Arc<State>>, T: 'static>(
            path: &'static str,
            handler: H,
            id: &'static str,
            summary: &'static str,
        ) -> Self {
            Self {
                path,
                method: stringify!($name),
                handler: on(MethodFilter::$filter, handler),
                id,
                summary,
                scope: None,
                is_open: false,
                takes_key: false,
                named: None,
                query: None,
                body: None,
                status: StatusCode::OK,
                answers: Vec::new(),
            }
        })*
    };
}

impl Route {
    methods! {
        get: GET;
        post: POST;
        put: PUT;
        delete: DELETE;
    }

    /// It needs a token with this scope. What says nothing needs one of any.
    pub(super) const fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// It needs no token.
    pub(super) const fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// It is done once for an idempotency key.
    pub(super) const fn once(mut self) -> Self {
        self.takes_key = true;
        self
    }

    /// The name in its path fits this pattern.
    pub(super) const fn named(mut self, pattern: &'static str) -> Self {
        self.named = Some(pattern);
        self
    }

    /// What may follow the question mark.
    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(T::json_schema);
        self
    }

    /// It takes JSON.
    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Content::Json(SchemaGenerator::subschema_for::<T>));
        self
    }

    /// It takes bytes of any type.
    pub(super) fn takes_bytes(mut self) -> Self {
        self.body = Some(Content::Bytes);
        self
    }

    /// It answers JSON.
    pub(super) fn answers<T: JsonSchema>(mut self) -> Self {
        self.answers.push(Content::Json(SchemaGenerator::subschema_for::<T>));
        self
    }

    /// It answers that something was created.
    pub(super) fn creates<T: JsonSchema>(mut self) -> Self {
        self.status = StatusCode::CREATED;
        self.answers::<T>()
    }

    /// It answers with bytes of the type that they were saved with.
    pub(super) fn answers_bytes(mut self) -> Self {
        self.answers.push(Content::Bytes);
        self
    }

    /// It streams what happens to whoever asks for `text/event-stream`.
    pub(super) fn streams(mut self) -> Self {
        self.answers.push(Content::Events);
        self
    }

    /// Adds it to those that are served.
    pub(super) fn add_to(self, router: Router<Arc<State>>) -> Router<Arc<State>> {
        router.route(self.path, self.handler)
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| written(&super::routes::all()));

/// The document.
#[must_use]
pub fn document() -> Value {
    DOCUMENT.clone()
}

pub(super) async fn serve(_: Caller<Nothing>) -> Answered {
    Ok(Answer::of(&*DOCUMENT)?)
}

/// Makes the schemas of what is sent and of what is answered, which differ in what may be left out.
struct Schemas {
    sent: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let of = |contract| {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.contract = contract;
            settings.into_generator()
        };
        Self { sent: of(Contract::Deserialize), answered: of(Contract::Serialize) }
    }

    /// By name, in order.
    fn all(mut self) -> Map<String, Value> {
        let mut all: Vec<_> = self.sent.take_definitions(true).into_iter().collect();
        all.extend(self.answered.take_definitions(true));
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.into_iter().collect()
    }
}

fn written(routes: &[Route]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in routes {
        // In OpenAPI no parameter may have a slash: it is percent-encoded there.
        let path = paths.entry(route.path.replace("{*", "{")).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method.to_owned(), operation(route, &mut schemas));
        }
    }
    let problem = SchemaGenerator::subschema_for::<Sent<'_>>(&mut schemas.answered);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Repertoire",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE") },
            "description": "A searchable library of Python workflows, each run in a WebAssembly \
                sandbox of its own. A token is for one tenant, and reaches no other. Errors are \
                problem details (RFC 9457) with a stable `code`.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token that `repertoire token create` made.",
                },
            },
            "responses": {
                "problem": {
                    "description": "It was not done.",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "schemas": schemas.all(),
        },
    })
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), route.id.into());
    operation.insert("summary".to_owned(), route.summary.into());
    let security = match route.scope {
        None if route.is_open => json!([]),
        None => json!([{ "token": [] }]),
        Some(scope) => json!([{ "token": [scope.as_str()] }]),
    };
    operation.insert("security".to_owned(), security);
    let parameters = parameters(route, schemas);
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = &route.body {
        let content = contents(std::slice::from_ref(body), &mut schemas.sent);
        let is_required = !matches!(body, Content::Bytes);
        let body = json!({ "required": is_required, "content": content });
        operation.insert("requestBody".to_owned(), body);
    }
    let done = json!({
        "description": if route.status == StatusCode::CREATED { "It was created." } else { "It was done." },
        "content": contents(&route.answers, &mut schemas.answered),
    });
    let answers = json!({
        route.status.as_str(): done,
        "431": { "description": "Its line and headers are too long to be read." },
        "default": { "$ref": "#/components/responses/problem" },
    });
    operation.insert("responses".to_owned(), answers);
    operation.into()
}

fn contents(contents: &[Content], generator: &mut SchemaGenerator) -> Map<String, Value> {
    let one = |content: &Content| match content {
        Content::Json(schema) => ("application/json", json!({ "schema": schema(generator) })),
        Content::Bytes => ("*/*", json!({})),
        Content::Events => ("text/event-stream", json!({ "schema": { "type": "string" } })),
    };
    contents.iter().map(one).map(|(name, content)| (name.to_owned(), content)).collect()
}

fn parameters(route: &Route, schemas: &mut Schemas) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|part| {
        Some(part.strip_prefix('{')?.strip_suffix('}')?.trim_start_matches('*'))
    });
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let schema = match route.named {
                Some(pattern) => json!({ "type": "string", "pattern": pattern }),
                None => json!({ "type": "string", "minLength": 1 }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    if let Some(query) = route.query {
        parameters.extend(query_parameters(query(&mut schemas.sent)));
    }
    if route.takes_key {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Requests with the same key are done once, and answered alike.",
            "schema": { "type": "string", "pattern": format!("^[!-~]{{1,{MAX_KEY}}}$") },
        }));
    }
    parameters
}

/// The fields of an object, each as a parameter.
fn query_parameters(schema: Schema) -> Vec<Value> {
    let Value::Object(mut schema) = schema.to_value() else { return Vec::new() };
    let required = schema.remove("required").unwrap_or_default();
    let is_required =
        |name: &str| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let Some(Value::Object(fields)) = schema.remove("properties") else { return Vec::new() };
    let parameter = |(name, mut schema): (String, Value)| {
        // What is not given is left out: a parameter has no null.
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|one| one != "null");
        }
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let required = is_required(&name);
        let mut parameter =
            json!({ "name": name, "in": "query", "required": required, "schema": schema });
        if let (Some(description), Some(fields)) = (description, parameter.as_object_mut()) {
            fields.insert("description".to_owned(), description);
        }
        parameter
    };
    fields.into_iter().map(parameter).collect()
}
