//! Times in which webhooks that were plainly ours were rejected, from the webhook to the gap in the store. What a
//! stranger posts opens none: he names neither the account nor a conversation that there is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Wake;
use crate::domain::clock::Clock;
use crate::domain::gap::Cause;
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::store::slot::StoreSlot;
use crate::store::{Store, StoreError};

/// Rejections that follow one another within this time are one gap: a call has an event more often than that, or a
/// new call begins.
const ONE_GAP_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// How long an unsigned webhook waits for its conversation to become known: the signed ones of a call come within
/// seconds of it, and the list of calls within `reconcile.interval`.
const DOUBTED_FOR: SignedDuration = SignedDuration::from_mins(15);

/// How many conversations are waited for. Anybody can name some; the longest silent makes room.
const MAX_DOUBTED: usize = 1024;

/// How many of them the store is asked for at one time: a flood must not keep it from readers.
const CHECKED_AT_ONCE: usize = 128;

/// When the store is asked again for a conversation that it did not know.
const CHECKED_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// How many gaps may wait for a store that fails. What is more makes one of them longer.
const MAX_RUNS: usize = 64;

/// Between two writes: rejected webhooks may come by the thousand.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest sleep: what is doubted is checked in between.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// What has been noticed of rejected webhooks. Who notices does not wait for the store.
#[derive(Debug, Default)]
pub struct RejectionGaps {
    /// A std mutex: never held across an await.
    noticed: Mutex<Noticed>,
    wake: Wake,
}

#[derive(Debug, Default)]
struct Noticed {
    /// Gaps that the store does not know whole, or that may still become longer.
    runs: Vec<Run>,
    /// Unsigned webhooks, by the conversation that they name.
    doubted: HashMap<ConversationId, Doubted>,
}

/// Rejections that are one gap.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    application: Option<ApplicationId>,
    began_at: Timestamp,
    ended_at: Timestamp,
    /// Whether the store has it, up to some moment. Its beginning can no longer be another then.
    is_begun: bool,
    /// Whether the store has it as it is now.
    is_recorded: bool,
}

/// Rejected webhooks that are ours if their conversation is.
#[derive(Debug, Clone)]
struct Doubted {
    application: Option<ApplicationId>,
    began_at: Timestamp,
    ended_at: Timestamp,
    check_at: Timestamp,
}

impl RejectionGaps {
    /// A webhook that came in at `at` was rejected and plainly ours. `application` is whose, where that is known.
    pub fn ours(&self, application: Option<ApplicationId>, at: Timestamp) {
        self.noticed().lengthen(application, at, at);
        self.wake.wake();
    }

    /// An unsigned webhook was rejected: it is ours if there is such a conversation, or comes to be.
    pub fn unsigned(&self, conversation: ConversationId, application: Option<ApplicationId>, at: Timestamp) {
        let mut noticed = self.noticed();
        if noticed.doubted.len() >= MAX_DOUBTED && !noticed.doubted.contains_key(&conversation) {
            let silent = noticed.doubted.iter().min_by_key(|(_, doubted)| doubted.ended_at);
            if let Some(silent) = silent.map(|(conversation, _)| conversation.clone()) {
                noticed.doubted.remove(&silent);
            }
        }
        let doubted = Doubted { application, began_at: at, ended_at: at, check_at: at };
        let doubted = noticed.doubted.entry(conversation).or_insert(doubted);
        doubted.ended_at = doubted.ended_at.max(at);
        drop(noticed);
        self.wake.wake();
    }

    /// A webhook that is believed named this conversation.
    pub fn known(&self, conversation: &ConversationId) {
        let mut noticed = self.noticed();
        if noticed.believe(conversation) {
            drop(noticed);
            self.wake.wake();
        }
    }

