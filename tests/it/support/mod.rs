//! What tests share.

pub mod application;
pub mod daemon;
pub mod data;
pub mod json;
pub mod keys;
pub mod process;
pub mod service;
pub mod store;
