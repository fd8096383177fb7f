//! Everything that knows Vonage's shapes or address.

pub mod calls;
pub mod client;
pub mod document;
pub mod event;
mod event_list;
pub mod family;
mod fields;
pub mod hold;
pub mod json;
pub mod member;
pub mod pace;
mod parameters;
pub mod region;
mod requests;
pub mod secrets;
pub mod shape;
mod sight;
pub mod signature;
mod signed_query;
pub mod timestamp;
pub mod token;
pub mod webhook;
