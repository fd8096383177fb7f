//! What a command does by itself, beside the daemon or without one: a token, one look.

use std::sync::Arc;

use jiff::SignedDuration;
use secrecy::SecretString;

use super::DaemonError;
use super::settings::clients;
use crate::config::Config;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::fetch::{Finding, Urgency};
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::domain::snapshot::{Document, EventList, Sighting};
use crate::flow::Wake;
use crate::flow::derive::Deriver;
use crate::flow::stall::Stalls;
use crate::store::{self, Kept, Store, StoreError};
use crate::vonage::client::{Asked, Client, Failure, Look};
use crate::vonage::pace::Pace;

/// A token of the only application, or of the first.
///
/// # Errors
/// When there is no application, or its key cannot sign.
pub fn token(config: &Config, clock: &dyn Clock, life: SignedDuration) -> Result<SecretString, DaemonError> {
    let application = config.applications.first().ok_or(DaemonError::NoApplication)?;
    Ok(application.mint.mint(clock.now(), life)?)
}

/// What one look found.
#[derive(Debug, Clone)]
pub struct Seen {
    application: ApplicationId,
    sighting: Sighting,
    events: Option<EventList>,
    /// What else there is at Vonage.
    pub unseen: Vec<Unseen>,
}

/// What a look could not see of a conversation that it saw.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// A request for members failed.
    #[error("not all members were seen: {0}")]
    Members(Failure),
    /// The event list could not be had.
    #[error("the event list could not be read")]
    Events,
    /// The event list is longer than what one look reads, or broke off.
    #[error("only the beginning of the event list was read")]
    LaterEvents,
}

impl Seen {
    /// Vonage's answers, in the order they were asked for.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        let events = self.events.iter().flat_map(|list| &list.documents);
        self.sighting.documents.iter().chain(events)
    }
}

/// Looks at one conversation now, with the token of the first application to which Vonage shows it.
///
/// # Errors
/// When there is no application, or when Vonage does not tell.
pub async fn look(config: &Config, clock: Arc<dyn Clock>, id: &ConversationId) -> Result<Seen, DaemonError> {
    let pace = Arc::new(Pace::new(config.fetch.requests_per_second));
    let clients = clients(config, &pace, &clock)?;
    let mut failures = Vec::new();
    for application in &config.applications {
        match look_as(&application.id, &clients[&application.id], id).await {
            Err(failure) => failures.push(failure),
            seen => return seen,
        }
    }
    // It may be the conversation of one that does not work.
    let telling = failures.iter().position(|failure| !matches!(failure, DaemonError::NotFound));
    Err(failures.into_iter().nth(telling.unwrap_or(0)).unwrap_or(DaemonError::NoApplication))
}

async fn look_as(
    application: &ApplicationId,
    client: &Client,
    id: &ConversationId,
) -> Result<Seen, DaemonError> {
    let asked = Asked { id, known: None, region: None, urgency: Urgency::Changed };
    let seen =
        |sighting| Seen { application: application.clone(), sighting, events: None, unseen: Vec::new() };
    match client.look(asked).await.look {
        Look::Seen { sighting, has_more_events: true } => Ok(match client.events(asked).await {
            Look::Events(list) => {
                let unseen = if list.is_whole { Vec::new() } else { vec![Unseen::LaterEvents] };
                Seen { events: Some(list), unseen, ..seen(sighting) }
            }
            Look::EventsUnread => Seen { unseen: vec![Unseen::Events], ..seen(sighting) },
            _ => seen(sighting),
        }),
        Look::Seen { sighting, .. } => Ok(seen(sighting)),
        Look::Interrupted(sighting, failure) => {
            Ok(Seen { unseen: vec![Unseen::Members(failure)], ..seen(sighting) })
        }
        Look::Unchanged { .. } => unreachable!("nothing was known that could be unchanged"),
        Look::Events(_) | Look::NoEventList | Look::EventsUnread => unreachable!("events were not asked for"),
        Look::NoApplication => unreachable!("an application asks"),
        Look::Gone(_) | Look::NotYet(_) => Err(DaemonError::NotFound),
        Look::Refused(status) => Err(DaemonError::Refused { application: application.clone(), status }),
        Look::Unreachable(failure) => Err(DaemonError::Unreachable(failure)),
    }
}

/// Keeps what a look found. A daemon may be running on the same store.
///
/// # Errors
/// When the store cannot be opened or written.
pub async fn keep(config: &Config, id: &ConversationId, seen: Seen) -> Result<Kept, DaemonError> {
    let (store, writer) = store::open_shared(&config.store).await?;
    let keeping = async {
        let kept = keep_in(&store, id, seen).await;
        store.close().await;
        kept
    };
    let (kept, ()) = tokio::join!(keeping, writer.run());
    Ok(kept?.expect("what was seen has a snapshot"))
}

async fn keep_in(
    store: &Arc<dyn Store>,
    id: &ConversationId,
    seen: Seen,
) -> Result<Option<Kept>, StoreError> {
    let kept = store.keep(id, &seen.application, Finding::Seen(seen.sighting)).await?;
    if let Some(list) = seen.events {
        store.keep(id, &seen.application, Finding::Events(list)).await?;
    }
    let stalls = Arc::new(Stalls::new(Arc::new(SystemClock)));
    Deriver::new(Arc::clone(store), [Wake::default(), Wake::default()], stalls).step().await?;
    Ok(kept)
}
