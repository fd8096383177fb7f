//! The real binary with few descriptors: connections must not take those that calls need.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use conversationd::simulator::{Call, Pace, Simulator};
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::{PATIENCE, World};
use crate::support::process::{Process, configure, log};

struct Place {
    directory: TempDir,
    vonage: Simulator,
    public: u16,
    private: u16,
}

async fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let world = World::default();
    let vonage = world.vonage().await;
    let [public, private] = configure(directory.path(), &world, vonage.api_url().as_str()).unwrap();
    vonage.send_webhooks_to(format!("http://127.0.0.1:{public}").parse().unwrap());
    Place { directory, vonage, public, private }
}

impl Place {
    /// Starts the daemon after the shell has run `before`.
    fn start(&self, before: &str) -> Process {
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let process = Process::start_logging_to(self.directory.path(), log, before);
        assert_eq!(process.told(), "READY=1");
        process
    }

    async fn get(&self, port: u16, path: &str) -> (StatusCode, String) {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let answer = http.get(format!("http://127.0.0.1:{port}{path}")).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

/// Connections on which nothing is sent.
fn idle(port: u16, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let place = place().await;
    let process = place.start("ulimit -Sn 64; ulimit -Hn 512");
    let limits = process.system_says("limits", "Max open files");
    let limits: Vec<&str> = limits.split_whitespace().collect();
    assert_eq!(limits[..2], ["512", "512"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_take_nothing_from_calls_with_few_descriptors() {
    for (descriptors, connections) in [(256, 400), (128, 300)] {
        let place = place().await;
        let _process = place.start(&format!("ulimit -n {descriptors}"));
        let mut crowd = idle(place.public, connections);
        crowd.extend(idle(place.private, connections));
        let call = Call::tutorial();
        let played = tokio::time::timeout(PATIENCE, place.vonage.play(&call, Pace::AtOnce)).await;
        assert!(played.unwrap().is_accepted(), "webhooks are taken: {}", log(place.directory.path()));
        crowd.extend(idle(place.public, connections));
        assert_eq!(place.get(place.public, "/livez").await.0, StatusCode::OK);
        let path = format!("/v1/conversations/{}", call.conversations()[0]);
        let captured = async {
            let mut turns = tokio::time::interval(Duration::from_millis(50));
            loop {
                turns.tick().await;
                let answer = place.get(place.private, &path).await.1;
                let answer: Value = serde_json::from_str(&answer).unwrap();
                if answer["capture"]["state"] == "captured" {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, captured).await.expect("the call is captured");
        let gaps: Value = serde_json::from_str(&place.get(place.private, "/v1/gaps").await.1).unwrap();
        assert_eq!(gaps["items"], Value::Array(Vec::new()), "nobody else is to blame");
        let log = log(place.directory.path());
        assert!(!log.contains("\"ERROR\""), "{descriptors}: {log}");
        drop(crowd);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_bodies_take_nothing_from_calls_with_few_descriptors() {
    let place = place().await;
    let _process = place.start("ulimit -n 256");
    let head = "POST /webhooks/event HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 1000\r\n\r\n";
    let crowd = (0..400).map(|_| {
        let mut client = TcpStream::connect(("127.0.0.1", place.public)).unwrap();
        client.write_all(head.as_bytes()).unwrap();
        client
    });
    let _crowd: Vec<TcpStream> = crowd.collect();
    let played = tokio::time::timeout(PATIENCE, place.vonage.play(&Call::tutorial(), Pace::AtOnce)).await;
    assert!(played.unwrap().is_accepted(), "webhooks are taken: {}", log(place.directory.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_told_of_once_and_the_pause_is_kept() {
    let place = place().await;
    let process = place.start("ulimit -n 512");
    let mut open = idle(place.public, 30);
    assert_eq!(place.get(place.public, "/livez").await.0, StatusCode::OK, "those before it are accepted");
    process.limit_descriptors_to(5, 512);
    let waiting = idle(place.public, 5);
    let refusals = || log(place.directory.path()).matches("connections cannot be accepted").count();
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    let first = async {
        while refusals() == 0 {
            turns.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, first).await.expect("it is told");
    // Each that ends must not cut the pause short.
    while open.pop().is_some() {
        turns.tick().await;
    }
    process.limit_descriptors_to(512, 512);
    assert_eq!(place.get(place.public, "/livez").await.0, StatusCode::OK, "it goes on by itself");
    assert_eq!(refusals(), 1, "{}", log(place.directory.path()));
    drop(waiting);
}
