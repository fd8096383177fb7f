//! What time it is, as a thing that tests can set.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// By how much the clock has to differ from the time that has passed for somebody to have set it: what is less is the
/// clock being brought into step slowly.
pub const CLOCK_STEP: SignedDuration = SignedDuration::from_secs(2);

/// Tells the time. Everything that stores or compares an instant is given one.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present instant, UTC, cut to microseconds: the precision of the store.
    fn now(&self) -> Timestamp;

    /// How long it is since some fixed instant, however often the machine's clock is set meanwhile: what durations are
    /// measured by.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn now(&self) -> Timestamp {
        to_microseconds(Timestamp::now())
    }

    fn monotonic(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed()
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock {
    /// Microseconds since 1970.
    now: AtomicI64,
    /// Microseconds that have passed.
    passed: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { now: AtomicI64::new(start.as_microsecond()), passed: AtomicI64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: SignedDuration) {
        self.passed.fetch_add(microseconds(by), Ordering::SeqCst);
        self.set(by);
    }

    /// Sets the clock forward or back by `by` while no time passes.
    pub fn set(&self, by: SignedDuration) {
        self.now.fetch_add(microseconds(by), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let now = self.now.load(Ordering::SeqCst);
        Timestamp::from_microsecond(now).expect("a test stays within jiff's range")
    }

    fn monotonic(&self) -> Duration {
        let passed = self.passed.load(Ordering::SeqCst);
        Duration::from_micros(u64::try_from(passed).expect("time does not go back"))
    }
}

fn microseconds(by: SignedDuration) -> i64 {
    i64::try_from(by.as_micros()).expect("a test moves the clock by less than 292,000 years")
}

fn to_microseconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_microsecond()).expect("a valid instant stays valid when cut")
}
