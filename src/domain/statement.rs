//! What a statement about a call rests on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::LegId;

/// Whose time an instant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtSource {
    /// Vonage's own, as it told it.
    Timestamp,
    /// The daemon's: Vonage told none, or none that can be read, so it is when the daemon came to know.
    Receipt,
}

impl AtSource {
    /// The source of an instant that Vonage told or did not.
    #[must_use]
    pub fn of(told: Option<Timestamp>) -> Self {
        if told.is_some() { Self::Timestamp } else { Self::Receipt }
    }

    /// Its name in answers and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Receipt => "receipt",
        }
    }

    /// The source of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Timestamp, Self::Receipt].into_iter().find(|source| source.as_str() == name)
    }
}

/// What says that a member has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LeftSource {
    /// An event that was pushed to the daemon: the webhook with this number.
    Rtc {
        /// The webhook's number.
        number: i64,
    },
    /// The snapshot with this number.
    Snapshot {
        /// The snapshot's number.
        number: u32,
    },
    /// The event with this number in the conversation's list of events.
    Event {
        /// The event's number.
        number: i64,
    },
    /// Nobody told it: this leg ended, the member's last, or the call's where none of the member's is known to have.
    LegEnd {
        /// The leg.
        leg_id: LegId,
    },
}

/// A party that a webhook names beside a leg it does not name: the app user who calls a phone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct NamedParty {
    /// On which side.
    pub side: PartySide,
    /// A number, a user's name, an address.
    pub party: String,
}

/// A side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartySide {
    /// Who calls.
    From,
    /// Who is called.
    To,
}

impl PartySide {
    /// Its name in answers and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}
