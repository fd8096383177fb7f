//! Is the process alive, and can it do its work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::json;
use super::problem::{Problem, ProblemAnswer};
use crate::store::Store;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(1);

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
pub(super) async fn readyz(
    State(readiness): State<Readiness>,
    State(store): State<Arc<dyn Store>>,
) -> Result<Response, Problem> {
    if readiness.holds(&*store).await {
        Ok(json(&Health { status: "ready" }))
    } else {
        Err(Problem::unavailable("not ready: the store cannot be written to; the log says why"))
    }
}

/// Whether the store can be written to, as of the last second: anybody may ask, and each answer is a commit.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Option<(Instant, bool)>>>);

impl Readiness {
    async fn holds(&self, store: &dyn Store) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, holds)) = *last
            && at.elapsed() < FRESH
        {
            return holds;
        }
        let checked = store.check().await;
        if let Err(error) = &checked {
            tracing::warn!(%error, "not ready: the store cannot be written to");
        }
        *last = Some((Instant::now(), checked.is_ok()));
        checked.is_ok()
    }
}
