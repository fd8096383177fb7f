//! A webhook arrives: is it believed, what does it speak of, and is it on disk.

mod said;

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::arrival::{Delivery, Endpoint, NewArrival, Origin};
use crate::domain::clock::Clock;
use crate::domain::digest::Digest;
use crate::domain::ids::{ApplicationId, ConversationId, LegId};
use crate::domain::reply::{NewReply, Source, Upstream};
use crate::lifecycle::Lifecycle;
use crate::store::{Store, StoreError};
use crate::vonage::secrets::without_secrets;
use crate::vonage::signature::{Refusal, Verified, Verifier};
use crate::vonage::webhook::Unreadable;

use self::said::Said;
use super::refusals::Refusals;
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
    /// Its name in the log and in the metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "unsigned",
            Self::Forged(_) => "signature",
            Self::UnknownApplication => "unknown application",
            Self::Unreadable(_) => "unreadable",
            Self::NotStored(_) => "not stored",
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
pub struct Receiver(Parts);

/// What a [`Receiver`] works with.
#[derive(Debug)]
pub struct Parts {
    /// Where webhooks are kept.
    pub store: Arc<dyn Store>,
    /// Tells when they came.
    pub clock: Arc<dyn Clock>,
    /// Who may sign; `None` where signatures are switched off.
    pub verifier: Option<Verifier>,
    /// The applications that are served.
    pub applications: Vec<ApplicationId>,
    /// Told of the webhooks that are not taken.
    pub refusals: Arc<Refusals>,
    /// Who wants to know: the fetcher and the interpreter.
    pub wakes: [Wake; 2],
    /// Where storing goes on when the reply no longer waits for it.
    pub lifecycle: Lifecycle,
}

impl Receiver {
    /// A receiver of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// Takes a webhook in. It is on disk when this returns `Ok`, except where a caller waits for an NCCO and the
    /// store is slow or fails: then storing goes on, and a loss is counted.
    ///
    /// # Errors
    /// When it is not to be believed, cannot be read, or could not be stored.
    pub async fn receive(&self, request: Request) -> Result<Taken, ReceiveError> {
        let application = match &request.application {
            Some(path) => self.served(path),
            None => self.only_application(),
        };
        self.take(request).await.inspect_err(|why| {
            self.0.refusals.note(why.reason(), application, why.detail());
        })
    }

