//! After a look: what is kept, and when the next one is due. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::State;
use crate::domain::fetch::{
    FetchState, Finding, LONGEST_PAUSE as LONGEST_BACKOFF, LONGEST_SILENCE, Lease, Settlement, Trouble,
    Urgency, backoff,
};
use crate::domain::snapshot::Sighting;
use crate::vonage::client::{Failure, Look};
use crate::vonage::hold::LONGEST_HOLD;

/// How patiently conversations are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between two looks at a live conversation when nothing asks for one.
    pub poll_interval: SignedDuration,
    /// How long failures may last before a look is given up.
    pub give_up_after: SignedDuration,
}

/// What the decision depends on, beside the look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// Whether the conversation goes on, with what the look has shown.
    pub(super) state: State,
    /// When the look ended.
    pub(super) now: Timestamp,
    /// How long the looks before this one have failed.
    pub(super) failing_for: SignedDuration,
    /// How long nothing was heard of the conversation.
    pub(super) silent_for: SignedDuration,
    /// 0 to 1: how much of the longest pause to leave out.
    pub(super) jitter: f64,
}

impl Patience {
    /// The longest time that a look ever waits for. What is due later was put off by a clock that was set since.
    #[must_use]
    pub fn longest_pause(self) -> SignedDuration {
        [self.poll_interval, self.give_up_after, LONGEST_HOLD, LONGEST_BACKOFF]
            .into_iter()
            .max()
            .unwrap_or_default()
    }

    /// Ends the lease of a look.
    pub(super) fn settle(self, lease: &Lease, look: &Look, circumstances: Circumstances) -> Settlement {
        let finding = match look {
            Look::Seen { sighting, .. } | Look::Interrupted(sighting, _) => Finding::Seen(sighting.clone()),
            Look::Unchanged { at, .. } => Finding::Unchanged(*at),
            Look::Events(list) => Finding::Events(list.clone()),
            Look::NoEventList => Finding::NoEventList,
            _ => Finding::Nothing,
        };
        Settlement {
            conversation_id: lease.conversation_id.clone(),
            asked: lease.asked,
            finding,
            state: self.next(&lease.state, look, circumstances),
            settled_at: circumstances.now,
        }
    }

    fn next(self, before: &FetchState, look: &Look, circumstances: Circumstances) -> FetchState {
        let Circumstances { state, now, jitter, .. } = circumstances;
        let is_silent = circumstances.silent_for >= LONGEST_SILENCE;
        // Nothing follows a call that is longer than any.
        let state = if is_silent { State::Ended } else { state };
        let circumstances = Circumstances { state, ..circumstances };
        match look {
            Look::Seen { sighting: Sighting { region, .. }, has_more_events }
            | Look::Unchanged { region, has_more_events, .. } => {
                let before = FetchState { region: region.clone(), ..before.clone() };
                if *has_more_events { events(&before, now) } else { self.follow(&before, circumstances) }
            }
            // It goes on where it was cut: what was read is known.
            Look::Events(list) if !list.is_whole => events(before, now),
            Look::EventsUnread if state == State::Ended => self.without_events(before, circumstances),
            // What is left of the events is asked for after the next look.
            Look::Events(_) | Look::NoEventList | Look::EventsUnread => self.follow(before, circumstances),
            // After the end a 404 is what is to be expected, whether or not the conversation was ever seen.
            Look::Gone(at) => FetchState { gone_at: Some(*at), ..fresh(before) },
            Look::NotYet(at) if state == State::Ended => FetchState { gone_at: Some(*at), ..fresh(before) },
            Look::NotYet(_) => {
                self.failed(before, Trouble::NotYet, backoff(before.failures + 1, jitter), circumstances)
            }
            Look::NoApplication if is_silent => gave_up(before, Trouble::NoApplication, now),
            // Nothing changes before the configuration does, and that takes a restart.
            Look::NoApplication => {
                failing(before, Trouble::NoApplication, Some(now + self.give_up_after), now)
            }
            Look::Refused(_) if is_silent => gave_up(before, Trouble::Refused, now),
            Look::Refused(_) => {
                // Tried for as long as the call may last: only the operator can mend it.
                let due_at = Some(now + backoff(before.failures + 1, jitter));
                // Behind the looks of other applications, whose tokens are good.
                let next = failing(before, Trouble::Refused, due_at, now);
                FetchState { urgency: Urgency::Poll, ..next }
            }
            Look::Unreachable(Failure::Throttled(pause))
            | Look::Interrupted(_, Failure::Throttled(pause)) => {
                // Not all at the moment when the hold ends.
                let pause = *pause + backoff(before.failures + 1, jitter);
                self.failed(before, Trouble::Throttled, pause, circumstances)
            }
            Look::Unreachable(_) | Look::Interrupted(..) => {
                let pause = backoff(before.failures + 1, jitter);
                self.failed(before, Trouble::Unreachable, pause, circumstances)
            }
        }
    }

    /// A conversation that answers is looked at again for as long as it goes on.
    fn follow(self, before: &FetchState, circumstances: Circumstances) -> FetchState {
        let Circumstances { state, now, .. } = circumstances;
        let due_at = (state == State::Live).then(|| now + self.poll_interval);
        FetchState { due_at, ..fresh(before) }
    }

    /// No look follows that would ask for the event list again: it is asked for by itself until patience is over.
    /// The conversation is kept, so that nothing but its events is given up.
    fn without_events(self, before: &FetchState, circumstances: Circumstances) -> FetchState {
        let pause = backoff(before.failures + 1, circumstances.jitter);
        let next = self.failed(before, Trouble::Unreachable, pause, circumstances);
        if next.gave_up_at.is_some() {
            return fresh(before);
        }
        FetchState { urgency: Urgency::Events, ..next }
    }

    fn failed(
        self,
        before: &FetchState,
        trouble: Trouble,
        pause: SignedDuration,
        circumstances: Circumstances,
    ) -> FetchState {
        let Circumstances { now, failing_for, .. } = circumstances;
        if failing_for >= self.give_up_after {
            return gave_up(before, trouble, now);
        }
        failing(before, trouble, Some(now + pause), now)
    }
}

/// The event list at once, behind all that is more urgent: it tells what was before, and the conversation what is
/// now.
fn events(before: &FetchState, now: Timestamp) -> FetchState {
    FetchState { due_at: Some(now), urgency: Urgency::Events, ..fresh(before) }
}

/// Nothing owed, nothing failing.
fn fresh(before: &FetchState) -> FetchState {
    FetchState {
        application_id: before.application_id.clone(),
        region: before.region.clone(),
        ..FetchState::default()
    }
}

fn gave_up(before: &FetchState, trouble: Trouble, now: Timestamp) -> FetchState {
    FetchState { gave_up_at: Some(now), trouble: Some(trouble), ..fresh(before) }
}

fn failing(before: &FetchState, trouble: Trouble, due_at: Option<Timestamp>, now: Timestamp) -> FetchState {
    FetchState {
        due_at,
        failures: before.failures + 1,
        // As the clock said it then, also where it was set since: from that is told how long it has lasted.
        failing_since: before.failing_since.or(Some(now)),
        trouble: Some(trouble),
        // What was urgent still is.
        urgency: before.urgency,
        ..fresh(before)
    }
}
