//! The public listener as a whole: events of the Conversation API, fallback webhooks, several applications, and a
//! store that is slow.

use std::time::{Duration, Instant};

use conversationd::domain::ids::ApplicationId;
use conversationd::simulator::{Settings, Simulator, Target, Webhook};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::support::application::{Application, Says};
use crate::support::daemon::{NCCO, TestDaemon, World};
use crate::support::{data, keys};

const JSON: (&str, &str) = ("content-type", "application/json");

const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";

const OTHER_APPLICATION: &str = "11111111-2222-4333-8444-555555555555";

async fn unsigned() -> TestDaemon {
    World { signatures: "off", ..World::default() }.start().await
}

async fn post(daemon: &TestDaemon, path: &str, body: impl Into<reqwest::Body>) -> u16 {
    daemon.webhook(Method::POST, path, &[JSON], body).await.status.as_u16()
}

/// The webhooks of a conversation, as soon as there are so many.
async fn webhooks(daemon: &TestDaemon, conversation: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/conversations/{conversation}/webhooks?limit=500");
    let all = |list: &Value| list["items"].as_array().is_some_and(|items| items.len() == count);
    daemon.wait_for_path(&path, all).await["items"].as_array().expect("it is a list").clone()
}

// === events of the Conversation API

#[tokio::test]
async fn every_recorded_rtc_event_is_taken_and_told_by_its_type() {
    let daemon = unsigned().await;
    let mut of_the_call: Vec<(Value, i64)> = Vec::new();
    for name in data::names("rtc") {
        let body = data::bytes(&format!("rtc/{name}"));
        assert_eq!(post(&daemon, "/webhooks/rtc", body.clone()).await, 204, "{name}");
        let event: Value = serde_json::from_slice(&body).unwrap();
        let is_told_of = event["type"].as_str().unwrap().starts_with("conversation:");
        let own = if is_told_of { &event["body"]["id"] } else { &event["conversation_id"] };
        if own != CONVERSATION {
            continue;
        }
        // Some of the files tell different events under one number: each is kept.
        of_the_call.push((event, 1));
    }
    assert!(of_the_call.len() > 25, "{}", of_the_call.len());
    let kept = webhooks(&daemon, CONVERSATION, of_the_call.len()).await;
    for (item, (event, deliveries)) in kept.iter().zip(&of_the_call) {
        assert_eq!((&item["endpoint"], &item["kind"], &item["body"]), (&json!("rtc"), &event["type"], event));
        assert_eq!((&item["deliveries"], &item["reply"]), (&json!(deliveries), &Value::Null));
    }
}

