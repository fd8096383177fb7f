//! Calls to play: the tutorial's, and as many generated ones as are wanted.

use jiff::SignedDuration;
use jiff::Timestamp;
use sha2::Digest;
use sha2::Sha256;
use uuid::Builder;
use uuid::Uuid;

use super::call::Call;
use super::leg::Bill;
use super::leg::Leg;
use super::leg::Status;
use super::member::Channel;
use super::member::Endpoint;
use super::member::Participant;
use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;

/// The price of a minute of a call that comes in, in hundred-millionths of a euro.
const INBOUND_RATE: i64 = 450_000;
/// The price of a minute of a call that is dialled.
const OUTBOUND_RATE: i64 = 2_400_000;
/// How long after the first ring a generated call's parties can talk.
const CONNECTED_MS: i64 = 11_784;

/// One side of a call.
struct Party {
    leg: Leg,
    participant: Participant,
}

impl Call {
    /// The call of Vonage's tutorial: Alice calls, Bob is dialled, they talk for five minutes.
    #[must_use]
    pub fn tutorial() -> Self {
        let (alice, bob) = (Party::alice(), Party::bob());
        let at = tutorial_time;
        let end = at("09:31:30.179");
        let bill = |rate| Bill {
            answered: Some(at("09:26:30.000")),
            ended: at("09:31:30.000"),
            network: "GB-FIXED".to_owned(),
            rate,
            disconnected_by: None,
        };
        Self::new(conversation_id("CON-bc643220-2542-499a-892e-c982c4150c06"))
            .leg(at("09:26:18.991"), &alice.leg, &Status::Started)
            .leg(at("09:26:18.991"), &alice.leg, &Status::Ringing)
            .created(at("09:26:18.999"), "NAM-1b2c4274-e3f2-494e-89c4-46856ee84a8b")
            .joined(at("09:26:19.204"), &alice.participant)
            .invited(at("09:26:19.385"), &bob.participant)
            .asked_for_ncco(at("09:26:19.800"), &alice.leg)
            .noted(at("09:26:24.384"))
            .leg(at("09:26:24.384"), &bob.leg, &Status::Started)
            .leg(at("09:26:24.384"), &bob.leg, &Status::Ringing)
            .joined(at("09:26:30.270"), &bob.participant)
            .noted(at("09:26:30.274"))
            .noted(at("09:26:30.277"))
            .leg(at("09:26:30.277"), &bob.leg, &Status::Answered)
            .joined(at("09:26:30.334"), &alice.participant)
            .noted(at("09:26:30.337"))
            .leg(at("09:26:30.340"), &alice.leg, &Status::Answered)
            .leg_ended(end, &alice.leg.id)
            .leg_ended(end, &bob.leg.id)
            .leg(end, &alice.leg, &Status::Completed(bill(INBOUND_RATE)))
            .leg(end, &bob.leg, &Status::Completed(bill(OUTBOUND_RATE)))
    }

    /// The `number`-th generated call: somebody calls, a second person is dialled, both talk for a while. The
    /// same number gives the same call; the phone numbers are from Ofcom's ranges for drama.
    #[must_use]
    pub fn inbound(number: u32, starting: Timestamp) -> Self {
        let from = format!("4477009{:05}", number % 1000);
        let to = format!("4420794{:05}", 60_000 + number / 1000 % 1000);
        let dialled = format!("4411349{:05}", 60_000 + number % 1000);
        let alice = Party::caller(
            Leg::inbound(leg_id(&drawn("caller's leg", number).simple().to_string()), from, to),
            member_id(&format!("MEM-{}", drawn("caller's member", number))),
            format!("USR-{}", drawn("caller", number)),
        );
        let bob = Party::callee(
            Leg::outbound(leg_id(&drawn("callee's leg", number).to_string()), dialled),
            member_id(&format!("MEM-{}", drawn("callee's member", number))),
            format!("USR-{}", drawn("callee", number)),
            format!("vapi-user-{}", drawn("callee's name", number).simple()),
        );
        let name = format!("NAM-{}", drawn("name", number));
        let ended = after(starting, CONNECTED_MS + 20_000 + i64::from(number) * 37_000 % 600_000);
        Self::new(conversation_id(&format!("CON-{}", drawn("conversation", number))))
            .connected(starting, &name, &alice, &bob)
            .hung_up(after(starting, CONNECTED_MS), ended, &alice, &bob)
    }

