//! HTTP tools: a call is one request, within the policy of the tool's file.

pub mod address;
mod client;
pub mod egress;
mod request;
mod response;

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Request, Response, StatusCode, header};

use super::secrets::{Revealed, Scrubber};
use super::spec::http::{Endpoint, HttpSpec};
use super::{CallContext, Tool, ToolInfo, ToolOptions};
use crate::error::{Code, Error, Result};
use crate::json::Json;
use egress::Who;

pub use client::{CheckedClient, Resolver, SystemResolver};

/// How long the first repetition waits; each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest wait that a service is granted by its `Retry-After`.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A tool that is a web service.
#[derive(Debug)]
pub struct HttpTool {
    spec: HttpSpec,
    options: ToolOptions,
    client: CheckedClient,
}

impl HttpTool {
    /// A tool as its file describes it.
    ///
    /// # Errors
    /// As [`CheckedClient::new`].
    pub fn new(spec: HttpSpec, options: &ToolOptions) -> Result<Self> {
        let resolver = options.resolver.clone();
        let client = CheckedClient::new(spec.egress.clone(), resolver, spec.redirects)?;
        Ok(Self { spec, options: options.clone(), client })
    }

    fn who(&self) -> Who<'_> {
        Who { tool: self.spec.info.name.as_str(), file: &self.spec.file }
    }

    /// Makes a request, and repeats it where that is as good as once.
    async fn answered(
        &self,
        endpoint: &Endpoint,
        request: Request,
        scrubber: &Scrubber,
    ) -> Result<Json> {
        let (mut request, mut wait) = (request, FIRST_WAIT);
        for left in (0..=self.spec.retries).rev() {
            let again = request.try_clone().filter(|_| endpoint.idempotent && left > 0);
            let outcome = self.client.send(request, &self.who()).await;
            let (Some(next), Some(asked)) = (again, retry_after(&outcome)) else {
                return response::read(&self.spec, endpoint, outcome?, scrubber).await;
            };
            // The call's time limit bounds the sum.
            tokio::time::sleep(asked.unwrap_or(wait).min(MAX_WAIT)).await;
            wait *= 2;
            request = next;
        }
        Err(Error::internal("a request was repeated too often"))
    }
}

/// Whether an outcome may be another one next time, and when, if the service says.
fn retry_after(outcome: &Result<Response>) -> Option<Option<Duration>> {
    match outcome {
        Ok(response) if is_retryable(response.status()) => {
            let said = response.headers().get(header::RETRY_AFTER);
            let seconds = said.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Some(seconds.map(Duration::from_secs))
        }
        Ok(_) => None,
        Err(error) => (error.code() == Code::ToolFailed && says_retry(error)).then_some(None),
    }
}

fn says_retry(error: &Error) -> bool {
    let details = error.details().and_then(|details| details.to::<serde_json::Value>().ok());
    details.is_some_and(|details| details.get("retryable") == Some(&serde_json::Value::Bool(true)))
}

/// Whether a status is one that passes.
fn is_retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

#[async_trait]
impl Tool for HttpTool {
    fn info(&self) -> &ToolInfo {
        &self.spec.info
    }

    async fn call(&self, callable: &str, arguments: &Json, context: &CallContext) -> Result<Json> {
        let endpoint = self.spec.endpoints.get(callable).ok_or_else(|| {
            Error::internal(format!(
                "tool {}: its registry has another endpoint",
                self.spec.info.name
            ))
        })?;
        let _place = self.options.requests.enter(&context.tenant).await?;
        let secrets = self.options.secrets.as_ref();
        let mut revealed = Revealed::new(self.spec.info.name.as_str(), secrets, &context.tenant);
        let outcome = match request::build(&self.spec, endpoint, arguments, &mut revealed).await {
            Err(error) => Err(error),
            Ok(request) => {
                let work = self.answered(endpoint, request, &revealed.scrubber);
                tokio::time::timeout(self.spec.timeout, work).await.unwrap_or_else(|_| {
                    let limit = humantime::format_duration(self.spec.timeout);
                    let details = serde_json::json!({ "status": null, "retryable": true });
                    let message = format!(
                        "tool {}: stopped after {limit}, the `timeout` in {}",
                        self.spec.info.name, self.spec.file
                    );
                    Err(Error::new(Code::TimedOut, message).with_details(details.into()))
                })
            }
        };
        revealed.scrubber.outcome(outcome)
    }
}
