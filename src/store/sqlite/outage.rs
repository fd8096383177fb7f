//! Webhooks that could not be stored: remembered until the store can be told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{StoreError, gaps};
use crate::domain::gap::{Cause, Gap};

/// How long after an arrival was refused the store counts as not ready. A little may still fit where a webhook
/// did not: what was refused lately says more than a trial does.
const REFUSAL_COUNTS: Duration = Duration::from_secs(10);

/// The refusals that the store has not been told of whole. A std mutex: never held across an await.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Option<Outage>>);

/// A run of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    began_at: Timestamp,
    /// When the newest of the refused came in.
    newest: Timestamp,
    last: Instant,
    /// When an arrival was taken again.
    ended_at: Option<Timestamp>,
}

impl Refusals {
    /// An arrival that came in at `at` was refused.
    pub(super) fn refused(&self, at: Timestamp) {
        let mut outage = self.outage();
        let began_at = outage.map_or(at, |outage| outage.began_at.min(at));
        let newest = outage.map_or(at, |outage| outage.newest.max(at));
        *outage = Some(Outage { began_at, newest, last: Instant::now(), ended_at: None });
    }

    /// An arrival that came in at `at` was taken.
    pub(super) fn taken(&self, at: Timestamp) {
        if let Some(outage) = &mut *self.outage()
            && outage.ended_at.is_none()
        {
            // What is taken first may have come in long ago, and been tried since.
            outage.ended_at = Some(at.max(outage.newest));
        }
    }

    /// Whether an arrival was refused a moment ago.
    pub(super) fn are_recent(&self) -> bool {
        self.outage().is_some_and(|outage| outage.is_recent())
    }

    /// The gap that the store cannot be told of while it fails, for those who ask meanwhile.
    pub(super) fn gap(&self) -> Option<Gap> {
        let outage = self.untold()?;
        let Outage { began_at, ended_at, .. } = outage;
        // Behind every gap that the store has.
        Some(Gap { id: i64::MAX, cause: Cause::Store, began_at, ended_at, application_id: None })
    }

    /// What the store is to be told.
    pub(super) fn untold(&self) -> Option<Outage> {
        *self.outage()
    }

    /// The store was told of `outage` at `at`. What came meanwhile is still to be told.
    pub(super) fn told(&self, outage: Outage, at: Timestamp) {
        let mut present = self.outage();
        if *present == Some(outage) && outage.end(at).is_some() {
            *present = None;
        }
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outage {
    fn is_recent(&self) -> bool {
        self.last.elapsed() < REFUSAL_COUNTS
    }

    /// When it ended: when an arrival was taken; or now, when the store takes what it is told and nothing was
    /// refused for some time.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        self.ended_at.or_else(|| (!self.is_recent()).then(|| now.max(self.began_at)))
    }

    /// Writes the gap as far as it is known.
    pub(super) async fn tell(
        self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        gaps::open(connection, Cause::Store, None, self.began_at).await?;
        match self.end(now) {
            Some(ended_at) => gaps::close(connection, Cause::Store, None, ended_at).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_until_after_the_newest_that_was_refused() {
        let at = |second| Timestamp::from_second(second).unwrap_or_default();
        let refusals = Refusals::default();
        for second in [10, 40, 20] {
            refusals.refused(at(second));
        }
        // Tried since it came in, and the first to be taken.
        refusals.taken(at(10));
        let outage = refusals.untold().map(|outage| (outage.began_at, outage.ended_at));
        assert_eq!(outage, Some((at(10), Some(at(40)))));
    }
}
