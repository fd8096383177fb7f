//! Looks at what is due, the most urgent first: lease → look → keep (one transaction) → when next.

mod fulfil;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use super::schedule::Patience;

use super::Wake;
use super::clock_steps::ClockSteps;
use super::outage::Outages;
use super::stall::{Stalls, Work};
use super::told_once::ToldOnce;
use crate::domain::clock::Clock;
use crate::domain::fetch::Urgency;
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::store::{Store, StoreError};
use crate::vonage::client::Client;
use crate::vonage::hold::Api;
use crate::vonage::pace::Pace;

/// How long a look may take before somebody else may take it over: longer than any, with 200 members, at a
/// slow pace, or held up by Vonage. The leases of a daemon that died are ended by its successor.
const LEASE: SignedDuration = SignedDuration::from_hours(1);

/// The longest sleep: a wake-up may have been missed, and the machine's clock may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The pause after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How long begun looks may take after the stop: an answer's time, and less than the whole drain's.
const FINISHING: Duration = Duration::from_secs(6);

/// What the fetcher works with.
#[derive(Debug)]
pub struct Parts {
    /// What is owed, and where it is kept.
    pub store: Arc<dyn Store>,
    /// Tells what is due.
    pub clock: Arc<dyn Clock>,
    /// Who asks for which application's conversations.
    pub clients: Arc<HashMap<ApplicationId, Client>>,
    /// The turns of requests, which the clients take as well.
    pub pace: Arc<Pace>,
    /// When to look again.
    pub patience: Patience,
    /// Looks at one time.
    pub concurrency: u32,
    /// Wakes this fetcher.
    pub wake: Wake,
    /// Wakes who interprets.
    pub changed: Wake,
    /// Keeps when Vonage did not answer.
    pub outages: Arc<Outages>,
    /// Told whether the store does its part.
    pub stalls: Arc<Stalls>,
    /// Tells how long something lasts, whatever is done to the clock.
    pub clock_steps: Arc<ClockSteps>,
}

/// Does what is owed.
#[derive(Debug)]
pub struct Fetcher {
    parts: Parts,
    /// The applications that were said not to be configured.
    strangers: ToldOnce<Option<ApplicationId>>,
    /// The conversations of which nothing can be stored.
    unreadable: ToldOnce<ConversationId>,
    /// The conversations that Vonage fails by themselves.
    failed_alone: ToldOnce<ConversationId>,
}

/// What the fetcher waits for.
#[derive(Debug)]
enum Next {
    /// A look of this urgency is due, and waits for its turn.
    Due(Urgency),
    /// Nothing is due for so long.
    Sleep(Duration),
}

impl Fetcher {
    /// A fetcher of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            strangers: ToldOnce::default(),
            unreadable: ToldOnce::default(),
            failed_alone: ToldOnce::default(),
        })
    }

    /// Works until the stop, and then gives the looks that it has begun some time to finish. Those that it
    /// leaves, such as one that waits for its turn, are still owed.
    ///
    /// A look is taken out only when its first request may go: until then a more urgent one may come.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.resume().await;
        let mut looks = JoinSet::new();
        while !stop.is_cancelled() {
            let next = self.next().await;
            self.parts.stalls.observe(Work::Due, &next);
            let next = next.unwrap_or(Next::Sleep(AFTER_FAILURE));
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = looks.join_next() => {
                    if let Err(panic) = ended {
                        // The lease stays taken until it runs out. The others go on.
                        // What it was about is in the log already, without what it may hold.
                        let is_panic = panic.is_panic();
                        tracing::error!(is_panic, "a fetch ended early; its conversation is fetched again in an hour");
                    }
                }
                // It may be about a more urgent one than the one whose turn is waited for.
                () = self.parts.wake.woken(), if self.may_better(&looks, &next) => {}
                () = self.ready(&next), if self.has_room(&looks, &next) => {
                    if let Next::Due(_) = next {
                        self.begin(&mut looks).await;
                    }
                }
            }
        }
        let finished = async { while looks.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISHING, finished).await.is_err() {
            tracing::info!(looks = looks.len(), "looks were left for the next start");
        }
    }

    /// Whether another look may begin. The last places are for conversations that were never seen: long looks
    /// at others must not keep them out.
    fn has_room(&self, looks: &JoinSet<()>, next: &Next) -> bool {
        let all = self.parts.concurrency as usize;
        let reserved = if matches!(next, Next::Due(Urgency::Unseen)) { 0 } else { all / 4 };
        looks.len() < all - reserved
    }

    /// Whether news may change what is waited for: nothing is more urgent than what was never seen.
    fn may_better(&self, looks: &JoinSet<()>, next: &Next) -> bool {
        looks.len() < self.parts.concurrency as usize && !matches!(next, Next::Due(Urgency::Unseen))
    }

    async fn next(&self) -> Result<Next, StoreError> {
        // While nobody may ask, what is due is left where it is.
        if let Some(held) = self.held_back() {
            return Ok(Next::Sleep(held.min(LONGEST_SLEEP)));
        }
        let now = self.parts.clock.now();
        if let Some(urgency) = self.parts.store.most_urgent(now).await? {
            return Ok(Next::Due(urgency));
        }
        let next_due = self.parts.store.next_due().await?;
        Ok(Next::Sleep(self.until(next_due)))
    }

    /// How long Vonage's rate limit still holds back the fetches of every application.
    fn held_back(&self) -> Option<Duration> {
        let holds = self.parts.clients.values().map(|client| client.held_back(Api::Conversations));
        holds.collect::<Option<Vec<Duration>>>()?.into_iter().min()
    }

    async fn ready(&self, next: &Next) {
        match next {
            Next::Due(urgency) => self.parts.pace.ready(*urgency).await,
            Next::Sleep(pause) => tokio::time::sleep(*pause).await,
        }
    }

    /// Takes out the most urgent look and begins it.
    async fn begin(self: &Arc<Self>, looks: &mut JoinSet<()>) {
        let now = self.parts.clock.now();
        let leases = self.parts.store.lease(now, now + LEASE, 1).await;
        self.parts.stalls.observe(Work::Lease, &leases);
        let Ok(leases) = leases else { return tokio::time::sleep(AFTER_FAILURE).await };
        for lease in leases {
            let fetcher = Arc::clone(self);
            looks.spawn(async move { fetcher.fulfil(lease).await });
        }
    }

    fn until(&self, next_due: Option<Timestamp>) -> Duration {
        let wait = next_due.map(|due| due.duration_since(self.parts.clock.now()));
        wait.map_or(LONGEST_SLEEP, |wait| {
            Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
        })
    }
}
