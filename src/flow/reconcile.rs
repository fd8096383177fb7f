//! Finds what was missed: lists the application's calls, at start and now and then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::outage::{Host, Outages};
use crate::domain::call::CallList;
use crate::domain::clock::Clock;
use crate::domain::fetch::backoff;
use crate::domain::gap::Cause;
use crate::domain::ids::ApplicationId;
use crate::store::{Store, StoreError};
use crate::vonage::client::{self, Calls, Client, NoAnswer};
use crate::vonage::hold::Api;

/// How much of what was listed is listed again: clocks differ, and Vonage may list a call somewhat late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);

/// The furthest back: Vonage keeps legs for some days, and each page is a request.
const FURTHEST: SignedDuration = SignedDuration::from_hours(48);

/// Lists that are asked for in a row, each of some thousand calls at most: more than two days ever hold, and an
/// end if Vonage tells of as many calls whatever time is asked for.
const LISTS: u32 = 50;

/// How long a listed leg that is not over is listed again: longer than a call may last (two hours, an NCCO's
/// `limit` and the Voice API's `length_timer` allow no more).
pub(super) const LISTED_AGAIN_FOR: SignedDuration = SignedDuration::from_hours(3);

/// The longest sleep: the machine's clock may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// What the reconciler works with.
#[derive(Debug)]
pub struct Parts {
    /// Where what is found is kept.
    pub store: Arc<dyn Store>,
    /// Tells when a list is due.
    pub clock: Arc<dyn Clock>,
    /// Who lists which application's calls.
    pub clients: Arc<HashMap<ApplicationId, Client>>,
    /// Between two lists.
    pub interval: SignedDuration,
    /// Keeps when Vonage did not let calls be listed.
    pub outages: Arc<Outages>,
    /// When the daemon before this one was last seen running.
    pub last_beat: Option<Timestamp>,
    /// Wakes this reconciler.
    pub wake: Wake,
    /// Wakes who looks and who interprets.
    pub found: [Wake; 2],
}

/// Lists calls.
#[derive(Debug)]
pub struct Reconciler {
    parts: Parts,
    progress: HashMap<ApplicationId, Progress>,
}

/// How the lists of one application go.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// By the clock that nobody sets; `None` before the first.
    due_at: Option<Duration>,
    failures: u32,
    /// Whether a list has succeeded in this run.
    has_listed: bool,
    /// Whether the last lists did not come up to the present.
    is_behind: bool,
}

/// What a reconciliation found.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Conversations that nothing was ever heard of.
    unannounced: usize,
    /// Whether calls were left for the next time.
    is_behind: bool,
}

/// Why calls were not reconciled.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reconciler {
    /// A reconciler of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let progress = parts.clients.keys().map(|id| (id.clone(), Progress::default())).collect();
        Self { parts, progress }
    }

    /// Works until the stop.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let now = self.parts.clock.now();
            let working = async {
                let due = self.step(now, jitter()).await;
                let sleep = due.saturating_sub(self.parts.clock.monotonic());
                let sleep = tokio::time::sleep(sleep.min(LONGEST_SLEEP));
                tokio::select! {
                    () = self.parts.wake.woken() => {}
                    () = sleep => {}
                }
            };
            // A list that is cut off is listed anew after the next start.
            tokio::select! {
                () = stop.cancelled() => {}
                () = working => {}
            }
        }
    }

    /// Lists the calls of every application for which that is due. Returns when the next list is due, by the clock that
    /// nobody sets.
    async fn step(&mut self, now: Timestamp, jitter: f64) -> Duration {
        let passed = self.parts.clock.monotonic();
        let mut next = passed + self.parts.interval.unsigned_abs();
        for application in self.parts.clients.keys() {
            let before = self.progress.get(application).copied().unwrap_or_default();
            let mut after = before;
            if before.due_at.is_none_or(|due_at| due_at <= passed) {
                let outcome = self.parts.reconcile(application, before.has_listed, now).await;
                self.parts.observe(application, &outcome, now);
                after = before.after(application, outcome);
                let pause = backoff(after.failures, jitter).min(self.parts.interval);
                let pause = if after.failures == 0 { self.parts.interval } else { pause };
                after.due_at = Some(passed + pause.unsigned_abs());
                self.progress.insert(application.clone(), after);
            }
            next = after.due_at.map_or(next, |due_at| next.min(due_at));
        }
        next
    }
}

impl Parts {
    /// Notes that Vonage asked for a pause: calls that no webhook tells of go unseen until they can be listed.
    fn observe(&self, application: &ApplicationId, outcome: &Result<Found, Failure>, at: Timestamp) {
        let host = Host { application: application.clone(), region: None, api: Api::Calls };
        let is_throttled =
            matches!(outcome, Err(Failure::NoAnswer(NoAnswer::Unreachable(client::Failure::Throttled(_)))));
        self.outages.observed(&host, is_throttled.then_some(Cause::Throttled), at);
    }

    async fn reconcile(
        &self,
        application: &ApplicationId,
        has_listed: bool,
        now: Timestamp,
    ) -> Result<Found, Failure> {
        let client = self.clients.get(application).expect("it is a key of the clients");
        let mut since = self.since(application, has_listed, now).await?;
        let mut unannounced = 0;
        for _ in 0..LISTS {
            let Calls { calls, until } = client.calls(since, now).await?;
            let list = CallList { application_id: application.clone(), since, until, calls };
            let discovery = self.store.keep_listed(list).await?;
            if discovery.legs > 0 || discovery.owed > 0 {
                self.found.iter().for_each(Wake::wake);
            }
            unannounced += discovery.unannounced.len();
            if until >= now {
                return Ok(Found { unannounced, is_behind: false });
            }
            since = until;
        }
        Ok(Found { unannounced, is_behind: true })
    }

    /// From when on calls may have been missed: where the last list ended, or else when the daemon before this
    /// one was last seen; after a start also from the beginning of the oldest call that went on then, since
    /// its end may have been missed.
    async fn since(
        &self,
        application: &ApplicationId,
        has_listed: bool,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let furthest = now - FURTHEST;
        let listed_until = self.store.listed_until(application, now - LISTED_AGAIN_FOR).await?;
        let mut since = listed_until.or(self.last_beat).unwrap_or(now).min(now);
        if !has_listed && let Some(live) = self.store.oldest_live(furthest).await? {
            since = since.min(live);
        }
        Ok((since - OVERLAP).max(furthest))
    }
}

impl Progress {
    fn after(self, application: &ApplicationId, outcome: Result<Found, Failure>) -> Self {
        match outcome {
            Ok(Found { unannounced, is_behind }) => {
                if self.failures > 0 {
                    tracing::info!(%application, "calls can be listed again");
                }
                if is_behind && !self.is_behind {
                    tracing::warn!(%application, "not all calls could be listed: the rest is left for the next lists");
                }
                if unannounced > 0 {
                    let conversations = unannounced;
                    tracing::info!(%application, conversations, "calls were found that no webhook had told of");
                }
                metrics::counter!("conversationd_unannounced_conversations_total")
                    .increment(unannounced as u64);
                Self { failures: 0, has_listed: true, is_behind, ..self }
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!(%application, %error, "calls could not be listed; trying again with growing pauses");
                }
                Self { failures: self.failures + 1, ..self }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the place that draws the jitter of these pauses")]
fn jitter() -> f64 {
    rand::random()
}
