//! Who takes part in a generated call, with ids that look drawn by lot and are the same each time.

use jiff::SignedDuration;
use jiff::Timestamp;
use sha2::Digest;
use sha2::Sha256;
use uuid::Builder;
use uuid::Uuid;

use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;
use crate::simulator::leg::Bill;
use crate::simulator::leg::Direction;
use crate::simulator::leg::Leg;
use crate::simulator::leg::Status;
use crate::simulator::member::Channel;
use crate::simulator::member::Endpoint;
use crate::simulator::member::Participant;

/// The price of a minute of a call that comes in, in hundred-millionths of a euro.
const INBOUND_RATE: i64 = 450_000;
/// The price of a minute of a call that is dialled.
const OUTBOUND_RATE: i64 = 2_400_000;

/// One side of a call.
#[derive(Clone)]
pub(super) struct Party {
    pub(super) leg: Leg,
    pub(super) participant: Participant,
}

/// Everybody of one generated call.
#[derive(Clone, Copy)]
pub(super) struct Cast(pub(super) u32);

// === impl Cast ===

impl Cast {
    /// The call's conversation, or another one of its conversations.
    pub(super) fn conversation(self, which: &str) -> ConversationId {
        conversation_id(&format!("CON-{}", self.draw(which)))
    }

    /// The name Vonage gives to a conversation.
    pub(super) fn name(self, which: &str) -> String {
        format!("NAM-{}", self.draw(which))
    }

    /// The application's number, which is called and calls.
    pub(super) fn own_number(self) -> String {
        format!("4420794{:05}", 60_000 + self.0 / 1000 % 1000)
    }

    /// Somebody's number, one for each place in the call.
    pub(super) fn mobile(self, place: u32) -> String {
        format!("4477009{:05}", (self.0 + 300 * place) % 1000)
    }

    /// The number that the application has dialled.
    pub(super) fn landline(self) -> String {
        format!("4411349{:05}", 60_000 + self.0 % 1000)
    }

    /// Somebody who calls the application: `who` is a word for them.
    pub(super) fn caller(self, who: &str, from: impl Into<Endpoint>) -> Party {
        let leg_id = leg_id(&self.draw(&format!("{who}'s leg")).simple().to_string());
        let user_id = format!("USR-{}", self.draw(who));
        Party::caller(Leg::inbound(leg_id, from, self.own_number()), self.member(who), user_id)
    }

    /// Somebody who is dialled in the course of a call.
    pub(super) fn callee(self, who: &str, to: impl Into<Endpoint>) -> Party {
        let leg = Leg::outbound(self.outbound_leg(who), to);
        Party::callee(leg, self.member(who), format!("USR-{}", self.draw(who)), self.invented_name(who))
    }

    /// Somebody whom the application asked Vonage to call, in a call of their own. Nobody invited them.
    pub(super) fn dialled(self, who: &str, to: impl Into<Endpoint>) -> Party {
        let leg = Leg::dialled(self.outbound_leg(who), self.own_number(), to);
        let user_id = format!("USR-{}", self.draw(who));
        let mut party = Party::callee(leg, self.member(who), user_id, self.invented_name(who));
        party.participant.invited_by = None;
        party
    }

    /// The same party as a member of another conversation.
    pub(super) fn elsewhere(self, who: &str, party: &Party) -> Party {
        let member_id = self.member(&format!("{who} elsewhere"));
        let participant = Participant { member_id, ..party.participant.clone() };
        Party { participant, leg: party.leg.clone() }
    }

    fn outbound_leg(self, who: &str) -> LegId {
        leg_id(&self.draw(&format!("{who}'s leg")).to_string())
    }

    fn member(self, who: &str) -> MemberId {
        member_id(&format!("MEM-{}", self.draw(&format!("{who}'s member"))))
    }

    fn invented_name(self, who: &str) -> String {
        format!("vapi-user-{}", self.draw(&format!("{who}'s name")).simple())
    }

    /// An id that looks drawn by lot and is the same each time.
    fn draw(self, what: &str) -> Uuid {
        let digest = Sha256::digest(format!("{what} {}", self.0));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Builder::from_random_bytes(bytes).into_uuid()
    }
}

// === impl Party ===

impl Party {
    /// Somebody who calls. Vonage names such a user after its id, unless it is one of the Client SDK.
    pub(super) fn caller(leg: Leg, member_id: MemberId, user_id: String) -> Self {
        let user_name = match &leg.from {
            Endpoint::App { user } => Some(user.clone()),
            _ => None,
        };
        let participant = Participant {
            member_id,
            name: user_name.clone().unwrap_or_else(|| user_id.clone()),
            user_id,
            display_name: user_name,
            invited_by: None,
            channel: Channel::inbound(leg.id.clone(), leg.from.clone(), leg.to.clone()),
        };
        Self { leg, participant }
    }

    /// Somebody who is dialled. Vonage's example gives such a member as invited by its own user.
    pub(super) fn callee(leg: Leg, member_id: MemberId, user_id: String, name: String) -> Self {
        let participant = Participant {
            member_id,
            name,
            invited_by: Some(user_id.clone()),
            user_id,
            display_name: None,
            channel: Channel::outbound(leg.id.clone(), leg.from.clone(), leg.to.clone()),
        };
        Self { leg, participant }
    }

    /// The end of a leg that was answered.
    pub(super) fn completed(&self, answered: Timestamp, ended: Timestamp, side: &'static str) -> Status {
        Status::Completed(Bill {
            answered: Some(whole_second(answered)),
            ended: whole_second(ended),
            disconnected_by: Some(side),
            ..self.bill(ended)
        })
    }

    /// The end of a leg that was never answered.
    pub(super) fn completed_in_vain(&self, ended: Timestamp) -> Status {
        Status::Completed(self.bill(ended))
    }

    fn bill(&self, ended: Timestamp) -> Bill {
        let (network, rate) = match self.leg.direction {
            Direction::Inbound => ("23410", INBOUND_RATE),
            Direction::Outbound => ("GB-FIXED", OUTBOUND_RATE),
        };
        let ended = whole_second(ended);
        Bill { answered: None, ended, network: network.to_owned(), rate, disconnected_by: None }
    }
}

/// The instant so many milliseconds later.
pub(super) fn after(start: Timestamp, milliseconds: i64) -> Timestamp {
    start + SignedDuration::from_millis(milliseconds)
}

fn whole_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).expect("a valid instant stays valid when cut")
}

pub(super) fn conversation_id(text: &str) -> ConversationId {
    ConversationId::parse(text).expect("a script's ids are ids")
}

pub(super) fn member_id(text: &str) -> MemberId {
    MemberId::parse(text).expect("a script's ids are ids")
}

pub(super) fn leg_id(text: &str) -> LegId {
    LegId::parse(text).expect("a script's ids are ids")
}
