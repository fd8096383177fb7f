//! Everything that knows Vonage's shapes or address.

pub mod client;
pub mod document;
pub mod family;
pub mod json;
pub mod pace;
pub mod region;
pub mod secrets;
pub mod signature;
pub mod token;
pub mod webhook;
