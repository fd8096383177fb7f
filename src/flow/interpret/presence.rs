//! From when to when each member took part. Few conversations tell that a member left: an ordinary one is gone by
//! then. Its legs' ends say it.

use std::collections::HashMap;

use jiff::Timestamp;

use super::legs::LegAccount;
use crate::domain::conversation::{Ending, Member};
use crate::domain::ids::LegId;
use crate::domain::instant::credible;
use crate::domain::statement::LeftSource;

/// The end of a leg.
struct LegEnd<'a> {
    at: Timestamp,
    leg: &'a LegAccount,
}

/// Gives each member that is not told to have left the end of its last leg. In a call that is over, a member of which
/// no leg is known to have ended is gone since the call's last leg ended.
pub(super) fn complete(members: &mut [Member], legs: &[LegAccount], ending: Ending) {
    let of_call = last_end(legs.iter());
    let by_id: HashMap<&LegId, &LegAccount> = legs.iter().map(|account| (&account.leg.id, account)).collect();
    for member in members {
        let connected = member.channel.as_ref().and_then(|channel| channel.id.as_ref());
        let own = member.leg_ids.iter().chain(connected);
        let own: Vec<&LegAccount> = own.filter_map(|leg| by_id.get(leg).copied()).collect();
        let is_connected = own.iter().any(|account| account.ending == Ending::Open);
        let of_own = last_end(own.into_iter());
        if member.left_at.is_some() {
            if let Some(end) = of_own.filter(|end| is_left_untimed(member) && Some(end.at) <= member.left_at)
            {
                leave(member, &end);
            }
        } else if ending != Ending::Open {
            if let Some(end) = of_own.as_ref().or(of_call.as_ref()) {
                leave(member, end);
            }
        } else if let Some(end) = of_own.filter(|_| !is_connected) {
            leave(member, &end);
        }
    }
}

fn last_end<'a>(legs: impl Iterator<Item = &'a LegAccount>) -> Option<LegEnd<'a>> {
    let ended = legs.filter(|account| account.ending != Ending::Open);
    let ends = ended.filter_map(|leg| Some(LegEnd { at: leg.ended_at?, leg }));
    ends.max_by(|one, other| (one.at, &one.leg.leg.id).cmp(&(other.at, &other.leg.leg.id)))
}

/// Whether it is told that the member left, but not when.
fn is_left_untimed(member: &Member) -> bool {
    member.states.iter().filter(|state| state.state == "LEFT").all(|state| state.at.is_none())
}

/// Nobody leaves before what is told of them last: two of Vonage's clocks differ by some milliseconds.
fn leave(member: &mut Member, end: &LegEnd<'_>) {
    let timed = member.states.iter().filter(|state| !state.is_sound() && state.state != "LEFT");
    let present = timed.filter_map(|state| Some(credible(state.at?, state.learnt_at))).max();
    member.left_at = present.max(Some(end.at));
    member.left_source = Some(LeftSource::LegEnd { leg_id: end.leg.leg.id.clone() });
}
