//! A webhook arrives: is it believed, what does it speak of, and is it on disk.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::arrival::{Delivery, NewArrival, Origin};
use crate::domain::clock::Clock;
use crate::domain::ids::ApplicationId;
use crate::lifecycle::Lifecycle;
use crate::store::{Store, StoreError};
use crate::vonage::signature::{Refusal, Verifier};
use crate::vonage::webhook::{Unreadable, Webhook};

use super::Wake;

/// How long a caller is kept waiting for the disk. A call that hears silence for longer is worse than an
/// NCCO that goes out before its webhook is stored.
const ANSWER_PATIENCE: Duration = Duration::from_millis(250);

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
    #[error("this application is not served here: name it in the configuration")]
    UnknownApplication,
    /// There is no JSON object in it.
    #[error("{0}; a webhook carries a JSON object in its body (POST) or in its query string (GET)")]
    Unreadable(#[source] Unreadable),
    /// It could not be stored.
    #[error("the webhook could not be stored; send it again")]
    NotStored(#[source] StoreError),
}

/// A request at a webhook's address.
#[derive(Debug)]
pub struct Request {
    /// What it carries.
    pub delivery: Delivery,
    /// Its `Authorization` header.
    pub authorization: Option<String>,
    /// The application that its path names.
    pub application: Option<String>,
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

    /// Takes an event in. It is on disk when this returns `Ok`.
    ///
    /// # Errors
    /// When it is not to be believed, cannot be read, or could not be stored.
    pub async fn event(&self, request: Request) -> Result<(), ReceiveError> {
        let arrival = self.believed(request)?;
        self.0.store.append(arrival).await.map_err(|why| {
            count_refusal("not stored");
            ReceiveError::NotStored(why)
        })?;
        self.wake();
        Ok(())
    }

    /// Takes an answer webhook in: a caller is waiting. It is on disk when this returns, unless the store is
    /// slow or fails; then it returns all the same, storing goes on, and a loss is counted.
    ///
    /// # Errors
    /// When it is not to be believed or cannot be read.
    pub async fn answer(&self, request: Request) -> Result<(), ReceiveError> {
        let arrival = self.believed(request)?;
        let store = Arc::clone(&self.0.store);
        let wakes = self.0.wakes.clone();
        let stored = self.0.lifecycle.finish(async move {
            match store.append(arrival).await {
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
        Ok(())
    }

    fn wake(&self) {
        self.0.wakes.iter().for_each(Wake::wake);
    }

    /// Everything up to the store: who sent it, and what it speaks of.
    fn believed(&self, request: Request) -> Result<NewArrival, ReceiveError> {
        let Request { delivery, authorization, application } = request;
        let received_at = self.0.clock.now();
        let (origin, signed_for) = match &self.0.verifier {
            None => (Origin::Unverified, None),
            Some(verifier) => {
                let signed_for =
                    verifier.verify(authorization.as_deref(), &delivery, received_at).map_err(refused)?;
                (Origin::Signed, signed_for)
            }
        };
        let application_id = self.application(signed_for, application.as_deref())?;
        let webhook = Webhook::read(&delivery).map_err(|why| {
            count_refusal("unreadable");
            ReceiveError::Unreadable(why)
        })?;
        let kind = webhook.kind(delivery.endpoint);
        count_arrival(delivery.endpoint.as_str(), &kind);
        Ok(NewArrival {
            application_id,
            origin,
            conversation_id: webhook.conversation_id(),
            transferred_to: webhook.transferred_to(),
            kind,
            occurred_at: webhook.timestamp(),
            event_id: None,
            region: webhook.region_url(),
            fallback_reason: None,
            received_at,
            delivery,
        })
    }

    /// The application that signed, else the one in the path, else the only one.
    fn application(
        &self,
        signed_for: Option<ApplicationId>,
        path: Option<&str>,
    ) -> Result<Option<ApplicationId>, ReceiveError> {
        let unknown = || {
            count_refusal("unknown application");
            ReceiveError::UnknownApplication
        };
        let named = match path {
            None => None,
            Some(path) => {
                Some(self.0.applications.iter().find(|id| id.as_str() == path).cloned().ok_or_else(unknown)?)
            }
        };
        match (signed_for, named) {
            (Some(signed), Some(named)) if signed != named => Err(unknown()),
            (Some(application), _) | (None, Some(application)) => Ok(Some(application)),
            (None, None) => match self.0.applications.as_slice() {
                [only] => Ok(Some(only.clone())),
                _ => Ok(None),
            },
        }
    }
}

fn refused(why: Refusal) -> ReceiveError {
    if why == Refusal::Unsigned {
        count_refusal("unsigned");
        ReceiveError::Unsigned(why)
    } else {
        count_refusal("signature");
        ReceiveError::Forged(why)
    }
}

/// Counts a request that was not taken.
pub fn count_refusal(reason: &'static str) {
    metrics::counter!("conversationd_webhooks_refused_total", "reason" => reason).increment(1);
}

/// Kinds that are counted under their own name. The others share one: a sender chooses the text, and must
/// not be able to make as many counters as it likes.
const COUNTED_KINDS: [&str; 27] = [
    "answer",
    "started",
    "ringing",
    "answered",
    "busy",
    "cancelled",
    "timeout",
    "unanswered",
    "rejected",
    "failed",
    "disconnected",
    "human",
    "machine",
    "completed",
    "record",
    "transcribed",
    "input",
    "transfer",
    "notify",
    "pay",
    "error",
    "playback",
    "rtc",
    "unknown",
    "redirected",
    "complete",
    "other",
];

fn count_arrival(endpoint: &'static str, kind: &str) {
    let kind = COUNTED_KINDS.iter().find(|known| **known == kind).unwrap_or(&"other");
    metrics::counter!("conversationd_webhooks_total", "endpoint" => endpoint, "kind" => *kind).increment(1);
}
