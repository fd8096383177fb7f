//! Everything that knows status codes.

mod answer;
mod cursor;
mod health;
mod problem;
pub mod query;
pub mod serve;
pub mod webhooks;

pub use answer::{Answers, Ncco, NccoError};