    /// Told of what is refused before it can be received.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    async fn take(&self, request: Request) -> Result<Taken, ReceiveError> {
        let (taken, arrival) = self.believed(request)?;
        let count = count::arrivals(taken.endpoint, &arrival.kind);
        if taken.stands_for == Endpoint::Answer {
            self.append_patiently(arrival).await;
        } else {
            self.append_at_once(arrival).await.map_err(ReceiveError::NotStored)?;
            self.0.wakes.iter().for_each(Wake::wake);
        }
        count.increment(1);
        Ok(taken)
    }

    /// Stores what Vonage sends again. What takes longer than [`EVENT_PATIENCE`] goes on behind the refusal: it may
    /// still be stored, or else the store notes that it was not.
    async fn append_at_once(&self, arrival: NewArrival) -> Result<(), StoreError> {
        let store = Arc::clone(&self.0.store);
        let mut stored = Box::pin(async move { store.append(arrival).await });
        let in_time = tokio::time::timeout(EVENT_PATIENCE, &mut stored).await;
        in_time.unwrap_or_else(|_| {
            let wakes = self.0.wakes.clone();
            self.0.lifecycle.finish(async move {
                if stored.await.is_ok() {
                    wakes.iter().for_each(Wake::wake);
                }
            });
            Err(StoreError::Behind)
        })
    }

    /// Stores what a caller waits for. Returns when it is on disk, at the latest after [`ANSWER_PATIENCE`].
    async fn append_patiently(&self, arrival: NewArrival) {
        let store = Arc::clone(&self.0.store);
        let wakes = self.0.wakes.clone();
        let lifecycle = self.0.lifecycle.clone();
        let stored = self.0.lifecycle.finish(async move {
            match persistently(&lifecycle, || store.append(arrival.clone())).await {
                Ok(()) => wakes.iter().for_each(Wake::wake),
                Err(error) => {
                    metrics::counter!("conversationd_answers_lost_total").increment(1);
                    tracing::error!(%error, "an answer webhook was replied to but not stored");
                }
            }
        });
        if tokio::time::timeout(ANSWER_PATIENCE, stored).await.is_err() {
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
            replied_at: self.0.clock.now(),
            source,
            upstream,
            // It is kept as long as a document of Vonage's, and holds the same secrets.
            ncco: ncco.map(without_secrets),
        };
        let store = Arc::clone(&self.0.store);
        let lifecycle = self.0.lifecycle.clone();
        self.0.lifecycle.finish(async move {
            if let Err(error) = persistently(&lifecycle, || store.reply(reply.clone())).await {
                metrics::counter!("conversationd_replies_lost_total").increment(1);
                tracing::error!(%error, "what a webhook was replied to with could not be stored");
            }
        });
    }

    /// Everything up to the store: who sent it, and what it speaks of.
    fn believed(&self, request: Request) -> Result<(Taken, NewArrival), ReceiveError> {
        let Request { mut delivery, authorization, application } = request;
        let received_at = self.0.clock.now();
        let (origin, signed_for) = match &self.0.verifier {
            None => (Origin::Unverified, None),
            Some(verifier) => {
                let Verified { application_id, query } =
                    verifier.verify(authorization.as_deref(), &delivery, received_at).map_err(refused)?;
                delivery.query = query.or(delivery.query);
                (Origin::Signed, application_id)
            }
        };
        let named = self.application(signed_for, application.as_deref())?;
        let said = Said::of(&delivery).map_err(ReceiveError::Unreadable)?;
        // Anybody can write a body: it is believed only as far as it names one that is served.
        let said_for = said.application_id.filter(|id| self.0.applications.contains(id));
        let arrival = NewArrival {
            delivery,
            application_id: named.or(said_for).or_else(|| self.only_application().cloned()),
            origin,
            kind: said.kind,
            conversation_id: said.conversation_id,
            transferred_to: said.transferred_to,
            occurred_at: said.occurred_at,
            region: said.region,
            fallback_reason: said.fallback_reason,
            received_at,
        };
        let taken = Taken {
            arrival: arrival.identity().digest,
            endpoint: arrival.delivery.endpoint,
            stands_for: said.stands_for,
            conversation_id: arrival.conversation_id.clone(),
            transferred_to: arrival.transferred_to.clone(),
            leg_id: said.leg_id,
        };
        Ok((taken, arrival))
    }

    /// The application that signed, else the one in the path.
    fn application(
        &self,
        signed_for: Option<ApplicationId>,
        path: Option<&str>,
    ) -> Result<Option<ApplicationId>, ReceiveError> {
        let unknown = || ReceiveError::UnknownApplication;
        let named = path.map(|path| self.served(path).ok_or_else(unknown)).transpose()?;
        match (signed_for, named) {
            (Some(signed), Some(named)) if signed != *named => Err(unknown()),
            (signed, named) => Ok(signed.or_else(|| named.cloned())),
        }
    }

    /// The application that a path names, if it is served.
    fn served(&self, path: &str) -> Option<&ApplicationId> {
        self.0.applications.iter().find(|id| id.as_str() == path)
    }

    fn only_application(&self) -> Option<&ApplicationId> {
        match self.0.applications.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// Stores what nobody will send again, if need be by trying for [`PERSISTENCE`]; a daemon that stops has no time
/// for that.
async fn persistently<F>(lifecycle: &Lifecycle, mut store: impl FnMut() -> F) -> Result<(), StoreError>
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

fn refused(why: Refusal) -> ReceiveError {
    if why == Refusal::Unsigned { ReceiveError::Unsigned(why) } else { ReceiveError::Forged(why) }
}
