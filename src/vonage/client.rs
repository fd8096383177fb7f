//! Asks Vonage for one application: a look at a conversation, and the list of its calls.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::calls::{CallsPage, list_address};
use super::event_list;
use super::family::Family;
use super::pace::Pace;
use super::region::RegionHosts;
use super::requests::{MAX_PAGES, Miss, PAGE_SIZE, Requests, conversation_address, unreadable};
use super::sight::Sight;
use super::token::TokenMint;
use crate::domain::call::ListedCall;
use crate::domain::clock::Clock;
use crate::domain::fetch::{Known, Urgency};
use crate::domain::ids::{ConversationId, Region};
use crate::domain::snapshot::{EventList, Sighting};

/// What a look is to be at, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The conversation.
    pub id: &'a ConversationId,
    /// What is known of it already: an unchanged one costs one request.
    pub known: Option<&'a Known>,
    /// The region that handles its call, if somebody has said so.
    pub region: Option<&'a Region>,
    /// Who is let go first when turns are scarce.
    pub urgency: Urgency,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The conversation as it is now.
    Seen {
        /// Its documents.
        sighting: Sighting,
        /// Whether its event list is worth asking for.
        has_more_events: bool,
    },
    /// Vonage has counted no event since the known snapshot.
    Unchanged {
        /// When the look ended.
        at: Timestamp,
        /// The region whose host answered; `None` for the configured host.
        region: Option<Region>,
        /// Whether its event list is worth asking for: an earlier look may not have had it.
        has_more_events: bool,
    },
    /// What a conversation's event list has to tell.
    Events(EventList),
    /// There is no event list: 404.
    NoEventList,
    /// The event list could not be had. Nothing else depends on it.
    EventsUnread,
    /// A conversation that was known here is known no more there.
    Gone(Timestamp),
    /// Vonage does not know the conversation, and it was never seen here.
    NotYet(Timestamp),
    /// The conversation, but not all of its members: a later request failed.
    Interrupted(Sighting, Failure),
    /// The token was refused with this status.
    Refused(u16),
    /// Nobody has a token for it: its application is not configured.
    NoApplication,
    /// No useful answer came.
    Unreachable(Failure),
}

/// A look, and what it tells of the hosts that were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// What was found.
    pub look: Look,
    /// How the hosts answered, in the order they were asked. A host that did not is not named where another
    /// showed the conversation: nothing went unseen.
    pub answers: Vec<HostAnswer>,
}

/// How a host answered a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAnswer {
    /// The region whose host it is; `None` for the configured one.
    pub region: Option<Region>,
    /// That it does not know the conversation is an answer too.
    pub outcome: Result<(), NoAnswer>,
}

/// Why no useful answer came. Holds nothing of what was sent or received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 429: asked too much, to be asked again after so long.
    #[error("Vonage asked for a pause of {} s (429)", .0.as_secs_f64())]
    Throttled(SignedDuration),
    /// A status that is none of the expected.
    #[error("Vonage answered with status {0}")]
    Status(u16),
    /// No connection, or it broke.
    #[error("Vonage could not be reached: {0}")]
    Transport(&'static str),
    /// The answer is not what the API answers.
    #[error("Vonage's answer could not be read: {0}")]
    Unreadable(&'static str),
    /// No token could be made.
    #[error("no token could be signed")]
    Token,
}

/// Why a host gave no answer to go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The token was refused with this status.
    #[error("Vonage refused the token with status {0}")]
    Refused(u16),
    /// No useful answer came.
    #[error(transparent)]
    Unreachable(#[from] Failure),
}

/// Calls that were listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// All that began in the time that was asked for, up to `until`.
    pub calls: Vec<ListedCall>,
    /// How far the list goes: less far than asked for where there are more calls than are read at once.
    pub until: Timestamp,
}

/// The calls of one list.
struct List {
    calls: Vec<ListedCall>,
    /// Whether there are no more.
    is_whole: bool,
}

/// What is needed to ask for one application's conversations.
#[derive(Debug)]
pub struct Settings {
    /// The API's address: scheme and host, perhaps a path before the family.
    pub api_url: Url,
    /// Which shape to ask for.
    pub family: Family,
    /// Whether a conversation's event list is read.
    pub events: bool,
    /// Where the regions are asked.
    pub regions: RegionHosts,
    /// The application's tokens.
    pub mint: Arc<TokenMint>,
    /// The rate that everybody who asks keeps together.
    pub pace: Arc<Pace>,
}

