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
    tracing::info!("stopping");
    lifecycle::tell(Status::Stopping);
    daemon.stop();
    let again = lifecycle::stop_signal()?;
    match daemon.ended(again).await {
        End::Drained => {
            tracing::info!("stopped");
            Ok(())
        }
        End::CutShort => Err(Failure::Failed("stopped before everything was finished".to_owned())),
        End::TaskDied => Err(Failure::Failed("a part of the daemon died; see the log".to_owned())),
    }
}
