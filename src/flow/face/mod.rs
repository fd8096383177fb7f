//! Vonage's own face for past calls: what the Conversation API would have answered at an instant.
//!
//! A conversation, a list of members, a member: the newest that was stored by then, also where it is in an older
//! version than the newest (a look at an unchanged conversation reads no members). Stored in the asked family it is
//! given byte for byte; stored in another, as [`shape`] derives it from that version. Members
//! that were read one by one go into a conversation only if they were read with this very document of it.
//!
//! A list of events is the events of every list stored by then, by number; of two with the same number the one that
//! was read later. A stored list that holds them all, without another page, is given byte for byte. Webhooks of the
//! `rtc` capability do not complete it: they word an event otherwise than the list does.
//!
//! A list of members is given byte for byte where it was stored on one page and no page is asked for. Other lists
//! are cut into pages as Vonage cuts them, and their links lead here. Items that were stored in the asked family
//! stay as they are.

mod asked;
mod events;
mod members;
mod past;
mod refusal;

use jiff::Timestamp;
use serde_json::Value;

use self::asked::Asked;
use self::past::{Past, Version};
use self::refusal::Refusal;
use crate::domain::ids::{ConversationId, MemberId};
use crate::store::{Store, StoreError};
use crate::vonage::document::ConversationDocument;
use crate::vonage::family::Family;
use crate::vonage::shape::{self, Place, Untold};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The conversation.
    Conversation,
    /// A page of its members.
    Members,
    /// The member of this id.
    Member(String),
    /// A page of its events.
    Events,
}

/// A question as a client of Vonage's puts it.
#[derive(Debug, Clone)]
pub struct Question {
    /// The path family.
    pub family: String,
    /// The conversation's id.
    pub conversation: String,
    /// What of it.
    pub resource: Resource,
    /// The query string without its `?`.
    pub parameters: String,
    /// What stands before the family in the addresses of the answer: no slash at the end.
    pub base: String,
}

/// An answer in JSON, as Vonage gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for.
    Document(Vec<u8>),
    /// There is no such thing, or it is not known in this shape; an error in Vonage's shape that says why.
    NotFound(Vec<u8>),
    /// A parameter cannot be understood; an error in Vonage's shape that says which.
    BadRequest(Vec<u8>),
}

/// Why there is no document.
#[derive(Debug)]
enum Failure {
    Refused(Refusal),
    Store(StoreError),
}

/// Answers a question that is asked at `now`.
///
/// # Errors
/// When the store cannot be read.
pub async fn answer(store: &dyn Store, question: &Question, now: Timestamp) -> Result<Answer, StoreError> {
    let Some(family) = Family::named(&question.family) else {
        return Ok(refusal::no_such_family());
    };
    match document(store, question, family, now).await {
        Ok(document) => Ok(Answer::Document(document)),
        Err(Failure::Refused(refusal)) => Ok(refusal.answer(family)),
        Err(Failure::Store(error)) => Err(error),
    }
}

async fn document(
    store: &dyn Store,
    question: &Question,
    family: Family,
    now: Timestamp,
) -> Result<Vec<u8>, Failure> {
    let asked = Asked::read(&question.parameters, now)?;
    let id = ConversationId::parse(question.conversation.as_str()).map_err(|_| Refusal::NoConversation)?;
    let past = Past::open(store, &id, asked.at).await?;
    let place = Place { base: &question.base, family, conversation: &id };
    match &question.resource {
        Resource::Conversation => conversation(&past, place).await,
        Resource::Members => members::list(&past, &asked, place).await,
        Resource::Member(id) => {
            let id = MemberId::parse(id.as_str()).map_err(|_| Refusal::NoMember)?;
            members::one(&past, &id, place).await
        }
        Resource::Events => events::list(&past, &asked, place).await,
    }
}

async fn conversation(past: &Past<'_>, place: Place<'_>) -> Result<Vec<u8>, Failure> {
    let version = past.newest(|version| version.conversation().is_some()).await?.ok_or(Refusal::NeverSeen)?;
    let stored = version.conversation().ok_or(Refusal::NeverSeen)?;
    if version.is_in(place.family) {
        return Ok(stored.body.to_vec());
    }
    let document = ConversationDocument::read(&stored.body).ok_or(Refusal::NeverSeen)?;
    let read_with_it = |other: &Version| {
        other.lists_members() && other.conversation().is_some_and(|other| other.digest == stored.digest)
    };
    // Only the first two families ask for members that are not in the document.
    let with_members = if place.is_old() { past.newest(read_with_it).await? } else { None };
    let members = with_members.and_then(|version| version.members_one_by_one());
    derived(shape::conversation(&document, members.as_deref(), place), &version)
}

/// The body of what was derived from a version.
fn derived(shown: Result<Value, Untold>, from: &Version) -> Result<Vec<u8>, Failure> {
    let shown =
        shown.map_err(|untold| Refusal::NotInThisShape { stored: from.family().to_owned(), untold })?;
    Ok(body(&shown))
}

fn body(shown: &Value) -> Vec<u8> {
    serde_json::to_vec(shown).expect("JSON values are always JSON")
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
