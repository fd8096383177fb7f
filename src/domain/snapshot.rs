//! One version of a conversation, as Vonage told it: the second of the two logs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;

use super::digest::Digest;
use super::ids::{ConversationId, MemberId, Region};

/// Which answer of the Conversation API a document is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DocumentName {
    /// `GET …/conversations/{id}`.
    Conversation,
    /// A page of `GET …/members`, counted from 1.
    Members(u32),
    /// `GET …/members/{id}`.
    Member(MemberId),
    /// A page of `GET …/events`.
    Events {
        /// The id of the last event that was known before; 0 when none was.
        after: i64,
        /// Which page, counted from 1.
        page: u32,
    },
}

impl fmt::Display for DocumentName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation => formatter.write_str("conversation"),
            Self::Members(page) => write!(formatter, "members page {page}"),
            Self::Member(id) => write!(formatter, "member {id}"),
            Self::Events { after, page: 1 } => write!(formatter, "events after {after}"),
            Self::Events { after, page } => write!(formatter, "events after {after} page {page}"),
        }
    }
}

/// A text that names no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no document has this name")]
pub struct NoSuchDocument;

impl FromStr for DocumentName {
    type Err = NoSuchDocument;

    fn from_str(text: &str) -> Result<Self, NoSuchDocument> {
        if text == "conversation" {
            Ok(Self::Conversation)
        } else if let Some(page) = text.strip_prefix("members page ") {
            page.parse().map(Self::Members).map_err(|_| NoSuchDocument)
        } else if let Some(place) = text.strip_prefix("events after ") {
            events(place).filter(|name| name.to_string() == text).ok_or(NoSuchDocument)
        } else {
            let id = text.strip_prefix("member ").ok_or(NoSuchDocument)?;
            MemberId::parse(id).map(Self::Member).map_err(|_| NoSuchDocument)
        }
    }
}

fn events(place: &str) -> Option<DocumentName> {
    let (after, page) = place.split_once(" page ").unwrap_or((place, "1"));
    Some(DocumentName::Events { after: after.parse().ok()?, page: page.parse().ok()? })
}

/// One answer of Vonage's, as it was sent, except that secrets are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which answer.
    pub name: DocumentName,
    /// The digest of `body`.
    pub digest: Digest,
    /// JSON text. Shared by the versions that hold it.
    pub body: Arc<[u8]>,
}

impl Document {
    /// A document of that name; its digest is computed.
    #[must_use]
    pub fn new(name: DocumentName, body: Vec<u8>) -> Self {
        Self { name, digest: Digest::of(&body), body: body.into() }
    }
}

/// What one look brought home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When the first of its answers was asked for.
    pub taken_at: Timestamp,
    /// The path family that was asked: `v0.3`, `beta`.
    pub family: String,
    /// The number of the conversation's newest event at Vonage, where it says so.
    pub sequence_number: Option<i64>,
    /// The answers, in the order they were asked for.
    pub documents: Vec<Document>,
    /// The region whose host answered; `None` for the configured host.
    pub region: Option<Region>,
}

/// What was read of a conversation's event list, from the last known event on. It joins the newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventList {
    /// The pages that told something new, in order.
    pub documents: Vec<Document>,
    /// The id of the last event that is had, from these or from earlier ones; `None` when there are none yet.
    pub last_event_id: Option<i64>,
    /// Whether it was read to its end.
    pub is_whole: bool,
}

/// A version of a conversation in the log. The first has number 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose version.
    pub conversation_id: ConversationId,
    /// Which version, counted from 1.
    pub number: u32,
    /// What was seen.
    pub sighting: Sighting,
    /// When a look last found exactly this.
    pub confirmed_at: Timestamp,
}

/// A version without the bodies of its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Which version, counted from 1.
    pub number: u32,
    /// When the first of its answers was asked for.
    pub taken_at: Timestamp,
    /// When a look last found exactly this.
    pub confirmed_at: Timestamp,
    /// The path family that was asked.
    pub family: String,
    /// The number of the conversation's newest event at Vonage, where it says so.
    pub sequence_number: Option<i64>,
    /// Each document's name, digest and length in bytes, in the order they were asked for.
    pub documents: Vec<(DocumentName, Digest, u64)>,
}
