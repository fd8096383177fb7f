//! Who called and who was called.

use std::collections::BTreeSet;

use super::legs::LegAccount;
use super::reading::Reading;
use crate::domain::conversation::Member;
use crate::domain::statement::{NamedParty, PartySide};
use crate::vonage::webhook::Webhook;

/// The parties of the leg that began the call, and those that webhooks name beside no leg: a call from an app to a
/// phone begins with an answer webhook that has the user's name and no leg. Without a leg these are the call's.
pub(super) fn parties(
    reading: &Reading<'_>,
    legs: &[LegAccount],
    members: &[Member],
) -> (Option<String>, Option<String>, Vec<NamedParty>) {
    let first = legs.first();
    let legless = legless(reading);
    let of =
        |side: PartySide| legless.iter().find(|named| named.side == side).map(|named| named.party.clone());
    let (from, to) = match first {
        Some(first) => (first.leg.from.clone(), first.leg.to.clone()),
        None => (of(PartySide::From), of(PartySide::To)),
    };
    let of_legs = legs.iter().flat_map(|account| [&account.leg.from, &account.leg.to]);
    let channels = members.iter().filter_map(|member| member.channel.as_ref());
    let known: BTreeSet<&String> = of_legs
        .chain(channels.flat_map(|channel| [&channel.from, &channel.to]))
        .chain([&from, &to])
        .flatten()
        .collect();
    let others: BTreeSet<&NamedParty> =
        legless.iter().filter(|named| !known.contains(&named.party)).collect();
    let others = others.into_iter().cloned().collect();
    (from, to, others)
}

/// By the number of the webhook.
fn legless(reading: &Reading<'_>) -> Vec<NamedParty> {
    let webhooks = reading.webhooks.iter().filter_map(|arrival| Webhook::read(&arrival.event.delivery).ok());
    let legless = webhooks.filter(|webhook| webhook.leg_id().is_none());
    legless
        .flat_map(|webhook| [(PartySide::From, webhook.from()), (PartySide::To, webhook.to())])
        .filter_map(|(side, party)| Some(NamedParty { side, party: party? }))
        .collect()
}
