//! A webhook arrives: is it believed, what does it speak of, and is it on disk.

mod said;
mod sender;

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::arrival::{Delivery, Endpoint, NewArrival};
use crate::domain::clock::Clock;
use crate::domain::digest::Digest;
use crate::domain::ids::{ApplicationId, ConversationId, LegId};
use crate::domain::rejection::{Rejection, RejectionReason};
use crate::domain::reply::{NewReply, Source, Upstream};
use crate::lifecycle::Lifecycle;
use crate::store::StoreError;
use crate::store::slot::StoreSlot;
use crate::vonage::secrets::without_secrets;
use crate::vonage::signature::Refusal;
use crate::vonage::webhook::Unreadable;

use self::said::Said;
pub use self::sender::Signatures;
use super::refusals::Refusals;
use super::rejection_gaps::RejectionGaps;
use super::{Wake, count};

/// How long a caller is kept waiting for the disk. A call that hears silence for longer is worse than an
/// NCCO that goes out before its webhook is stored.
const ANSWER_PATIENCE: Duration = Duration::from_millis(250);

/// How long Vonage is kept waiting for the disk with an event: it waits a little longer itself, and sends again
/// what was not acknowledged. If it was stored after all, that is a redelivery.
const EVENT_PATIENCE: Duration = Duration::from_secs(4);

/// How long storing is tried again once the reply is out: Vonage does not send again what was replied to. Longer
/// than another program should hold the store's lock, short enough for what waits to fit into memory.
const PERSISTENCE: Duration = Duration::from_mins(1);

/// The pause before storing is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// What may wait for the store, in bytes: hundreds of thousands of webhooks of usual size, and a bound on memory while
/// the store stands still. Beyond it events are refused, and answer webhooks are replied to and lost.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// What a webhook takes in memory beside its bytes.
const OVERHEAD_BYTES: usize = 1024;

/// The unit in which waiting bytes are counted.
const BYTES_PER_PERMIT: usize = 1024;

/// Why a webhook was not taken. Tells its sender what to mend, and holds nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// A signature is due and there is none. Vonage repeats what is answered with 503.
    #[error("{0}; switch on signed webhooks for the application")]
    Unsigned(#[source] Refusal),
    /// A signature is there and is not right.
    #[error("{0}")]
    Forged(#[source] Refusal),
    /// The path names an application that is not configured, or not the one that signed.
    #[error(
        "the path names an application that is not configured, or not the one that signed: compare the URL with the \
         [[application]] blocks"
    )]
    UnknownApplication,
    /// There is no JSON object in it.
    #[error("{0}; a webhook carries a JSON object in its body (POST) or in its query string (GET)")]
    Unreadable(#[source] Unreadable),
    /// It could not be stored.
    #[error("the webhook could not be stored; send it again")]
    NotStored(#[source] StoreError),
}

impl ReceiveError {
    /// What it counts as.
    fn reason(&self) -> RejectionReason {
        match self {
            Self::Unsigned(_) => RejectionReason::SignatureMissing,
            Self::Forged(_) => RejectionReason::SignatureInvalid,
            Self::UnknownApplication => RejectionReason::UnknownApplication,
            Self::Unreadable(_) => RejectionReason::Unreadable,
            Self::NotStored(_) => RejectionReason::NotStored,
        }
    }

    /// What an operator has to know of it.
    fn detail(&self) -> &dyn Display {
        match self {
            // Its sender need not know why.
            Self::NotStored(why) => why,
            other => other,
        }
    }
}

/// A request at a webhook's address.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it carries.
    pub delivery: Delivery,
    /// The body in the other forms that it had on its way, compressed or with a byte order mark: the signature may be
    /// of any of them.
    pub other_forms: Vec<Vec<u8>>,
    /// Its `Authorization` header.
    pub authorization: Option<String>,
    /// The application that its path names.
    pub application: Option<String>,
}

/// A webhook that was taken in, as far as its reply depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What tells the arrival from others in the log.
    pub arrival: Digest,
    /// Where it came in.
    pub endpoint: Endpoint,
    /// Which webhook it is: a fallback webhook is an answer or an event.
    pub stands_for: Endpoint,
    /// The conversation it speaks of.
    pub conversation_id: Option<ConversationId>,
    /// The conversation that a `transfer` moved a leg to.
    pub transferred_to: Option<ConversationId>,
    /// The leg it speaks of.
    pub leg_id: Option<LegId>,
    /// As in its [`Delivery`].
    pub covered_query: Option<String>,
}

/// What a webhook was replied to with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Where the reply came from.
    pub source: Source,
    /// How the application behind did, where it was asked.
    pub upstream: Option<Upstream>,
    /// The body, if it is not empty.
    pub ncco: Option<Vec<u8>>,
}

/// Takes webhooks in.
#[derive(Debug)]
pub struct Receiver {
    parts: Parts,
    /// Memory for webhooks and replies that wait for the store.
    waiting: Arc<Semaphore>,
}

