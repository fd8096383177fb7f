//! What the Voice API's list of calls tells of legs: all there is of a call that nobody announced, and of the
//! others what the logs lack.

use jiff::Timestamp;

use super::legs::LegAccount;
use super::statuses::{Entry, Statuses, Teller, goes_on};
use crate::domain::call::ListedCall;
use crate::domain::conversation::{Ending, Leg, LegSource, LegStatus};
use crate::domain::instant::is_within_a_call;
use crate::domain::statement::AtSource;

/// A leg that only the list knows.
pub(super) fn account(call: &ListedCall) -> LegAccount {
    let end = end(call, None);
    let answered =
        call.start_time.filter(|_| matches!(call.status.as_deref(), Some("answered" | "completed")));
    let answered = answered.map(|at| entry("answered", at));
    let statuses = Statuses::of(answered.into_iter().chain(end).collect());
    let (answered_at, ended_at) = (statuses.answered_at(), statuses.ended_at());
    // Nothing more will be heard of it, so nothing needs to settle.
    let ending = if call.status.as_deref().is_none_or(goes_on) { Ending::Open } else { Ending::Over };
    let leg = Leg {
        id: call.leg_id.clone(),
        direction: call.direction.clone(),
        from: call.from.clone(),
        to: call.to.clone(),
        status: call.status.clone(),
        duration: call.duration,
        price: call.price.clone(),
        statuses: statuses.into_statuses(),
        source: Some(LegSource::CallsList),
    };
    let began_at = call.start_time.or(ended_at);
    LegAccount { began_at, answered_at, ended_at, ending, heard_alive_at: None, leg }
}

/// The leg's end, if the list has one. The list does not say when it was read: the end was known when it was, or
/// when the last was `heard` if it cannot have been later.
pub(super) fn end(call: &ListedCall, heard: Option<Timestamp>) -> Option<Entry> {
    let mut end = entry(call.status.as_deref()?, call.end_time.or(call.start_time)?);
    end.known_at = heard.filter(|heard| !is_within_a_call(*heard, end.known_at)).unwrap_or(end.known_at);
    (!end.is_alive()).then_some(end)
}

/// Whether the list's end says more than what is known.
pub(super) fn adds(end: &Entry, known: &Statuses) -> bool {
    let alone = Statuses::of(vec![end.clone()]);
    !known.has_end(!alone.has_end(false))
}

fn entry(status: &str, at: Timestamp) -> Entry {
    let status = LegStatus { status: status.to_owned(), at, at_source: AtSource::Timestamp, detail: None };
    Entry { status, teller: Teller::Event, moved: None, known_at: at }
}
