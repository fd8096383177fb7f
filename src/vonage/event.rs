//! What one event of a conversation says, leniently: as an item of the event list, or as the body of a webhook
//! to the application's `rtc` capability. Both have the same shape (event schemas of Vonage's Conversation
//! API; the list leaves out `conversation_id` and `application_id`).

use jiff::Timestamp;
use serde_json::Value;

use super::json::{self, Object};
use super::member::{self, Sound};
use crate::domain::conversation::Channel;
use crate::domain::ids::{ApplicationId, ConversationId, LegId, MemberId};
use crate::domain::json::value_in;

/// One event of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationEvent(Object);

/// What an event says, as far as it is about who took part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// `member:invited`, `member:joined`, `member:left`: a member is in a state.
    State(MemberTold),
    /// `member:media`: how a member's sound is set.
    Media(MediaTold),
    /// `leg:status:update`: what became of a leg so far.
    Leg(LegTold),
    /// `audio:mute:on` and its three likes: a member's sound was switched.
    Switch(SwitchTold),
    /// Anything else, and any of these that does not say whom it is about.
    Other,
}

/// A state of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberTold {
    /// The member. `invited` names it in `body.user.member_id`, the others in `from` only.
    ///
    /// In the call of Vonage's own tutorial `from` of Bob's events is Alice's member, while user and channel
    /// are Bob's: where [`MemberTold::user_id`] is another user than the member's, and a known member's, the
    /// user is right. That takes the other events and the documents, so it is not decided here.
    pub member_id: MemberId,
    /// `INVITED`, `JOINED` or `LEFT`.
    pub state: String,
    /// Vonage's time for the state; the event's own time, which is some milliseconds later, where the body has
    /// none.
    pub at: Option<Timestamp>,
    /// The member's other states whose times the event repeats, in the order a member goes through them.
    pub earlier: Vec<(String, Timestamp)>,
    /// The user behind the member.
    pub user_id: Option<String>,
    /// The user's name.
    pub name: Option<String>,
    /// How the member is connected.
    pub channel: Option<Channel>,
    /// The member's legs, each once.
    pub leg_ids: Vec<LegId>,
    /// Why the member left.
    pub reason: Option<Reason>,
}

/// Why a member left, in Vonage's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A number as text: `200`.
    pub code: Option<String>,
    /// A word or two: `hangup`.
    pub text: Option<String>,
}

/// How a member's sound is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTold {
    /// The member: `from`.
    pub member_id: MemberId,
    /// The settings.
    pub sound: Sound,
    /// How the member is connected.
    pub channel: Option<Channel>,
    /// The member's legs, each once.
    pub leg_ids: Vec<LegId>,
}

/// What became of a leg so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegTold {
    /// The leg.
    pub leg_id: LegId,
    /// `phone`, `sip`, `app` …
    pub kind: Option<String>,
    /// `inbound` or `outbound`; an app's leg has none.
    pub direction: Option<String>,
    /// The latest status: `started`, `ringing`, `answered`, `completed` …
    pub status: Option<String>,
    /// Whether it ended well.
    pub successful: Option<bool>,
    /// Why it ended: `hangup`.
    pub reason: Option<String>,
    /// Every status so far, as listed: oldest first.
    pub statuses: Vec<StatusTold>,
}

/// A status in a leg's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusTold {
    /// The status.
    pub status: String,
    /// Since when.
    pub at: Option<Timestamp>,
    /// Where the leg was then; it may have been moved since.
    pub conversation_id: Option<ConversationId>,
    /// Whose leg it was then; absent while its caller still knocked.
    pub member_id: Option<MemberId>,
}

/// A member's sound was switched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchTold {
    /// Who switched: `from`; nobody when it was done through the API.
    pub by: Option<MemberId>,
    /// Whose sound: `to`, or else `from`.
    pub member_id: MemberId,
    /// Muted or unmuted, or with earmuffs on or off.
    pub switch: Switch,
    /// Whether it was switched on.
    pub on: bool,
    /// The leg that carries the sound: `rtc_id`.
    pub leg_id: Option<LegId>,
}

