//! Looks at conversations, against a Vonage with state.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::time::{Duration, Instant};

use conversationd::domain::clock::Clock;
use conversationd::domain::ids::ConversationId;
use conversationd::simulator::{Call, Fault, Members, Pace};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::daemon::{PATIENCE, TestDaemon, World, standing_still_at};

const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";
const ALICE: &str = "MEM-f44c872e-cba9-444f-88ae-0bfa630865a6";

fn is_captured(conversation: &Value) -> bool {
    conversation["capture"]["state"] == "captured"
}

fn is_ended(conversation: &Value) -> bool {
    conversation["state"] == "ended"
}

/// The tutorial's call up to where both talk, and the rest.
fn tutorial_in_two() -> (Call, Call) {
    Call::tutorial().split_at("2018-10-25T09:31:00Z".parse().expect("it is an instant"))
}

/// The tutorial's call up to where both talk, of which Vonage sends a single webhook.
async fn begin_the_tutorial(daemon: &TestDaemon) {
    let (talk, _) = tutorial_in_two();
    let last = talk.webhooks().last().unwrap().clone();
    daemon.vonage.play(&talk_without_webhooks(talk), Pace::AtOnce).await;
    assert!(daemon.vonage.send(last).await.is_accepted());
}

async fn requests(daemon: &TestDaemon, count: usize) {
    tokio::time::timeout(PATIENCE, daemon.vonage.wait_for_requests(count)).await.expect("Vonage is asked");
}

fn states(conversation: &Value) -> Vec<Value> {
    let members = conversation["members"].as_array().expect("there are members");
    members
        .iter()
        .map(|member| {
            let states = member["states"].as_array().expect("a member has states").iter();
            json!([
                member["id"],
                states.map(|state| json!([state["state"], state["at"]])).collect::<Vec<_>>()
            ])
        })
        .collect()
}

