//! A history in order, each thing in it once, and the events that both logs hold.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::arrival::{Arrival, Endpoint, Origin};
use crate::domain::call::ListedCall;
use crate::domain::digest::Digest;
use crate::domain::history::History;
use crate::domain::ids::ConversationId;
use crate::domain::instant::is_within_a_call;
use crate::domain::snapshot::{Document, DocumentName, Snapshot};
use crate::vonage::document::ConversationDocument;
use crate::vonage::event::{ConversationEvent, EventsPage};

/// What an interpretation is made of, whatever the order of the history.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    /// Whose history.
    pub(super) conversation: &'a ConversationId,
    /// By number: webhooks of the Voice API.
    pub(super) webhooks: Vec<&'a Arrival>,
    /// By number.
    pub(super) snapshots: Vec<&'a Snapshot>,
    /// The documents of conversations, each read once however many versions hold it.
    own: HashMap<Digest, ConversationDocument>,
    /// When anything was received, or seen at Vonage, the last time.
    pub(super) last_heard_at: Option<Timestamp>,
    /// By leg.
    pub(super) listed: Vec<&'a ListedCall>,
    /// By Vonage's time. One event may be here several times, from both logs.
    pub(super) events: Vec<EventTold>,
}

/// An event, and who told of it when.
#[derive(Debug)]
pub(super) struct EventTold {
    pub(super) event: ConversationEvent,
    pub(super) known: Known,
    pub(super) source: EventSource,
}

/// What told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventSource {
    /// A webhook.
    Rtc,
    /// The event list, under this number.
    List(i64),
    /// The event list of the snapshot with this number, under none of its own.
    Snapshot(u32),
}

impl fmt::Display for EventSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rtc => formatter.write_str("rtc"),
            Self::List(number) => write!(formatter, "event {number}"),
            Self::Snapshot(number) => write!(formatter, "snapshot {number}"),
        }
    }
}

/// When something was known here. What is less was known first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known {
    pub(super) at: Timestamp,
    /// A webhook is the first to tell of what a look finds at the same moment.
    log: Log,
    /// The number in that log.
    number: i64,
    /// Where in it.
    place: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Log {
    Arrivals,
    Snapshots,
}

// === impl Known ===

impl Known {
    pub(super) fn from_arrival(arrival: &Arrival) -> Self {
        Self { at: arrival.event.received_at, log: Log::Arrivals, number: arrival.number, place: 0 }
    }

    /// `place` is that of the document in the version.
    pub(super) fn from_snapshot(snapshot: &Snapshot, place: usize) -> Self {
        let (at, number) = (snapshot.sighting.taken_at, i64::from(snapshot.number));
        Self { at, log: Log::Snapshots, number, place }
    }

    /// The same, but at `at` at the earliest: a page that joined a version may tell what came after that was taken.
    /// No call lasts until what is later than [`LONGEST_CALL`](crate::domain::instant::LONGEST_CALL): that is no time at which it was known.
    fn not_before(self, at: Option<Timestamp>) -> Self {
        let at = at.filter(|at| is_within_a_call(self.at, *at));
        Self { at: at.map_or(self.at, |at| self.at.max(at)), ..self }
    }

    /// The number of the webhook or the snapshot.
    pub(super) fn number(self) -> i64 {
        self.number
    }

    /// Whether a webhook told, and not a look.
    pub(super) fn is_by_webhook(self) -> bool {
        self.log == Log::Arrivals
    }
}

// === impl Reading ===

impl<'a> Reading<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut arrivals: Vec<&Arrival> = history.arrivals.iter().collect();
        arrivals.sort_by_key(|arrival| (arrival.number, arrival.deliveries));
        arrivals.dedup_by_key(|arrival| arrival.number);
        let mut snapshots: Vec<&Snapshot> = history.snapshots.iter().collect();
        snapshots.sort_by_key(|snapshot| (snapshot.number, snapshot.confirmed_at));
        snapshots.dedup_by_key(|snapshot| snapshot.number);
        let (events, webhooks): (Vec<&Arrival>, Vec<&Arrival>) =
            arrivals.into_iter().partition(|arrival| is_event(arrival));
        let mut reading = Self {
            conversation: &history.conversation_id,
            last_heard_at: last_heard_at(history),
            webhooks,
            own: own_documents(&snapshots),
            snapshots,
            listed: listed(history),
            events: Vec::new(),
        };
        reading.events = reading.told(&events);
        reading
    }

    /// What a conversation's own document says.
    pub(super) fn own(&self, document: &Document) -> Option<&ConversationDocument> {
        self.own.get(&document.digest)
    }

    fn told(&self, arrivals: &[&Arrival]) -> Vec<EventTold> {
        let is_here = |event: &ConversationEvent| {
            event.conversation_id().is_none_or(|conversation| conversation == *self.conversation)
        };
        let pushed = arrivals.iter().filter_map(|arrival| {
            let event = ConversationEvent::from_slice(&arrival.event.delivery.body).filter(is_here)?;
            Some((event, *arrival))
        });
        let read = self.snapshots.iter().flat_map(|snapshot| events_of(snapshot));
        let read: Vec<EventTold> = read.filter(|told| is_here(&told.event)).collect();
        let pushed = without_rivals(pushed.collect(), &read).into_iter().map(|(event, arrival)| EventTold {
            event,
            known: Known::from_arrival(arrival),
            source: EventSource::Rtc,
        });
        let mut events: Vec<EventTold> = pushed.chain(read).collect();
        events.sort_by_cached_key(|told| {
            (told.event.timestamp(), told.event.id(), told.event.kind().to_owned(), told.known)
        });
        events
    }
}