/// What a [`Receiver`] works with.
#[derive(Debug)]
pub struct Parts {
    /// Where webhooks are kept, once it is open.
    pub store: StoreSlot,
    /// Tells when they came.
    pub clock: Arc<dyn Clock>,
    /// Which webhooks must be signed.
    pub signatures: Signatures,
    /// The applications that are served.
    pub applications: Vec<ApplicationId>,
    /// Told of the webhooks that are not taken.
    pub refusals: Arc<Refusals>,
    /// Told of those among them that were plainly ours.
    pub rejection_gaps: Arc<RejectionGaps>,
    /// Who wants to know: the fetcher and the interpreter.
    pub wakes: [Wake; 2],
    /// Where storing goes on when the reply no longer waits for it.
    pub lifecycle: Lifecycle,
}

impl Receiver {
    /// A receiver of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, waiting: Arc::new(Semaphore::new(MAX_WAITING_BYTES / BYTES_PER_PERMIT)) }
    }

    /// The same with other signatures. What waits for the store shares the same memory.
    #[must_use]
    pub fn with_signatures(&self, signatures: Signatures) -> Self {
        let parts = Parts {
            store: self.parts.store.clone(),
            clock: Arc::clone(&self.parts.clock),
            signatures,
            applications: self.parts.applications.clone(),
            refusals: Arc::clone(&self.parts.refusals),
            rejection_gaps: Arc::clone(&self.parts.rejection_gaps),
            wakes: self.parts.wakes.clone(),
            lifecycle: self.parts.lifecycle.clone(),
        };
        Self { parts, waiting: Arc::clone(&self.waiting) }
    }

    /// Takes a webhook in. It is on disk when this returns `Ok`, except where a caller waits for an NCCO and the
    /// store is slow or fails: then storing goes on, and a loss is counted.
    ///
    /// # Errors
    /// When it is not to be believed, cannot be read, or could not be stored.
    pub async fn receive(&self, request: Request) -> Result<Taken, ReceiveError> {
        let application = self.addressed(request.application.as_deref());
        let endpoint = request.delivery.endpoint;
        self.take(request).await.inspect_err(|why| {
            let rejection = Rejection { endpoint, reason: why.reason() };
            self.parts.refusals.note(rejection, application, why.detail());
        })
    }

    /// Told of what is refused before it can be received.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.parts.refusals
    }

    async fn take(&self, request: Request) -> Result<Taken, ReceiveError> {
        let (taken, arrival) = self.believed(request)?;
        let committed = Committed {
            counter: count::arrivals(taken.endpoint, &arrival.kind),
            wakes: self.parts.wakes.clone(),
        };
        if taken.stands_for == Endpoint::Answer {
            self.append_patiently(arrival, committed).await;
        } else {
            self.append_at_once(arrival, committed).await.map_err(ReceiveError::NotStored)?;
        }
        Ok(taken)
    }

    /// Stores what Vonage sends again. It goes on in a task of its own, also when the sender hangs up, and behind the
    /// refusal when it takes longer than [`EVENT_PATIENCE`]: it may still be stored, or else the store notes that it
    /// was not.
    async fn append_at_once(&self, arrival: NewArrival, committed: Committed) -> Result<(), StoreError> {
        let slot = self.parts.store.clone();
        let Some(memory) = self.reserve(size(&arrival.delivery)) else {
            slot.get()?.refused(arrival.received_at);
            return Err(StoreError::Behind);
        };
        let appending = self.parts.lifecycle.finish(async move {
            let _memory = memory;
            slot.opened().await?.append(arrival).await.inspect(|()| committed.tell())
        });
        match tokio::time::timeout(EVENT_PATIENCE, appending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreError::Unavailable("appending ended early; see the log".to_owned())),
            Err(_) => Err(StoreError::Behind),
        }
    }

    /// Stores what a caller waits for. Returns when it is on disk, at the latest after [`ANSWER_PATIENCE`].
    async fn append_patiently(&self, arrival: NewArrival, committed: Committed) {
        let received_at = arrival.received_at;
        let slot = self.parts.store.clone();
        // Each try has a copy of its own, which may still be queued when the next begins.
        let Some(memory) = self.reserve(2 * size(&arrival.delivery)) else {
            if let Ok(store) = slot.get() {
                store.refused(received_at);
            }
            return lost(&StoreError::Behind);
        };
        let lifecycle = self.parts.lifecycle.clone();
        let stored = self.parts.lifecycle.finish(async move {
            let _memory = memory;
            let append = || {
                let (slot, arrival) = (slot.clone(), arrival.clone());
                async move { slot.opened().await?.append(arrival).await }
            };
            match persistently(&lifecycle, append).await {
                Ok(()) => committed.tell(),
                Err(error) => {
                    if lifecycle.soft_stop().is_cancelled() {
                        lifecycle.leave_unfinished();
                    }
                    lost(&error);
                }
            }
        });
        // One that panicked has not been stored either.
        if !matches!(tokio::time::timeout(ANSWER_PATIENCE, stored).await, Ok(Ok(()))) {
            metrics::counter!("conversationd_answers_before_commit_total").increment(1);
        }
    }

    /// Keeps what a webhook was replied to with, behind the reply. A loss is counted.
    pub fn replied(&self, taken: Taken, given: Given) {
        let Given { source, upstream, ncco } = given;
        let reply = NewReply {
            arrival: taken.arrival,
            endpoint: taken.endpoint,
            conversation_id: taken.conversation_id,
            transferred_to: taken.transferred_to,
            leg_id: taken.leg_id,
            replied_at: self.parts.clock.now(),
            source,
            upstream,
            // It is kept as long as a document of Vonage's, and holds the same secrets.
            ncco: ncco.map(without_secrets),
        };
        let not_kept = |error: &StoreError| {
            metrics::counter!("conversationd_replies_lost_total").increment(1);
            tracing::error!(%error, "what a webhook was replied to with could not be stored");
        };
        let Some(memory) = self.reserve(2 * reply.ncco.as_ref().map_or(0, Vec::len)) else {
            return not_kept(&StoreError::Behind);
        };
        let slot = self.parts.store.clone();
        let lifecycle = self.parts.lifecycle.clone();
        self.parts.lifecycle.finish(async move {
            let _memory = memory;
            let keep = || {
                let (slot, reply) = (slot.clone(), reply.clone());
                async move { slot.opened().await?.reply(reply).await }
            };
            if let Err(error) = persistently(&lifecycle, keep).await {
                not_kept(&error);
            }
        });
    }

    /// Memory for so many bytes that wait for the store, if there is any left.
    fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from((bytes + OVERHEAD_BYTES).div_ceil(BYTES_PER_PERMIT)).ok()?;
        Arc::clone(&self.waiting).try_acquire_many_owned(permits).ok()
    }

    /// Everything up to the store: who sent it, and what it speaks of.
    fn believed(&self, request: Request) -> Result<(Taken, NewArrival), ReceiveError> {
        let received_at = self.parts.clock.now();
        let sender = self.sender(&request, received_at)?;
        let named = self.application(&sender, request.application.as_deref(), received_at)?;
        let mut delivery = request.delivery;
        delivery.covered_query = sender.covered_query;
        let said = Said::of(&delivery).map_err(ReceiveError::Unreadable)?;
        // Anybody can write a body: it is believed only as far as it names one that is served.
        let said_for = said.application_id.filter(|id| self.parts.applications.contains(id));
        let arrival = NewArrival {
            delivery,
            application_id: named.or(said_for).or_else(|| self.only_application().cloned()),
            origin: sender.origin,
            kind: said.kind,
            conversation_id: said.conversation_id,
            transferred_to: said.transferred_to,
            occurred_at: said.occurred_at,
            region: said.region,
            fallback_reason: said.fallback_reason,
            received_at,
        };
        for conversation in arrival.conversations() {
            self.parts.rejection_gaps.known(conversation);
        }
        let taken = Taken {
            arrival: arrival.identity().digest,
            endpoint: arrival.delivery.endpoint,
            stands_for: said.stands_for,
            conversation_id: arrival.conversation_id.clone(),
            transferred_to: arrival.transferred_to.clone(),
            leg_id: said.leg_id,
            covered_query: arrival.delivery.covered_query.clone(),
        };
        Ok((taken, arrival))
    }
}

