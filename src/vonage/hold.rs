//! What Vonage's rate limit (429) stops, and for how long: one API, as one application asks it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

/// The longest `Retry-After` that is believed. After it one request probes whether Vonage answers again: a header that
/// asks for an hour must not cost the calls of an hour.
pub const LONGEST_HOLD: SignedDuration = SignedDuration::from_mins(1);

/// How soon others may ask again that come while a request probes.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// An API with a rate limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// Conversations, their members and events.
    Conversations,
    /// The Voice API's list of calls.
    Calls,
}

/// Holds back the requests to one API after a 429.
#[derive(Debug, Default)]
pub(super) struct Hold(Mutex<State>);

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Everybody may ask.
    #[default]
    Open,
    /// Nobody may ask before this instant, and then one.
    Until(Instant),
    /// One asks, to find out.
    Probing,
}

impl Hold {
    /// Lets a request go.
    ///
    /// # Errors
    /// While requests are held back: how long to wait at least.
    pub(super) fn admit(&self) -> Result<Admission<'_>, Duration> {
        let mut state = self.state();
        match *state {
            State::Open => Ok(Admission { hold: self, is_probe: false }),
            State::Probing => Err(PROBE_PAUSE),
            State::Until(until) => match until.checked_duration_since(Instant::now()) {
                Some(rest) if !rest.is_zero() => Err(rest),
                _ => {
                    *state = State::Probing;
                    Ok(Admission { hold: self, is_probe: true })
                }
            },
        }
    }

    /// How long requests are still held back, if they are.
    pub(super) fn held_back(&self) -> Option<Duration> {
        match *self.state() {
            State::Open => None,
            State::Probing => Some(PROBE_PAUSE),
            State::Until(until) => {
                until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that was let go.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    hold: &'a Hold,
    is_probe: bool,
}

impl Admission<'_> {
    /// Vonage answered 429. Returns for how long requests are held back now.
    pub(super) fn throttled(mut self, retry_after: Duration) -> Duration {
        self.is_probe = false;
        let pause = retry_after.min(LONGEST_HOLD.unsigned_abs());
        let until = Instant::now() + pause;
        let mut state = self.hold.state();
        *state = match *state {
            // A shorter pause takes nothing away from a longer one.
            State::Until(later) if later > until => State::Until(later),
            _ => State::Until(until),
        };
        pause
    }

    /// Vonage answered, and otherwise. Only a probe shows that the hold is over: others may have gone before it began.
    pub(super) fn answered(mut self) {
        if std::mem::take(&mut self.is_probe) {
            *self.hold.state() = State::Open;
        }
    }
}

impl Drop for Admission<'_> {
    /// A probe that came to nothing leaves the place to the next.
    fn drop(&mut self) {
        if self.is_probe {
            *self.hold.state() = State::Until(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_believed_for_a_minute_and_then_probed_by_one() {
        let hold = Hold::default();
        let longest = LONGEST_HOLD.unsigned_abs();
        assert_eq!(hold.admit().unwrap().throttled(Duration::from_hours(1)), longest);
        assert_eq!(hold.admit().unwrap_err(), longest);
        tokio::time::advance(longest).await;
        let probe = hold.admit().unwrap();
        assert_eq!(hold.admit().unwrap_err(), PROBE_PAUSE, "one is enough to find out");
        assert_eq!(probe.throttled(Duration::from_secs(5)), Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(hold.admit().unwrap());
        let probe = hold.admit().expect("the one before came to nothing");
        probe.answered();
        let both = (hold.admit().unwrap(), hold.admit().unwrap());
        both.0.answered();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_an_earlier_request_ends_no_hold_and_a_short_one_shortens_none() {
        let hold = Hold::default();
        let (earlier, first, second) = (hold.admit().unwrap(), hold.admit().unwrap(), hold.admit().unwrap());
        first.throttled(Duration::from_secs(30));
        second.throttled(Duration::from_secs(1));
        earlier.answered();
        assert_eq!(hold.admit().unwrap_err(), Duration::from_secs(30));
    }
}
