//! An application behind the daemon: it notes what it is asked, and replies as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub address: String,
    /// The headers, in the order of their names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What it replies.
#[derive(Debug, Clone)]
pub struct Says {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// How long it takes.
    pub after: Duration,
}

impl Says {
    /// A reply in JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.into(), after: Duration::ZERO }
    }

    /// The same, later.
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// What it replies from now on, and what it was asked.
type Shared = Arc<Mutex<(Says, Vec<Asked>)>>;

/// The application. It stops when it is dropped.
pub struct Application {
    /// Its address, with a slash at the end.
    pub url: String,
    shared: Shared,
    _server: JoinSet<()>,
}

impl Application {
    /// Starts it on a free port of 127.0.0.1.
    pub async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port can be had");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let shared: Shared = Arc::new(Mutex::new((says, Vec::new())));
        let router = Router::new().fallback(reply).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, shared, _server: server }
    }

    /// Replies this from now on.
    pub fn say(&self, says: Says) {
        self.shared.lock().expect("nobody panicked").0 = says;
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().expect("nobody panicked").1.clone()
    }
}

async fn reply(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let mut headers: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    headers.sort();
    let asked = Asked {
        method: head.method.to_string(),
        address: head.uri.to_string(),
        headers,
        body: to_bytes(body, usize::MAX).await.expect("the body is whole"),
    };
    let says = {
        let mut shared = shared.lock().expect("nobody panicked");
        shared.1.push(asked);
        shared.0.clone()
    };
    tokio::time::sleep(says.after).await;
    let reply = says
        .headers
        .iter()
        .fold(Response::builder().status(says.status), |reply, (name, value)| reply.header(*name, value));
    reply.body(says.body.into()).expect("it is a reply")
}
