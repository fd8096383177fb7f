//! A conversation's event list at one host, read from the last known event on.

use url::Url;

use super::client::Asked;
use super::event::{ConversationEvent, EventsPage};
use super::hold::Api;
use super::requests::{MAX_PAGES, Miss, PAGE_SIZE, Requests, trusted_link, unreadable, with_segments};
use crate::domain::snapshot::{Document, DocumentName, EventList};

/// Reads the list of the conversation at this address, page by page. What comes before a page that fails is good.
///
/// # Errors
/// Those of the first page.
pub(super) async fn read(
    requests: &Requests,
    conversation: &Url,
    asked: Asked<'_>,
) -> Result<EventList, Miss> {
    let known = asked.known.and_then(|known| known.last_event_id);
    let mut list = EventList { documents: Vec::new(), last_event_id: known, is_whole: true };
    let mut next = Some(first_page(conversation, known));
    let mut visited: Vec<Url> = Vec::new();
    for page_number in 1..=MAX_PAGES {
        let Some(url) = next.take().filter(|url| !visited.contains(url)) else { break };
        let (page, body) = match page_at(requests, &url, asked).await {
            Ok(page) => page,
            Err(miss) if visited.is_empty() => return Err(miss),
            Err(_) => {
                list.is_whole = false;
                break;
            }
        };
        let newest = page.events.iter().filter_map(ConversationEvent::id).max();
        // A list that does not know `start_id` tells the known events again.
        if newest <= list.last_event_id {
            break;
        }
        list.last_event_id = newest;
        let name = DocumentName::Events { after: known.unwrap_or(0), page: page_number };
        list.documents.push(Document::new(name, body));
        next = page.next.and_then(|link| trusted_link(&url, &link));
        visited.push(url);
    }
    list.is_whole &= next.is_none();
    Ok(list)
}

async fn page_at(requests: &Requests, url: &Url, asked: Asked<'_>) -> Result<(EventsPage, Vec<u8>), Miss> {
    let body = requests.get(Api::Conversations, url, asked.urgency).await?;
    let page = EventsPage::read(&body).ok_or(unreadable("there is no list of events in it"))?;
    Ok((page, body))
}

/// The list from the event after `known` on, oldest first: that is Vonage's order when none is named.
fn first_page(conversation: &Url, known: Option<i64>) -> Url {
    let mut address = with_segments(conversation, &["events"]);
    address.query_pairs_mut().append_pair("page_size", &PAGE_SIZE.to_string());
    if let Some(known) = known {
        address.query_pairs_mut().append_pair("start_id", &known.saturating_add(1).to_string());
    }
    address
}
