//! Everything that knows status codes.

mod answer;
mod answer_time;
pub mod auth;
mod cursor;
mod health;
mod page;
mod problem;
pub mod query;
mod request_log;
pub mod route;
pub mod serve;
pub mod webhooks;

pub use answer::{Answers, Ncco, NccoError};
