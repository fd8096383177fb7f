//! Wires one of each together: ready → serve → drain → stop.

pub mod once;
mod reload;
pub mod runtime;
mod settings;
mod wiring;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::config::{Changes, Config, Reading};
use crate::domain::clock::Clock;
use crate::domain::ids::ApplicationId;
use crate::flow::stall::Stalls;
use crate::http::auth::Access;
use crate::http::health::Readiness;
use crate::http::query::Query;
use crate::http::query::stream::Streams;
use crate::lifecycle::{End, Lifecycle};
use crate::store::slot::StoreSlot;
use crate::store::{self, StoreError};
use crate::telemetry;
use crate::vonage::client;

use self::reload::Reloadable;
use self::wiring::{Wakes, Wiring};

/// Why the daemon did not start, or a command could not work.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// An address is taken or is not of this machine.
    #[error("{setting} {address} cannot be listened on: {error}")]
    Listen {
        /// The key of the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// A listener broke while it was prepared.
    #[error("a listener cannot be used: {0}")]
    Listener(#[from] std::io::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A configuration that is read again would have every webhook rejected.
    #[error(transparent)]
    Unsignable(#[from] crate::config::Unsignable),
    /// TLS cannot be set up.
    #[error(
        "TLS cannot be set up on this machine ({0}): install the system's CA certificates (package ca-certificates)"
    )]
    Tls(reqwest::Error),
    /// No application is configured.
    #[error("no [[application]] is configured: add one with its id and private_key_file")]
    NoApplication,
    /// Vonage does not know the conversation.
    #[error(
        "Vonage does not know this conversation (404): it is over, another application's, or in another region"
    )]
    NotFound,
    /// Vonage refused the token.
    #[error(
        "Vonage refuses the token of application {application} ({status}): check [[application]] id and \
         private_key_file, and this machine's clock"
    )]
    Refused {
        /// Whose token.
        application: ApplicationId,
        /// What Vonage answered.
        status: u16,
    },
    /// Vonage did not answer.
    #[error("{0}; try again")]
    Unreachable(client::Failure),
    /// The key cannot sign.
    #[error(transparent)]
    Token(#[from] crate::vonage::token::MintError),
}

/// Two bound sockets.
#[derive(Debug)]
pub struct Listeners {
    /// For Vonage.
    pub public: TcpListener,
    /// For readers.
    pub private: TcpListener,
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// When one is taken or is not of this machine.
    pub async fn bind(config: &Config) -> Result<Self, DaemonError> {
        Ok(Self {
            public: listen("webhooks.listen", config.webhooks_listen).await?,
            private: listen("query.listen", config.query_listen).await?,
        })
    }
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, DaemonError> {
    TcpListener::bind(address).await.map_err(|error| DaemonError::Listen { setting, address, error })
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon {
    /// Where Vonage connects.
    pub public: SocketAddr,
    /// Where readers connect.
    pub private: SocketAddr,
    store: StoreSlot,
    lifecycle: Lifecycle,
    wakes: Wakes,
    reloadable: Reloadable,
}

/// Starts everything. When this returns, both listeners are answering, and the schema is migrated; or, where the store
/// cannot be opened for now (it is locked, the disk is full), calls get their NCCO and the daemon goes on trying.
///
/// # Errors
/// When the store can never be opened as it is, or TLS is not to be had.
pub async fn start(
    config: Config,
    listeners: Listeners,
    clock: Arc<dyn Clock>,
) -> Result<Daemon, DaemonError> {
    telemetry::start_metrics();
    let answers = settings::answers(&config)?;
    let wiring = Wiring::new(config, clock)?;
    let webhooks = wiring.webhooks(answers);
    let [public, private] = wiring.listen(listeners, &webhooks)?;
    wiring.feed_watchdog();
    if let Err(error) = wiring.open().await {
        wiring.lifecycle.stop();
        wiring.lifecycle.drained(std::future::pending()).await;
        return Err(error.into());
    }
    let Wiring { store, lifecycle, wakes, access, pace, clients, config, .. } = wiring;
    let reloadable = Reloadable::new(webhooks, access, (pace, clients), config);
    Ok(Daemon { public, private, store, lifecycle, wakes, reloadable })
}

impl Daemon {
    /// Puts another configuration in force, as far as that takes no restart. Requests go on with what they began with.
    ///
    /// # Errors
    /// When TLS is not to be had, or webhooks would have to be signed that could not be; then nothing has changed.
    pub fn reload(&mut self, config: Config) -> Result<Changes, DaemonError> {
        let changes = self.reloadable.reload(config, self.private)?;
        // What waits for another key or another limit need not wait for its time.
        self.wake();
        Ok(changes)
    }

    /// The configuration that was read last and taken.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.reloadable.config()
    }

    /// Begins the soft stop.
    pub fn stop(&self) {
        self.lifecycle.stop();
    }

    /// Makes everybody look at the store at once, as after a change of the clock.
    pub fn wake(&self) {
        self.wakes.wake_all();
    }

    /// Waits for the soft stop, whoever begins it, and then until everything is finished and closed.
    /// `impatient` cuts that short.
    pub async fn ended(self, impatient: impl Future<Output = ()>) -> End {
        self.lifecycle.soft_stop().cancelled().await;
        let closing = async {
            // The listeners and workers write until they end; the writer ends when the store is closed.
            self.lifecycle.workers_done().await;
            if let Ok(store) = self.store.get() {
                store.close().await;
            }
            std::future::pending::<Infallible>().await
        };
        // Who closes may wait for a lock of the store's for longer than the drain may take.
        tokio::select! {
            end = self.lifecycle.drained(impatient) => end,
            never = closing => match never {},
        }
    }

    /// Completes when the soft stop has begun.
    pub async fn stopping(&self) {
        self.lifecycle.soft_stop().cancelled().await;
    }
}

/// Answers questions from the store's file, with or without a daemon on it.
///
/// # Errors
/// When the store cannot be opened.
pub async fn reader(reading: &Reading, clock: Arc<dyn Clock>) -> Result<Query, DaemonError> {
    let store = store::open_reading(&reading.store).await?;
    Ok(Query {
        store,
        country: reading.default_country,
        streams: Streams::new(Lifecycle::default(), Streams::MOST),
        metrics: telemetry::metrics_text,
        access: Arc::new(Access::new(Vec::new(), &clock)),
        readiness: Readiness::new(Arc::new(Stalls::new(Arc::clone(&clock)))),
        clock,
    })
}
