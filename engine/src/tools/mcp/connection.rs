//! A running server, what it has, and calls to it.
#![expect(deprecated, reason = "servers send log messages all the same")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam,
    ClientNotification, ClientRequest, LoggingMessageNotificationParam, RequestId, ServerResult,
};
use rmcp::service::{
    ClientCacheConfig, NotificationContext, Peer, PeerRequestOptions, RoleClient, RunningService,
};
use rmcp::{ClientHandler, ServiceError, ServiceExt};
use serde_json::json;
use tokio::sync::Mutex;

use super::answer;
use super::catalog::{self, Catalog};
use super::stdio::Process;
use crate::error::{Code, Error, Result};
use crate::id::TenantId;
use crate::json::Json;
use crate::tools::secrets::{Revealed, Scrubber};
use crate::tools::spec::mcp::{McpSpec, Transport};
use crate::tools::{ToolInfo, ToolOptions};

/// A running server.
#[derive(Debug)]
pub(super) struct Connection {
    spec: Arc<McpSpec>,
    service: RunningService<RoleClient, Client>,
    catalog: Mutex<Arc<Catalog>>,
    scrubber: Arc<Scrubber>,
    answered: AtomicBool,
    /// A call has found that nobody is there; the service may take a moment longer to notice.
    closed: AtomicBool,
    process: Option<Process>,
}

/// What we are to the server: somebody who calls, and offers nothing: requests
/// for a model, for files or for a person's attention are answered with a refusal.
#[derive(Debug)]
struct Client {
    tool: String,
    changed: AtomicBool,
    scrubber: Arc<Scrubber>,
}

impl ClientHandler for Client {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.store(true, Ordering::Release);
    }

    async fn on_logging_message(
        &self,
        said: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let text = said.data.to_string();
        let text: String = self.scrubber.text(&text).chars().take(1000).collect();
        tracing::debug!(tool = %self.tool, "the MCP server says: {text}");
    }
}

impl Connection {
    /// Starts a server, or connects to it, and asks what it has.
    pub(super) async fn open(
        spec: &Arc<McpSpec>,
        options: &ToolOptions,
        tenant: &TenantId,
    ) -> Result<Self> {
        let mut revealed = Revealed::new(spec.info.name.as_str(), options.secrets.as_ref(), tenant);
        let client = |scrubber: &Arc<Scrubber>| Client {
            tool: spec.info.name.to_string(),
            changed: AtomicBool::new(false),
            scrubber: Arc::clone(scrubber),
        };
        let (service, process, scrubber) = match &spec.transport {
            Transport::Stdio { .. } => {
                let command = Process::command(spec, options, &mut revealed).await?;
                let scrubber = Arc::new(revealed.scrubber);
                let (process, streams) = Process::start(spec, command, &scrubber)?;
                let service = match client(&scrubber).serve(streams).await {
                    Ok(service) => service,
                    Err(error) => {
                        process.settle().await;
                        let why = process.last_words();
                        let problem = format!("it did not say hello: {error}{why}");
                        return Err(refused(spec, &scrubber, &problem));
                    }
                };
                (service, Some(process), scrubber)
            }
            #[cfg(feature = "http")]
            Transport::Http { url, headers, egress } => {
                let transport =
                    super::web::transport(spec, options, url, headers, egress, &mut revealed)
                        .await?;
                let scrubber = Arc::new(revealed.scrubber);
                let service = client(&scrubber).serve(transport).await;
                let service = service.map_err(|error| {
                    refused(spec, &scrubber, &format!("it did not say hello: {}", whole(&error)))
                })?;
                (service, None, scrubber)
            }
        };
        // A list is asked for when the server says that it has changed, and then it is to be new.
        service.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
        let catalog = catalog::read(spec, service.peer(), &scrubber).await;
        let catalog = catalog.map_err(|error| {
            refused(spec, &scrubber, &format!("it does not say what it has: {error}"))
        })?;
        Ok(Self {
            spec: Arc::clone(spec),
            service,
            catalog: Mutex::new(Arc::new(catalog)),
            scrubber,
            answered: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            process,
        })
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
            || self.service.peer().is_transport_closed()
            || self.service.is_closed()
    }

    /// Whether it has answered a call.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// How a process ended, and what it said last.
    pub(super) fn last_words(&self) -> String {
        self.process.as_ref().map(Process::last_words).unwrap_or_default()
    }