/// What can be switched of a member's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// The others do not hear the member.
    Mute,
    /// The member does not hear the others.
    Earmuff,
}

/// A page of `GET …/events`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventsPage {
    /// The events on it that have a type.
    pub events: Vec<ConversationEvent>,
    /// Where the next page is, as written. Not yet trusted.
    pub next: Option<String>,
}

impl EventsPage {
    /// Reads the body of an answer: a bare array (`beta`, `v0.1`), `_embedded.data.events` (`v0.2`),
    /// `_embedded.events` (`v0.3`, `v1`), or an array as `_embedded` (`v1` by its specification). `None` when
    /// it is no JSON.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let (events, next) = json::page(value_in(body)?, "events")?;
        Some(Self { events: events.iter().filter_map(ConversationEvent::read).collect(), next })
    }
}

fn has_type(event: &Object) -> bool {
    event.get("type").is_some_and(Value::is_string)
}

impl ConversationEvent {
    /// Reads an event; `None` when it is no JSON object or has no type.
    #[must_use]
    pub fn read(event: &Value) -> Option<Self> {
        event.as_object().filter(|event| has_type(event)).cloned().map(Self)
    }

    /// Reads the body of a webhook; `None` when it is no JSON object or has no type.
    #[must_use]
    pub fn from_slice(body: &[u8]) -> Option<Self> {
        json::object_in(body).filter(has_type).map(Self)
    }

    /// The event as Vonage wrote it.
    #[must_use]
    pub fn json(&self) -> &serde_json::Map<String, Value> {
        &self.0
    }

