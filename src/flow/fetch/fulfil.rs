//! One look, from its lease to its settlement.

use jiff::{SignedDuration, Timestamp};

use super::{AFTER_FAILURE, Fetcher};
use crate::domain::conversation::State;
use crate::domain::fetch::{Lease, Settlement, Urgency};
use crate::domain::gap::{Cause, SHORTEST};
use crate::domain::ids::{ApplicationId, Region};
use crate::domain::snapshot::Snapshot;
use crate::flow::derive::interpreted;
use crate::flow::outage::{Host, News};
use crate::flow::reconcile::LISTED_AGAIN_FOR;
use crate::flow::schedule::Circumstances;
use crate::flow::stall::Work;
use crate::store::StoreError;
use crate::vonage::client::{Asked, Client, Failure, HostAnswer, Look, Looked, NoAnswer};
use crate::vonage::hold::Api;

impl Fetcher {
    /// One look, from the lease to its end.
    pub(super) async fn fulfil(&self, lease: Lease) {
        let began_at = self.parts.clock.now();
        let Looked { look, answers } = self.look(&lease).await;
        metrics::counter!("conversationd_looks_total", "outcome" => outcome(&look)).increment(1);
        let now = self.parts.clock.now();
        let mut back = None;
        if let Some((application, _)) = self.client(&lease) {
            for answer in &answers {
                if let Some(after) = self.observe((application, &lease), answer, (began_at, now)) {
                    back = Some((application, after));
                }
            }
        }
        let state = match &look {
            // It decides nothing for the others, and takes the whole history to find out.
            Look::Gone(_) | Look::Refused(_) | Look::NoApplication | Look::Unreachable(_) => State::Live,
            _ => self.state_after(&lease, &look, now).await,
        };
        let lasted = |since: Option<Timestamp>| {
            since.map_or(SignedDuration::ZERO, |since| self.parts.clock_steps.since(since))
        };
        let circumstances = Circumstances {
            state,
            now,
            failing_for: lasted(lease.state.failing_since),
            // Without a webhook of its own the first failure has to do.
            silent_for: lasted(lease.heard_at.or(lease.state.failing_since)),
            jitter: jitter(),
        };
        let settlement = self.parts.patience.settle(&lease, &look, circumstances);
        let is_missed = lease.is_missed_with(&settlement.state);
        self.keep(settlement).await;
        if is_missed {
            tracing::warn!(conversation = %lease.conversation_id, "a conversation was missed: gone before the first look");
        }
        // Behind what is kept: a host that answers again makes due what is in the store.
        if let Some((application, after)) = back {
            self.hasten(application, after, now).await;
        }
    }

