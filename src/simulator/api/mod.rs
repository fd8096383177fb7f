//! The API: which document a path stands for.

mod calls;
mod page;

use url::Url;

use self::page::PageQuery;
use super::conversation::Conversation;
use super::documents::ConversationDocument;
use super::documents::EventDocument;
use super::documents::EventPage;
use super::documents::Family;
use super::documents::ListedMember;
use super::documents::MemberDocument;
use super::documents::MemberPage;
use super::documents::MemberReference;
use super::documents::NamedMember;
use super::documents::Place;
use super::event::Event;
use super::region::Region;
use super::reply::Reply;
use super::world::World;
use crate::domain::ids::ConversationId;

/// Where the members of a conversation are to be found in the v0.3 family. The families before v0.2 always
/// embed them, v0.2 and v1 never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// Inside the conversation's document.
    Embedded,
    /// Listed at `/members`, and one by one at `/members/{id}`.
    Listed,
}

/// The API of one host as a reader of the world.
#[derive(Debug)]
pub(super) struct Api {
    /// Where it is, with a slash at the end.
    pub(super) address: Url,
    /// Whose conversations it knows; without one, those that are in no region.
    pub(super) region: Option<Region>,
    pub(super) members: Members,
}

// === impl Members ===

impl Members {
    /// Whether the family's conversation document holds the members.
    pub(super) fn are_embedded(self, family: Family) -> bool {
        match family {
            Family::Beta | Family::V01 => true,
            Family::V03 => self == Self::Embedded,
            Family::V02 | Family::V1 => false,
        }
    }
}

// === impl Api ===

impl Api {
    /// Answers a GET of this path, which may have a query.
    pub(super) fn get(&self, world: &World, path_and_query: &str) -> Reply {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        // Vonage's gateway takes no slash at the end: it leaves an empty last segment.
        if segments.last().is_some_and(|segment| segment.is_empty()) {
            return Reply::no_resource();
        }
        match segments.as_slice() {
            ["v1", "calls"] => self.calls(world, query),
            ["v1", "calls", id] => self.call(world, id),
            [family, "conversations", id, rest @ ..] => match Family::of(family) {
                Some(family) => self.in_conversation(world, family, (*id, rest), query),
                None => Reply::no_resource(),
            },
            _ => Reply::no_resource(),
        }
    }

    fn in_conversation(
        &self,
        world: &World,
        family: Family,
        (id, rest): (&str, &[&str]),
        query: &str,
    ) -> Reply {
        if !matches!(rest, [] | ["members" | "events"] | ["members", _]) {
            return Reply::no_resource();
        }
        let id = ConversationId::parse(id).ok().filter(|id| world.region(id) == self.region);
        let Some(conversation) = id.and_then(|id| world.conversation(&id)) else {
            return Reply::no_conversation();
        };
        let place = Place { api: &self.address, family };
        match rest {
            [] if self.members.are_embedded(family) => {
                Reply::found(&ConversationDocument::embedding(world, conversation, place))
            }
            [] => Reply::found(&ConversationDocument::bare(conversation, place)),
            ["members"] => members(conversation, place, query).unwrap_or_else(|refusal| refusal),
            ["members", id] => member(conversation, place, id),
            _ => events(conversation, place, query, world.bare_events).unwrap_or_else(|refusal| refusal),
        }
    }
}

fn member(conversation: &Conversation, place: Place<'_>, id: &str) -> Reply {
    match (conversation.member(id), place.family) {
        (None, _) => Reply::no_member(),
        (Some(member), Family::Beta | Family::V01) => {
            Reply::found(&MemberReference::of(conversation, member, place))
        }
        (Some(member), _) => Reply::found(&MemberDocument::of(conversation, member, place)),
    }
}

fn members(conversation: &Conversation, place: Place<'_>, query: &str) -> Result<Reply, Reply> {
    if matches!(place.family, Family::Beta | Family::V01) {
        return Ok(Reply::found(&conversation.members.iter().map(NamedMember::of).collect::<Vec<_>>()));
    }
    let query = PageQuery::parse(conversation, query)?;
    let page = query.cut(conversation.members.iter().collect());
    let links =
        page.links(&query, conversation, &format!("{}/members", place.conversation(&conversation.id)));
    let shown = page.items.iter().map(|member| ListedMember::of(conversation, member, place)).collect();
    Ok(Reply::found(&MemberPage::of(query.size, shown, links, place.family)))
}

/// The families before v0.2 know no pages: they give all that was asked for.
fn events(conversation: &Conversation, place: Place<'_>, query: &str, bare: bool) -> Result<Reply, Reply> {
    let query = PageQuery::parse(conversation, query)?;
    let wanted: Vec<&Event> = conversation.events.iter().filter(|event| query.wants(event)).collect();
    if matches!(place.family, Family::Beta | Family::V01) {
        return Ok(Reply::found(&shown(conversation, &query.ordered(wanted), place)));
    }
    let page = query.cut(wanted);
    let links = page.links(&query, conversation, &format!("{}/events", place.conversation(&conversation.id)));
    let shown = shown(conversation, &page.items, place);
    Ok(Reply::found(&EventPage::of(query.size, shown, links, (place.family, bare))))
}

fn shown<'a>(
    conversation: &'a Conversation,
    events: &[&'a Event],
    place: Place<'_>,
) -> Vec<EventDocument<'a>> {
    events.iter().map(|event| EventDocument::of(conversation, event, place)).collect()
}
