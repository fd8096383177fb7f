//! Keeps requests to Vonage under a rate, whoever asks, and lets the most urgent go first.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::fetch::Urgency;

/// The window in which at most `limit` requests begin. A second, and what a request may be held up on its
/// way: requests that are counted at the other end must not bunch up to more than the limit there. What
/// differs by more on the way, such as a connection that has to be made first, cannot be known here.
const WINDOW: Duration = Duration::from_millis(1_050);

/// At most so many requests a second. A new call needs several at once and then none for a while, so a
/// window that slides is used and not an even drip (as a token bucket without a burst would give; one with
/// a burst would let twice the limit pass within one second).
#[derive(Debug)]
pub struct Pace {
    limit: AtomicUsize,
    /// A std mutex: never held across an await.
    turns: Mutex<Turns>,
    /// Tells those who wait that it may be different now: one of them has gone, or a request has begun.
    changed: Notify,
}

/// A place in the queue: urgency, and then the order of asking.
type Ticket = (Urgency, u64);

#[derive(Debug, Default)]
struct Turns {
    /// When the last requests began, the oldest first: at most `limit` of them.
    begun: VecDeque<Instant>,
    /// The turns that were given and whose requests have yet to begin.
    given: usize,
    waiting: BTreeSet<Ticket>,
    asked: u64,
}

/// Whether somebody who waits may go.
enum Answer {
    Go,
    /// The first in the queue, but not before this instant.
    NotBefore(Instant),
    /// Others are to go before, or to begin.
    Queue,
}

impl Pace {
    /// A pace of `limit` requests a second.
    #[must_use]
    pub fn new(limit: NonZeroU32) -> Self {
        Self { limit: AtomicUsize::new(whole(limit)), turns: Mutex::default(), changed: Notify::new() }
    }

    /// Keeps to another limit from now on.
    pub fn set_limit(&self, limit: NonZeroU32) {
        self.limit.store(whole(limit), Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Returns when a request may be sent: a free turn goes to the most urgent who waits, and among equals to
    /// whoever asked first. Who stops waiting has taken nothing.
    pub async fn turn(&self, urgency: Urgency) -> Turn<'_> {
        self.wait(urgency, |turns| turns.given += 1).await;
        Turn(self)
    }

    /// Returns when a request of this urgency could be sent, and takes nothing: for those who have yet to find
    /// out what to ask.
    pub async fn ready(&self, urgency: Urgency) {
        self.wait(urgency, |_| {}).await;
    }

    async fn wait(&self, urgency: Urgency, go: impl Fn(&mut Turns)) {
        let waiter = Waiter::new(self, urgency);
        loop {
            // Made before the question is asked, so that nobody can go unnoticed in between.
            let changed = self.changed.notified();
            let answer = {
                let mut turns = self.turns();
                let answer = turns.answer(waiter.ticket, self.limit());
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
                        () = changed => {}
                    }
                }
                Answer::Queue => changed.await,
            }
        }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    fn answer(&self, ticket: Ticket, limit: usize) -> Answer {
        if self.waiting.first() == Some(&ticket) { self.room(limit) } else { Answer::Queue }
    }

    /// Whether a turn can be given to the first in the queue: when enough of the last requests have left the window. Those that have yet to begin will be in it.
    fn room(&self, limit: usize) -> Answer {
        if self.given >= limit {
            return Answer::Queue;
        }
        let to_leave = (self.begun.len() + self.given).checked_sub(limit);
        let window = to_leave.and_then(|last| self.begun.get(last)).map(|begun| *begun + WINDOW);
        let opens = window.filter(|opens| *opens > Instant::now());
        opens.map_or(Answer::Go, Answer::NotBefore)
    }

    fn begin(&mut self, limit: usize) {
        self.given -= 1;
        while self.begun.len() >= limit {
            self.begun.pop_front();
        }
        self.begun.push_back(Instant::now());
    }
}

fn whole(limit: NonZeroU32) -> usize {
    usize::try_from(limit.get()).unwrap_or(usize::MAX)
}

/// A turn that was given. Its request counts from when this is dropped, so that what it takes to make one ready
/// does not bring it nearer to later ones.
#[derive(Debug)]
pub struct Turn<'a>(&'a Pace);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turns().begin(self.0.limit());
        self.0.changed.notify_waiters();
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
        self.pace.changed.notify_waiters();
    }
}
