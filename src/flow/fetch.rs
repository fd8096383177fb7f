//! Looks at what is due: lease → look → keep (one transaction) → when next.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use super::schedule::Patience;

use super::Wake;
use super::derive::interpreted;
use super::outage::{Host, Outages};
use super::schedule::Circumstances;
use crate::domain::clock::Clock;
use crate::domain::conversation::State;
use crate::domain::fetch::{Lease, Settlement, Urgency};
use crate::domain::gap::Cause;
use crate::domain::ids::{ApplicationId, Region};
use crate::domain::snapshot::Snapshot;
use crate::store::{Store, StoreError};
use crate::vonage::client::{Asked, Client, HostAnswer, Look, Looked, NoAnswer};
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
}

/// Does what is owed.
#[derive(Debug)]
pub struct Fetcher {
    parts: Parts,
    /// The applications that were said not to be configured. A std mutex: never held across an await.
    strangers: Mutex<HashSet<Option<ApplicationId>>>,
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
        Arc::new(Self { parts, strangers: Mutex::default() })
    }

    /// Works until the stop, and then gives the looks that it has begun some time to finish. Those that it
    /// leaves, such as one that waits for its turn, are still owed.
    ///
    /// A look is taken out only when its first request may go: until then a more urgent one may come.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = JoinSet::new();
        while !stop.is_cancelled() {
            let next = match self.next().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "owed looks could not be read from the store; trying again");
                    Next::Sleep(AFTER_FAILURE)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = looks.join_next() => {
                    if let Err(panic) = ended {
                        // The lease stays taken until it runs out; the daemon must not go on as if nothing was.
                        std::panic::resume_unwind(panic.into_panic());
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
        let now = self.parts.clock.now();
        if let Some(urgency) = self.parts.store.most_urgent(now).await? {
            return Ok(Next::Due(urgency));
        }
        let next_due = self.parts.store.next_due().await?;
        Ok(Next::Sleep(self.until(next_due)))
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
        match self.parts.store.lease(now, now + LEASE, 1).await {
            Ok(leases) => {
                for lease in leases {
                    let fetcher = Arc::clone(self);
                    looks.spawn(async move { fetcher.fulfil(lease).await });
                }
            }
            Err(error) => {
                tracing::error!(%error, "an owed look could not be taken out; trying again");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    fn until(&self, next_due: Option<Timestamp>) -> Duration {
        let wait = next_due.map(|due| due.duration_since(self.parts.clock.now()));
        wait.map_or(LONGEST_SLEEP, |wait| {
            Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
        })
    }

    /// One look, from the lease to its end.
    async fn fulfil(&self, lease: Lease) {
        let began_at = self.parts.clock.now();
        let look = self.look(&lease, began_at).await;
        metrics::counter!("conversationd_looks_total", "outcome" => outcome(&look)).increment(1);
        let now = self.parts.clock.now();
        let state = match &look {
            // It decides nothing for the others, and takes the whole history to find out.
            Look::Gone(_) | Look::Refused(_) | Look::NoApplication | Look::Unreachable(_) => State::Live,
            _ => self.state_after(&lease, &look, now).await,
        };
        let settlement =
            self.parts.patience.settle(&lease, &look, Circumstances { state, now, jitter: jitter() });
        self.keep(settlement).await;
    }

    /// Asks, and notices which hosts answered.
    async fn look(&self, lease: &Lease, began_at: Timestamp) -> Look {
        let Some((application, client)) = self.client(lease) else {
            self.meet_stranger(lease.state.application_id.as_ref());
            return Look::NoApplication;
        };
        let (id, known) = (&lease.conversation_id, lease.known.as_ref());
        let (region, urgency) = (lease.state.region.as_ref(), lease.urgency);
        let asked = Asked { id, known, region, urgency };
        if lease.state.urgency == Urgency::Events {
            return client.events(asked).await;
        }
        let Looked { look, answers } = client.look(asked).await;
        for answer in answers {
            self.observe(application, answer, began_at);
        }
        look
    }

    /// Who asks for the lease's conversation. One that was heard of before its application was configured
    /// belongs to the only one there is.
    fn client(&self, lease: &Lease) -> Option<(&ApplicationId, &Client)> {
        let clients = &self.parts.clients;
        match &lease.state.application_id {
            Some(id) => clients.get_key_value(id),
            None if clients.len() == 1 => clients.iter().next(),
            None => None,
        }
    }

    /// Whether the conversation goes on, with what the look has shown but nobody has stored yet.
    async fn state_after(&self, lease: &Lease, look: &Look, now: Timestamp) -> State {
        let histories = self.parts.store.histories(std::slice::from_ref(&lease.conversation_id)).await;
        let mut history = match histories.map(|mut histories| histories.pop()) {
            Ok(Some(history)) => history,
            Ok(None) => return State::Live,
            Err(error) => {
                tracing::error!(%error, conversation = %lease.conversation_id, "a history could not be read");
                return State::Live;
            }
        };
        // It answers again: an earlier 404 no longer counts.
        history.fetch.gone_at = None;
        match look {
            Look::Seen { sighting, .. } => history.snapshots.push(Snapshot {
                conversation_id: lease.conversation_id.clone(),
                number: lease.known.as_ref().map_or(1, |known| known.snapshot + 1),
                confirmed_at: sighting.taken_at,
                sighting: sighting.clone(),
            }),
            Look::Events(list) => {
                if let Some(newest) = history.snapshots.last_mut() {
                    newest.sighting.documents.extend_from_slice(&list.documents);
                }
            }
            _ => {}
        }
        let interpreted = interpreted(vec![history]).await;
        interpreted.first().map_or(State::Live, |(interpretation, _)| interpretation.state(now))
    }

    /// Keeps what a look found. Nobody can ask for it again, so a store that fails is tried until it works, or
    /// until the drain ends this.
    async fn keep(&self, settlement: Settlement) {
        let conversation = settlement.conversation_id.clone();
        let mut failed_before = false;
        while let Err(error) = self.parts.store.settle(settlement.clone()).await {
            if !failed_before {
                tracing::error!(%error, %conversation, "a look could not be kept; trying again");
                failed_before = true;
            }
            if matches!(error, StoreError::Corrupt { .. }) {
                // Trying again does not help. The lease runs out, and the look is done anew.
                return;
            }
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        self.parts.changed.wake();
        if settlement.state.gave_up_at.is_some() {
            metrics::counter!("conversationd_looks_given_up_total").increment(1);
            tracing::warn!(%conversation, "looking at a conversation was given up");
        }
    }

    /// Says it once of each application that is not configured.
    fn meet_stranger(&self, application: Option<&ApplicationId>) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if strangers.insert(application.cloned()) {
            tracing::error!(
                application = application.map(ApplicationId::as_str),
                "conversations of an application that is not configured cannot be fetched; add an [[application]]"
            );
        }
    }

    /// Notes how a host answered, and says it when it begins or ceases to.
    fn observe(&self, application: &ApplicationId, answer: HostAnswer, began_at: Timestamp) {
        let HostAnswer { region, outcome } = answer;
        let (cause, at) = match &outcome {
            Ok(()) => (None, self.parts.clock.now()),
            // A look that failed has seen nothing since it began; one that ran into a timeout, for seconds.
            Err(NoAnswer::Refused(_)) => (Some(Cause::Refused), began_at),
            Err(NoAnswer::Unreachable(_)) => (Some(Cause::Unreachable), began_at),
        };
        let host = Host { application: application.clone(), region };
        if !self.parts.outages.observed(&host, cause, at) {
            return;
        }
        let region = host.region.as_ref().map(Region::as_str);
        match outcome {
            Ok(()) => tracing::info!(%application, region, "Vonage answers again"),
            Err(NoAnswer::Refused(status)) => tracing::error!(
                %application,
                region,
                status,
                "Vonage refuses the application's token: check [[application]] id and private_key_file and this \
                 machine's clock; looks stay owed"
            ),
            Err(NoAnswer::Unreachable(failure)) => {
                tracing::warn!(%application, region, %failure, "a look failed; trying again with growing pauses");
            }
        }
    }
}

/// The look's name in the metrics.
fn outcome(look: &Look) -> &'static str {
    match look {
        Look::Seen { .. } => "seen",
        Look::Unchanged { .. } => "unchanged",
        Look::Events(_) => "events",
        Look::NoEvents => "no events",
        Look::Gone(_) => "gone",
        Look::NotYet(_) => "not yet",
        Look::Interrupted(..) => "interrupted",
        Look::Refused(_) => "refused",
        Look::NoApplication => "no application",
        Look::Unreachable(_) => "unreachable",
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that draws the jitter of pauses")]
fn jitter() -> f64 {
    rand::random()
}
