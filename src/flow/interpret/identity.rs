//! Whom an event is about. Its `from` may be another member than the one it tells of.

use std::collections::{BTreeMap, BTreeSet};

use super::reading::EventTold;
use crate::domain::ids::{LegId, MemberId};
use crate::vonage::document::MemberDocument;
use crate::vonage::event::{MediaTold, MemberTold, Says, SwitchTold};

/// What is known of who is who.
#[derive(Debug, Default)]
pub(super) struct Identities {
    /// Whose member it is, by documents and invitations, which name the member beside the user.
    users: BTreeMap<MemberId, String>,
    members: BTreeMap<String, BTreeSet<MemberId>>,
    /// The users that events name beside a member in `from`.
    claims: BTreeMap<MemberId, BTreeSet<String>>,
    /// Whose leg it is.
    legs: BTreeMap<LegId, MemberId>,
}

impl Identities {
    /// Learns from documents, the newest last, and from events.
    pub(super) fn of<'a>(documents: impl Iterator<Item = &'a MemberDocument>, events: &[EventTold]) -> Self {
        let mut identities = Self::default();
        for document in documents {
            let Some(member) = document.id() else { continue };
            identities.learn(&member, document.user_id(), document.leg_ids());
        }
        let states = || {
            events.iter().filter_map(|told| match told.event.says() {
                Says::State(state) => Some(state),
                _ => None,
            })
        };
        for told in states() {
            if told.state == "INVITED" {
                if !identities.users.contains_key(&told.member_id) {
                    identities.learn(&told.member_id, told.user_id, told.leg_ids);
                }
            } else if let Some(user) = told.user_id {
                identities.claims.entry(told.member_id).or_default().insert(user);
            }
        }
        for told in states() {
            if let Some(member) = identities.of_state(&told) {
                for leg in told.leg_ids {
                    identities.legs.entry(leg).or_insert_with(|| member.clone());
                }
            }
        }
        identities
    }

    fn learn(&mut self, member: &MemberId, user: Option<String>, legs: Vec<LegId>) {
        if let Some(user) = user {
            self.members.entry(user.clone()).or_default().insert(member.clone());
            self.users.insert(member.clone(), user);
        }
        for leg in legs {
            self.legs.insert(leg, member.clone());
        }
    }

    /// The member whose state it is; `None` when it is another user's than the named member's, and that user is
    /// no known member's.
    pub(super) fn of_state(&self, told: &MemberTold) -> Option<MemberId> {
        let Some(user) = &told.user_id else { return Some(told.member_id.clone()) };
        if told.state == "INVITED" || self.users.get(&told.member_id) == Some(user) {
            return Some(told.member_id.clone());
        }
        let is_anothers = match self.users.get(&told.member_id) {
            Some(_) => true,
            // Nothing but events tells of the member: it has one user, and this one is known as another's.
            None => self.claims.get(&told.member_id).is_some_and(|claims| claims.len() > 1),
        };
        match self.members.get(user) {
            Some(members) if is_anothers => {
                let carried = members
                    .iter()
                    .find(|member| told.leg_ids.iter().any(|leg| self.legs.get(leg) == Some(*member)));
                carried.or_else(|| members.first()).cloned()
            }
            None if is_anothers && self.users.contains_key(&told.member_id) => None,
            _ => Some(told.member_id.clone()),
        }
    }

    /// The member whose sound it is: the one that is connected so.
    pub(super) fn of_media(&self, told: &MediaTold) -> MemberId {
        self.carrier(told.leg_ids.first()).unwrap_or_else(|| told.member_id.clone())
    }

    /// The member whose sound was switched.
    pub(super) fn of_switch(&self, told: &SwitchTold) -> MemberId {
        self.carrier(told.leg_id.as_ref()).unwrap_or_else(|| told.member_id.clone())
    }

    fn carrier(&self, leg: Option<&LegId>) -> Option<MemberId> {
        self.legs.get(leg?).cloned()
    }
}
