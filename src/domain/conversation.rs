//! What the two logs say of one conversation: its members, their states, and its legs.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::ids::{ApplicationId, ConversationId, LegId, MemberId};
use super::instant;
use super::statement::{AtSource, LeftSource, NamedParty};

/// Everything that is understood of a conversation. Derived: it may be thrown away and made again.
///
/// It does not depend on the present moment, except through [`Interpretation::state`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Interpretation {
    /// Whose interpretation.
    pub id: ConversationId,
    /// Vonage's name for it: `NAM-<uuid>`, or the name that an NCCO gave it.
    pub name: Option<String>,
    /// Whose conversation.
    pub application_id: Option<ApplicationId>,
    /// Whether it was seen.
    pub capture: Capture,
    /// `inbound` or `outbound`: of the leg that began the call, as are the next four.
    pub direction: Option<String>,
    /// Who called: a number, a user's name, an address, or `Unknown`.
    pub from: Option<String>,
    /// Who was called.
    pub to: Option<String>,
    /// Who else is told of as a party, without a leg.
    pub other_parties: Vec<NamedParty>,
    /// When the daemon heard of it first. Lists go by it where the start that is told cannot be right.
    #[serde(skip)]
    pub first_heard_at: Option<Timestamp>,
    /// The first instant that anything tells of.
    #[serde(serialize_with = "instant::serialize_option")]
    pub started_at: Option<Timestamp>,
    /// When the leg that began the call was answered.
    #[serde(serialize_with = "instant::serialize_option")]
    pub answered_at: Option<Timestamp>,
    /// When its last leg ended, or else when Vonage no longer knew it.
    #[serde(serialize_with = "instant::serialize_option")]
    pub ended_at: Option<Timestamp>,
    /// Whether it is over.
    #[serde(skip)]
    pub ending: Ending,
    /// Whole seconds, as billed, of the leg that began the call.
    pub duration: Option<i64>,
    /// What the leg that began the call cost, in EUR, as Vonage wrote it. The others have their own.
    pub price: Option<String>,
    /// The latest status of the leg that began the call.
    pub status: Option<String>,
    /// Who took part.
    pub members: Vec<Member>,
    /// Their connections.
    pub legs: Vec<Leg>,
    /// The number of the newest snapshot.
    pub latest_snapshot: Option<u32>,
}

impl Interpretation {
    /// Whether it is over at the instant `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        self.ending.state(now)
    }
}

/// Whether a conversation is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It goes on.
    Open,
    /// Over, unless something more is heard before this instant: `busy` and its like are usually followed
    /// by `completed`, and may be followed by another try.
    Settling(Timestamp),
    /// Over.
    Over,
}

impl Ending {
    /// Whether it is over at the instant `now`.
    #[must_use]
    pub fn state(self, now: Timestamp) -> State {
        match self {
            Self::Open => State::Live,
            Self::Settling(at) if now < at => State::Live,
            Self::Settling(_) | Self::Over => State::Ended,
        }
    }
}

/// Whether a conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Some leg of it has not ended.
    Live,
    /// Every leg has ended, or Vonage no longer knows it.
    Ended,
}

/// Whether a conversation was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Capture {
    /// Seen, still hoped for, or lost.
    pub state: CaptureState,
    /// Why it was not seen, for a person.
    pub reason: Option<String>,
    /// How many versions are kept.
    pub snapshots: u32,
    /// When the first was taken.
    #[serde(serialize_with = "instant::serialize_option")]
    pub first_at: Option<Timestamp>,
    /// When the last was taken or last confirmed.
    #[serde(serialize_with = "instant::serialize_option")]
    pub last_at: Option<Timestamp>,
}

/// Seen, still hoped for, or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaptureState {
    /// At least one snapshot is kept.
    Captured,
    /// A look is owed and may still succeed.
    Pending,
    /// There is no snapshot and no hope of one.
    Missed,
}

impl CaptureState {
    /// Its name in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Pending => "pending",
            Self::Missed => "missed",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Captured, Self::Pending, Self::Missed].into_iter().find(|state| state.as_str() == name)
    }
}

