//! Connections: how many, how slow, and how they end.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Receiver;
use tokio::time::Sleep;

use super::limits::HttpLimits;
use super::state::{Phase, State, until};

/// How long nothing is accepted after that has failed: the process has no files left, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// How often sessions are looked at that nobody uses.
const TIDY: Duration = Duration::from_secs(30);

/// How long it may take until what is not to go on has stopped. A guest stops within milliseconds.
const STOP: Duration = Duration::from_secs(5);

/// The smallest buffer that hyper takes.
const MIN_BUFFER: usize = 8192;

/// What a connection too many is told, if its buffer has room for it.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
retry-after: 1\r\nconnection: close\r\ncontent-length: 153\r\n\r\n\
{\"type\":\"urn:repertoire:problem:busy\",\"title\":\"Service Unavailable\",\"status\":503,\
\"detail\":\"too many connections are open; try again later\",\"code\":\"busy\"}";

/// Serves until `ended` is over and what was under way has ended, or was ended.
pub(super) async fn serve(
    router: Router,
    listener: TcpListener,
    state: &Arc<State>,
    ended: impl Future<Output = ()> + Send,
) {
    let mut ended = pin!(ended);
    let seats = Seats::new(&state.limits);
    let mut tidy = tokio::time::interval(TIDY);
    loop {
        let accepted = tokio::select! {
            () = &mut ended => break,
            _ = tidy.tick() => {
                state.sessions.end_idle();
                state.mcp.tidy();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => match seats.take(from) {
                Some(seat) => {
                    let router = router.clone();
                    let (phase, limits) = (state.phase.subscribe(), state.limits.clone());
                    tokio::spawn(async move {
                        connection(router, stream, phase, &limits).await;
                        drop(seat);
                    });
                }
                // It is not waited for: whoever has too many open reads slowly, too.
                None => drop(stream.try_write(BUSY)),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    state.phase.send_replace(Phase::Ending);
    if tokio::time::timeout(state.limits.grace, state.phase.closed()).await.is_err() {
        tracing::warn!("what still runs is cancelled");
        state.phase.send_replace(Phase::Ended);
        let _ = tokio::time::timeout(STOP, state.phase.closed()).await;
    }
}

/// Serves one connection. Dropping it drops the request that it works on, and the run.
async fn connection(
    router: Router,
    stream: TcpStream,
    phase: Receiver<Phase>,
    limits: &HttpLimits,
) {
    // Answers are small, and whole.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Impatient::new(stream, limits.write_time));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size((4 * limits.header_bytes).max(MIN_BUFFER));
    let mut connection = pin!(builder.serve_connection(io, TowerToHyperService::new(router)));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = until(phase.clone(), Phase::Ending) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection.as_mut() => served,
                () = until(phase, Phase::Ended) => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection failed");
    }
}

/// Counts connections, all and by address.
struct Seats {
    most: usize,
    most_of_one: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection among those that may be open.
struct Seat {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Seats {
    fn new(limits: &HttpLimits) -> Self {
        Self {
            most: limits.connections,
            most_of_one: limits.connections_per_address,
            taken: Arc::default(),
        }
    }

    fn take(&self, from: SocketAddr) -> Option<Seat> {
        let address = counted(from.ip());
        let mut taken = lock(&self.taken);
        let own = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= self.most || own >= self.most_of_one {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        Some(Seat { address, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all = taken.all.saturating_sub(1);
        let own = taken.by_address.get(&self.address).copied().unwrap_or_default();
        if own > 1 {
            taken.by_address.insert(self.address, own - 1);
        } else {
            taken.by_address.remove(&self.address);
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address that a connection counts for: one machine may have all of an IPv6 /64.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

/// A stream that fails if it cannot write for so long: a client that reads nothing would hold
/// its connection, and what it has asked for, for ever.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    const fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream, patience, stuck: None }
    }

    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.patience;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stuck.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
