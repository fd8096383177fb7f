//! The story of one call in one order: what happened, who told, and when it was learnt.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::ids::{ConversationId, LegId, MemberId};
use super::instant;
use super::statement::AtSource;

/// One line of the story.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Entry {
    /// When it happened: Vonage's time where it told one, else the time at which it was learnt.
    #[serde(serialize_with = "instant::serialize")]
    pub at: Timestamp,
    /// Which of the two it is.
    pub at_source: AtSource,
    /// When the daemon learnt of it.
    #[serde(serialize_with = "instant::serialize")]
    pub learnt_at: Timestamp,
    /// What told: `webhook 12`, `snapshot 2`, `event 7`, `rtc`, `calls list`; of a reply, who made it: `file`,
    /// `forward`, `substitute`.
    pub source: String,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

impl Entry {
    /// Leaves out what was sent as it was sent.
    pub fn leave_out_bodies(&mut self) {
        if let Happening::Reply { ncco, .. } = &mut self.happening {
            *ncco = None;
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "kind")]
pub enum Happening {
    /// A webhook came in.
    #[serde(rename = "webhook")]
    Webhook {
        /// `answer`, `event`, `fallback` or `rtc`.
        endpoint: &'static str,
        /// What it seems to be about: a status, or a kind of its own.
        about: String,
        /// The leg it speaks of.
        leg_id: Option<LegId>,
        /// What Vonage adds: `cannot_route`, the reason of a fallback …
        detail: Option<String>,
        /// The conversation that a `transfer` moved the leg to.
        transferred_to: Option<ConversationId>,
        /// How often it came.
        deliveries: u32,
    },
    /// A webhook was replied to.
    #[serde(rename = "reply")]
    Reply {
        /// Where the webhook came in.
        endpoint: &'static str,
        /// The leg it spoke of.
        leg_id: Option<LegId>,
        /// The status of the application behind, where it was asked and answered.
        upstream_status: Option<u16>,
        /// How long that took, in milliseconds.
        upstream_ms: Option<u64>,
        /// Why its reply was not passed back.
        trouble: Option<String>,
        /// What the call was told to do; `null` also for readers without the scope `raw`.
        #[schema(value_type = Option<serde_json::Value>)]
        ncco: Option<Box<RawValue>>,
    },
    /// A member's state changed.
    #[serde(rename = "member state")]
    MemberState {
        /// Whose.
        member_id: MemberId,
        /// The user's name.
        name: Option<String>,
        /// `INVITED`, `JOINED`, `LEFT` …
        state: String,
    },
    /// A leg's status, where no webhook told it.
    #[serde(rename = "leg status")]
    LegStatus {
        /// Whose.
        leg_id: LegId,
        /// `started`, `answered`, `completed` …
        status: String,
    },
    /// Vonage was asked for the conversation.
    #[serde(rename = "look")]
    Look {
        /// What came of it.
        outcome: Outcome,
        /// The version that was made or confirmed.
        snapshot: Option<u32>,
    },
}

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Something new was seen.
    Seen,
    /// Nothing had changed. Only the last of such looks at a version is told.
    Unchanged,
    /// Vonage does not know the conversation any more.
    Gone,
    /// It failed, and so did those after it. Only the first of them is told.
    Failing,
    /// It failed for so long that it was given up.
    GivenUp,
}

impl Happening {
    /// What comes first among things of one instant: what is told comes before what follows from it.
    fn rank(&self) -> u8 {
        match self {
            Self::Webhook { .. } => 0,
            Self::LegStatus { .. } => 1,
            Self::MemberState { .. } => 2,
            Self::Reply { .. } => 3,
            Self::Look { .. } => 4,
        }
    }
}

/// Puts a story in order: by time, then by when it was learnt.
pub fn order(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| (entry.at, entry.learnt_at, entry.happening.rank()));
}
