//! What a webhook or document means, seen from outside: sent to the public listener or answered by Vonage, read from
//! the private one.

use conversationd::domain::arrival::{Endpoint, Origin};
use conversationd::domain::clock::{Clock as _, SystemClock};
use conversationd::flow::interpret::interpret;
use conversationd::simulator::{Call, Pace};
use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::interpret::{CONVERSATION, arrival, history, instant};
use crate::support::daemon::{PATIENCE, TestDaemon, World, standing_still_at};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn unsigned() -> TestDaemon {
    World { signatures: "off", ..World::default() }.start().await
}

async fn post(daemon: &TestDaemon, path: &str, body: &Value) {
    let reply = daemon.webhook(Method::POST, path, &[JSON], body.to_string()).await;
    assert!(reply.status.is_success(), "{path} {body}: {}", reply.status);
}

/// A status of a leg, with what else the webhook says.
fn event(conversation: &str, leg: &str, status: &str, more: &Value) -> Value {
    let mut body = json!({
        "conversation_uuid": conversation, "uuid": leg, "status": status, "direction": "outbound",
        "from": "447700900001", "to": "447700900002", "timestamp": "2026-03-09T10:15:30.118Z",
    });
    for (key, value) in more.as_object().expect("it is an object") {
        body[key] = value.clone();
    }
    body
}

fn has_status(status: &str) -> impl Fn(&Value) -> bool {
    move |conversation| conversation["status"] == status
}

// === instants at the end of time

#[tokio::test]
async fn an_event_of_the_year_9999_ends_nothing_and_keeps_nothing_live() {
    let daemon = unsigned().await;
    let document =
        json!({"id": "CON-1", "timestamp": {"created": "9999-12-30T21:59:59Z"}, "sequence_number": 1});
    daemon.vonage.serve_document("/v0.3/conversations/CON-1", 200, document.to_string());
    let busy = json!({
        "id": 1, "type": "leg:status:update", "timestamp": "9999-12-30T21:59:59Z",
        "body": {"leg_id": "leg-1", "status": "busy"},
    });
    let list = json!({"_embedded": {"events": [busy]}}).to_string();
    daemon.vonage.serve_document("/v0.3/conversations/CON-1/events", 200, list);
    post(&daemon, "/webhooks/event", &event("CON-1", "leg-1", "started", &json!({}))).await;
    daemon.wait_for("CON-1", has_status("busy")).await;
    post(&daemon, "/webhooks/event", &event("CON-2", "leg-2", "completed", &json!({}))).await;
    daemon.wait_for("CON-2", has_status("completed")).await;
}

// === rtc events of one number

#[tokio::test]
async fn a_forged_rtc_event_does_not_displace_the_true_one() {
    let daemon = unsigned().await;
    let told = |kind: &str, member: &str, id: Value| {
        json!({
            "id": id, "type": kind, "conversation_id": "CON-1", "from": member,
            "timestamp": "2026-03-09T10:15:41.000Z", "body": {"user": {"id": format!("USR-{member}")}},
        })
    };
    let forged = told("member:left", "MEM-forged", json!(1));
    let bodies =
        [forged, told("member:joined", "MEM-true", json!(1)), told("member:joined", "MEM-true", json!("1"))];
    for body in &bodies {
        post(&daemon, "/webhooks/rtc", body).await;
    }
    let all = |list: &Value| list["items"].as_array().is_some_and(|items| items.len() == bodies.len());
    let kept = daemon.wait_for_path("/v1/conversations/CON-1/webhooks", all).await;
    let kept: Vec<&Value> = kept["items"].as_array().unwrap().iter().map(|item| &item["body"]).collect();
    assert_eq!(kept, bodies.iter().collect::<Vec<_>>());
    let both = |one: &Value| one["members"].as_array().is_some_and(|members| members.len() == 2);
    let conversation = daemon.wait_for("CON-1", both).await;
    let joined = conversation["members"].as_array().unwrap().iter().find(|member| member["id"] == "MEM-true");
    assert_eq!(joined.unwrap()["state"], "JOINED");
}