    /// What it has, asked anew if it has said that this has changed.
    async fn catalog(&self) -> Result<Arc<Catalog>> {
        let mut catalog = self.catalog.lock().await;
        if self.service.service().changed.swap(false, Ordering::AcqRel) {
            let read = tokio::time::timeout(
                self.spec.start_timeout,
                catalog::read(&self.spec, self.service.peer(), &self.scrubber),
            );
            match read.await {
                Ok(Ok(new)) => *catalog = Arc::new(new),
                failed => {
                    self.service.service().changed.store(true, Ordering::Release);
                    let why = match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => "it took too long".to_owned(),
                    };
                    return Err(refused(
                        &self.spec,
                        &self.scrubber,
                        &format!("its list has changed, and cannot be read: {why}"),
                    ));
                }
            }
        }
        Ok(Arc::clone(&catalog))
    }

    /// What it has.
    pub(super) async fn info(&self) -> Result<Arc<ToolInfo>> {
        Ok(Arc::clone(&self.catalog().await?.info))
    }

    /// Calls one of its tools. Dropping the future tells the server so.
    pub(super) async fn call(&self, callable: &str, arguments: &Json) -> Result<Json> {
        let catalog = self.catalog().await?;
        let Some(entry) = catalog.entries.get(callable) else {
            let message =
                format!("tool {}: its server no longer has {callable}", self.spec.info.name);
            return Err(Error::not_found(message));
        };
        let arguments = arguments.to()?;
        let params = CallToolRequestParams::new(entry.name.clone()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let peer = self.service.peer();
        let outcome = async {
            let sent =
                peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
            let handle = match sent {
                Ok(handle) => handle,
                Err(error) => return Err(self.failed(&error).await),
            };
            let mut in_flight = InFlight { peer: peer.clone(), id: Some(handle.id.clone()) };
            let answer = tokio::time::timeout(self.spec.timeout, handle.await_response()).await;
            let Ok(answer) = answer else { return Err(self.timed_out()) };
            in_flight.id = None;
            let result = match answer {
                Ok(result) => result,
                Err(error) => return Err(self.failed(&error).await),
            };
            self.answered.store(true, Ordering::Relaxed);
            match result {
                ServerResult::CallToolResult(result) => {
                    answer::read(&self.spec, entry, result, &self.scrubber)
                }
                ServerResult::EmptyResult(_) => Ok(Json::null()),
                _ => Err(self.tool_failed("its answer is not one to a call", false)),
            }
        };
        self.scrubber.outcome(outcome.await)
    }

    fn tool_failed(&self, problem: &str, retryable: bool) -> Error {
        let message = format!("tool {}: {problem}", self.spec.info.name);
        let details = json!({ "status": null, "retryable": retryable });
        Error::new(Code::ToolFailed, message).with_details(details.into())
    }

    async fn failed(&self, error: &ServiceError) -> Error {
        match error {
            ServiceError::McpError(error) => {
                let message = format!("tool {}: {}", self.spec.info.name, error.message);
                let details =
                    json!({ "status": error.code.0, "data": error.data, "retryable": false });
                // The protocol's own code for arguments that do not fit.
                let code =
                    if error.code.0 == -32602 { Code::InvalidArgument } else { Code::ToolFailed };
                Error::new(code, message).with_details(details.into())
            }
            ServiceError::TransportClosed | ServiceError::TransportSend(_) => {
                self.closed.store(true, Ordering::Relaxed);
                if let Some(process) = &self.process {
                    process.settle().await;
                }
                let why = self.last_words();
                self.tool_failed(
                    &format!("its MCP server ended{why}; the next call starts it again"),
                    true,
                )
            }
            other => self.tool_failed(&other.to_string(), false),
        }
    }

    fn timed_out(&self) -> Error {
        let limit = humantime::format_duration(self.spec.timeout);
        let message = format!(
            "tool {}: stopped after {limit}, the `timeout` in {}",
            self.spec.info.name, self.spec.file
        );
        let details = json!({ "status": null, "retryable": true });
        Error::new(Code::TimedOut, message).with_details(details.into())
    }
}

/// A call that the server works on; if this is dropped before the answer is
/// there, the server is told that nobody waits for it any more.
struct InFlight {
    peer: Peer<RoleClient>,
    id: Option<RequestId>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let peer = self.peer.clone();
        runtime.spawn(async move {
            let param =
                CancelledNotificationParam::new(Some(id), Some("nobody waits for it".to_owned()));
            let cancelled =
                ClientNotification::CancelledNotification(CancelledNotification::new(param));
            // To one that does not even read it is no loss.
            _ = tokio::time::timeout(Duration::from_secs(5), peer.send_notification(cancelled))
                .await;
        });
    }
}

/// An error and its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

fn refused(spec: &McpSpec, scrubber: &Scrubber, problem: &str) -> Error {
    let text = scrubber.text(problem);
    let text: String = text.chars().filter(|c| !c.is_control()).take(600).collect();
    Error::unavailable(format!("tool {}: its MCP server: {}", spec.info.name, text))
}
