//! The list of a conversation's events, in its four shapes.

use serde::Serialize;
use serde_json::Value;

use super::parts::Family;
use super::parts::Milliseconds;
use super::parts::OwnLink;
use super::parts::PageLinks;
use super::parts::Place;
use crate::domain::ids::MemberId;
use crate::simulator::conversation::Conversation;
use crate::simulator::event::Event;

/// One event as its list shows it.
#[derive(Serialize)]
pub(in crate::simulator) struct EventDocument<'a> {
    id: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    body: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    timestamp: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _embedded: Option<Source<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _links: Option<OwnLink>,
}

/// One page of the list of events. The families before v0.2 have a bare array instead.
#[derive(Serialize)]
pub(in crate::simulator) struct EventPage<'a> {
    page_size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Nothing>,
    _embedded: EmbeddedEvents<'a>,
    _links: PageLinks,
}

/// The empty object.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(untagged)]
enum EmbeddedEvents<'a> {
    InData { data: Events<'a> },
    Named(Events<'a>),
    Bare(Vec<EventDocument<'a>>),
}

#[derive(Serialize)]
struct Events<'a> {
    events: Vec<EventDocument<'a>>,
}

/// Whom an event comes from.
#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from_user: Option<SourceUser<'a>>,
    from_member: SourceMember<'a>,
}

#[derive(Serialize)]
struct SourceUser<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct SourceMember<'a> {
    id: &'a str,
}

// === impl EventDocument ===

impl<'a> EventDocument<'a> {
    /// The event as this family shows it: up to v0.2 with empty texts and an address, later with links.
    pub(in crate::simulator) fn of(
        conversation: &'a Conversation,
        event: &'a Event,
        place: Place<'_>,
    ) -> Self {
        let is_old = matches!(place.family, Family::Beta | Family::V01 | Family::V02);
        let href = place.event(&conversation.id, event.id);
        let (href, links) = if is_old { (Some(href), None) } else { (None, Some(OwnLink::to(href))) };
        let from = event.note.from.as_ref().map(MemberId::as_str);
        let to = event.note.to.as_ref().map(MemberId::as_str);
        Self {
            id: event.id,
            kind: &event.note.kind,
            from,
            to: to.or(is_old.then_some("")),
            body: event.note.listed_body(),
            state: is_old.then_some(""),
            timestamp: Milliseconds(event.at),
            href,
            _embedded: from.filter(|_| !is_old).map(|from| Source::of(conversation, from)),
            _links: links,
        }
    }
}

// === impl Source ===

impl<'a> Source<'a> {
    fn of(conversation: &'a Conversation, member_id: &'a str) -> Self {
        let user = conversation
            .member(member_id)
            .map(|member| SourceUser { id: &member.participant.user_id, name: &member.participant.name });
        Self { from_user: user, from_member: SourceMember { id: member_id } }
    }
}

// === impl EventPage ===

impl<'a> EventPage<'a> {
    /// A page of these events. `bare` puts the array right into `_embedded`.
    pub(in crate::simulator) fn of(
        page_size: usize,
        events: Vec<EventDocument<'a>>,
        links: PageLinks,
        (family, bare): (Family, bool),
    ) -> Self {
        let embedded = match family {
            Family::V02 => EmbeddedEvents::InData { data: Events { events } },
            Family::V1 if bare => EmbeddedEvents::Bare(events),
            _ => EmbeddedEvents::Named(Events { events }),
        };
        let cursor = (family == Family::V02).then_some(Nothing {});
        Self { page_size, cursor, _embedded: embedded, _links: links }
    }
}
