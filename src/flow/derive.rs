//! Keeps the derived tables up with the logs.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::interpret::interpret;
use super::stall::{Stalls, Work};
use super::told_once::ToldOnce;
use crate::domain::conversation::Interpretation;
use crate::domain::history::{History, Revision};
use crate::domain::ids::ConversationId;
use crate::store::{Stale, Store, StoreError};

/// Arrivals that are followed up, and looks, in one transaction: few enough not to keep the writer from
/// webhooks for longer than they keep it from each other.
const BATCH: u32 = 128;

/// Bytes of bodies that are read and interpreted at one time, unless a single conversation has more: a batch may speak of
/// conversations with hundreds of large webhooks each.
const PORTION_BYTES: u64 = 16 * 1024 * 1024;

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
    stalls: Arc<Stalls>,
    /// The conversations that the log has as ones that cannot be interpreted.
    told: ToldOnce<ConversationId>,
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
    /// A deriver that looks at the store whenever it is woken: by webhooks, which it gives way to, or by looks. It
    /// tells `stalls` how its work goes.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, [webhooks, looks]: [Wake; 2], stalls: Arc<Stalls>) -> Self {
        Self { store, webhooks, looks, stalls, told: ToldOnce::default() }
    }

    /// Works until the stop.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let began = Instant::now();
            let outcome = self.step().await;
            self.stalls.observe(Work::Derive, &outcome);
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
            Err(_) => sleep(AFTER_FAILURE).await,
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
        let portions = self.portions(&conversations).await?;
        let last = portions.len() - 1;
        let mut count = 0;
        for (index, portion) in portions.into_iter().enumerate() {
            // Before the last, nothing is followed yet: where one fails, all are interpreted once more.
            let through = stale.through.filter(|_| index == last);
            count += self.interpret(portion, through).await?;
        }
        Ok(Step::Did(count))
    }

    /// The conversations in portions of bounded bytes: one portion at least, and, where there are any, one conversation in
    /// each.
    async fn portions<'a>(
        &self,
        conversations: &'a [ConversationId],
    ) -> Result<Vec<&'a [ConversationId]>, StoreError> {
        let sizes = match self.store.history_bytes(conversations).await {
            // Where even that cannot be read each is read by itself, and found out.
            Err(error) if error.is_unreadable() => vec![PORTION_BYTES; conversations.len()],
            sizes => sizes?,
        };
        let mut portions = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (index, size) in sizes.into_iter().enumerate() {
            if index > start && bytes + size > PORTION_BYTES {
                portions.push(&conversations[start..index]);
                (start, bytes) = (index, 0);
            }
            bytes += size;
        }
        portions.push(&conversations[start..]);
        Ok(portions)
    }

    /// Interprets conversations, after which everything up to `through` is followed. Returns how many could be.
    async fn interpret(
        &self,
        conversations: &[ConversationId],
        through: Option<i64>,
    ) -> Result<usize, StoreError> {
        let (histories, unreadable) = self.readable(conversations).await?;
        let Interpreted { records, failed } = interpreted(histories).await;
        let count = records.len();
        self.store.save(records, through).await?;
        for (conversation, _) in &failed {
            self.tell(conversation, &"the program failed on its history, which is kept");
        }
        let failed = failed.into_iter().map(|(conversation, revision)| (conversation, Some(revision)));
        let quarantined: Vec<_> =
            unreadable.into_iter().map(|conversation| (conversation, None)).chain(failed).collect();
        if !quarantined.is_empty() {
            self.store.quarantine(&quarantined).await?;
        }
        Ok(count)
    }

    /// The histories that can be read, and whose cannot: one must not hold up the others.
    async fn readable(
        &self,
        conversations: &[ConversationId],
    ) -> Result<(Vec<History>, Vec<ConversationId>), StoreError> {
        match self.store.histories(conversations).await {
            Err(error) if error.is_unreadable() => {}
            Ok(histories) => {
                if !histories.is_empty() {
                    self.stalls.observe(Work::ReadHistories, &Ok(()));
                }
                return Ok((histories, Vec::new()));
            }
            Err(error) => return Err(error),
        }
        let (mut histories, mut unreadable, mut damage) = (Vec::new(), Vec::new(), None);
        for conversation in conversations {
            match self.store.histories(std::slice::from_ref(conversation)).await {
                Ok(readable) => histories.extend(readable),
                Err(error) if error.is_unreadable() => {
                    self.tell(conversation, &error);
                    unreadable.push(conversation.clone());
                    damage = Some(error).filter(|error| matches!(error, StoreError::Damaged(_))).or(damage);
                }
                Err(error) => return Err(error),
            }
        }
        // One conversation's page is its own affair; that no history can be read is everybody's.
        match damage {
            Some(damage) if histories.is_empty() => {
                self.stalls.observe(Work::ReadHistories, &Err::<(), _>(damage));
            }
            _ => self.stalls.observe(Work::ReadHistories, &Ok(())),
        }
        Ok((histories, unreadable))
    }

    /// Counts a conversation that cannot be interpreted, and says it of each once.
    fn tell(&self, conversation: &ConversationId, why: &dyn Display) {
        metrics::counter!("conversationd_conversations_unreadable_total").increment(1);
        if self.told.is_first(conversation.clone()) {
            tracing::error!(%why, %conversation, "a conversation cannot be interpreted; it is left out until there is news of it");
        }
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

/// What became of histories.
#[derive(Debug, Default)]
pub(super) struct Interpreted {
    /// What they mean, each with the revision that it was read at.
    pub(super) records: Vec<(Interpretation, Revision)>,
    /// The conversations on whose history the program failed, with the revision that it was read at.
    pub(super) failed: Vec<(ConversationId, Revision)>,
}

/// Interprets histories beside the runtime's threads, which webhooks wait for: the history of a long conference takes a
/// while.
pub(super) async fn interpreted(histories: Vec<History>) -> Interpreted {
    let interpreting = tokio::task::spawn_blocking(move || isolated(&histories, interpret));
    interpreting.await.expect("each interpretation is caught")
}

/// Interprets each history by itself: a panic stays with its conversation.
fn isolated(histories: &[History], interpret: impl Fn(&History) -> Interpretation) -> Interpreted {
    let mut interpreted = Interpreted::default();
    for history in histories {
        // Interpreting is pure: what a panic leaves behind is seen by nobody.
        match catch_unwind(AssertUnwindSafe(|| interpret(history))) {
            Ok(record) => interpreted.records.push((record, history.revision)),
            Err(_) => interpreted.failed.push((history.conversation_id.clone(), history.revision)),
        }
    }
    interpreted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fetch::FetchState;

    #[test]
    fn a_panic_stays_with_its_conversation() {
        let history = |id: &str| History {
            conversation_id: ConversationId::parse(id).expect("it is an id"),
            arrivals: Vec::new(),
            snapshots: Vec::new(),
            listed: Vec::new(),
            fetch: FetchState::default(),
            revision: Revision::default(),
        };
        let histories = ["CON-1", "CON-2", "CON-3"].map(history);
        let interpreted = isolated(&histories, |history| {
            assert_ne!(history.conversation_id.as_str(), "CON-2", "a fault of the program");
            interpret(history)
        });
        let records: Vec<&str> = interpreted.records.iter().map(|(record, _)| record.id.as_str()).collect();
        assert_eq!(records, ["CON-1", "CON-3"]);
        assert_eq!(interpreted.failed, [(histories[1].conversation_id.clone(), Revision::default())]);
    }

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
