//! Keeps the derived tables up with the logs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::interpret::interpret;
use crate::domain::conversation::Interpretation;
use crate::domain::history::{History, Revision};
use crate::domain::ids::ConversationId;
use crate::store::{Stale, Store, StoreError};

/// Arrivals that are followed up, and looks, in one transaction: few enough not to keep the writer from
/// webhooks for longer than they keep it from each other.
const BATCH: u32 = 128;

/// While webhooks come in, this many times a batch's own duration is left to them after it: they share the
/// processors and the writer, and they cannot wait, while a derived row can.
const REST_FACTOR: u32 = 9;

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// So long nothing has to wait for the writer in a lull: a few commits' time.
const LULL: Duration = Duration::from_millis(20);

/// The longest wait for a lull. A burst that has none is followed up afterwards.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest sleep: somebody else may have added to the store.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The pause after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Interprets every conversation of which more is known than is derived.
#[derive(Debug)]
pub struct Deriver {
    store: Arc<dyn Store>,
    webhooks: Wake,
    looks: Wake,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It interpreted so many conversations; there may be more.
    Did(usize),
    /// There was nothing to do.
    Idle,
}

impl Deriver {
    /// A deriver that looks at the store whenever it is woken: by webhooks, which it gives way to, or by looks.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, webhooks: Wake, looks: Wake) -> Self {
        Self { store, webhooks, looks }
    }

    /// Works until the stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let began = Instant::now();
            let outcome = self.step().await;
            stop.run_until_cancelled(self.rest(outcome, began.elapsed())).await;
        }
    }

    /// Waits until there is more to do, and it is time to do it.
    async fn rest(&self, outcome: Result<Step, StoreError>, took: Duration) {
        match outcome {
            Ok(Step::Did(_)) if self.webhooks.is_quiet() => {}
            Ok(Step::Did(_)) => self.give_way(took).await,
            Ok(Step::Idle) => {
                tokio::select! {
                    () = self.webhooks.woken() => {}
                    () = self.looks.woken() => {}
                    () = sleep(LONGEST_SLEEP) => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "conversations could not be interpreted; trying again");
                sleep(AFTER_FAILURE).await;
            }
        }
    }

    /// Leaves the processors and the writer to webhooks that come in: for a while, and then until a lull.
    async fn give_way(&self, took: Duration) {
        sleep((took * REST_FACTOR).min(LONGEST_REST)).await;
        let _ = timeout(PATIENCE, lull(self.store.pressed())).await;
    }

    /// Interprets one batch.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn step(&self) -> Result<Step, StoreError> {
        let stale = self.store.stale(BATCH).await?;
        if stale == Stale::default() {
            return Ok(Step::Idle);
        }
        let conversations: Vec<_> = stale.conversations.into_iter().collect();
        let histories = self.readable(&conversations).await?;
        if histories.is_empty() && stale.through.is_none() {
            return Ok(Step::Idle);
        }
        let interpreted = interpreted(histories).await;
        let count = interpreted.len();
        self.store.save(interpreted, stale.through).await?;
        Ok(Step::Did(count))
    }

    /// The histories that can be read: one that cannot must not hold up the others.
    async fn readable(&self, conversations: &[ConversationId]) -> Result<Vec<History>, StoreError> {
        match self.store.histories(conversations).await {
            Err(StoreError::Corrupt { .. }) => {}
            outcome => return outcome,
        }
        let mut histories = Vec::new();
        for conversation in conversations {
            match self.store.histories(std::slice::from_ref(conversation)).await {
                Ok(readable) => histories.extend(readable),
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(%error, %conversation, "a conversation cannot be interpreted");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(histories)
    }
}

/// Waits until the writer has kept up for a while, or is gone.
async fn lull(mut pressed: watch::Receiver<bool>) {
    while pressed.wait_for(|pressed| !pressed).await.is_ok() {
        // Between two commits of a burst there may be one that nobody waits for.
        if !matches!(timeout(LULL, pressed.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// What histories mean, each with the revision that it was read at. It is found out beside the runtime's threads,
/// which webhooks wait for: the history of a long conference takes a while.
pub(super) async fn interpreted(histories: Vec<History>) -> Vec<(Interpretation, Revision)> {
    let interpreting = tokio::task::spawn_blocking(move || {
        histories.iter().map(|history| (interpret(history), history.revision)).collect()
    });
    interpreting.await.expect("an interpretation does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_commit_that_nobody_waits_for_is_no_lull() {
        let (pressing, pressed) = watch::channel(true);
        let began = Instant::now();
        let burst = async {
            for _ in 0..10 {
                sleep(LULL / 2).await;
                pressing.send_replace(false);
                sleep(LULL / 2).await;
                pressing.send_replace(true);
            }
            pressing.send_replace(false);
            pressing
        };
        let (lulled_after, _pressing) = tokio::join!(
            async {
                lull(pressed).await;
                began.elapsed()
            },
            burst
        );
        assert!(lulled_after >= LULL * 11, "the burst lasts ten times as long: {lulled_after:?}");
    }
}