/// What is to be done once a webhook is on disk, whether or not its sender still waits.
#[derive(Debug)]
struct Committed {
    counter: Counter,
    wakes: [Wake; 2],
}

impl Committed {
    fn tell(&self) {
        self.counter.increment(1);
        self.wakes.iter().for_each(Wake::wake);
    }
}

/// Counts an answer webhook that could not be stored.
fn lost(error: &StoreError) {
    metrics::counter!("conversationd_answers_lost_total").increment(1);
    tracing::error!(%error, "an answer webhook was replied to but not stored");
}

/// What a request takes in memory while it waits.
fn size(delivery: &Delivery) -> usize {
    let queries = [&delivery.query, &delivery.covered_query];
    delivery.body.len() + queries.into_iter().flatten().map(String::len).sum::<usize>()
}

/// Stores what nobody will send again, if need be by trying for [`PERSISTENCE`]; a daemon that stops has no time
/// for that.
async fn persistently<F>(lifecycle: &Lifecycle, store: impl Fn() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    let began = Instant::now();
    loop {
        let outcome = store().await;
        if outcome.is_ok() || began.elapsed() > PERSISTENCE || lifecycle.soft_stop().is_cancelled() {
            return outcome;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = lifecycle.soft_stop().cancelled() => {}
        }
    }
}
