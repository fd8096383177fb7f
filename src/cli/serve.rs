//! `serve`: the daemon.

use std::path::Path;

use super::{Failure, clock};
use crate::config::{Config, Environment, Fault, Faults};
use crate::daemon::{self, Daemon, Listeners};
use crate::lifecycle::{self, End, ReloadSignal, Status};

/// Runs until a signal, or until a task dies. A second signal does not wait for what is unfinished.
pub(super) async fn serve(named: Option<&Path>, environment: &Environment) -> Result<(), Failure> {
    let mut signal = std::pin::pin!(lifecycle::stop_signal()?);
    // Before the configuration is read: what changes from then on is heard of.
    let mut reload_signal = ReloadSignal::listen()?;
    let config = Config::load(named, environment)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let store = config.store.clone();
    let listeners = Listeners::bind(&config).await?;
    let mut daemon = daemon::start(config, listeners, clock()).await?;
    tracing::info!(webhooks = %daemon.public, query = %daemon.private, store = %store.display(), "ready");
    lifecycle::tell(Status::Ready);
    loop {
        tokio::select! {
            () = &mut signal => break,
            () = daemon.stopping() => break,
            () = reload_signal.received() => {
                lifecycle::tell(Status::Reloading);
                let loaded = daemon.config().load_again(named, environment);
                reload(&mut daemon, loaded);
                lifecycle::tell(Status::Ready);
            }
        }
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

/// Puts a configuration in force that was read again, as far as that is possible without a restart. The log says what
/// changed, by the names of the settings.
fn reload(daemon: &mut Daemon, loaded: Result<Config, Faults>) {
    let config = match loaded {
        Ok(config) => config,
        Err(Faults(faults)) => {
            for Fault { place, message } in &faults {
                tracing::error!(setting = place, error = message, "the configuration was not reloaded");
            }
            return;
        }
    };
    match daemon.reload(config) {
        Ok(changes) => {
            for warning in daemon.config().warnings() {
                tracing::warn!("{warning}");
            }
            tracing::info!(changed = changes.applied.join(", "), "the configuration was reloaded");
            if !changes.need_restart.is_empty() {
                let settings = changes.need_restart.join(", ");
                tracing::warn!(settings, "changed settings take effect after a restart only");
            }
        }
        Err(error) => tracing::error!(%error, "the configuration was not reloaded"),
    }
}
