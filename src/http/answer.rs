//! Which NCCO a call gets.

use std::path::Path;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// The call flow that answer webhooks are replied to with: a JSON array of actions.
#[derive(Debug, Clone)]
pub struct Ncco(Bytes);

/// Why a file is no NCCO.
#[derive(Debug, thiserror::Error)]
pub enum NccoError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is JSON, but not what a call flow is.
    #[error("is not an NCCO: an NCCO is a JSON array of objects, each with an \"action\"")]
    NotActions,
}

impl Ncco {
    /// The empty call flow. A call that is answered with it ends.
    #[must_use]
    pub fn empty() -> Self {
        Self(Bytes::from_static(b"[]"))
    }

    /// Reads and checks a file; its bytes are kept as they are.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no array of actions.
    pub fn read(path: &Path) -> Result<Self, NccoError> {
        let bytes = std::fs::read(path)?;
        let actions: Value = serde_json::from_slice(&bytes)?;
        let is_action = |action: &Value| action.get("action").is_some_and(Value::is_string);
        match actions.as_array() {
            Some(actions) if actions.iter().all(is_action) => Ok(Self(Bytes::from(bytes))),
            _ => Err(NccoError::NotActions),
        }
    }
}

impl IntoResponse for Ncco {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
