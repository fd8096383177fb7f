//! `/v1/stream`: what happens, as it happens.
//!
//! Each stream reads the store by itself, behind its own place in the logs: nothing is kept for a reader who comes
//! back, and nobody who writes waits for one who reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::super::auth::Admission;
use super::super::cursor::Cursor;
use super::super::problem::Problem;
use super::super::request_log::ReadBy;
use super::Query;
use super::openapi::Problems;
use super::parameters::Parameters;
use crate::domain::change::{Change, Kind, News, NewsOfConversation, Place};
use crate::domain::clock::Clock;
use crate::domain::conversation::State as ConversationState;
use crate::domain::ids::ConversationId;
use crate::lifecycle::Lifecycle;
use crate::store::{Store, StoreError};

/// Events of each kind that are read at once.
const BATCH: u32 = 128;

/// Events that wait for a reader: as many as are read at once, so that a reader who keeps up never holds up reading.
const WAITING: usize = 128;

/// How long a reader may take none of the events that wait. Longer than a network's hiccup.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at the store where nothing says that anything was written: another process may have.
const POLL: Duration = Duration::from_secs(1);

/// Between two looks at the store in any case, so that a busy hour is not read one webhook at a time.
const REST: Duration = Duration::from_millis(100);

/// The streams that are open.
#[derive(Debug, Clone)]
pub struct Streams {
    lifecycle: Lifecycle,
    /// How many there may be.
    most: usize,
    free: Arc<Semaphore>,
}

impl Streams {
    /// The most streams at one time: each reads the store by itself whenever something is written.
    pub const MOST: usize = 64;

    /// At most so many streams, which end at the soft stop of this lifecycle.
    #[must_use]
    pub fn new(lifecycle: Lifecycle, most: usize) -> Self {
        Self { lifecycle, most, free: Arc::new(Semaphore::new(most)) }
    }

    /// A place for one more stream.
    fn admit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            Problem::unavailable(format!(
                "{} streams are open, which is all there may be; try again later",
                self.most
            ))
        })
    }

    /// Feeds a stream until it is done, its reader has gone, or the daemon stops.
    fn feed(&self, admitted: OwnedSemaphorePermit, follower: Follower, outlet: Outlet) {
        let stop = self.lifecycle.soft_stop().clone();
        self.lifecycle.finish(async move {
            let _admitted = admitted;
            metrics::gauge!("conversationd_streams").increment(1);
            tokio::select! {
                end = follower.follow(&outlet) => end.report(),
                () = outlet.0.closed() => {}
                () = stop.cancelled() => {}
            }
            metrics::gauge!("conversationd_streams").decrement(1);
        });
    }
}

/// `GET /v1/stream`: from now on, or from behind the event that a reader had last.
#[utoipa::path(
    get,
    path = "/v1/stream",
    tag = "stream",
    params(
        ("conversation" = Option<String>, Query, description = "Only what is about this conversation."),
        ("events" = Option<String>, Query, description = "Only these, with commas between: `arrival`, `snapshot`, `conversation`."),
        ("after" = Option<String>, Query, description = "Go on behind the event with this id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The same, as browsers say it."),
    ),
    responses((status = 200, description = "Server-sent events, without end.", body = String, content_type = "text/event-stream"), Problems),
)]
pub(super) async fn follow(
    State(query): State<Query>,
    mut parameters: Parameters,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = Wanted::of(&mut parameters)?;
    let after = parameters.take("after");
    parameters.finish()?;
    let end = query.store.end().await?;
    let place = match last_event(&headers)?.or(after) {
        None => end,
        Some(text) => Place::decode(&text).filter(|place| place.is_within(end)).ok_or_else(not_a_place)?,
    };
    let admitted = query.streams.admit()?;
    let (sender, mut events) = mpsc::channel(WAITING);
    let reader = extensions.get::<ReadBy>().map(|ReadBy(reader)| Arc::clone(reader));
    let admission = query.access.admission(reader, &headers);
    let follower = Follower { store: query.store, clock: query.clock, wanted, place, admission };
    query.streams.feed(admitted, follower, Outlet(sender));
    let events =
        stream::poll_fn(move |context| events.poll_recv(context).map(|event| event.map(Ok::<_, Infallible>)));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// What a browser that comes back says it had last.
fn last_event(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    value.to_str().map(|text| Some(text.to_owned())).map_err(|_| not_a_place())
}

fn not_a_place() -> Problem {
    Problem::bad_request(
        "Last-Event-ID, or after, is not the id of an event of this store; without it the stream begins now",
    )
}

/// What a reader wants to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    conversation: Option<ConversationId>,
    kinds: Vec<Kind>,
}