#[test]
fn of_rtc_events_of_one_number_a_signed_one_counts_before_one_that_anybody_could_have_sent() {
    let event = |number: i64, member: &str, origin: Origin| {
        let body = json!({
            "id": 1, "type": "member:joined", "conversation_id": CONVERSATION, "from": member,
            "timestamp": "2026-03-09T10:15:41.000Z", "body": {"user": {"id": format!("USR-{member}")}},
        });
        let at = instant("2026-03-09T10:15:41.100Z");
        let mut told = arrival(number, Endpoint::Rtc, body.to_string().as_bytes(), at);
        told.event.origin = origin;
        told
    };
    let members = |arrivals: Vec<_>| -> Vec<String> {
        let told = interpret(&history(CONVERSATION, arrivals, Vec::new()));
        told.members.iter().map(|member| member.id.to_string()).collect()
    };
    let forged = event(1, "MEM-forged", Origin::Unverified);
    let signed = event(2, "MEM-true", Origin::Signed);
    assert_eq!(members(vec![forged.clone(), signed.clone()]), ["MEM-true"]);
    assert_eq!(members(vec![signed, forged.clone()]), ["MEM-true"]);
    let other = event(3, "MEM-other", Origin::Unverified);
    assert_eq!(members(vec![other.clone(), forged.clone()]), members(vec![forged.clone(), other]));
    assert_eq!(members(vec![forged]), ["MEM-forged"]);
}

// === what stands for nothing

/// What senders write where they have nothing.
const PLACEHOLDERS: [&str; 9] = [
    "NONE",
    "null",
    "undefined",
    "",
    "  ",
    "\u{200b}",
    "[object Object]",
    "00000000-0000-0000-0000-000000000000",
    "None",
];

