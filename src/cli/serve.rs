//! `serve`: the daemon.

use super::{Failure, clock};
use crate::config::Config;
use crate::daemon::{self, Listeners};
use crate::lifecycle::{self, End, Status};

/// Runs until a signal, or until a task dies. A second signal does not wait for what is unfinished.
pub(super) async fn serve(config: Config) -> Result<(), Failure> {
    let signal = lifecycle::stop_signal()?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let store = config.store.clone();
    let listeners = Listeners::bind(&config).await?;
    let daemon = daemon::start(config, listeners, clock()).await?;
    tracing::info!(webhooks = %daemon.public, query = %daemon.private, store = %store.display(), "ready");
    lifecycle::tell(Status::Ready);
    tokio::select! {
        () = signal => {}
        () = daemon.stopping() => {}
    }
    // Heard from before anybody is told: whoever is may send it at once.
    let again = lifecycle::stop_signal()?;
    tracing::info!("stopping");
    lifecycle::tell(Status::Stopping);
    daemon.stop();
    match daemon.ended(again).await {
        End::Drained => {
            tracing::info!("stopped");
            Ok(())
        }
        End::CutShort => {
            tracing::error!("stopped before everything was finished");
            Err(Failure::Logged)
        }
        End::TaskDied => {
            tracing::error!("stopped, since a part of the daemon died");
            Err(Failure::Logged)
        }
    }
}
