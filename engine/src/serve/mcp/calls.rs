//! What each tool does: arguments from JSON, one call of the tenant, the answer as JSON.

use std::sync::{Arc, PoisonError};

use rmcp::model::CallToolResult;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::super::scope::Scope;
use super::progress::Progress;
use super::{Server, catalogue, shown, structured, wire};
use crate::artifacts::{Content, MAX_WHOLE};
use crate::error::{Error, Result};
use crate::grants::{Decision, Target};
use crate::id::quoted;
use crate::json::Json;
use crate::run::Run;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    query: String,
    #[serde(default = "default_limit")]
    limit: usize,
}

const fn default_limit() -> usize {
    5
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invoke {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
    #[serde(default)]
    reset: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    source: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum Artifacts {
    List {},
    Load {
        name: String,
    },
    Save {
        name: String,
        value: Value,
        #[serde(default)]
        description: String,
    },
    Delete {
        name: String,
    },
}

/// What a token has to be for if its holder is to call a tool.
pub(super) fn scope(tool: &str, arguments: &Map<String, Value>) -> Scope {
    match tool {
        "search_workflows" | "get_workflow" | "list_tools" | "search_tools" => Scope::Read,
        "create_workflow" | "delete_workflow" => Scope::Write,
        "artifacts" => match arguments.get("action").and_then(Value::as_str) {
            Some("list" | "load") => Scope::Read,
            _ => Scope::Write,
        },
        // Workflows that are offered as tools, too.
        _ => Scope::Run,
    }
}

impl Server {
    /// Calls a tool.
    pub(super) async fn answer(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        progress: Progress,
    ) -> Result<CallToolResult> {
        let tenant = &self.tenant;
        match tool {
            "search_workflows" => {
                let Query { query, limit } = parse(arguments)?;
                let hits = tenant.search(&query, limit).await?;
                let hits: Vec<_> = hits.iter().map(wire::Brief::from).collect();
                structured(&json!({"workflows": hits}), false)
            }
            "get_workflow" => {
                let Named { name } = parse(arguments)?;
                let workflow = shown(tenant, &name).await?;
                structured(&wire::Workflow::from(&workflow), false)
            }
            "create_workflow" => {
                let Create { name, source, description } = parse(arguments)?;
                tenant.check(&Target::Create)?;
                let workflow = tenant.add_workflow(name, source, description).await?;
                let warnings: Vec<_> =
                    workflow.analysis.warnings.iter().map(|warning| &warning.message).collect();
                let created = wire::Brief::from(&workflow);
                structured(&json!({"created": created, "warnings": warnings}), false)
            }
            "delete_workflow" => {
                let Named { name } = parse(arguments)?;
                tenant.check(&Target::Delete)?;
                tenant.check(&Target::Workflow(&name))?;
                let deletion = tenant.delete_workflow(&name).await?;
                let broken: Vec<_> = deletion.broken.iter().map(ToString::to_string).collect();
                structured(&json!({"deleted": deletion.existed, "broken": broken}), false)
            }
            "invoke_workflow" => {
                let Invoke { name, arguments } = parse(arguments)?;
                self.invoke(&name, arguments, progress).await
            }
            "run_code" => {
                let Code { code, reset } = parse(arguments)?;
                let mut session = self.session.lock().await;
                *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = progress;
                if reset {
                    session.reset();
                }
                ended(&session.run(&code).await?)
            }
            "list_tools" => {
                let Nothing {} = parse(arguments)?;
                let tools = tenant.tools_now().await;
                tools_answer(tools.iter())
            }
            "search_tools" => {
                let Query { query, limit } = parse(arguments)?;
                let tools = tenant.search_tools(&query, limit).await?;
                tools_answer(tools.iter())
            }
            "artifacts" => self.artifacts(parse(arguments)?).await,
            name if self.exposed_tool(name).await?.is_some() => {
                self.invoke(name, arguments, progress).await
            }
            name => {
                let tools = catalogue::tools();
                let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
                let there = names.join(", ");
                Err(Error::not_found(format!(
                    "there is no tool {}; there are {there}",
                    quoted(name)
                )))
            }
        }
    }

    async fn invoke(
        &self,
        name: &str,
        arguments: Map<String, Value>,
        progress: Progress,
    ) -> Result<CallToolResult> {
        let invocation = self.tenant.invocation(name).arguments(Json::from_value(&arguments)?);
        ended(&invocation.on_event(move |event| progress.tell(&event)).run().await?)
    }

    async fn artifacts(&self, request: Artifacts) -> Result<CallToolResult> {
        let tenant = &self.tenant;
        match request {
            Artifacts::List {} => {
                let artifacts = tenant.artifacts().await?;
                let shown = artifacts.iter().filter(|found| {
                    tenant.decision("artifacts", found.name.as_str()) < Decision::Deny
                });
                let listed: Vec<_> = shown.map(wire::Artifact::from).collect();
                structured(&json!({"artifacts": listed}), false)
            }
            Artifacts::Load { name } => {
                tenant.check(&Target::Artifact(&name))?;
                let metadata = tenant.artifact(&name, None).await?;
                if metadata.size > MAX_WHOLE as u64 {
                    return Err(Error::invalid_argument(format!(
                        "artifact {name} has {} bytes, too many for one answer; run_code can read it \
                         with artifacts.open({})",
                        metadata.size,
                        quoted(&name)
                    )));
                }
                let content = tenant.artifact_content(&metadata).await?;
                let artifact = wire::Artifact::from(&metadata);
                structured(
                    &json!({"artifact": artifact, "value": wire::Body::from(&content)}),
                    false,
                )
            }
            Artifacts::Save { name, value, description } => {
                tenant.check(&Target::Artifact(&name))?;
                let content = match value {
                    Value::String(text) => Content::Text(text.into()),
                    value => Content::Json(Json::from_value(&value)?),
                };
                let metadata = tenant.save_artifact(&name, &content, description).await?;
                structured(&json!({"saved": wire::Artifact::from(&metadata)}), false)
            }
            Artifacts::Delete { name } => {
                tenant.check(&Target::Artifact(&name))?;
                structured(&json!({"deleted": tenant.delete_artifact(&name).await?}), false)
            }
        }
    }
}

/// What went wrong, for the model to read.
pub(super) fn problem(error: &Error) -> CallToolResult {
    let answer = json!({"error": wire::Problem::from(error)});
    structured(&answer, true).unwrap_or_else(|error| {
        CallToolResult::error(vec![rmcp::model::ContentBlock::text(error.chain())])
    })
}

fn ended(run: &Run) -> Result<CallToolResult> {
    let answer = wire::Run::from(run);
    structured(&answer, answer.error.is_some())
}

fn tools_answer<'a>(
    tools: impl Iterator<Item = &'a Arc<crate::tools::ToolInfo>>,
) -> Result<CallToolResult> {
    let callables: Vec<_> = tools.flat_map(|tool| wire::callables(tool)).collect();
    structured(&json!({"tools": callables}), false)
}

fn parse<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| Error::invalid_argument(format!("the tool's arguments: {error}")))
}
