//! What exists at this Vonage, and what it was asked.

use std::collections::HashMap;

use jiff::Timestamp;

use super::faults::Faults;
use super::member::Member;
use super::member::MemberState;
use super::member::Participant;
use super::reply::Reply;
use super::requests::Request;
use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;

/// Something that happens to a conversation. All but the two about legs raise its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The conversation comes into being, with sequence number 0.
    Created {
        /// Its name, `NAM-…` unless somebody chose one.
        name: String,
        /// How long it can be read.
        lifetime: Lifetime,
    },
    /// Somebody is invited.
    Invited(Box<Participant>),
    /// Somebody joins, invited or not. A second join replaces the time of the first one, as at Vonage.
    Joined(Box<Participant>),
    /// A member leaves.
    Left(MemberId),
    /// Any other event of the conversation, such as `sip:ringing` or `member:media`: only the number grows.
    Noted,
    /// A leg begins to belong to the conversation.
    LegStarted(LegId),
    /// A leg is over. With the last one a transient conversation is gone.
    LegEnded(LegId),
}

/// How long a conversation can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until its last leg has ended: an ordinary call.
    Transient,
    /// Beyond its call: a conversation that was given a name in an NCCO.
    Persistent,
}

/// Everything this Vonage knows.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) faults: Faults,
    pub(super) documents: HashMap<String, Reply>,
    pub(super) tokens_refused: bool,
    pub(super) requests: Vec<Request>,
    conversations: HashMap<ConversationId, Conversation>,
    /// The legs of each conversation that are not over. A leg may start before its conversation exists.
    live_legs: HashMap<ConversationId, Vec<LegId>>,
}

/// A conversation that can be read.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) id: ConversationId,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) updated: Option<Timestamp>,
    pub(super) sequence_number: u64,
    pub(super) members: Vec<Member>,
    lifetime: Lifetime,
}

// === impl Change ===

impl Change {
    /// Somebody is invited.
    #[must_use]
    pub fn invited(participant: &Participant) -> Self {
        Self::Invited(Box::new(participant.clone()))
    }

    /// Somebody joins.
    #[must_use]
    pub fn joined(participant: &Participant) -> Self {
        Self::Joined(Box::new(participant.clone()))
    }

    /// Whether the conversation reads differently after it.
    pub(super) fn is_visible(&self) -> bool {
        !matches!(self, Self::LegStarted(_) | Self::LegEnded(_))
    }

    /// Whether what was to be read before it may not be afterwards.
    pub(super) fn may_hide_something(&self) -> bool {
        !matches!(self, Self::LegStarted(_))
    }
}

// === impl World ===

impl World {
    /// The conversation, while it exists.
    pub(super) fn conversation(&self, id: &ConversationId) -> Option<&Conversation> {
        self.conversations.get(id)
    }

    /// Makes a conversation unreadable.
    pub(super) fn forget(&mut self, id: &ConversationId) {
        self.conversations.remove(id);
        self.live_legs.remove(id);
    }

    /// Lets `change` happen. What would change a conversation that does not exist changes nothing.
    pub(super) fn apply(&mut self, id: &ConversationId, at: Timestamp, change: Change) {
        match change {
            Change::Created { name, lifetime } => {
                self.conversations.insert(id.clone(), Conversation::new(id.clone(), name, lifetime, at));
            }
            Change::LegStarted(leg) => self.start_leg(id, leg),
            Change::LegEnded(leg) => self.end_leg(id, &leg),
            other => {
                if let Some(conversation) = self.conversations.get_mut(id) {
                    conversation.apply(at, other);
                }
            }
        }
    }

    fn start_leg(&mut self, id: &ConversationId, leg: LegId) {
        let legs = self.live_legs.entry(id.clone()).or_default();
        if !legs.contains(&leg) {
            legs.push(leg);
        }
    }

    fn end_leg(&mut self, id: &ConversationId, leg: &LegId) {
        let Some(legs) = self.live_legs.get_mut(id) else {
            return;
        };
        legs.retain(|live| live != leg);
        if legs.is_empty() {
            self.live_legs.remove(id);
            if self.conversations.get(id).is_some_and(|it| it.lifetime == Lifetime::Transient) {
                self.conversations.remove(id);
            }
        }
    }
}

// === impl Conversation ===

impl Conversation {
    fn new(id: ConversationId, name: String, lifetime: Lifetime, created: Timestamp) -> Self {
        Self { id, name, created, updated: None, sequence_number: 0, members: Vec::new(), lifetime }
    }

    /// The member of this id.
    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.participant.member_id.as_str() == id)
    }

    fn apply(&mut self, at: Timestamp, change: Change) {
        self.sequence_number += 1;
        self.updated = Some(at);
        match change {
            Change::Invited(participant) => {
                let member = self.touch(*participant);
                member.state = MemberState::Invited;
                member.invited = Some(at);
            }
            Change::Joined(participant) => {
                let member = self.touch(*participant);
                member.state = MemberState::Joined;
                member.joined = Some(at);
                member.left = None;
            }
            Change::Left(member_id) => {
                let known = self.members.iter_mut().find(|member| member.participant.member_id == member_id);
                if let Some(member) = known {
                    member.state = MemberState::Left;
                    member.left = Some(at);
                    member.changed = self.sequence_number;
                }
            }
            Change::Noted | Change::Created { .. } | Change::LegStarted(_) | Change::LegEnded(_) => {}
        }
    }

    /// The member this participant is, made one if need be, and marked as changed now.
    fn touch(&mut self, participant: Participant) -> &mut Member {
        let known =
            self.members.iter().position(|member| member.participant.member_id == participant.member_id);
        let index = known.unwrap_or_else(|| {
            self.members.push(Member::of(participant));
            self.members.len() - 1
        });
        let member = &mut self.members[index];
        member.changed = self.sequence_number;
        member
    }
}
