//! A member in its three forms: embedded, listed, and by itself.

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use super::parts::Family;
use super::parts::Initiator;
use super::parts::Link;
use super::parts::Media;
use super::parts::OwnLink;
use super::parts::PageLinks;
use super::parts::Place;
use super::parts::Times;
use crate::domain::ids::LegId;
use crate::simulator::conversation::Conversation;
use crate::simulator::member::Channel;
use crate::simulator::member::Member;
use crate::simulator::member::MemberState;
use crate::simulator::world::World;

/// GET of one member, from v0.2 on.
#[derive(Serialize)]
pub(in crate::simulator) struct MemberDocument<'a> {
    id: &'a str,
    conversation_id: &'a str,
    _embedded: EmbeddedUser<User<'a>>,
    state: MemberState,
    timestamp: Times,
    initiator: Initiator<'a>,
    channel: &'a Channel,
    media: Media,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_by: Option<&'a str>,
    _links: MemberLinks,
}

/// GET of one member before v0.2: hardly anything.
#[derive(Serialize)]
pub(in crate::simulator) struct MemberReference<'a> {
    id: &'a str,
    href: String,
}

/// A member as a page of the list shows it, from v0.2 on.
#[derive(Serialize)]
pub(in crate::simulator) struct ListedMember<'a> {
    id: &'a str,
    state: MemberState,
    _embedded: EmbeddedUser<ListedUser<'a>>,
    _links: MemberLinks,
}

/// A member in the bare array of the families before v0.2.
#[derive(Serialize)]
pub(in crate::simulator) struct NamedMember<'a> {
    user_id: &'a str,
    name: &'a str,
    user_name: &'a str,
    state: MemberState,
}

/// One page of the list of members.
#[derive(Serialize)]
pub(in crate::simulator) struct MemberPage<'a> {
    page_size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'static str>,
    _embedded: EmbeddedMembers<'a>,
    _links: PageLinks,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum EmbeddedMembers<'a> {
    Members(Vec<ListedMember<'a>>),
    Data { members: Vec<ListedMember<'a>> },
}

/// The address of the member itself: v1 leaves out the word `self`.
#[derive(Serialize)]
#[serde(untagged)]
enum MemberLinks {
    Own(OwnLink),
    Bare(Link),
}

/// A member inside the conversation's document.
#[derive(Serialize)]
pub(super) struct EmbeddedMember<'a> {
    member_id: &'a str,
    user_id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<Value>,
    state: MemberState,
    timestamp: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_by: Option<&'a str>,
    channel: &'a Channel,
    initiator: Initiator<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<Media>,
    #[serde(flatten)]
    more: Option<MoreOfMember<'a>>,
}

/// What only v0.1 tells of an embedded member.
#[derive(Serialize)]
struct MoreOfMember<'a> {
    leg_ids: Vec<&'a str>,
    legs: Vec<LegOfMember<'a>>,
    #[serde(rename = "isDisabledCallback")]
    is_disabled_callback: bool,
    href: String,
}

#[derive(Serialize)]
struct LegOfMember<'a> {
    leg_id: &'a str,
    status: &'a str,
}

#[derive(Serialize)]
struct EmbeddedUser<U> {
    user: U,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    _links: OwnLink,
}

/// A list shows an absent `display_name` as null; a single member leaves it out.
#[derive(Serialize)]
struct ListedUser<'a> {
    id: &'a str,
    name: &'a str,
    display_name: Option<&'a str>,
    _links: OwnLink,
}

// === impl MemberDocument ===

impl<'a> MemberDocument<'a> {
    /// The document of `member`.
    pub(in crate::simulator) fn of(
        conversation: &'a Conversation,
        member: &'a Member,
        place: Place<'_>,
    ) -> Self {
        let participant = &member.participant;
        let user = User {
            id: &participant.user_id,
            name: &participant.name,
            display_name: participant.display_name.as_deref(),
            _links: OwnLink::to(place.user(&participant.user_id)),
        };
        Self {
            id: participant.member_id.as_str(),
            conversation_id: conversation.id.as_str(),
            _embedded: EmbeddedUser { user },
            state: member.state,
            timestamp: Times::of(member),
            initiator: Initiator::of(member, place.family),
            channel: &participant.channel,
            media: Media::of(member.audio, place.family),
            invited_by: participant.invited_by.as_deref(),
            _links: MemberLinks::to(conversation, member, place),
        }
    }
}

