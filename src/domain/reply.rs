//! What a webhook was replied to with, as far as the reply said anything: an NCCO is what a call was told to do.

use jiff::Timestamp;

use super::arrival::Endpoint;
use super::digest::Digest;
use super::ids::{ConversationId, LegId};

/// Where a reply came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// This daemon's own NCCO: the configured file's, or the empty one.
    File,
    /// The application behind this daemon.
    Forward,
    /// This daemon, in place of the application behind it, which failed.
    Substitute,
}

impl Source {
    /// Its name in answers and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Forward => "forward",
            Self::Substitute => "substitute",
        }
    }

    /// The source of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::File, Self::Forward, Self::Substitute].into_iter().find(|source| source.as_str() == name)
    }
}

/// How the application behind this daemon did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The status of its reply, if one came.
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// Why its reply was not passed back.
    pub trouble: Option<String>,
}

/// A reply that is about to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReply {
    /// The digest of the arrival that was replied to.
    pub arrival: Digest,
    /// Where the webhook came in.
    pub endpoint: Endpoint,
    /// The conversation it spoke of.
    pub conversation_id: Option<ConversationId>,
    /// The conversation that a `transfer` moved a leg to.
    pub transferred_to: Option<ConversationId>,
    /// The leg it spoke of.
    pub leg_id: Option<LegId>,
    /// When the reply was ready to go out.
    pub replied_at: Timestamp,
    /// Where it came from.
    pub source: Source,
    /// How the application behind did, where it was asked.
    pub upstream: Option<Upstream>,
    /// The body, an NCCO; `None` where it was empty.
    pub ncco: Option<Vec<u8>>,
}

/// A reply that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its number: later is larger.
    pub number: i64,
    /// The reply.
    pub given: NewReply,
}
