//! Webhooks that were not taken: each is counted, and the log tells of them without being flooded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::count;
use crate::domain::ids::ApplicationId;
use crate::domain::rejection::Rejection;

/// How often the log says how many more there were. Anybody can send what is refused, and must not be able to fill
/// the log.
const SUMMED_UP_EVERY: Duration = Duration::from_mins(1);

/// Says when webhooks begin to be refused, and then how many more there were, until there are none for a while.
#[derive(Debug, Default)]
pub struct Refusals {
    /// How many the log does not know of yet, of those that it has begun to tell of. Bounded: there are as many as
    /// rejections, for each application that is served. A std mutex: never held across an await.
    untold: Mutex<HashMap<Alike, u64>>,
    /// Requests to paths that are no webhook's, since the last summary.
    unknown_paths: AtomicU64,
}

/// What refusals that are told together have in common, with the application, where one is known.
type Alike = (Rejection, Option<ApplicationId>);

impl Refusals {
    /// Counts a webhook that was not taken, and says it if it is the first. `application` is one that is served,
    /// `detail` holds nothing of what was sent.
    pub fn note(&self, rejection: Rejection, application: Option<&ApplicationId>, detail: &dyn Display) {
        count::rejections(rejection).increment(1);
        if self.begins((rejection, application.cloned())) {
            tracing::warn!(
                endpoint = rejection.endpoint.as_str(),
                reason = rejection.reason.as_str(),
                application = application.map(ApplicationId::as_str),
                %detail,
                "a webhook was rejected; of more such ones the number is told once a minute"
            );
        }
    }

    /// Says that a request came to a path that is no webhook's: at Vonage a wrong URL looks like this, and nothing else
    /// tells of it. The path itself is a stranger's text.
    pub fn note_unknown_path(&self) {
        if self.unknown_paths.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "a request came to a path that is no webhook's: the URLs at Vonage end in /webhooks/answer, \
                 /webhooks/event, /webhooks/fallback and /webhooks/rtc; of more such ones the number is told once a minute"
            );
        }
    }

    /// Sums up every minute until the stop, and then once more.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(SUMMED_UP_EVERY) => {}
            }
            self.sum_up();
        }
    }

    fn begins(&self, alike: Alike) -> bool {
        match self.untold().entry(alike) {
            Entry::Occupied(mut untold) => {
                *untold.get_mut() += 1;
                false
            }
            Entry::Vacant(first) => {
                first.insert(0);
                true
            }
        }
    }

    fn sum_up(&self) {
        let unknown_paths = self.unknown_paths.swap(0, Ordering::Relaxed);
        if unknown_paths > 1 {
            tracing::warn!(requests = unknown_paths - 1, "more requests came to paths that are no webhook's");
        }
        for ((rejection, application), webhooks) in self.take() {
            let (endpoint, reason) = (rejection.endpoint.as_str(), rejection.reason.as_str());
            let application = application.as_ref().map(ApplicationId::as_str);
            tracing::warn!(endpoint, reason, application, webhooks, "more webhooks were rejected");
        }
    }

    /// What is to be told now. What did not come again is forgotten: the next of its kind is a beginning.
    fn take(&self) -> Vec<(Alike, u64)> {
        let mut untold = self.untold();
        untold.retain(|_, webhooks| *webhooks > 0);
        untold.iter_mut().map(|(alike, webhooks)| (alike.clone(), std::mem::take(webhooks))).collect()
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<Alike, u64>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
