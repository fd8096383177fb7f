//! What several documents have in common: addresses, times, sound, and who began.

use jiff::Timestamp;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap;
use url::Url;

use crate::domain::ids::ConversationId;
use crate::simulator::member::Audio;
use crate::simulator::member::Member;

/// A path family of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Family {
    Beta,
    V01,
    V02,
    V03,
    V1,
}

/// Where an answer says that things are: on the host and in the family that were asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulator) struct Place<'a> {
    pub(in crate::simulator) api: &'a Url,
    pub(in crate::simulator) family: Family,
}

/// An address.
#[derive(Serialize)]
pub(in crate::simulator) struct Link {
    pub(in crate::simulator) href: String,
}

#[derive(Serialize)]
pub(super) struct OwnLink {
    #[serde(rename = "self")]
    own: Link,
}

/// The ways from one page to others.
#[derive(Serialize)]
pub(in crate::simulator) struct PageLinks {
    pub(in crate::simulator) first: Link,
    #[serde(rename = "self")]
    pub(in crate::simulator) own: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::simulator) next: Option<Link>,
}

#[derive(Serialize)]
pub(super) struct Times {
    #[serde(skip_serializing_if = "Option::is_none")]
    invited: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<Milliseconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Milliseconds>,
}

/// An instant as Vonage writes it: with three decimals, also when they are zeros.
pub(super) struct Milliseconds(pub(super) Timestamp);

/// Who made the member: of somebody invited, the invitation is shown even after the join.
pub(super) struct Initiator<'a> {
    step: &'static str,
    /// How the family spells it.
    is_system_key: &'static str,
    user: Option<(&'a str, &'a str)>,
}

/// Whether a member is heard: the families differ in what `audio` is.
#[derive(Serialize)]
pub(super) struct Media {
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Sound>,
    audio_settings: Audio,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sound {
    Settings(Audio),
    OnOrOff(bool),
}

// === impl Family ===

impl Family {
    /// Every family.
    pub(in crate::simulator) const ALL: [Self; 5] = [Self::Beta, Self::V01, Self::V02, Self::V03, Self::V1];

    /// The family a path begins with.
    pub(in crate::simulator) fn of(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.segment() == segment)
    }

    /// What its paths begin with.
    pub(in crate::simulator) fn segment(self) -> &'static str {
        match self {
            Self::Beta => "beta",
            Self::V01 => "v0.1",
            Self::V02 => "v0.2",
            Self::V03 => "v0.3",
            Self::V1 => "v1",
        }
    }
}

// === impl Place ===

impl Place<'_> {
    /// The address of a conversation.
    pub(in crate::simulator) fn conversation(self, id: &ConversationId) -> String {
        format!("{}{}/conversations/{id}", self.api, self.family.segment())
    }

    pub(super) fn member(self, conversation: &ConversationId, member: &Member) -> String {
        format!("{}/members/{}", self.conversation(conversation), member.participant.member_id)
    }

    pub(super) fn event(self, conversation: &ConversationId, id: u64) -> String {
        format!("{}/events/{id}", self.conversation(conversation))
    }

    pub(super) fn user(self, id: &str) -> String {
        format!("{}{}/users/{id}", self.api, self.family.segment())
    }
}

// === impl Times ===

impl Times {
    pub(super) fn of(member: &Member) -> Self {
        Self {
            invited: member.invited.map(Milliseconds),
            joined: member.joined.map(Milliseconds),
            left: member.left.map(Milliseconds),
        }
    }
}

// === impl Milliseconds ===

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

// === impl Initiator ===

impl<'a> Initiator<'a> {
    pub(super) fn of(member: &'a Member, family: Family) -> Self {
        let participant = &member.participant;
        let user = (participant.user_id.as_str(), participant.member_id.as_str());
        Self {
            step: if member.invited.is_some() { "invited" } else { "joined" },
            is_system_key: match family {
                Family::Beta | Family::V01 | Family::V03 => "isSystem",
                Family::V02 | Family::V1 => "is_system",
            },
            user: participant.acts_alone().then_some(user),
        }
    }
}

impl Serialize for Initiator<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.step, &InitiatedBy(self))?;
        map.end()
    }
}

/// What stands under the step.
struct InitiatedBy<'a>(&'a Initiator<'a>);

impl Serialize for InitiatedBy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Initiator { is_system_key, user, .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(is_system_key, &user.is_none())?;
        if let Some((user_id, member_id)) = user {
            map.serialize_entry("user_id", user_id)?;
            map.serialize_entry("member_id", member_id)?;
        }
        map.end()
    }
}

// === impl Media ===

impl Media {
    /// The whole of it, as this family has it.
    pub(super) fn of(audio: Audio, family: Family) -> Self {
        let sound = match family {
            Family::V01 | Family::V02 => Some(Sound::Settings(audio)),
            Family::Beta | Family::V1 => Some(Sound::OnOrOff(audio.enabled)),
            Family::V03 => None,
        };
        Self { audio: sound, audio_settings: audio }
    }
}

// === impl OwnLink ===

impl OwnLink {
    pub(super) fn to(href: String) -> Self {
        Self { own: Link { href } }
    }
}
