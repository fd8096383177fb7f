//! What can be counted: how many calls there were, and how well they were seen.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::conversation::{CaptureState, State};
use super::gap::Gap;
use super::instant;

/// A time: from its first instant to before its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub since: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

/// What was counted. `None` is what there was no time to count.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Stats {
    /// The conversations that began in the window.
    pub conversations: Option<Conversations>,
    /// How quickly conversations that began in the window were seen.
    pub fetch_lag: Option<FetchLag>,
    /// Looks that are due now, whenever their conversations began.
    pub owed: Option<Owed>,
    /// The webhooks that came in in the window.
    pub arrivals: Option<Arrivals>,
    /// The part of the window in which something could not be seen.
    pub blind_time: BlindTime,
    /// The store, whatever the window.
    pub store: StoreSize,
}

/// Conversations, by what they have in common.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Conversations {
    /// All of them.
    pub total: u64,
    /// By whether they go on.
    pub by_state: ByState,
    /// By the latest status of the leg that began the call; `unknown` where no status was told.
    pub by_status: BTreeMap<String, u64>,
    /// By `inbound` and `outbound`; `unknown` where no direction was told.
    pub by_direction: BTreeMap<String, u64>,
    /// By whether they were seen.
    pub by_capture: ByCapture,
    /// Of those that were captured or missed, how many percent were captured, cut to two decimals: 100 is all of
    /// them. `null` where there are none.
    pub coverage_percent: Option<f64>,
}

/// Conversations by whether they go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct ByState {
    /// Those that go on.
    pub live: u64,
    /// Those that are over.
    pub ended: u64,
}

/// Conversations by whether they were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct ByCapture {
    /// Those with at least one snapshot.
    pub captured: u64,
    /// Those that may still be seen.
    pub pending: u64,
    /// Those that were not seen, and will not be.
    pub missed: u64,
}

/// Conversations that are alike in all that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// Whether they go on.
    pub state: State,
    /// Their status.
    pub status: Option<String>,
    /// Their direction.
    pub direction: Option<String>,
    /// Whether they were seen.
    pub capture: CaptureState,
    /// How many there are.
    pub count: u64,
}

impl FromIterator<Alike> for Conversations {
    fn from_iter<I: IntoIterator<Item = Alike>>(groups: I) -> Self {
        let mut all = Self::default();
        for group in groups {
            all.add(group);
        }
        all.coverage_percent = all.by_capture.coverage_percent();
        all
    }
}

impl Conversations {
    fn add(&mut self, Alike { state, status, direction, capture, count }: Alike) {
        let named = |name: Option<String>| name.unwrap_or_else(|| "unknown".to_owned());
        self.total += count;
        *self.by_status.entry(named(status)).or_default() += count;
        *self.by_direction.entry(named(direction)).or_default() += count;
        match state {
            State::Live => self.by_state.live += count,
            State::Ended => self.by_state.ended += count,
        }
        match capture {
            CaptureState::Captured => self.by_capture.captured += count,
            CaptureState::Pending => self.by_capture.pending += count,
            CaptureState::Missed => self.by_capture.missed += count,
        }
    }
}

impl ByCapture {
    /// Cut and not rounded: one that was missed is not to look like none.
    fn coverage_percent(self) -> Option<f64> {
        let hundredths = (self.captured * 10_000).checked_div(self.captured + self.missed)?;
        u16::try_from(hundredths).ok().map(|hundredths| f64::from(hundredths) / 100.0)
    }
}

/// How long it took from a conversation's first webhook to its first snapshot. One that was seen before its first
/// webhook, or without any, does not count.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct FetchLag {
    /// How many conversations count.
    pub conversations: usize,
    /// Half of them were seen within so many seconds.
    pub median_seconds: Option<f64>,
    /// 95 of 100 were seen within so many seconds.
    pub p95_seconds: Option<f64>,
    /// All of them were seen within so many seconds.
    pub max_seconds: Option<f64>,
}

