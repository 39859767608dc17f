//! The library as an MCP server: an agent's client calls its tools, reads
//! workflows as resources, and gets a prompt that says when to save one.
//!
//! One [`Server`] is one client's: it has that client's session, whose
//! variables last from one `run_code` to the next.

mod calls;
mod catalogue;
mod progress;
mod resources;

use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use axum::http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    Prompt, PromptMessage, ReadResourceRequestParams, ReadResourceResponse, Role,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use self::progress::Progress;
use super::scope::{Scope, Scopes};
use super::{shown, wire};
use crate::error::{Code, Error, Result};
use crate::session::Session;
use crate::tenant::Tenant;

/// What a client is told before it calls anything.
const INSTRUCTIONS: &str = "A library of Python workflows, each run in a sandbox of its own. \
Before you write code for a task, call search_workflows. Run what fits with invoke_workflow, or \
compose several in run_code. Save what you have worked out and may need again with create_workflow.";

const PROMPT: &str = "when_to_save";
const PROMPT_DESCRIPTION: &str = "When to save a workflow, when not, and how to write one";
const PROMPT_TEXT: &str = include_str!("when_to_save.md");

/// One client's server.
pub struct Server {
    tenant: Tenant,
    session: Mutex<Session>,
    /// Who is told what the session does; changed by who holds the session.
    listener: Arc<SyncMutex<Progress>>,
    /// Workflows that are offered as tools of their own.
    exposed: Vec<String>,
    /// Given back when the client is gone.
    #[expect(dead_code, reason = "held, and given back when dropped")]
    seat: Option<Box<dyn Send + Sync>>,
}

impl Server {
    /// A server for one client. The workflows `exposed` are offered as tools of
    /// their own beside those that work on the library.
    #[must_use]
    pub fn new(tenant: Tenant, exposed: Vec<String>) -> Self {
        let listener = Arc::<SyncMutex<Progress>>::default();
        let told = Arc::clone(&listener);
        let session = tenant.session().on_event(move |event| {
            told.lock().unwrap_or_else(PoisonError::into_inner).tell(&event);
        });
        Self { tenant, session: Mutex::new(session), listener, exposed, seat: None }
    }

    /// Holds what counts the client among those that there may be.
    #[must_use]
    pub(super) fn with_seat(self, seat: Box<dyn Send + Sync>) -> Self {
        Self { seat: Some(seat), ..self }
    }

    /// Serves the client that has started this process, on standard input and output.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_stdio(self) -> Result<()> {
        let (input, output) = rmcp::transport::io::stdio_pipes();
        Box::pin(self.serve(input, output)).await
    }

    /// Serves one client until it closes the connection.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if what the client sends is not MCP.
    pub async fn serve(
        self,
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::unavailable(format!("the connection to the MCP client failed: {error}"))
        };
        let tenant = self.tenant.clone();
        let running = ServiceExt::serve(self, (input, output)).await;
        let ended = match running {
            Ok(running) => running.waiting().await.map(drop).map_err(|error| failed(&error)),
            // Gone before it said anything: as good a time as any other.
            Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(failed(&error)),
        };
        tenant.flush().await.and(ended)
    }

    async fn exposed_tool(&self, name: &str) -> Result<Option<rmcp::model::Tool>> {
        if !self.exposed.iter().any(|exposed| exposed == name) {
            return Ok(None);
        }
        match shown(&self.tenant, name).await {
            Ok(workflow) => Ok(Some(catalogue::of_workflow(&workflow))),
            // Deleted since: not offered.
            Err(error) if error.code() == Code::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("repertoire", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = catalogue::tools();
        for name in &self.exposed {
            tools.extend(self.exposed_tool(name).await.map_err(|error| protocol_error(&error))?);
        }
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let token = context.meta.get_progress_token();
        let progress = token.map(|token| Progress::to(context.peer.clone(), token));
        let progress = progress.unwrap_or_default();
        let arguments = request.arguments.unwrap_or_default();
        if let Err(error) = check_scope(&context, calls::scope(&request.name, &arguments)) {
            return Ok(calls::problem(&error).into());
        }
        let answered = tokio::select! {
            // The dropped future stops what runs.
            () = context.ct.cancelled() => {
                Err(Error::new(Code::Cancelled, "the client cancelled the call"))
            }
            answered = self.answer(&request.name, arguments, progress.clone()) => answered,
        };
        progress.flush().await;
        Ok(answered.unwrap_or_else(|error| calls::problem(&error)).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        check_scope(&context, Scope::Read).map_err(|error| protocol_error(&error))?;
        resources::list(&self.tenant).await.map_err(|error| protocol_error(&error))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(resources::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        check_scope(&context, Scope::Read).map_err(|error| protocol_error(&error))?;
        resources::read(&self.tenant, &request.uri).await
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompt = Prompt::new(PROMPT, Some(PROMPT_DESCRIPTION), None);
        Ok(ListPromptsResult::with_all_items(vec![prompt]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if request.name != PROMPT {
            let message = format!("there is no prompt {:?}; there is {PROMPT}", request.name);
            return Err(ErrorData::invalid_params(message, None));
        }
        let message = PromptMessage::new_text(Role::User, PROMPT_TEXT);
        Ok(GetPromptResult::new(vec![message]).with_description(PROMPT_DESCRIPTION).into())
    }
}

/// Whether the token of the request is for that. Who has started this process needs none.
fn check_scope(context: &RequestContext<RoleServer>, scope: Scope) -> Result<()> {
    let Some(request) = context.extensions.get::<Parts>() else { return Ok(()) };
    match request.extensions.get() {
        Some(Scopes(scopes)) if scope.is_among(scopes) => Ok(()),
        _ => Err(scope.lacking()),
    }
}

/// An error that the client's program gets, not its model.
fn protocol_error(error: &Error) -> ErrorData {
    match error.code() {
        Code::NotFound => ErrorData::resource_not_found(error.chain(), None),
        Code::InvalidArgument => ErrorData::invalid_params(error.chain(), None),
        _ => ErrorData::internal_error(error.chain(), None),
    }
}

/// A result that is also structured, if it is an object.
fn structured(answer: &impl serde::Serialize, is_error: bool) -> Result<CallToolResult> {
    let failed = |error| Error::internal("an answer has no JSON form").with_source(error);
    // The text is exact; numbers beyond 64 bits are not in a `serde_json::Value`.
    let text = serde_json::to_string(answer).map_err(failed)?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(failed)?;
    let content = vec![ContentBlock::text(text)];
    let mut result =
        if is_error { CallToolResult::error(content) } else { CallToolResult::success(content) };
    result.structured_content = value.is_object().then_some(value);
    Ok(result)
}
