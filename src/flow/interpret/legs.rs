//! The legs of a conversation: what webhooks tell of them, and which the members name.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::arrival::{Arrival, Endpoint};
use crate::domain::conversation::{Ending, Leg, LegStatus, Member};
use crate::domain::ids::LegId;
use crate::vonage::webhook::Webhook;

/// How long after `busy` and its like something may follow before the leg counts as over.
const SETTLING: SignedDuration = SignedDuration::from_secs(60);

/// A leg, and what only the conversation as a whole needs of it.
#[derive(Debug)]
pub(super) struct LegAccount {
    pub(super) leg: Leg,
    /// The first instant that anything tells of it.
    pub(super) began_at: Option<Timestamp>,
    /// Vonage's time of its end.
    pub(super) ended_at: Option<Timestamp>,
    pub(super) ending: Ending,
    /// When anything but its end was last heard of it here.
    pub(super) heard_alive_at: Option<Timestamp>,
}

impl LegAccount {
    pub(super) fn answered_at(&self) -> Option<Timestamp> {
        self.leg.statuses.iter().find(|status| status.status == "answered").map(|status| status.at)
    }
}

/// One webhook that speaks of a leg.
struct Told {
    webhook: Webhook,
    endpoint: Endpoint,
    number: i64,
    received_at: Timestamp,
    status: Option<LegStatus>,
}

/// Every leg that a webhook or a member names, the one that began the call first.
pub(super) fn accounts(arrivals: &[Arrival], members: &[Member]) -> Vec<LegAccount> {
    let mut told: BTreeMap<LegId, Vec<Told>> = BTreeMap::new();
    for arrival in arrivals {
        let Ok(webhook) = Webhook::read(&arrival.event.delivery) else { continue };
        let Some(leg) = webhook.leg_id() else { continue };
        told.entry(leg).or_default().push(told_by(webhook, arrival));
    }
    for leg in members.iter().flat_map(|member| &member.leg_ids) {
        told.entry(leg.clone()).or_default();
    }
    let mut accounts: Vec<LegAccount> =
        told.into_iter().map(|(id, told)| account(id, told, members)).collect();
    accounts.sort_by_key(|account| (account.began_at.is_none(), account.began_at, account.leg.id.clone()));
    accounts
}

fn told_by(webhook: Webhook, arrival: &Arrival) -> Told {
    let endpoint = arrival.event.delivery.endpoint;
    let received_at = arrival.event.received_at;
    let status = webhook.leg_status(endpoint).map(|status| LegStatus {
        status,
        at: webhook.timestamp().unwrap_or(received_at),
        detail: webhook.detail(),
    });
    Told { webhook, endpoint, number: arrival.number, received_at, status }
}

fn account(id: LegId, mut told: Vec<Told>, members: &[Member]) -> LegAccount {
    // Statuses first, in the order of a call; the rest can only fill in what no status says. Two that say the
    // same may differ in the rest: the log's own number decides, so that the order of reading does not.
    told.sort_by_cached_key(|told| {
        let status = told.status.as_ref();
        (
            status.is_none(),
            status.map(sort_key),
            told.endpoint == Endpoint::Event,
            told.webhook.timestamp(),
            told.number,
        )
    });
    let member = members.iter().find(|member| member.leg_ids.contains(&id));
    let channel =
        member.and_then(|member| member.channel.as_ref()).filter(|channel| channel.id.as_ref() == Some(&id));
    let first = |read: fn(&Webhook) -> Option<String>| told.iter().find_map(|told| read(&told.webhook));
    let last = told.iter().rev();
    let mut statuses: Vec<LegStatus> = told.iter().filter_map(|told| told.status.clone()).collect();
    statuses.dedup();
    let leg = Leg {
        id,
        direction: first(Webhook::direction),
        from: first(Webhook::from).or_else(|| channel.and_then(|channel| channel.from.clone())),
        to: first(Webhook::to).or_else(|| channel.and_then(|channel| channel.to.clone())),
        status: statuses.last().map(|status| status.status.clone()),
        duration: last.clone().find_map(|told| told.webhook.duration()),
        price: last.clone().find_map(|told| told.webhook.price()),
        statuses,
    };
    let told_at = leg.statuses.iter().map(|status| status.at).min();
    let member_at = member.and_then(|member| member.states.iter().filter_map(|state| state.at).min());
    let heard_at = told.iter().map(|told| told.received_at).min();
    LegAccount {
        began_at: told_at.or(member_at).or(heard_at),
        ended_at: leg
            .statuses
            .iter()
            .filter(|status| finality(&status.status) != Finality::None)
            .map(|status| status.at)
            .max(),
        ending: ending(&told),
        heard_alive_at: last
            .filter(|told| told.status.as_ref().is_some_and(is_alive))
            .map(|told| told.received_at)
            .max(),
        leg,
    }
}

/// The key that statuses of one leg are sorted by. `started` and `ringing` carry the same millisecond, and a
/// `completed` may be stamped before what preceded it: the order of a call decides before the time does.
fn sort_key(status: &LegStatus) -> (u8, Timestamp, String, Option<String>) {
    (rank(&status.status), status.at, status.status.clone(), status.detail.clone())
}

fn rank(status: &str) -> u8 {
    match status {
        "started" => 0,
        "ringing" => 1,
        "answered" => 2,
        "busy" | "cancelled" | "timeout" | "unanswered" | "failed" | "rejected" => 4,
        "completed" => 5,
        _ => 3,
    }
}

/// Whether a status ends its leg.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Finality {
    /// It does not.
    None,
    /// Usually followed by `completed`, and then over.
    Usual,
    /// Nothing follows.
    Certain,
}

fn finality(status: &str) -> Finality {
    match status {
        "completed" | "rejected" => Finality::Certain,
        "busy" | "cancelled" | "timeout" | "unanswered" | "failed" => Finality::Usual,
        _ => Finality::None,
    }
}

fn is_alive(status: &LegStatus) -> bool {
    finality(&status.status) == Finality::None
}

fn ending(told: &[Told]) -> Ending {
    let with = |finality_wanted: Finality| {
        told.iter().filter(move |told| {
            told.status.as_ref().is_some_and(|status| finality(&status.status) == finality_wanted)
        })
    };
    if with(Finality::Certain).next().is_some() {
        return Ending::Over;
    }
    let Some(usual) =
        with(Finality::Usual).filter_map(|told| told.status.as_ref()).map(|status| status.at).max()
    else {
        return Ending::Open;
    };
    let goes_on =
        with(Finality::None).filter_map(|told| told.status.as_ref()).any(|status| status.at > usual);
    let heard = with(Finality::Usual).map(|told| told.received_at).max();
    match heard {
        Some(heard) if !goes_on => Ending::Settling(heard + SETTLING),
        _ => Ending::Open,
    }
}
