//! Who took part: every version's members, put together.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::conversation::{Member, MemberState};
use crate::domain::ids::MemberId;
use crate::domain::snapshot::{DocumentName, Snapshot};
use crate::vonage::document::{ConversationDocument, MemberDocument, MembersPage};

/// The members in every version, by the time of their first state. `snapshots` are by number.
pub(super) fn members(snapshots: &[&Snapshot]) -> Vec<Member> {
    let mut members: BTreeMap<MemberId, Member> = BTreeMap::new();
    for snapshot in snapshots {
        let source = format!("snapshot {}", snapshot.number);
        for document in member_documents(snapshot) {
            let Some(id) = document.id() else { continue };
            let member = members.entry(id.clone()).or_insert_with(|| unknown(id));
            update(member, &document, &source);
        }
    }
    let mut members: Vec<Member> = members.into_values().map(ordered).collect();
    members.sort_by_key(|member| {
        let first = member.states.first().and_then(|state| state.at);
        (first.is_none(), first, member.id.clone())
    });
    members
}

/// Embedded members, then short forms, then single members: the fullest last.
fn member_documents(snapshot: &Snapshot) -> Vec<MemberDocument> {
    let mut short = Vec::new();
    let mut full = Vec::new();
    for document in &snapshot.sighting.documents {
        match &document.name {
            DocumentName::Conversation => {
                short.extend(
                    ConversationDocument::read(&document.body)
                        .and_then(|own| own.members())
                        .into_iter()
                        .flatten(),
                );
            }
            DocumentName::Members(_) => {
                short.extend(MembersPage::read(&document.body).into_iter().flat_map(|page| page.members));
            }
            DocumentName::Member(_) => full.extend(MemberDocument::read(&document.body)),
            DocumentName::Events { .. } => {}
        }
    }
    short.extend(full);
    short
}

fn unknown(id: MemberId) -> Member {
    Member {
        id,
        user_id: None,
        name: None,
        state: None,
        channel: None,
        leg_ids: Vec::new(),
        states: Vec::new(),
    }
}

fn update(member: &mut Member, document: &MemberDocument, source: &str) {
    member.user_id = document.user_id().or(member.user_id.take());
    member.name = document.name().or(member.name.take());
    member.channel = document.channel().or(member.channel.take());
    for leg in document.leg_ids() {
        if !member.leg_ids.contains(&leg) {
            member.leg_ids.push(leg);
        }
    }
    for (state, at) in document.timed_states() {
        note(member, &state, Some(at), source);
    }
    if let Some(state) = document.state() {
        note(member, &state, None, source);
        member.state = Some(state);
    }
}

/// Notes a state, unless it is known for that time already: the first that told stays its source.
fn note(member: &mut Member, state: &str, at: Option<Timestamp>, source: &str) {
    if !member.states.iter().any(|known| known.state == state && known.at == at) {
        member.states.push(MemberState { state: state.to_owned(), at, source: source.to_owned() });
    }
}

/// States by time. One without a time says nothing that the same state with a time does not say better.
fn ordered(mut member: Member) -> Member {
    let timed: Vec<String> =
        member.states.iter().filter(|state| state.at.is_some()).map(|state| state.state.clone()).collect();
    member.states.retain(|state| state.at.is_some() || !timed.contains(&state.state));
    member.states.sort_by(|left, right| {
        let key = |state: &MemberState| (state.at.is_none(), state.at, rank(&state.state));
        key(left).cmp(&key(right)).then_with(|| left.state.cmp(&right.state))
    });
    member
}

/// The order of states that have the same time.
fn rank(state: &str) -> u8 {
    match state {
        "INVITED" => 0,
        "JOINED" => 1,
        "LEFT" => 3,
        _ => 2,
    }
}
