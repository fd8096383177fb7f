//! A member in its three forms: embedded, listed, and by itself.

use serde::Serialize;
use url::Url;

use super::parts::Initiator;
use super::parts::Link;
use super::parts::OwnLink;
use super::parts::Times;
use super::parts::member_address;
use super::parts::user_address;
use crate::simulator::member::Channel;
use crate::simulator::member::Member;
use crate::simulator::member::MemberState;
use crate::simulator::world::Conversation;

/// GET of one member.
#[derive(Serialize)]
pub(in crate::simulator) struct MemberDocument<'a> {
    id: &'a str,
    conversation_id: &'a str,
    _embedded: EmbeddedUser<'a>,
    state: MemberState,
    timestamp: Times,
    initiator: Initiator<'a>,
    channel: &'a Channel,
    media: Media,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_by: Option<&'a str>,
    _links: OwnLink,
}

/// A member as a page of the list shows it.
#[derive(Serialize)]
pub(in crate::simulator) struct ListedMember<'a> {
    id: &'a str,
    state: MemberState,
    _embedded: EmbeddedListedUser<'a>,
    _links: OwnLink,
}

/// One page of the list of members.
#[derive(Serialize)]
pub(in crate::simulator) struct MemberPage<'a> {
    page_size: usize,
    _embedded: Page<'a>,
    _links: PageLinks,
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
struct Page<'a> {
    members: Vec<ListedMember<'a>>,
}

/// A member inside the conversation's document.
#[derive(Serialize)]
pub(super) struct EmbeddedMember<'a> {
    member_id: &'a str,
    user_id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    state: MemberState,
    timestamp: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    invited_by: Option<&'a str>,
    channel: &'a Channel,
    initiator: Initiator<'a>,
}

#[derive(Serialize)]
struct EmbeddedUser<'a> {
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    _links: OwnLink,
}

#[derive(Serialize)]
struct EmbeddedListedUser<'a> {
    user: ListedUser<'a>,
}

/// A list shows an absent `display_name` as null; a single member leaves it out.
#[derive(Serialize)]
struct ListedUser<'a> {
    id: &'a str,
    name: &'a str,
    display_name: Option<&'a str>,
    _links: OwnLink,
}

#[derive(Serialize)]
struct Media {
    audio_settings: AudioSettings,
}

#[derive(Serialize, Default)]
struct AudioSettings {
    enabled: bool,
    earmuffed: bool,
    muted: bool,
}

// === impl MemberDocument ===

impl<'a> MemberDocument<'a> {
    /// The document of `member`.
    pub(in crate::simulator) fn of(conversation: &'a Conversation, member: &'a Member, api: &Url) -> Self {
        let participant = &member.participant;
        let user = User {
            id: &participant.user_id,
            name: &participant.name,
            display_name: participant.display_name.as_deref(),
            _links: OwnLink::to(user_address(api, &participant.user_id)),
        };
        Self {
            id: participant.member_id.as_str(),
            conversation_id: conversation.id.as_str(),
            _embedded: EmbeddedUser { user },
            state: member.state,
            timestamp: Times::of(member),
            initiator: Initiator::of(member),
            channel: &participant.channel,
            media: Media { audio_settings: AudioSettings::default() },
            invited_by: participant.invited_by.as_deref(),
            _links: OwnLink::to(member_address(api, conversation, member)),
        }
    }
}

// === impl MemberPage ===

impl<'a> MemberPage<'a> {
    /// A page of these members.
    pub(in crate::simulator) fn of(
        page_size: usize,
        members: Vec<ListedMember<'a>>,
        links: PageLinks,
    ) -> Self {
        Self { page_size, _embedded: Page { members }, _links: links }
    }
}

// === impl ListedMember ===

impl<'a> ListedMember<'a> {
    /// The short form of `member`.
    pub(in crate::simulator) fn of(conversation: &'a Conversation, member: &'a Member, api: &Url) -> Self {
        let participant = &member.participant;
        let user = ListedUser {
            id: &participant.user_id,
            name: &participant.name,
            display_name: participant.display_name.as_deref(),
            _links: OwnLink::to(user_address(api, &participant.user_id)),
        };
        Self {
            id: participant.member_id.as_str(),
            state: member.state,
            _embedded: EmbeddedListedUser { user },
            _links: OwnLink::to(member_address(api, conversation, member)),
        }
    }
}

// === impl EmbeddedMember ===

impl<'a> EmbeddedMember<'a> {
    pub(super) fn of(member: &'a Member) -> Self {
        let participant = &member.participant;
        Self {
            member_id: participant.member_id.as_str(),
            user_id: &participant.user_id,
            name: &participant.name,
            display_name: participant.display_name.as_deref(),
            state: member.state,
            timestamp: Times::of(member),
            invited_by: participant.invited_by.as_deref(),
            channel: &participant.channel,
            initiator: Initiator::of(member),
        }
    }
}
