//! One look at a conversation at one host: as many requests as it takes.

use url::Url;

use super::client::{Asked, EventTurns, Look};
use super::document::{ConversationDocument, MemberDocument, MembersPage};
use super::event::{ConversationEvent, EventsPage};
use super::family::Family;
use super::requests::{MAX_PAGES, Miss, PAGE_SIZE, Requests, trusted_link, unreadable, with_segments};
use crate::domain::clock::Clock;
use crate::domain::fetch::Known;
use crate::domain::ids::{MemberId, Region};
use crate::domain::snapshot::{Document, DocumentName, EventsRead, Sighting};

/// A look that is being taken.
pub(super) struct Sight<'a> {
    pub(super) requests: &'a Requests,
    pub(super) clock: &'a dyn Clock,
    pub(super) family: Family,
    /// Whether the event list is wanted.
    pub(super) events: bool,
    /// The host.
    pub(super) base: &'a Url,
    /// The region whose host it is; `None` for the configured one.
    pub(super) region: Option<&'a Region>,
    pub(super) asked: Asked<'a>,
}

/// Whether every member that was listed could be read.
enum Completeness {
    Whole,
    /// Some member was gone when it was asked for.
    Partial,
}

/// What came of the event list.
struct Events {
    documents: Vec<Document>,
    read: EventsRead,
}

