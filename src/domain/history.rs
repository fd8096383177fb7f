//! Everything that is stored about one conversation: what an interpretation is made of.

use super::arrival::Arrival;
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
    /// How its looks went.
    pub fetch: FetchState,
    /// Counts the changes to this history. An interpretation of an older revision is stale.
    pub revision: i64,
}
