//! Keeps requests to Vonage under a rate, whoever asks, and lets the most urgent go first.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::fetch::Urgency;

/// The window in which at most `limit` requests begin. A second, and what a request may be held up on its
/// way: requests that are counted at the other end must not bunch up to more than the limit there.
const WINDOW: Duration = Duration::from_millis(1_050);

/// At most so many requests a second. A new call needs several at once and then none for a while, so a
/// window that slides is used and not an even drip (as a token bucket without a burst would give; one with
/// a burst would let twice the limit pass within one second).
#[derive(Debug)]
pub struct Pace {
    limit: usize,
    /// A std mutex: never held across an await.
    turns: Mutex<Turns>,
    /// Tells those who wait that one of them has gone: another may be the first now.
    gone: Notify,
}

/// A place in the queue: urgency, and then the order of asking.
type Ticket = (Urgency, u64);

#[derive(Debug, Default)]
struct Turns {
    /// When the last turns were given: at most `limit` of them.
    given: VecDeque<Instant>,
    paused_until: Option<Instant>,
    waiting: BTreeSet<Ticket>,
    claims: u32,
    asked: u64,
}

/// Whether somebody who waits may go.
enum Answer {
    Go,
    /// The first in the queue, but not before this instant.
    NotBefore(Instant),
    /// Others are to go before.
    Queue,
}

impl Pace {
    /// A pace of `limit` requests a second.
    #[must_use]
    pub fn new(limit: NonZeroU32) -> Self {
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        Self { limit, turns: Mutex::default(), gone: Notify::new() }
    }

    /// Returns when a request may be sent: a free turn goes to the most urgent who waits, and among equals to
    /// whoever asked first. Who stops waiting has taken nothing.
    pub async fn turn(&self, urgency: Urgency) {
        self.wait(urgency, |turns| turns.give(self.limit)).await;
    }

    /// Returns when a request of this urgency could be sent, and takes nothing: for those who have yet to find
    /// out what to ask. Counted is when a request goes, which must not be long after its turn.
    pub async fn ready(&self, urgency: Urgency) {
        self.wait(urgency, |_| {}).await;
    }

    async fn wait(&self, urgency: Urgency, go: impl Fn(&mut Turns)) {
        let waiter = Waiter::new(self, urgency);
        loop {
            // Made before the question is asked, so that nobody can go unnoticed in between.
            let gone = self.gone.notified();
            let answer = {
                let mut turns = self.turns();
                let answer = turns.answer(waiter.ticket, self.limit);
                if matches!(answer, Answer::Go) {
                    go(&mut turns);
                }
                answer
            };
            match answer {
                Answer::Go => return,
                Answer::NotBefore(until) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = gone => {}
                    }
                }
                Answer::Queue => gone.await,
            }
        }
    }

    /// Leaves nothing to spare until it is dropped: there is work that has not asked for its turns yet.
    #[must_use]
    pub fn claim(&self) -> Claim<'_> {
        self.turns().claims += 1;
        Claim(self)
    }

    /// Takes a turn if one is free at once and nobody waits for it. Otherwise takes nothing.
    pub fn spare(&self) -> bool {
        let mut turns = self.turns();
        let free = turns.waiting.is_empty() && turns.claims == 0 && turns.opens(self.limit).is_none();
        if free {
            turns.give(self.limit);
        }
        free
    }

    /// Lets nobody have a turn for the time `pause`, whoever waits already included: Vonage said that it is
    /// too much.
    pub fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut turns = self.turns();
        turns.paused_until = turns.paused_until.max(Some(until));
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn answer(&self, ticket: Ticket, limit: usize) -> Answer {
        if self.waiting.first() != Some(&ticket) {
            return Answer::Queue;
        }
        if let Some(until) = self.opens(limit) {
            return Answer::NotBefore(until);
        }
        Answer::Go
    }

    /// When a turn can be given, if that is still to come: after the pause, and when the oldest of the last
    /// `limit` turns has left the window.
    fn opens(&self, limit: usize) -> Option<Instant> {
        let oldest = self.given.front().filter(|_| self.given.len() >= limit);
        let window = oldest.map(|oldest| *oldest + WINDOW);
        self.paused_until.max(window).filter(|opens| *opens > Instant::now())
    }

    fn give(&mut self, limit: usize) {
        if self.given.len() >= limit {
            self.given.pop_front();
        }
        self.given.push_back(Instant::now());
    }
}

/// Work that has not asked for its turns yet.
#[derive(Debug)]
pub struct Claim<'a>(&'a Pace);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.turns().claims -= 1;
    }
}

/// Somebody in the queue, until dropped.
struct Waiter<'a> {
    pace: &'a Pace,
    ticket: Ticket,
}

impl<'a> Waiter<'a> {
    fn new(pace: &'a Pace, urgency: Urgency) -> Self {
        let mut turns = pace.turns();
        turns.asked += 1;
        let ticket = (urgency, turns.asked);
        turns.waiting.insert(ticket);
        Self { pace, ticket }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.pace.turns().waiting.remove(&self.ticket);
        self.pace.gone.notify_waiters();
    }
}
