//! The library as an MCP server, as an agent's client meets it.

use std::sync::Mutex;
use std::time::Duration;

use repertoire::Tenant;
use repertoire::serve::mcp::Server;
use repertoire_tests::bench;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, GetPromptRequestParams, ProgressNotificationParam,
    ReadResourceRequestParams,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use serde_json::{Value, json};

/// Remembers what it is told.
#[derive(Default)]
pub(crate) struct Client {
    progress: Mutex<Vec<String>>,
}

impl ClientHandler for Client {
    async fn on_progress(
        &self,
        told: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.progress.lock().unwrap().extend(told.message);
    }
}

pub(crate) type Connection = RunningService<RoleClient, Client>;

async fn connect(exposed: &[&str]) -> Connection {
    let tenant = bench().await.tenant;
    let source = "def run(number: int, times: int = 2) -> int:\n    \"\"\"Multiply a number.\n\n    Args:\n        number: Which\n    \"\"\"\n    print('multiplying')\n    return number * times\n";
    tenant.add_workflow("multiply", source, "").await.unwrap();
    serve(tenant, exposed).await
}

/// A client of a tenant's own server.
pub(crate) async fn serve(tenant: Tenant, exposed: &[&str]) -> Connection {
    let (here, there) = tokio::io::duplex(64 << 10);
    let (input, output) = tokio::io::split(there);
    let server = Server::new(tenant, exposed.iter().map(ToString::to_string).collect());
    tokio::spawn(server.serve(input, output));
    Client::default().serve(here).await.unwrap()
}

pub(crate) async fn call(client: &Connection, tool: &str, given: Value) -> Value {
    let result = attempt(client, tool, given).await;
    assert_eq!(result.is_error, Some(false), "{result:?}");
    result.structured_content.unwrap()
}

pub(crate) async fn attempt(client: &Connection, tool: &str, given: Value) -> CallToolResult {
    let Value::Object(arguments) = given else { panic!("arguments are an object") };
    let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    client.call_tool(request).await.unwrap()
}

#[tokio::test]
async fn an_agent_saves_finds_and_runs() {
    let client = connect(&[]).await;
    let tools = client.list_all_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names[..2], ["search_workflows", "invoke_workflow"]);
    // What every conversation pays for these: 4 bytes are about a token.
    let bytes = serde_json::to_string(&tools).unwrap().len();
    assert!(bytes < 6_000, "the tools' descriptions take {bytes} bytes");

    let source =
        "def run(text: str) -> str:\n    return text.upper() * workflows.multiply(number=1)\n";
    let created = call(
        &client,
        "create_workflow",
        json!({"name": "shout", "source": source, "description": "Say it loudly"}),
    )
    .await;
    assert_eq!(created["created"]["signature"], "shout(text: str) -> str");
    assert_eq!(created["warnings"].as_array().unwrap().len(), 1);
    let found = call(&client, "search_workflows", json!({"query": "say it loudly"})).await;
    assert_eq!(found["workflows"][0]["name"], "shout");
    let arguments = json!({"name": "shout", "arguments": {"text": "a"}});
    let ran = call(&client, "invoke_workflow", arguments).await;
    assert_eq!((&ran["value"], &ran["usage"]["host_calls"]), (&json!("AA"), &json!(1)));
    assert!(call(&client, "get_workflow", json!({"name": "shout"})).await["source"] == source);

    call(&client, "run_code", json!({"code": "saved = workflows.shout(text='b')"})).await;
    assert_eq!(call(&client, "run_code", json!({"code": "saved"})).await["value"], "BB");
    let gone = attempt(&client, "run_code", json!({"code": "saved", "reset": true})).await;
    assert_eq!(gone.is_error, Some(true));
    let problem = &gone.structured_content.unwrap()["error"];
    assert!(problem["message"].as_str().unwrap().contains("saved"), "{problem}");
    assert_eq!(call(&client, "run_code", json!({"code": "object()"})).await.get("value"), None);

    let artifact = json!({"action": "save", "name": "n", "value": {"a": [1, "b"]}});
    assert_eq!(call(&client, "artifacts", artifact).await["saved"]["kind"], "json");
    let loaded = call(&client, "artifacts", json!({"action": "load", "name": "n"})).await;
    assert_eq!(loaded["value"], json!({"a": [1, "b"]}));
    assert!(call(&client, "list_tools", json!({})).await["tools"].as_array().is_some());
    assert_eq!(call(&client, "delete_workflow", json!({"name": "shout"})).await["deleted"], true);
}

