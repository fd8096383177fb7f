//! The private listener while the store is still being opened, and after.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use super::health;
use super::problem::Problem;
use crate::store::StoreError;
use crate::store::slot::StoreSlot;

/// How long a client waits for the first try to open the store: as long as it would for `/readyz`.
const OPENING_DEADLINE: Duration = Duration::from_millis(800);

/// The path that tells whether the process answers, whatever the store does.
const LIVEZ: &str = "/livez";

/// Routes that come to be known when the store is open.
#[derive(Debug, Clone, Default)]
pub struct LateRoutes(Arc<OnceLock<Router>>);

impl LateRoutes {
    /// What answers from now on.
    pub fn set(&self, router: Router) {
        let _ = self.0.set(router);
    }

    /// What answers at the private listener: these routes, and until they are there only that the process lives, and
    /// why it is not ready.
    pub fn router(self, store: StoreSlot) -> Router {
        Router::new().fallback(serve).with_state(Early { late: self, store })
    }
}

/// What is known before the store is open.
#[derive(Debug, Clone)]
struct Early {
    late: LateRoutes,
    store: StoreSlot,
}

async fn serve(State(early): State<Early>, request: Request) -> Response {
    let is_alive = request.uri().path() == LIVEZ;
    if early.late.0.get().is_none() && !is_alive {
        // Usually it is open before the client has noticed.
        let _ = tokio::time::timeout(OPENING_DEADLINE, early.store.opened()).await;
    }
    match early.late.0.get() {
        Some(router) => router.clone().oneshot(request).await.into_response(),
        None if is_alive => health::livez().await,
        None => early.unavailable().into_response(),
    }
}

impl Early {
    fn unavailable(&self) -> Problem {
        match self.store.get() {
            Err(StoreError::Unavailable(why)) => Problem::unavailable(format!(
                "not ready: the store cannot be opened yet ({why}); the daemon goes on trying"
            )),
            _ => Problem::unavailable("not ready: the daemon is starting"),
        }
    }
}