impl Wanted {
    fn of(parameters: &mut Parameters) -> Result<Self, Problem> {
        let conversation = parameters.take("conversation").map(|id| {
            ConversationId::parse(&id)
                .map_err(|_| Problem::bad_request("conversation is the id of a conversation: CON-…"))
        });
        let kinds = parameters.take("events").map(|names| kinds(&names));
        Ok(Self {
            conversation: conversation.transpose()?,
            kinds: kinds.transpose()?.unwrap_or_else(|| Kind::ALL.to_vec()),
        })
    }

    fn lets_through(&self, news: &News) -> bool {
        self.kinds.contains(&news.kind()) && self.conversation.as_ref().is_none_or(|id| news.concerns(id))
    }
}

fn kinds(names: &str) -> Result<Vec<Kind>, Problem> {
    let kind = |name: &str| {
        Kind::named(name.trim()).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::as_str).join(", ");
            Problem::bad_request(format!("events is one or more of {known}, with commas between them"))
        })
    };
    names.split(',').map(kind).collect()
}

/// Reads the logs for one reader.
struct Follower {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    wanted: Wanted,
    place: Place,
    admission: Admission,
}

impl Follower {
    /// Tells what happens. First, without an event, the place that it begins at: a reader who is cut off before the
    /// first event comes back to it.
    async fn follow(mut self, outlet: &Outlet) -> End {
        let mut written = self.store.written();
        let mut outcome = outlet.offer(Event::default().id(self.place.encode())).await;
        while outcome.is_ok() {
            written.mark_unchanged();
            outcome = match self.tell(outlet).await {
                Ok(told) if told < BATCH as usize => {
                    tokio::time::sleep(REST).await;
                    let _ = tokio::time::timeout(POLL, written.changed()).await;
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(end) => Err(end),
            };
        }
        outcome.err().unwrap_or(End::ReaderGone)
    }

    /// Tells what has happened since, up to a batch. Returns how much was read.
    async fn tell(&mut self, outlet: &Outlet) -> Result<usize, End> {
        if !self.admission.holds() {
            return Err(End::ReaderLeftOut);
        }
        let changes = self.store.changes(self.place, BATCH).await?;
        let read = changes.len();
        for Change { place, news } in changes {
            self.place = place;
            if self.wanted.lets_through(&news) {
                outlet.offer(event(place, news, self.clock.now())).await?;
            }
        }
        Ok(read)
    }
}

/// A conversation that changed, as of the moment of the telling.
#[derive(Serialize)]
struct Conversation {
    #[serde(flatten)]
    news: NewsOfConversation,
    /// Whether it goes on.
    state: ConversationState,
}

impl Conversation {
    fn at(mut news: NewsOfConversation, now: Timestamp) -> Self {
        let state = news.ending.state(now);
        if state == ConversationState::Live {
            news.ended_at = None;
        }
        Self { news, state }
    }
}

fn event(place: Place, news: News, now: Timestamp) -> Event {
    let kind = news.kind();
    let data = match news {
        News::Arrival(news) => serde_json::to_string(&news),
        News::Snapshot(news) => serde_json::to_string(&news),
        News::Conversation(news) => serde_json::to_string(&Conversation::at(news, now)),
    };
    let data = data.expect("texts and numbers are always JSON");
    Event::default().event(kind.as_str()).id(place.encode()).data(data)
}

/// Where events go out. Holds a few for a reader who is not there at the moment.
#[derive(Debug)]
struct Outlet(mpsc::Sender<Event>);

impl Outlet {
    /// Hands an event over, as soon as there is room for it.
    async fn offer(&self, event: Event) -> Result<(), End> {
        self.0.send_timeout(event, PATIENCE).await.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => End::ReaderSlow,
            mpsc::error::SendTimeoutError::Closed(_) => End::ReaderGone,
        })
    }
}

/// Why a stream ended before the daemon did.
#[derive(Debug)]
enum End {
    ReaderGone,
    ReaderSlow,
    /// The session is over, or the token is none any more.
    ReaderLeftOut,
    Unreadable(StoreError),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

impl End {
    fn report(self) {
        match self {
            Self::ReaderGone | Self::ReaderLeftOut => {}
            Self::ReaderSlow => metrics::counter!("conversationd_streams_dropped_total").increment(1),
            Self::Unreadable(error) => tracing::error!(%error, "a stream ended: the store could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_takes_nothing_is_given_up_and_one_who_is_late_is_not() {
        let (sender, mut events) = mpsc::channel(1);
        let outlet = Outlet(sender);
        outlet.offer(Event::default()).await.unwrap();
        let late = async {
            tokio::time::sleep(PATIENCE / 2).await;
            events.recv().await
        };
        let (offered, taken) = tokio::join!(outlet.offer(Event::default()), late);
        assert!(offered.is_ok() && taken.is_some());
        let began = Instant::now();
        assert!(matches!(outlet.offer(Event::default()).await, Err(End::ReaderSlow)));
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
        drop(events);
        assert!(matches!(outlet.offer(Event::default()).await, Err(End::ReaderGone)));
    }
}
