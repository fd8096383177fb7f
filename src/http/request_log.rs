//! One line in the log for each request of the private listener. It holds the route and not the path, which may
//! hold a phone number, and the reader's name and not the token.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Extensions;
use axum::middleware::Next;
use axum::response::Response;

use crate::domain::reader::{Reader, Scope};

/// Goes with a request that was let in, and with its response: who is answered.
#[derive(Debug, Clone)]
pub(super) struct ReadBy(pub(super) Arc<Reader>);

/// Whether bodies may be told to the one who sent a request with these extensions: a reader with that scope, or
/// anybody where no tokens are configured.
pub(super) fn may_see_bodies(extensions: &Extensions) -> bool {
    extensions.get::<ReadBy>().is_none_or(|ReadBy(reader)| reader.may(Scope::Raw))
}

/// Logs a request when it is answered.
pub(super) async fn log(route: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let (began, method) = (Instant::now(), request.method().clone());
    let response = next.run(request).await;
    let reader = response.extensions().get::<ReadBy>().map(|ReadBy(reader)| reader.name.as_str());
    tracing::info!(
        %method,
        route = route.as_ref().map(MatchedPath::as_str),
        status = response.status().as_u16(),
        elapsed_ms = began.elapsed().as_secs_f64() * 1000.0,
        reader,
        "a reader was answered"
    );
    response
}
