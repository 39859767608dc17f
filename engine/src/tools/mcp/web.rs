//! A server that is asked over HTTP, through the same checked client as HTTP tools.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode, Url};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

use crate::error::{Error, Result};
use crate::tools::ToolOptions;
use crate::tools::http::CheckedClient;
use crate::tools::http::egress::{Egress, Who};
use crate::tools::secrets::{Revealed, Text};
use crate::tools::spec::mcp::McpSpec;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// How many calls to one server are in flight over HTTP; more are queued.
const MAX_CONCURRENT: usize = 64;

/// The way to a server.
pub(super) async fn transport(
    spec: &McpSpec,
    options: &ToolOptions,
    url: &Url,
    headers: &[(String, Text)],
    egress: &Egress,
    revealed: &mut Revealed<'_>,
) -> Result<StreamableHttpClientTransport<Web>> {
    let mut own = HeaderMap::new();
    for (name, text) in headers {
        let problem = || {
            Error::unavailable(format!(
                "tool {}: a header of its file cannot be sent",
                spec.info.name
            ))
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| problem())?;
        let mut value =
            HeaderValue::from_str(&revealed.text(text).await?).map_err(|_| problem())?;
        value.set_sensitive(matches!(text, Text::Secret { .. }));
        own.insert(name, value);
    }
    let web = Web(Arc::new(Inner {
        client: CheckedClient::new(egress.clone(), options.resolver.clone(), 0)?,
        headers: own,
        tool: spec.info.name.to_string(),
        file: spec.file.clone(),
        most: spec.max_output.saturating_mul(3).saturating_add(64 * 1024),
    }));
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.max_concurrent_requests = MAX_CONCURRENT;
    Ok(StreamableHttpClientTransport::with_client(web, config))
}

/// What rmcp's transport asks for requests.
#[derive(Clone)]
pub(super) struct Web(Arc<Inner>);

struct Inner {
    client: CheckedClient,
    headers: HeaderMap,
    tool: String,
    file: String,
    /// The most bytes of a message.
    most: usize,
}

type Failure = StreamableHttpError<Error>;

impl Web {
    async fn send(
        &self,
        method: Method,
        uri: &str,
        session: Option<&str>,
        more: HashMap<HeaderName, HeaderValue>,
        body: Option<String>,
    ) -> Result<Response, Failure> {
        let url = Url::parse(uri)
            .map_err(|_| StreamableHttpError::UnexpectedServerResponse("not an address".into()))?;
        let mut request = Request::new(method, url);
        let headers = request.headers_mut();
        headers.extend(more.into_iter().map(|(name, value)| (Some(name), value)));
        headers.extend(self.0.headers.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(session) = session.and_then(|session| HeaderValue::from_str(session).ok()) {
            headers.insert(SESSION, session);
        }
        if let Some(body) = body {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.into());
        }
        let who = Who { tool: &self.0.tool, file: &self.0.file };
        self.0.client.send(request, &who).await.map_err(StreamableHttpError::Client)
    }

    fn events(&self, response: Response) -> BoxStream<'static, Result<Sse, SseError>> {
        let (most, mut event, mut newlines) = (self.0.most, 0_usize, 0_u8);
        // An empty line ends an event.
        let bounded = response.bytes_stream().map(move |chunk| {
            let chunk = chunk.map_err(|error| io::Error::other(error.without_url()))?;
            for byte in &chunk {
                newlines = match byte {
                    b'\n' => newlines + 1,
                    b'\r' => newlines,
                    _ => 0,
                };
                event = if newlines >= 2 { 0 } else { event + 1 };
                newlines = newlines.min(2);
                if event > most {
                    return Err(io::Error::other("a message is larger than `max_output` allows"));
                }
            }
            Ok::<Bytes, io::Error>(chunk)
        });
        SseStream::from_bytes_stream(bounded).boxed()
    }

    async fn message(&self, response: Response) -> Result<Vec<u8>, Failure> {
        let (mut stream, mut body) = (response.bytes_stream(), Vec::new());
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| io::Error::other(error.without_url()))?;
            if chunk.len() > self.0.most - body.len() {
                return Err(StreamableHttpError::ResponseBodyTooLarge { max_size: self.0.most });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn media_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn status_error(status: StatusCode) -> Failure {
    StreamableHttpError::UnexpectedServerResponse(format!("HTTP status {status}").into())
}

impl StreamableHttpClient for Web {
    type Error = Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body = serde_json::to_string(&message)?;
        let awaits = matches!(message, ClientJsonRpcMessage::Request(_));
        let response =
            self.send(Method::POST, &uri, session.as_deref(), headers, Some(body)).await?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND && session.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let new = response.headers().get(SESSION).and_then(|value| value.to_str().ok());
        let new = new.map(ToOwned::to_owned);
        match media_type(&response).as_str() {
            "text/event-stream" if status.is_success() => {
                Ok(StreamableHttpPostResponse::Sse(self.events(response), new))
            }
            "application/json" => {
                let body = self.message(response).await?;
                match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
                    Ok(message) => Ok(StreamableHttpPostResponse::Json(message, new)),
                    Err(_) if status.is_success() && !awaits => {
                        Ok(StreamableHttpPostResponse::Accepted)
                    }
                    Err(error) if status.is_success() => Err(error.into()),
                    Err(_) => Err(status_error(status)),
                }
            }
            _ if status.is_success() && !awaits => Ok(StreamableHttpPostResponse::Accepted),
            other if status.is_success() => {
                Err(StreamableHttpError::UnexpectedContentType(Some(other.to_owned())))
            }
            _ => Err(status_error(status)),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let response = self.send(Method::DELETE, &uri, Some(&session), headers, None).await?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(status_error(status)),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _auth: Option<String>,
        mut headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        if let Some(id) = last_event.and_then(|id| HeaderValue::from_str(&id).ok()) {
            headers.insert(LAST_EVENT, id);
        }
        let response = self.send(Method::GET, &uri, session.as_deref(), headers, None).await?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            status if !status.is_success() => Err(status_error(status)),
            _ if media_type(&response) == "text/event-stream" => Ok(self.events(response)),
            _ => Err(StreamableHttpError::UnexpectedContentType(Some(media_type(&response)))),
        }
    }
}
