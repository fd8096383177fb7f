//! The private listener while the store is still being opened, and after.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;

use super::health;
use super::problem::Problem;
use crate::store::StoreError;
use crate::store::slot::StoreSlot;

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
        let early =
            Router::new().route("/livez", get(health::livez)).fallback(async move || match store.get() {
                Err(StoreError::Unavailable(why)) => Problem::unavailable(format!(
                    "not ready: the store cannot be opened yet ({why}); the daemon goes on trying"
                )),
                _ => Problem::unavailable("not ready: the daemon is starting"),
            });
        Router::new().fallback(serve).with_state((self, early))
    }
}

async fn serve(State((late, early)): State<(LateRoutes, Router)>, request: Request) -> Response {
    let router = late.0.get().cloned().unwrap_or(early);
    router.oneshot(request).await.into_response()
}
