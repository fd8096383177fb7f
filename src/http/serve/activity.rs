//! What a connection is doing: its own task says it, and the accept loop reads it when it needs room.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a client must have taken nothing of an answer before it counts as one that does not read. Longer than a
/// network's hiccup, and short beside the patience of those who wait for its place.
const STALL_GRACE: Duration = Duration::from_secs(1);

/// How long nothing must have come on a connection to be closed for another: the first request, the next one, or the rest
/// of one may be on its way. Short beside the 5 s that Vonage waits.
const IDLE_GRACE: Duration = Duration::from_millis(250);

/// How long a body may come in, however steadily, before its connection may be closed for another: whoever sends a byte
/// now and then must not keep the place.
const BODY_GRACE: Duration = Duration::from_secs(1);

/// What one connection is doing. Instants are milliseconds since the listener's start.
#[derive(Debug)]
pub(super) struct Activity {
    listener_start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The request that has begun last.
    request: RequestNumber,
    /// The answer to that request is complete; parts of it may not be written yet.
    is_answered: bool,
    /// Since when a write waits for the client.
    stalled_since: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No request is in progress since then.
    Idle(u64),
    /// A request has begun, and its body is not here yet. Nothing is done with it.
    Receiving { since: u64, heard_at: u64 },
    /// A request is worked on or answered.
    Busy,
    /// The connection was chosen to be closed: it begins no request any more.
    Evicted,
}

/// Which of the requests of a connection: what is said of an earlier one comes too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestNumber(u64);

/// How much a connection's place is worth to others: the least one is the first to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// No request is in progress since then.
    Idle(u64),
    /// The body of a request has been on its way since then.
    Receiving(u64),
    /// An answer has waited for its client since then.
    Stalled(u64),
}

impl Activity {
    /// The activity of a connection that was just accepted.
    pub(super) fn new(listener_start: Instant) -> Self {
        let now = milliseconds(listener_start.elapsed());
        let state = State {
            phase: Phase::Idle(now),
            request: RequestNumber(0),
            is_answered: false,
            stalled_since: None,
        };
        Self { listener_start, state: Mutex::new(state) }
    }

    /// A request begins, unless the connection was chosen to be closed. With pipelining this may be before the answer to
    /// the last one is written.
    pub(super) fn begin(&self, has_body: bool) -> Option<RequestNumber> {
        let now = self.now();
        let mut state = self.state();
        if state.phase == Phase::Evicted {
            return None;
        }
        state.phase = if has_body { Phase::Receiving { since: now, heard_at: now } } else { Phase::Busy };
        state.request = RequestNumber(state.request.0 + 1);
        state.is_answered = false;
        Some(state.request)
    }

    /// A part of the request's body came.
    pub(super) fn heard(&self, request: RequestNumber) {
        let now = self.now();
        let mut state = self.state();
        if let Phase::Receiving { since, .. } = state.phase
            && state.request == request
        {
            state.phase = Phase::Receiving { since, heard_at: now };
        }
    }

    /// Nobody waits for the request's body any more: it is here, or not wanted.
    pub(super) fn received(&self, request: RequestNumber) {
        let mut state = self.state();
        if matches!(state.phase, Phase::Receiving { .. }) && state.request == request {
            state.phase = Phase::Busy;
        }
    }

    /// The answer to the request is complete.
    pub(super) fn answered(&self, request: RequestNumber) {
        let mut state = self.state();
        state.is_answered |= state.request == request;
    }

    /// Everything that was to be written is with the system.
    pub(super) fn flushed(&self) {
        let now = self.now();
        let mut state = self.state();
        state.stalled_since = None;
        if std::mem::take(&mut state.is_answered) && state.phase != Phase::Evicted {
            state.phase = Phase::Idle(now);
        }
    }

    /// The client took something.
    pub(super) fn progressed(&self) {
        self.state().stalled_since = None;
    }

    /// The client takes nothing at the moment.
    pub(super) fn stalls(&self) {
        let now = self.now();
        self.state().stalled_since.get_or_insert(now);
    }

    /// What the connection's place is worth; `None` where it must be left alone.
    pub(super) fn claim(&self) -> Option<Claim> {
        let now = self.now();
        let has_lasted = |since: u64, grace: Duration| now >= since.saturating_add(milliseconds(grace));
        let state = self.state();
        match state.phase {
            Phase::Evicted => None,
            Phase::Idle(since) => has_lasted(since, IDLE_GRACE).then_some(Claim::Idle(since)),
            Phase::Receiving { since, heard_at } => {
                let is_overdue = has_lasted(heard_at, IDLE_GRACE) || has_lasted(since, BODY_GRACE);
                is_overdue.then_some(Claim::Receiving(since))
            }
            Phase::Busy => {
                state.stalled_since.filter(|since| has_lasted(*since, STALL_GRACE)).map(Claim::Stalled)
            }
        }
    }

    /// Chooses the connection to be closed, unless it has gone on since its `claim` was read.
    pub(super) fn evict(&self, claim: Claim) -> bool {
        let mut state = self.state();
        let is_as_seen = match (claim, state.phase) {
            (Claim::Idle(seen), Phase::Idle(since))
            | (Claim::Receiving(seen), Phase::Receiving { since, .. }) => seen == since,
            (Claim::Stalled(_), phase) => phase == Phase::Busy,
            _ => false,
        };
        if is_as_seen {
            state.phase = Phase::Evicted;
        }
        is_as_seen
    }

    fn now(&self) -> u64 {
        milliseconds(self.listener_start.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment after another: a panic between them leaves nothing half done that matters.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_begins_before_the_last_answer_is_flushed_is_in_progress() {
        let activity = Activity::new(Instant::now());
        let first = activity.begin(false).expect("it is open");
        activity.answered(first);
        let second = activity.begin(false).expect("it is open");
        activity.flushed();
        tokio::time::advance(STALL_GRACE * 2).await;
        assert_eq!(activity.claim(), None, "the second is worked on");
        activity.answered(first);
        activity.flushed();
        tokio::time::advance(STALL_GRACE * 2).await;
        assert_eq!(activity.claim(), None, "what is said of the first comes too late");
        activity.answered(second);
        activity.flushed();
        assert_eq!(activity.claim(), None, "the next request may be on its way");
        tokio::time::advance(IDLE_GRACE).await;
        let claim = activity.claim().expect("it is idle");
        assert!(matches!(claim, Claim::Idle(_)) && activity.evict(claim));
        assert!(activity.begin(false).is_none(), "it is about to be closed");
    }
}