    /// From the first ring to both talking.
    fn connected(self, start: Timestamp, name: &str, alice: &Party, bob: &Party) -> Self {
        let at = |milliseconds| after(start, milliseconds);
        self.leg(at(0), &alice.leg, &Status::Started)
            .leg(at(0), &alice.leg, &Status::Ringing)
            .created(at(1), name)
            .joined(at(206), &alice.participant)
            .asked_for_ncco(at(600), &alice.leg)
            .invited(at(902), &bob.participant)
            .noted(at(5_522))
            .leg(at(5_522), &bob.leg, &Status::Started)
            .leg(at(5_522), &bob.leg, &Status::Ringing)
            .joined(at(11_712), &bob.participant)
            .noted(at(11_716))
            .noted(at(11_719))
            .leg(at(11_719), &bob.leg, &Status::Answered)
            .joined(at(11_777), &alice.participant)
            .noted(at(11_780))
            .leg(at(CONNECTED_MS), &alice.leg, &Status::Answered)
    }

    /// From the callee's hanging up to the end.
    fn hung_up(self, answered: Timestamp, ended: Timestamp, alice: &Party, bob: &Party) -> Self {
        let completed = |network: &str, rate, side| {
            Status::Completed(Bill {
                answered: Some(whole_second(answered)),
                ended: whole_second(ended),
                network: network.to_owned(),
                rate,
                disconnected_by: Some(side),
            })
        };
        self.left(ended, &bob.participant.member_id)
            .leg(after(ended, 9), &bob.leg, &completed("GB-FIXED", OUTBOUND_RATE, "user"))
            .left(after(ended, 139), &alice.participant.member_id)
            .leg(after(ended, 150), &alice.leg, &completed("23410", INBOUND_RATE, "platform"))
    }
}

// === impl Party ===

impl Party {
    /// Somebody who calls. Vonage names such a user after its id.
    fn caller(leg: Leg, member_id: MemberId, user_id: String) -> Self {
        let (from, to) = (Endpoint::phone(&leg.from), Endpoint::phone(&leg.to));
        let participant = Participant {
            member_id,
            name: user_id.clone(),
            user_id,
            display_name: None,
            invited_by: None,
            channel: Channel::inbound(leg.id.clone(), from, to),
        };
        Self { leg, participant }
    }

    /// Somebody who is dialled. Vonage's example gives such a member as invited by its own user.
    fn callee(leg: Leg, member_id: MemberId, user_id: String, name: String) -> Self {
        let (from, to) = (Endpoint::phone(&leg.from), Endpoint::phone(&leg.to));
        let participant = Participant {
            member_id,
            name,
            invited_by: Some(user_id.clone()),
            user_id,
            display_name: None,
            channel: Channel::outbound(leg.id.clone(), from, to),
        };
        Self { leg, participant }
    }

    fn alice() -> Self {
        Self::caller(
            Leg::inbound(leg_id("797168e24c19a3c45e74e05b10fef2b5"), "447700000001", "447700000002"),
            member_id("MEM-f44c872e-cba9-444f-88ae-0bfa630865a6"),
            "USR-33a51f4d-d06b-42f6-a525-90d2859ab9f6".to_owned(),
        )
    }

    /// Vonage's document names Alice's number where Bob's would belong; its webhooks name Bob's.
    fn bob() -> Self {
        let mut bob = Self::callee(
            Leg::outbound(leg_id("30cecc87-7ac9-4d03-910a-e9d69558263c"), "447700000003"),
            member_id("MEM-25ccda92-839d-4ac6-a7b2-de310224878b"),
            "USR-b9948493-be4a-4b36-bb4d-c96bcc2af85b".to_owned(),
            "vapi-user-f59c1ff26c0543fdb6c02fd30617a1c0".to_owned(),
        );
        bob.participant.channel.to = Endpoint::phone("447700000001");
        bob
    }
}

fn tutorial_time(time: &str) -> Timestamp {
    format!("2018-10-25T{time}Z").parse().expect("the tutorial's times are instants")
}

fn after(start: Timestamp, milliseconds: i64) -> Timestamp {
    start + SignedDuration::from_millis(milliseconds)
}

fn whole_second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).expect("a valid instant stays valid when cut")
}

/// An id that looks drawn by lot and is the same each time.
fn drawn(what: &str, number: u32) -> Uuid {
    let digest = Sha256::digest(format!("{what} {number}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

fn conversation_id(text: &str) -> ConversationId {
    ConversationId::parse(text).expect("a script's ids are ids")
}

fn member_id(text: &str) -> MemberId {
    MemberId::parse(text).expect("a script's ids are ids")
}

fn leg_id(text: &str) -> LegId {
    LegId::parse(text).expect("a script's ids are ids")
}
