//! The simulator as its users meet it: over HTTP.

mod api;
mod faults;
mod playing;
mod support;
mod tokens;
