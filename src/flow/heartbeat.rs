//! Notes that the daemon runs, so that the next one knows since when nobody saw anything; and tells the store
//! of other times in which something could not be seen.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::clock_steps::ClockSteps;
use super::outage::Outages;
use super::stall::Stalls;
use crate::domain::clock::{CLOCK_STEP, Clock};
use crate::domain::gap::{Cause, SHORTEST};
use crate::store::{Store, StoreError};

/// Between two beats: how much too long the gap that a crash leaves may be. Each is a flush to disk.
const BEAT: SignedDuration = SignedDuration::from_secs(5);

/// The longest sleep: how soon it is noticed that the machine's clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What a heartbeat works with.
#[derive(Debug)]
pub struct Parts {
    /// Where it beats.
    pub store: Arc<dyn Store>,
    /// Tells the time, and may be set.
    pub clock: Arc<dyn Clock>,
    /// What Vonage does not answer.
    pub outages: Arc<Outages>,
    /// What the store does not do.
    pub stalls: Arc<Stalls>,
    /// What was done to the clock.
    pub clock_steps: Arc<ClockSteps>,
    /// Wakes it.
    pub wake: Wake,
    /// Wakes who fetches.
    pub fetcher: Wake,
    /// When the process began.
    pub started_at: Timestamp,
    /// The longest that a fetch may have to wait.
    pub longest_pause: SignedDuration,
}

/// Beats.
#[derive(Debug)]
pub struct Heartbeat {
    parts: Parts,
    next_beat: Timestamp,
    /// A failure is logged once until it is over.
    is_failing: bool,
}

impl Heartbeat {
    /// Beats for the first time. The time since a predecessor's last beat becomes a gap, unless it is shorter
    /// than [`SHORTEST`]: a crash leaves one that is up to a beat too long and never one that is too short,
    /// and a restart leaves one too, since Vonage may have given up a webhook meanwhile. What a predecessor left
    /// open ends with its last beat. What it took to open the store is a gap of its own, and so is the time that is
    /// lived twice after a clock that was set back. A first start on an empty store leaves none.
    ///
    /// Returns the predecessor's last beat as well.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn begin(parts: Parts) -> Result<(Self, Option<Timestamp>), StoreError> {
        let (now, store) = (parts.clock.now(), &parts.store);
        // No pause is longer, so that what is due later was put off by another clock.
        let mut latest = now.saturating_add(parts.longest_pause).unwrap_or(Timestamp::MAX);
        let last_beat = store.last_beat().await?;
        if now.duration_since(parts.started_at) > SHORTEST {
            store.add_gap(Cause::Store, None, parts.started_at, now).await?;
        }
        if let Some(last_beat) = last_beat {
            store.close_gaps(last_beat).await?;
            let silence = parts.started_at.duration_since(last_beat);
            if silence > SHORTEST {
                store.add_gap(Cause::Down, None, last_beat, parts.started_at).await?;
                let seconds = silence.as_secs();
                tracing::warn!(seconds, since = %last_beat, "nothing was seen since the last run; it is kept as a gap");
            } else if silence < -CLOCK_STEP {
                let seconds = -silence.as_secs();
                tracing::warn!(seconds, "the clock was set back since the last run; it is kept as a gap");
                store.add_gap(Cause::Clock, None, parts.started_at, last_beat).await?;
                latest = now;
            }
        }
        match pull(&parts, now, latest).await {
            // The fetcher meets the same damage, and says so.
            Err(error) if !error.is_unreadable() => return Err(error),
            _ => {}
        }
        // At last: a start that fails half way is begun anew, and has to find the predecessor's.
        store.beat(now).await?;
        Ok((Self { parts, next_beat: now + BEAT, is_failing: false }, last_beat))
    }

    /// Works until the stop, and beats one last time.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let clock = Arc::clone(&self.parts.clock);
            let due = self.step(clock.now()).await;
            let sleep = Duration::try_from(due.duration_since(clock.now())).unwrap_or(Duration::ZERO);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.parts.wake.woken() => {}
                () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
            }
        }
        self.next_beat = Timestamp::MIN;
        self.step(self.parts.clock.now()).await;
    }

    /// Beats if it is time, and records what was noticed. Returns when the next step is due.
    pub async fn step(&mut self, now: Timestamp) -> Timestamp {
        let done = self.beat(now).await;
        self.note(done.as_ref().err());
        // A store that fails is tried again with the next beat.
        done.ok().flatten().unwrap_or(self.next_beat).min(self.next_beat)
    }

    /// Records that the clock was set. What is stamped in between cannot be told from what would have been stamped
    /// otherwise, or nothing is: a gap. And fetches must not wait for an instant that the clock has left behind.
    async fn record_clock_steps(&self, now: Timestamp) -> Result<(), StoreError> {
        let Parts { store, clock_steps, .. } = &self.parts;
        for step in clock_steps.unrecorded() {
            store.add_gap(Cause::Clock, None, step.from.min(step.to), step.from.max(step.to)).await?;
            if step.length().is_negative() {
                pull(&self.parts, now, now).await?;
            }
            tracing::warn!(
                seconds = step.length().as_secs(),
                "the machine's clock was set; it is kept as a gap"
            );
            clock_steps.mark_recorded(step);
            self.parts.fetcher.wake();
        }
        Ok(())
    }

    async fn beat(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        // A clock that was set back must not silence it.
        if now >= self.next_beat || now + BEAT < self.next_beat {
            self.next_beat = now + BEAT;
            self.parts.store.beat(now).await?;
        }
        self.record_clock_steps(now).await?;
        self.parts.stalls.record(&*self.parts.store, now).await?;
        self.parts.outages.record(&*self.parts.store, now).await
    }

    fn note(&mut self, failure: Option<&StoreError>) {
        match failure {
            Some(error) if !self.is_failing => {
                tracing::error!(%error, "the store could not be told that the daemon runs; trying again");
            }
            None if self.is_failing => tracing::info!("the store can be told again that the daemon runs"),
            _ => {}
        }
        self.is_failing = failure.is_some();
    }
}

/// Makes due what is due after `latest`.
async fn pull(parts: &Parts, now: Timestamp, latest: Timestamp) -> Result<(), StoreError> {
    while parts.store.pull(now, latest).await? > 0 {}
    Ok(())
}
