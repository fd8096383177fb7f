//! More calls at one time than requests: each is seen, and seen again after it was answered.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::sync::Arc;
use std::time::Duration;

use conversationd::domain::clock::{Clock, SystemClock};
use conversationd::simulator::{Action, Call, Members, Pace};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::daemon::{TestDaemon, World};

/// Calls that begin within one second.
const CALLS: u32 = 60;

/// When a call is answered, and when it ends.
const ANSWERED: Duration = Duration::from_secs(5);
const ENDED: Duration = Duration::from_secs(20);

/// Plays a call of 20 s in its own time; returns when it was answered.
async fn call(daemon: Arc<TestDaemon>, number: u32) -> Timestamp {
    let began = Instant::now();
    let starting: Timestamp = "2026-03-09T10:15:30Z".parse().unwrap();
    let call = Call::inbound(number, starting);
    let end = call.steps.iter().find(|step| match &step.action {
        Action::Webhook(webhook) => String::from_utf8_lossy(&webhook.body).contains("\"completed\""),
        Action::Change(_) => false,
    });
    let ended_at = end.unwrap().at;
    let (ringing, rest) = call.split_at(starting + SignedDuration::from_secs(9));
    let (talking, over) = rest.split_at(ended_at);
    tokio::time::sleep_until(began + Duration::from_millis(u64::from(number) * 15)).await;
    assert!(daemon.vonage.play(&ringing, Pace::AtOnce).await.is_accepted());
    tokio::time::sleep_until(began + ANSWERED).await;
    let answered_at = SystemClock.now();
    assert!(daemon.vonage.play(&talking, Pace::AtOnce).await.is_accepted());
    tokio::time::sleep_until(began + ENDED).await;
    assert!(daemon.vonage.play(&over, Pace::AtOnce).await.is_accepted());
    answered_at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs its 20 s and the machine for itself; scripts/test runs it alone"]
async fn of_sixty_calls_at_five_requests_a_second_each_is_seen_twice() {
    let world = World {
        members: Members::Embedded,
        signatures: "off",
        more: "requests_per_second = 5",
        ..World::default()
    };
    let daemon = Arc::new(world.start().await);
    // One that can no longer be captured: Vonage has never known it. It must not take the others' requests.
    let lost = r#"{"status":"ringing","uuid":"lost","conversation_uuid":"CON-lost","timestamp":"2026-03-09T10:15:30.000Z"}"#;
    assert_eq!(daemon.post_event(lost).await.status, 204);
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let daemon = Arc::clone(&daemon);
        calls.spawn(async move { (number, call(daemon, number).await) });
    }
    let mut unseen = Vec::new();
    for (number, answered_at) in calls.join_all().await {
        let id = Call::inbound(number, Timestamp::UNIX_EPOCH).conversations()[0].to_string();
        let conversation =
            daemon.wait_for(&id, |one| one["state"] == "ended" && one["capture"]["state"] != "pending").await;
        let last_at = conversation["capture"]["last_at"].as_str().map(|at| at.parse::<Timestamp>().unwrap());
        if last_at.is_none_or(|last_at| last_at < answered_at) {
            unseen.push((number, conversation["capture"].clone(), answered_at));
        }
    }
    assert!(
        unseen.is_empty(),
        "{} of {CALLS} were not seen after they were answered: {unseen:?}",
        unseen.len()
    );
    assert!(daemon.vonage.peak_per_second() <= 5);
}
