//! Wires one of each together: ready → serve → drain → stop.

pub mod once;
pub mod runtime;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use crate::config::{Application, Config, Reading};
use crate::domain::clock::Clock;
use crate::domain::ids::ApplicationId;
use crate::flow::Wake;
use crate::flow::derive::Deriver;
use crate::flow::fetch::{self, Fetcher};
use crate::flow::forward::Forward;
use crate::flow::heartbeat::Heartbeat;
use crate::flow::outage::Outages;
use crate::flow::receive::{self, Receiver};
use crate::flow::reconcile::{self, Reconciler};
use crate::flow::refusals::Refusals;
use crate::http::auth::Access;
use crate::http::health::Readiness;
use crate::http::query::Query;
use crate::http::query::stream::Streams;
use crate::http::serve::{Bounds, Server};
use crate::http::webhooks::Webhooks;
use crate::http::{Answers, Ncco};
use crate::lifecycle::{self, End, Lifecycle, Status};
use crate::store::{self, Store, StoreError, Writer};
use crate::telemetry;
use crate::upstream::Upstream;
use crate::vonage::client::{self, Client};
use crate::vonage::pace::Pace;
use crate::vonage::region::RegionHosts;
use crate::vonage::signature::{Signer, Verifier};

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
    store: Arc<dyn Store>,
    lifecycle: Lifecycle,
    wakes: [Wake; 5],
}

/// Starts everything. When this returns, the schema is migrated and both listeners are answering.
///
/// # Errors
/// When the store cannot be opened, or TLS is not to be had.
pub async fn start(
    config: Config,
    listeners: Listeners,
    clock: Arc<dyn Clock>,
) -> Result<Daemon, DaemonError> {
    telemetry::start_metrics();
    // The writer's thread inherits the priority of the one that asks for it: all others are begun in tasks, on the
    // threads of the runtime.
    let (store, writer) = store::open(&config.store).await?;
    let mut starting = JoinSet::new();
    starting.spawn(start_on(store, writer, config, listeners, clock));
    starting.join_next().await.expect("one was begun").expect("starting does not panic")
}

async fn start_on(
    store: Arc<dyn Store>,
    writer: Writer,
    config: Config,
    listeners: Listeners,
    clock: Arc<dyn Clock>,
) -> Result<Daemon, DaemonError> {
    let lifecycle = Lifecycle::default();
    lifecycle.run_to_the_end("writer", writer.run());

    let wakes = [Wake::default(), Wake::default()];
    let [fetch_wake, derive_wake] = wakes.clone();
    let look_wake = Wake::default();
    let deriver = Deriver::new(Arc::clone(&store), derive_wake, look_wake.clone());
    lifecycle.run("deriver", deriver.run(lifecycle.soft_stop().clone()));
    let [beat_wake, reconcile_wake] = [Wake::default(), Wake::default()];
    let common = Common { config: &config, lifecycle: &lifecycle, store: &store, clock: &clock };
    let (outages, last_beat) = common.start_heartbeat(beat_wake.clone()).await?;
    if !config.applications.is_empty() {
        let pace = Arc::new(Pace::new(config.fetch.requests_per_second));
        let clients = Arc::new(clients(&config, &pace, &clock)?);
        let parts = fetch::Parts {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            clients: Arc::clone(&clients),
            pace,
            patience: config.fetch.patience,
            concurrency: config.fetch.concurrency,
            wake: fetch_wake,
            changed: look_wake.clone(),
            outages,
        };
        lifecycle.run("fetcher", Fetcher::new(parts).run(lifecycle.soft_stop().clone()));
        common.start_reconciler(clients, last_beat, (reconcile_wake.clone(), wakes.clone()));
    }

    let webhooks = Webhooks {
        receiver: Arc::new(common.receiver(wakes.clone())),
        answers: answers(&config)?,
        max_body_bytes: config.max_body_bytes,
    };
    let access = Arc::new(Access::new(config.readers, &clock));
    let query = Query {
        store: Arc::clone(&store),
        clock,
        country: config.default_country,
        streams: Streams::new(lifecycle.clone()),
        metrics: telemetry::metrics_text,
        access,
        readiness: Readiness::default(),
    };
    let [public, private] = serve(&lifecycle, listeners, [webhooks.router(), query.router()])?;
    if let Some(period) = lifecycle::watchdog_period() {
        lifecycle.run("watchdog", feed_watchdog(Arc::clone(&store), period, lifecycle.clone()));
    }
    let [fetch_wake, derive_wake] = wakes;
    let wakes = [fetch_wake, derive_wake, look_wake, beat_wake, reconcile_wake];
    Ok(Daemon { public, private, store, lifecycle, wakes })
}

/// What the parts have in common.
#[derive(Clone, Copy)]
struct Common<'a> {
    config: &'a Config,
    lifecycle: &'a Lifecycle,
    store: &'a Arc<dyn Store>,
    clock: &'a Arc<dyn Clock>,
}

