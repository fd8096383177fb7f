//! A conversation that can be read: its members and its events.

use jiff::Timestamp;

use super::event::Event;
use super::event::Note;
use super::member::Member;
use super::member::MemberState;
use super::member::Participant;
use super::world::Change;
use super::world::Lifetime;
use crate::domain::ids::ConversationId;
use crate::domain::ids::MemberId;

/// A conversation that can be read.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) id: ConversationId,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) updated: Option<Timestamp>,
    pub(super) members: Vec<Member>,
    /// Everything that happened, oldest first.
    pub(super) events: Vec<Event>,
    pub(super) lifetime: Lifetime,
}

impl Conversation {
    /// A conversation in which nothing has happened.
    pub(super) fn new(id: ConversationId, name: String, lifetime: Lifetime, created: Timestamp) -> Self {
        Self { id, name, created, updated: None, members: Vec::new(), events: Vec::new(), lifetime }
    }

    /// The number of the newest event; 0 without one.
    pub(super) fn sequence_number(&self) -> u64 {
        self.events.last().map_or(0, |event| event.id)
    }

    /// The member of this id.
    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.participant.member_id.as_str() == id)
    }

    /// Lets `change` happen. One that is not about members and events changes nothing.
    pub(super) fn apply(&mut self, at: Timestamp, change: Change) {
        match change {
            Change::Invited(participant) => self.invite(at, *participant),
            Change::Joined(participant) => self.join(at, *participant),
            Change::Left(member_id) => self.leave(at, &member_id),
            Change::Noted(note) => self.note(at, note),
            Change::Placed(_)
            | Change::Created { .. }
            | Change::Leg(..)
            | Change::LegStarted(_)
            | Change::LegEnded(_) => {}
        }
    }

    fn invite(&mut self, at: Timestamp, participant: Participant) {
        let joined = self.members.iter().find(|member| member.state == MemberState::Joined);
        let inviter = joined.map(|member| member.participant.member_id.clone());
        let member = self.touch(participant);
        member.state = MemberState::Invited;
        member.invited = Some(at);
        let member = member.clone();
        let note = Note::invited(&self.id, &self.name, inviter, &member);
        self.record(at, note);
    }

    fn join(&mut self, at: Timestamp, participant: Participant) {
        let member = self.touch(participant);
        member.state = MemberState::Joined;
        member.joined = Some(at);
        member.left = None;
        let note = Note::joined(member);
        self.record(at, note);
    }

    fn leave(&mut self, at: Timestamp, id: &MemberId) {
        let changed = self.sequence_number() + 1;
        let Some(member) = self.members.iter_mut().find(|member| member.participant.member_id == *id) else {
            return;
        };
        member.state = MemberState::Left;
        member.left = Some(at);
        member.changed = changed;
        let note = Note::left(member);
        self.record(at, note);
    }

    fn note(&mut self, at: Timestamp, note: Note) {
        let concerned = note.to.as_ref().or(note.from.as_ref());
        let changed = self.sequence_number() + 1;
        let mut members = self.members.iter_mut();
        if let Some(member) = members.find(|member| Some(&member.participant.member_id) == concerned) {
            let before = member.audio;
            note.tune(&mut member.audio);
            if member.audio != before {
                member.changed = changed;
            }
        }
        self.record(at, note);
    }

    fn record(&mut self, at: Timestamp, note: Note) {
        self.updated = Some(at);
        let id = self.sequence_number() + 1;
        self.events.push(Event { id, at, note });
    }

    /// The member this participant is, made one if need be, and marked as changed now.
    fn touch(&mut self, participant: Participant) -> &mut Member {
        let changed = self.sequence_number() + 1;
        let known =
            self.members.iter().position(|member| member.participant.member_id == participant.member_id);
        let index = known.unwrap_or_else(|| {
            self.members.push(Member::of(participant));
            self.members.len() - 1
        });
        let member = &mut self.members[index];
        member.changed = changed;
        member
    }
}