async fn the_tutorials_call_is_recorded(world: World) {
    let daemon = world.start().await;
    let played = daemon.vonage.play(&Call::tutorial(), Pace::AfterEachLook).await;
    assert!(played.is_accepted(), "{played:?}");
    assert_eq!(played.missed_looks, 0);
    let conversation = daemon.wait_for(TUTORIAL, |one| is_ended(one) && is_captured(one)).await;
    assert_eq!(
        states(&conversation),
        [
            json!([ALICE, [["JOINED", "2018-10-25T09:26:19.204Z"], ["JOINED", "2018-10-25T09:26:30.334Z"]]]),
            json!([
                "MEM-25ccda92-839d-4ac6-a7b2-de310224878b",
                [["INVITED", "2018-10-25T09:26:19.385Z"], ["JOINED", "2018-10-25T09:26:30.270Z"]]
            ]),
        ]
    );
    let legs = conversation["legs"].as_array().unwrap();
    let statuses = |leg: &Value| {
        leg["statuses"].as_array().unwrap().iter().map(|status| status["status"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(legs.len(), 2);
    for leg in legs {
        assert_eq!(statuses(leg), ["started", "ringing", "answered", "completed"]);
    }
    let facts = ["direction", "from", "to", "started_at", "answered_at", "ended_at", "duration", "status"];
    assert_eq!(
        facts.map(|fact| conversation[fact].clone()),
        [
            json!("inbound"),
            json!("447700000001"),
            json!("447700000002"),
            json!("2018-10-25T09:26:18.991Z"),
            json!("2018-10-25T09:26:30.340Z"),
            json!("2018-10-25T09:31:30.179Z"),
            json!(300),
            json!("completed"),
        ]
    );
}

#[tokio::test]
async fn the_tutorials_call_is_recorded_with_embedded_members() {
    the_tutorials_call_is_recorded(World::default()).await;
}

#[tokio::test]
async fn the_tutorials_call_is_recorded_with_listed_members() {
    the_tutorials_call_is_recorded(World { members: Members::Listed, ..World::default() }).await;
}

#[tokio::test]
async fn the_tutorials_call_is_recorded_in_the_oldest_shape() {
    the_tutorials_call_is_recorded(World { family: "beta", ..World::default() }).await;
}

#[tokio::test]
async fn repeated_and_late_webhooks_tell_the_same_story() {
    let daemon = World::default().start().await;
    let played = daemon.vonage.play(&Call::tutorial().repeated().reversed(), Pace::AtOnce).await;
    assert!(played.is_accepted());
    let path = format!("/v1/conversations/{TUTORIAL}/webhooks");
    let all_twice = |list: &Value| {
        list["items"]
            .as_array()
            .is_some_and(|items| items.len() == 9 && items.iter().all(|item| item["deliveries"] == 2))
    };
    daemon.wait_for_path(&path, all_twice).await;
    let statuses = |leg: &Value| -> Vec<String> {
        let statuses = leg["statuses"].as_array().unwrap().iter();
        statuses.map(|status| status["status"].as_str().unwrap().to_owned()).collect()
    };
    let is_told = |one: &Value| {
        one["legs"].as_array().is_some_and(|legs| legs.iter().all(|leg| statuses(leg).len() == 4))
    };
    let conversation = daemon.wait_for(TUTORIAL, is_told).await;
    for leg in conversation["legs"].as_array().unwrap() {
        assert_eq!(statuses(leg), ["started", "ringing", "answered", "completed"]);
    }
    assert_eq!(conversation["state"], "ended");
}

#[tokio::test]
async fn a_live_call_is_looked_at_each_poll_interval_and_an_unchanged_one_makes_no_version() {
    let (mut world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    // A list that is read only after the clock was moved would move the next look, too.
    world.more = "requests_per_second = 500\nevents = false";
    let daemon = world.start().await;
    begin_the_tutorial(&daemon).await;
    let first = daemon.wait_for(TUTORIAL, |one| one["capture"]["snapshots"] == 1).await;
    let asked = daemon.vonage.requests().len();
    daemon.advance(&clock, SignedDuration::from_secs(16));
    requests(&daemon, asked + 1).await;
    let later =
        daemon.wait_for(TUTORIAL, |one| one["capture"]["last_at"] != first["capture"]["last_at"]).await;
    assert_eq!(later["capture"]["snapshots"], 1, "{later}");
    assert_eq!(later["capture"]["last_at"], "2018-10-25T09:26:56.000Z");
    assert_eq!(later["state"], "live");
    assert_eq!(later["ended_at"], Value::Null);
}

#[tokio::test]
async fn after_the_last_leg_one_more_look_is_the_last() {
    let (mut world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    world.more = "requests_per_second = 500\nevents = false";
    let daemon = world.start().await;
    let (talk, end) = tutorial_in_two();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, is_captured).await;
    let before = daemon.vonage.requests().len();
    daemon.vonage.play(&end, Pace::AtOnce).await;
    let ended =
        daemon.wait_for(TUTORIAL, |one| is_ended(one) && one["legs"][1]["status"] == "completed").await;
    assert_eq!(ended["capture"]["reason"], Value::Null);
    requests(&daemon, before + 1).await;
    let path = format!("/v1/conversations/{TUTORIAL}/webhooks");
    daemon.wait_for_path(&path, |list| list["items"].as_array().is_some_and(|items| items.len() == 9)).await;
    // Whatever of the last looks is still under way has ended when a later conversation was looked at.
    daemon.vonage.play(&Call::inbound(1, "2018-10-25T09:26:40Z".parse().unwrap()), Pace::AtOnce).await;
    let after = daemon.vonage.requests().iter().filter(|request| request.path.contains(TUTORIAL)).count();
    daemon.advance(&clock, SignedDuration::from_mins(5));
    daemon.vonage.play(&Call::inbound(2, "2018-10-25T09:32:40Z".parse().unwrap()), Pace::AtOnce).await;
    let still = daemon.vonage.requests().iter().filter(|request| request.path.contains(TUTORIAL)).count();
    assert!(still <= after + 1, "{after} looks before, {still} five minutes later");
}

#[tokio::test]
async fn a_call_that_was_gone_before_the_first_look_is_said_to_be_missed() {
    let daemon = World::default().start().await;
    let call = Call::tutorial();
    daemon.vonage.forget(&ConversationId::parse(TUTORIAL).unwrap());
    for webhook in call.webhooks() {
        assert!(daemon.vonage.send(webhook.clone()).await.is_accepted());
    }
    let missed = daemon.wait_for(TUTORIAL, |one| one["capture"]["state"] == "missed").await;
    let reason = missed["capture"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("gone before the first look: Vonage answered 404 at "), "{reason}");
    assert_eq!(missed["state"], "ended");
}

#[tokio::test]
async fn server_errors_and_broken_connections_are_tried_again_with_growing_pauses() {
    let (world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    let daemon = world.start().await;
    daemon.vonage.answer_next(1, Fault::Status(500));
    daemon.vonage.answer_next(1, Fault::Status(502));
    daemon.vonage.answer_next(1, Fault::Close);
    let (talk, _) = tutorial_in_two();
    let first = talk.webhooks().next().unwrap().clone();
    daemon.vonage.play(&talk_without_webhooks(talk), Pace::AtOnce).await;
    assert!(daemon.vonage.send(first).await.is_accepted());
    requests(&daemon, 1).await;
    daemon.wait_for(TUTORIAL, |one| one["capture"]["reason"].is_string()).await;
    for tried in 2..=4 {
        daemon.advance(&clock, SignedDuration::from_millis(100 << tried));
        requests(&daemon, tried).await;
        daemon.wait_for(TUTORIAL, |one| is_captured(one) == (tried == 4)).await;
    }
}

fn talk_without_webhooks(mut call: Call) -> Call {
    call.steps.retain(|step| matches!(step.action, conversationd::simulator::Action::Change(_)));
    call
}

#[tokio::test]
async fn a_429_holds_everything_up_for_as_long_as_it_says() {
    let daemon = World::default().start().await;
    daemon.vonage.answer_next(1, Fault::TooManyRequests { retry_after: Some(Duration::from_secs(1)) });
    let (talk, _) = tutorial_in_two();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, is_captured).await;
    let requests = daemon.vonage.requests();
    assert_eq!(requests[0].status, Some(429));
    assert!(requests[1].received.duration_since(requests[0].received) >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_429_without_a_time_is_tried_again_too() {
    let daemon = World::default().start().await;
    daemon.vonage.answer_next(1, Fault::TooManyRequests { retry_after: None });
    let (talk, _) = tutorial_in_two();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, is_captured).await;
}

#[tokio::test]
async fn a_refused_token_keeps_the_look_owed() {
    let daemon = World::default().start().await;
    daemon.vonage.refuse_tokens(true);
    let (talk, _) = tutorial_in_two();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    let pending = daemon.wait_for(TUTORIAL, |one| one["capture"]["reason"].is_string()).await;
    assert_eq!(pending["capture"]["state"], "pending");
    daemon.vonage.refuse_tokens(false);
    daemon.wait_for(TUTORIAL, is_captured).await;
    let requests = daemon.vonage.requests();
    let good = requests.iter().filter(|request| request.status == Some(200));
    let tokens: std::collections::HashSet<_> = good.map(|request| request.jti.clone()).collect();
    assert_eq!(tokens.len(), 1, "one token serves every request");
}

#[tokio::test]
async fn a_look_that_fails_for_too_long_is_given_up_and_says_so() {
    let (world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    let daemon = world.start().await;
    daemon.vonage.answer_next(1000, Fault::Status(500));
    let (talk, _) = tutorial_in_two();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, |one| one["capture"]["reason"].is_string()).await;
    daemon.advance(&clock, SignedDuration::from_mins(11));
    let missed = daemon.wait_for(TUTORIAL, |one| one["capture"]["state"] == "missed").await;
    let reason = missed["capture"]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with(
            "given up at 09:37:40.000, 11.0 min after the first webhook: Vonage could not be reached"
        ),
        "{reason}"
    );
}

#[tokio::test]
async fn a_refused_token_is_tried_for_as_long_as_the_longest_call_lasts_and_no_longer() {
    let (world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    let daemon = World { signatures: "off", ..world }.start().await;
    daemon.vonage.refuse_tokens(true);
    begin_the_tutorial(&daemon).await;
    daemon.wait_for(TUTORIAL, |one| one["capture"]["reason"].is_string()).await;
    daemon.advance_until_asked(&clock, SignedDuration::from_hours(1)).await;
    assert_eq!(
        daemon.get(&format!("/v1/conversations/{TUTORIAL}")).await.json()["capture"]["state"],
        "pending"
    );
    daemon.advance_until_asked(&clock, SignedDuration::from_hours(25)).await;
    let lost = daemon.wait_for(TUTORIAL, |one| one["capture"]["state"] == "missed").await;
    let reason = lost["capture"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("given up at ") && reason.ends_with("Vonage refuses the token"), "{reason}");
    // News begin it anew.
    let before = daemon.vonage.requests().len();
    let body = format!(r#"{{"conversation_uuid": "{TUTORIAL}", "uuid": "leg", "status": "record"}}"#);
    assert_eq!(daemon.post_event(body).await.status, 204);
    requests(&daemon, before + 1).await;
    daemon.wait_for(TUTORIAL, |one| one["capture"]["state"] == "pending").await;
}

#[tokio::test]
async fn what_no_application_is_known_for_is_tried_no_longer_than_the_longest_call_lasts() {
    let (world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    let other = "[[application]]\nid = \"0f3b6a52-9c1d-4e87-b2a4-000000000002\"\n\
                 private_key_file = \"{directory}/private.key\"";
    let daemon = World { sections: other.to_owned(), signatures: "off", ..world }.start().await;
    let body = format!(r#"{{"conversation_uuid": "{TUTORIAL}", "uuid": "leg", "status": "answered"}}"#);
    assert_eq!(daemon.post_event(body).await.status, 204);
    let pending = |one: &Value| one["capture"]["state"] == "pending" && one["capture"]["reason"].is_string();
    daemon.wait_for(TUTORIAL, pending).await;
    daemon.advance(&clock, SignedDuration::from_hours(25));
    daemon.wait_for(TUTORIAL, |one| one["capture"]["state"] == "missed").await;
}

#[tokio::test]
async fn a_call_that_was_given_up_in_an_outage_is_looked_at_when_vonage_answers_again() {
    let (mut world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    world.more = "requests_per_second = 500\nevents = false";
    let daemon = world.start().await;
    begin_the_tutorial(&daemon).await;
    daemon.wait_for(TUTORIAL, is_captured).await;
    daemon.vonage.answer_next(1000, Fault::Status(503));
    let timeline = format!("/v1/conversations/{TUTORIAL}/timeline");
    for (minutes, outcome) in [(1, "failing"), (11, "given_up")] {
        daemon.advance(&clock, SignedDuration::from_mins(minutes));
        daemon.wait_for_path(&timeline, |entries| entries.to_string().contains(outcome)).await;
    }
    daemon.vonage.answer_properly();
    daemon.vonage.play(&Call::inbound(1, clock.now()), Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, |one| one["capture"]["last_at"] == "2018-10-25T09:38:40.000Z").await;
}

#[tokio::test]
async fn a_call_that_was_given_up_is_looked_at_after_a_restart() {
    let (mut world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    world.more = "requests_per_second = 500\nevents = false";
    let mut daemon = world.start().await;
    daemon.vonage.answer_next(1000, Fault::Status(503));
    let (talk, _) = tutorial_in_two();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, |one| one["capture"]["reason"].is_string()).await;
    daemon.advance(&clock, SignedDuration::from_mins(11));
    daemon.wait_for(TUTORIAL, |one| one["capture"]["state"] == "missed").await;
    daemon.stop().await;
    daemon.vonage.answer_properly();
    daemon.start_again().await;
    daemon.wait_for(TUTORIAL, is_captured).await;
}

#[tokio::test]
async fn a_conversation_that_alone_cannot_be_had_is_given_up_for_good() {
    let (mut world, clock) = standing_still_at("2026-03-09T10:15:30Z");
    world.more = "requests_per_second = 500\nevents = false";
    let daemon = world.start().await;
    let bad = Call::inbound(1, clock.now());
    let path_of = |call: &Call| format!("/v0.3/conversations/{}", call.conversation);
    daemon.vonage.answer_always(&path_of(&bad), Fault::Status(500));
    let play = async |call: &Call| {
        let (talk, _) = call.clone().split_at(clock.now() + SignedDuration::from_secs(15));
        daemon.vonage.play(&talk, Pace::AtOnce).await;
    };
    let is_seen_at = |at: &'static str| move |one: &Value| one["capture"]["last_at"] == at;
    play(&bad).await;
    daemon.wait_for(bad.conversation.as_str(), |one| one["capture"]["reason"].is_string()).await;
    daemon.advance(&clock, SignedDuration::from_mins(9));
    let good = Call::inbound(2, clock.now());
    play(&good).await;
    daemon.wait_for(good.conversation.as_str(), is_captured).await;
    // Both are due and fail, the one for the last time.
    daemon.vonage.answer_always(&path_of(&good), Fault::Status(500));
    daemon.advance(&clock, SignedDuration::from_mins(2));
    daemon.wait_for(bad.conversation.as_str(), |one| one["capture"]["state"] == "missed").await;
    let timeline = format!("/v1/conversations/{}/timeline", good.conversation);
    daemon.wait_for_path(&timeline, |entries| entries.to_string().contains("failing")).await;
    daemon.vonage.answer_properly();
    daemon.vonage.answer_always(&path_of(&bad), Fault::Status(500));
    let asked = || {
        let requests = daemon.vonage.requests();
        requests.iter().filter(|request| request.bare_path() == path_of(&bad)).count()
    };
    let before = asked();
    for at in ["2026-03-09T10:27:30.000Z", "2026-03-09T10:28:30.000Z"] {
        daemon.advance(&clock, SignedDuration::from_mins(1));
        daemon.wait_for(good.conversation.as_str(), is_seen_at(at)).await;
    }
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn the_rate_is_kept_however_many_calls_there_are() {
    let world = World { members: Members::Listed, more: "requests_per_second = 10", ..World::default() };
    let daemon = world.start().await;
    let start = "2026-03-09T10:15:30Z".parse().unwrap();
    let began = Instant::now();
    for number in 0..8 {
        let (talk, _) = Call::inbound(number, start).split_at(start + SignedDuration::from_secs(15));
        daemon.vonage.play(&talk, Pace::AtOnce).await;
    }
    requests(&daemon, 25).await;
    // The time at which a request is noticed says only that it was not sent later: on a busy machine those of
    // one second may be noticed with those of the next. That each window is kept is for the pace's own tests.
    for (seconds, each) in (0..).zip(daemon.vonage.requests().chunks(10)) {
        let earliest = each[0].received.duration_since(began);
        assert!(earliest >= Duration::from_secs(seconds), "{} requests in {earliest:?}", seconds * 10 + 1);
    }
}

#[tokio::test]
async fn a_look_is_not_in_the_way_of_its_own_events() {
    let (world, clock) = standing_still_at("2026-03-09T10:15:30Z");
    let daemon = world.start().await;
    for number in 0..5 {
        let call = Call::inbound(number, clock.now());
        let path = format!("/v0.3/conversations/{}/events", call.conversations()[0]);
        let first = call.webhooks().next().unwrap().clone();
        let (talk, _) = call.split_at(clock.now() + SignedDuration::from_secs(15));
        daemon.vonage.play(&talk_without_webhooks(talk), Pace::AtOnce).await;
        assert!(daemon.vonage.send(first).await.is_accepted());
        // Time stands still: no later look makes up for it.
        let read = daemon.vonage.wait_until(|asked| asked.iter().any(|one| one.bare_path() == path));
        tokio::time::timeout(PATIENCE, read).await.expect("the events are read");
    }
}

#[tokio::test]
async fn event_lists_are_read_after_everything_that_is_more_urgent() {
    let (mut world, clock) = standing_still_at("2026-03-09T10:15:30Z");
    // One request in each second: those of three calls that begin together stand in line.
    world.more = "requests_per_second = 1";
    let daemon = world.start().await;
    for number in 0..3 {
        let call = Call::inbound(number, clock.now());
        let first = call.webhooks().next().unwrap().clone();
        let (talk, _) = call.split_at(clock.now() + SignedDuration::from_secs(15));
        daemon.vonage.play(&talk_without_webhooks(talk), Pace::AtOnce).await;
        assert!(daemon.vonage.send(first).await.is_accepted());
    }
    requests(&daemon, 6).await;
    let is_for_events = |path: &str| path.ends_with("/events");
    let asked: Vec<bool> =
        daemon.vonage.requests().iter().map(|request| is_for_events(request.bare_path())).collect();
    assert_eq!(asked[..6], [false, false, false, true, true, true]);
    for number in 0..3 {
        let id = Call::inbound(number, clock.now()).conversations()[0].to_string();
        let path = format!("/v1/conversations/{id}/snapshots");
        let versions = daemon
            .wait_for_path(&path, |list| {
                list["items"][0]["documents"].as_array().is_some_and(|documents| documents.len() == 2)
            })
            .await;
        assert_eq!(versions["items"].as_array().map(Vec::len), Some(1), "{versions}");
        assert_eq!(versions["items"][0]["documents"][1]["name"], "events after 0");
    }
}

#[tokio::test]
async fn when_vonage_answers_again_no_look_waits_for_its_pause() {
    let (mut world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    world.more = "requests_per_second = 500\nevents = false";
    let daemon = world.start().await;
    daemon.vonage.answer_next(1000, Fault::Status(503));
    begin_the_tutorial(&daemon).await;
    // Each try doubles the pause: that after the tenth is at least 15 s.
    for tries in 2..=10 {
        let last = format!("{} tr", tries - 1);
        let has_failed =
            |one: &Value| one["capture"]["reason"].as_str().is_some_and(|why| why.contains(&last));
        daemon.wait_for(TUTORIAL, has_failed).await;
        daemon.advance(&clock, SignedDuration::from_secs(30));
        requests(&daemon, tries).await;
    }
    daemon.wait_for(TUTORIAL, |one| one["capture"]["reason"].as_str().unwrap().contains("10 tries")).await;
    daemon.vonage.answer_properly();
    daemon.vonage.play(&Call::inbound(1, clock.now()), Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, is_captured).await;
}

#[tokio::test]
async fn an_event_list_that_is_not_there_is_asked_for_once_for_each_version() {
    let (mut world, clock) = standing_still_at("2026-03-09T10:15:30Z");
    world.signatures = "off";
    let daemon = world.start().await;
    let id = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
    let path = format!("/v0.3/conversations/{id}");
    let count = |sequence_number: u32| {
        let body = json!({"id": id, "sequence_number": sequence_number, "members": []});
        daemon.vonage.serve_document(&path, 200, body.to_string());
    };
    let asked = || {
        let requests = daemon.vonage.requests();
        let paths = requests.iter().filter_map(|one| one.bare_path().strip_prefix(&path));
        paths.map(str::to_owned).collect::<Vec<_>>()
    };
    let tell = |status: &str| json!({"conversation_uuid": id, "uuid": "a", "status": status}).to_string();
    count(3);
    for (number, status) in (1..).zip(["started", "ringing", "answered"]) {
        if status == "answered" {
            count(4);
        }
        assert_eq!(daemon.post_event(tell(status)).await.status, 204);
        let now = clock.now().to_string().replace('Z', ".000Z");
        daemon.wait_for(id, |one| one["capture"]["last_at"] == now.as_str()).await;
        // A list that is owed since is asked for before that of a later call.
        clock.advance(SignedDuration::from_secs(1));
        let other = Call::inbound(number, clock.now());
        let list = format!("/v0.3/conversations/{}/events", other.conversations()[0]);
        let (talk, _) = other.split_at(clock.now() + SignedDuration::from_secs(15));
        daemon.vonage.play(&talk, Pace::AtOnce).await;
        let read = daemon.vonage.wait_until(|asked| asked.iter().any(|one| one.bare_path() == list));
        tokio::time::timeout(PATIENCE, read).await.expect("the list is asked for");
    }
    assert_eq!(asked(), ["", "/events", "", "", "/events"]);
}

#[tokio::test]
async fn a_restart_resumes_what_is_owed() {
    let mut daemon = World::default().start().await;
    daemon.vonage.answer_next(1000, Fault::Status(503));
    let (talk, _) = tutorial_in_two();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon.wait_for(TUTORIAL, |one| one["capture"]["reason"].is_string()).await;
    daemon.stop().await;
    daemon.vonage.answer_properly();
    daemon.start_again().await;
    daemon.wait_for(TUTORIAL, is_captured).await;
}

#[tokio::test]
async fn a_conversation_is_kept_before_its_event_list_is_asked_for() {
    let (mut world, _clock) = standing_still_at("2018-10-25T09:26:40Z");
    world.members = Members::Listed;
    let mut daemon = world.start().await;
    let events = format!("/v0.3/conversations/{TUTORIAL}/events");
    daemon.vonage.answer_always(&events, Fault::Hang);
    begin_the_tutorial(&daemon).await;
    let asked = daemon.vonage.wait_until(|asked| asked.iter().any(|one| one.bare_path() == events));
    tokio::time::timeout(PATIENCE, asked).await.expect("the list is asked for");
    daemon.crash().await;
    daemon.vonage.forget(&ConversationId::parse(TUTORIAL).unwrap());
    daemon.start_again().await;
    let captured = daemon.wait_for(TUTORIAL, is_captured).await;
    assert_eq!(captured["capture"]["snapshots"], 1, "{captured}");
    assert_eq!(captured["members"].as_array().map(Vec::len), Some(2), "{captured}");
}

#[tokio::test]
async fn the_event_list_of_a_call_that_is_over_is_asked_for_until_it_is_had() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let path = format!("/v0.3/conversations/{TUTORIAL}");
    let events = format!("{path}/events");
    let conversation = json!({"id": TUTORIAL, "sequence_number": 5, "_embedded": {"members": []}});
    daemon.vonage.serve_document(&path, 200, conversation.to_string());
    daemon.vonage.serve_document(&events, 500, String::new());
    let over = json!({"conversation_uuid": TUTORIAL, "uuid": "a", "status": "completed"});
    assert_eq!(daemon.post_event(over.to_string()).await.status, 204);
    let is_asked = |times| {
        let events = events.clone();
        daemon
            .vonage
            .wait_until(move |all| all.iter().filter(|one| one.bare_path() == events).count() >= times)
    };
    tokio::time::timeout(PATIENCE, is_asked(3)).await.expect("nothing else would make it ask again");
    let list = json!({"_embedded": {"events": [{"id": 5, "type": "member:left"}]}});
    daemon.vonage.serve_document(&events, 200, list.to_string());
    let is_read = |one: &Value| one["documents"].as_array().is_some_and(|documents| documents.len() > 1);
    daemon.wait_for_path(&format!("/v1/conversations/{TUTORIAL}/snapshots/1"), is_read).await;
}

#[tokio::test]
async fn a_document_with_a_part_that_cannot_be_held_is_captured_to_the_byte() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let path = format!("/v0.3/conversations/{TUTORIAL}");
    for (number, odd) in [(1, "1e999"), (2, r#""\ud800""#)] {
        let document = format!(
            r#"{{"id": "{TUTORIAL}", "sequence_number": {number}, "properties": {{"custom": {odd}}}, "members": [
                {{"id": "MEM-1", "state": "JOINED", "timestamp": {{"joined": "2018-10-25T09:26:30Z"}}, "x": {odd}}}]}}"#
        );
        daemon.vonage.serve_document(&path, 200, document.clone());
        let list = format!(
            r#"{{"_embedded": {{"events": [{{"id": {number}, "type": "custom:a", "body": {odd}}}]}}}}"#
        );
        daemon.vonage.serve_document(&format!("{path}/events"), 200, list);
        let event = json!({"conversation_uuid": TUTORIAL, "uuid": "a", "status": "started", "n": number});
        assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
        let table = format!("/v1/conversations/{TUTORIAL}/snapshots?format=csv");
        let is_kept = async {
            while !daemon.get(&table).await.text.lines().nth(number).is_some_and(|line| line.ends_with(",2"))
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, is_kept).await.expect("document and list are kept");
        let version = daemon.get(&format!("/v1/conversations/{TUTORIAL}/snapshots/{number}")).await.text;
        assert!(version.contains(&document), "to the byte: {version}");
    }
    let one = daemon.wait_for(TUTORIAL, is_captured).await;
    assert_eq!(one["members"][0]["state"], "JOINED", "{one}");
    let difference = daemon.get(&format!("/v1/conversations/{TUTORIAL}/snapshots/2/diff?against=1")).await;
    assert_eq!(difference.status, 200, "{difference:?}");
}

#[tokio::test]
async fn both_conversations_of_a_transfer_are_looked_at() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    assert_eq!(daemon.post_event(crate::support::data::bytes("events/transfer.json")).await.status, 204);
    requests(&daemon, 2).await;
    let paths: Vec<String> = daemon.vonage.requests().into_iter().map(|request| request.path).collect();
    for id in ["CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f", "CON-9a8b7c6d-1e2f-4a3b-9c4d-5e6f70819203"] {
        assert!(paths.contains(&format!("/v0.3/conversations/{id}")), "{paths:?}");
    }
}

#[tokio::test]
async fn secrets_in_an_answer_are_never_stored() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let id = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
    let path = format!("/v0.3/conversations/{id}");
    for (name, secret) in
        [("embedded_sip_member", "not-a-real-password"), ("embedded_websocket_member", "SECRET")]
    {
        let body =
            String::from_utf8(crate::support::data::bytes(&format!("conversations/{name}.json"))).unwrap();
        assert!(body.contains(secret));
        daemon.vonage.serve_document(&path, 200, body);
        let event =
            json!({"conversation_uuid": id, "uuid": "a", "status": "started", "about": name}).to_string();
        assert_eq!(daemon.post_event(event).await.status, 204);
        let number = if name.contains("sip") { 1 } else { 2 };
        let kept =
            daemon.wait_for_path(&format!("/v1/conversations/{id}/snapshots/{number}"), |_| true).await;
        assert!(!kept.to_string().contains(secret), "{kept}");
        assert!(kept.to_string().contains("[redacted]"));
        let stored = daemon.store_bytes();
        assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name}");
    }
}

#[tokio::test]
async fn a_look_that_breaks_off_keeps_what_it_had_and_is_finished_later() {
    let (mut world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    world.members = Members::Listed;
    let daemon = world.start().await;
    let member = format!("/v0.3/conversations/{TUTORIAL}/members/{ALICE}");
    daemon.vonage.serve_document(&member, 500, String::new());
    begin_the_tutorial(&daemon).await;
    let cut = daemon.wait_for(TUTORIAL, is_captured).await;
    assert_eq!(cut["members"][0]["state"], "JOINED", "the list tells that much");
    assert_eq!(cut["members"][0]["states"][0]["at"], Value::Null);

    let alice = json!({"id": ALICE, "state": "JOINED", "timestamp": {"joined": "2018-10-25T09:26:30.334Z"}});
    daemon.vonage.serve_document(&member, 200, alice.to_string());
    daemon.advance(&clock, SignedDuration::from_secs(1));
    let is_whole = |one: &Value| {
        one["members"].as_array().is_some_and(|members| {
            members.len() == 2 && members.iter().all(|member| !member["states"][0]["at"].is_null())
        })
    };
    daemon.wait_for(TUTORIAL, is_whole).await;
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_not_kept() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let id = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
    daemon.vonage.serve_document(
        &format!("/v0.3/conversations/{id}"),
        200,
        "<html>password</html>".to_owned(),
    );
    let event = json!({"conversation_uuid": id, "uuid": "a", "status": "started"}).to_string();
    assert_eq!(daemon.post_event(event).await.status, 204);
    let pending = daemon.wait_for(id, |one| one["capture"]["reason"].is_string()).await;
    assert_eq!(pending["capture"]["state"], "pending");
    assert_eq!(pending["capture"]["snapshots"], 0);
}
