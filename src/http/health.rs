//! Is the process alive, and can it do its work.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::problem::Problem;
use crate::store::Store;

/// `GET /livez`: answers whatever the store does.
pub(super) async fn livez() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"alive"}"#)
}

/// `GET /readyz`: 200 when the store can be written to, else 503 with the reason.
pub(super) async fn readyz(State(store): State<Arc<dyn Store>>) -> Result<impl IntoResponse, Problem> {
    match store.check().await {
        Ok(()) => Ok(([(CONTENT_TYPE, "application/json")], r#"{"status":"ready"}"#)),
        Err(error) => {
            tracing::warn!(%error, "not ready: the store cannot be written to");
            Err(Problem::unavailable(format!("not ready: {error}")))
        }
    }
}
