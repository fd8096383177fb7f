//! Vonage limits the rate of requests (429): what it says of one API of one application is believed of that alone, for a
//! minute at most, and named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::time::Duration;

use conversationd::simulator::{Action, Call, Fault, Pace};
use jiff::SignedDuration;

use crate::support::daemon::{PATIENCE, TestDaemon, World, standing_still_at};

const HOUR: Duration = Duration::from_hours(1);

/// Lets a call begin of which one webhook tells.
async fn begin(daemon: &TestDaemon, number: u32) -> String {
    let start = "2026-03-09T10:15:30Z".parse().unwrap();
    let (mut talk, _) = Call::inbound(number, start).split_at("2026-03-09T10:15:50Z".parse().unwrap());
    let webhook = talk.webhooks().last().unwrap().clone();
    talk.steps.retain(|step| matches!(step.action, Action::Change(_)));
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    assert!(daemon.vonage.send(webhook).await.is_accepted());
    talk.conversation.to_string()
}

#[tokio::test]
async fn a_429_on_the_list_of_calls_holds_up_no_fetch_and_is_a_gap() {
    let (world, clock) = standing_still_at("2026-03-09T10:15:50Z");
    let daemon = World { reconcile: "10s", ..world }.start().await;
    let listed = daemon
        .vonage
        .wait_until(|requests| requests.iter().any(|request| request.path.starts_with("/v1/calls")));
    tokio::time::timeout(PATIENCE, listed).await.expect("calls are listed at the start");
    daemon.vonage.answer_always("/v1/calls", Fault::TooManyRequests { retry_after: Some(HOUR) });
    daemon.advance_until_asked(&clock, SignedDuration::from_secs(11)).await;
    let throttled =
        daemon.vonage.wait_until(|requests| requests.iter().any(|request| request.status == Some(429)));
    tokio::time::timeout(PATIENCE, throttled).await.expect("calls are listed");
    for number in 1..=3 {
        let id = begin(&daemon, number).await;
        let captured = daemon.wait_for(&id, |one| one["capture"]["state"] == "captured");
        tokio::time::timeout(Duration::from_secs(5), captured).await.expect("fetches go on");
    }
    let asked = daemon.vonage.requests().iter().filter(|request| request.status == Some(429)).count();
    assert_eq!(asked, 1, "it is left alone as it asked");
    daemon.advance(&clock, SignedDuration::from_secs(3));
    daemon.wait_for_path("/v1/gaps", |list| list["items"][0]["cause"] == "throttled").await;
}

#[tokio::test]
async fn a_429_on_a_fetch_is_a_gap_while_something_is_pending() {
    let daemon = World::default().start().await;
    daemon.vonage.answer_next(1, Fault::TooManyRequests { retry_after: Some(Duration::from_secs(3)) });
    let first = begin(&daemon, 1).await;
    let list = daemon.wait_for_path("/v1/gaps", |list| list["items"][0]["cause"] == "throttled").await;
    assert!(list["items"][0]["ended_at"].is_null(), "{list}");
    let second = begin(&daemon, 2).await;
    assert_eq!(daemon.vonage.requests().len(), 1, "nobody asks meanwhile");
    for id in [first, second] {
        daemon.wait_for(&id, |one| one["capture"]["state"] == "captured").await;
    }
    daemon.wait_for_path("/v1/gaps", |list| list["items"][0]["ended_at"].is_string()).await;
}
