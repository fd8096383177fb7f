//! Everything that is stored about one conversation: what an interpretation is made of.

use super::arrival::Arrival;
use super::call::ListedCall;
use super::fetch::FetchState;
use super::ids::ConversationId;
use super::snapshot::Snapshot;

/// Both logs of one conversation, and how its looks went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Whose history.
    pub conversation_id: ConversationId,
    /// The webhooks that speak of it, in any order.
    pub arrivals: Vec<Arrival>,
    /// Its versions, in any order.
    pub snapshots: Vec<Snapshot>,
    /// Its legs as the Voice API listed them, each once.
    pub listed: Vec<ListedCall>,
    /// How its looks went.
    pub fetch: FetchState,
    /// How much of the logs this is.
    pub revision: Revision,
}

/// How much of the logs a history holds. Neither number ever goes down, so of two histories of one conversation
/// the later one has no smaller number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revision {
    /// The newest arrival in the log when the history was read, whatever it speaks of; 0 when there was none.
    pub newest_arrival: i64,
    /// Looks at the conversation that had ended, and lists of calls that told something new of it.
    pub looks: i64,
}

impl Revision {
    /// Whether this holds more than `other` does.
    #[must_use]
    pub fn is_after(self, other: Self) -> bool {
        self != other && self.newest_arrival >= other.newest_arrival && self.looks >= other.looks
    }
}
