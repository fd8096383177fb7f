//! A listener: connections are accepted within bounds, and at the stop what has begun is finished.

mod acceptor;
mod activity;
mod bounds;
mod open_connections;
mod tracked_bodies;
mod tracked_stream;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, Uri};
use axum::response::IntoResponse;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::acceptor::Acceptor;
use self::activity::Activity;
pub use self::bounds::Bounds;
use self::open_connections::OpenConnections;
use self::tracked_bodies::{AnswerBody, CurrentRequest, RequestBody};
use self::tracked_stream::TrackedStream;
use super::problem::Problem;

/// The longest path with its query. No question that makes sense is longer.
const MAX_URL_BYTES: usize = 8 * 1024;

/// The largest head of a request: a browser's cookies and a URL have room. What is larger gets 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// What the system may hold of an answer whose client does not read; Linux doubles it. It would hold 4 MiB by itself,
/// for each connection.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How long requests may take to finish after the soft stop: longer than a body may take to come in. A client
/// that never sends the rest of its request must not hold up the stop.
const CLOSING: Duration = Duration::from_secs(7);

/// How soon a connection that waits for a place is tried again where no other connection ends.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Goes with each request: the connections of its listener whose clients read nothing of their answers.
#[derive(Debug, Clone, Default)]
pub(super) struct StalledConnections(Arc<Notify>);

impl StalledConnections {
    /// Has them closed.
    pub(super) fn close(&self) {
        self.0.notify_one();
    }
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
        if let Err(error) = set_socket_send_buffer_size(&self.listener, SEND_BUFFER_BYTES) {
            tracing::warn!(%error, listener = name, "the size of send buffers cannot be set");
        }
        let mut connections = self.accept_connections(&stop).await;
        if tokio::time::timeout(CLOSING, connections.all_ended()).await.is_err() {
            tracing::info!(listener = name, "connections without a whole request were closed");
        }
    }

    /// Accepts connections until the stop; the socket is closed then. Returns those that are still open.
    async fn accept_connections(self, stop: &CancellationToken) -> OpenConnections {
        let start = Instant::now();
        let mut acceptor = Acceptor::new(self.name, self.listener);
        let mut connections = OpenConnections::new(self.bounds.connections);
        let stalled = StalledConnections::default();
        let mut waiting: Option<(TcpStream, SocketAddr)> = None;
        loop {
            if waiting.is_some()
                && connections.has_room()
                && let Some((stream, peer)) = waiting.take()
            {
                let activity = Arc::new(Activity::new(start));
                let stream = TrackedStream::new(stream, Arc::clone(&activity), self.bounds.write_timeout);
                let (router, stalled) = (self.router.clone(), stalled.clone());
                let connection =
                    Connection { stream, peer, router, activity: Arc::clone(&activity), stalled };
                // Its own: each poll locks the token, and the connections would wait for each other.
                let served = connection.serve(self.bounds, stop.child_token());
                connections.open(activity, served);
            }
            tokio::select! {
                () = stop.cancelled() => return connections,
                Some(()) = connections.one_ended() => {}
                () = stalled.0.notified() => connections.close_stalled(),
                accepted = acceptor.accept(), if waiting.is_none() => match accepted {
                    Some(accepted) => waiting = Some(accepted),
                    // Another one's descriptor is of more use.
                    None => connections.close_one(),
                },
                () = sleep(ROOM_CHECK_INTERVAL), if waiting.is_some() => {}
            }
        }
    }
}

struct Connection {
    stream: TrackedStream,
    peer: SocketAddr,
    router: Router,
    activity: Arc<Activity>,
    stalled: StalledConnections,
}

impl Connection {
    /// Answers requests until the client has no more, or one after the stop.
    async fn serve(self, bounds: Bounds, stop: CancellationToken) {
        let (peer, router, activity) = (self.peer, TowerToHyperService::new(self.router), self.activity);
        let stalled = self.stalled;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(stalled.clone());
            let (router, activity) = (router.clone(), Arc::clone(&activity));
            async move {
                let Some(number) = activity.begin(!request.body().is_end_stream()) else {
                    // The task is about to be ended.
                    return std::future::pending().await;
                };
                let current = CurrentRequest { activity, number };
                let answer: Response<Body> = if length(request.uri()) > MAX_URL_BYTES {
                    Problem::url_too_long(MAX_URL_BYTES).into_response()
                } else {
                    router.call(request.map(|body| RequestBody::new(body, current.clone()))).await?
                };
                Ok::<_, std::convert::Infallible>(answer.map(|body| AnswerBody::new(body, current)))
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
