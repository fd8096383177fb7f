//! Is the process alive, and can it do its work.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use super::problem::{Problem, ProblemAnswer};
use crate::store::Store;

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `alive` or `ready`.
    status: &'static str,
}

/// `GET /livez`: answers whatever the store does.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    params(),
    responses((status = 200, description = "The process answers.", body = Health)),
)]
pub(super) async fn livez() -> Response {
    json(&Health { status: "alive" })
}

/// `GET /readyz`: 200 when the store can be written to, else 503 with the reason.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    params(),
    responses((status = 200, description = "The store can be written to.", body = Health), (status = 503, description = "It cannot; the detail says why.", body = ProblemAnswer, content_type = "application/problem+json")),
)]
pub(super) async fn readyz(State(store): State<Arc<dyn Store>>) -> Result<Response, Problem> {
    match store.check().await {
        Ok(()) => Ok(json(&Health { status: "ready" })),
        Err(error) => {
            tracing::warn!(%error, "not ready: the store cannot be written to");
            Err(Problem::unavailable(format!("not ready: {error}")))
        }
    }
}
