//! `/metrics`: what was counted since the start, and what waits to be done now.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use tokio::time::timeout;

use super::Query;
use super::openapi::Problems;
use crate::domain::stats::Backlog;
use crate::store::StoreError;

/// How long counting the backlog may take, and wait for its turn: somebody asks every few seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// `GET /metrics`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    params(),
    responses((status = 200, description = "Prometheus metrics.", body = String, content_type = "text/plain"), Problems),
)]
pub(super) async fn tell(State(query): State<Query>) -> impl IntoResponse {
    // What was counted is told also when the store fails: that is when it is looked at.
    let backlog = query.store.backlog(query.clock.now(), PATIENCE);
    let backlog = timeout(PATIENCE, backlog).await.unwrap_or(Err(StoreError::TooLong));
    let backlog = backlog.unwrap_or_else(|error| {
        tracing::warn!(%error, "the store could not be read for the metrics");
        Backlog::default()
    });
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (query.metrics)(&backlog))
}