    async fn look(&self, lease: &Lease) -> Looked {
        let Some((_, client)) = self.client(lease) else {
            self.meet_stranger(lease.state.application_id.as_ref());
            return Looked { look: Look::NoApplication, answers: Vec::new() };
        };
        let (id, known) = (&lease.conversation_id, lease.known.as_ref());
        let (region, urgency) = (lease.state.region.as_ref(), lease.urgency);
        let asked = Asked { id, known, region, urgency };
        match lease.state.urgency {
            Urgency::Events => Looked { look: client.events(asked).await, answers: Vec::new() },
            _ => client.look(asked).await,
        }
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
        // Of one that cannot be read the deriver says so.
        let Ok(Some(mut history)) = histories.map(|mut histories| histories.pop()) else {
            return State::Live;
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
        interpreted.records.first().map_or(State::Live, |(interpretation, _)| interpretation.state(now))
    }

    /// Keeps what a look found. Nobody can ask for it again, so a store that fails is tried until it works, or
    /// until the drain ends this.
    async fn keep(&self, settlement: Settlement) {
        let conversation = settlement.conversation_id.clone();
        loop {
            let outcome = self.parts.store.settle(settlement.clone()).await;
            match outcome {
                Ok(_) => {
                    self.parts.stalls.observe(Work::Keep, &outcome);
                    break;
                }
                Err(ref error) if error.is_unreadable() => {
                    if matches!(error, StoreError::Damaged(_)) {
                        self.parts.stalls.observe(Work::Keep, &outcome);
                    }
                    // Trying again does not help. The lease runs out, and the look is done anew.
                    if self.unreadable.is_first(conversation.clone()) {
                        tracing::error!(%error, %conversation, "what a fetch found of a conversation cannot be stored");
                    }
                    return;
                }
                Err(_) => {
                    self.parts.stalls.observe(Work::Keep, &outcome);
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
        self.parts.changed.wake();
        if settlement.state.gave_up_at.is_some() {
            metrics::counter!("conversationd_looks_given_up_total").increment(1);
            tracing::warn!(%conversation, "looking at a conversation was given up");
        }
    }

    /// Says it once of each application that is not configured.
    fn meet_stranger(&self, application: Option<&ApplicationId>) {
        if self.strangers.is_first(application.cloned()) {
            tracing::error!(
                application = application.map(ApplicationId::as_str),
                "conversations of an application that is not configured cannot be fetched; add an [[application]]"
            );
        }
    }

    /// Notes how a host answered a look of these times, and says it when it begins or ceases to. Returns how long an
    /// outage has lasted that is over.
    fn observe(
        &self,
        (application, lease): (&ApplicationId, &Lease),
        answer: &HostAnswer,
        (began_at, ended_at): (Timestamp, Timestamp),
    ) -> Option<SignedDuration> {
        let HostAnswer { region, outcome } = answer;
        let (cause, at) = match outcome {
            Ok(()) => (None, ended_at),
            // A look that failed has seen nothing since it began; one that ran into a timeout, for seconds.
            Err(NoAnswer::Refused(_)) => (Some(Cause::Refused), began_at),
            Err(NoAnswer::Unreachable(Failure::Throttled(_))) => (Some(Cause::Throttled), began_at),
            Err(NoAnswer::Unreachable(_)) => (Some(Cause::Unreachable), began_at),
        };
        let host = Host { application: application.clone(), region: region.clone(), api: Api::Conversations };
        let conversation = &lease.conversation_id;
        // A gateway that fails one conversation over and over and answers others in between fails that one alone.
        let since = lease.state.failing_since;
        let answers_others = since.is_some_and(|since| self.parts.outages.has_answered_since(&host, since));
        let is_of_one = |failure: &NoAnswer| {
            failure.is_of_one_conversation() || (failure.is_of_a_gateway() && answers_others)
        };
        let news = match (outcome, cause) {
            (Err(failure), Some(cause)) if is_of_one(failure) => {
                if self.failed_alone.is_first(conversation.clone()) {
                    tracing::warn!(%conversation, %failure, "a fetch failed; retrying with backoff");
                }
                self.parts.outages.suspected(&host, conversation, (cause, at))?
            }
            _ => self.parts.outages.observed(&host, cause, at)?,
        };
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
        match news {
            News::Answers { after } if after >= SHORTEST => Some(after),
            _ => None,
        }
    }

    /// Ends the pauses that an outage has made long: a call must not be over before the next look, which would
    /// succeed now. What failed for less than [`SHORTEST`] pauses shortly, and may fail by itself. Only an outage that
    /// is longer than the patience with a look is the reason for giving it up.
    async fn hasten(&self, application: &ApplicationId, after: SignedDuration, now: Timestamp) {
        let store = &self.parts.store;
        let mut outcome = in_batches(|| store.hasten(application, now)).await;
        if outcome.is_ok() && after >= self.parts.patience.give_up_after {
            outcome = in_batches(|| store.revive(application, now - after, now)).await;
        }
        match outcome {
            Ok(()) => self.parts.wake.wake(),
            Err(error) => tracing::error!(%error, %application, "looks wait although Vonage answers again"),
        }
    }

    /// Makes looks due that were given up not long before the start: nobody knows any more how long Vonage did not
    /// answer.
    pub(super) async fn resume(&self) {
        let now = self.parts.clock.now();
        for application in self.parts.clients.keys() {
            let revive = || self.parts.store.revive(application, now - LISTED_AGAIN_FOR, now);
            if let Err(error) = in_batches(revive).await {
                tracing::error!(%error, %application, "looks that were given up before the start stay so");
            }
        }
    }
}

/// Does a piece of work on many rows until nothing is left of it; others get at the store in between.
async fn in_batches<F>(batch: impl Fn() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    while batch().await? > 0 {}
    Ok(())
}

/// The look's name in the metrics.
fn outcome(look: &Look) -> &'static str {
    match look {
        Look::Seen { .. } => "seen",
        Look::Unchanged { .. } => "unchanged",
        Look::Events(_) => "events",
        Look::NoEventList => "no event list",
        Look::EventsUnread => "events unread",
        Look::Gone(_) => "gone",
        Look::NotYet(_) => "not yet",
        Look::Interrupted(..) => "interrupted",
        Look::Refused(_) => "refused",
        Look::NoApplication => "no application",
        Look::Unreachable(Failure::Throttled(_)) => "throttled",
        Look::Unreachable(_) => "unreachable",
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that draws the jitter of pauses")]
fn jitter() -> f64 {
    rand::random()
}
