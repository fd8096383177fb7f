//! Vonage's own face for past calls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::BTreeSet;

use conversationd::domain::clock::Clock;
use conversationd::simulator::{Call, Members, Pace};
use conversationd::vonage::family::Family;
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::daemon::{Reply, TestDaemon, World, standing_still_at};
use crate::support::json::is_part;
use crate::support::{data, keys};

const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";
const ALICE: &str = "MEM-f44c872e-cba9-444f-88ae-0bfa630865a6";
const BOB: &str = "MEM-25ccda92-839d-4ac6-a7b2-de310224878b";

/// The conversation of the fixtures.
const FIXTURE: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";

/// The page that the daemon asks Vonage for.
const WHOLE_PAGE: &str = "?page_size=100";

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What the daemon answers in Vonage's place.
async fn face(daemon: &TestDaemon, path: &str) -> Reply {
    let reply = daemon.get(&format!("/vonage/{path}")).await;
    assert_eq!(reply.content_type, "application/json", "{path}");
    reply
}

async fn document(daemon: &TestDaemon, path: &str) -> Value {
    let reply = face(daemon, path).await;
    assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
    reply.json()
}

async fn error(daemon: &TestDaemon, path: &str) -> Value {
    let reply = face(daemon, path).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}: {}", reply.text);
    reply.json()
}

/// Waits until the events at this path are there: they are read after everything that is more urgent.
async fn until_read(daemon: &TestDaemon, path: &str, condition: impl Fn(&Value) -> bool) {
    daemon.wait_for_path(&format!("/vonage/{path}"), condition).await;
}

// === in every shape

/// The tutorial's call while both talk, stored as the world's family, is read in all five.
async fn a_call_is_read_in_every_shape(world: World) {
    let stored = world.family;
    let is_listed = world.members == Members::Listed;
    let daemon = World { signatures: "off", ..world }.start().await;
    // As v1 is specified: what is stored in other families is derived so.
    daemon.vonage.embed_bare_events(true);
    let (talk, _) = Call::tutorial().split_at(instant("2018-10-25T09:31:00Z"));
    daemon.vonage.play(&talk, Pace::AfterEachLook).await;
    let own = format!("{stored}/conversations/{TUTORIAL}");
    let newest = daemon.vonage_says(&own).await;
    let path = format!("/vonage/{own}");
    daemon
        .wait_for_path(&path, |document| *document == serde_json::from_str::<Value>(&newest).unwrap())
        .await;
    let has_every_event = |list: &Value| list.as_array().is_some_and(|events| events.len() == 8);
    let list = format!("beta/conversations/{TUTORIAL}/events");
    until_read(&daemon, &list, has_every_event).await;

    assert_eq!(face(&daemon, &own).await.text, newest, "the newest is given byte for byte");
    if is_listed {
        let list = format!("{own}/members");
        let whole = daemon.vonage_says(&format!("{list}{WHOLE_PAGE}")).await;
        assert_eq!(face(&daemon, &list).await.text, whole);
        for member in [ALICE, BOB] {
            let member = format!("{own}/members/{member}");
            assert_eq!(face(&daemon, &member).await.text, daemon.vonage_says(&member).await);
        }
    }
    for family in Family::ALL.map(Family::as_str) {
        let conversation = format!("{family}/conversations/{TUTORIAL}");
        for path in [
            conversation.clone(),
            format!("{conversation}/members{WHOLE_PAGE}"),
            format!("{conversation}/members/{ALICE}"),
            format!("{conversation}/members/{BOB}"),
            format!("{conversation}/events{WHOLE_PAGE}"),
        ] {
            nothing_is_invented(&daemon, stored, &path).await;
        }
    }
}