    /// Its number in the conversation, from 1. `conversation:created`, `conversation:deleted`, `app:knocking`
    /// and those that only set up a session have none.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        json::integer(&self.0, "id")
    }

    /// Its type: `member:joined`, `custom:anything` …
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// When Vonage made it: some milliseconds after what it tells of.
    #[must_use]
    pub fn timestamp(&self) -> Option<Timestamp> {
        json::instant(&self.0, "timestamp")
    }

    /// The conversation it belongs to. An item of the event list does not say.
    #[must_use]
    pub fn conversation_id(&self) -> Option<ConversationId> {
        let own = json::text(&self.0, "conversation_id");
        let named = || json::text(self.body()?, "id").filter(|_| self.kind().starts_with("conversation:"));
        let invited_to = || json::text(json::object(self.body()?, "conversation")?, "conversation_id");
        ConversationId::parse(own.or_else(named).or_else(invited_to)?).ok()
    }

    /// Whose conversation it is. An item of the event list does not say.
    #[must_use]
    pub fn application_id(&self) -> Option<ApplicationId> {
        ApplicationId::parse(json::text(&self.0, "application_id")?).ok()
    }

    /// The member it comes from; `None` for what the API did and for somebody who still knocks.
    #[must_use]
    pub fn from(&self) -> Option<MemberId> {
        self.member_id("from")
    }

    /// The member it is directed at.
    #[must_use]
    pub fn to(&self) -> Option<MemberId> {
        self.member_id("to")
    }

    /// The connection that it is about.
    #[must_use]
    pub fn channel(&self) -> Option<Channel> {
        member::channel(self.body()?)
    }

    /// `inbound` or `outbound`: the direction of that connection.
    #[must_use]
    pub fn direction(&self) -> Option<String> {
        member::direction(&json::text(self.body()?, "direction")?)
    }

    /// The conversation that an `rtc:transfer` brought the leg from.
    #[must_use]
    pub fn transferred_from(&self) -> Option<ConversationId> {
        ConversationId::parse(json::text(self.body()?, "transferred_from")?).ok()
    }

    /// Whether it says the same as `other`, as far as anything is read of either: two spellings of one event do.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        let connection = |event: &Self| (event.channel(), event.direction(), event.transferred_from());
        self.kind().eq_ignore_ascii_case(other.kind())
            && self.timestamp() == other.timestamp()
            && self.says() == other.says()
            && connection(self) == connection(other)
    }

    /// What it says.
    #[must_use]
    pub fn says(&self) -> Says {
        let said = match self.kind() {
            "member:invited" => self.member_told("INVITED").map(Says::State),
            "member:joined" => self.member_told("JOINED").map(Says::State),
            "member:left" => self.member_told("LEFT").map(Says::State),
            "member:media" => self.media_told().map(Says::Media),
            "leg:status:update" => self.leg_told().map(Says::Leg),
            "audio:mute:on" => self.switch_told(Switch::Mute, true).map(Says::Switch),
            "audio:mute:off" => self.switch_told(Switch::Mute, false).map(Says::Switch),
            "audio:earmuff:on" => self.switch_told(Switch::Earmuff, true).map(Says::Switch),
            "audio:earmuff:off" => self.switch_told(Switch::Earmuff, false).map(Says::Switch),
            _ => None,
        };
        said.unwrap_or(Says::Other)
    }

    fn member_told(&self, state: &str) -> Option<MemberTold> {
        let body = self.body()?;
        let user = json::object(body, "user");
        let named = user.and_then(|user| json::text(user, "member_id"));
        // The inviter is no substitute for the invited.
        let from = || self.from().filter(|_| state != "INVITED");
        let times = member::timed_states(body);
        let own = times.iter().find(|(timed, _)| timed == state).map(|(_, at)| *at);
        Some(MemberTold {
            member_id: named.and_then(|id| MemberId::parse(id).ok()).or_else(from)?,
            state: state.to_owned(),
            at: own.or_else(|| self.timestamp()),
            earlier: times.into_iter().filter(|(timed, _)| timed != state).collect(),
            user_id: user.and_then(|user| json::first_text(user, &["user_id", "id"])),
            name: user.and_then(|user| json::text(user, "name")),
            channel: member::channel(body),
            leg_ids: member::leg_ids(body),
            reason: json::object(body, "reason").map(reason),
        })
    }

    fn media_told(&self) -> Option<MediaTold> {
        let body = self.body()?;
        let mut sound = json::object(body, "media").map(member::sound).unwrap_or_default();
        sound.enabled = sound.enabled.or_else(|| json::flag(body, "audio"));
        let (channel, leg_ids) = (member::channel(body), member::leg_ids(body));
        Some(MediaTold { member_id: self.from()?, sound, channel, leg_ids })
    }

    fn leg_told(&self) -> Option<LegTold> {
        let body = self.body()?;
        let end = json::object(body, "state");
        let history = json::array(body, "statusHistory").into_iter().flatten();
        Some(LegTold {
            leg_id: LegId::parse(json::text(body, "leg_id")?).ok()?,
            kind: json::text(body, "type"),
            direction: json::text(body, "direction").and_then(|text| member::direction(&text)),
            status: json::text(body, "status").or_else(|| json::text(end?, "status")),
            successful: end.and_then(|end| json::flag(end, "successful")),
            reason: end.and_then(|end| json::text(end, "reason")),
            statuses: history.filter_map(Value::as_object).filter_map(status_told).collect(),
        })
    }

    fn switch_told(&self, switch: Switch, on: bool) -> Option<SwitchTold> {
        let rtc_id = self.body().and_then(|body| json::text(body, "rtc_id"));
        Some(SwitchTold {
            by: self.from(),
            member_id: self.to().or_else(|| self.from())?,
            switch,
            on,
            leg_id: rtc_id.and_then(|id| LegId::parse(id).ok()),
        })
    }

    fn body(&self) -> Option<&Object> {
        json::object(&self.0, "body")
    }

    fn member_id(&self, key: &str) -> Option<MemberId> {
        // Who still knocks has an id of another kind in the same place.
        let id = json::text(&self.0, key).filter(|id| !id.starts_with("KNO-"))?;
        MemberId::parse(id).ok()
    }
}

fn reason(reason: &Object) -> Reason {
    Reason { code: json::text(reason, "code"), text: json::text(reason, "text") }
}

fn status_told(entry: &Object) -> Option<StatusTold> {
    Some(StatusTold {
        status: json::text(entry, "status")?,
        at: json::instant(entry, "date"),
        conversation_id: json::text(entry, "conversation_id").and_then(|id| ConversationId::parse(id).ok()),
        member_id: json::text(entry, "member_id").and_then(|id| MemberId::parse(id).ok()),
    })
}
