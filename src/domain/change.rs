//! What happened, for those who follow along: ids, times and kinds, never a body.

use jiff::Timestamp;
use serde::Serialize;

use super::arrival::Endpoint;
use super::conversation::{CaptureState, Ending, Interpretation};
use super::ids::{ApplicationId, ConversationId};
use super::instant;

/// How far the logs were followed. Each part is the number of the last that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The arrival.
    pub arrival: i64,
    /// The snapshot, counted over all conversations.
    pub snapshot: i64,
    /// The change of a conversation.
    pub change: i64,
}

impl Place {
    /// Whether somebody can have come this far in logs that end at `end`.
    #[must_use]
    pub fn is_within(self, end: Self) -> bool {
        let parts = [(self.arrival, end.arrival), (self.snapshot, end.snapshot), (self.change, end.change)];
        parts.into_iter().all(|(part, end)| (0..=end).contains(&part))
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From where to go on behind it.
    pub place: Place,
    /// What it was.
    pub news: News,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A webhook came in.
    Arrival(NewsOfArrival),
    /// A version was kept.
    Snapshot(NewsOfSnapshot),
    /// What is understood of a conversation changed.
    Conversation(NewsOfConversation),
}

/// A webhook that came in for the first time: a redelivery is no news.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewsOfArrival {
    /// Its number in the log.
    pub number: i64,
    /// Where it came in: `answer`, `event`, `fallback` or `rtc`.
    pub endpoint: Endpoint,
    /// What it seems to be about: a status (`answered`), or a kind of its own (`record`, `input`, `unknown` …).
    pub kind: String,
    /// The conversation that it speaks of.
    pub conversation_id: Option<ConversationId>,
    /// The conversation that a `transfer` moved a leg to.
    pub transferred_to: Option<ConversationId>,
    /// The application it is for.
    pub application_id: Option<ApplicationId>,
    /// When it came in.
    #[serde(serialize_with = "instant::serialize")]
    pub received_at: Timestamp,
}

/// A version that was kept. A look that found nothing new keeps none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewsOfSnapshot {
    /// Whose version.
    pub conversation_id: ConversationId,
    /// Which version, counted from 1 in each conversation.
    pub number: u32,
    /// When it was taken.
    #[serde(serialize_with = "instant::serialize")]
    pub taken_at: Timestamp,
}

/// A conversation that is understood otherwise than before, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewsOfConversation {
    /// Which.
    pub id: ConversationId,
    /// The latest status of the leg that began the call.
    pub status: Option<String>,
    /// Whether it was seen.
    pub capture: CaptureInShort,
    /// Who called.
    pub from: Option<String>,
    /// Who was called.
    pub to: Option<String>,
    /// The first instant that anything tells of.
    #[serde(serialize_with = "instant::serialize_option")]
    pub started_at: Option<Timestamp>,
    /// When its last leg ended, or else when Vonage no longer knew it.
    #[serde(serialize_with = "instant::serialize_option")]
    pub ended_at: Option<Timestamp>,
    /// Whether it is over.
    #[serde(skip)]
    pub ending: Ending,
}

/// Whether a conversation was seen, where the whole tells it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CaptureInShort {
    /// Seen, still hoped for, or lost.
    pub state: CaptureState,
}

impl News {
    /// Its kind, for readers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Arrival(_) => Kind::Arrival,
            Self::Snapshot(_) => Kind::Snapshot,
            Self::Conversation(_) => Kind::Conversation,
        }
    }

    /// Whether it is about this conversation.
    #[must_use]
    pub fn concerns(&self, id: &ConversationId) -> bool {
        match self {
            Self::Arrival(news) => [&news.conversation_id, &news.transferred_to].contains(&&Some(id.clone())),
            Self::Snapshot(news) => news.conversation_id == *id,
            Self::Conversation(news) => news.id == *id,
        }
    }
}

/// Kinds of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A webhook came in.
    Arrival,
    /// A version was kept.
    Snapshot,
    /// What is understood of a conversation changed.
    Conversation,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Arrival, Self::Snapshot, Self::Conversation];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Snapshot => "snapshot",
            Self::Conversation => "conversation",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl From<Interpretation> for NewsOfConversation {
    fn from(one: Interpretation) -> Self {
        Self {
            id: one.id,
            status: one.status,
            capture: CaptureInShort { state: one.capture.state },
            from: one.from,
            to: one.to,
            started_at: one.started_at,
            ended_at: one.ended_at,
            ending: one.ending,
        }
    }
}
