//! Which part of a conversation's lists is asked for, and the links to the other parts.

use url::form_urlencoded;

use crate::simulator::conversation::Conversation;
use crate::simulator::documents::Link;
use crate::simulator::documents::PageLinks;
use crate::simulator::event::Event;
use crate::simulator::reply::Reply;

const DEFAULT_PAGE_SIZE: usize = 10;
const MAX_PAGE_SIZE: usize = 100;

/// Which part of a list is asked for.
pub(super) struct PageQuery {
    pub(super) size: usize,
    descending: bool,
    start: usize,
    /// Which events: from this one on, up to this one, and of these types.
    first_id: Option<u64>,
    last_id: Option<u64>,
    kinds: Vec<String>,
}

/// The part that was asked for.
pub(super) struct Page<'a, T> {
    pub(super) items: Vec<&'a T>,
    /// Where the next page begins, when there is one.
    next: Option<usize>,
}

// === impl PageQuery ===

impl PageQuery {
    /// Reads the query of a request for one of this conversation's lists.
    ///
    /// # Errors
    /// Vonage's refusal, when something in it cannot be.
    pub(super) fn parse(conversation: &Conversation, query: &str) -> Result<Self, Reply> {
        let mut page = Self {
            size: DEFAULT_PAGE_SIZE,
            descending: false,
            start: 0,
            first_id: None,
            last_id: None,
            kinds: Vec::new(),
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "page_size" => page.size = page_size(&value)?,
                "order" => page.descending = is_descending(&value)?,
                "cursor" => {
                    page.start = cursor_start(conversation, &value).ok_or_else(Reply::invalid_cursor)?;
                }
                "start_id" => page.first_id = Some(event_id("start_id", &value)?),
                "end_id" => page.last_id = Some(event_id("end_id", &value)?),
                "event_type" => page.kinds = value.split(',').map(str::to_owned).collect(),
                _ => {}
            }
        }
        Ok(page)
    }

    /// Whether the event is asked for.
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.first_id.is_none_or(|first| event.id >= first)
            && self.last_id.is_none_or(|last| event.id <= last)
            && (self.kinds.is_empty() || self.kinds.contains(&event.note.kind))
    }

    /// The whole list, in the order that is asked for.
    pub(super) fn ordered<'a, T>(&self, mut items: Vec<&'a T>) -> Vec<&'a T> {
        if self.descending {
            items.reverse();
        }
        items
    }

    /// The page that is asked for out of the whole list.
    pub(super) fn cut<'a, T>(&self, items: Vec<&'a T>) -> Page<'a, T> {
        let items = self.ordered(items);
        let end = items.len().min(self.start + self.size);
        let next = (end < items.len()).then_some(end);
        Page { items: items.get(self.start..end).unwrap_or_default().to_vec(), next }
    }

    fn link(&self, conversation: &Conversation, list: &str, start: usize) -> Link {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("order", if self.descending { "desc" } else { "asc" });
        query.append_pair("page_size", &self.size.to_string());
        for (name, id) in [("start_id", self.first_id), ("end_id", self.last_id)] {
            query.extend_pairs(id.map(|id| (name, id.to_string())));
        }
        if !self.kinds.is_empty() {
            query.append_pair("event_type", &self.kinds.join(","));
        }
        if start > 0 {
            query.append_pair("cursor", &cursor(conversation, start));
        }
        Link { href: format!("{list}?{}", query.finish()) }
    }
}

// === impl Page ===

impl<T> Page<'_, T> {
    /// The ways from this page of the list at the address `list` to the others.
    pub(super) fn links(&self, query: &PageQuery, conversation: &Conversation, list: &str) -> PageLinks {
        let link = |start| query.link(conversation, list, start);
        PageLinks { first: link(0), own: link(query.start), next: self.next.map(link) }
    }
}

/// How many items a page may have.
pub(super) fn page_size(text: &str) -> Result<usize, Reply> {
    match text.parse() {
        Ok(size @ 1..=MAX_PAGE_SIZE) => Ok(size),
        Ok(0) => Err(Reply::invalid_parameter("page_size", "must be larger than or equal to 1")),
        Ok(_) => Err(Reply::invalid_parameter("page_size", "must be less than or equal to 100")),
        Err(_) => Err(Reply::invalid_parameter("page_size", "must be a number")),
    }
}

/// Whether the newest come first.
pub(super) fn is_descending(text: &str) -> Result<bool, Reply> {
    match text {
        "asc" | "ASC" => Ok(false),
        "desc" | "DESC" => Ok(true),
        _ => Err(Reply::invalid_parameter("order", "must be one of [asc, desc, ASC, DESC]")),
    }
}

fn event_id(name: &'static str, text: &str) -> Result<u64, Reply> {
    text.parse().map_err(|_| Reply::invalid_parameter(name, "must be a number"))
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
