//! What several documents have in common: addresses, times, and who began.

use jiff::Timestamp;
use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap;
use url::Url;

use crate::simulator::member::Endpoint;
use crate::simulator::member::Member;
use crate::simulator::world::Conversation;

/// A path family of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Family {
    Beta,
    V03,
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
    by: InitiatedBy<'a>,
}

#[derive(Serialize)]
struct InitiatedBy<'a> {
    #[serde(rename = "isSystem")]
    is_system: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_id: Option<&'a str>,
}

// === impl Family ===

impl Family {
    /// The family a path begins with.
    pub(in crate::simulator) fn of(segment: &str) -> Option<Self> {
        match segment {
            "beta" => Some(Self::Beta),
            "v0.3" => Some(Self::V03),
            _ => None,
        }
    }

    fn segment(self) -> &'static str {
        match self {
            Self::Beta => "beta",
            Self::V03 => "v0.3",
        }
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
    pub(super) fn of(member: &'a Member) -> Self {
        let participant = &member.participant;
        let is_user = matches!(participant.channel.from, Endpoint::App { .. });
        let by = InitiatedBy {
            is_system: !is_user,
            user_id: is_user.then_some(participant.user_id.as_str()),
            member_id: is_user.then_some(participant.member_id.as_str()),
        };
        Self { step: if member.invited.is_some() { "invited" } else { "joined" }, by }
    }
}

impl Serialize for Initiator<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.step, &self.by)?;
        map.end()
    }
}

// === impl OwnLink ===

impl OwnLink {
    pub(super) fn to(href: String) -> Self {
        Self { own: Link { href } }
    }
}

/// The address of a conversation in this family.
pub(in crate::simulator) fn conversation_address(api: &Url, family: Family, id: &str) -> String {
    format!("{api}{}/conversations/{id}", family.segment())
}

pub(super) fn member_address(api: &Url, conversation: &Conversation, member: &Member) -> String {
    let conversation = conversation_address(api, Family::V03, conversation.id.as_str());
    format!("{conversation}/members/{}", member.participant.member_id)
}

pub(super) fn user_address(api: &Url, id: &str) -> String {
    format!("{api}{}/users/{id}", Family::V03.segment())
}