// === impl MemberReference ===

impl<'a> MemberReference<'a> {
    /// The id of `member`, and where it is.
    pub(in crate::simulator) fn of(
        conversation: &Conversation,
        member: &'a Member,
        place: Place<'_>,
    ) -> Self {
        let href = place.member(&conversation.id, member);
        Self { id: member.participant.member_id.as_str(), href }
    }
}

// === impl MemberPage ===

impl<'a> MemberPage<'a> {
    /// A page of these members.
    pub(in crate::simulator) fn of(
        page_size: usize,
        members: Vec<ListedMember<'a>>,
        links: PageLinks,
        family: Family,
    ) -> Self {
        let is_v02 = family == Family::V02;
        let embedded =
            if is_v02 { EmbeddedMembers::Data { members } } else { EmbeddedMembers::Members(members) };
        // What v0.2 says of the cursor is of no use: the links lead on.
        Self { page_size, cursor: is_v02.then_some(""), _embedded: embedded, _links: links }
    }
}

// === impl ListedMember ===

impl<'a> ListedMember<'a> {
    /// The short form of `member`.
    pub(in crate::simulator) fn of(
        conversation: &'a Conversation,
        member: &'a Member,
        place: Place<'_>,
    ) -> Self {
        let participant = &member.participant;
        let user = ListedUser {
            id: &participant.user_id,
            name: &participant.name,
            display_name: participant.display_name.as_deref(),
            _links: OwnLink::to(place.user(&participant.user_id)),
        };
        Self {
            id: participant.member_id.as_str(),
            state: member.state,
            _embedded: EmbeddedUser { user },
            _links: MemberLinks::to(conversation, member, place),
        }
    }
}

// === impl NamedMember ===

impl<'a> NamedMember<'a> {
    /// The oldest form of `member`, which has no id.
    pub(in crate::simulator) fn of(member: &'a Member) -> Self {
        let participant = &member.participant;
        let (user_id, name) = (&participant.user_id, &participant.name);
        Self { user_id, name, user_name: name, state: member.state }
    }
}

// === impl MemberLinks ===

impl MemberLinks {
    fn to(conversation: &Conversation, member: &Member, place: Place<'_>) -> Self {
        let href = place.member(&conversation.id, member);
        if place.family == Family::V1 { Self::Bare(Link { href }) } else { Self::Own(OwnLink::to(href)) }
    }
}

// === impl EmbeddedMember ===

impl<'a> EmbeddedMember<'a> {
    pub(super) fn of(
        world: &'a World,
        conversation: &Conversation,
        member: &'a Member,
        place: Place<'_>,
    ) -> Self {
        let participant = &member.participant;
        let is_v01 = place.family == Family::V01;
        let display_name = participant.display_name.as_deref();
        // The tutorial's answers, in which nobody was ever muted, say nothing of it.
        let is_quiet = member.audio.muted || member.audio.earmuffed;
        Self {
            member_id: participant.member_id.as_str(),
            user_id: &participant.user_id,
            name: &participant.name,
            display_name: (is_v01 || display_name.is_some()).then(|| json!(display_name)),
            state: member.state,
            timestamp: Times::of(member),
            invited_by: participant.invited_by.as_deref(),
            channel: &participant.channel,
            initiator: Initiator::of(member, place.family),
            media: (is_v01 || is_quiet).then(|| Media::of(member.audio, place.family)),
            more: is_v01.then(|| MoreOfMember::of(world, conversation, member, place)),
        }
    }
}

// === impl MoreOfMember ===

impl<'a> MoreOfMember<'a> {
    fn of(world: &'a World, conversation: &Conversation, member: &'a Member, place: Place<'_>) -> Self {
        let legs = &member.participant.channel.leg_ids;
        let status = |id: &str| world.leg(id).map_or("started", |record| record.status());
        Self {
            leg_ids: legs.iter().map(LegId::as_str).collect(),
            legs: legs
                .iter()
                .map(|leg| LegOfMember { leg_id: leg.as_str(), status: status(leg.as_str()) })
                .collect(),
            is_disabled_callback: false,
            href: place.member(&conversation.id, member),
        }
    }
}
