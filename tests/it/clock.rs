//! The machine's clock is set while the daemon runs: nothing waits for an instant that has been left behind, nothing is
//! given up that failed for seconds, and the record says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::time::Duration;

use conversationd::simulator::{Action, Call, Fault, Pace};
use jiff::SignedDuration;
use serde_json::Value;

use crate::support::daemon::{PATIENCE, TestDaemon, World, standing_still_at};

const START: &str = "2026-03-09T10:15:30Z";

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The state of a call while both talk, and one webhook that tells of it.
async fn talk(daemon: &TestDaemon) -> String {
    let (mut talk, _) =
        Call::inbound(1, START.parse().unwrap()).split_at("2026-03-09T10:15:50Z".parse().unwrap());
    let webhook = talk.webhooks().last().unwrap().clone();
    talk.steps.retain(|step| matches!(step.action, Action::Change(_)));
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    assert!(daemon.vonage.send(webhook).await.is_accepted());
    talk.conversation.to_string()
}

/// Waits until Vonage was asked once more than `before` times.
async fn asked_again(daemon: &TestDaemon, before: usize) {
    let asked = daemon.vonage.wait_for_requests(before + 1);
    tokio::time::timeout(PATIENCE, asked).await.expect("Vonage is asked");
}

async fn clock_gap(daemon: &TestDaemon) -> Value {
    let gap = |list: &Value| {
        let gaps = list["items"].as_array().unwrap();
        gaps.iter().find(|gap| gap["cause"] == "clock").cloned()
    };
    let list = daemon.wait_for_path("/v1/gaps", |list| gap(list).is_some()).await;
    gap(&list).unwrap()
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_neither_polls_nor_retries_nor_lists() {
    let (world, clock) = standing_still_at(START);
    let daemon = World { reconcile: "10s", ..world }.start().await;
    let id = talk(&daemon).await;
    daemon.wait_for(&id, |one| one["capture"]["state"] == "captured").await;
    let lists =
        || daemon.vonage.requests().iter().filter(|request| request.path.starts_with("/v1/calls")).count();
    let listed = daemon
        .vonage
        .wait_until(|requests| requests.iter().any(|request| request.path.starts_with("/v1/calls")));
    tokio::time::timeout(PATIENCE, listed).await.expect("calls are listed");

    let (before, lists_before) = (daemon.vonage.requests().len(), lists());
    clock.set(-HOUR);
    let gap = clock_gap(&daemon).await;
    assert_eq!(gap["began_at"], "2026-03-09T09:15:30.000Z");
    assert_eq!(gap["ended_at"], "2026-03-09T10:15:30.000Z");
    // The poll that was due in 15 s is due now, and the next is again in 15 s.
    asked_again(&daemon, before).await;
    daemon.advance_until_asked(&clock, SignedDuration::from_secs(16)).await;
    let listed = async {
        let mut turns = tokio::time::interval(Duration::from_millis(10));
        while lists() == lists_before {
            turns.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, listed)
        .await
        .expect("calls are listed 10 s later, whatever the clock says");

    // A retry, too.
    daemon.vonage.answer_next(1000, Fault::Status(503));
    daemon.advance_until_asked(&clock, SignedDuration::from_secs(16)).await;
    daemon.vonage.answer_properly();
    let before = daemon.vonage.requests().len();
    clock.set(-HOUR);
    asked_again(&daemon, before).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_minutes_stops_no_poll_either() {
    let (world, clock) = standing_still_at(START);
    let daemon = world.start().await;
    let id = talk(&daemon).await;
    daemon.wait_for(&id, |one| one["capture"]["state"] == "captured").await;
    let before = daemon.vonage.requests().len();
    clock.set(SignedDuration::from_mins(-5));
    asked_again(&daemon, before).await;
    daemon.advance_until_asked(&clock, SignedDuration::from_secs(16)).await;
}

#[tokio::test]
async fn a_clock_that_is_set_forward_by_days_ends_no_call() {
    let (world, clock) = standing_still_at(START);
    let daemon = world.start().await;
    let id = talk(&daemon).await;
    daemon.wait_for(&id, |one| one["capture"]["state"] == "captured").await;
    daemon.vonage.refuse_tokens(true);
    clock.set(SignedDuration::from_hours(48));
    clock_gap(&daemon).await;
    for refused in [true, true, false, false, false] {
        daemon.vonage.refuse_tokens(refused);
        daemon.advance_until_asked(&clock, SignedDuration::from_secs(31)).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_gives_up_nothing_that_failed_for_seconds() {
    for step in [HOUR, -HOUR, HOUR * 48, -HOUR * 48] {
        let (world, clock) = standing_still_at(START);
        let daemon = world.start().await;
        daemon.vonage.answer_next(100_000, Fault::Status(503));
        let id = talk(&daemon).await;
        daemon.wait_for(&id, |one| one["capture"]["reason"].is_string()).await;
        for step in [step, -step] {
            clock.set(step);
            clock_gap(&daemon).await;
            for _ in 0..2 {
                daemon.advance_until_asked(&clock, SignedDuration::from_secs(31)).await;
                daemon.wait_for(&id, |one| one["capture"]["state"] == "pending").await;
            }
        }
        daemon.vonage.answer_properly();
        daemon.advance_until_asked(&clock, SignedDuration::from_secs(31)).await;
        daemon.wait_for(&id, |one| one["capture"]["state"] == "captured").await;
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_while_the_daemon_was_down_is_a_gap_and_holds_nothing_up() {
    let (world, clock) = standing_still_at(START);
    let mut daemon = world.start().await;
    daemon.vonage.answer_next(100_000, Fault::Status(503));
    let id = talk(&daemon).await;
    daemon.wait_for(&id, |one| one["capture"]["reason"].is_string()).await;
    daemon.stop().await;
    daemon.vonage.answer_properly();
    clock.set(-HOUR);
    daemon.start_again().await;
    clock_gap(&daemon).await;
    daemon.wait_for(&id, |one| one["capture"]["state"] == "captured").await;
}