/// One who took part in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    /// The member.
    pub id: MemberId,
    /// The user behind the member: `USR-<uuid>`.
    pub user_id: Option<String>,
    /// The user's name; for a phone the user id again, or `vapi-user-<32 hex>`.
    pub name: Option<String>,
    /// The latest state known: `INVITED`, `JOINED`, `LEFT`, or a word that Vonage has added since.
    pub state: Option<String>,
    /// Since when the member took part: Vonage's time of the first `JOINED`.
    #[serde(serialize_with = "instant::serialize_option")]
    pub joined_at: Option<Timestamp>,
    /// Since when the member is gone: the time of `LEFT`, else the end of the member's last leg.
    #[serde(serialize_with = "instant::serialize_option")]
    pub left_at: Option<Timestamp>,
    /// What says so.
    pub left_source: Option<LeftSource>,
    /// How the member is connected.
    pub channel: Option<Channel>,
    /// The member's legs.
    pub leg_ids: Vec<LegId>,
    /// Every state that was seen, by time.
    pub states: Vec<MemberState>,
}

/// How a member is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Channel {
    /// `phone`, `sip`, `app`, `websocket`, `vbc` …
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The leg that carries it.
    pub id: Option<LegId>,
    /// The calling side: a number, address or user.
    pub from: Option<String>,
    /// The called side.
    pub to: Option<String>,
}

/// A state of a member, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemberState {
    /// `INVITED`, `JOINED`, `LEFT`, or a word that Vonage has added since. `MUTED`, `UNMUTED`, `EARMUFFED` and
    /// `UNEARMUFFED` are about the member's sound, and never [`Member::state`].
    pub state: String,
    /// Vonage's time for it; `None` where Vonage told the state only.
    #[serde(serialize_with = "instant::serialize_option")]
    pub at: Option<Timestamp>,
    /// What told first: `snapshot 2`, `event 7` of the event list, or `rtc`.
    pub source: String,
    /// When it told: the state was so at the latest then.
    #[serde(serialize_with = "instant::serialize")]
    pub learnt_at: Timestamp,
}

impl MemberState {
    /// From when on it is known to have held.
    #[must_use]
    pub fn held_from(&self) -> Timestamp {
        self.at.map_or(self.learnt_at, |at| instant::credible(at, self.learnt_at))
    }

    /// Whether it is about the member's sound, and not about being there.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        SOUNDS.contains(&self.state.as_str())
    }
}

/// States of a member's sound.
const SOUNDS: [&str; 4] = ["MUTED", "UNMUTED", "EARMUFFED", "UNEARMUFFED"];

impl Member {
    /// The member as it was at an instant, with the states until then; `None` before the first of them.
    #[must_use]
    pub fn until(mut self, at: Timestamp) -> Option<Self> {
        self.states.retain(|state| state.held_from() <= at);
        let held = self.states.iter().filter(|state| !state.is_sound());
        self.state = held.max_by_key(|state| state.held_from()).map(|state| state.state.clone());
        self.joined_at = self.joined_at.filter(|joined_at| *joined_at <= at);
        self.left_at = self.left_at.filter(|left_at| *left_at <= at);
        self.left_source = self.left_source.filter(|_| self.left_at.is_some());
        (!self.states.is_empty()).then_some(self)
    }
}

/// One connection of a participant, as the Voice API tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Leg {
    /// The leg.
    pub id: LegId,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// The calling side.
    pub from: Option<String>,
    /// The called side.
    pub to: Option<String>,
    /// The latest status.
    pub status: Option<String>,
    /// Whole seconds, as billed.
    pub duration: Option<i64>,
    /// What it cost, in EUR, as Vonage wrote it.
    pub price: Option<String>,
    /// Every status that was told, in the order in which a call goes through them.
    pub statuses: Vec<LegStatus>,
    /// Where all this is from, if no webhook, event or member told of the leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<LegSource>,
}

/// A place other than the two logs that tells of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum LegSource {
    /// The Voice API's list of calls, which was read afterwards.
    #[serde(rename = "calls list")]
    CallsList,
}

impl LegSource {
    /// Its name in answers and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallsList => "calls list",
        }
    }

    /// The source of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::CallsList].into_iter().find(|source| source.as_str() == name)
    }
}

/// A status of a leg, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LegStatus {
    /// `started`, `ringing`, `answered`, `completed` …; `transferred` where the leg came from or went to another
    /// conversation.
    pub status: String,
    /// Vonage's time for it; the time of receipt where the webhook had none.
    #[serde(serialize_with = "instant::serialize")]
    pub at: Timestamp,
    /// Which of the two it is.
    pub at_source: AtSource,
    /// What Vonage adds to some: `cannot_route`, `beep_start` …; the other conversation of `transferred`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
