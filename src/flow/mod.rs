//! The data flow, one file per step.

pub mod clock_steps;
pub mod count;
pub mod derive;
pub mod face;
pub mod fetch;
pub mod forward;
pub mod heartbeat;
pub mod interpret;
pub mod outage;
pub mod receive;
pub mod reconcile;
pub mod refusals;
pub mod rejection_gaps;
mod schedule;
pub mod stall;
pub mod timeline;
mod told_once;

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Notify;

/// Says "something may have changed": whoever wakes up reads from the store what that is. It carries no data,
/// so one that is lost or doubled does no harm.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Wakes the one that waits, or lets the next wait return at once.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Whether nobody has called for a wake-up since this was last asked or waited for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.notified().now_or_never().is_none()
    }

    /// Waits for a wake-up.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}
