//! The only place that turns an error into a status: `application/problem+json` (RFC 9457).

use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::csrf::ProtectionError;
use utoipa::ToSchema;

use super::auth::Refusal;
use crate::flow::receive::ReceiveError;
use crate::store::StoreError;

/// What went wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemAnswer {
    /// `about:blank`: the status says it.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What to do about it.
    detail: String,
}

/// What went wrong, for the one who asked: a status, and what to do about it. It holds nothing of the request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), header: None }
    }

    /// 400: the request cannot be understood.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 403: the request was for another machine, and without tokens only this one is served.
    pub(super) fn not_this_host() -> Self {
        let detail = "without query.tokens only requests to localhost are answered: make a token with \
                      `conversationd token new NAME`";
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: there is no such thing.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 405: `allowed` is the value of `Allow`.
    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this address takes {allowed}"));
        Self { header: Some((ALLOW, HeaderValue::from_static(allowed))), ..problem }
    }

    /// 408: the request did not come in whole.
    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time")
    }

    /// 413: the body is larger than `limit_bytes`.
    pub(super) fn too_large(limit_bytes: usize) -> Self {
        let detail = format!("the body is larger than {limit_bytes} bytes (webhooks.max_body_bytes)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 414: the path with its query is longer than `limit_bytes`.
    pub(super) fn url_too_long(limit_bytes: usize) -> Self {
        let detail = format!("the path with its query is longer than {limit_bytes} bytes");
        Self::new(StatusCode::URI_TOO_LONG, detail)
    }

    /// 415: the body is not JSON by its own word.
    pub(super) fn not_json() -> Self {
        let detail =
            "a webhook's body is application/json: set the application's HTTP method to POST (JSON) or GET";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 415: the body is compressed in a way that is not understood.
    pub(super) fn not_decodable() -> Self {
        let detail = "a webhook's body may be compressed with gzip or deflate, and with nothing else";
        let problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
        Self { header: Some((ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"))), ..problem }
    }

    /// 503: the answer takes longer than a reader may take up.
    pub(super) fn takes_too_long() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the answer takes too long: ask for less, with a smaller limit, a shorter time (since, until) or more \
             filters",
        )
    }

    /// 503: try again soon.
    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        Self { header: Some((RETRY_AFTER, HeaderValue::from_static("1"))), ..problem }
    }

    /// What went wrong and what to do about it, for a page.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same status and header with a body for those who do not read problems: a page, another API's shape.
    pub(super) fn shown_as(self, mut body: Response) -> Response {
        *body.status_mut() = self.status;
        body.headers_mut().extend(self.header);
        body
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let challenge = |text| Some((WWW_AUTHENTICATE, HeaderValue::from_static(text)));
        let (status, header) = match refusal {
            Refusal::Unknown => (StatusCode::UNAUTHORIZED, challenge(r#"Bearer realm="conversationd""#)),
            Refusal::WrongToken => (
                StatusCode::UNAUTHORIZED,
                challenge(r#"Bearer realm="conversationd", error="invalid_token""#),
            ),
            Refusal::Lacking(_) => (StatusCode::FORBIDDEN, None),
            Refusal::SlowedDown(wait) => {
                let seconds = wait.as_secs().saturating_add(1);
                (StatusCode::TOO_MANY_REQUESTS, Some((RETRY_AFTER, HeaderValue::from(seconds))))
            }
        };
        Self { status, detail: refusal.to_string(), header }
    }
}

impl From<ReceiveError> for Problem {
    fn from(error: ReceiveError) -> Self {
        let detail = error.to_string();
        match error {
            ReceiveError::Unsigned(_) | ReceiveError::NotStored(_) => Self::unavailable(detail),
            ReceiveError::Forged(_) => Self::new(StatusCode::UNAUTHORIZED, detail),
            ReceiveError::UnknownApplication => Self::not_found(detail),
            ReceiveError::Unreadable(_) => Self::bad_request(detail),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::TooLong) {
            return Self::takes_too_long();
        }
        tracing::error!(%error, "a reader could not be answered");
        match error {
            StoreError::Corrupt { .. } | StoreError::Damaged(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the store holds something unreadable; see the log",
            ),
            _ => Self::unavailable("the store cannot be read now; try again"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let answer =
            ProblemAnswer { r#type: "about:blank", title, status: self.status.as_u16(), detail: self.detail };
        let body = serde_json::to_string(&answer).expect("texts and numbers are always JSON");
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (self.status, [content_type], body).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Answers a path that is nowhere.
pub(super) async fn no_such_path() -> Problem {
    Problem::not_found("nothing is at this path")
}

/// Answers a method that a readable path does not have.
pub(super) async fn only_get() -> Problem {
    Problem::method_not_allowed("GET, HEAD")
}

/// Answers a request that may come from another site's page.
pub(super) fn from_another_site(_: ProtectionError) -> Response {
    Problem::new(StatusCode::FORBIDDEN, "another site's page asked for this, and only this daemon's own may")
        .into_response()
}

/// Answers a request whose handler panicked; the panic itself is in the log.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be answered; see the log")
        .into_response()
}
