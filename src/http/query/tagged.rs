//! Answers that a reader may have already.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::digest::Digest;

/// An answer in JSON with its `ETag`; 304 without a body to whoever has exactly this. The tag is weak: the bytes on
/// the way may be compressed.
pub(super) fn json<T: Serialize>(answer: &T, headers: &HeaderMap) -> Response {
    let body = serde_json::to_vec(answer).expect("texts, numbers and JSON are always JSON");
    let tag = format!("W/\"{}\"", Digest::of(&body));
    let kept = [(ETAG, tag.clone()), (CACHE_CONTROL, "private, no-cache".to_owned())];
    if has(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Whether one of the tags that the reader has is this one (RFC 9110 §13.1.2: compared as weak ones).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|had| had.trim() == "*" || opaque(had) == opaque(tag))
}