fn last_heard_at(history: &History) -> Option<Timestamp> {
    let received = history.arrivals.iter().map(|arrival| arrival.event.received_at);
    received.chain(history.snapshots.iter().map(|snapshot| snapshot.confirmed_at)).max()
}

/// The pushed events without those that anybody could have sent under the number of one that is Vonage's: of one that
/// was pushed signed, or of one in the event list, unless they say the same as the list. Of several that are equally
/// good under one number each is taken: nothing says which of them is right.
fn without_rivals<'a>(
    pushed: Vec<(ConversationEvent, &'a Arrival)>,
    read: &[EventTold],
) -> Vec<(ConversationEvent, &'a Arrival)> {
    let is_signed = |arrival: &Arrival| arrival.event.origin == Origin::Signed;
    let signed_ids: HashSet<i64> =
        pushed.iter().filter(|(_, arrival)| is_signed(arrival)).filter_map(|(event, _)| event.id()).collect();
    let mut listed: HashMap<i64, Vec<&ConversationEvent>> = HashMap::new();
    for told in read {
        if let Some(id) = told.event.id() {
            listed.entry(id).or_default().push(&told.event);
        }
    }
    let is_rival = |event: &ConversationEvent| {
        event.id().is_some_and(|id| {
            let of_list = listed.get(&id);
            let says_otherwise = of_list.is_some_and(|list| !list.iter().any(|one| one.says_as(event)));
            signed_ids.contains(&id) || says_otherwise
        })
    };
    pushed.into_iter().filter(|(event, arrival)| is_signed(arrival) || !is_rival(event)).collect()
}

fn own_documents(snapshots: &[&Snapshot]) -> HashMap<Digest, ConversationDocument> {
    let documents = snapshots.iter().flat_map(|snapshot| &snapshot.sighting.documents);
    let own = documents.filter(|document| document.name == DocumentName::Conversation);
    let bodies: HashMap<Digest, &Arc<[u8]>> = own.map(|own| (own.digest, &own.body)).collect();
    bodies
        .into_iter()
        .filter_map(|(digest, body)| Some((digest, ConversationDocument::read(body)?)))
        .collect()
}

/// Whether an arrival is an event of the Conversation API; some are sent to the voice webhook's address.
fn is_event(arrival: &Arrival) -> bool {
    let kind = &arrival.event.kind;
    arrival.event.delivery.endpoint == Endpoint::Rtc || kind == "rtc" || kind.contains(':')
}

fn events_of(snapshot: &Snapshot) -> Vec<EventTold> {
    let pages = snapshot
        .sighting
        .documents
        .iter()
        .enumerate()
        .filter(|(_, document)| matches!(document.name, DocumentName::Events { .. }));
    let mut told = Vec::new();
    for (place, document) in pages {
        for event in EventsPage::read(&document.body).into_iter().flat_map(|page| page.events) {
            let source = event.id().map_or(EventSource::Snapshot(snapshot.number), EventSource::List);
            let known = Known::from_snapshot(snapshot, place).not_before(event.timestamp());
            told.push(EventTold { event, known, source });
        }
    }
    told
}

/// The listed legs of this conversation, by leg. Of two that are the same leg, the one that tells more is last.
fn listed(history: &History) -> Vec<&ListedCall> {
    let is_here = |call: &&ListedCall| {
        call.conversation_id.as_ref().is_none_or(|conversation| *conversation == history.conversation_id)
    };
    let mut listed: Vec<&ListedCall> = history.listed.iter().filter(is_here).collect();
    listed.sort_by_key(|call| {
        let told = (call.end_time, call.start_time, call.duration, &call.price, &call.status);
        (&call.leg_id, told, (&call.direction, &call.from, &call.to))
    });
    listed
}
