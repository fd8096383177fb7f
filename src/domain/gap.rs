//! A time in which something could not be seen: what was missed in it is not in the record, and may have been.

use jiff::Timestamp;

use super::ids::ApplicationId;

/// What is too short to be called a gap: less than a webhook's way and a look's.
pub const SHORTEST: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// A time in which something could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its number in the store.
    pub id: i64,
    /// Why.
    pub cause: Cause,
    /// From when on: at the latest then, since until then everything was well.
    pub began_at: Timestamp,
    /// Until when; `None` while it lasts.
    pub ended_at: Option<Timestamp>,
    /// Whose conversations; `None` is everybody's.
    pub application_id: Option<ApplicationId>,
}

/// Why something could not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The daemon was not running.
    Down,
    /// Webhooks could not be stored.
    Store,
    /// Vonage refused the token.
    Refused,
    /// Vonage could not be reached, or did not answer usefully.
    Unreachable,
    /// Vonage limited the rate of requests (429) while fetches were pending.
    Throttled,
    /// Webhooks that were plainly Vonage's were rejected.
    Rejected,
    /// The machine's clock jumped.
    Clock,
}

impl Gap {
    /// Whether it and the time from `from` to `to` have an instant in common.
    #[must_use]
    pub fn touches(&self, from: Timestamp, to: Timestamp) -> bool {
        self.began_at <= to && self.ended_at.is_none_or(|ended_at| from <= ended_at)
    }

    /// Whether one of these is the same gap, as far as it is known.
    #[must_use]
    pub fn is_among(&self, gaps: &[Self]) -> bool {
        gaps.iter().any(|gap| {
            gap.cause == self.cause
                && gap.application_id == self.application_id
                && gap.began_at == self.began_at
        })
    }

    /// Whether it concerns the conversations of `application`. Where that is not known it may.
    #[must_use]
    pub fn concerns(&self, application: Option<&ApplicationId>) -> bool {
        match (&self.application_id, application) {
            (Some(own), Some(application)) => own == application,
            _ => true,
        }
    }
}

impl Cause {
    /// Its name, for the store and for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Store => "store",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Throttled => "throttled",
            Self::Rejected => "rejected",
            Self::Clock => "clock",
        }
    }

    /// Every cause.
    pub const ALL: [Self; 7] = [
        Self::Down,
        Self::Store,
        Self::Refused,
        Self::Unreachable,
        Self::Throttled,
        Self::Rejected,
        Self::Clock,
    ];

    /// The cause of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// What it was, for a person.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Down => "the daemon was not running",
            Self::Store => "webhooks could not be stored",
            Self::Refused => "Vonage refused the token",
            Self::Unreachable => "Vonage could not be reached",
            Self::Throttled => "Vonage limited the rate of requests",
            Self::Rejected => "webhooks of Vonage's were rejected",
            Self::Clock => "the machine's clock jumped",
        }
    }
}
