//! Answers that are large, and clients that do not read them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use conversationd::config::Reading;
use conversationd::daemon;
use conversationd::domain::clock::{Clock, SystemClock};
use conversationd::domain::filter::Filter;
use conversationd::http::serve::{Bounds, Server};
use conversationd::store::Page;
use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::{PATIENCE, TestDaemon, World};
use crate::support::process::{Process, configure, log};

/// What the real binary may take at most while hundreds of clients read nothing. It takes about 50 MB by itself.
const MOST_KIB: u64 = 300 * 1024;

fn event(number: usize, filling: usize) -> String {
    json!({
        "conversation_uuid": format!("CON-{number}"), "uuid": "leg", "status": "completed",
        "filling": "x".repeat(filling),
    })
    .to_string()
}

/// A daemon with so many webhooks, each with a body of so many bytes.
async fn daemon_with(webhooks: usize, bytes: usize) -> TestDaemon {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for number in 0..webhooks {
        assert_eq!(daemon.post_event(event(number, bytes)).await.status, 204);
    }
    daemon
}

/// Asks and reads nothing.
fn ask_and_leave(address: impl Into<SocketAddr>, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address.into()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    stream
}

/// The first part of an answer; nothing of one that was broken off.
fn head(stream: &mut TcpStream) -> String {
    let mut head = [0; 512];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = stream.read(&mut head).unwrap_or(0);
    String::from_utf8_lossy(&head[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_bodies_ends_early_and_the_next_goes_on() {
    let daemon = daemon_with(30, 250_000).await;
    let (mut path, mut numbers, mut pages) = ("/v1/webhooks?limit=500".to_owned(), Vec::new(), 0);
    loop {
        let reply = daemon.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", &reply.text[..200.min(reply.text.len())]);
        assert!(reply.text.len() < 2_500_000, "a page has {} bytes", reply.text.len());
        let page = reply.json();
        numbers.extend(page["items"].as_array().unwrap().iter().map(|one| one["number"].as_i64().unwrap()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/webhooks?limit=500&next={next}"),
            None => break,
        }
    }
    assert!(pages > 3, "{pages} pages");
    let mut sorted = numbers.clone();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    sorted.dedup();
    assert_eq!((numbers.len(), numbers), (30, sorted), "each is there once, newest first");
    let lines = daemon.get("/v1/webhooks?format=ndjson").await;
    assert_eq!(lines.text.lines().count(), 30);
    assert_eq!(daemon.get("/v1/webhooks?format=csv").await.text.lines().count(), 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portion_is_read_by_its_bytes_and_parts_and_nothing_is_left_out() {
    let webhooks = "max_body_bytes = 16777216";
    let daemon = World { signatures: "off", webhooks, ..World::default() }.start().await;
    for number in 0..4 {
        assert_eq!(daemon.post_event(event(number, 900_000)).await.status, 204);
    }
    let store = daemon.store().await;
    let read = store.newest_arrivals(250, None).await.unwrap();
    assert_eq!(read.len(), 2, "a MiB and the one that reaches it");
    assert_eq!(store.newest_arrivals(250, Some(read[1].number)).await.unwrap().len(), 2);
    // A conference with more legs and statuses than are read at one time; it is the newest, and so the first.
    for hundred in 0..42 {
        let legs = (0..100).map(|leg| {
            let leg = format!("leg-{hundred}-{leg}");
            json!({"conversation_uuid": "CON-A", "uuid": leg, "status": "started"}).to_string()
        });
        let replies = join_all(legs.map(|leg| daemon.post_event(leg))).await;
        assert!(replies.iter().all(|reply| reply.status == 204));
    }
    let complete = |list: &Value| {
        let items = list["items"].as_array().unwrap();
        let legs: usize = items.iter().map(|one| one["legs"].as_array().unwrap().len()).sum();
        items.len() == 5 && legs == 4204
    };
    daemon.wait_for_path("/v1/conversations?limit=100", complete).await;
    let page = Page::first(250);
    let now = SystemClock.now();
    let listed = store.conversations(&Filter::default(), now, &page).await.unwrap();
    assert_eq!(listed.len(), 1, "the others are read after it");
    assert_eq!(daemon.get("/v1/conversations?format=ndjson").await.text.lines().count(), 5);
    assert_eq!(daemon.get("/v1/webhooks?format=csv").await.text.lines().count(), 4205);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_small_items_has_as_many_as_are_asked_for() {
    let daemon = daemon_with(60, 10).await;
    for limit in [1, 15, 16, 17, 33, 59] {
        let page = daemon.get(&format!("/v1/webhooks?limit={limit}")).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), limit);
        assert!(page["next"].is_string(), "{limit}");
        let lines = daemon.get(&format!("/v1/webhooks?limit={limit}&format=ndjson")).await;
        assert_eq!(lines.text.lines().count(), limit);
    }
    let page = daemon.get("/v1/webhooks?limit=60").await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (60, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_nobody_reads_leave_room_again_when_they_are_given_up() {
    let daemon = daemon_with(200, 50_000).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let reading = Reading { store: daemon.store_path(), default_country: None };
    let router = daemon::reader(&reading, clock).await.unwrap().router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let write_timeout = Duration::from_secs(2);
    let bounds = Bounds { head_timeout: PATIENCE, write_timeout, connections: 500, half_closed: false };
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    server.spawn(Server { name: "test", listener, router, bounds }.run(stop.clone()));
    let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let get = async |path: &str| http.get(format!("http://{address}{path}")).send().await.unwrap();

    let mut stuck: Vec<_> = (0..100).map(|_| ask_and_leave(address, "/v1/webhooks?format=csv")).collect();
    assert_eq!(get("/v1/webhooks?limit=1").await.status(), StatusCode::OK, "small answers go on");
    let export = tokio::time::timeout(PATIENCE, async {
        let mut turns = tokio::time::interval(Duration::from_millis(200));
        loop {
            turns.tick().await;
            let export = get("/v1/webhooks?format=ndjson").await;
            if export.status() == StatusCode::OK {
                return export;
            }
        }
    });
    let export = export.await.expect("those who do not read make room");
    assert_eq!(export.text().await.unwrap().lines().count(), 200);
    // Some were told to come back, in so many words.
    let heads: Vec<String> = stuck.iter_mut().map(head).collect();
    let refused: Vec<&String> = heads.iter().filter(|head| head.starts_with("HTTP/1.1 503")).collect();
    assert!(!refused.is_empty() && refused.len() < 100);
    for head in refused {
        assert!(head.contains("retry-after: ") && head.contains("application/problem+json"), "{head}");
    }
    drop(stuck);
    stop.cancel();
    server.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_clients_that_read_nothing_take_neither_the_listener_nor_the_memory() {
    let directory = tempfile::tempdir().unwrap();
    let world = World { signatures: "off", ..World::default() };
    let [public, private] = configure(directory.path(), &world, "http://127.0.0.1:9").unwrap();
    let process = Process::start(directory.path());
    assert_eq!(process.told(), "READY=1");
    let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    for number in 0..300 {
        let url = format!("http://127.0.0.1:{public}/webhooks/event");
        let request = http.post(url).header("content-type", "application/json");
        let bytes = if number % 2 == 0 { 20_000 } else { 250_000 };
        assert_eq!(request.body(event(number, bytes)).send().await.unwrap().status(), 204);
    }
    let address = SocketAddr::from(([127, 0, 0, 1], private));
    let paths =
        ["/v1/webhooks?format=ndjson", "/v1/webhooks?limit=500", "/v1/webhooks?format=csv", "/v1/webhooks"];
    let mut stuck = Vec::new();
    for round in 0..3 {
        for number in 0..200 {
            stuck.push(ask_and_leave(address, paths[number % paths.len()]));
        }
        for path in
            ["/readyz", "/livez", "/metrics", "/v1/conversations?limit=5", "/v1/gaps", "/v1/webhooks?limit=1"]
        {
            let answer = http.get(format!("http://{address}{path}")).send().await.unwrap();
            let status = answer.status();
            assert_eq!(status, StatusCode::OK, "{round} {path}: {}", answer.text().await.unwrap());
        }
    }
    let mut turns = tokio::time::interval(Duration::from_millis(200));
    let large = async {
        while http.get(format!("http://{address}/v1/webhooks?limit=500")).send().await.unwrap().status()
            != StatusCode::OK
        {
            turns.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, large).await.expect("large answers go on as well");
    let peak: u64 = process
        .system_says("status", "VmHWM:")
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("it is a number of KiB");
    assert!(peak < MOST_KIB, "it took {peak} KiB");
    process.signal("TERM");
    assert!(process.ended().success(), "{}", log(directory.path()));
}
