//! Everything that knows status codes.

mod answer;
mod answer_bounds;
mod answer_time;
pub mod auth;
mod cursor;
pub mod health;
mod page;
mod problem;
pub mod query;
mod request_log;
pub mod route;
pub mod serve;
pub mod starting;
mod webhook_body;
pub mod webhooks;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub use answer::{Answers, Ncco, NccoError};

/// An answer in JSON.
fn json<T: Serialize>(answer: &T) -> Response {
    let body = serde_json::to_vec(answer).expect("texts, numbers and JSON are always JSON");
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