/// What is told at this path is what Vonage tells there, as far as it is told.
async fn nothing_is_invented(daemon: &TestDaemon, stored: &str, path: &str) {
    let vonage = daemon.vonage.api_url();
    let answered = document(daemon, path).await.to_string();
    let answered = answered.replace(&format!("{}vonage/", daemon.private_url()), vonage.as_str());
    // Where a user is was told in the family that was asked then.
    let mut answered: Value =
        serde_json::from_str(&answered.replace(&format!("/{stored}/users/"), "/users/")).unwrap();
    let family = path.split('/').next().unwrap();
    let truth = daemon.vonage_says(path).await.replace(&format!("/{family}/users/"), "/users/");
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let mut untold = BTreeSet::new();
    compare(&mut answered, &truth, &mut untold);
    assert!(is_part(&answered, &truth), "{stored}: {path}\n{answered}\n{truth}");
    let may_be_untold = [
        "_embedded",
        "_links",
        "audio",
        "display_name",
        "href",
        "image_url",
        "isDisabledCallback",
        "leg_ids",
        "legs",
        "media",
        "numbers",
        "state",
        "updated",
        "video",
        "cursor",
    ];
    let lost: Vec<_> = untold.iter().filter(|key| !may_be_untold.contains(&key.as_str())).collect();
    assert!(lost.is_empty(), "{stored}: {path} does not tell {lost:?}\n{answered}\n{truth}");
}

/// What the simulator leaves out of families in which Vonage has it, or may have it.
const LEFT_OUT: [&str; 7] = ["audio", "display_name", "href", "image_url", "media", "numbers", "updated"];