/// Asks for one application's conversations.
#[derive(Debug)]
pub struct Client {
    requests: Requests,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client with its own connections.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let (mint, pace) = (Arc::clone(&settings.mint), Arc::clone(&settings.pace));
        let requests = Requests::new(&settings.api_url, mint, pace, Arc::clone(&clock))?;
        Ok(Self { requests, settings, clock })
    }

    /// Looks at a conversation.
    pub async fn look(&self, asked: Asked<'_>) -> Looked {
        let mut answers = Vec::new();
        let look = match self.sight(asked, &mut answers).await {
            Ok(look) => look,
            Err(Miss::NotFound) if asked.known.is_some() => Look::Gone(self.clock.now()),
            Err(Miss::NotFound) => Look::NotYet(self.clock.now()),
            Err(Miss::Refused(status)) => {
                self.requests.discard_token();
                Look::Refused(status)
            }
            Err(Miss::Failed(failure)) => Look::Unreachable(failure),
        };
        if matches!(look, Look::Seen { .. } | Look::Unchanged { .. }) {
            answers.retain(|answer| answer.outcome.is_ok());
        }
        Looked { look, answers }
    }

    /// Reads the event list of a conversation that was seen, where it was seen last.
    pub async fn events(&self, asked: Asked<'_>) -> Look {
        let regional = asked.region.and_then(|region| self.settings.regions.url(region));
        let base = regional.as_ref().unwrap_or(&self.settings.api_url);
        let conversation = conversation_address(base, self.settings.family, asked.id);
        match event_list::read(&self.requests, &conversation, asked).await {
            Ok(list) => Look::Events(list),
            Err(Miss::NotFound) => Look::NoEventList,
            Err(_) => Look::EventsUnread,
        }
    }

    /// Asks the region first, which alone is sure to know the conversation, and then the configured host.
    async fn sight(&self, asked: Asked<'_>, answers: &mut Vec<HostAnswer>) -> Result<Look, Miss> {
        let configured = &self.settings.api_url;
        let place = asked.region.and_then(|region| Some((region, self.settings.regions.url(region)?)));
        let elsewhere = place.filter(|(_, url)| url.origin() != configured.origin());
        let Some((region, url)) = elsewhere else {
            return self.sight_at(configured, None, asked, answers).await;
        };
        match self.sight_at(&url, Some(region), asked, answers).await {
            Err(Miss::NotFound) => self.sight_at(configured, None, asked, answers).await,
            // A host that does not know the conversation says nothing about the one that could not be asked.
            Err(miss @ (Miss::Failed(_) | Miss::Refused(_))) => {
                let second = self.sight_at(configured, None, asked, answers).await;
                if matches!(second, Err(Miss::NotFound)) { Err(miss) } else { second }
            }
            answer => answer,
        }
    }

    async fn sight_at(
        &self,
        base: &Url,
        region: Option<&Region>,
        asked: Asked<'_>,
        answers: &mut Vec<HostAnswer>,
    ) -> Result<Look, Miss> {
        let (requests, clock) = (&self.requests, &*self.clock);
        let (family, events) = (self.settings.family, self.settings.events);
        let sight = Sight { requests, clock, family, events, base, region, asked }.take().await;
        answers.push(HostAnswer { region: region.cloned(), outcome: answered(&sight) });
        sight
    }

    /// Lists the calls of the application that began between these instants, cut to seconds, as the Voice API
    /// of the configured host knows them: some days back, while Vonage keeps legs. Of more than one list can hold
    /// those of the earlier half are listed, or of its half: a call does not tell when it began, so how far a list
    /// that was broken off goes cannot be seen from it.
    ///
    /// # Errors
    /// When the token is refused, or no useful answer came. What was listed until then is not worth keeping:
    /// it can be listed again.
    pub async fn calls(&self, since: Timestamp, until: Timestamp) -> Result<Calls, NoAnswer> {
        let mut until = until;
        loop {
            let list = self.list(list_address(&self.settings.api_url, since, until)).await?;
            match halfway(since, until) {
                Some(halfway) if !list.is_whole => until = halfway,
                _ => {
                    if !list.is_whole {
                        tracing::warn!(%since, "more calls began in one second than are listed: some are left out");
                    }
                    return Ok(Calls { calls: list.calls, until });
                }
            }
        }
    }

    /// Follows a list from its first page on, as far as it goes or as pages are read.
    async fn list(&self, first: Url) -> Result<List, NoAnswer> {
        let mut next = Some(first);
        let mut calls: Vec<ListedCall> = Vec::new();
        let mut asked: Vec<Url> = Vec::new();
        while let Some(url) = next.take().filter(|url| !asked.contains(url)) {
            if asked.len() >= MAX_PAGES as usize {
                return Ok(List { calls, is_whole: false });
            }
            let page = self.calls_page(&url).await?;
            if page.calls.is_empty() {
                break;
            }
            let is_too_long = page.count.is_some_and(|count| count > i64::from(MAX_PAGES * PAGE_SIZE));
            next = page.next_address(&url);
            calls.extend(page.calls);
            if is_too_long {
                return Ok(List { calls, is_whole: false });
            }
            asked.push(url);
        }
        Ok(List { calls, is_whole: true })
    }

    async fn calls_page(&self, url: &Url) -> Result<CallsPage, NoAnswer> {
        let page = self.requests.get(url, Urgency::Poll).await.and_then(|body| {
            CallsPage::read(&body).ok_or_else(|| unreadable("the list of calls is not JSON"))
        });
        page.map_err(|miss| match miss {
            Miss::NotFound => NoAnswer::Unreachable(Failure::Status(404)),
            Miss::Refused(status) => {
                self.requests.discard_token();
                NoAnswer::Refused(status)
            }
            Miss::Failed(failure) => NoAnswer::Unreachable(failure),
        })
    }
}

/// The second in the middle, if there is one between.
fn halfway(since: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let (since, until) = (since.as_second(), until.as_second());
    let halfway = since.midpoint(until);
    (since < halfway).then(|| Timestamp::from_second(halfway).expect("it lies between two instants"))
}

fn answered(sight: &Result<Look, Miss>) -> Result<(), NoAnswer> {
    match sight {
        Err(Miss::Refused(status)) => Err(NoAnswer::Refused(*status)),
        Err(Miss::Failed(failure)) | Ok(Look::Interrupted(_, failure)) => Err(failure.clone().into()),
        _ => Ok(()),
    }
}
