//! Calls in which somebody is reached.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Cast;
use super::cast::Party;
use super::cast::after;
use crate::simulator::call::Call;
use crate::simulator::event::Note;
use crate::simulator::leg::Detection;
use crate::simulator::leg::Status;
use crate::simulator::member::Endpoint;

/// How long after the first ring both parties of a call can talk.
pub(super) const CONNECTED_MS: i64 = 11_784;

impl Call {
    /// Somebody calls, a second person is dialled, both talk for a while.
    #[must_use]
    pub fn inbound(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let callee = cast.callee("callee", cast.landline());
        Self::of_two(cast, starting, &cast.caller("caller", cast.mobile(0)), &callee)
    }

    /// A user of the Client SDK calls from an app, and somebody is dialled.
    #[must_use]
    pub fn from_app(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let user = format!("alice.smith.{number}");
        let callee = cast.callee("callee", cast.landline());
        Self::of_two(cast, starting, &cast.caller("caller", Endpoint::app(user)), &callee)
    }

    /// Somebody calls, and is connected to a SIP address for which Vonage was given a password.
    #[must_use]
    pub fn to_sip(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let agent = Endpoint::Sip {
            uri: format!("sip:agent{number}@sip.example.net"),
            username: Some(format!("agent{number}")),
            password: Some("not-a-real-password".to_owned()),
            headers: BTreeMap::from([("X-Customer-Ref".to_owned(), format!("ACC-{number}"))]),
        };
        let callee = cast.callee("callee", agent);
        Self::of_two(cast, starting, &cast.caller("caller", cast.mobile(0)), &callee)
    }

    /// The application has somebody called, who answers and hears something.
    #[must_use]
    pub fn outbound(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let callee = cast.dialled("callee", cast.mobile(1));
        let ended = after(starting, 9_000 + length_ms(number));
        Self::new(cast.conversation("conversation"))
            .dialled(starting, &cast.name("name"), &callee)
            .taken(after(starting, 8_100), &callee)
            .asked_for_ncco(after(starting, 8_290), &callee.leg)
            .ended_alone(after(starting, 8_110), ended, &callee, "user")
    }

    /// The application has somebody called with machine detection, and a machine answers.
    #[must_use]
    pub fn voicemail(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let mut callee = cast.dialled("callee", cast.mobile(1));
        if let Some(dialling) = &mut callee.participant.channel.dialling {
            dialling.cpa = true;
        }
        let at = |milliseconds| after(starting, milliseconds);
        Self::new(cast.conversation("conversation"))
            .dialled(starting, &cast.name("name"), &callee)
            .taken(at(14_200), &callee)
            .asked_for_ncco(at(14_390), &callee.leg)
            .noted(at(17_503), Note::machine(&callee.participant))
            .detected(at(17_503), &callee.leg, Detection::Machine)
            .detected(at(24_118), &callee.leg, Detection::Beep)
            .ended_alone(at(14_210), at(39_700), &callee, "platform")
    }

    fn of_two(cast: Cast, start: Timestamp, alice: &Party, bob: &Party) -> Self {
        let ended = after(start, CONNECTED_MS + length_ms(cast.0));
        Self::new(cast.conversation("conversation")).connected(start, &cast.name("name"), alice, bob).hung_up(
            after(start, CONNECTED_MS),
            ended,
            alice,
            bob,
        )
    }

    /// From the first ring to both talking.
    pub(super) fn connected(self, start: Timestamp, name: &str, alice: &Party, bob: &Party) -> Self {
        let at = |milliseconds| after(start, milliseconds);
        self.comes_in(start, name, alice)
            .invited(at(902), &bob.participant)
            .noted(at(5_522), Note::ringing(&bob.participant))
            .leg(at(5_522), &bob.leg, &Status::Started)
            .leg(at(5_522), &bob.leg, &Status::Ringing)
            .taken(at(11_712), bob)
            .joined(at(11_777), &alice.participant)
            .noted(at(11_780), Note::media(&alice.participant))
            .leg(at(CONNECTED_MS), &alice.leg, &Status::Answered)
    }

    /// From the first ring to the application's being asked what to do.
    pub(super) fn comes_in(self, start: Timestamp, name: &str, alice: &Party) -> Self {
        let at = |milliseconds| after(start, milliseconds);
        self.leg(at(0), &alice.leg, &Status::Started)
            .leg(at(0), &alice.leg, &Status::Ringing)
            .created(at(1), name)
            .joined(at(206), &alice.participant)
            .asked_for_ncco(at(600), &alice.leg)
    }

    /// The application asks for a call, and it rings.
    pub(super) fn dialled(self, start: Timestamp, name: &str, bob: &Party) -> Self {
        let at = |milliseconds| after(start, milliseconds);
        self.created(start, name)
            .invited(at(31), &bob.participant)
            .leg(at(1_240), &bob.leg, &Status::Started)
            .noted(at(1_240), Note::ringing(&bob.participant))
            .leg(at(1_240), &bob.leg, &Status::Ringing)
    }

    /// Somebody who was dialled takes the call.
    pub(super) fn taken(self, start: Timestamp, bob: &Party) -> Self {
        let at = |milliseconds| after(start, milliseconds);
        self.joined(at(0), &bob.participant)
            .noted(at(4), Note::media(&bob.participant))
            .noted(at(7), Note::answered(&bob.participant))
            .leg(at(7), &bob.leg, &Status::Answered)
    }

    /// From the callee's hanging up to the end.
    pub(super) fn hung_up(self, answered: Timestamp, ended: Timestamp, alice: &Party, bob: &Party) -> Self {
        self.ended_alone(answered, ended, bob, "user").ended_alone(
            answered,
            after(ended, 139),
            alice,
            "platform",
        )
    }

    /// Somebody leaves, and their leg is over.
    pub(super) fn ended_alone(
        self,
        answered: Timestamp,
        ended: Timestamp,
        party: &Party,
        side: &'static str,
    ) -> Self {
        self.left(ended, &party.participant.member_id).leg(
            after(ended, 9),
            &party.leg,
            &party.completed(answered, ended, side),
        )
    }
}

/// For how long people talk: from 20 seconds to ten minutes.
pub(super) fn length_ms(number: u32) -> i64 {
    20_000 + i64::from(number) * 37_000 % 600_000
}
