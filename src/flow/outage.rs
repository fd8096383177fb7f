//! Times in which Vonage did not answer for an application, kept from the look that noticed to the store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::Wake;
use crate::domain::gap::{Cause, SHORTEST};
use crate::domain::ids::ApplicationId;
use crate::store::{Store, StoreError};

/// What looks have noticed. Who notices does not wait for the store: [`Outages::record`] tells it.
#[derive(Debug, Default)]
pub struct Outages {
    /// A std mutex: never held across an await.
    noticed: Mutex<Noticed>,
    wake: Wake,
}

#[derive(Debug, Default)]
struct Noticed {
    /// What lasts, of each application.
    lasting: HashMap<Option<ApplicationId>, Outage>,
    /// What is over and not yet in the store, in the order in which it ended.
    over: Vec<(Option<ApplicationId>, Outage, Timestamp)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outage {
    cause: Cause,
    began_at: Timestamp,
    /// Whether the store has it as one that lasts.
    is_recorded: bool,
}

impl Outages {
    /// Wakes `wake` when there is something to record.
    #[must_use]
    pub fn new(wake: Wake) -> Self {
        Self { noticed: Mutex::default(), wake }
    }

    /// Vonage answers for `application`, or does not because of `cause`.
    pub fn observed(&self, application: Option<&ApplicationId>, cause: Option<Cause>, now: Timestamp) {
        let mut noticed = self.noticed();
        let key = application.cloned();
        let lasting = noticed.lasting.get(&key).copied();
        if lasting.map(|outage| outage.cause) == cause {
            return;
        }
        if let Some(outage) = lasting {
            noticed.lasting.remove(&key);
            noticed.over.push((key.clone(), outage, now));
        }
        if let Some(cause) = cause {
            noticed.lasting.insert(key, Outage { cause, began_at: now, is_recorded: false });
        }
        drop(noticed);
        self.wake.wake();
    }

    /// Writes what was noticed. One look that fails and the next that does not are no gap: what lasts is
    /// written when it has lasted [`SHORTEST`]. Returns when there will be more to write.
    ///
    /// # Errors
    /// When the store cannot be written. What was not written stays noticed.
    pub async fn record(&self, store: &dyn Store, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        while let Some((application, outage, ended_at)) = self.first_over() {
            let application = application.as_ref();
            if outage.is_recorded {
                store.close_gap(outage.cause, application, ended_at).await?;
            } else if ended_at.duration_since(outage.began_at) >= SHORTEST {
                store.add_gap(outage.cause, application, outage.began_at, ended_at).await?;
            }
            // Nobody else takes from its front.
            self.noticed().over.remove(0);
        }
        let mut next = None;
        for (application, outage) in self.unrecorded() {
            let due = outage.began_at + SHORTEST;
            if now < due {
                next = Some(next.map_or(due, |next: Timestamp| next.min(due)));
                continue;
            }
            store.open_gap(outage.cause, application.as_ref(), outage.began_at).await?;
            self.mark_recorded(application.as_ref(), outage);
        }
        Ok(next)
    }

    fn first_over(&self) -> Option<(Option<ApplicationId>, Outage, Timestamp)> {
        self.noticed().over.first().cloned()
    }

    fn unrecorded(&self) -> Vec<(Option<ApplicationId>, Outage)> {
        let noticed = self.noticed();
        let unrecorded = noticed.lasting.iter().filter(|(_, outage)| !outage.is_recorded);
        unrecorded.map(|(application, outage)| (application.clone(), *outage)).collect()
    }

    /// It may have ended meanwhile.
    fn mark_recorded(&self, application: Option<&ApplicationId>, recorded: Outage) {
        let mut noticed = self.noticed();
        let Noticed { lasting, over } = &mut *noticed;
        let all = lasting.iter_mut().chain(over.iter_mut().map(|(of, outage, _)| (&*of, outage)));
        for (_, outage) in all.filter(|(of, outage)| of.as_ref() == application && **outage == recorded) {
            outage.is_recorded = true;
        }
    }

    fn noticed(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
