//! What exists: pure types and rules, without I/O and without anybody's foreign shapes.

pub mod arrival;
pub mod call;
pub mod change;
pub mod clock;
pub mod conversation;
pub mod digest;
pub mod disclosure;
pub mod fetch;
pub mod filter;
pub mod gap;
pub mod history;
pub mod ids;
pub mod instant;
pub mod json;
pub mod number;
pub mod placeholder;
pub mod reader;
pub mod rejection;
pub mod reply;
pub mod snapshot;
pub mod statement;
pub mod stats;
pub mod timeline;
pub mod visible;
