//! Hosts of Vonage's that do not answer, from the look that noticed to the gap in the store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::Wake;
use crate::domain::gap::{Cause, SHORTEST};
use crate::domain::ids::{ApplicationId, ConversationId, Region};
use crate::store::{Store, StoreError};
use crate::vonage::hold::Api;

/// What looks have noticed. Who notices does not wait for the store: [`Outages::record`] tells it.
#[derive(Debug, Default)]
pub struct Outages {
    /// A std mutex: never held across an await.
    noticed: Mutex<Noticed>,
    wake: Wake,
}

/// A host, as one application asks it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// Whose token goes with the requests.
    pub application: ApplicationId,
    /// The region whose host it is; `None` for the configured one.
    pub region: Option<Region>,
    /// Which of its APIs.
    pub api: Api,
}

/// What is new of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It does not answer, or for another cause than before.
    Silent,
    /// It answers again.
    Answers {
        /// How long it did not.
        after: SignedDuration,
    },
}

#[derive(Debug, Default)]
struct Noticed {
    /// The hosts that do not answer, and since when.
    silent: HashMap<Host, (Cause, Timestamp)>,
    /// The hosts that have failed one conversation and answered no other since, and since when.
    suspected: HashMap<Host, (ConversationId, Timestamp)>,
    /// When each host last answered.
    answered: HashMap<Host, Timestamp>,
    /// What lasts: some host of the application does not answer.
    lasting: HashMap<Of, Outage>,
    /// What is over and not yet in the store, in the order in which it ended.
    over: Vec<(Of, Outage, Timestamp)>,
}

/// What an outage is of. An application has at most one of each cause, however many hosts do not answer it.
type Of = (ApplicationId, Cause);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outage {
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

    /// From `at` on `host` answers, or does not because of `cause`. Returns the news in that, if there is any.
    pub fn observed(&self, host: &Host, cause: Option<Cause>, at: Timestamp) -> Option<News> {
        let mut noticed = self.noticed();
        noticed.suspected.remove(host);
        if cause.is_none() {
            noticed.answered.insert(host.clone(), at);
        }
        let before = noticed.silent.get(host).copied();
        if before.map(|(cause, _)| cause) == cause {
            return None;
        }
        if let Some((before, _)) = before {
            noticed.silent.remove(host);
            noticed.end((host.application.clone(), before), at);
        }
        if let Some(cause) = cause {
            // Another cause is no answer in between.
            let since = before.map_or(at, |(_, since)| since);
            noticed.silent.insert(host.clone(), (cause, since));
            let outage = Outage { began_at: at, is_recorded: false };
            noticed.lasting.entry((host.application.clone(), cause)).or_insert(outage);
        }
        drop(noticed);
        self.wake.wake();
        Some(match before {
            Some((_, since)) if cause.is_none() => News::Answers { after: at.duration_since(since) },
            _ => News::Silent,
        })
    }

    /// Whether `host` has answered since then.
    #[must_use]
    pub fn has_answered_since(&self, host: &Host, since: Timestamp) -> bool {
        self.noticed().answered.get(host).is_some_and(|answered_at| *answered_at > since)
    }

    /// From `at` on `host` fails this conversation because of `cause`. Only when it fails another, too, before it answers
    /// one, it counts as not answering, from the first of the failures on. Returns the news in that, if there is any.
    pub fn suspected(
        &self,
        host: &Host,
        conversation: &ConversationId,
        (cause, at): (Cause, Timestamp),
    ) -> Option<News> {
        let mut noticed = self.noticed();
        let since = match noticed.suspected.get(host) {
            _ if noticed.silent.contains_key(host) => at,
            Some((failed, since)) if failed != conversation => *since,
            Some(_) => return None,
            None => {
                noticed.suspected.insert(host.clone(), (conversation.clone(), at));
                return None;
            }
        };
        drop(noticed);
        self.observed(host, Some(cause), since)
    }

    /// Writes what was noticed. One look that fails and the next that does not are no gap: what lasts is
    /// written when it has lasted [`SHORTEST`]. Returns when there will be more to write.
    ///
    /// # Errors
    /// When the store cannot be written. What was not written stays noticed.
    pub async fn record(&self, store: &dyn Store, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        while let Some(((application, cause), outage, ended_at)) = self.first_over() {
            let application = Some(&application);
            if outage.is_recorded {
                store.close_gap(cause, application, ended_at).await?;
            } else if ended_at.duration_since(outage.began_at) >= SHORTEST {
                store.add_gap(cause, application, outage.began_at, ended_at).await?;
            }
            // Nobody else takes from its front.
            self.noticed().over.remove(0);
        }
        for host in self.throttled() {
            // A rate limit that holds nothing back hides nothing.
            if !store.has_pending(&host.application).await? {
                self.observed(&host, None, now);
            }
        }
        let mut next = None;
        for (of, outage) in self.unrecorded() {
            let due = outage.began_at + SHORTEST;
            if now < due {
                next = Some(next.map_or(due, |next: Timestamp| next.min(due)));
                continue;
            }
            store.open_gap(of.1, Some(&of.0), outage.began_at).await?;
            self.mark_recorded(&of, outage);
        }
        Ok(next)
    }

    /// The hosts whose rate limit holds fetches back.
    fn throttled(&self) -> Vec<Host> {
        let noticed = self.noticed();
        let silent = noticed
            .silent
            .iter()
            .filter(|(host, (cause, _))| *cause == Cause::Throttled && host.api == Api::Conversations);
        silent.map(|(host, _)| host.clone()).collect()
    }

    fn first_over(&self) -> Option<(Of, Outage, Timestamp)> {
        self.noticed().over.first().cloned()
    }

    fn unrecorded(&self) -> Vec<(Of, Outage)> {
        let noticed = self.noticed();
        let unrecorded = noticed.lasting.iter().filter(|(_, outage)| !outage.is_recorded);
        unrecorded.map(|(of, outage)| (of.clone(), *outage)).collect()
    }

    /// It may have ended meanwhile.
    fn mark_recorded(&self, recorded: &Of, as_read: Outage) {
        let mut noticed = self.noticed();
        let Noticed { lasting, over, .. } = &mut *noticed;
        let all = lasting.iter_mut().chain(over.iter_mut().map(|(of, outage, _)| (&*of, outage)));
        for (_, outage) in all.filter(|(of, outage)| *of == recorded && **outage == as_read) {
            outage.is_recorded = true;
        }
    }

    fn noticed(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noticed {
    /// Ends what one host no longer has a part in, unless another has.
    fn end(&mut self, of: Of, at: Timestamp) {
        let is_of =
            |(host, (cause, _)): (&Host, &(Cause, Timestamp))| host.application == of.0 && *cause == of.1;
        if self.silent.iter().any(is_of) {
            return;
        }
        if let Some(outage) = self.lasting.remove(&of) {
            self.over.push((of, outage, at));
        }
    }
}
