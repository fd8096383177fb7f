//! The private listener: what is known is asked for here.

pub(super) mod blind;
pub(super) mod conversations;
mod csv;
mod docs;
mod face;
mod gaps;
pub(super) mod list;
mod members;
mod metrics;
pub mod openapi;
pub(super) mod parameters;
mod snapshots;
mod stats;
pub mod stream;
mod tagged;
mod timeline;
mod webhooks;
mod whole;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, FromRequestParts, Path, Request};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use phonenumber::country::Id as Country;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tower::ServiceExt;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::answer_bounds::AnswerBounds;
use super::auth::Access;
use super::health::Readiness;
use super::json;
use super::problem::{self, Problem};
use super::route::Route;
use super::{answer_time, health, page as pages, request_log};
use crate::domain::clock::Clock;
use crate::domain::conversation::Interpretation;
use crate::domain::ids::ConversationId;
use crate::domain::stats::Backlog;
use crate::domain::visible::visible;
use crate::store::Store;
use stream::Streams;

/// Paths that must be answered however busy the others are, and the stream, which has bounds of its own.
const OUTSIDE_BOUNDS: [&str; 4] = ["/livez", "/readyz", "/metrics", "/v1/stream"];

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

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
    /// Writes the metrics, with those of the backlog, in Prometheus' text format.
    pub metrics: fn(&Backlog) -> String,
    /// Decides who is let in.
    pub access: Arc<Access>,
    /// Whether the store could be written to a moment ago.
    pub readiness: Readiness,
}

/// Every route of the private listener, and who may use it.
#[must_use]
pub fn routes() -> Vec<Route<Query>> {
    let own = vec![
        Route::page("/", readable(get(pages::search))),
        Route::page("/conversations/{id}", readable(get(pages::conversation))),
        Route::read("/v1/conversations", readable(get(conversations::list))),
        Route::read("/v1/conversations/{id}", readable(get(conversations::one))),
        Route::read("/v1/conversations/{id}/members", readable(get(members::list))),
        Route::read("/v1/conversations/{id}/timeline", readable(get(timeline::list))),
        Route::read("/v1/conversations/{id}/snapshots", readable(get(snapshots::list))),
        Route::raw("/v1/conversations/{id}/snapshots/{number}", readable(get(snapshots::one))),
        Route::raw("/v1/conversations/{id}/snapshots/{number}/diff", readable(get(snapshots::diff))),
        Route::raw("/v1/conversations/{id}/webhooks", readable(get(webhooks::of_conversation))),
        Route::raw("/v1/webhooks", readable(get(webhooks::list))),
        Route::read("/v1/gaps", readable(get(gaps::list))),
        Route::read("/v1/stats", readable(get(stats::count))),
        Route::read("/v1/stream", readable(get(stream::follow))),
        Route::read(docs::DESCRIPTION, readable(get(docs::description))),
        Route::page("/docs", readable(get(docs::page))),
        Route::page("/docs/{*file}", readable(get(docs::file))),
        Route::read("/metrics", readable(get(metrics::tell))),
        Route::open("/livez", readable(get(health::livez))),
        Route::open("/readyz", readable(get(health::readyz))),
        Route::open("/sign-in", pages::sign_in()),
        Route::open("/sign-out", pages::sign_out()),
        Route::open("/assets/page.css", readable(get(pages::style))),
    ];
    own.into_iter().chain(face::routes()).collect()
}

impl FromRef<Query> for Arc<dyn Store> {
    fn from_ref(query: &Query) -> Self {
        Arc::clone(&query.store)
    }
}

impl FromRef<Query> for Readiness {
    fn from_ref(query: &Query) -> Self {
        query.readiness.clone()
    }
}

impl FromRef<Query> for Arc<Access> {
    fn from_ref(query: &Query) -> Self {
        Arc::clone(&query.access)
    }
}

impl Query {
    /// What answers at the private listener.
    pub fn router(self) -> Router {
        let bounds = AnswerBounds::new();
        let add = |router: Router<Self>, route: Route<Self>| {
            let is_bounded = !OUTSIDE_BOUNDS.contains(&route.path);
            let route = if is_bounded { route.bounded(&bounds) } else { route };
            router.route(route.path, route.guarded(&self.access))
        };
        let routes = routes().into_iter().fold(Router::new(), add);
        routes
            .fallback(problem::no_such_path)
            // Numbers and names are for whoever asked, and for no cache in between; and they are what they say they are.
            .layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, NO_STORE))
            .layer(SetResponseHeaderLayer::if_not_present(X_CONTENT_TYPE_OPTIONS, NOSNIFF))
            // A better one would take megabytes for each answer that is being read.
            .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
            .layer(from_fn(answer_time::bound))
            .layer(CsrfLayer::new().with_rejection_response(problem::from_another_site))
            .layer(CatchPanicLayer::custom(problem::panicked))
            .layer(from_fn(request_log::log))
            .with_state(self)
    }

    /// The answer to a `GET` that comes from within the program.
    pub async fn ask(self, path_and_query: &str) -> Response {
        let request = Request::get(path_and_query).body(Body::empty());
        match request {
            Ok(request) => self.router().oneshot(request).await.unwrap_or_else(|never| match never {}),
            Err(_) => {
                Problem::bad_request("this cannot be asked for: it is too long, or no text").into_response()
            }
        }
    }

    /// The conversation that a path names: by its own id, or by a leg's or member's.
    async fn named(&self, id: &str) -> Result<ConversationId, Problem> {
        let found = self.store.resolve(&visible(id)).await?;
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
pub(super) struct PathOf<T>(pub(super) T);

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

/// A stored body inside an answer, to the byte. What is no JSON (nothing of the kind is stored knowingly)
/// becomes a JSON text.
fn raw(body: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(body).into_owned();
    RawValue::from_string(text.clone())
        .or_else(|_| serde_json::value::to_raw_value(&text))
        .expect("a text is always JSON")
}
