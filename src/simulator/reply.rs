//! What goes back over the wire for one request, and Vonage's bodies for refusals.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

const JSON: &str = "application/json";
const HTML: &str = "text/html";
const CONVERSATION_ERRORS: &str = "https://developer.nexmo.com/api/conversation";

/// An answer that is sent whole.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    content_type: &'static str,
    retry_after: Option<Duration>,
    body: String,
}

/// An error body of the Conversation API.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    detail: &'a str,
    instance: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invalid_parameters: Vec<InvalidParameter<'a>>,
}

#[derive(Serialize)]
struct InvalidParameter<'a> {
    name: &'a str,
    reason: String,
}

// === impl Reply ===

impl Reply {
    /// A document that was found.
    pub(super) fn found(document: &impl Serialize) -> Self {
        Self::json(200, document)
    }

    /// Exactly this body.
    pub(super) fn fixed(status: u16, body: String) -> Self {
        let content_type = if body.starts_with('<') { HTML } else { JSON };
        Self { status, content_type, retry_after: None, body }
    }

    /// No such conversation, or not one of this application.
    pub(super) fn no_conversation() -> Self {
        let detail = "Conversation does not exist, or you do not have access.";
        Self::problem(404, "Not found.", "conversation:error:not-found", detail)
    }

    /// No such member in this conversation.
    pub(super) fn no_member() -> Self {
        let detail = "Member does not exist, or you do not have access.";
        Self::problem(404, "Not found.", "conversation:error:member-not-found", detail)
    }

    /// The gateway knows no such path.
    pub(super) fn no_resource() -> Self {
        let body = r#"{"type":"https://developer.nexmo.com/api-errors#not-found","error_title":"Not Found"}"#;
        Self::fixed(404, body.to_owned())
    }

    /// There was no token.
    pub(super) fn missing_token() -> Self {
        let detail = "You did not provide a token. Please provide a valid token.";
        Self::problem(401, "Unauthorized.", "system:error:missing-token", detail)
    }

    /// The token is not one for this application.
    pub(super) fn invalid_token() -> Self {
        let detail = "You did not provide a valid token. Please provide a valid token.";
        Self::problem(401, "Unauthorized.", "system:error:invalid-token", detail)
    }

    /// The token was good once.
    pub(super) fn expired_token() -> Self {
        let detail = "You provided an expired token. Please provide a valid token.";
        Self::problem(401, "Unauthorized.", "system:error:expired-token", detail)
    }

    /// A query parameter has a value that is not allowed.
    pub(super) fn invalid_parameter(name: &str, reason: &str) -> Self {
        let mut problem =
            Problem::conversation("Bad request.", "http:error:validation-fail", "Input validation failure.");
        let reason = format!("\"{name}\" {reason}");
        problem.invalid_parameters.push(InvalidParameter { name, reason });
        Self::json(400, &problem)
    }

    /// A cursor that was not handed out for this list.
    pub(super) fn invalid_cursor() -> Self {
        let code = "paginator-builder:error:invalid-cursor";
        Self::problem(400, "Bad request.", code, "The cursor is invalid.")
    }

    /// Too many requests: Vonage's own words when it says how long to wait, an empty body when it does not.
    pub(super) fn throttled(retry_after: Option<Duration>) -> Self {
        let Some(wait) = retry_after else {
            return Self::fixed(429, String::new());
        };
        let problem = Problem {
            kind: "https://developer.nexmo.com/api-errors#throttled".to_owned(),
            code: None,
            ..Problem::conversation("Rate Limit Hit", "", "Please wait, then retry your request")
        };
        Self { retry_after: Some(wait), ..Self::json(429, &problem) }
    }

    /// A failure with this status: a gateway's page for 502 to 504, otherwise the API's own error.
    pub(super) fn failure(status: u16) -> Self {
        let reason =
            StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason()).unwrap_or("Error");
        match status {
            502..=504 => Self::fixed(
                status,
                format!(
                    "<html>\n<head><title>{status} {reason}</title></head>\n<body>\n\
                     <center><h1>{status} {reason}</h1></center>\n</body>\n</html>\n"
                ),
            ),
            500 => {
                Self::problem(500, "Internal Error.", "system:error:internal-error", "Something went wrong.")
            }
            _ => Self::problem(status, reason, "system:error:simulated", "Something went wrong."),
        }
    }

    fn problem(status: u16, title: &str, code: &str, detail: &str) -> Self {
        Self::json(status, &Problem::conversation(title, code, detail))
    }

    fn json(status: u16, document: &impl Serialize) -> Self {
        let body = serde_json::to_string(document).expect("the simulator's documents have text keys only");
        Self { status, content_type: JSON, retry_after: None, body }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status).header(CONTENT_TYPE, self.content_type);
        if let Some(wait) = self.retry_after {
            response = response.header(RETRY_AFTER, wait.as_millis().div_ceil(1000).to_string());
        }
        response
            .body(Body::from(self.body))
            .expect("a status from 100 to 999 and plain headers make a response")
    }
}

// === impl Problem ===

impl<'a> Problem<'a> {
    fn conversation(title: &'a str, code: &'a str, detail: &'a str) -> Self {
        Self {
            title,
            kind: format!("{CONVERSATION_ERRORS}#{code}"),
            code: Some(code),
            detail,
            instance: Uuid::new_v4().simple().to_string(),
            invalid_parameters: Vec::new(),
        }
    }
}
