//! Keeps requests to Vonage under a rate, whoever asks.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The window in which at most `limit` requests begin. A second, and what a request may be held up on its
/// way: requests that are counted at the other end must not bunch up to more than the limit there.
const WINDOW: Duration = Duration::from_millis(1_050);

/// At most so many requests a second. A new call needs several at once and then none for a while, so a
/// window that slides is used and not an even drip (as a token bucket without a burst would give; one with
/// a burst would let twice the limit pass within one second).
#[derive(Debug)]
pub struct Pace {
    limit: usize,
    /// An async mutex: whoever waits for a turn holds it, so turns are given in the order of asking.
    turns: Mutex<VecDeque<Instant>>,
    /// A std mutex: never held across an await.
    paused_until: std::sync::Mutex<Option<Instant>>,
}

impl Pace {
    /// A pace of `limit` requests a second.
    #[must_use]
    pub fn new(limit: NonZeroU32) -> Self {
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        Self { limit, turns: Mutex::default(), paused_until: std::sync::Mutex::default() }
    }

    /// Returns when a request may be sent.
    pub async fn turn(&self) {
        let mut given = self.turns.lock().await;
        // A pause may be asked for while this waits for the window to pass, so both are looked at again.
        while let Some(until) = self.pause().max(self.window_opens(&given)) {
            tokio::time::sleep_until(until).await;
        }
        if given.len() >= self.limit {
            given.pop_front();
        }
        given.push_back(Instant::now());
    }

    /// Lets nobody have a turn for the time `pause`: Vonage said that it is too much.
    pub fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut paused = self.paused_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *paused = paused.map_or(Some(until), |present| Some(present.max(until)));
    }

    /// When the oldest of the last `limit` turns leaves the window, if that is still to come.
    fn window_opens(&self, given: &VecDeque<Instant>) -> Option<Instant> {
        let oldest = given.front().filter(|_| given.len() >= self.limit)?;
        Some(*oldest + WINDOW).filter(|opens| *opens > Instant::now())
    }

    fn pause(&self) -> Option<Instant> {
        let mut paused = self.paused_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *paused = paused.filter(|until| *until > Instant::now());
        *paused
    }
}
