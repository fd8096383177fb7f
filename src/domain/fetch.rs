//! A look at a conversation that is owed, and when to try again.

use jiff::{SignedDuration, Timestamp};

use super::digest::Digest;
use super::ids::{ApplicationId, ConversationId, Region};
use super::instant::LONGEST_CALL;
use super::snapshot::{EventList, Sighting};

/// The pause after the first failure.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_millis(100);

/// The longest pause between two tries: long enough to spare an API that is down, short enough to catch a
/// call of ordinary length after it recovers.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// How long nothing may be heard of a call that still goes on: as long as the longest call lasts. What is not fetched by
/// then is given up.
pub const LONGEST_SILENCE: SignedDuration = LONGEST_CALL;

/// How long to wait after `failures` failures in a row: 100 ms doubled each time up to 30 s, of which
/// `jitter` (0 to 1) takes away up to half, so that many conversations do not come back at one moment.
#[must_use]
pub fn backoff(failures: u32, jitter: f64) -> SignedDuration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1_i32.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(1));
    let whole = doubled.min(LONGEST_PAUSE);
    let share = 1.0 - 0.5 * jitter.clamp(0.0, 1.0);
    SignedDuration::from_secs_f64(whole.as_secs_f64() * share)
}

/// What is known of a conversation before a look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The number of the newest snapshot.
    pub snapshot: u32,
    /// Vonage's event count at that snapshot.
    pub sequence_number: Option<i64>,
    /// The digest of that snapshot's conversation document.
    pub conversation: Digest,
    /// The id of the last event that was read from the event list, in any snapshot.
    pub last_event_id: Option<i64>,
    /// Whether there was no event list at the newest snapshot.
    pub has_no_event_list: bool,
}

/// How urgent a request to Vonage is; the most urgent first. Requests are scarce, and what is not seen during a
/// call cannot be seen afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Urgency {
    /// There is no snapshot of the conversation yet.
    Unseen,
    /// The last look, after the end: the conversation may be gone at any moment.
    Last,
    /// Something was heard of the conversation since the last look.
    Changed,
    /// Nothing was heard, and some time has passed.
    #[default]
    Poll,
    /// The conversation was seen, and its event list is still to be read. It stands with the polls.
    Events,
}

impl Urgency {
    /// Its number in the store: the more urgent, the smaller.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Unseen => 0,
            Self::Last => 1,
            Self::Changed => 2,
            Self::Poll => 3,
            Self::Events => 4,
        }
    }

    /// The urgency of that number.
    #[must_use]
    pub fn numbered(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|urgency| urgency.number() == number)
    }

    /// Every urgency, the most urgent first.
    pub const ALL: [Self; 5] = [Self::Unseen, Self::Last, Self::Changed, Self::Poll, Self::Events];
}

/// Why looking at a conversation stopped without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Vonage does not know the conversation, and it was never seen here.
    NotYet,
    /// Vonage refused the token: 401, 403.
    Refused,
    /// Nobody has a token for it: its application is not configured.
    NoApplication,
    /// Vonage wants fewer requests: 429.
    Throttled,
    /// Vonage could not be reached or did not answer usefully.
    Unreachable,
}

impl Trouble {
    /// Its name in the store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotYet => "not yet",
            Self::Refused => "refused",
            Self::NoApplication => "no application",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
        }
    }

    /// The trouble of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::NotYet, Self::Refused, Self::NoApplication, Self::Throttled, Self::Unreachable]
            .into_iter()
            .find(|trouble| trouble.as_str() == name)
    }
}

/// The fetch state of one conversation: what is owed, and how the tries went. By default nothing is owed and
/// nothing failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchState {
    /// Which application's token opens it.
    pub application_id: Option<ApplicationId>,
    /// When the next look is due; `None` when nothing is owed.
    pub due_at: Option<Timestamp>,
    /// Failures since the last answer.
    pub failures: u32,
    /// When the present run of failures began.
    pub failing_since: Option<Timestamp>,
    /// What the last failure was.
    pub trouble: Option<Trouble>,
    /// When Vonage answered that it does not know the conversation any more.
    pub gone_at: Option<Timestamp>,
    /// When trying was given up.
    pub gave_up_at: Option<Timestamp>,
    /// The region whose host is asked first.
    pub region: Option<Region>,
    /// How urgent the next look is, for a conversation that was seen before.
    pub urgency: Urgency,
}

/// A look that has been taken out to be done. Nobody else gets it until the lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whom to look at.
    pub conversation_id: ConversationId,
    /// The state when it was taken out.
    pub state: FetchState,
    /// How urgent the look is. One at a conversation that was never seen goes first as long as there is hope, and
    /// as long as no leg of it was heard to end.
    pub urgency: Urgency,
    /// When the last webhook came that speaks of it.
    pub heard_at: Option<Timestamp>,
    /// How many arrivals had asked for this look. More of them at the end mean: look again.
    pub asked: i64,
    /// What is known already.
    pub known: Option<Known>,
}

impl Lease {
    /// Whether the look shows that the conversation was never seen and is gone, and no look before has shown that.
    /// `after` is the state that it leads to.
    #[must_use]
    pub fn is_missed_with(&self, after: &FetchState) -> bool {
        self.known.is_none() && self.state.gone_at.is_none() && after.gone_at.is_some()
    }
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The conversation as it is now.
    Seen(Sighting),
    /// Nothing new since the newest snapshot, at this instant.
    Unchanged(Timestamp),
    /// Events, told since the newest snapshot or before.
    Events(EventList),
    /// There is no event list for the newest snapshot.
    NoEventList,
    /// Nothing to keep.
    Nothing,
}

/// How a lease ends: what to keep and what is owed next, written together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The lease that ends.
    pub conversation_id: ConversationId,
    /// [`Lease::asked`] of that lease.
    pub asked: i64,
    /// What to keep.
    pub finding: Finding,
    /// The state from now on.
    pub state: FetchState,
    /// When the lease ended. The next look is due then if arrivals asked for one meanwhile.
    pub settled_at: Timestamp,
}
