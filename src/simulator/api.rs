//! The Conversation API: which document a path stands for.

use url::Url;
use url::form_urlencoded;

use super::documents::ConversationDocument;
use super::documents::Family;
use super::documents::Link;
use super::documents::ListedMember;
use super::documents::MemberDocument;
use super::documents::MemberPage;
use super::documents::PageLinks;
use super::documents::conversation_address;
use super::member::Member;
use super::reply::Reply;
use super::world::Conversation;
use super::world::World;
use crate::domain::ids::ConversationId;

/// Where the members of a conversation are to be found in the v0.3 family. The beta one always embeds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// Inside the conversation's document.
    Embedded,
    /// Listed at `/members`, and one by one at `/members/{id}`.
    Listed,
}

/// The API as a reader of the world.
#[derive(Debug)]
pub(super) struct Api {
    /// Where it is, with a slash at the end.
    pub(super) address: Url,
    pub(super) members: Members,
}

/// Which part of a list is asked for.
struct PageQuery {
    size: usize,
    descending: bool,
    start: usize,
}

const DEFAULT_PAGE_SIZE: usize = 10;
const MAX_PAGE_SIZE: usize = 100;

// === impl Api ===

impl Api {
    /// Answers a GET of this path, which may have a query.
    pub(super) fn get(&self, world: &World, path_and_query: &str) -> Reply {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let [family, "conversations", id, rest @ ..] = segments.as_slice() else {
            return Reply::no_resource();
        };
        // Vonage's gateway takes no slash at the end: it leaves an empty last segment.
        let (Some(family), Some(true)) = (Family::of(family), segments.last().map(|it| !it.is_empty()))
        else {
            return Reply::no_resource();
        };
        let known = ConversationId::parse(*id).ok().and_then(|id| world.conversation(&id));
        match (family, rest, known) {
            (_, [] | ["members"] | ["members", _], None) => Reply::no_conversation(),
            (_, [], Some(conversation)) => self.conversation(conversation, family),
            (Family::V03, ["members"], Some(conversation)) => self.list(conversation, query),
            (Family::V03, ["members", id], Some(conversation)) => match conversation.member(id) {
                Some(member) => Reply::found(&MemberDocument::of(conversation, member, &self.address)),
                None => Reply::no_member(),
            },
            _ => Reply::no_resource(),
        }
    }

    /// Whether the v0.3 family's conversation document holds the members.
    pub(super) fn embeds(&self, family: Family) -> bool {
        family == Family::Beta || self.members == Members::Embedded
    }

    fn conversation(&self, conversation: &Conversation, family: Family) -> Reply {
        if self.embeds(family) {
            Reply::found(&ConversationDocument::embedding(conversation, family, &self.address))
        } else {
            Reply::found(&ConversationDocument::bare(conversation, &self.address))
        }
    }

    fn list(&self, conversation: &Conversation, query: &str) -> Reply {
        let page = match PageQuery::parse(conversation, query) {
            Ok(page) => page,
            Err(refusal) => return refusal,
        };
        let mut members: Vec<&Member> = conversation.members.iter().collect();
        if page.descending {
            members.reverse();
        }
        let end = members.len().min(page.start + page.size);
        let shown = members.get(page.start..end).unwrap_or_default();
        let shown =
            shown.iter().map(|member| ListedMember::of(conversation, member, &self.address)).collect();
        let links = PageLinks {
            first: self.page_link(conversation, &page, 0),
            own: self.page_link(conversation, &page, page.start),
            next: (end < members.len()).then(|| self.page_link(conversation, &page, end)),
        };
        Reply::found(&MemberPage::of(page.size, shown, links))
    }

    fn page_link(&self, conversation: &Conversation, page: &PageQuery, start: usize) -> Link {
        let address = conversation_address(&self.address, Family::V03, conversation.id.as_str());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("order", if page.descending { "desc" } else { "asc" });
        query.append_pair("page_size", &page.size.to_string());
        if start > 0 {
            query.append_pair("cursor", &cursor(conversation, start));
        }
        Link { href: format!("{address}/members?{}", query.finish()) }
    }
}

// === impl PageQuery ===

impl PageQuery {
    fn parse(conversation: &Conversation, query: &str) -> Result<Self, Reply> {
        let mut page = Self { size: DEFAULT_PAGE_SIZE, descending: false, start: 0 };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "page_size" => page.size = page_size(&value)?,
                "order" => page.descending = is_descending(&value)?,
                "cursor" => {
                    page.start = cursor_start(conversation, &value).ok_or_else(Reply::invalid_cursor)?;
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

fn page_size(text: &str) -> Result<usize, Reply> {
    match text.parse() {
        Ok(size @ 1..=MAX_PAGE_SIZE) => Ok(size),
        Ok(0) => Err(Reply::invalid_parameter("page_size", "must be larger than or equal to 1")),
        Ok(_) => Err(Reply::invalid_parameter("page_size", "must be less than or equal to 100")),
        Err(_) => Err(Reply::invalid_parameter("page_size", "must be a number")),
    }
}

fn is_descending(text: &str) -> Result<bool, Reply> {
    match text {
        "asc" | "ASC" => Ok(false),
        "desc" | "DESC" => Ok(true),
        _ => Err(Reply::invalid_parameter("order", "must be one of [asc, desc, ASC, DESC]")),
    }
}

/// Names a place in the list. It must be percent-encoded in an address, as Vonage's cursors must, so that
/// a client which decodes or rebuilds a link is found out.
fn cursor(conversation: &Conversation, start: usize) -> String {
    format!("{}/{start}+==", conversation.id)
}

fn cursor_start(conversation: &Conversation, text: &str) -> Option<usize> {
    let (id, rest) = text.split_once('/')?;
    let start = rest.strip_suffix("+==")?.parse().ok()?;
    (id == conversation.id.as_str()).then_some(start)
}
