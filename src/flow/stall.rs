//! Work on the store that fails and fails: after a while it is a gap, and the daemon is not ready.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::clock::Clock;
use crate::domain::gap::Cause;
use crate::store::{Store, StoreError};

/// How long work may fail before something may have gone unseen by it: longer than the store waits for a lock.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Kinds of work without which the daemon does not do what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Finding out which fetches are due.
    Due,
    /// Taking out a fetch that is due.
    Lease,
    /// Keeping what a fetch has found.
    Keep,
    /// Deriving records from the logs.
    Derive,
    /// Reading the histories that records are derived from.
    ReadHistories,
}

impl Work {
    /// What fails, in words.
    fn describe(self) -> &'static str {
        match self {
            Self::Due => "pending fetches could not be read from the store",
            Self::Lease => "a pending fetch could not be taken out of the store",
            Self::Keep => "what a fetch found could not be stored",
            Self::Derive => "records could not be derived",
            Self::ReadHistories => "no history could be read from the store",
        }
    }
}

/// The work that fails at present.
#[derive(Debug)]
pub struct Stalls {
    clock: Arc<dyn Clock>,
    /// A std mutex: never held across an await.
    failing: Mutex<BTreeMap<Work, Failing>>,
    /// Whether the store has a gap that lasts.
    is_recorded: AtomicBool,
}

#[derive(Debug, Clone)]
struct Failing {
    /// By the clock, for the gap.
    since: Timestamp,
    began: Instant,
    failures: u64,
    error: String,
}

impl Stalls {
    /// Nothing fails yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, failing: Mutex::default(), is_recorded: AtomicBool::new(false) }
    }

    /// Notes how work went. The log hears of it when it begins to fail and when that is over.
    pub fn observe<T>(&self, work: Work, outcome: &Result<T, StoreError>) {
        let mut failing = self.failing();
        match (outcome, failing.get_mut(&work)) {
            (Ok(_), None) => {}
            (Ok(_), Some(_)) => {
                let ended = failing.remove(&work);
                let failures = ended.map(|ended| ended.failures);
                tracing::info!(failures, work = ?work, "the store does this work again");
            }
            (Err(error), Some(known)) => {
                known.failures += 1;
                known.error = error.to_string();
            }
            (Err(error), None) => {
                tracing::error!(%error, "{}; retrying", work.describe());
                let (since, began) = (self.clock.now(), Instant::now());
                failing.insert(work, Failing { since, began, failures: 1, error: error.to_string() });
            }
        }
    }

    /// Why the daemon is not ready: what has failed for a while.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let stalled = self.stalled();
        let (work, failing) = stalled.first()?;
        Some(format!("{} ({})", work.describe(), failing.error))
    }

    /// Begins or ends the gap that stalled work is.
    ///
    /// # Errors
    /// When the store cannot be written; it is for the next time then.
    pub async fn record(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let stalled = self.stalled().iter().map(|(_, failing)| failing.since).min();
        let was_recorded = self.is_recorded.load(Ordering::Relaxed);
        match stalled {
            // It may have been ended for another reason: the store has one gap of this cause at a time.
            Some(since) => {
                store.open_gap(Cause::Store, None, if was_recorded { now } else { since }).await?;
            }
            None if was_recorded => store.close_gap(Cause::Store, None, now).await?,
            None => {}
        }
        self.is_recorded.store(stalled.is_some(), Ordering::Relaxed);
        Ok(())
    }

    fn stalled(&self) -> Vec<(Work, Failing)> {
        let failing = self.failing();
        let stalled = failing.iter().filter(|(_, failing)| failing.began.elapsed() >= STALLED_AFTER);
        stalled.map(|(work, failing)| (*work, failing.clone())).collect()
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<Work, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
