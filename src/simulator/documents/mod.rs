//! The JSON documents of the Conversation API, key for key and in Vonage's order.

mod members;
mod parts;

use serde::Serialize;
use url::Url;

pub(super) use self::members::ListedMember;
pub(super) use self::members::MemberDocument;
pub(super) use self::members::MemberPage;
pub(super) use self::members::PageLinks;
pub(super) use self::parts::Family;
pub(super) use self::parts::Link;
pub(super) use self::parts::conversation_address;

use self::members::EmbeddedMember;
use self::parts::Milliseconds;
use self::parts::OwnLink;
use super::world::Conversation;

/// How long an empty conversation is kept, in seconds: the 48 hours an application has by default.
const TTL_SECONDS: u32 = 172_800;

/// GET of one conversation.
#[derive(Serialize)]
pub(super) struct ConversationDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: &'a str,
    timestamp: Lifespan,
    sequence_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<Numbers>,
    properties: Properties,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<EmbeddedMember<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    _links: OwnLink,
}

#[derive(Serialize)]
struct Lifespan {
    created: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<Milliseconds>,
}

/// Always the empty object.
#[derive(Serialize)]
struct Numbers {}

#[derive(Serialize)]
struct Properties {
    ttl: u32,
    video: bool,
}

// === impl ConversationDocument ===

impl<'a> ConversationDocument<'a> {
    /// The document that holds the members.
    pub(super) fn embedding(conversation: &'a Conversation, family: Family, api: &Url) -> Self {
        let id = conversation.id.as_str();
        Self {
            uuid: (family == Family::Beta).then_some(id),
            id: (family == Family::V03).then_some(id),
            name: &conversation.name,
            timestamp: Lifespan { created: Milliseconds(conversation.created), updated: None },
            sequence_number: conversation.sequence_number,
            numbers: Some(Numbers {}),
            properties: Properties { ttl: TTL_SECONDS, video: false },
            members: Some(conversation.members.iter().map(EmbeddedMember::of).collect()),
            state: None,
            _links: OwnLink::to(conversation_address(api, family, id)),
        }
    }

    /// The document without members, which are listed elsewhere.
    pub(super) fn bare(conversation: &'a Conversation, api: &Url) -> Self {
        let updated = conversation.updated.map(Milliseconds);
        Self {
            timestamp: Lifespan { created: Milliseconds(conversation.created), updated },
            numbers: None,
            members: None,
            state: Some("ACTIVE"),
            ..Self::embedding(conversation, Family::V03, api)
        }
    }
}
