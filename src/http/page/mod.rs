//! What a browser sees.

mod conversation;
mod search;
mod sign_in;
mod story;
mod written;

use askama::Template;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};

pub(super) use self::conversation::conversation;
pub(super) use self::search::search;
pub(super) use self::sign_in::{lead_to_sign_in, sign_in, sign_out};

/// Nothing comes from elsewhere, nothing runs that is not a file of this daemon, and nobody may frame a page.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// `GET /assets/page.css`.
pub(super) async fn style() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/css; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")],
        include_str!("page.css"),
    )
}

/// A page. Nobody keeps a copy: it may hold what only its reader may see.
fn html(page: &impl Template) -> Response {
    let text = page.render().expect("a page is written to memory");
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}
