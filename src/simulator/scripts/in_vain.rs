//! Calls in which nobody is reached. All but a rejected leg end with `completed` nevertheless.

use jiff::Timestamp;

use super::Cast;
use super::cast::Party;
use super::cast::after;
use crate::simulator::call::Call;
use crate::simulator::event::Note;
use crate::simulator::leg::Status;

impl Call {
    /// The application has somebody called who is in another call.
    #[must_use]
    pub fn busy(number: u32, starting: Timestamp) -> Self {
        Self::dialled_in_vain(number, starting, &[(4_630, Status::Busy)])
    }

    /// The application has somebody called, and it rings until it may no longer.
    #[must_use]
    pub fn unanswered(number: u32, starting: Timestamp) -> Self {
        let statuses = [(61_240, Status::Unanswered("timeout")), (61_264, Status::Timeout)];
        Self::dialled_in_vain(number, starting, &statuses)
    }

    /// The application has somebody called who refuses, or whose number may not be called.
    #[must_use]
    pub fn rejected(number: u32, starting: Timestamp) -> Self {
        let detail = if number.is_multiple_of(2) { "declined" } else { "restricted" };
        let cast = Cast(number);
        let callee = cast.dialled("callee", cast.mobile(1));
        Self::new(cast.conversation("conversation")).dialled(starting, &cast.name("name"), &callee).leg(
            after(starting, 3_002),
            &callee.leg,
            &Status::Rejected(detail),
        )
    }

    /// The application has a number called that leads nowhere: it never rings.
    #[must_use]
    pub fn failed(number: u32, starting: Timestamp) -> Self {
        let detail = if number.is_multiple_of(2) { "cannot_route" } else { "number_out_of_service" };
        let cast = Cast(number);
        let callee = cast.dialled("callee", cast.mobile(1));
        let at = |milliseconds| after(starting, milliseconds);
        Self::new(cast.conversation("conversation"))
            .created(starting, cast.name("name"))
            .invited(at(31), &callee.participant)
            .leg(at(1_240), &callee.leg, &Status::Started)
            .leg(at(2_744), &callee.leg, &Status::Failed(detail))
            .leg(at(2_760), &callee.leg, &callee.completed_in_vain(at(2_744)))
    }

    /// Somebody calls, and hangs up while the second person's phone rings.
    #[must_use]
    pub fn cancelled(number: u32, starting: Timestamp) -> Self {
        let cast = Cast(number);
        let (alice, bob) = (cast.caller("caller", cast.mobile(0)), cast.callee("callee", cast.landline()));
        let at = |milliseconds| after(starting, milliseconds);
        Self::new(cast.conversation("conversation"))
            .comes_in(starting, &cast.name("name"), &alice)
            .invited(at(902), &bob.participant)
            .noted(at(5_522), Note::ringing(&bob.participant))
            .leg(at(5_522), &bob.leg, &Status::Started)
            .leg(at(5_522), &bob.leg, &Status::Ringing)
            .left(at(16_860), &alice.participant.member_id)
            .leg(at(16_888), &bob.leg, &Status::Cancelled)
            .leg(at(16_902), &bob.leg, &bob.completed_in_vain(at(16_888)))
            .leg(at(16_940), &alice.leg, &alice.completed_in_vain(at(16_860)))
    }

    /// It rings, and then comes to nothing in one way or in several.
    fn dialled_in_vain(number: u32, start: Timestamp, statuses: &[(i64, Status)]) -> Self {
        let cast = Cast(number);
        let callee: Party = cast.dialled("callee", cast.mobile(1));
        let mut call =
            Self::new(cast.conversation("conversation")).dialled(start, &cast.name("name"), &callee);
        let mut ended = start;
        for (milliseconds, status) in statuses {
            ended = after(start, *milliseconds);
            call = call.leg(ended, &callee.leg, status);
        }
        call.leg(after(ended, 12), &callee.leg, &callee.completed_in_vain(ended))
    }
}