impl Sight<'_> {
    /// Looks. The only errors are those of the first request, and a refusal.
    pub(super) async fn take(&self) -> Result<Look, Miss> {
        let taken_at = self.clock.now();
        let url = self.conversation_url();
        let (document, conversation) = self.read_conversation(&url).await?;
        let counted = conversation.sequence_number();
        let embedded = conversation.members().is_some();
        let unchanged = !embedded && is_unchanged(self.asked.known, &document, counted);
        let mut events = self.no_events();
        if unchanged {
            // An earlier look may have left events unread: there was no request to spare.
            events = self.read_events(&url, counted).await;
            if events.documents.is_empty() {
                return Ok(Look::Unchanged { at: self.clock.now(), events: events.read });
            }
        }
        let mut documents = vec![document];
        let members =
            if embedded { Ok(Completeness::Whole) } else { self.read_members(&url, &mut documents).await };
        if !unchanged && members.is_ok() {
            events = self.read_events(&url, counted).await;
        }
        documents.append(&mut events.documents);
        let sighting = Sighting {
            taken_at,
            family: self.family.as_str().to_owned(),
            // Without a number the next look reads the members again, whatever Vonage has counted.
            sequence_number: counted.filter(|_| matches!(members, Ok(Completeness::Whole))),
            documents,
            events: events.read,
            region: self.region.cloned(),
        };
        match members {
            Ok(_) | Err(Miss::NotFound) => Ok(Look::Seen(sighting)),
            // The call may be over before the next try: what is had is worth keeping.
            Err(Miss::Failed(failure)) => Ok(Look::Interrupted(sighting, failure)),
            Err(refused @ Miss::Refused(_)) => Err(refused),
        }
    }

    async fn read_conversation(&self, url: &Url) -> Result<(Document, ConversationDocument), Miss> {
        let document = Document::new(DocumentName::Conversation, self.get(url).await?);
        let conversation = ConversationDocument::read(&document.body).filter(ConversationDocument::has_id);
        let conversation = conversation.ok_or(unreadable("it is no conversation"))?;
        Ok((document, conversation))
    }

    /// Lists the members and reads each: the list has them in short form only. One that the list gives no id
    /// for cannot be asked for.
    async fn read_members(
        &self,
        conversation: &Url,
        documents: &mut Vec<Document>,
    ) -> Result<Completeness, Miss> {
        let mut completeness = Completeness::Whole;
        for member in self.list_members(conversation, documents).await? {
            let url = with_segments(conversation, &["members", member.as_str()]);
            match self.get(&url).await {
                Ok(body) => {
                    MemberDocument::read(&body).ok_or(unreadable("a member is not a JSON object"))?;
                    documents.push(Document::new(DocumentName::Member(member), body));
                }
                Err(Miss::NotFound) => completeness = Completeness::Partial,
                Err(miss) => return Err(miss),
            }
        }
        Ok(completeness)
    }

    async fn list_members(
        &self,
        conversation: &Url,
        documents: &mut Vec<Document>,
    ) -> Result<Vec<MemberId>, Miss> {
        let mut first = with_segments(conversation, &["members"]);
        first.query_pairs_mut().append_pair("page_size", &PAGE_SIZE.to_string());
        let mut next = Some(first);
        let mut members: Vec<MemberId> = Vec::new();
        let mut asked: Vec<Url> = Vec::new();
        for page_number in 1..=MAX_PAGES {
            let Some(url) = next.take().filter(|url| !asked.contains(url)) else { break };
            let body = self.get(&url).await?;
            let page = MembersPage::read(&body).ok_or(unreadable("the list of members is not JSON"))?;
            documents.push(Document::new(DocumentName::Members(page_number), body));
            if page.members.is_empty() {
                break;
            }
            members.extend(page.members.iter().filter_map(MemberDocument::id));
            next = page.next.and_then(|link| trusted_link(&url, &link));
            asked.push(url);
        }
        Ok(members)
    }

    /// Reads the events after the last known one, as far as there are turns for it. Whatever goes wrong here,
    /// the rest of the look is good: what is left is read by a later one.
    async fn read_events(&self, conversation: &Url, counted: Option<i64>) -> Events {
        let before = self.asked.known.and_then(|known| known.last_event_id);
        let mut events = self.no_events();
        if events.read == EventsRead::NotAsked {
            return events;
        }
        // The number of a conversation is the id of its newest event.
        if before.is_some() && before == counted {
            return Events { read: EventsRead::Read { last_event_id: before }, ..events };
        }
        let mut last = before;
        let mut next = Some(events_address(conversation, before));
        let mut asked: Vec<Url> = Vec::new();
        for page_number in 1..=MAX_PAGES {
            let Some(url) = next.take().filter(|url| !asked.contains(url)) else { break };
            let answer = self.get_events(&url).await;
            let page =
                answer.map(|answer| answer.ok().and_then(|body| Some((EventsPage::read(&body)?, body))));
            let (page, body) = match page {
                None => {
                    events.read = EventsRead::Postponed { last_event_id: last };
                    break;
                }
                Some(None) => break,
                Some(Some(page)) => page,
            };
            let newest = page.events.iter().filter_map(ConversationEvent::id).max();
            events.read = EventsRead::Read { last_event_id: last.max(newest) };
            // A list that does not know `start_id` tells the known events again.
            if newest <= last {
                break;
            }
            last = newest;
            let name = DocumentName::Events { after: before.unwrap_or(0), page: page_number };
            events.documents.push(Document::new(name, body));
            next = page.next.and_then(|link| trusted_link(&url, &link));
            asked.push(url);
        }
        events
    }

    /// A page of events, unless there is no turn for it.
    async fn get_events(&self, url: &Url) -> Option<Result<Vec<u8>, Miss>> {
        match self.asked.events {
            EventTurns::Spare => self.requests.get_if_spare(url).await,
            EventTurns::Own => Some(self.get(url).await),
        }
    }

    fn no_events(&self) -> Events {
        let wanted = self.events && self.family.has_event_list();
        Events { documents: Vec::new(), read: if wanted { EventsRead::Failed } else { EventsRead::NotAsked } }
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, Miss> {
        self.requests.get(url, self.asked.urgency).await
    }

    fn conversation_url(&self) -> Url {
        with_segments(self.base, &[self.family.as_str(), "conversations", self.asked.id.as_str()])
    }
}

/// The list of events from the one after `before` on, oldest first: that is Vonage's order when none is named.
fn events_address(conversation: &Url, before: Option<i64>) -> Url {
    let mut address = with_segments(conversation, &["events"]);
    address.query_pairs_mut().append_pair("page_size", &PAGE_SIZE.to_string());
    if let Some(before) = before {
        address.query_pairs_mut().append_pair("start_id", &before.saturating_add(1).to_string());
    }
    address
}

/// Equal numbers mean that Vonage has counted no event since. A zero is not trusted: some answers have it
/// where nothing was counted.
fn is_unchanged(known: Option<&Known>, conversation: &Document, sequence_number: Option<i64>) -> bool {
    known.is_some_and(|known| {
        known.conversation == conversation.digest
            && known.sequence_number == sequence_number
            && sequence_number.is_some_and(|number| number > 0)
    })
}
