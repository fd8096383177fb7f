//! What a connection is doing: its own task says it, and the accept loop reads it when it needs room.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// How long a client must have taken nothing of an answer before it counts as one that does not read. Longer than a
/// network's hiccup, and short beside the patience of those who wait for its place.
const STALL_GRACE: Duration = Duration::from_secs(1);

/// How long a connection must have been idle to be closed for another: the first request, or the next one, may be on
/// its way. Short beside the 5 s that Vonage waits.
const IDLE_GRACE: Duration = Duration::from_millis(250);

/// A request is in progress.
const BUSY: u64 = u64::MAX;

/// The connection was chosen to be closed: it begins no request any more.
const EVICTED: u64 = u64::MAX - 1;

/// No write waits.
const FLOWING: u64 = u64::MAX;

/// What one connection is doing. Instants are milliseconds since the listener's start.
#[derive(Debug)]
pub(super) struct Activity {
    listener_start: Instant,
    /// Since when no request is in progress; or [`BUSY`], or [`EVICTED`].
    idle_since: AtomicU64,
    /// Since when a write waits for the client; or [`FLOWING`].
    stalled_since: AtomicU64,
    /// The answer's body is complete; parts of it may not be written yet.
    is_answered: AtomicBool,
}

/// How much a connection's place is worth to others: the least one is the first to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// No request is in progress since then.
    Idle(u64),
    /// An answer has waited for its client since then.
    Stalled(u64),
}

impl Activity {
    /// The activity of a connection that was just accepted.
    pub(super) fn new(listener_start: Instant) -> Self {
        let activity = Self {
            listener_start,
            idle_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(FLOWING),
            is_answered: AtomicBool::new(false),
        };
        activity.idle_since.store(activity.now(), Ordering::Relaxed);
        activity
    }

    /// A request begins, unless the connection was chosen to be closed.
    pub(super) fn begin(&self) -> bool {
        let busy = |since| (since != EVICTED).then_some(BUSY);
        self.idle_since.try_update(Ordering::AcqRel, Ordering::Acquire, busy).is_ok()
    }

    /// Everything that was to be written is with the system.
    pub(super) fn flushed(&self) {
        self.progressed();
        if self.is_answered.swap(false, Ordering::AcqRel) {
            self.idle_since.store(self.now(), Ordering::Release);
        }
    }

    /// The client took something.
    pub(super) fn progressed(&self) {
        self.stalled_since.store(FLOWING, Ordering::Relaxed);
    }

    /// The client takes nothing at the moment.
    pub(super) fn stalls(&self) {
        if self.stalled_since.load(Ordering::Relaxed) == FLOWING {
            self.stalled_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// What the connection's place is worth; `None` where it must be left alone.
    pub(super) fn claim(&self) -> Option<Claim> {
        let has_lasted = |since: u64, grace: Duration| {
            let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            self.now() >= since.saturating_add(grace)
        };
        match self.idle_since.load(Ordering::Acquire) {
            EVICTED => None,
            BUSY => {
                let since = self.stalled_since.load(Ordering::Relaxed);
                (since != FLOWING && has_lasted(since, STALL_GRACE)).then_some(Claim::Stalled(since))
            }
            since => has_lasted(since, IDLE_GRACE).then_some(Claim::Idle(since)),
        }
    }

    /// Chooses the connection to be closed, unless a request has begun since its `claim` was read.
    pub(super) fn evict(&self, claim: Claim) -> bool {
        let seen = match claim {
            Claim::Idle(since) => since,
            Claim::Stalled(_) => BUSY,
        };
        self.idle_since.compare_exchange(seen, EVICTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.listener_start.elapsed().as_millis()).unwrap_or(EVICTED - 1)
    }
}

/// An answer's body that tells when it is complete.
pub(super) struct AnswerBody {
    body: Body,
    _completion: Completion,
}

impl AnswerBody {
    pub(super) fn new(body: Body, activity: Arc<Activity>) -> Self {
        Self { body, _completion: Completion(activity) }
    }
}

struct Completion(Arc<Activity>);

impl Drop for Completion {
    fn drop(&mut self) {
        self.0.is_answered.store(true, Ordering::Release);
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
