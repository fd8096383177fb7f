//! A leg, and the webhooks that tell of it.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::member::Endpoint;
use super::text::euros;
use super::text::milliseconds;
use super::webhook::Fields;
use super::webhook::Target;
use super::webhook::Webhook;
use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;

/// One leg of a call, as the webhooks describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Its id.
    pub id: LegId,
    /// Who started it.
    pub direction: Direction,
    /// The end that calls; the number may be `Unknown`.
    pub from: Endpoint,
    /// The end that is called.
    pub to: Endpoint,
}

/// Who started a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Somebody who called Vonage.
    Inbound,
    /// Vonage.
    Outbound,
}

/// What has become of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It exists.
    Started,
    /// It rings.
    Ringing,
    /// Somebody took it.
    Answered,
    /// The far side is in another call.
    Busy,
    /// The caller gave up.
    Cancelled,
    /// It rang for as long as it may.
    Timeout,
    /// Nobody took it: `unavailable` or `timeout`.
    Unanswered(&'static str),
    /// The far side refused: `invalid_number`, `restricted` or `declined`. The one end without `completed`.
    Rejected(&'static str),
    /// It could not be made: `cannot_route`, `number_out_of_service` or `internal_error`.
    Failed(&'static str),
    /// It is over.
    Completed(Bill),
}

/// What a leg came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// When it was answered, in whole seconds; nothing when it never was.
    pub answered: Option<Timestamp>,
    /// When it ended, in whole seconds.
    pub ended: Timestamp,
    /// The carrier, e.g. `GB-FIXED` or `23410`.
    pub network: String,
    /// The price of a minute, in hundred-millionths of a euro.
    pub rate: i64,
    /// Who hung up, `user` or `platform`, and the SIP code: not told before 2025.
    pub disconnected_by: Option<&'static str>,
}

/// Who seems to have answered a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detection {
    /// Somebody.
    Human,
    /// A machine.
    Machine,
    /// A machine, and it has begun to beep.
    Beep,
}

const SECONDS_PER_MINUTE: i64 = 60;
const OK: u16 = 200;

// === impl Leg ===

impl Leg {
    /// A call that came in. A text stands for a phone number.
    pub fn inbound(id: LegId, from: impl Into<Endpoint>, to: impl Into<Endpoint>) -> Self {
        Self { id, direction: Direction::Inbound, from: from.into(), to: to.into() }
    }

    /// A call that Vonage made in the course of another one, whose caller its webhooks do not know.
    pub fn outbound(id: LegId, to: impl Into<Endpoint>) -> Self {
        Self { id, direction: Direction::Outbound, from: Endpoint::phone("Unknown"), to: to.into() }
    }

    /// A call that the application asked Vonage to make from one of its numbers.
    pub fn dialled(id: LegId, from: impl Into<Endpoint>, to: impl Into<Endpoint>) -> Self {
        Self { direction: Direction::Outbound, ..Self::inbound(id, from, to) }
    }

    /// The event webhook that tells of `status`.
    #[must_use]
    pub fn event(&self, conversation: &ConversationId, status: &Status, at: Timestamp) -> Webhook {
        let mut fields = self.leading_fields(status);
        if !matches!(status, Status::Completed(_)) {
            fields.extend(self.ends());
            fields.push(("uuid", json!(self.id)));
        }
        fields.push(("conversation_uuid", json!(conversation)));
        fields.push(("status", json!(status.word())));
        fields.push(("direction", json!(self.direction.word())));
        fields.extend(status.trailing_fields());
        fields.push(("timestamp", milliseconds(at)));
        Webhook::of(Target::Event, &Fields(fields))
    }

    /// The answer webhook for this leg. It has no `region_url`, as older ones.
    #[must_use]
    pub fn answer(&self, conversation: &ConversationId) -> Webhook {
        let mut fields = self.ends();
        // What serves as the endpoint is the far side.
        let far = if self.direction == Direction::Inbound { &self.from } else { &self.to };
        fields.push(("endpoint_type", json!(far.kind())));
        fields.push(("conversation_uuid", json!(conversation)));
        fields.push(("uuid", json!(self.id)));
        Webhook::of(Target::Answer, &Fields(fields))
    }

    /// The event webhook that tells who seems to have answered, which only machine detection asks for.
    /// It names the leg in a field of its own.
    #[must_use]
    pub fn detected(&self, conversation: &ConversationId, detection: Detection, at: Timestamp) -> Webhook {
        let mut fields = self.ends();
        fields.push(("call_uuid", json!(self.id)));
        fields.push(("conversation_uuid", json!(conversation)));
        fields.push(("status", json!(if detection == Detection::Human { "human" } else { "machine" })));
        if detection == Detection::Beep {
            fields.push(("sub_state", json!("beep_start")));
        }
        fields.push(("direction", json!(self.direction.word())));
        fields.push(("timestamp", milliseconds(at)));
        Webhook::of(Target::Event, &Fields(fields))
    }

