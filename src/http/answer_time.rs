//! How long a reader may have to be waited for.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::problem::Problem;

/// How long an answer may take to begin. A stream or an export begins at once and may then go on.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Gives up an answer that does not begin in time.
pub(super) async fn bound(request: Request, next: Next) -> Result<Response, Problem> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await;
    answer.map_err(|_| Problem::takes_too_long())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_begin_is_given_up() {
        let slow = async || std::future::pending::<()>().await;
        let router = Router::new().route("/", get(slow)).layer(from_fn(bound));
        let asked = TowerToHyperService::new(router).call(Request::new(Body::empty()));
        let answer = tokio::time::timeout(2 * ANSWER_TIMEOUT, asked).await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}