    /// Writes what is noticed until the stop, and then once more.
    pub async fn run(self: Arc<Self>, store: StoreSlot, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let mut is_failing = false;
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.woken() => {}
                () = tokio::time::sleep(LONGEST_SLEEP) => {}
            }
            // Until the store is open there is nothing to write to; what was noticed waits.
            let Ok(store) = store.get() else { continue };
            let outcome = self.record(&*store, clock.now()).await;
            if let Err(error) = &outcome
                && !is_failing
            {
                tracing::error!(%error, "rejected webhooks could not be told of as a gap; trying again");
            }
            is_failing = outcome.is_err();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        if let Ok(store) = store.get()
            && let Err(error) = self.record(&*store, clock.now()).await
        {
            tracing::error!(%error, "rejected webhooks could not be told of as a gap");
        }
    }

    /// Asks for what is doubted and writes what is not recorded.
    ///
    /// # Errors
    /// When the store fails. What was not written stays noticed.
    pub async fn record(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let due = self.noticed().take_due(now);
        for conversation in due {
            if store.resolve(conversation.as_str()).await?.as_ref() == Some(&conversation) {
                self.noticed().believe(&conversation);
            }
        }
        let unrecorded: Vec<Run> =
            self.noticed().runs.iter().filter(|run| !run.is_recorded).cloned().collect();
        for run in unrecorded {
            store.add_gap(Cause::Rejected, run.application.as_ref(), run.began_at, run.ended_at).await?;
            self.noticed().mark_recorded(&run);
        }
        self.noticed().forget(now);
        Ok(())
    }

    fn noticed(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noticed {
    /// Puts the time from `from` to `to` into the gap that it follows, or makes a new one.
    fn lengthen(&mut self, application: Option<ApplicationId>, from: Timestamp, to: Timestamp) {
        let is_full = self.runs.len() >= MAX_RUNS;
        let of_it = self.runs.iter_mut().rev().filter(|run| run.application == application);
        let followed = of_it.into_iter().find(|run| is_full || run.is_followed_by(from, to));
        match followed {
            Some(run) => {
                let (began_at, ended_at) = (run.began_at, run.ended_at);
                if !run.is_begun {
                    run.began_at = began_at.min(from);
                }
                run.ended_at = ended_at.max(to);
                run.is_recorded &= (run.began_at, run.ended_at) == (began_at, ended_at);
            }
            None if is_full => {}
            None => self.runs.push(Run {
                application,
                began_at: from,
                ended_at: to,
                is_begun: false,
                is_recorded: false,
            }),
        }
    }

    /// The conversation is ours, and so are the unsigned webhooks that named it. Returns whether there were any.
    fn believe(&mut self, conversation: &ConversationId) -> bool {
        let Some(doubted) = self.doubted.remove(conversation) else { return false };
        self.lengthen(doubted.application, doubted.began_at, doubted.ended_at);
        true
    }

    /// The conversations that the store is to be asked for now.
    fn take_due(&mut self, now: Timestamp) -> Vec<ConversationId> {
        let due = self.doubted.iter_mut().filter(|(_, doubted)| {
            // A clock that was set back must not put it off.
            doubted.check_at <= now || doubted.check_at > now.saturating_add(CHECKED_EVERY).unwrap_or(now)
        });
        let asked = due.take(CHECKED_AT_ONCE).map(|(conversation, doubted)| {
            doubted.check_at = now.saturating_add(CHECKED_EVERY).unwrap_or(now);
            conversation.clone()
        });
        asked.collect()
    }

    /// It may have become longer meanwhile.
    fn mark_recorded(&mut self, recorded: &Run) {
        let same =
            |run: &&mut Run| run.application == recorded.application && run.began_at == recorded.began_at;
        if let Some(run) = self.runs.iter_mut().find(same) {
            run.is_begun = true;
            run.is_recorded = run.ended_at == recorded.ended_at;
        }
    }

    /// Forgets what can no longer change.
    fn forget(&mut self, now: Timestamp) {
        let is_past = |at: Timestamp, for_long: SignedDuration| now.duration_since(at) > for_long;
        self.runs.retain(|run| !run.is_recorded || !is_past(run.ended_at, ONE_GAP_WITHIN));
        self.doubted.retain(|_, doubted| !is_past(doubted.ended_at, DOUBTED_FOR));
    }
}

impl Run {
    /// Whether a rejection in that time belongs to it.
    fn is_followed_by(&self, from: Timestamp, to: Timestamp) -> bool {
        let begins_within = from.duration_since(self.ended_at) <= ONE_GAP_WITHIN;
        let ends_within = self.began_at.duration_since(to) <= ONE_GAP_WITHIN;
        // What began before the store was told is a gap of its own, unless two came in at the same moment.
        let keeps_beginning =
            !self.is_begun || self.began_at.duration_since(from) <= SignedDuration::from_secs(1);
        begins_within && ends_within && keeps_beginning
    }
}