/// What a model does wrong it is told in the answer, with a code; the connection lives.
#[tokio::test]
async fn mistakes_are_answers() {
    let client = connect(&[]).await;
    for (tool, given, code, says) in [
        ("invoke_workflow", json!({"name": "multiplyy"}), "not-found", "multiply"),
        ("invoke_workflow", json!({"name": "multiply"}), "invalid-argument", "number"),
        ("create_workflow", json!({"name": "x", "source": "def"}), "invalid-source", "syntax"),
        ("create_workflow", json!({"name": "multiply", "source": ""}), "already-exists", "delete"),
        ("search_workflows", json!({"query": "x", "limits": 3}), "invalid-argument", "limits"),
        ("search_workflows", json!({}), "invalid-argument", "query"),
        ("artifacts", json!({"action": "burn"}), "invalid-argument", "burn"),
        ("run_python", json!({}), "not-found", "run_code"),
        ("multiply", json!({"number": 1}), "not-found", "run_code"),
    ] {
        let result = attempt(&client, tool, given.clone()).await;
        assert_eq!(result.is_error, Some(true), "{tool} {given}");
        let problem = &result.structured_content.unwrap()["error"];
        assert_eq!(problem["code"], code, "{tool} {given}: {problem}");
        let message = problem["message"].as_str().unwrap().to_lowercase();
        assert!(message.contains(says), "{tool} {given}: {problem}");
    }
    assert_eq!(call(&client, "run_code", json!({"code": "1 + 1"})).await["value"], 2);
}

#[tokio::test]
async fn chosen_workflows_are_tools() {
    let client = connect(&["multiply", "not_there"]).await;
    let tools = client.list_all_tools().await.unwrap();
    let tool = tools.iter().find(|tool| tool.name == "multiply").unwrap();
    assert_eq!(tool.description.as_deref(), Some("Multiply a number."));
    let schema = Value::Object(tool.input_schema.as_ref().clone());
    assert_eq!(schema["required"], json!(["number"]));
    assert_eq!(schema["properties"]["number"], json!({"type": "integer", "description": "Which"}));
    assert_eq!(call(&client, "multiply", json!({"number": 21})).await["value"], 42);
    assert!(tools.iter().all(|tool| tool.name != "not_there"));
}

#[tokio::test]
async fn workflows_are_resources_and_a_prompt_teaches() {
    let client = connect(&[]).await;
    let resources = client.list_all_resources().await.unwrap();
    assert_eq!(resources[0].uri, "workflow://multiply");
    let read = client.read_resource(ReadResourceRequestParams::new("workflow://multiply"));
    assert!(serde_json::to_string(&read.await.unwrap()).unwrap().contains("number * times"));
    for uri in ["workflow://nothing", "file:///etc/passwd", "workflow://../x"] {
        assert!(client.read_resource(ReadResourceRequestParams::new(uri)).await.is_err(), "{uri}");
    }
    let prompts = client.list_all_prompts().await.unwrap();
    let prompt = client.get_prompt(GetPromptRequestParams::new(&prompts[0].name)).await.unwrap();
    assert!(serde_json::to_string(&prompt).unwrap().contains("create_workflow"));
}

/// What is printed is told while it runs; a client that cancels ends the run, and its session goes on.
#[tokio::test]
async fn progress_and_cancellation() {
    use rmcp::model::{ClientRequest, Request};
    use rmcp::service::PeerRequestOptions;

    let client = connect(&[]).await;
    let code = json!({"code": "print('begun')\nwhile True: pass"});
    let Value::Object(arguments) = code else { unreachable!() };
    let params = CallToolRequestParams::new("run_code").with_arguments(arguments);
    let request = ClientRequest::CallToolRequest(Request::new(params));
    // The client asks for progress with every request.
    let running =
        client.send_cancellable_request(request, PeerRequestOptions::no_options()).await.unwrap();
    while client.service().progress.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*client.service().progress.lock().unwrap(), ["begun"]);
    running.cancel(None).await.unwrap();
    // The instance is free again, or this would wait for the fuel to run out.
    assert_eq!(call(&client, "run_code", json!({"code": "6 * 7"})).await["value"], 42);
}
