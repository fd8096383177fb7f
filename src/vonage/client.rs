//! Asks Vonage for one application: a look at a conversation, and the list of its calls.

mod lists;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::event_list;
use super::family::Family;
use super::hold::Api;
use super::pace::Pace;
use super::region::RegionHosts;
use super::requests::{Miss, Requests, conversation_address};
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

impl NoAnswer {
    /// Whether it says something of one conversation only: another may be answered well. What a gateway says for a
    /// service that it cannot reach, a refused token and a rate limit concern all.
    #[must_use]
    pub fn is_of_one_conversation(&self) -> bool {
        match self {
            Self::Unreachable(Failure::Unreadable(_)) => true,
            Self::Unreachable(Failure::Status(_)) => !self.is_of_a_gateway(),
            Self::Unreachable(Failure::Throttled(_) | Failure::Transport(_) | Failure::Token)
            | Self::Refused(_) => false,
        }
    }

    /// Whether a gateway says that it cannot reach the service behind it.
    #[must_use]
    pub fn is_of_a_gateway(&self) -> bool {
        matches!(self, Self::Unreachable(Failure::Status(502..=504)))
    }
}

/// Calls that were listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// All that began in the time that was asked for, up to `until`.
    pub calls: Vec<ListedCall>,
    /// How far the list goes: less far than asked for where there are more calls than are read at once.
    pub until: Timestamp,
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

    /// Signs tokens with the key of another mint from now on.
    pub fn take_key_of(&self, mint: &TokenMint) {
        self.settings.mint.take_key_of(mint);
    }

    /// How long the rate limit of an API still holds back requests, if it does.
    #[must_use]
    pub fn held_back(&self, api: Api) -> Option<Duration> {
        self.requests.held_back(api)
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
            Err(Miss::Refused(_)) => {
                self.requests.discard_token();
                Look::EventsUnread
            }
            Err(Miss::Failed(_)) => Look::EventsUnread,
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
}

fn answered(sight: &Result<Look, Miss>) -> Result<(), NoAnswer> {
    match sight {
        Err(Miss::Refused(status)) => Err(NoAnswer::Refused(*status)),
        Err(Miss::Failed(failure)) | Ok(Look::Interrupted(_, failure)) => Err(failure.clone().into()),
        _ => Ok(()),
    }
}
