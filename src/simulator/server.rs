//! The API's side of the wire.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::Request;
use axum::extract::State;
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::response::IntoResponse;
use axum::response::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::api::Api;
use super::api::Members;
use super::faults::Outcome;
use super::reply::Reply;
use super::requests;
use super::token::Refusal;
use super::token::TokenCheck;
use super::world::World;
use crate::domain::clock::Clock;

/// What the API's connections and the simulator's owner share.
pub(super) struct Shared {
    pub(super) members: Members,
    pub(super) tokens: TokenCheck,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stopping: CancellationToken,
    /// Everything that changes; a change wakes those who wait for one.
    world: watch::Sender<World>,
}

// === impl Shared ===

impl Shared {
    /// A Vonage in which nothing has happened.
    pub(super) fn new(members: Members, tokens: TokenCheck, clock: Arc<dyn Clock>) -> Arc<Self> {
        let stopping = CancellationToken::new();
        Arc::new(Self { members, tokens, clock, stopping, world: watch::Sender::new(World::default()) })
    }

    /// Changes the world and wakes whoever waits for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut result = None;
        self.world.send_modify(|world| result = Some(change(world)));
        result.expect("a watch calls the change it is given exactly once")
    }

    /// Reads the world.
    pub(super) fn read<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.world.borrow())
    }

    /// Waits until the world is as `condition` wants it.
    pub(super) async fn wait_until(&self, mut condition: impl FnMut(&World) -> bool) {
        let waited = self.world.subscribe().wait_for(|world| condition(world)).await.map(drop);
        waited.expect("the sender lives in the same value");
    }

    fn answer(&self, api: &Api, method: &Method, path: &str, authorization: Option<&str>) -> Outcome {
        let token = self.tokens.check(authorization, self.clock.now());
        self.change(|world| {
            let received = Instant::now();
            let outcome = match world.faults.next(bare(path)) {
                Some(fault) => fault.into(),
                None => Outcome::Reply(reply(api, world, (method, path), &token)),
            };
            let (method, path, status) = (method.to_string(), path.to_owned(), outcome.status());
            let (region, jti) = (api.region, token.ok());
            world.requests.push(requests::Request { method, path, region, received, status, jti });
            outcome
        })
    }
}

/// What a request gets: its document for a good token.
fn reply(
    api: &Api,
    world: &World,
    (method, path): (&Method, &str),
    token: &Result<String, Refusal>,
) -> Reply {
    if let Err(refusal) = token {
        return refusal.reply();
    }
    if world.tokens_refused {
        return Refusal::Invalid.reply();
    }
    if let Some(document) = world.documents.get(path).or_else(|| world.documents.get(bare(path))) {
        return document.clone();
    }
    if method == Method::GET { api.get(world, path) } else { Reply::no_resource() }
}

/// A path without its query.
fn bare(path: &str) -> &str {
    path.split_once('?').map_or(path, |(bare, _)| bare)
}

/// The API of one host as a service.
pub(super) fn router(shared: Arc<Shared>, api: Api) -> Router {
    Router::new().fallback(handle).with_state((shared, Arc::new(api)))
}

async fn handle(State((shared, api)): State<(Arc<Shared>, Arc<Api>)>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shared.answer(&api, request.method(), path, authorization) {
        Outcome::Reply(reply) => reply.into_response(),
        Outcome::Hang => {
            shared.stopping.cancelled().await;
            closed_connection()
        }
        Outcome::Close => closed_connection(),
    }
}

/// A response that never leaves: its body fails before its head has been written out, at which the server
/// closes the connection. (The unknown length keeps the head from announcing a body of no bytes.)
fn closed_connection() -> Response {
    let of_unknown_length = Full::new(Bytes::from_static(b"..")).map_frame(|frame| frame);
    Response::new(Body::new(Limited::new(of_unknown_length, 1)))
}