impl Common<'_> {
    /// Starts the heartbeat. Returns where it is told of outages, and a predecessor's last beat.
    async fn start_heartbeat(self, wake: Wake) -> Result<(Arc<Outages>, Option<Timestamp>), StoreError> {
        let outages = Arc::new(Outages::new(wake.clone()));
        let (store, clock) = (Arc::clone(self.store), Arc::clone(self.clock));
        let (heartbeat, last_beat) = Heartbeat::begin(store, clock, Arc::clone(&outages), wake).await?;
        self.lifecycle.run("heartbeat", heartbeat.run(self.lifecycle.soft_stop().clone()));
        Ok((outages, last_beat))
    }

    /// What takes webhooks in, with what tells the log of those that it refuses.
    fn receiver(self, wakes: [Wake; 2]) -> Receiver {
        let applications = &self.config.applications;
        let refusals = Arc::new(Refusals::default());
        self.lifecycle.run("refusals", Arc::clone(&refusals).run(self.lifecycle.soft_stop().clone()));
        Receiver::new(receive::Parts {
            store: Arc::clone(self.store),
            clock: Arc::clone(self.clock),
            verifier: self.config.signed.then(|| verifier(applications)),
            applications: applications.iter().map(|application| application.id.clone()).collect(),
            refusals,
            wakes,
            lifecycle: self.lifecycle.clone(),
        })
    }

    /// Starts the reconciler, unless it is switched off.
    fn start_reconciler(
        self,
        clients: Arc<HashMap<ApplicationId, Client>>,
        last_beat: Option<Timestamp>,
        (wake, found): (Wake, [Wake; 2]),
    ) {
        let Some(interval) = self.config.reconcile_interval else { return };
        let (store, clock) = (Arc::clone(self.store), Arc::clone(self.clock));
        let parts = reconcile::Parts { store, clock, clients, interval, last_beat, wake, found };
        self.lifecycle.run("reconciler", Reconciler::new(parts).run(self.lifecycle.soft_stop().clone()));
    }
}

impl Daemon {
    /// Begins the soft stop.
    pub fn stop(&self) {
        self.lifecycle.stop();
    }

    /// Makes everybody look at the store at once, as after a change of the clock.
    pub fn wake(&self) {
        self.wakes.iter().for_each(Wake::wake);
    }

    /// Waits for the soft stop, whoever begins it, and then until everything is finished and closed.
    /// `impatient` cuts that short.
    pub async fn ended(self, impatient: impl Future<Output = ()>) -> End {
        self.lifecycle.soft_stop().cancelled().await;
        let closing = async {
            // The listeners and workers write until they end; the writer ends when the store is closed.
            self.lifecycle.workers_done().await;
            self.store.close().await;
        };
        let drained = self.lifecycle.drained(impatient);
        let (end, ()) = tokio::join!(drained, closing);
        end
    }

    /// Completes when the soft stop has begun.
    pub async fn stopping(&self) {
        self.lifecycle.soft_stop().cancelled().await;
    }
}

/// Starts both listeners. Returns where they listen.
fn serve(
    lifecycle: &Lifecycle,
    listeners: Listeners,
    [public, private]: [Router; 2],
) -> Result<[SocketAddr; 2], DaemonError> {
    let addresses = [listeners.public.local_addr()?, listeners.private.local_addr()?];
    for server in [
        Server {
            name: "public listener",
            listener: listeners.public,
            router: public,
            bounds: Bounds::PUBLIC,
        },
        Server {
            name: "private listener",
            listener: listeners.private,
            router: private,
            bounds: Bounds::PRIVATE,
        },
    ] {
        lifecycle.run(server.name, server.run(lifecycle.soft_stop().clone()));
    }
    Ok(addresses)
}

fn verifier(applications: &[Application]) -> Verifier {
    let signers = applications.iter().filter_map(|application| {
        let secret = application.signature_secret.as_ref()?;
        Some(Signer::new(application.id.clone(), application.api_key.clone(), secret))
    });
    Verifier::new(signers.collect())
}

/// What webhooks are replied to with, and who is asked.
fn answers(config: &Config) -> Result<Answers, DaemonError> {
    let upstream = |url: &Option<Url>| {
        let timeout = config.forward_timeout.unsigned_abs();
        url.clone().map(|url| Upstream::new(url, timeout)).transpose().map_err(DaemonError::Tls)
    };
    Ok(Answers {
        ncco: config.ncco.clone().unwrap_or_else(Ncco::empty),
        of_calls: upstream(&config.answer_forward)?.map(Forward::of_answers).map(Arc::new),
        to_events: upstream(&config.event_forward)?.map(Forward::of_events).map(Arc::new),
    })
}

/// A client for each application. They keep one pace: Vonage's limits are the account's.
fn clients(
    config: &Config,
    pace: &Arc<Pace>,
    clock: &Arc<dyn Clock>,
) -> Result<HashMap<ApplicationId, Client>, DaemonError> {
    let client = |application: &Application| {
        let settings = client::Settings {
            api_url: application.api_url.clone(),
            family: config.fetch.family,
            events: config.fetch.events,
            regions: RegionHosts::beside(&application.api_url),
            mint: Arc::clone(&application.mint),
            pace: Arc::clone(pace),
        };
        let client = Client::new(settings, Arc::clone(clock)).map_err(DaemonError::Tls)?;
        Ok((application.id.clone(), client))
    };
    config.applications.iter().map(client).collect()
}

/// Tells systemd that the daemon is alive as long as its writer answers. A store that refuses to write is
/// not a reason to be killed: answer webhooks are still replied to.
async fn feed_watchdog(store: Arc<dyn Store>, period: Duration, lifecycle: Lifecycle) {
    while !lifecycle.soft_stop().is_cancelled() {
        if let Err(error) = store.check().await {
            tracing::warn!(%error, "the store cannot be written to");
        }
        lifecycle::tell(Status::Alive);
        tokio::select! {
            () = lifecycle.soft_stop().cancelled() => {}
            () = tokio::time::sleep(period / 2) => {}
        }
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
        streams: Streams::new(Lifecycle::default()),
        metrics: telemetry::metrics_text,
        access: Arc::new(Access::new(Vec::new(), &clock)),
        readiness: Readiness::default(),
        clock,
    })
}
