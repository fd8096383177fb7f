//! The real binary with large webhooks: what it interprets at one time is bounded in bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::daemon::{PATIENCE, World};
use crate::support::process::{Process, configure, log};

/// Webhooks that are sent.
const WEBHOOKS: usize = 500;

/// Connections on which they are sent at one time.
const SENDERS: usize = 8;

/// Conversations that the webhooks speak of in turn.
const CONVERSATIONS: usize = 40;

/// Nearly the largest body that is taken by default.
const BODY_BYTES: usize = 245_000;

/// The most that the binary may take. It takes about 50 MB by itself, in a debug build.
const MOST_BYTES: u64 = 200 * 1024 * 1024;

async fn get(http: &Client, port: u16, path: &str) -> Value {
    let answer = http.get(format!("http://127.0.0.1:{port}{path}")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_large_conversations_is_interpreted_portion_by_portion() {
    let directory = tempfile::tempdir().unwrap();
    let world = World { signatures: "off", ..World::default() };
    let [public, private] = configure(directory.path(), &world, "http://127.0.0.1:9").unwrap();
    let process = Process::start(directory.path());
    assert_eq!(process.told(), "READY=1");
    let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let url = format!("http://127.0.0.1:{public}/webhooks/event");
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (http, url) = (http.clone(), url.clone());
        senders.spawn(async move {
            for number in (sender..WEBHOOKS).step_by(SENDERS) {
                let event = json!({
                    "conversation_uuid": format!("CON-{}", number % CONVERSATIONS), "uuid": format!("leg-{number}"),
                    "status": "started", "filling": "x".repeat(BODY_BYTES),
                });
                let request = http.post(&url).header("content-type", "application/json");
                let reply = request.body(event.to_string()).send().await.unwrap();
                assert_eq!(reply.status(), StatusCode::NO_CONTENT);
            }
        });
    }
    senders.join_all().await;
    let interpreted = async {
        let mut turns = tokio::time::interval(Duration::from_millis(100));
        loop {
            turns.tick().await;
            let list = get(&http, private, "/v1/conversations?limit=100").await;
            let items = list["items"].as_array().unwrap();
            let legs: usize = items.iter().map(|one| one["legs"].as_array().unwrap().len()).sum();
            if legs == WEBHOOKS {
                return items.len();
            }
        }
    };
    let interpreted = tokio::time::timeout(PATIENCE * 3, interpreted).await;
    let count = interpreted.unwrap_or_else(|_| panic!("all are interpreted: {}", log(directory.path())));
    assert_eq!(count, CONVERSATIONS);
    let peak = process.peak_memory();
    assert!(peak < MOST_BYTES, "it took {} MB", peak / 1_000_000);
}