    fn ends(&self) -> Vec<(&'static str, Value)> {
        let caller = if matches!(self.from, Endpoint::App { .. }) { "from_user" } else { "from" };
        vec![(caller, json!(self.from.name())), ("to", json!(self.to.name()))]
    }

    fn leading_fields(&self, status: &Status) -> Vec<(&'static str, Value)> {
        match status {
            Status::Answered => {
                vec![("start_time", Value::Null), ("headers", json!({})), ("rate", Value::Null)]
            }
            Status::Completed(bill) => {
                let mut fields = vec![
                    ("headers", json!({})),
                    ("end_time", milliseconds(bill.ended)),
                    ("uuid", json!(self.id)),
                    ("network", json!(bill.network)),
                    ("duration", json!(bill.seconds().to_string())),
                    ("start_time", bill.answered.map_or(Value::Null, milliseconds)),
                    ("rate", json!(euros(bill.rate))),
                    ("price", json!(bill.price())),
                ];
                fields.extend(self.ends());
                fields
            }
            _ => vec![("headers", json!({}))],
        }
    }
}

// === impl Direction ===

impl Direction {
    /// How webhooks and the Voice API call it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

// === impl Status ===

impl Status {
    /// Whether the leg is over with it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Rejected(_))
    }

    /// Whether the leg came to nothing: a `completed` after it has nothing to bill.
    pub(super) fn is_in_vain(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Cancelled
                | Self::Timeout
                | Self::Unanswered(_)
                | Self::Rejected(_)
                | Self::Failed(_)
        )
    }

    /// How webhooks and the Voice API call it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Unanswered(_) => "unanswered",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
            Self::Completed(_) => "completed",
        }
    }

    fn trailing_fields(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Answered => vec![("network", Value::Null)],
            Self::Busy => vec![("sip_code", json!(486))],
            Self::Unanswered(detail @ "timeout") => vec![("detail", json!(detail)), ("sip_code", json!(408))],
            Self::Unanswered(detail) => vec![("detail", json!(detail)), ("sip_code", json!(480))],
            Self::Rejected(detail @ "invalid_number") => {
                vec![("detail", json!(detail)), ("sip_code", json!(404))]
            }
            Self::Rejected(detail @ "declined") => vec![("detail", json!(detail)), ("sip_code", json!(603))],
            Self::Rejected(detail) => vec![("detail", json!(detail)), ("sip_code", json!(403))],
            Self::Failed(detail @ "internal_error") => {
                vec![("detail", json!(detail)), ("sip_code", json!(500))]
            }
            Self::Failed(detail @ "number_out_of_service") => {
                vec![("detail", json!(detail)), ("sip_code", json!(502))]
            }
            // No SIP message was ever sent.
            Self::Failed(detail) => vec![("detail", json!(detail))],
            Self::Completed(Bill { disconnected_by: Some(side), .. }) => {
                vec![("disconnected_by", json!(side)), ("sip_code", json!(OK))]
            }
            Self::Started | Self::Ringing | Self::Cancelled | Self::Timeout | Self::Completed(_) => {
                Vec::new()
            }
        }
    }
}

// === impl Bill ===

impl Bill {
    /// For how long the parties could talk.
    pub(super) fn seconds(&self) -> i64 {
        self.answered.map_or(0, |answered| self.ended.as_second() - answered.as_second())
    }

    /// What it cost, as an amount.
    pub(super) fn price(&self) -> String {
        euros(self.rate * self.seconds() / SECONDS_PER_MINUTE)
    }
}

/// The `notify` event, which an NCCO action asks for.
#[must_use]
pub fn notify(conversation: &ConversationId, payload: Value, at: Timestamp) -> Webhook {
    let fields = vec![
        ("payload", payload),
        ("conversation_uuid", json!(conversation)),
        ("timestamp", milliseconds(at)),
    ];
    Webhook::of(Target::Event, &Fields(fields))
}

/// The `transfer` event: a leg goes from one conversation to another.
#[must_use]
pub fn transfer(from: &ConversationId, to: &ConversationId, leg: &LegId, at: Timestamp) -> Webhook {
    let fields = vec![
        ("conversation_uuid_from", json!(from)),
        ("type", json!("transfer")),
        ("uuid", json!(leg)),
        ("conversation_uuid_to", json!(to)),
        ("timestamp", milliseconds(at)),
    ];
    Webhook::of(Target::Event, &Fields(fields))
}
