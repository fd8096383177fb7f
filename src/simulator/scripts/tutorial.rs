//! The call of Vonage's tutorial, id for id and moment for moment.

use jiff::Timestamp;

use super::cast::Party;
use super::cast::conversation_id;
use super::cast::leg_id;
use super::cast::member_id;
use crate::simulator::call::Call;
use crate::simulator::event::Note;
use crate::simulator::leg::Bill;
use crate::simulator::leg::Leg;
use crate::simulator::leg::Status;
use crate::simulator::member::Endpoint;

impl Call {
    /// The call of Vonage's tutorial: Alice calls, Bob is dialled, they talk for five minutes.
    #[must_use]
    pub fn tutorial() -> Self {
        let (alice, bob) = (alice(), bob());
        let at = time;
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
            .noted(at("09:26:24.384"), Note::ringing(&bob.participant))
            .leg(at("09:26:24.384"), &bob.leg, &Status::Started)
            .leg(at("09:26:24.384"), &bob.leg, &Status::Ringing)
            .joined(at("09:26:30.270"), &bob.participant)
            .noted(at("09:26:30.274"), Note::media(&bob.participant))
            .noted(at("09:26:30.277"), Note::answered(&bob.participant))
            .leg(at("09:26:30.277"), &bob.leg, &Status::Answered)
            .joined(at("09:26:30.334"), &alice.participant)
            .noted(at("09:26:30.337"), Note::media(&alice.participant))
            .leg(at("09:26:30.340"), &alice.leg, &Status::Answered)
            .leg_ended(end, &alice.leg.id)
            .leg_ended(end, &bob.leg.id)
            .leg(end, &alice.leg, &Status::Completed(bill(450_000)))
            .leg(end, &bob.leg, &Status::Completed(bill(2_400_000)))
    }
}

fn alice() -> Party {
    Party::caller(
        Leg::inbound(leg_id("797168e24c19a3c45e74e05b10fef2b5"), "447700000001", "447700000002"),
        member_id("MEM-f44c872e-cba9-444f-88ae-0bfa630865a6"),
        "USR-33a51f4d-d06b-42f6-a525-90d2859ab9f6".to_owned(),
    )
}

/// Vonage's document names Alice's number where Bob's would belong; its webhooks name Bob's.
fn bob() -> Party {
    let mut bob = Party::callee(
        Leg::outbound(leg_id("30cecc87-7ac9-4d03-910a-e9d69558263c"), "447700000003"),
        member_id("MEM-25ccda92-839d-4ac6-a7b2-de310224878b"),
        "USR-b9948493-be4a-4b36-bb4d-c96bcc2af85b".to_owned(),
        "vapi-user-f59c1ff26c0543fdb6c02fd30617a1c0".to_owned(),
    );
    bob.participant.channel.to = Endpoint::phone("447700000001");
    bob
}

fn time(time: &str) -> Timestamp {
    format!("2018-10-25T{time}Z").parse().expect("the tutorial's times are instants")
}
