//! Since when fetches of a conversation fail, whatever is done to the machine's clock meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::clock::Clock;
use crate::domain::ids::ConversationId;

/// The conversations that are remembered: of more the clock has to say how long they have failed.
const MAX_REMEMBERED: usize = 100_000;

/// The runs of failures that began since the start, each with the monotonic time of its beginning.
#[derive(Debug, Default)]
pub(super) struct FailureRuns(Mutex<HashMap<ConversationId, Duration>>);

impl FailureRuns {
    /// How long the fetches of a conversation have failed that failed first at `since`.
    pub(super) fn lasted(
        &self,
        id: &ConversationId,
        since: Option<Timestamp>,
        clock: &dyn Clock,
    ) -> SignedDuration {
        let Some(since) = since else { return SignedDuration::ZERO };
        let began = self.began().get(id).copied();
        let measured = began.map(|began| clock.monotonic().saturating_sub(began));
        // What failed before the start can only be told by the clock.
        let lasted = measured.and_then(|measured| SignedDuration::try_from(measured).ok());
        lasted.unwrap_or_else(|| clock.now().duration_since(since)).max(SignedDuration::ZERO)
    }

    /// Notes whether a run goes on that has lasted so long.
    pub(super) fn note(&self, id: &ConversationId, lasted: SignedDuration, goes_on: bool, clock: &dyn Clock) {
        let mut began = self.began();
        if !goes_on {
            began.remove(id);
        } else if began.len() < MAX_REMEMBERED && !began.contains_key(id) {
            began.insert(id.clone(), clock.monotonic().saturating_sub(lasted.unsigned_abs()));
        }
    }

    fn began(&self) -> MutexGuard<'_, HashMap<ConversationId, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
