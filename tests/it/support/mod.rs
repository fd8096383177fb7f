//! What tests share.

pub mod data;
