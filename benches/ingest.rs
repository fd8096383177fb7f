//! How many event webhooks a second are acknowledged after they are on disk, as a share of what a route that
//! only reads the body acknowledges in the same process: `cargo bench --bench ingest`.
//!
//! Both are asked in turn, several times, over as many connections; on a machine that others use too, only
//! the ratios within one run mean anything.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use conversationd::config::{Config, Environment};
use conversationd::daemon::{self, Listeners, runtime};
use conversationd::domain::clock::SystemClock;
use conversationd::store::{self, Stale};
use mimalloc::MiMalloc;
use reqwest::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The daemon's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Connections, each with one request under way.
const CONNECTIONS: u64 = 64;

/// How long each side is asked at a time.
const ROUND: Duration = Duration::from_secs(1);

/// How often each side is asked; an odd number has a median.
const ROUNDS: usize = 21;

/// Events of one conversation: a call with two legs has eight.
const EVENTS_PER_CALL: u64 = 8;

/// The least share that is acceptable.
const LEAST_RATIO: f64 = 0.5;

fn main() -> ExitCode {
    let runtime = runtime::build().expect("a runtime can be had");
    let ratio = runtime.block_on(compare());
    println!("\ndurable / bare: {ratio:.2} (median of {ROUNDS}; at least {LEAST_RATIO} is wanted)");
    if ratio >= LEAST_RATIO { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn compare() -> f64 {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let store = directory.path().join("conversationd.db");
    let bare = serve_bare().await;
    let durable = serve_durable(&store).await;
    let counter = Arc::new(AtomicU64::new(0));
    ask(bare, Duration::from_secs(1), &counter).await;
    ask(durable, Duration::from_secs(1), &counter).await;

    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        settle(&store).await;
        let bare = ask(bare, ROUND, &counter).await;
        let durable = ask(durable, ROUND, &counter).await;
        ratios.push(durable / bare);
        println!("round {round}: bare {bare:>8.0}/s  durable {durable:>8.0}/s  ratio {:.2}", durable / bare);
    }
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}

/// A route that reads the body and acknowledges it.
async fn serve_bare() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port can be had");
    let address = listener.local_addr().expect("a bound socket has an address");
    let router = Router::new().route("/webhooks/event", post(|_: Bytes| async { StatusCode::NO_CONTENT }));
    detached(async move { axum::serve(listener, router).await.expect("the listener lives") });
    address
}

/// The daemon itself, with everything but an application.
async fn serve_durable(store: &Path) -> SocketAddr {
    let set = |key: &str, value: String| (format!("CONVERSATIOND__{key}"), value);
    let environment = Environment::new(vec![
        set("WEBHOOKS__LISTEN", "127.0.0.1:0".to_owned()),
        set("QUERY__LISTEN", "127.0.0.1:0".to_owned()),
        set("STORE__URL", format!("sqlite:{}", store.display())),
    ]);
    let config =
        Config::load(Some(Path::new("config/conversationd.toml")), &environment).expect("it is valid");
    let listeners = Listeners::bind(&config).await.expect("ports can be had");
    let daemon = daemon::start(config, listeners, Arc::new(SystemClock)).await.expect("it starts");
    let address = daemon.public;
    detached(daemon.ended(std::future::pending()));
    address
}

#[expect(clippy::disallowed_methods, reason = "servers live as long as the process")]
fn detached<F: Future<Output: Send> + Send + 'static>(server: F) {
    drop(tokio::spawn(server));
}

/// Waits until every call so far is interpreted, so that the bare side is not measured while that goes on.
async fn settle(path: &Path) {
    let (store, _writer) = store::open_shared(path).await.expect("the store can be read beside the daemon");
    while store.stale(1).await.expect("the store can be read") != Stale::default() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.close().await;
}

/// Requests a second that were acknowledged.
async fn ask(address: SocketAddr, time: Duration, counter: &Arc<AtomicU64>) -> f64 {
    let began = Instant::now();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client can be had");
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(ask_over_one_connection(client.clone(), address, began + time, Arc::clone(counter)));
    }
    let acknowledged: f64 = clients.join_all().await.into_iter().map(f64::from).sum();
    acknowledged / began.elapsed().as_secs_f64()
}

/// A request, its acknowledgement, the next. The client has a connection for each of those who use it at one
/// time.
async fn ask_over_one_connection(
    client: reqwest::Client,
    address: SocketAddr,
    until: Instant,
    counter: Arc<AtomicU64>,
) -> u32 {
    let url = format!("http://{address}/webhooks/event");
    let mut acknowledged = 0;
    while Instant::now() < until {
        let body = event(counter.fetch_add(1, Ordering::Relaxed));
        let request = client.post(&url).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.expect("the server replies");
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        acknowledged += 1;
    }
    acknowledged
}

/// An event of its own, of about the size of a real one.
fn event(number: u64) -> String {
    // Scattered over the key space, as Vonage's random ids are.
    let call = (number / EVENTS_PER_CALL).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        r#"{{"headers":{{}},"from":"447700900001","to":"447700900100","uuid":"{call:032x}","conversation_uuid":"CON-{call:016x}-4000-8000-000000000000","status":"ringing","direction":"inbound","timestamp":"2026-03-09T{:02}:{:02}:{:02}.{:03}Z","sequence":{number}}}"#,
        number / 3_600_000 % 24,
        number / 60_000 % 60,
        number / 1000 % 60,
        number % 1000,
    )
}
