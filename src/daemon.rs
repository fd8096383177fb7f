//! Wires one of each together: ready → serve → drain → stop.

pub mod once;
mod reload;
pub mod runtime;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::{Application, Changes, Config, Reading};
use crate::domain::clock::Clock;
use crate::domain::ids::ApplicationId;
use crate::flow::Wake;
use crate::flow::derive::Deriver;
use crate::flow::fetch::{self, Fetcher};
use crate::flow::forward::Forward;
use crate::flow::heartbeat::{self, Heartbeat};
use crate::flow::outage::Outages;
use crate::flow::receive::{self, Receiver, Signatures};
use crate::flow::reconcile::{self, Reconciler};
use crate::flow::refusals::Refusals;
use crate::flow::rejection_gaps::RejectionGaps;
use crate::flow::stall::Stalls;
use crate::http::auth::Access;
use crate::http::health::Readiness;
use crate::http::query::Query;
use crate::http::query::stream::Streams;
use crate::http::serve::{Bounds, Server};
use crate::http::starting::LateRoutes;
use crate::http::webhooks::{LiveWebhooks, Webhooks};
use crate::http::{Answers, Ncco};
use crate::lifecycle::{self, End, Lifecycle, Status};
use crate::store::slot::StoreSlot;
use crate::store::{self, Store, StoreError, Writer};
use crate::telemetry;
use crate::upstream::Upstream;
use crate::vonage::client::{self, Client};
use crate::vonage::pace::Pace;
use crate::vonage::region::RegionHosts;
use crate::vonage::signature::{Signer, Verifier};

use self::reload::Reloadable;

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
    store: StoreSlot,
    lifecycle: Lifecycle,
    wakes: Wakes,
    reloadable: Reloadable,
}

/// Who is woken.
#[derive(Debug, Clone, Default)]
struct Wakes {
    fetcher: Wake,
    deriver: Wake,
    /// The deriver, too: what was fetched gives way to nobody.
    fetched: Wake,
    heartbeat: Wake,
    reconciler: Wake,
}

impl Wakes {
    /// Who has to know of a webhook.
    fn of_webhooks(&self) -> [Wake; 2] {
        [self.fetcher.clone(), self.deriver.clone()]
    }
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
    let pace = Arc::new(Pace::new(config.fetch.requests_per_second));
    let clients = Arc::new(clients(&config, &pace, &clock)?);
    let answers = answers(&config)?;
    let wiring = Wiring {
        started_at: clock.now(),
        lifecycle: Lifecycle::default(),
        store: StoreSlot::default(),
        wakes: Wakes::default(),
        late_routes: LateRoutes::default(),
        stalls: Arc::new(Stalls::new(Arc::clone(&clock))),
        access: Arc::new(Access::new(config.readers.clone(), &clock)),
        config: Arc::new(config),
        clock,
        pace,
        clients,
    };
    let webhooks = wiring.webhooks(answers);
    let [public, private] = wiring.listen(listeners, &webhooks)?;
    if let Some(period) = lifecycle::watchdog_period() {
        wiring.lifecycle.run("watchdog", feed_watchdog(period, wiring.lifecycle.clone()));
    }
    if let Err(error) = wiring.open().await {
        wiring.lifecycle.stop();
        wiring.lifecycle.drained(std::future::ready(())).await;
        return Err(error.into());
    }
    let Wiring { store, lifecycle, wakes, access, pace, clients, config, .. } = wiring;
    let reloadable = Reloadable::new(webhooks, access, (pace, clients), config);
    Ok(Daemon { public, private, store, lifecycle, wakes, reloadable })
}

/// The pause before a store is opened again that is locked, or whose disk is full.
const REOPENING: Duration = Duration::from_secs(1);

/// What the daemon is put together from.
#[derive(Debug, Clone)]
struct Wiring {
    started_at: Timestamp,
    config: Arc<Config>,
    lifecycle: Lifecycle,
    store: StoreSlot,
    wakes: Wakes,
    late_routes: LateRoutes,
    stalls: Arc<Stalls>,
    access: Arc<Access>,
    clock: Arc<dyn Clock>,
    pace: Arc<Pace>,
    clients: Arc<HashMap<ApplicationId, Client>>,
}

impl Wiring {
    fn webhooks(&self, answers: Answers) -> LiveWebhooks {
        LiveWebhooks::new(Webhooks {
            receiver: Arc::new(self.receiver()),
            answers,
            max_body_bytes: self.config.max_body_bytes,
        })
    }

