//! A listener: connections are taken within bounds, and at the stop what has begun is finished.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Request, Uri};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;

/// The longest path with its query. No question that makes sense is longer.
const MAX_URL_BYTES: usize = 8 * 1024;

/// The largest head of a request: a browser's cookies and a URL have room. What is larger gets 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How long requests may take to finish after the soft stop: longer than a body may take to come in. A client
/// that never sends the rest of its request must not hold up the stop.
const CLOSING: Duration = Duration::from_secs(7);

/// How long nothing is taken after the system refused a connection, which it does when it has no descriptors
/// left.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// What one listener bears.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long the head of a request may take. It is waited for from the end of the request before, so that an
    /// idle connection ends with it.
    pub head_timeout: Duration,
    /// Connections at one time; more wait.
    pub connections: usize,
    /// Whether a request goes on when its client has closed its side: what a webhook brings is kept, and a query is
    /// not worth answering.
    pub half_closed: bool,
}

impl Bounds {
    /// A head comes in one packet or two, and proxies are used to servers that close an idle connection after a
    /// few seconds.
    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

    /// Of the public listener: a webhook that waits is a webhook that may be lost.
    pub const PUBLIC: Self =
        Self { head_timeout: Self::HEAD_TIMEOUT, connections: Semaphore::MAX_PERMITS, half_closed: true };

    /// Of the private listener: readers must leave descriptors for webhooks; most systems give 1024.
    pub const PRIVATE: Self = Self { head_timeout: Self::HEAD_TIMEOUT, connections: 256, half_closed: false };
}

/// A bound socket, and what answers there.
#[derive(Debug)]
pub struct Server {
    /// What the log calls it.
    pub name: &'static str,
    /// The socket.
    pub listener: TcpListener,
    /// What answers.
    pub router: Router,
    /// What it bears.
    pub bounds: Bounds,
}

impl Server {
    /// Serves until the stop, and then until every request is finished or has had its time.
    pub async fn run(self, stop: CancellationToken) {
        let name = self.name;
        let mut connections = self.take_connections(&stop).await;
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSING, finished).await.is_err() {
            tracing::info!(listener = name, "connections without a whole request were closed");
        }
    }

    /// Takes connections until the stop; the socket is closed then. Returns those that are still open.
    async fn take_connections(self, stop: &CancellationToken) -> JoinSet<()> {
        let slots = Arc::new(Semaphore::new(self.bounds.connections));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return connections,
                Some(_) = connections.join_next() => {}
                (slot, stream, peer) = self.accept(&slots) => {
                    let connection = Connection { stream, peer, router: self.router.clone() };
                    // Its own: each poll locks the token, and the connections would wait for each other.
                    let served = connection.serve(self.bounds, stop.child_token());
                    connections.spawn(async move { served.await; drop(slot) });
                }
            }
        }
    }

    async fn accept(&self, slots: &Arc<Semaphore>) -> (OwnedSemaphorePermit, TcpStream, SocketAddr) {
        let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (slot, stream, peer),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::error!(%error, listener = self.name, "a connection could not be taken");
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
        }
    }
}

/// Whether only that one connection failed.
fn is_the_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
}

impl Connection {
    /// Answers requests until the client has no more, or one after the stop.
    async fn serve(self, bounds: Bounds, stop: CancellationToken) {
        let (peer, router) = (self.peer, TowerToHyperService::new(self.router));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let router = router.clone();
            async move {
                if length(request.uri()) > MAX_URL_BYTES {
                    return Ok(Problem::url_too_long(MAX_URL_BYTES).into_response());
                }
                router.call(request).await
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .half_close(bounds.half_closed)
            .header_read_timeout(bounds.head_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(self.stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke off");
        }
    }
}

fn length(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |path| path.as_str().len())
}