/// Collects the keys that only `truth` has, and takes away from `answered` what the simulator leaves out.
fn compare(answered: &mut Value, truth: &Value, untold: &mut BTreeSet<String>) {
    match (answered, truth) {
        (Value::Object(answered), Value::Object(truth)) => {
            untold.extend(truth.keys().filter(|key| !answered.contains_key(*key)).cloned());
            answered.retain(|key, _| truth.contains_key(key) || !LEFT_OUT.contains(&key.as_str()));
            for (key, value) in answered {
                compare(value, truth.get(key).unwrap_or(&Value::Null), untold);
            }
        }
        (Value::Array(answered), Value::Array(truth)) => {
            for (answered, truth) in answered.iter_mut().zip(truth) {
                compare(answered, truth, untold);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_call_stored_as_beta_is_read_in_every_shape() {
    a_call_is_read_in_every_shape(World { family: "beta", ..World::default() }).await;
}

#[tokio::test]
async fn a_call_stored_as_v01_is_read_in_every_shape() {
    a_call_is_read_in_every_shape(World { family: "v0.1", ..World::default() }).await;
}

#[tokio::test]
async fn a_call_stored_as_v02_is_read_in_every_shape() {
    a_call_is_read_in_every_shape(World { family: "v0.2", members: Members::Listed, ..World::default() })
        .await;
}

#[tokio::test]
async fn a_call_stored_as_v03_with_embedded_members_is_read_in_every_shape() {
    a_call_is_read_in_every_shape(World::default()).await;
}

#[tokio::test]
async fn a_call_stored_as_v03_with_listed_members_is_read_in_every_shape() {
    a_call_is_read_in_every_shape(World { members: Members::Listed, ..World::default() }).await;
}

#[tokio::test]
async fn a_call_stored_as_v1_is_read_in_every_shape() {
    a_call_is_read_in_every_shape(World { family: "v1", members: Members::Listed, ..World::default() }).await;
}

// === then

/// Plays the tutorial's call in parts that end at these instants. Each is seen, with its events, before the next begins.
async fn tutorial_seen_at(instants: &[&str]) -> TestDaemon {
    let (world, clock) = standing_still_at("2018-10-25T09:26:18Z");
    let daemon = World { signatures: "off", ..world }.start().await;
    let mut rest = Call::tutorial();
    for at in instants {
        let (part, later) = rest.split_at(instant(at));
        rest = later;
        daemon.advance(&clock, instant(at).duration_since(clock.now()));
        daemon.vonage.play(&part, Pace::AtOnce).await;
        let path = format!("v0.3/conversations/{TUTORIAL}");
        let now: Value = serde_json::from_str(&daemon.vonage_says(&path).await).unwrap();
        daemon.wait_for_path(&format!("/vonage/{path}"), |seen| *seen == now).await;
        let events = daemon.vonage_says(&format!("{path}/events{WHOLE_PAGE}")).await;
        let events: Value = serde_json::from_str(&events).unwrap();
        let path = format!("{path}/events{WHOLE_PAGE}");
        until_read(&daemon, &path, |seen| seen["_embedded"] == events["_embedded"]).await;
    }
    daemon
}

#[tokio::test]
async fn a_call_is_read_as_it_was_at_an_instant() {
    let daemon =
        tutorial_seen_at(&["2018-10-25T09:26:20Z", "2018-10-25T09:26:25Z", "2018-10-25T09:26:40Z"]).await;
    for (at, states, events) in [
        ("2018-10-25T09:26:20Z", ["JOINED", "INVITED"], 2),
        ("2018-10-25T09:26:24.999Z", ["JOINED", "INVITED"], 2),
        ("2018-10-25T11:26:27%2B02:00", ["JOINED", "INVITED"], 3),
        ("2018-10-25T09:26:39Z", ["JOINED", "INVITED"], 3),
        ("2018-10-25T09:26:40Z", ["JOINED", "JOINED"], 8),
        ("15s", ["JOINED", "INVITED"], 3),
        ("0s", ["JOINED", "JOINED"], 8),
        ("2100-01-01T00:00:00Z", ["JOINED", "JOINED"], 8),
        ("", ["JOINED", "JOINED"], 8),
    ] {
        let ask = |below: &str| format!("v1/conversations/{TUTORIAL}{below}?at={at}");
        let members = document(&daemon, &ask("/members")).await;
        let listed = members["_embedded"]["members"].as_array().unwrap();
        assert_eq!(listed.iter().map(|member| &member["state"]).collect::<Vec<_>>(), states, "{at}");
        assert_eq!(document(&daemon, &ask(&format!("/members/{BOB}"))).await["state"], states[1], "{at}");
        let list = document(&daemon, &ask("/events")).await;
        assert_eq!(list["_embedded"].as_array().unwrap().len(), events, "{at}");
        assert_eq!(document(&daemon, &ask("")).await["sequence_number"], events, "{at}");
    }
    // Alice's first time is in the first version only: a later one shows the second.
    let joined = |member: Value| member["timestamp"]["joined"].clone();
    let alice = format!("v0.2/conversations/{TUTORIAL}/members/{ALICE}");
    assert_eq!(joined(document(&daemon, &alice).await), "2018-10-25T09:26:30.334Z");
    let then = document(&daemon, &format!("{alice}?at=2018-10-25T09:26:20Z")).await;
    assert_eq!(joined(then), "2018-10-25T09:26:19.204Z");

    let before = format!("v1/conversations/{TUTORIAL}?at=2018-10-25T09:26:19.999Z");
    let title = "Not seen yet at that time: first seen 2018-10-25T09:26:20.000Z.";
    assert_eq!(error(&daemon, &before).await["title"], title);
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_in_vonages_words() {
    let daemon = World::default().start().await;
    for at in ["yesterday", "-1h", "2018-10-32", "7"] {
        let reply = face(&daemon, &format!("v1/conversations/{TUTORIAL}?at={at}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{at}");
        let mut refused = reply.json();
        refused["instance"] = json!("00a5916655d650e920ccf0daf40ef4ee");
        let mut words: Value =
            serde_json::from_slice(&data::bytes("errors/400_validation_fail.json")).unwrap();
        let reason = "\"at\" must be an instant (2026-03-09T10:15:30Z), or how long ago (24h, 7d)";
        words["invalid_parameters"] = json!([{"name": "at", "reason": reason}]);
        assert_eq!(refused, words, "{at}");
    }
    let old = face(&daemon, &format!("beta/conversations/{TUTORIAL}?at=soon")).await;
    assert_eq!(old.status, StatusCode::BAD_REQUEST);
    assert_eq!(old.json()["code"], "http:error:validation-fail");
    assert!(old.json()["description"].as_str().unwrap().contains("24h"), "{}", old.text);
}

// === what is not there

#[tokio::test]
async fn what_is_unknown_is_answered_as_vonage_does() {
    let daemon = tutorial_seen_at(&["2018-10-25T09:26:20Z"]).await;
    let leg = "797168e24c19a3c45e74e05b10fef2b5";
    for (path, as_in, as_in_old) in [
        ("CON-unknown", "404_not_found.json", Some("404_old_shape.json")),
        (leg, "404_not_found.json", Some("404_old_shape.json")),
        ("no%20id/members", "404_not_found.json", Some("404_old_shape.json")),
        ("CON-unknown/members/MEM-1", "404_not_found.json", Some("404_old_shape.json")),
        ("CON-unknown/events", "404_not_found.json", Some("404_old_shape.json")),
        (&format!("{TUTORIAL}/members/MEM-unknown"), "404_member_not_found.json", None),
        (&format!("{TUTORIAL}/members/no%20id"), "404_member_not_found.json", None),
    ] {
        let words = |file: &str| -> Value {
            serde_json::from_slice(&data::bytes(&format!("errors/{file}"))).unwrap()
        };
        for family in ["v0.2", "v0.3", "v1"] {
            let mut told = error(&daemon, &format!("{family}/conversations/{path}")).await;
            assert_eq!(told["instance"].as_str().unwrap().len(), 32);
            told["instance"] = json!("00a5916655d650e920ccf0daf40ef4ee");
            assert_eq!(told, words(as_in), "{family} {path}");
        }
        for family in ["beta", "v0.1"] {
            let told = error(&daemon, &format!("{family}/conversations/{path}")).await;
            let no_member = || {
                json!({
                    "description": "the requested member does not exist",
                    "code": "conversation:error:member-not-found",
                    "error": {},
                })
            };
            assert_eq!(told, as_in_old.map_or_else(no_member, words), "{family} {path}");
        }
    }
    let nowhere = error(&daemon, &format!("v2/conversations/{TUTORIAL}")).await;
    assert_eq!(nowhere["error_title"], "Not Found");
    assert_eq!(nowhere["detail"], "The path families are beta, v0.1, v0.2, v0.3, v1.");
}

#[tokio::test]
async fn a_conversation_that_was_never_seen_is_told_from_an_unknown_one() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let event = json!({"conversation_uuid": FIXTURE, "uuid": "leg", "status": "started"});
    assert_eq!(daemon.post_event(event.to_string()).await.status, StatusCode::NO_CONTENT);
    let told = error(&daemon, &format!("v1/conversations/{FIXTURE}/events")).await;
    assert_eq!(told["title"], "Heard of, but never seen.");
    assert_eq!(told["code"], "conversation:error:not-found");
    let old = error(&daemon, &format!("beta/conversations/{FIXTURE}")).await;
    assert!(old["description"].as_str().unwrap().starts_with("Heard of, but never seen. "), "{old}");
}

/// A daemon that has seen the fixtures' conversation: these documents below these paths.
async fn seen(family: &'static str, documents: &[(&str, u16, Value)]) -> TestDaemon {
    let daemon = World { signatures: "off", family, ..World::default() }.start().await;
    for (below, status, body) in documents {
        let path = format!("/{family}/conversations/{FIXTURE}{below}");
        daemon.vonage.serve_document(&path, *status, body.to_string());
    }
    let event = json!({"conversation_uuid": FIXTURE, "uuid": "leg", "status": "answered"});
    assert_eq!(daemon.post_event(event.to_string()).await.status, StatusCode::NO_CONTENT);
    daemon.wait_for_path(&format!("/vonage/{family}/conversations/{FIXTURE}"), |_| true).await;
    daemon
}

fn fixture(name: &str) -> Value {
    serde_json::from_slice(&data::bytes(&format!("conversations/{name}"))).unwrap()
}

#[tokio::test]
async fn what_the_stored_shape_does_not_tell_is_not_made_up() {
    let members = fixture("v1_list_members.json");
    let [alice, bob] = [0, 1].map(|place| members["_embedded"]["members"][place]["id"].as_str().unwrap());
    let daemon = seen(
        "v1",
        &[
            ("", 200, fixture("v1_get_conversation_full.json")),
            ("/members?page_size=100", 200, members.clone()),
            (&format!("/members/{alice}"), 200, fixture("v1_get_member_joined.json")),
            (&format!("/members/{bob}"), 404, json!({})),
        ],
    )
    .await;
    let own = format!("conversations/{FIXTURE}");
    let times = "nothing that is stored tells the times of the member's states.";
    let embedded = "nothing that is stored tells the members.";
    for (path, why) in [
        (format!("beta/{own}"), embedded),
        (format!("v0.1/{own}"), embedded),
        (format!("v0.3/{own}/members/{bob}"), times),
        (format!("v1/{own}/members/{bob}"), times),
    ] {
        let told = error(&daemon, &path).await;
        let title = told["title"].as_str().or_else(|| told["description"].as_str()).unwrap();
        let start = format!("Not known in this shape: stored as v1, and {why}");
        assert!(title.starts_with(&start), "{path}: {title}");
    }
    // What does not need it is told.
    assert_eq!(document(&daemon, &format!("beta/{own}/members/{bob}")).await["id"], bob);
    assert_eq!(document(&daemon, &format!("beta/{own}/members")).await.as_array().unwrap().len(), 2);
    assert_eq!(document(&daemon, &format!("v0.3/{own}/members/{alice}")).await["state"], "JOINED");
    let title = "Its events were not read.";
    assert_eq!(error(&daemon, &format!("v1/{own}/events")).await["title"], title);
}

#[tokio::test]
async fn members_that_nobody_could_read_are_said_to_be_unread() {
    let conversation = fixture("v0.3_get_conversation.json");
    let daemon = seen("v0.3", &[("", 200, conversation), ("/members?page_size=100", 500, json!({}))]).await;
    let told = error(&daemon, &format!("v0.3/conversations/{FIXTURE}/members")).await;
    assert_eq!(told["title"], "Its members were not read.");
}

// === lists

#[tokio::test]
async fn a_list_goes_on_from_page_to_page_at_this_address() {
    let mut conversation = fixture("embedded_t1_only_inbound.json");
    let member = conversation["members"][0].clone();
    let members = (0..23).map(|number| {
        let mut member = member.clone();
        member["member_id"] = json!(format!("MEM-{number}"));
        member
    });
    conversation["members"] = members.collect();
    let daemon = seen("v0.3", &[("", 200, conversation)]).await;
    let list = format!("v1/conversations/{FIXTURE}/members");
    for (parameters, size, pages, first) in [
        ("", 10, 3, "MEM-0"),
        ("?page_size=7&order=DESC&cursor=", 7, 4, "MEM-22"),
        ("?page_size=many&order=any", 10, 3, "MEM-0"),
        ("?page_size=5000&at=2100-01-01T00:00:00Z", 100, 1, "MEM-0"),
    ] {
        let mut next = Some(format!("{list}{parameters}"));
        let mut found: Vec<String> = Vec::new();
        let mut count = 0;
        while let Some(path) = next {
            let page = document(&daemon, &path).await;
            assert_eq!(page["page_size"], size, "{path}");
            let ids = page["_embedded"]["members"].as_array().unwrap().iter();
            found.extend(ids.map(|member| member["id"].as_str().unwrap().to_owned()));
            let base = format!("{}vonage/", daemon.private_url());
            let link = |name: &str| page["_links"][name]["href"].as_str().map(|link| link.replace(&base, ""));
            assert!(link("self").unwrap().starts_with(&format!("{list}?order=")), "{page}");
            assert!(!link("first").unwrap().contains("cursor"), "{page}");
            assert_eq!(link("self").unwrap().contains("2100"), parameters.contains("2100"), "{page}");
            next = link("next");
            count += 1;
        }
        assert_eq!((count, found[0].as_str()), (pages, first), "{parameters}");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 23, "{parameters}");
    }
    for cursor in ["x", "24", "-1"] {
        let reply = face(&daemon, &format!("{list}?cursor={cursor}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{cursor}");
        assert_eq!(reply.json()["code"], "paginator-builder:error:invalid-cursor");
    }
    let bare = document(&daemon, &format!("v0.1/conversations/{FIXTURE}/members?page_size=2")).await;
    assert_eq!(bare.as_array().unwrap().len(), 23, "the oldest families know no pages");
}

#[tokio::test]
async fn a_list_of_events_that_was_read_at_once_is_given_to_the_byte() {
    let mut whole = fixture("v1_list_events_embedded_events.json");
    whole["_links"].as_object_mut().unwrap().remove("next");
    let conversation = fixture("v1_get_conversation_full.json");
    let nobody = json!({"page_size": 100, "_embedded": {"members": []}, "_links": {}});
    let daemon = seen(
        "v1",
        &[
            ("", 200, conversation),
            ("/members?page_size=100", 200, nobody),
            ("/events?page_size=100", 200, whole.clone()),
        ],
    )
    .await;
    let path = format!("v1/conversations/{FIXTURE}/events");
    until_read(&daemon, &path, |_| true).await;
    assert_eq!(face(&daemon, &path).await.text, whole.to_string());
    let events = whole["_embedded"]["events"].as_array().unwrap();
    let ids = |page: &Value| -> Vec<i64> {
        let events = page["_embedded"]["events"].as_array().unwrap();
        events.iter().map(|event| event["id"].as_i64().unwrap()).collect()
    };
    let newest = i64::try_from(events.len()).unwrap();
    for (parameters, wanted) in [
        ("start_id=2&end_id=3", vec![2, 3]),
        ("order=desc&page_size=1", vec![newest]),
        ("event_type=sip:ringing,sip:nothing", vec![2]),
    ] {
        let page = document(&daemon, &format!("{path}?{parameters}")).await;
        assert_eq!(ids(&page), wanted, "{parameters}");
        let first = page["_embedded"]["events"][0]["id"].as_u64().unwrap();
        let stored = &events[usize::try_from(first).unwrap() - 1];
        assert_eq!(&page["_embedded"]["events"][0], stored, "it stays as it was stored");
    }
}

#[tokio::test]
async fn webhooks_do_not_complete_the_list_of_events() {
    let daemon = tutorial_seen_at(&["2018-10-25T09:26:20Z"]).await;
    let path = format!("v0.3/conversations/{TUTORIAL}/events");
    let before = document(&daemon, &path).await;
    let event = json!({
        "id": 99, "type": "custom:note", "conversation_id": TUTORIAL, "application_id": keys::APPLICATION,
        "timestamp": "2018-10-25T09:26:21.000Z", "body": {},
    });
    let headers = [("content-type", "application/json")];
    let posted = daemon.webhook(reqwest::Method::POST, "/webhooks/rtc", &headers, event.to_string()).await;
    assert_eq!(posted.status, StatusCode::NO_CONTENT);
    assert_eq!(document(&daemon, &path).await, before);
}

// === secrets

#[tokio::test]
async fn secrets_stay_replaced_in_every_shape() {
    let conversation = fixture("embedded_sip_member.json");
    let secret = "not-a-real-password";
    assert!(conversation.to_string().contains(secret));
    let member = conversation["members"][1]["member_id"].as_str().unwrap().to_owned();
    let daemon = seen("v0.3", &[("", 200, conversation)]).await;
    for path in ["beta", "v0.1", "v0.3"].map(|family| format!("{family}/conversations/{FIXTURE}")) {
        let told = document(&daemon, &path).await.to_string();
        assert!(told.contains("[redacted]") && !told.contains(secret), "{path}");
    }
    for family in ["v0.2", "v0.3", "v1"] {
        let path = format!("{family}/conversations/{FIXTURE}/members/{member}");
        let told = document(&daemon, &path).await;
        assert_eq!(told["channel"]["to"]["password"], "[redacted]", "{path}");
    }
}
