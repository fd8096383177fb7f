//! Notes that the daemon runs, so that the next one knows since when nobody saw anything; and tells the store
//! of other times in which something could not be seen.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Wake;
use super::outage::Outages;
use super::stall::Stalls;
use crate::domain::clock::Clock;
use crate::domain::gap::{Cause, SHORTEST};
use crate::store::{Store, StoreError};

/// Between two beats: how much too long the gap that a crash leaves may be. Each is a flush to disk.
const BEAT: SignedDuration = SignedDuration::from_secs(5);

/// The longest sleep: the machine's clock may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Beats.
#[derive(Debug)]
pub struct Heartbeat {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    outages: Arc<Outages>,
    stalls: Arc<Stalls>,
    wake: Wake,
    next_beat: Timestamp,
    /// A failure is logged once until it is over.
    is_failing: bool,
}

impl Heartbeat {
    /// Beats for the first time, in a process that began at `started_at`. The time since a predecessor's last beat becomes a gap, unless it is shorter
    /// than [`SHORTEST`]: a crash leaves one that is up to a beat too long and never one that is too short,
    /// and a restart leaves one too, since Vonage may have given up a webhook meanwhile. What a predecessor left
    /// open ends with its last beat. What it took to open the store is a gap of its own. A first start on an empty store, and a clock that was set back, leave none.
    ///
    /// Returns the predecessor's last beat as well.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn begin(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        (outages, stalls): (Arc<Outages>, Arc<Stalls>),
        (wake, started_at): (Wake, Timestamp),
    ) -> Result<(Self, Option<Timestamp>), StoreError> {
        let now = clock.now();
        let last_beat = store.last_beat().await?;
        if now.duration_since(started_at) > SHORTEST {
            store.add_gap(Cause::Store, None, started_at, now).await?;
        }
        if let Some(last_beat) = last_beat {
            store.close_gaps(last_beat).await?;
            let silence = started_at.duration_since(last_beat);
            if silence > SHORTEST {
                store.add_gap(Cause::Down, None, last_beat, started_at).await?;
                let seconds = silence.as_secs();
                tracing::warn!(seconds, since = %last_beat, "nothing was seen since the last run; it is kept as a gap");
            }
        }
        store.beat(now).await?;
        let heartbeat =
            Self { store, clock, outages, stalls, wake, next_beat: now + BEAT, is_failing: false };
        Ok((heartbeat, last_beat))
    }

    /// Works until the stop, and beats one last time.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let due = self.step(now).await;
            let sleep = Duration::try_from(due.duration_since(self.clock.now())).unwrap_or(Duration::ZERO);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.woken() => {}
                () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
            }
        }
        self.next_beat = Timestamp::MIN;
        self.step(self.clock.now()).await;
    }

    /// Beats if it is time, and records what was noticed. Returns when the next step is due.
    pub async fn step(&mut self, now: Timestamp) -> Timestamp {
        let done = self.beat(now).await;
        self.note(done.as_ref().err());
        // A store that fails is tried again with the next beat.
        done.ok().flatten().unwrap_or(self.next_beat).min(self.next_beat)
    }

    async fn beat(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        // A clock that was set back must not silence it.
        if now >= self.next_beat || now + BEAT < self.next_beat {
            self.next_beat = now + BEAT;
            self.store.beat(now).await?;
        }
        self.stalls.record(&*self.store, now).await?;
        self.outages.record(&*self.store, now).await
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
