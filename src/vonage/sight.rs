//! One look at a conversation at one host: as many requests as it takes.

use url::Url;

use super::client::{Asked, Look};
use super::document::{ConversationDocument, MemberDocument, MembersPage};
use super::family::Family;
use super::hold::Api;
use super::requests::{
    MAX_PAGES, Miss, PAGE_SIZE, Requests, conversation_address, trusted_link, unreadable, with_segments,
};
use crate::domain::clock::Clock;
use crate::domain::fetch::Known;
use crate::domain::ids::{MemberId, Region};
use crate::domain::snapshot::{Document, DocumentName, Sighting};

/// A look that is being taken.
pub(super) struct Sight<'a> {
    pub(super) requests: &'a Requests,
    pub(super) clock: &'a dyn Clock,
    pub(super) family: Family,
    /// Whether event lists are wanted.
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

impl Sight<'_> {
    /// Looks. The only errors are those of the first request, and a refusal.
    pub(super) async fn take(&self) -> Result<Look, Miss> {
        let taken_at = self.clock.now();
        let url = self.conversation_url();
        let (document, conversation) = self.read_conversation(&url).await?;
        let counted = conversation.sequence_number();
        let embedded = conversation.members().is_some();
        let has_more_events = self.has_more_events(&document, counted);
        let region = self.region.cloned();
        if !embedded && is_unchanged(self.asked.known, &document, counted) {
            return Ok(Look::Unchanged { at: self.clock.now(), region, has_more_events });
        }
        let mut documents = vec![document];
        let members =
            if embedded { Ok(Completeness::Whole) } else { self.read_members(&url, &mut documents).await };
        let sighting = Sighting {
            taken_at,
            family: self.family.as_str().to_owned(),
            // Without a number the next look reads the members again, whatever Vonage has counted.
            sequence_number: counted.filter(|_| matches!(members, Ok(Completeness::Whole))),
            documents,
            region,
        };
        match members {
            Ok(_) | Err(Miss::NotFound) => Ok(Look::Seen { sighting, has_more_events }),
            // The call may be over before the next try: what is had is worth keeping.
            Err(Miss::Failed(failure)) => Ok(Look::Interrupted(sighting, failure)),
            Err(refused @ Miss::Refused(_)) => Err(refused),
        }
    }

    async fn read_conversation(&self, url: &Url) -> Result<(Document, ConversationDocument), Miss> {
        let document = Document::new(DocumentName::Conversation, self.get(url).await?);
        let conversation = ConversationDocument::read(&document.body).filter(ConversationDocument::has_id);
        let conversation = conversation.ok_or(unreadable("it is no conversation"))?;
        let is_asked_for = |id: String| id.eq_ignore_ascii_case(self.asked.id.as_str());
        if !conversation.id().is_some_and(is_asked_for) {
            return Err(unreadable("it is another conversation"));
        }
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
            let page = MembersPage::read(&body).ok_or(unreadable("there is no list of members in it"))?;
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

    /// Whether the event list may tell more than is known: the number of a conversation is the id of its newest
    /// event. A list that was not there is not expected before something has changed.
    fn has_more_events(&self, conversation: &Document, counted: Option<i64>) -> bool {
        let is_told = |known: &Known| {
            let has_all = known.last_event_id.is_some() && known.last_event_id == counted;
            has_all || (known.has_no_event_list && known.conversation == conversation.digest)
        };
        self.events && self.family.has_event_list() && !self.asked.known.is_some_and(is_told)
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, Miss> {
        self.requests.get(Api::Conversations, url, self.asked.urgency).await
    }

    fn conversation_url(&self) -> Url {
        conversation_address(self.base, self.family, self.asked.id)
    }
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
