//! The JSON documents of the API, key for key and in Vonage's order.

mod calls;
mod events;
mod members;
mod parts;

use serde::Serialize;

pub(super) use self::calls::CallDocument;
pub(super) use self::calls::CallPage;
pub(super) use self::events::EventDocument;
pub(super) use self::events::EventPage;
pub(super) use self::members::ListedMember;
pub(super) use self::members::MemberDocument;
pub(super) use self::members::MemberPage;
pub(super) use self::members::MemberReference;
pub(super) use self::members::NamedMember;
pub(super) use self::parts::Family;
pub(super) use self::parts::Link;
pub(super) use self::parts::PageLinks;
pub(super) use self::parts::Place;

use self::members::EmbeddedMember;
use self::parts::Milliseconds;
use self::parts::OwnLink;
use super::conversation::Conversation;
use super::world::World;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'static str>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<bool>,
}

// === impl ConversationDocument ===

impl<'a> ConversationDocument<'a> {
    /// The document that holds the members: of the families before v0.2, and of v0.3 in the tutorial.
    pub(super) fn embedding(world: &'a World, conversation: &'a Conversation, place: Place<'_>) -> Self {
        let embedded = |member| EmbeddedMember::of(world, conversation, member, place);
        let id = conversation.id.as_str();
        let is_old = matches!(place.family, Family::Beta | Family::V01);
        Self {
            uuid: is_old.then_some(id),
            id: (!is_old).then_some(id),
            numbers: Some(Numbers {}),
            members: Some(conversation.members.iter().map(embedded).collect()),
            timestamp: Lifespan { created: Milliseconds(conversation.created), updated: None },
            state: None,
            ..Self::bare(conversation, place)
        }
    }

    /// The document without members, which are listed elsewhere.
    pub(super) fn bare(conversation: &'a Conversation, place: Place<'_>) -> Self {
        let is_v02 = place.family == Family::V02;
        let updated = conversation.updated.filter(|_| !is_v02).map(Milliseconds);
        // The two newest definitions know nothing of video.
        let video = (!matches!(place.family, Family::V02 | Family::V1)).then_some(false);
        Self {
            uuid: None,
            id: Some(conversation.id.as_str()),
            name: &conversation.name,
            display_name: is_v02.then_some(""),
            image_url: is_v02.then_some(""),
            timestamp: Lifespan { created: Milliseconds(conversation.created), updated },
            sequence_number: conversation.sequence_number(),
            numbers: is_v02.then_some(Numbers {}),
            properties: Properties { ttl: TTL_SECONDS, video },
            members: None,
            state: Some("ACTIVE"),
            _links: OwnLink::to(place.conversation(&conversation.id)),
        }
    }
}
