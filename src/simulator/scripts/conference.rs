//! Calls in which legs go from one conversation to another.

use jiff::Timestamp;

use super::Cast;
use super::cast::Party;
use super::cast::after;
use super::connected::CONNECTED_MS;
use super::connected::length_ms;
use crate::domain::ids::ConversationId;
use crate::simulator::call::Call;
use crate::simulator::event::Note;
use crate::simulator::leg::Status;

/// How long after the first ring a caller is in the conference.
const ARRIVED_MS: i64 = 1_480;

impl Call {
    /// Three people call and meet in a named conversation: one comes late, and whoever came first leaves
    /// first. Each begins in a conversation of their own, which ends when they go over.
    #[must_use]
    pub fn conference(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let room = cast.conversation("room");
        let at = |milliseconds| after(starting, milliseconds);
        let callers = [("first", 0), ("second", 6_000), ("third", 48_000)];
        let mut call = Self::new(cast.conversation("first's conversation"));
        let mut arrived = Vec::new();
        for (place, (who, milliseconds)) in (0..).zip(callers) {
            let party = cast.caller(who, cast.mobile(place));
            call = call.arrives(cast, at(milliseconds), (who, &party), &room);
            arrived.push((at(milliseconds + ARRIVED_MS), cast.elsewhere(who, &party)));
        }
        let ended = 52_000 + length_ms(number);
        for ((answered, party), milliseconds) in arrived.iter().zip([0, 15_000, 15_420]) {
            call = call.ended_alone(*answered, at(ended + milliseconds), party, "user");
        }
        call
    }

    /// Somebody calls and talks to a second person, then is put through to a third one in another conversation.
    #[must_use]
    pub fn moved(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let (alice, bob) = (cast.caller("caller", cast.mobile(0)), cast.callee("callee", cast.landline()));
        let expert = cast.callee("expert", cast.mobile(2));
        let moved = cast.elsewhere("caller", &alice);
        let (first, second) = (cast.conversation("conversation"), cast.conversation("second conversation"));
        let at = |milliseconds| after(starting, CONNECTED_MS + milliseconds);
        let ended = at(40_000 + length_ms(number));
        Self::new(first.clone())
            .connected(starting, &cast.name("name"), &alice, &bob)
            .elsewhere(&second)
            .created(at(20_000), cast.name("second name"))
            .elsewhere(&first)
            .transferred(at(20_011), (&alice.participant, &moved.participant), &second)
            .noted(at(20_030), Note::media(&moved.participant))
            .elsewhere(&first)
            .ended_alone(at(0), at(20_700), &bob, "platform")
            .elsewhere(&second)
            .invited(at(21_100), &expert.participant)
            .noted(at(22_900), Note::ringing(&expert.participant))
            .leg(at(22_900), &expert.leg, &Status::Started)
            .leg(at(22_900), &expert.leg, &Status::Ringing)
            .taken(at(29_300), &expert)
            .ended_alone(at(0), ended, &moved, "user")
            .ended_alone(at(29_307), after(ended, 130), &expert, "platform")
    }

    /// Somebody calls, is answered and goes over to the room, which comes into being with the first.
    fn arrives(
        self,
        cast: Cast,
        start: Timestamp,
        (who, party): (&str, &Party),
        room: &ConversationId,
    ) -> Self {
        let at = |milliseconds| after(start, milliseconds);
        let inside = cast.elsewhere(who, party);
        self.elsewhere(&cast.conversation(&format!("{who}'s conversation")))
            .comes_in(start, &cast.name(who), party)
            .noted(at(1_100), Note::answered(&party.participant))
            .leg(at(1_110), &party.leg, &Status::Answered)
            .elsewhere(room)
            .named(at(1_460), format!("support-room-{}", cast.0))
            .elsewhere(&cast.conversation(&format!("{who}'s conversation")))
            .transferred(at(ARRIVED_MS), (&party.participant, &inside.participant), room)
            .noted(at(ARRIVED_MS + 4), Note::media(&inside.participant))
    }
}
