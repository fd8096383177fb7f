//! The history of one conversation → what it means. Pure: no clock, no store; neither the order of the
//! history nor repetitions in it change the outcome.

mod capture;
mod identity;
mod legs;
mod listed;
mod members;
mod parties;
mod presence;
mod reading;
mod states;
mod statuses;

use jiff::Timestamp;

use crate::domain::conversation::{Ending, Interpretation, Member};
use crate::domain::disclosure::shown_interpretation;
use crate::domain::history::History;
use crate::domain::instant::{credible, is_within_a_call};
use crate::domain::snapshot::{DocumentName, Snapshot};
use crate::vonage::document::ConversationDocument;

use legs::LegAccount;
use reading::Reading;

/// Folds both logs of a conversation, and the list of its calls.
#[must_use]
pub fn interpret(history: &History) -> Interpretation {
    let reading = Reading::of(history);
    let mut members = members::members(&reading);
    let legs = legs::accounts(&reading, &members);
    let documents: Vec<(&ConversationDocument, Timestamp)> = reading
        .snapshots
        .iter()
        .filter_map(|snapshot| Some((own_document(&reading, snapshot)?, snapshot.sighting.taken_at)))
        .collect();

    let first = legs.first();
    let ending = ending(history, &legs);
    presence::complete(&mut members, &legs, ending);
    let created_at = |(document, taken_at): &(&ConversationDocument, Timestamp)| {
        document.created_at().filter(|created_at| is_within_a_call(*taken_at, *created_at))
    };
    let started_at = legs
        .iter()
        .filter_map(|leg| leg.began_at)
        .chain(documents.iter().filter_map(created_at))
        .chain(members.iter().filter_map(first_state_at))
        .min();
    let ended_at = ended_at(ending, history, &legs);
    let (from, to, other_parties) = parties::parties(&reading, &legs, &members);
    shown_interpretation(Interpretation {
        id: history.conversation_id.clone(),
        name: documents.iter().rev().find_map(|(document, _)| document.name()),
        application_id: history.fetch.application_id.clone(),
        capture: capture::capture(history, &reading),
        direction: first.and_then(|first| first.leg.direction.clone()),
        from,
        to,
        other_parties,
        first_heard_at: first_heard_at(history),
        started_at,
        answered_at: first.and_then(|first| first.answered_at),
        ended_at,
        ending,
        duration: first.and_then(|first| first.leg.duration),
        price: first.and_then(|first| first.leg.price.clone()),
        status: first.and_then(|first| first.leg.status.clone()),
        latest_snapshot: reading.snapshots.last().map(|snapshot| snapshot.number),
        members,
        legs: legs.into_iter().map(|account| account.leg).collect(),
    })
}

fn first_heard_at(history: &History) -> Option<Timestamp> {
    let received = history.arrivals.iter().map(|arrival| arrival.event.received_at);
    received.chain(history.snapshots.iter().map(|snapshot| snapshot.sighting.taken_at)).min()
}

/// The first time that a member was told to be in a state.
fn first_state_at(member: &Member) -> Option<Timestamp> {
    member.states.iter().filter_map(|state| Some(credible(state.at?, state.learnt_at))).min()
}

/// The conversation's own document in a version.
fn own_document<'a>(reading: &'a Reading<'_>, snapshot: &Snapshot) -> Option<&'a ConversationDocument> {
    let own =
        snapshot.sighting.documents.iter().find(|document| document.name == DocumentName::Conversation)?;
    reading.own(own)
}

/// Over when every leg has ended, or when Vonage no longer knows the conversation and nothing but ends of
/// legs was heard since.
fn ending(history: &History, legs: &[LegAccount]) -> Ending {
    let heard_alive = legs.iter().filter_map(|leg| leg.heard_alive_at).max();
    let gone = history.fetch.gone_at.is_some_and(|gone_at| heard_alive.is_none_or(|heard| heard <= gone_at));
    if gone {
        return Ending::Over;
    }
    let latest = legs.iter().map(|leg| leg.ending).reduce(|left, right| match (left, right) {
        (Ending::Open, _) | (_, Ending::Open) => Ending::Open,
        (Ending::Settling(left), Ending::Settling(right)) => Ending::Settling(left.max(right)),
        (Ending::Settling(at), Ending::Over) | (Ending::Over, Ending::Settling(at)) => Ending::Settling(at),
        (Ending::Over, Ending::Over) => Ending::Over,
    });
    latest.unwrap_or(Ending::Open)
}

/// Vonage's time of the last leg's end; where a leg's end was never told, when the conversation was found gone.
fn ended_at(ending: Ending, history: &History, legs: &[LegAccount]) -> Option<Timestamp> {
    if ending == Ending::Open {
        return None;
    }
    let every_end: Option<Vec<Timestamp>> = legs.iter().map(|leg| leg.ended_at).collect();
    every_end.and_then(|ends| ends.into_iter().max()).or(history.fetch.gone_at)
}
