//! What a client may take of the server.

use std::time::Duration;

use crate::artifacts::{MAX_ARTIFACT, MAX_WHOLE, PIECE};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The limits of the server. All are on by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a request's JSON. The default, 2 MiB, is twice the largest source.
    pub body_bytes: usize,
    /// Bytes of an artifact that is put; by default what the engine takes, 256 MiB.
    pub artifact_bytes: u64,
    /// Bytes of all requests' bodies that are in memory at once. The default is 64 MiB: who comes
    /// when it is used up waits a little, and is then told to come back.
    pub bodies_bytes: usize,
    /// Header fields of a request. The default is 64; a browser sends some twenty.
    pub headers: usize,
    /// Bytes of a request's line and headers. The default, 16 KiB, is what proxies take.
    pub header_bytes: usize,
    /// Until a request's headers are there, and how long an idle connection is kept. The default
    /// is 15 s: longer than any network takes, short enough to be rid of who sends a byte a second.
    pub header_time: Duration,
    /// Until a JSON body is there, or the next piece of an artifact. The default is 30 s.
    pub body_time: Duration,
    /// How long a client may take none of an answer that waits. The default is 30 s.
    pub write_time: Duration,
    /// Until a request is answered. The default is 15 minutes: a run's own limit is a minute, and
    /// waiting for somebody's approval is not part of it.
    pub request_time: Duration,
    /// Open connections. The default, 1,024, is what many systems allow a process as files.
    pub connections: usize,
    /// Open connections of one address; of IPv6, of one /64. The default is 256: behind a proxy
    /// all have its address.
    pub connections_per_address: usize,
    /// How long what runs may go on when the server is to end. The default is 30 s.
    pub grace: Duration,
    /// Live sessions of one tenant. The default is 16: each holds an instance, of which a process
    /// has some hundreds.
    pub sessions_per_tenant: usize,
    /// Live sessions of all tenants. The default is 64.
    pub sessions: usize,
    /// MCP clients of one tenant at once. The default is 32.
    pub mcp_clients_per_tenant: usize,
    /// MCP clients of all tenants at once. The default is 128.
    pub mcp_clients: usize,
    /// How long a session may be idle, or an MCP client silent. The default is 15 minutes.
    pub session_idle: Duration,
    /// Answers that are kept for requests with an idempotency key. The default is 10,000.
    pub kept_answers: usize,
    /// Their bytes. The default is 64 MiB; of one tenant a quarter of either.
    pub kept_bytes: usize,
    /// Bytes of one of them. The default is 1 MiB: what is larger is not kept, and the key says so.
    pub kept_answer_bytes: usize,
    /// How long they are kept. The default is a day.
    pub kept_for: Duration,
    /// How long what `/readyz` has found out is answered again. The default is 5 s.
    pub readiness_for: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes: 2 * MIB,
            artifact_bytes: MAX_ARTIFACT,
            bodies_bytes: 64 * MIB,
            headers: 64,
            header_bytes: 16 * KIB,
            header_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            request_time: Duration::from_secs(15 * 60),
            connections: 1024,
            connections_per_address: 256,
            grace: Duration::from_secs(30),
            sessions_per_tenant: 16,
            sessions: 64,
            mcp_clients_per_tenant: 32,
            mcp_clients: 128,
            session_idle: Duration::from_secs(15 * 60),
            kept_answers: 10_000,
            kept_bytes: 64 * MIB,
            kept_answer_bytes: MIB,
            kept_for: Duration::from_secs(24 * 3600),
            readiness_for: Duration::from_secs(5),
        }
    }
}

impl HttpLimits {
    /// Bytes of an artifact that is not saved in pieces.
    pub(super) fn whole_bytes(&self) -> usize {
        usize::try_from(self.artifact_bytes).unwrap_or(usize::MAX).min(MAX_WHOLE)
    }

    /// Room for the largest body, whatever else is set: without it such a body would wait for ever.
    pub(super) fn bodies_room(&self) -> usize {
        self.bodies_bytes.max(self.body_bytes).max(self.whole_bytes()).max(PIECE)
    }
}

/// The longest that a request waits for room for its body.
pub(super) const ROOM_TIME: Duration = Duration::from_secs(5);

/// When a client that was told to come back should.
pub(super) const RETRY_AFTER_SECONDS: u64 = 1;

/// The most of a list that one answer has.
pub(super) const MAX_PAGE: usize = 200;

/// How many of a list an answer has if nobody says.
pub(super) const USUAL_PAGE: usize = 50;

/// The longest idempotency key, in bytes: a UUID has 36.
pub(super) const MAX_KEY: usize = 255;