#[tokio::test]
async fn a_placeholder_is_no_leg_no_party_and_no_direction() {
    let daemon = unsigned().await;
    for (number, word) in PLACEHOLDERS.into_iter().enumerate() {
        let conversation = format!("CON-{}", number + 1);
        let document = json!({
            "id": conversation, "sequence_number": 1, "timestamp": {"created": word},
            "members": [
                {"member_id": "MEM-1", "name": word, "user_id": word, "state": "JOINED", "leg_ids": [word],
                    "timestamp": {"joined": word},
                    "channel": {"type": "phone", "id": word, "from": {"number": word}, "to": word}},
                {"member_id": word, "state": "JOINED"},
            ],
        });
        let path = format!("/v0.3/conversations/{conversation}");
        daemon.vonage.serve_document(&path, 200, document.to_string());
        let list = json!({"_embedded": {"events": [
            {"id": 1, "type": "leg:status:update", "timestamp": "2026-03-09T10:15:30Z",
                "body": {"leg_id": word, "status": "answered"}},
            {"id": 2, "type": "member:joined", "from": word, "timestamp": "2026-03-09T10:15:30Z"},
        ]}});
        daemon.vonage.serve_document(&format!("{path}/events"), 200, list.to_string());
        let nothing = json!({"direction": word, "from": word, "to": word, "timestamp": word});
        post(&daemon, "/webhooks/event", &event(&conversation, word, "answered", &nothing)).await;
        post(&daemon, "/webhooks/event", &event(&conversation, "leg-1", "answered", &nothing)).await;
        post(&daemon, "/webhooks/event", &event(word, "leg-2", "answered", &nothing)).await;
        let told = daemon.wait_for(&conversation, |one| one["latest_snapshot"] == 1).await;
        let parties = [&told["direction"], &told["from"], &told["to"]];
        assert_eq!(parties, [&Value::Null; 3], "{word:?}: {told}");
        let legs: Vec<&Value> = told["legs"].as_array().unwrap().iter().map(|leg| &leg["id"]).collect();
        assert_eq!(legs, ["leg-1"], "{word:?}");
        let members = told["members"].as_array().unwrap();
        assert_eq!(members.len(), 1, "{word:?}: {told}");
        let member = [&members[0]["name"], &members[0]["user_id"], &members[0]["channel"]["to"]];
        assert_eq!(member, [&Value::Null; 3], "{word:?}");
        assert_eq!((&members[0]["leg_ids"], &told["other_parties"]), (&json!([]), &json!([])), "{word:?}");
    }
    for nobody in ["NONE", "null", "undefined", "00000000-0000-0000-0000-000000000000", "CON-NONE"] {
        let reply = daemon.get(&format!("/v1/conversations/{nobody}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{nobody}");
    }
}

#[tokio::test]
async fn an_app_user_who_calls_without_a_leg_is_found_and_told_of() {
    let daemon = unsigned().await;
    let answer =
        json!({"from_user": "alice", "to": "447700900011", "conversation_uuid": "CON-1", "uuid": "NONE"});
    post(&daemon, "/webhooks/answer", &answer).await;
    let told = daemon.wait_for("CON-1", |one| one["from"] == "alice").await;
    assert_eq!(
        (&told["to"], &told["direction"], &told["legs"]),
        (&json!("447700900011"), &Value::Null, &json!([]))
    );
    let leg = json!({"from": "447700900100", "to": "447700900011"});
    post(&daemon, "/webhooks/event", &event("CON-1", "leg-1", "completed", &leg)).await;
    let told = daemon.wait_for("CON-1", has_status("completed")).await;
    assert_eq!((&told["from"], &told["direction"]), (&json!("447700900100"), &json!("outbound")));
    assert_eq!(told["other_parties"], json!([{"side": "from", "party": "alice"}]));
    for query in ["number=alice", "from=Alice", "number=ali*", "number=447700900100", "to=447700900011"] {
        assert_eq!(found(&daemon, query).await, ["CON-1"], "{query}");
    }
    assert_eq!(found(&daemon, "to=alice").await, Vec::<String>::new());
    assert!(daemon.get("/conversations/CON-1").await.text.contains("alice"));
}

/// The conversations that a query finds.
async fn found(daemon: &TestDaemon, query: &str) -> Vec<String> {
    let reply = daemon.get(&format!("/v1/conversations?limit=500&{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.text);
    let list = reply.json();
    let id = |one: &Value| one["id"].as_str().expect("an id is a text").to_owned();
    list["items"].as_array().expect("it is a list").iter().map(id).collect()
}

// === secrets in addresses

/// What must stand nowhere but in the bodies as received.
const SECRET: &str = "s3cr3t";

/// Where a bot is, with secrets in every place and spelling.
const ADDRESSES: [&str; 9] = [
    "wss://bot:s3cr3t@bot.example.com/stream?t=s3cr3t#s3cr3t",
    "WSS://s3cr3t@bot.example.com:8443/stream",
    "wss://bot.example.com?s3cr3t",
    "wss:%2F%2Fbot:s3cr3t@bot.example.com%2Fstream%3Ft=s3cr3t",
    "w\u{200b}ss://bot:s3cr3t@bot.example.com/stream",
    "\u{ff57}ss\u{ff1a}//bot:s3cr3t@bot.example.com/stream",
    "bot.example.com/stream?token=s3cr3t",
    "sip:agent7:s3cr3t@bot.example.com;token=s3cr3t?X-Token=s3cr3t",
    "{\"type\":\"websocket\",\"uri\":\"wss://bot:s3cr3t@bot.example.com\",\"headers\":{\"x\":\"s3cr3t\"}}",
];

#[tokio::test]
async fn a_secret_in_an_address_or_header_is_in_the_raw_webhook_and_nowhere_else() {
    let daemon = unsigned().await;
    let mut stream = daemon.get_unread("/v1/stream").await.unwrap();
    let mut sides: Vec<Value> = ADDRESSES.iter().map(|address| json!(address)).collect();
    let endpoint = json!({"type": "websocket", "uri": ADDRESSES[0], "headers": {"x": SECRET}});
    sides.extend([endpoint.clone(), json!([endpoint])]);
    for (number, side) in sides.iter().enumerate() {
        let (conversation, leg) = (format!("CON-{}", number + 1), format!("leg-{number}"));
        tell_secrets(&daemon, (&conversation, &leg), side).await;
        let told = daemon.wait_for(&conversation, |one| one["members"][0]["id"] == "MEM-1").await;
        let told = daemon.wait_for(&conversation, has_status("failed")).await.to_string() + &told.to_string();
        assert!(told.contains("bot.example.com"), "{side}: {told}");
        let raw = daemon.get(&format!("/v1/conversations/{conversation}/webhooks")).await;
        assert!(raw.text.matches(SECRET).count() >= 8, "{side}");
        for path in ["", "/timeline", "/timeline?format=csv", "/members", "/members?format=csv", "/snapshots"]
        {
            no_secret(&daemon, &format!("/v1/conversations/{conversation}{path}")).await;
        }
        no_secret(&daemon, &format!("/conversations/{conversation}")).await;
    }
    for path in ["/v1/conversations", "/v1/conversations?format=csv", "/v1/conversations?format=ndjson", "/"]
    {
        no_secret(&daemon, path).await;
    }
    for query in ["number=*s3cr3t", "number=s3cr3t*", "number=*t=s3cr3t", "user=s3cr3t", "number=s3cr3t"] {
        assert_eq!(found(&daemon, query).await, Vec::<String>::new(), "{query}");
    }
    let last = format!("{{\"id\":\"CON-{}\",\"status\":\"failed\"", sides.len());
    let mut told = String::new();
    while !told.contains(&last) {
        let chunk = timeout(PATIENCE, stream.chunk()).await.expect("the stream goes on").unwrap();
        told.push_str(std::str::from_utf8(&chunk.expect("it has no end")).unwrap());
    }
    assert!(told.contains("bot.example.com") && !told.contains(SECRET), "{told}");
    let whole = utf8_percent_encode(ADDRESSES[0], NON_ALPHANUMERIC).to_string();
    assert!(found(&daemon, &format!("number={whole}")).await.contains(&"CON-1".to_owned()));
    assert!(found(&daemon, "number=wss://bot.example.com*").await.contains(&"CON-1".to_owned()));
}

/// Sends webhooks of every kind that name an address on both sides, and in places where none belongs.
async fn tell_secrets(daemon: &TestDaemon, (conversation, leg): (&str, &str), side: &Value) {
    let more = json!({
        "from": side, "to": side, "headers": {"authorization": "Bearer s3cr3t"}, "timestamp": null,
        "detail": format!("could not reach {}", ADDRESSES[0]), "endpoint": [{"type": "websocket", "uri": ADDRESSES[0]}],
    });
    for status in ["started", "failed"] {
        post(daemon, "/webhooks/event", &event(conversation, leg, status, &more)).await;
    }
    let odd = json!({"from": side, "direction": side, "price": ADDRESSES[0]});
    post(daemon, "/webhooks/event", &event(conversation, ADDRESSES[0], ADDRESSES[0], &odd)).await;
    let fallback = json!({
        "reason": "Authorization: Bearer s3cr3t", "from": side, "to": side, "uuid": leg,
        "conversation_uuid": conversation, "original_request": {"url": ADDRESSES[0], "type": "answer"},
    });
    post(daemon, "/webhooks/fallback", &fallback).await;
    let joined = json!({
        "id": 1, "type": "member:joined", "conversation_id": conversation, "from": "MEM-1",
        "timestamp": "2026-03-09T10:15:41.000Z",
        "body": {"user": {"id": "USR-1", "name": ADDRESSES[0]},
            "channel": {"type": "websocket", "id": leg, "to": {"type": "websocket", "uri": ADDRESSES[0]}}},
    });
    post(daemon, "/webhooks/rtc", &joined).await;
}

async fn no_secret(daemon: &TestDaemon, path: &str) {
    let reply = daemon.get(path).await;
    assert_eq!(reply.status, StatusCode::OK, "{path}");
    assert!(!reply.text.contains(SECRET), "{path}: {}", reply.text);
}

// === numbers

#[tokio::test]
async fn a_number_is_the_same_whatever_it_was_copied_from() {
    let daemon = unsigned().await;
    let spellings = [
        "447700900012",
        "\u{202a}+44 7700 900012\u{202c}",
        "44770\u{200b}0900012\u{fe0d}",
        "\u{feff}+44\u{a0}7700\u{2011}900\u{2009}012",
        "+44\u{ad}7700\u{200e}900012",
        "\u{ff0b}\u{ff14}\u{ff14}\u{ff17}700900012",
        "\u{664}\u{664}\u{667}700900012",
        "0044 (7700) 900\u{2013}012",
        "+44 (0)7700 900012",
        "tel:+44-7700-900012",
        "sip:+447700900012@sip.example.com;transport=tls",
    ];
    let mut all: Vec<String> = Vec::new();
    for (number, spelling) in spellings.iter().enumerate() {
        let id = format!("CON-{}", number + 1);
        let body = event(&id, "leg-1", "completed", &json!({"to": spelling}));
        post(&daemon, "/webhooks/event", &body).await;
        daemon.wait_for(&id, has_status("completed")).await;
        let raw = daemon.get(&format!("/v1/conversations/{id}/webhooks")).await.json();
        assert_eq!(raw["items"][0]["body"], body, "as sent");
        all.push(id);
    }
    all.sort();
    let asked = spellings.iter().copied().chain(["*900012\u{202c}", "\u{202d}44770090*", "*900\u{2011}012"]);
    for spelling in asked {
        let encoded = utf8_percent_encode(spelling, NON_ALPHANUMERIC);
        let mut ids = found(&daemon, &format!("number={encoded}")).await;
        ids.sort();
        assert_eq!(ids, all, "{spelling:?}");
    }
}

// === instants

#[tokio::test]
async fn an_instant_that_is_none_is_that_of_receipt_and_says_so() {
    let daemon = unsigned().await;
    let before = SystemClock.now();
    let none = [
        json!(""),
        json!(null),
        json!("2026-02-30T10:15:41Z"),
        json!("0001-01-01T00:00:00Z"),
        json!(0),
        json!({}),
    ];
    for (number, timestamp) in none.iter().enumerate() {
        let id = format!("CON-{}", number + 1);
        post(&daemon, "/webhooks/event", &event(&id, "leg-1", "completed", &json!({"timestamp": timestamp})))
            .await;
        let told = daemon.wait_for(&id, has_status("completed")).await;
        let status = &told["legs"][0]["statuses"][0];
        assert_eq!(status["at_source"], "receipt", "{timestamp}");
        let at = instant(status["at"].as_str().unwrap());
        assert!(at.as_second() >= before.as_second() && at <= SystemClock.now(), "{timestamp}: {at}");
        let timeline = daemon.get(&format!("/v1/conversations/{id}/timeline")).await.json();
        assert_eq!(timeline["items"][0]["at_source"], "receipt", "{timestamp}");
        assert!(daemon.get(&format!("/conversations/{id}")).await.text.contains("Vonage told no time"));
    }
    let spelled = json!({"timestamp": 1_773_051_341_902_i64});
    post(&daemon, "/webhooks/event", &event("CON-9", "leg-1", "completed", &spelled)).await;
    let told = daemon.wait_for("CON-9", has_status("completed")).await;
    let status = &told["legs"][0]["statuses"][0];
    assert_eq!(
        (&status["at"], &status["at_source"]),
        (&json!("2026-03-09T10:15:41.902Z"), &json!("timestamp"))
    );
    assert!(!daemon.get("/conversations/CON-9").await.text.contains("Vonage told no time"));
}

#[tokio::test]
async fn a_status_of_an_event_without_an_instant_is_that_of_receipt_and_told_once() {
    let daemon = unsigned().await;
    for (number, timestamp) in [json!("garbage"), json!(null), json!("")].into_iter().enumerate() {
        let (id, leg) = (format!("CON-{number}"), format!("leg-{number}"));
        let path = format!("/v0.3/conversations/{id}");
        let update = |event_id: usize, status: &str| {
            json!({
                "id": event_id, "type": "leg:status:update", "timestamp": timestamp,
                "body": {"leg_id": leg, "status": status},
            })
        };
        let events = json!({"_embedded": {"events": [update(1, "answered"), update(2, "completed")]}});
        daemon.vonage.serve_document(&path, 200, json!({"id": id, "sequence_number": 2}).to_string());
        daemon.vonage.serve_document(&format!("{path}/events"), 200, events.to_string());
        post(&daemon, "/webhooks/event", &event(&id, &leg, "started", &json!({}))).await;
        let told = daemon.wait_for(&id, |one| one["state"] == "ended").await;
        let statuses = told["legs"][0]["statuses"].as_array().unwrap();
        let statuses: Vec<_> = statuses.iter().map(|told| (&told["status"], &told["at_source"])).collect();
        let receipt = json!("receipt");
        let expected = [json!("started"), json!("answered"), json!("completed")];
        assert_eq!(
            statuses.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
        assert!(statuses[1..].iter().all(|(_, source)| **source == receipt), "{timestamp}: {told}");
    }
}

#[tokio::test]
async fn an_instant_far_off_hides_no_other_call_and_keeps_none_live() {
    let (world, clock) = standing_still_at("2026-03-09T10:15:30Z");
    let daemon = World { signatures: "off", ..world }.start().await;
    let send = async |id: &str, status: &str, timestamp: &str| {
        let body = event(id, "leg-1", status, &json!({"timestamp": timestamp}));
        post(&daemon, "/webhooks/event", &body).await;
        daemon.wait_for(id, has_status(status)).await
    };
    let ahead = "2096-03-09T10:15:41.902Z";
    send("CON-1", "started", ahead).await;
    let far = send("CON-1", "completed", ahead).await;
    assert_eq!((&far["state"], &far["legs"][0]["statuses"][0]["at"]), (&json!("ended"), &json!(ahead)));
    for instant in ["started_at", "ended_at"] {
        assert_eq!(far[instant], "2026-03-09T10:15:30.000Z", "{instant}");
    }
    // What seems to follow a `cancelled` in years does not keep the call live until then.
    clock.advance(SignedDuration::from_secs(1));
    send("CON-2", "answered", ahead).await;
    send("CON-2", "cancelled", "2026-03-09T10:15:31Z").await;
    clock.advance(SignedDuration::from_secs(1));
    send("CON-3", "completed", "").await;
    clock.advance(SignedDuration::from_secs(1));
    send("CON-4", "completed", "0001-01-01T00:00:00Z").await;
    clock.advance(SignedDuration::from_secs(1));
    send("CON-5", "completed", "2026-03-09T10:15:34Z").await;
    let newest_first = ["CON-5", "CON-4", "CON-3", "CON-2", "CON-1"];
    assert_eq!(found(&daemon, "").await, newest_first);
    assert_eq!(found(&daemon, "since=1h").await, newest_first);
    assert_eq!(found(&daemon, "since=2090-01-01").await, Vec::<String>::new());
    clock.advance(SignedDuration::from_secs(1));
    let stats = daemon.get("/v1/stats").await.json();
    assert_eq!(stats["conversations"]["total"], 5, "{stats}");
    daemon.advance(&clock, SignedDuration::from_mins(2));
    assert_eq!(found(&daemon, "state=live").await, Vec::<String>::new());
    assert_eq!(daemon.get("/v1/conversations/CON-2").await.json()["state"], "ended");
}

// === who is gone

#[tokio::test]
async fn a_member_that_is_not_told_to_have_left_is_gone_since_its_leg_ended() {
    let daemon = World::default().start().await;
    let call = Call::tutorial();
    daemon.vonage.play(&call, Pace::AfterEachLook).await;
    let id = "CON-bc643220-2542-499a-892e-c982c4150c06";
    let told = daemon
        .wait_for(id, |one| one["state"] == "ended" && one["members"].as_array().unwrap().len() == 2)
        .await;
    for member in told["members"].as_array().unwrap() {
        assert_eq!(
            (&member["state"], &member["left_at"]),
            (&json!("JOINED"), &json!("2018-10-25T09:31:30.179Z"))
        );
        let source = json!({"type": "leg_end", "leg_id": member["leg_ids"][0]});
        assert_eq!(member["left_source"], source);
        assert!(member["joined_at"].is_string());
    }
    let at = |time: &str| format!("/v1/conversations/{id}/members?at={time}");
    let during = daemon.get(&at("2018-10-25T09:31:30.178Z")).await.json();
    let after = daemon.get(&at("2018-10-25T09:31:30.179Z")).await.json();
    let left = |list: &Value| -> Vec<bool> {
        list["items"].as_array().unwrap().iter().map(|member| member["left_at"].is_string()).collect()
    };
    assert_eq!((left(&during), left(&after)), (vec![false, false], vec![true, true]));
    let page = daemon.get(&format!("/conversations/{id}")).await.text;
    assert_eq!(page.matches("gone since").count(), 2);
    let table = daemon.get(&format!("/v1/conversations/{id}/members?format=csv")).await.text;
    assert_eq!(table.matches("leg_end").count(), 2, "{table}");
}