#[tokio::test]
async fn a_simulated_call_tells_its_rtc_events_signed() {
    let daemon = World::default().start().await;
    for name in data::names("rtc") {
        let webhook = Webhook::post(Target::Rtc, data::bytes(&format!("rtc/{name}")));
        assert_eq!(daemon.vonage.send(webhook).await.status(), Some(204), "{name}");
    }
    let body = data::bytes("rtc/member_left.json");
    assert_eq!(post(&daemon, "/webhooks/rtc", body.clone()).await, 503, "a signature is due");
    let forged = [JSON, ("authorization", "Bearer a.b.c")];
    let forged = daemon.webhook(Method::POST, "/webhooks/rtc", &forged, body).await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn rtc_events_are_signed_by_a_switch_of_their_own() {
    let event = |conversation: &str| json!({"type": "custom:x", "conversation_id": conversation}).to_string();
    let forged = [JSON, ("authorization", "Bearer a.b.c")];
    for (signatures, webhooks, of_rtc, of_voice) in [
        ("required", r#"rtc_signatures = "off""#, [204, 204], [503, 401]),
        ("off", r#"rtc_signatures = "required""#, [503, 401], [204, 204]),
        ("required", r#"rtc_signatures = "same""#, [503, 401], [503, 401]),
        ("off", "", [204, 204], [204, 204]),
    ] {
        let daemon = World { signatures, webhooks, ..World::default() }.start().await;
        for (path, expected) in [("/webhooks/rtc", of_rtc), ("/webhooks/event", of_voice)] {
            let unsigned = post(&daemon, path, event("CON-1")).await;
            let forged = daemon.webhook(Method::POST, path, &forged, event("CON-2")).await.status.as_u16();
            assert_eq!([unsigned, forged], expected, "{signatures} {webhooks} {path}");
        }
        let kept = daemon.get("/v1/webhooks").await.json();
        let kept = kept["items"].as_array().unwrap();
        assert_eq!(kept.len(), [of_rtc, of_voice].concat().iter().filter(|status| **status == 204).count());
        assert!(kept.iter().all(|item| item["origin"] == "unverified"), "{kept:?}");
    }
}

#[tokio::test]
async fn an_rtc_event_is_one_by_its_bytes_whatever_its_number() {
    let daemon = unsigned().await;
    let event = |number: i64, note: &str| {
        json!({"type": "Member:Joined", "id": number, "conversation_id": "CON-1", "note": note}).to_string()
    };
    let unnumbered =
        |note: &str| json!({"type": "app:knocking", "conversation_id": "CON-1", "note": note}).to_string();
    for body in
        [event(1, "a"), event(1, "b"), event(1, "a"), unnumbered("a"), unnumbered("a"), unnumbered("b")]
    {
        assert_eq!(post(&daemon, "/webhooks/rtc", body).await, 204);
    }
    let kept = webhooks(&daemon, "CON-1", 4).await;
    let told: Vec<(&str, i64)> = kept
        .iter()
        .map(|item| (item["kind"].as_str().unwrap(), item["deliveries"].as_i64().unwrap()))
        .collect();
    let expected = [("member:joined", 2), ("member:joined", 1), ("app:knocking", 2), ("app:knocking", 1)];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn rtc_events_are_counted_together_and_only_posted() {
    let daemon = unsigned().await;
    assert_eq!(post(&daemon, "/webhooks/rtc", data::bytes("rtc/custom.json")).await, 204);
    assert_eq!(post(&daemon, "/webhooks/rtc", "{\"conversation_id\":\"CON-1\"}").await, 204);
    assert_eq!(webhooks(&daemon, "CON-1", 1).await[0]["kind"], "unknown");
    let metrics = daemon.get("/metrics").await.text;
    let counted =
        |line: &&str| line.starts_with("conversationd_webhooks_total") && line.contains("endpoint=\"rtc\"");
    let lines: Vec<&str> = metrics.lines().filter(counted).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("kind=\"rtc\""), "{lines:?}");
    for path in ["/webhooks/rtc?type=a", &format!("/webhooks/{}/rtc?type=a", keys::APPLICATION)] {
        let reply = daemon.webhook(Method::GET, path, &[], "").await;
        assert_eq!(
            (reply.status, &reply.headers["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
        );
    }
    for body in ["", "[]", "no JSON"] {
        assert_eq!(post(&daemon, "/webhooks/rtc", body).await, 400, "{body}");
    }
}

#[tokio::test]
async fn an_rtc_event_at_the_event_address_is_kept_as_before() {
    let daemon = unsigned().await;
    assert_eq!(post(&daemon, "/webhooks/event", data::bytes("rtc/member_left.json")).await, 204);
    let kept = webhooks(&daemon, CONVERSATION, 1).await;
    assert_eq!((&kept[0]["endpoint"], &kept[0]["kind"]), (&json!("event"), &json!("rtc")));
}

// === fallback webhooks

#[tokio::test]
async fn a_fallback_webhook_is_replied_to_as_what_it_stands_for() {
    let daemon = unsigned().await;
    let answer: Value = serde_json::from_slice(&data::bytes("events/answer_fallback_post.json")).unwrap();
    let event: Value = serde_json::from_slice(&data::bytes("events/event_fallback_post.json")).unwrap();
    let without = |original: &Value, remove: &str| {
        let mut body = original.clone();
        body.as_object_mut().unwrap().remove(remove);
        body
    };
    let typed = |original: &Value, kind: &str| {
        let mut body = original.clone();
        body["original_request"] = json!({"url": "https://audit.example.net/", "type": kind});
        body
    };
    let status = json!({"conversation_uuid": CONVERSATION, "uuid": "a", "to": "1", "status": "ringing", "reason": "x"});
    let cases = [
        (answer.clone(), 200, "answer"),
        (event.clone(), 204, "input"),
        (without(&answer, "original_request"), 200, "answer"),
        (without(&event, "original_request"), 204, "input"),
        (without(&without(&answer, "original_request"), "uuid"), 204, "error"),
        (typed(&answer, "event"), 204, "error"),
        (typed(&event, "Answer"), 200, "answer"),
        (typed(&answer, "other"), 200, "answer"),
        (typed(&status, "event"), 204, "ringing"),
        (status.clone(), 204, "ringing"),
    ];
    for (number, (body, expected, _)) in cases.iter().enumerate() {
        let reply = daemon.webhook(Method::POST, "/webhooks/fallback", &[JSON], body.to_string()).await;
        assert_eq!(reply.status.as_u16(), *expected, "{number}");
        assert_eq!(reply.text, if *expected == 200 { NCCO } else { "" }, "{number}");
    }
    let kept = webhooks(&daemon, CONVERSATION, cases.len()).await;
    for (number, (item, (body, expected, kind))) in kept.iter().zip(&cases).enumerate() {
        assert_eq!((&item["endpoint"], &item["kind"]), (&json!("fallback"), &json!(kind)), "{number}");
        assert_eq!(item["fallback_reason"], body["reason"], "{number}");
        assert!(item["reply"].is_null() || *expected == 200, "{number}");
    }
    let replied = |list: &Value| {
        let items = list["items"].as_array().unwrap();
        items.iter().filter(|item| item["reply"]["source"] == "file").count() == 4
    };
    daemon.wait_for_path(&format!("/v1/conversations/{CONVERSATION}/webhooks"), replied).await;
    // What came in elsewhere has no such reason, though it may have a field of that name.
    assert_eq!(post(&daemon, "/webhooks/event", data::bytes("events/error.json")).await, 204);
    let kept = webhooks(&daemon, CONVERSATION, cases.len() + 1).await;
    assert_eq!(kept.last().unwrap()["fallback_reason"], Value::Null);
}

#[tokio::test]
async fn a_fallback_webhook_may_come_by_get() {
    let daemon = World::default().start().await;
    let address = "https://audit.example.net/webhooks/answer".parse().unwrap();
    for (target, file, status) in [
        (Target::Answer, "events/answer_post_phone.json", 200),
        (Target::Event, "events/started_inbound.json", 204),
    ] {
        let webhook =
            Webhook::post(target, data::bytes(file)).after_failing_at(&address, "Connection closed.");
        for webhook in [webhook.clone(), webhook.by_get()] {
            assert_eq!(daemon.vonage.send(webhook).await.status(), Some(status), "{file}");
        }
    }
    let kept = webhooks(&daemon, CONVERSATION, 4).await;
    let kinds: Vec<_> =
        kept.iter().map(|item| (&item["method"], &item["kind"], &item["fallback_reason"])).collect();
    let [post, get] = ["POST", "GET"].map(Value::from);
    let [answer, started, reason] = ["answer", "started", "Connection closed."].map(Value::from);
    let expected = [
        (&post, &answer, &reason),
        (&get, &answer, &reason),
        (&post, &started, &reason),
        (&get, &started, &reason),
    ];
    assert_eq!(kinds, expected);
}

// === several applications

/// A daemon that serves two applications.
async fn of_two(signatures: &'static str) -> TestDaemon {
    let sections = format!(
        "[[application]]\nid = \"{OTHER_APPLICATION}\"\nprivate_key_file = \"{{directory}}/private.key\"\n\
         signature_secret_files = [\"{{directory}}/signature.secret\"]\napi_key = \"{}\"",
        keys::API_KEY
    );
    World { signatures, sections, ..World::default() }.start().await
}

/// The other application's Vonage.
async fn other_vonage() -> Simulator {
    let world = World::default();
    let settings = Settings {
        application_id: ApplicationId::parse(OTHER_APPLICATION).expect("it is an id"),
        public_key_pem: keys::pair().public.clone(),
        api_key: keys::API_KEY.to_owned(),
        signature_secret: keys::SECRET.into(),
        webhooks: "http://127.0.0.1:9".parse().expect("it is a URL"),
        members: world.members,
        clock: world.clock,
    };
    Simulator::start(settings).await.expect("the simulator starts")
}

/// A body for each webhook.
fn bodies(conversation: &str) -> [(Target, String); 4] {
    let answer = json!({"conversation_uuid": conversation, "uuid": "a", "to": "1"});
    let event = json!({"conversation_uuid": conversation, "uuid": "a", "status": "started"});
    let rtc = json!({"type": "member:left", "id": 1, "conversation_id": conversation});
    let fallback = json!({"conversation_uuid": conversation, "uuid": "b", "to": "1", "reason": "x"});
    [
        (Target::Answer, answer.to_string()),
        (Target::Event, event.to_string()),
        (Target::Rtc, rtc.to_string()),
        (Target::Fallback, fallback.to_string()),
    ]
}

#[tokio::test]
async fn signed_webhooks_belong_to_the_application_that_signed() {
    let daemon = of_two("required").await;
    let other = other_vonage().await;
    other.send_webhooks_to(daemon.public_url());
    for named in [false, true] {
        for (vonage, conversation, application) in
            [(&daemon.vonage, "CON-1", keys::APPLICATION), (&other, "CON-2", OTHER_APPLICATION)]
        {
            vonage.name_application_in_path(named);
            for (target, body) in bodies(conversation) {
                let delivery = vonage.send(Webhook::post(target, body)).await;
                assert!(delivery.is_accepted(), "{target:?} {named}: {delivery:?}");
            }
            for item in webhooks(&daemon, conversation, 4).await {
                assert_eq!(item["application_id"], application, "{}", item["endpoint"]);
            }
        }
    }
    // The path must not say otherwise than the signature.
    let elsewhere = daemon.public_url().join(&format!("webhooks/{OTHER_APPLICATION}/")).unwrap();
    daemon.vonage.send_webhooks_to(elsewhere);
    for (target, body) in bodies("CON-3") {
        assert_eq!(daemon.vonage.send(Webhook::post(target, body)).await.status(), Some(404), "{target:?}");
    }
}

#[tokio::test]
async fn unsigned_webhooks_belong_to_the_application_in_the_path() {
    let daemon = of_two("off").await;
    let names = ["answer", "event", "rtc", "fallback"];
    for (name, (_, body)) in names.iter().zip(bodies("CON-1")) {
        let path = format!("/webhooks/{OTHER_APPLICATION}/{name}");
        assert!(post(&daemon, &path, body.clone()).await < 300, "{name}");
        assert_eq!(post(&daemon, &format!("/webhooks/nobody/{name}"), body).await, 404, "{name}");
    }
    for (name, (_, body)) in names.iter().zip(bodies("CON-2")) {
        assert!(post(&daemon, &format!("/webhooks/{name}"), body).await < 300, "{name}");
    }
    for item in webhooks(&daemon, "CON-1", 4).await {
        assert_eq!(item["application_id"], OTHER_APPLICATION);
    }
    for item in webhooks(&daemon, "CON-2", 4).await {
        assert_eq!(item["application_id"], Value::Null, "nothing tells which of the two");
    }
}

#[tokio::test]
async fn an_rtc_event_with_a_part_that_cannot_be_read_is_still_one() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let event = r#"{"id": 7, "type": "member:joined", "conversation_id": "CON-7", "timestamp": "2026-03-09T10:15:30Z",
        "body": {"user": {"display_name": "\ud83d"}}}"#;
    let headers = [("content-type", "application/json")];
    for body in [event, event] {
        let reply = daemon.webhook(Method::POST, "/webhooks/rtc", &headers, body).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
    }
    let table = daemon.get("/v1/webhooks?format=csv").await.text;
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1, "one event, twice: {rows:?}");
    assert_eq!((&rows[0][2], &rows[0][3], &rows[0][9]), ("member:joined", "CON-7", "2"));
}

#[tokio::test]
async fn an_rtc_event_may_name_its_application_itself() {
    let daemon = of_two("off").await;
    let event = |conversation: &str, application: &str| {
        json!({"type": "a:b", "id": 1, "conversation_id": conversation, "application_id": application})
            .to_string()
    };
    for (path, conversation, in_body, expected) in [
        ("/webhooks/rtc".to_owned(), "CON-1", OTHER_APPLICATION, json!(OTHER_APPLICATION)),
        ("/webhooks/rtc".to_owned(), "CON-2", "nobody", Value::Null),
        (
            format!("/webhooks/{}/rtc", keys::APPLICATION),
            "CON-3",
            OTHER_APPLICATION,
            json!(keys::APPLICATION),
        ),
    ] {
        assert_eq!(post(&daemon, &path, event(conversation, in_body)).await, 204);
        assert_eq!(webhooks(&daemon, conversation, 1).await[0]["application_id"], expected, "{conversation}");
    }
    let only = unsigned().await;
    assert_eq!(post(&only, "/webhooks/rtc", event("CON-4", "nobody")).await, 204);
    assert_eq!(webhooks(&only, "CON-4", 1).await[0]["application_id"], keys::APPLICATION);
}

// === a store that is slow

/// A reply that is late is heard as silence.
const LATE: Duration = Duration::from_millis(500);

/// Holds the store's only lock for writing, as another program could.
async fn lock(daemon: &TestDaemon) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(daemon.store_path());
    let mut connection = options.connect().await.expect("the store can be opened");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.expect("the lock can be had");
    connection
}

#[tokio::test]
async fn a_call_is_answered_in_time_while_the_store_stands_still() {
    let daemon = unsigned().await;
    let holder = lock(&daemon).await;
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < Duration::from_secs(5) {
        let body =
            json!({"conversation_uuid": "CON-1", "uuid": format!("leg-{sent}"), "to": "1"}).to_string();
        let asked = Instant::now();
        let reply = daemon.webhook(Method::POST, "/webhooks/answer", &[JSON], body).await;
        assert!(asked.elapsed() < LATE, "{sent}: {:?}", asked.elapsed());
        assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, NCCO), "{sent}");
        sent += 1;
    }
    assert!(sent > 5);
    holder.close().await.expect("the lock is given back");
    let kept = webhooks(&daemon, "CON-1", sent).await;
    assert_eq!(kept.len(), sent);
    let all_replies =
        |list: &Value| list["items"].as_array().unwrap().iter().all(|item| item["reply"]["source"] == "file");
    daemon.wait_for_path("/v1/conversations/CON-1/webhooks?limit=500", all_replies).await;
}

#[tokio::test]
async fn an_event_that_is_not_stored_is_not_passed_on_and_an_answer_is() {
    let application = Application::start(Says::json(200, "[]")).await;
    let world = World {
        signatures: "off",
        answer: format!("forward_url = \"{}answer\"", application.url),
        sections: format!("[event]\nforward_url = \"{}event\"", application.url),
        ..World::default()
    };
    let daemon = world.start().await;
    let holder = lock(&daemon).await;
    let answer = json!({"conversation_uuid": "CON-1", "uuid": "a", "to": "1"}).to_string();
    let asked = Instant::now();
    let reply = daemon.webhook(Method::POST, "/webhooks/answer", &[JSON], answer).await;
    assert!(asked.elapsed() < LATE, "{:?}", asked.elapsed());
    assert_eq!(reply.text, "[]");
    let event = json!({"conversation_uuid": "CON-1", "uuid": "a", "status": "started"}).to_string();
    assert_eq!(post(&daemon, "/webhooks/event", event).await, 503);
    holder.close().await.expect("the lock is given back");
    let addresses: Vec<String> = application.asked().into_iter().map(|asked| asked.address).collect();
    assert_eq!(addresses, ["/answer"]);
}