    /// Starts both listeners. They answer calls before there is a store.
    fn listen(&self, listeners: Listeners, webhooks: &LiveWebhooks) -> Result<[SocketAddr; 2], DaemonError> {
        let private = self.late_routes.clone().router(self.store.clone());
        let is_forwarding = self.config.answer_forward.is_some() || self.config.event_forward.is_some();
        let bounds = Bounds::sharing(lifecycle::raise_descriptor_limit(), is_forwarding);
        serve(&self.lifecycle, listeners, [webhooks.router(), private], bounds)
    }

    /// Opens the store and starts everything that needs it. Where it cannot be opened for now, a task goes on trying.
    async fn open(&self) -> Result<(), StoreError> {
        match self.try_to_open().await {
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::error!(
                    %error,
                    "the store cannot be opened yet: calls get their NCCO, events are refused with 503, and opening it \
                     is tried again"
                );
                lifecycle::describe(&format!("waiting for the store: {error}"));
                let opening = self.clone().reopen(self.lifecycle.soft_stop().clone());
                self.lifecycle.run_until_done(opening);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Tries until the store is open, or the stop.
    async fn reopen(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(REOPENING)).await.is_some() {
            match self.try_to_open().await {
                Ok(()) => {
                    tracing::info!("the store is open");
                    lifecycle::describe("");
                    return;
                }
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => {
                    tracing::error!(%error, "the store cannot be opened; the daemon stops");
                    self.lifecycle.fail();
                    return;
                }
            }
        }
    }

    async fn try_to_open(&self) -> Result<(), StoreError> {
        // The writer's thread inherits the priority of the one that asks for it: all others are begun in tasks, on the
        // threads of the runtime.
        let opened = store::open(&self.config.store).await;
        let (store, writer) = opened.inspect_err(|error| self.store.blame(error))?;
        let mut starting = JoinSet::new();
        let wiring = self.clone();
        starting.spawn(async move { wiring.start_on(store, writer).await });
        let outcome = starting.join_next().await.expect("one was begun").expect("starting does not panic");
        outcome.inspect_err(|error| self.store.blame(error))
    }

    /// Starts everything that needs the store.
    async fn start_on(&self, store: Arc<dyn Store>, writer: Writer) -> Result<(), StoreError> {
        let outages = Arc::new(Outages::new(self.wakes.heartbeat.clone()));
        let (heartbeat, last_beat) = Heartbeat::begin(heartbeat::Parts {
            store: Arc::clone(&store),
            clock: Arc::clone(&self.clock),
            outages: Arc::clone(&outages),
            stalls: Arc::clone(&self.stalls),
            wake: self.wakes.heartbeat.clone(),
            fetcher: self.wakes.fetcher.clone(),
            started_at: self.started_at,
            longest_pause: self.config.fetch.patience.longest_pause(),
        })
        .await?;
        let stop = || self.lifecycle.soft_stop().clone();
        self.lifecycle.run_to_the_end("writer", writer.run());
        self.lifecycle.run("heartbeat", heartbeat.run(stop()));
        let (webhooks, fetched) = (self.wakes.deriver.clone(), self.wakes.fetched.clone());
        let deriver = Deriver::new(Arc::clone(&store), webhooks, fetched);
        self.lifecycle.run("deriver", deriver.run(Arc::clone(&self.stalls), stop()));
        if !self.config.applications.is_empty() {
            self.lifecycle.run("fetcher", self.fetcher(&store, Arc::clone(&outages)).run(stop()));
            self.start_reconciler(&store, last_beat, outages);
        }
        self.late_routes.set(self.query(&store).router());
        self.store.fill(store);
        Ok(())
    }

    fn fetcher(&self, store: &Arc<dyn Store>, outages: Arc<Outages>) -> Arc<Fetcher> {
        Fetcher::new(fetch::Parts {
            store: Arc::clone(store),
            clock: Arc::clone(&self.clock),
            clients: Arc::clone(&self.clients),
            pace: Arc::clone(&self.pace),
            patience: self.config.fetch.patience,
            concurrency: self.config.fetch.concurrency,
            wake: self.wakes.fetcher.clone(),
            changed: self.wakes.fetched.clone(),
            outages,
            stalls: Arc::clone(&self.stalls),
        })
    }

    /// What answers readers.
    fn query(&self, store: &Arc<dyn Store>) -> Query {
        Query {
            store: Arc::clone(store),
            country: self.config.default_country,
            streams: Streams::new(self.lifecycle.clone()),
            metrics: telemetry::metrics_text,
            access: Arc::clone(&self.access),
            readiness: Readiness::new(Arc::clone(&self.stalls)),
            clock: Arc::clone(&self.clock),
        }
    }

    /// What takes webhooks in, with what tells the log of those that it refuses.
    fn receiver(&self) -> Receiver {
        let applications = &self.config.applications;
        let refusals = Arc::new(Refusals::default());
        self.lifecycle.run("refusals", Arc::clone(&refusals).run(self.lifecycle.soft_stop().clone()));
        let rejection_gaps = Arc::new(RejectionGaps::default());
        let recording = Arc::clone(&rejection_gaps).run(
            self.store.clone(),
            Arc::clone(&self.clock),
            self.lifecycle.soft_stop().clone(),
        );
        self.lifecycle.run("rejection gaps", recording);
        Receiver::new(receive::Parts {
            store: self.store.clone(),
            clock: Arc::clone(&self.clock),
            signatures: signatures(applications, &self.config),
            applications: applications.iter().map(|application| application.id.clone()).collect(),
            refusals,
            rejection_gaps,
            wakes: self.wakes.of_webhooks(),
            lifecycle: self.lifecycle.clone(),
        })
    }

    /// Starts the reconciler, unless it is switched off.
    fn start_reconciler(&self, store: &Arc<dyn Store>, last_beat: Option<Timestamp>, outages: Arc<Outages>) {
        let Some(interval) = self.config.reconcile_interval else { return };
        let parts = reconcile::Parts {
            store: Arc::clone(store),
            clock: Arc::clone(&self.clock),
            clients: Arc::clone(&self.clients),
            interval,
            outages,
            last_beat,
            wake: self.wakes.reconciler.clone(),
            found: self.wakes.of_webhooks(),
        };
        self.lifecycle.run("reconciler", Reconciler::new(parts).run(self.lifecycle.soft_stop().clone()));
    }
}

impl Daemon {
    /// Puts another configuration in force, as far as that takes no restart. Requests go on with what they began with.
    ///
    /// # Errors
    /// When TLS is not to be had; then nothing has changed.
    pub fn reload(&mut self, config: Config) -> Result<Changes, DaemonError> {
        let changes = self.reloadable.reload(config, self.private)?;
        // What waits for another key or another limit need not wait for its time.
        self.wake();
        Ok(changes)
    }

