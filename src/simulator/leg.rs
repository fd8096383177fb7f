//! A leg, and the webhooks that tell of it.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

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
    /// The number that calls, or `Unknown`.
    pub from: String,
    /// The number that is called.
    pub to: String,
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

const SECONDS_PER_MINUTE: i64 = 60;
const OK: u16 = 200;

// === impl Leg ===

impl Leg {
    /// A call that came in.
    pub fn inbound(id: LegId, from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { id, direction: Direction::Inbound, from: from.into(), to: to.into() }
    }

    /// A call that Vonage made, whose caller its webhooks do not know.
    pub fn outbound(id: LegId, to: impl Into<String>) -> Self {
        Self { id, direction: Direction::Outbound, from: "Unknown".to_owned(), to: to.into() }
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

    /// The answer webhook for this leg. It has no `region_url`: a real one would send the daemon to Vonage.
    #[must_use]
    pub fn answer(&self, conversation: &ConversationId) -> Webhook {
        let mut fields = self.ends();
        fields.push(("endpoint_type", json!("phone")));
        fields.push(("conversation_uuid", json!(conversation)));
        fields.push(("uuid", json!(self.id)));
        Webhook::of(Target::Answer, &Fields(fields))
    }

    fn ends(&self) -> Vec<(&'static str, Value)> {
        vec![("from", json!(self.from)), ("to", json!(self.to))]
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
                    ("price", json!(euros(bill.rate * bill.seconds() / SECONDS_PER_MINUTE))),
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
    fn word(self) -> &'static str {
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

    fn word(&self) -> &'static str {
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
            Self::Rejected(detail) => vec![("detail", json!(detail)), ("sip_code", json!(403))],
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
    fn seconds(&self) -> i64 {
        self.answered.map_or(0, |answered| self.ended.as_second() - answered.as_second())
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

/// An amount as Vonage writes it: euros with eight decimals.
fn euros(hundred_millionths: i64) -> String {
    format!("{}.{:08}", hundred_millionths / 100_000_000, hundred_millionths % 100_000_000)
}

fn milliseconds(instant: Timestamp) -> Value {
    json!(format!("{instant:.3}"))
}
