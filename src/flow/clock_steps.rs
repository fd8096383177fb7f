//! Notices that the machine's clock was set, and tells how much time has passed all the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::clock::{CLOCK_STEP, Clock};

/// Steps that are remembered: a clock that is set more often than this cannot be relied on for anything.
const MAX_STEPS: usize = 256;

/// The steps of the machine's clock since the start.
#[derive(Debug)]
pub struct ClockSteps {
    clock: Arc<dyn Clock>,
    /// A std mutex: never held across an await.
    noticed: Mutex<Noticed>,
}

#[derive(Debug)]
struct Noticed {
    /// What the clock said at a time that has passed: from then on both go on together, unless the clock is set.
    reckoned: (Timestamp, Duration),
    /// The times between two steps, the last of which goes on.
    stretches: Vec<Stretch>,
    unrecorded: Vec<ClockStep>,
}

/// A time in which the clock was not set.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// What the clock said at its beginning.
    from: Timestamp,
    /// When that was, in time that has passed.
    began: Duration,
}

/// The clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// What it would have said otherwise.
    pub from: Timestamp,
    /// What it said.
    pub to: Timestamp,
}

impl ClockSteps {
    /// Begins to compare.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (now, passed) = (clock.now(), clock.monotonic());
        let stretches = vec![Stretch { from: now, began: passed }];
        let noticed = Noticed { reckoned: (now, passed), stretches, unrecorded: Vec::new() };
        Self { clock, noticed: Mutex::new(noticed) }
    }

    /// How much time has passed since the clock said `at`, also where it was set in between. Where it has said so more
    /// than once, since the last time. Never negative.
    #[must_use]
    pub fn since(&self, at: Timestamp) -> SignedDuration {
        let mut noticed = self.noticed();
        let passed = noticed.look(&*self.clock);
        let ends = noticed.stretches.iter().skip(1).map(|next| next.began).chain([passed]);
        let stretches = noticed.stretches.iter().zip(ends);
        let times = stretches.filter_map(|(stretch, end)| Some((stretch.time_of(at)?, end)));
        let told = times.clone().filter(|(time, end)| time <= end).map(|(time, _)| time).max();
        // What no stretch has told was stamped at the end of one, or before the start.
        let time = told.or_else(|| times.map(|(_, end)| end).max());
        let first = noticed.stretches[0];
        let elapsed = match time {
            Some(time) => passed.saturating_sub(time),
            None => first.from.duration_since(at).unsigned_abs() + passed.saturating_sub(first.began),
        };
        SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX)
    }

    /// The steps that are not yet marked as recorded.
    #[must_use]
    pub fn unrecorded(&self) -> Vec<ClockStep> {
        let mut noticed = self.noticed();
        noticed.look(&*self.clock);
        noticed.unrecorded.clone()
    }

    /// The first of these steps is in the store.
    pub fn mark_recorded(&self, step: ClockStep) {
        self.noticed().unrecorded.retain(|unrecorded| *unrecorded != step);
    }

    fn noticed(&self) -> MutexGuard<'_, Noticed> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noticed {
    /// Compares the clock with the time that has passed, and returns that.
    fn look(&mut self, clock: &dyn Clock) -> Duration {
        let (to, passed) = (clock.now(), clock.monotonic());
        let (at, then) = self.reckoned;
        let elapsed = SignedDuration::try_from(passed.saturating_sub(then)).unwrap_or(SignedDuration::MAX);
        let from = at.saturating_add(elapsed).unwrap_or(Timestamp::MAX);
        let step = ClockStep { from, to };
        let is_set = step.length().abs() >= CLOCK_STEP;
        if is_set {
            if self.stretches.len() >= MAX_STEPS {
                self.stretches.remove(0);
            }
            self.stretches.push(Stretch { from: to, began: passed });
            self.unrecorded.truncate(MAX_STEPS - 1);
            self.unrecorded.push(step);
        }
        // So that a clock that is brought into step slowly never adds up to a step.
        if is_set || elapsed >= CLOCK_STEP {
            self.reckoned = (to, passed);
        }
        passed
    }
}

impl Stretch {
    /// When the clock said `at`, if it did in this stretch or would have after it.
    fn time_of(self, at: Timestamp) -> Option<Duration> {
        let after = Duration::try_from(at.duration_since(self.from)).ok()?;
        Some(self.began.saturating_add(after))
    }
}

impl ClockStep {
    /// By how much it was set forward; negative where it was set back.
    #[must_use]
    pub fn length(self) -> SignedDuration {
        self.to.duration_since(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::ManualClock;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    #[test]
    fn time_passes_however_the_clock_is_set() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let steps = ClockSteps::new(Arc::<ManualClock>::clone(&clock));
        let at = clock.now();
        clock.advance(MINUTE);
        for (minutes, step) in (1..).zip([HOUR, -HOUR, -HOUR, HOUR * 48]) {
            clock.set(step);
            assert_eq!(steps.since(at), MINUTE * minutes, "{step}");
            clock.advance(MINUTE);
        }
        assert_eq!(steps.since(at), MINUTE * 5);
        let before = Timestamp::UNIX_EPOCH - HOUR * 3;
        assert_eq!(steps.since(before), HOUR * 3 + MINUTE * 5, "before the start");
        assert_eq!(steps.since(clock.now()), SignedDuration::ZERO);
        let unrecorded = steps.unrecorded();
        assert_eq!(unrecorded.iter().map(|step| step.length()).sum::<SignedDuration>(), HOUR * 47);
        steps.mark_recorded(unrecorded[0]);
        assert_eq!(steps.unrecorded().len(), 3);
    }

    #[test]
    fn a_clock_that_is_brought_into_step_slowly_is_not_set() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let steps = ClockSteps::new(Arc::<ManualClock>::clone(&clock));
        for _ in 0..1000 {
            clock.advance(SignedDuration::from_secs(2));
            clock.set(SignedDuration::from_millis(10));
            assert_eq!(steps.unrecorded(), []);
        }
    }
}