impl FetchLag {
    /// The lag of conversations, each of which has its own.
    #[must_use]
    pub fn of(mut lags: Vec<SignedDuration>) -> Self {
        lags.sort_unstable();
        // The shortest that so many percent are not longer than.
        let within = |percent: usize| {
            let nearest = (lags.len() * percent).div_ceil(100).checked_sub(1)?;
            lags.get(nearest).map(SignedDuration::as_secs_f64)
        };
        Self {
            conversations: lags.len(),
            median_seconds: within(50),
            p95_seconds: within(95),
            max_seconds: within(100),
        }
    }
}

/// Looks that are due.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct Owed {
    /// How many are due and not done.
    pub count: u64,
    /// How many seconds the longest due has been; `null` where none is.
    pub oldest_age_seconds: Option<f64>,
}

/// What waits to be done, and what cannot be done any more, now and of everything. `None` is what there was no time
/// to count.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Backlog {
    /// Looks that are due.
    pub owed: Option<Owed>,
    /// Webhooks that are stored and not interpreted.
    pub uninterpreted_arrivals: Option<u64>,
    /// Conversations that were not seen, and will not be.
    pub missed_conversations: Option<u64>,
}

/// Webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Arrivals {
    /// How many different ones.
    pub total: u64,
    /// How often they came, redeliveries included.
    pub deliveries: u64,
    /// When the first came.
    #[serde(serialize_with = "instant::serialize_option")]
    pub oldest_at: Option<Timestamp>,
    /// When the last came for the first time.
    #[serde(serialize_with = "instant::serialize_option")]
    pub newest_at: Option<Timestamp>,
}

/// Time in which something could not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
pub struct BlindTime {
    /// How many gaps there were.
    pub gaps: usize,
    /// How many seconds they took up. What lies in two of them counts once.
    pub seconds: f64,
}

impl BlindTime {
    /// What of these gaps, oldest first, lies in `span`. One that lasts ends `now`.
    #[must_use]
    pub fn within(gaps: &[Gap], span: Span, now: Timestamp) -> Self {
        let mut blind = Self::default();
        let mut seconds = SignedDuration::ZERO;
        let mut counted_until = span.since;
        for gap in gaps {
            let (from, to) = (gap.began_at.max(span.since), gap.ended_at.unwrap_or(now).min(span.until));
            if from >= to {
                continue;
            }
            blind.gaps += 1;
            seconds += to.duration_since(from.max(counted_until)).max(SignedDuration::ZERO);
            counted_until = counted_until.max(to);
        }
        Self { seconds: seconds.as_secs_f64(), ..blind }
    }
}

/// How large the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoreSize {
    /// Bytes of its file.
    pub file_bytes: u64,
    /// Bytes of its write-ahead log, which holds the newest commits.
    pub wal_bytes: u64,
    /// Webhooks in it.
    pub arrivals: Option<u64>,
    /// Versions of conversations.
    pub snapshots: Option<u64>,
    /// Documents that the versions share.
    pub documents: Option<u64>,
    /// Conversations.
    pub conversations: Option<u64>,
}

impl Stats {
    /// What there was no time to count, by its place in the answer.
    #[must_use]
    pub fn not_counted(&self) -> Vec<&'static str> {
        let parts = [
            ("conversations", self.conversations.is_some()),
            ("fetch_lag", self.fetch_lag.is_some()),
            ("owed", self.owed.is_some()),
            ("arrivals", self.arrivals.is_some()),
            ("store.arrivals", self.store.arrivals.is_some()),
            ("store.snapshots", self.store.snapshots.is_some()),
            ("store.documents", self.store.documents.is_some()),
            ("store.conversations", self.store.conversations.is_some()),
        ];
        parts.into_iter().filter(|(_, is_counted)| !is_counted).map(|(place, _)| place).collect()
    }
}
