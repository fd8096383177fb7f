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
use crate::flow::stall::Stalls;
use crate::store::Store;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(1);

/// How long the store may take: those who ask give up after a second or two, and take silence for a dead process.
const CHECK_DEADLINE: Duration = Duration::from_millis(800);

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

/// `GET /readyz`: 200 when the store can be written to, else 503 with the reason, within a second. It is
/// not ready either when work on the store has failed for a while.
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
    match readiness.check(&*store).await {
        Ok(()) => Ok(json(&Health { status: "ready" })),
        Err(why) => Err(Problem::unavailable(format!("not ready: {why}"))),
    }
}

/// Whether the store could be written to, as of the last second, and why not: anybody may ask, and each answer is a
/// commit.
#[derive(Debug, Clone)]
pub struct Readiness {
    last: Arc<Mutex<Option<(Instant, Checked)>>>,
    stalls: Arc<Stalls>,
}

/// What a check showed.
type Checked = Result<(), String>;

impl Readiness {
    /// Of a store on which this work may fail.
    #[must_use]
    pub fn new(stalls: Arc<Stalls>) -> Self {
        Self { last: Arc::default(), stalls }
    }

    async fn check(&self, store: &dyn Store) -> Checked {
        // Others who ask meanwhile wait for this answer, which is theirs too.
        let mut last = self.last.lock().await;
        if let Some((at, checked)) = &*last
            && at.elapsed() < FRESH
        {
            return checked.clone();
        }
        let checked = match tokio::time::timeout(CHECK_DEADLINE, store.check()).await {
            Ok(Ok(())) => self.stalls.reason().map_or(Ok(()), Err),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the store does not answer; another program may hold its lock".to_owned()),
        };
        let was_ready = last.as_ref().is_none_or(|(_, checked)| checked.is_ok());
        match &checked {
            Err(why) if was_ready => tracing::warn!(%why, "not ready"),
            Ok(()) if !was_ready => tracing::info!("ready again"),
            _ => {}
        }
        *last = Some((Instant::now(), checked.clone()));
        checked
    }
}
