//! Why there is no document, in the words and the shape of Vonage's errors.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, body};
use crate::domain::instant;
use crate::vonage::family::Family;
use crate::vonage::shape::Untold;

const ERRORS: &str = "https://developer.nexmo.com/api/conversation";
const NO_CONVERSATION: &str = "conversation:error:not-found";
const NO_MEMBER: &str = "conversation:error:member-not-found";

/// Why `at` is refused.
const WHAT_AT_MUST_BE: &str = "\"at\" must be an instant (2026-03-09T10:15:30Z), or how long ago (24h, 7d)";

/// Why there is no document.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing was ever heard of it.
    NoConversation,
    /// No version of the conversation knows the member.
    NoMember,
    /// Webhooks spoke of the conversation, and no look at it succeeded.
    NeverSeen,
    /// The first look was later.
    NotSeenYet { first_seen: Timestamp },
    /// No version holds members: a look was interrupted.
    MembersNotRead,
    /// No version holds events.
    EventsNotRead,
    /// What is stored in the shape of another family does not tell all that this one's needs.
    NotInThisShape { stored: String, untold: Untold },
    /// `at` is no instant.
    NoInstant,
    /// `cursor` was not handed out for this list.
    NoCursor,
}

/// The parts of an error.
struct Words {
    title: String,
    code: &'static str,
    detail: &'static str,
}

impl Refusal {
    /// The answer in this family.
    pub(super) fn answer(self, family: Family) -> Answer {
        let is_bad_request = matches!(self, Self::NoInstant | Self::NoCursor);
        let body = body(&self.error(family));
        if is_bad_request { Answer::BadRequest(body) } else { Answer::NotFound(body) }
    }

    /// The first two families have a `description` where the others have `title` and `detail`.
    fn error(&self, family: Family) -> Value {
        let Words { title, code, detail } = self.words();
        if matches!(family, Family::Beta | Family::V01) {
            let description = match self {
                Self::NoConversation => "the requested conversation does not exist".to_owned(),
                Self::NoMember => "the requested member does not exist".to_owned(),
                Self::NoInstant => WHAT_AT_MUST_BE.to_owned(),
                _ => format!("{title} {detail}"),
            };
            return json!({"description": description, "code": code, "error": {}});
        }
        let mut error = json!({
            "title": title,
            "type": format!("{ERRORS}#{code}"),
            "code": code,
            "detail": detail,
            "instance": Uuid::new_v4().simple().to_string(),
        });
        if matches!(self, Self::NoInstant) {
            error["invalid_parameters"] = json!([{"name": "at", "reason": WHAT_AT_MUST_BE}]);
        }
        error
    }

    fn words(&self) -> Words {
        match self {
            Self::NoConversation => Words::new(
                "Not found.",
                NO_CONVERSATION,
                "Conversation does not exist, or you do not have access.",
            ),
            Self::NoMember => {
                Words::new("Not found.", NO_MEMBER, "Member does not exist, or you do not have access.")
            }
            Self::NeverSeen => Words::new(
                "Heard of, but never seen.",
                NO_CONVERSATION,
                "Webhooks told of this conversation, and no look at it has succeeded: /v1/conversations says why.",
            ),
            Self::NotSeenYet { first_seen } => Words::new(
                format!("Not seen yet at that time: first seen {}.", instant::text(*first_seen)),
                NO_CONVERSATION,
                "Ask for a later time, or without \"at\".",
            ),
            Self::MembersNotRead => Words::new(
                "Its members were not read.",
                NO_CONVERSATION,
                "Vonage told the conversation and then did not answer any more.",
            ),
            Self::EventsNotRead => Words::new(
                "Its events were not read.",
                NO_CONVERSATION,
                "fetch.events was off, or Vonage did not give the list while the call went on.",
            ),
            Self::NotInThisShape { stored, untold } => Words::new(
                format!("Not known in this shape: stored as {stored}, and {untold}."),
                NO_CONVERSATION,
                "/v1/conversations/{id}/snapshots has what was stored, as it was stored.",
            ),
            Self::NoInstant => {
                Words::new("Bad request.", "http:error:validation-fail", "Input validation failure.")
            }
            Self::NoCursor => Words::new(
                "Bad request.",
                "paginator-builder:error:invalid-cursor",
                "The cursor is invalid: take it as it is from the link of the page before.",
            ),
        }
    }
}

impl Words {
    fn new(title: impl Into<String>, code: &'static str, detail: &'static str) -> Self {
        Self { title: title.into(), code, detail }
    }
}

/// What Vonage's gateway answers for a path that is nowhere.
pub(super) fn no_such_family() -> Answer {
    let families = Family::ALL.map(Family::as_str).join(", ");
    let error = json!({
        "type": "https://developer.nexmo.com/api-errors#not-found",
        "error_title": "Not Found",
        "detail": format!("The path families are {families}."),
    });
    Answer::NotFound(body(&error))
}
