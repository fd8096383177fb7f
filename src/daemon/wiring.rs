//! Puts the daemon together: what answers before the store is open, and what works on it afterwards.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{DaemonError, Listeners, settings};
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::ids::ApplicationId;
use crate::flow::Wake;
use crate::flow::clock_steps::ClockSteps;
use crate::flow::derive::Deriver;
use crate::flow::fetch::{self, Fetcher};
use crate::flow::heartbeat::{self, Heartbeat};
use crate::flow::outage::Outages;
use crate::flow::receive::{self, Receiver};
use crate::flow::reconcile::{self, Reconciler};
use crate::flow::refusals::Refusals;
use crate::flow::rejection_gaps::RejectionGaps;
use crate::flow::stall::Stalls;
use crate::http::Answers;
use crate::http::auth::Access;
use crate::http::health::Readiness;
use crate::http::query::Query;
use crate::http::query::stream::Streams;
use crate::http::serve::{Bounds, Server};
use crate::http::starting::LateRoutes;
use crate::http::webhooks::{LiveWebhooks, Webhooks};
use crate::lifecycle::{self, Lifecycle, Status};
use crate::store::slot::StoreSlot;
use crate::store::{self, Store, StoreError, Writer};
use crate::telemetry;
use crate::vonage::client::Client;
use crate::vonage::pace::Pace;

/// Who is woken.
#[derive(Debug, Clone, Default)]
pub(super) struct Wakes {
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

    pub(super) fn wake_all(&self) {
        let Self { fetcher, deriver, fetched, heartbeat, reconciler } = self;
        [fetcher, deriver, fetched, heartbeat, reconciler].into_iter().for_each(Wake::wake);
    }
}

/// The pause before a store is opened again that is locked, or whose disk is full.
const REOPENING: Duration = Duration::from_secs(1);

/// What the daemon is put together from.
#[derive(Debug, Clone)]
pub(super) struct Wiring {
    started_at: Timestamp,
    pub(super) config: Arc<Config>,
    pub(super) lifecycle: Lifecycle,
    pub(super) store: StoreSlot,
    pub(super) wakes: Wakes,
    late_routes: LateRoutes,
    /// Of the public and the private listener.
    bounds: [Bounds; 2],
    stalls: Arc<Stalls>,
    clock_steps: Arc<ClockSteps>,
    pub(super) access: Arc<Access>,
    clock: Arc<dyn Clock>,
    pub(super) pace: Arc<Pace>,
    pub(super) clients: Arc<HashMap<ApplicationId, Client>>,
}

impl Wiring {
    /// Everything that there is before the listeners answer.
    pub(super) fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, DaemonError> {
        let pace = Arc::new(Pace::new(config.fetch.requests_per_second));
        let is_forwarding = config.answer_forward.is_some() || config.event_forward.is_some();
        Ok(Self {
            bounds: Bounds::sharing(lifecycle::raise_descriptor_limit(), is_forwarding),
            started_at: clock.now(),
            lifecycle: Lifecycle::default(),
            store: StoreSlot::default(),
            wakes: Wakes::default(),
            late_routes: LateRoutes::default(),
            stalls: Arc::new(Stalls::new(Arc::clone(&clock))),
            clock_steps: Arc::new(ClockSteps::new(Arc::clone(&clock))),
            access: Arc::new(Access::new(config.readers.clone(), &clock)),
            clients: Arc::new(settings::clients(&config, &pace, &clock)?),
            config: Arc::new(config),
            clock,
            pace,
        })
    }

    pub(super) fn webhooks(&self, answers: Answers) -> LiveWebhooks {
        LiveWebhooks::new(Webhooks {
            receiver: Arc::new(self.receiver()),
            answers,
            max_body_bytes: self.config.max_body_bytes,
        })
    }

    /// Starts both listeners. They answer calls before there is a store.
    pub(super) fn listen(
        &self,
        listeners: Listeners,
        webhooks: &LiveWebhooks,
    ) -> Result<[SocketAddr; 2], DaemonError> {
        let private = self.late_routes.clone().router(self.store.clone());
        serve(&self.lifecycle, listeners, [webhooks.router(), private], self.bounds)
    }

    /// Opens the store and starts everything that needs it. Where it cannot be opened for now, a task goes on trying.
    pub(super) async fn open(&self) -> Result<(), StoreError> {
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
        // At the start this runs on the main thread, whose priority the writer's thread inherits. All others are begun in
        // tasks, on the threads of the runtime.
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
            clock_steps: Arc::clone(&self.clock_steps),
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
        let deriver = Deriver::new(Arc::clone(&store), [webhooks, fetched], Arc::clone(&self.stalls));
        self.lifecycle.run("deriver", deriver.run(stop()));
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
            clock_steps: Arc::clone(&self.clock_steps),
        })
    }

    /// How many streams there may be: they last, and most places must be left to those who ask.
    fn streams(&self) -> usize {
        let [_, private] = self.bounds;
        (private.connections / 4).min(Streams::MOST)
    }

    /// What answers readers.
    fn query(&self, store: &Arc<dyn Store>) -> Query {
        Query {
            store: Arc::clone(store),
            country: self.config.default_country,
            streams: Streams::new(self.lifecycle.clone(), self.streams()),
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
            signatures: settings::signatures(&self.config.applications, self.config.signed),
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

    /// Lets systemd's watchdog know that the daemon lives, where there is one.
    pub(super) fn feed_watchdog(&self) {
        if let Some(period) = lifecycle::watchdog_period() {
            self.lifecycle.run("watchdog", feed_watchdog(period, self.lifecycle.clone()));
        }
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

/// Tells systemd that the runtime still runs tasks. The store has no part in it: while it is locked or its disk is full
/// calls still get their NCCO, which a killed daemon could not give them.
async fn feed_watchdog(period: Duration, lifecycle: Lifecycle) {
    while !lifecycle.soft_stop().is_cancelled() {
        lifecycle::tell(Status::Alive);
        lifecycle.soft_stop().run_until_cancelled(tokio::time::sleep(period / 2)).await;
    }
}
