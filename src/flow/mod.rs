//! The data flow, one file per step.

pub mod derive;
pub mod fetch;
pub mod interpret;
pub mod receive;
mod schedule;

use std::sync::Arc;

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

    /// Waits for a wake-up.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}
