//! What exists at this Vonage, and what it was asked.

use std::collections::HashMap;

use jiff::Timestamp;

use super::conversation::Conversation;
use super::event::Note;
use super::faults::Faults;
use super::leg::Leg;
use super::leg::Status;
use super::member::Participant;
use super::record::LegRecord;
use super::region::Region;
use super::reply::Reply;
use super::requests::Request;
use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;

/// Something that happens to a conversation. Each of the coming and going of members and of what is noted is
/// an event of the conversation, and raises its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The conversation is handled in a region, now or as soon as it exists: only that region's host knows it.
    Placed(Region),
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
    /// Any other event of the conversation, such as `sip:ringing` or `member:media`.
    Noted(Note),
    /// A leg of the conversation gets a status, which the Voice API remembers. It begins to belong to the
    /// conversation, or is over.
    Leg(Box<Leg>, Status),
    /// A leg begins to belong to the conversation.
    LegStarted(LegId),
    /// A leg no longer belongs to the conversation. With the last one a transient conversation is gone.
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
    /// Whether v1 shows events as a bare array, as its definition has it.
    pub(super) bare_events: bool,
    pub(super) requests: Vec<Request>,
    /// Every leg there ever was, in the order they started.
    pub(super) legs: Vec<LegRecord>,
    conversations: HashMap<ConversationId, Conversation>,
    regions: HashMap<ConversationId, Region>,
    /// The legs of each conversation that are not over. A leg may start before its conversation exists.
    live_legs: HashMap<ConversationId, Vec<LegId>>,
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
        !matches!(self, Self::Placed(_) | Self::Leg(..) | Self::LegStarted(_) | Self::LegEnded(_))
    }

    /// Whether what was to be read before it may not be afterwards.
    pub(super) fn may_hide_something(&self) -> bool {
        match self {
            Self::Placed(_) | Self::LegStarted(_) => false,
            Self::Leg(_, status) => status.is_end(),
            _ => true,
        }
    }

    /// Whether a leg is over with it.
    pub(super) fn ends_leg(&self) -> bool {
        match self {
            Self::LegEnded(_) => true,
            Self::Leg(_, status) => status.is_end(),
            _ => false,
        }
    }
}

// === impl World ===

impl World {
    /// The conversation, while it exists.
    pub(super) fn conversation(&self, id: &ConversationId) -> Option<&Conversation> {
        self.conversations.get(id)
    }

    /// The region of a conversation, whether it exists or not.
    pub(super) fn region(&self, id: &ConversationId) -> Option<Region> {
        self.regions.get(id).copied()
    }

    /// What is known of a leg.
    pub(super) fn leg(&self, id: &str) -> Option<&LegRecord> {
        self.legs.iter().find(|record| record.leg.id.as_str() == id)
    }

    /// Makes a conversation unreadable.
    pub(super) fn forget(&mut self, id: &ConversationId) {
        self.conversations.remove(id);
        self.live_legs.remove(id);
    }

    /// Lets `change` happen. What would change a conversation that does not exist changes nothing.
    pub(super) fn apply(&mut self, id: &ConversationId, at: Timestamp, change: Change) {
        match change {
            Change::Placed(region) => {
                self.regions.insert(id.clone(), region);
            }
            // A leg that comes from elsewhere finds a named conversation as it is.
            Change::Created { .. } if self.conversations.contains_key(id) => {}
            Change::Created { name, lifetime } => {
                self.conversations.insert(id.clone(), Conversation::new(id.clone(), name, lifetime, at));
            }
            Change::Leg(leg, status) => self.tell_of_leg(id, at, *leg, status),
            Change::LegStarted(leg) => self.start_leg(id, leg),
            Change::LegEnded(leg) => self.end_leg(id, &leg),
            other => {
                if let Some(conversation) = self.conversations.get_mut(id) {
                    conversation.apply(at, other);
                }
            }
        }
    }

    fn tell_of_leg(&mut self, id: &ConversationId, at: Timestamp, leg: Leg, status: Status) {
        let leg_id = leg.id.clone();
        let is_end = status.is_end();
        match self.legs.iter_mut().find(|record| record.leg.id == leg_id) {
            Some(record) => record.proceed(status),
            None => self.legs.push(LegRecord::new(leg, id.clone(), at, status)),
        }
        if is_end {
            self.end_leg(id, &leg_id);
        } else {
            self.start_leg(id, leg_id);
        }
    }

    fn start_leg(&mut self, id: &ConversationId, leg: LegId) {
        if let Some(record) = self.legs.iter_mut().find(|record| record.leg.id == leg) {
            record.conversation = id.clone();
        }
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
