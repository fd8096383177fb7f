//! The history of one conversation → its story. Pure.

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::interpret::interpret;
use crate::domain::arrival::{Arrival, Endpoint};
use crate::domain::conversation::Interpretation;
use crate::domain::disclosure::{shown, shown_option};
use crate::domain::history::History;
use crate::domain::reply::Reply;
use crate::domain::snapshot::Snapshot;
use crate::domain::statement::AtSource;
use crate::domain::timeline::{self, Entry, Happening, Outcome};
use crate::vonage::event::ConversationEvent;
use crate::vonage::webhook::Webhook;

/// Webhooks, replies, member states, looks, and what the list of calls told, in one order.
#[must_use]
pub fn timeline(history: &History, replies: &[Reply]) -> Vec<Entry> {
    let interpretation = interpret(history);
    let mut entries: Vec<Entry> = history.arrivals.iter().map(webhook).collect();
    entries.extend(replies.iter().map(reply));
    entries.extend(member_states(&interpretation));
    entries.extend(listed_legs(&interpretation));
    entries.extend(history.snapshots.iter().flat_map(looks));
    entries.extend(ends_of_looking(history));
    timeline::order(&mut entries);
    entries
}

fn webhook(arrival: &Arrival) -> Entry {
    let event = &arrival.event;
    let endpoint = event.delivery.endpoint;
    // What was stored was readable; one that an older version could read is told without its leg.
    let body = Webhook::read(&event.delivery).ok();
    let leg_id = match endpoint {
        Endpoint::Rtc => None,
        _ => body.as_ref().and_then(Webhook::leg_id),
    };
    let detail = body.as_ref().filter(|_| endpoint != Endpoint::Rtc).and_then(Webhook::detail);
    let told_at =
        event.occurred_at.or_else(|| ConversationEvent::from_slice(&event.delivery.body)?.timestamp());
    Entry {
        at: told_at.unwrap_or(event.received_at),
        at_source: AtSource::of(told_at),
        learnt_at: event.received_at,
        source: format!("webhook {}", arrival.number),
        happening: Happening::Webhook {
            endpoint: endpoint.as_str(),
            about: shown(&event.kind).into_owned(),
            leg_id,
            detail: shown_option(event.fallback_reason.clone().or(detail)),
            transferred_to: event.transferred_to.clone(),
            deliveries: arrival.deliveries,
        },
    }
}

fn reply(reply: &Reply) -> Entry {
    let given = &reply.given;
    let upstream = given.upstream.as_ref();
    let ncco = given.ncco.as_ref().map(|ncco| {
        let text = String::from_utf8_lossy(ncco).into_owned();
        RawValue::from_string(text.clone())
            .or_else(|_| serde_json::value::to_raw_value(&text))
            .expect("a text is always JSON")
    });
    Entry {
        at: given.replied_at,
        at_source: AtSource::Receipt,
        learnt_at: given.replied_at,
        source: given.source.as_str().to_owned(),
        happening: Happening::Reply {
            endpoint: given.endpoint.as_str(),
            leg_id: given.leg_id.clone(),
            upstream_status: upstream.and_then(|upstream| upstream.status),
            upstream_ms: upstream.map(|upstream| upstream.elapsed_ms),
            trouble: shown_option(upstream.and_then(|upstream| upstream.trouble.clone())),
            ncco,
        },
    }
}

fn member_states(one: &Interpretation) -> impl Iterator<Item = Entry> {
    one.members.iter().flat_map(|member| {
        member.states.iter().map(|state| Entry {
            at: state.at.unwrap_or(state.learnt_at),
            at_source: AtSource::of(state.at),
            learnt_at: state.learnt_at,
            source: state.source.clone(),
            happening: Happening::MemberState {
                member_id: member.id.clone(),
                name: member.name.clone(),
                state: state.state.clone(),
            },
        })
    })
}

/// Of the other legs it is webhooks and events that tell.
fn listed_legs(one: &Interpretation) -> impl Iterator<Item = Entry> {
    let listed = one.legs.iter().filter_map(|leg| Some((leg, leg.source?)));
    listed.flat_map(|(leg, source)| {
        leg.statuses.iter().map(move |status| Entry {
            at: status.at,
            at_source: status.at_source,
            learnt_at: status.at,
            source: source.as_str().to_owned(),
            happening: Happening::LegStatus { leg_id: leg.id.clone(), status: status.status.clone() },
        })
    })
}

fn looks(snapshot: &Snapshot) -> impl Iterator<Item = Entry> {
    let taken = (snapshot.sighting.taken_at, Outcome::Seen);
    let confirmed = (snapshot.confirmed_at, Outcome::Unchanged);
    let number = snapshot.number;
    [Some(taken), Some(confirmed).filter(|confirmed| confirmed.0 > taken.0)]
        .into_iter()
        .flatten()
        .map(move |(at, outcome)| look(at, outcome, Some(number)))
}

/// How looking stands, where the last look showed nothing.
fn ends_of_looking(history: &History) -> impl Iterator<Item = Entry> {
    let fetch = &history.fetch;
    [
        (fetch.failing_since, Outcome::Failing),
        (fetch.gone_at, Outcome::Gone),
        (fetch.gave_up_at, Outcome::GivenUp),
    ]
    .into_iter()
    .filter_map(|(at, outcome)| Some(look(at?, outcome, None)))
}

fn look(at: Timestamp, outcome: Outcome, snapshot: Option<u32>) -> Entry {
    let source = snapshot.map_or("look".to_owned(), |number| format!("snapshot {number}"));
    Entry {
        at,
        at_source: AtSource::Receipt,
        learnt_at: at,
        source,
        happening: Happening::Look { outcome, snapshot },
    }
}
