//! The private listener: what is known is asked for here.

mod blind;
mod conversations;
mod csv;
mod gaps;
mod list;
mod members;
mod parameters;
mod snapshots;
mod stats;
pub mod stream;
mod tagged;
mod timeline;
mod webhooks;
mod whole;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use phonenumber::country::Id as Country;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tower_http::catch_panic::CatchPanicLayer;

use super::health;
use super::problem::{self, Problem};
use crate::domain::clock::Clock;
use crate::domain::conversation::Interpretation;
use crate::domain::ids::ConversationId;
use crate::store::Store;
use stream::Streams;

/// What the private listener works with.
#[derive(Debug, Clone)]
pub struct Query {
    /// What is asked.
    pub store: Arc<dyn Store>,
    /// Tells whether a conversation is over by now.
    pub clock: Arc<dyn Clock>,
    /// Whose numbers those without a country's code are.
    pub country: Option<Country>,
    /// The streams of those who follow along.
    pub streams: Streams,
    /// Writes the metrics in Prometheus' text format.
    pub metrics: fn() -> String,
}

impl FromRef<Query> for Arc<dyn Store> {
    fn from_ref(query: &Query) -> Self {
        Arc::clone(&query.store)
    }
}

impl Query {
    /// The routes of the private listener.
    pub fn router(self) -> Router {
        let metrics = self.metrics;
        let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        Router::new()
            .route("/v1/conversations", readable(get(conversations::list)))
            .route("/v1/conversations/{id}", readable(get(conversations::one)))
            .route("/v1/conversations/{id}/members", readable(get(members::list)))
            .route("/v1/conversations/{id}/timeline", readable(get(timeline::list)))
            .route("/v1/conversations/{id}/snapshots", readable(get(snapshots::list)))
            .route("/v1/conversations/{id}/snapshots/{number}", readable(get(snapshots::one)))
            .route("/v1/conversations/{id}/snapshots/{number}/diff", readable(get(snapshots::diff)))
            .route("/v1/conversations/{id}/webhooks", readable(get(webhooks::of_conversation)))
            .route("/v1/webhooks", readable(get(webhooks::list)))
            .route("/v1/gaps", readable(get(gaps::list)))
            .route("/v1/stats", readable(get(stats::count)))
            .route("/v1/stream", readable(get(stream::follow)))
            .route("/metrics", readable(get(move || async move { (text, metrics()) })))
            .route("/livez", readable(get(health::livez)))
            .route("/readyz", readable(get(health::readyz)))
            .fallback(problem::no_such_path)
            .layer(CatchPanicLayer::custom(problem::panicked))
            .with_state(self)
    }

    /// The conversation that a path names: by its own id, or by a leg's or member's.
    async fn named(&self, id: &str) -> Result<ConversationId, Problem> {
        let found = self.store.resolve(id).await?;
        found.ok_or_else(|| {
            Problem::not_found("no conversation, leg or member has this id, or none was heard of yet")
        })
    }

    /// The conversation that a path names, as it is understood.
    async fn interpreted(&self, id: &str) -> Result<(ConversationId, Interpretation), Problem> {
        let id = self.named(id).await?;
        let interpretation = self.store.conversation(&id).await?.ok_or_else(|| {
            Problem::not_found("the conversation was just heard of and is not interpreted yet; ask again")
        })?;
        Ok((id, interpretation))
    }
}

/// What a path names. One that cannot be decoded is told as everything else is.
struct PathOf<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::<T>::from_request_parts(parts, state).await;
        let undecodable = |_| Problem::bad_request("the path is not UTF-8 after percent-decoding");
        named.map(|Path(named)| Self(named)).map_err(undecodable)
    }
}

fn readable(route: MethodRouter<Query>) -> MethodRouter<Query> {
    route.fallback(problem::only_get)
}

/// An answer in JSON.
fn json<T: Serialize>(answer: &T) -> Response {
    let body = serde_json::to_vec(answer).expect("texts, numbers and JSON are always JSON");
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// A stored body inside an answer, to the byte. What is no JSON (nothing of the kind is stored knowingly)
/// becomes a JSON text.
fn raw(body: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(body).into_owned();
    RawValue::from_string(text.clone())
        .or_else(|_| serde_json::value::to_raw_value(&text))
        .expect("a text is always JSON")
}
