//! The real binary on a store of which a part is damaged: what can go on does, and the rest is said.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, query, query_scalar};

use crate::support::daemon::{NCCO, PATIENCE};
use crate::support::process::Process;
use crate::support::service::Service;

/// Overwrites the first page of a table or index with what is no page.
async fn damage(directory: &Path, name: &str) {
    let path = directory.join("conversationd.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let page: i64 = query_scalar("SELECT rootpage FROM sqlite_schema WHERE name = ?")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let size: i64 = query_scalar("PRAGMA page_size").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let size = usize::try_from(size).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xa5; size], u64::try_from(page - 1).unwrap() * size as u64).unwrap();
}

/// A daemon that has seen a call and was stopped.
async fn stopped() -> Service {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    assert_eq!(service.event("CON-before").await, StatusCode::NO_CONTENT);
    service.wait_for_conversation("CON-before").await;
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success());
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_a_damaged_page_stops_is_a_gap_and_the_daemon_is_not_ready() {
    // Each takes its ten seconds.
    let tables = ["fetches", "fetches_by_queue", "fetches_leased", "mentions", "conversations"];
    futures_util::future::join_all(tables.map(|table| async move {
        let service = stopped().await;
        damage(service.directory.path(), table).await;
        let process = Process::start(service.directory.path());
        assert_eq!(process.told(), "READY=1", "{}", service.log());
        assert_eq!(
            service.event("CON-after").await,
            StatusCode::NO_CONTENT,
            "webhooks have a table of their own"
        );
        assert_eq!(service.answer("CON-answer").await.1, NCCO);
        let told = service.wait_for("/readyz", |status, _| status == StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(told.contains("malformed"), "{table}: {told}");
        service.wait_for("/v1/gaps", |_, gaps| gaps.contains(r#""cause":"store""#)).await;
        let log = service.log();
        let errors = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut errors: Vec<String> = errors
            .filter(|line| line["level"] == "ERROR")
            .map(|line| format!("{} {}", line["message"], line["conversation"]))
            .collect();
        let count = errors.len();
        errors.sort();
        errors.dedup();
        assert!(count == errors.len() && count > 0, "{table}: it is said once of each: {log}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_cannot_be_read_does_not_hold_up_the_others() {
    let service = stopped().await;
    let path = service.directory.path().join("conversationd.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    query("UPDATE arrivals SET received_at = 9223372036854775807").execute(&mut connection).await.unwrap();
    query("UPDATE fetches SET looks = looks + 1").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    assert_eq!(service.event("CON-after").await, StatusCode::NO_CONTENT);
    service.wait_for("/v1/conversations/CON-after", |status, _| status == StatusCode::OK).await;
    let said = || service.log().matches("a conversation cannot be interpreted").count();
    let told = async {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        while said() == 0 {
            turns.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is said of the other");
    for number in 0..5 {
        assert_eq!(service.event(&format!("CON-{number}")).await, StatusCode::NO_CONTENT);
        service
            .wait_for(&format!("/v1/conversations/CON-{number}"), |status, _| status == StatusCode::OK)
            .await;
    }
    assert_eq!(said(), 1, "{}", service.log());
    assert_eq!(service.private("/readyz").await.0, StatusCode::OK);
}