    /// Begins the soft stop.
    pub fn stop(&self) {
        self.lifecycle.stop();
    }

    /// Makes everybody look at the store at once, as after a change of the clock.
    pub fn wake(&self) {
        let Wakes { fetcher, deriver, fetched, heartbeat, reconciler } = &self.wakes;
        [fetcher, deriver, fetched, heartbeat, reconciler].into_iter().for_each(Wake::wake);
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
    [public_bounds, private_bounds]: [Bounds; 2],
) -> Result<[SocketAddr; 2], DaemonError> {
    let addresses = [listeners.public.local_addr()?, listeners.private.local_addr()?];
    for server in [
        Server { name: "public listener", listener: listeners.public, router: public, bounds: public_bounds },
        Server {
            name: "private listener",
            listener: listeners.private,
            router: private,
            bounds: private_bounds,
        },
    ] {
        lifecycle.run(server.name, server.run(lifecycle.soft_stop().clone()));
    }
    Ok(addresses)
}

/// Which webhooks must be signed as `config` says, and by these applications.
fn signatures<'a>(applications: impl IntoIterator<Item = &'a Application>, config: &Config) -> Signatures {
    let signers = applications.into_iter().flat_map(|application| {
        let signer = |secret| Signer::new(application.id.clone(), application.api_key.clone(), secret);
        application.signature_secrets.iter().map(signer)
    });
    Signatures {
        verifier: Verifier::new(signers.collect()),
        of_voice: config.signed,
        of_rtc: config.rtc_signed,
    }
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

/// Tells systemd that the runtime still runs tasks. The store has no part in it: while it is locked or its disk is full
/// calls still get their NCCO, which a killed daemon could not give them.
async fn feed_watchdog(period: Duration, lifecycle: Lifecycle) {
    while !lifecycle.soft_stop().is_cancelled() {
        lifecycle::tell(Status::Alive);
        lifecycle.soft_stop().run_until_cancelled(tokio::time::sleep(period / 2)).await;
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
        readiness: Readiness::new(Arc::new(Stalls::new(Arc::clone(&clock)))),
        clock,
    })
}
