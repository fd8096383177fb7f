//! What a webhook is replied to with: which NCCO a call gets, and from whom.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::domain::arrival::Endpoint;
use crate::domain::reply::Source;
use crate::flow::forward::{Forward, Forwarded};
use crate::flow::receive::{Given, Request, Taken};

/// The call flow that answer webhooks are replied to with: a JSON array of actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ncco(Bytes);

/// Why a file is no NCCO.
#[derive(Debug, thiserror::Error)]
pub enum NccoError {
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

    /// Checks what a file holds; the bytes are kept as they are.
    ///
    /// # Errors
    /// When that is no array of actions.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, NccoError> {
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

/// Decides what goes out.
#[derive(Debug, Clone)]
pub struct Answers {
    /// What a call gets where nobody else is asked, or where whoever is asked fails.
    pub ncco: Ncco,
    /// Who is asked for a call's NCCO.
    pub of_calls: Option<Arc<Forward>>,
    /// Whom events are passed on to.
    pub to_events: Option<Arc<Forward>>,
}

impl Answers {
    /// Whether a request that came in there may be needed when it was taken in.
    pub(super) fn passes_on(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            // Which of the two it stands for is not known yet.
            Endpoint::Fallback => self.of_calls.is_some() || self.to_events.is_some(),
            endpoint => self.forward_of(endpoint).is_some(),
        }
    }

    /// Who is asked about what stands for this kind of webhook.
    fn forward_of(&self, stands_for: Endpoint) -> Option<&Arc<Forward>> {
        match stands_for {
            Endpoint::Answer => self.of_calls.as_ref(),
            Endpoint::Event => self.to_events.as_ref(),
            Endpoint::Fallback | Endpoint::Rtc => None,
        }
    }

    /// The reply to a webhook that was taken in, and what of it belongs to the call's record. Without a forward,
    /// the NCCO to an answer webhook and nothing to everything else: to an event any JSON could be taken for an
    /// NCCO and replace the call's flow. The request is there where [`passes_on`](Self::passes_on) says so.
    pub(super) async fn reply(&self, taken: &Taken, request: Option<&Request>) -> (Response, Option<Given>) {
        let forwarded = match self.forward_of(taken.stands_for) {
            Some(forward) => {
                let request = request.expect("what may be passed on is there");
                Some(forward.pass(&request.delivery, request.authorization.as_deref()).await)
            }
            None => None,
        };
        let (source, upstream) = match forwarded {
            Some(Forwarded { reply: Some(reply), told }) => {
                let ncco = (!reply.body.is_empty()).then(|| reply.body.clone());
                let given = Given { source: Source::Forward, upstream: Some(told), ncco };
                return (passed_back(reply.status, reply.content_type.as_deref(), reply.body), Some(given));
            }
            Some(Forwarded { reply: None, told }) => (Source::Substitute, Some(told)),
            None => (Source::File, None),
        };
        if taken.stands_for == Endpoint::Answer {
            let given = Given { source, upstream, ncco: Some(self.ncco.0.to_vec()) };
            return (self.ncco.clone().into_response(), Some(given));
        }
        // Nothing that was said belongs to the record only where somebody was asked.
        let given = upstream.map(|told| Given { source, upstream: Some(told), ncco: None });
        (StatusCode::NO_CONTENT.into_response(), given)
    }
}

/// The reply of the application behind: status, content type and body.
fn passed_back(status: u16, content_type: Option<&str>, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).expect("the status was read from a reply");
    let mut response = (status, body).into_response();
    response.headers_mut().remove(CONTENT_TYPE);
    if let Some(value) = content_type.and_then(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}
