//! What webhooks say: every recorded body, read the way it comes.

use conversationd::domain::arrival::{Delivery, Endpoint, Method};
use conversationd::domain::ids::{ConversationId, LegId};
use conversationd::vonage::webhook::{Unreadable, Webhook};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::support::data;

const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
const INBOUND: &str = "5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f";
const OUTBOUND: &str = "c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93";
const WEBSOCKET: &str = "e7b0c6d2-58a1-4c3f-bd94-2f6a1e907c85";
const APP: &str = "a1c93f7e-6d25-4b08-9e41-58c0d7b62f3a";
const VBC: &str = "7b15e0c9-4a83-4d2f-96be-c3f70d1a5284";

/// What a body is taken for: its kind, its leg, and whether it tells that leg's status.
struct Expected(&'static str, &'static str, Option<&'static str>, bool);

const STATUS: bool = true;
const NO_STATUS: bool = false;

/// Every file in `tests/data/events`, in order.
const EXPECTED: [Expected; 45] = [
    Expected("answer_fallback_post.json", "answer", Some(INBOUND), NO_STATUS),
    Expected("answer_get_query.json", "answer", Some(INBOUND), NO_STATUS),
    Expected("answer_get_query_regional.json", "answer", Some(INBOUND), NO_STATUS),
    Expected("answer_post_app_user.json", "answer", Some(APP), NO_STATUS),
    Expected("answer_post_outbound_call.json", "answer", Some(OUTBOUND), NO_STATUS),
    Expected("answer_post_phone.json", "answer", Some(INBOUND), NO_STATUS),
    Expected("answer_post_sip.json", "answer", Some(INBOUND), NO_STATUS),
    Expected("answer_post_vbc.json", "answer", Some(VBC), NO_STATUS),
    Expected("answered_inbound.json", "answered", Some(INBOUND), STATUS),
    Expected("answered_no_headers_old.json", "answered", Some(OUTBOUND), STATUS),
    Expected("answered_outbound.json", "answered", Some(OUTBOUND), STATUS),
    Expected("busy.json", "busy", Some(OUTBOUND), STATUS),
    Expected("cancelled.json", "cancelled", Some(OUTBOUND), STATUS),
    Expected("completed_get_query.json", "completed", Some(INBOUND), STATUS),
    Expected("completed_inbound.json", "completed", Some(INBOUND), STATUS),
    Expected("completed_outbound.json", "completed", Some(OUTBOUND), STATUS),
    Expected("completed_without_new_fields.json", "completed", Some(INBOUND), STATUS),
    Expected("disconnected_websocket.json", "disconnected", Some(WEBSOCKET), STATUS),
    Expected("error.json", "error", None, NO_STATUS),
    Expected("event_fallback_post.json", "input", Some(INBOUND), NO_STATUS),
    Expected("failed_cannot_route.json", "failed", Some(OUTBOUND), STATUS),
    Expected("failed_internal_error.json", "failed", Some(OUTBOUND), STATUS),
    Expected("failed_number_out_of_service.json", "failed", Some(OUTBOUND), STATUS),
    Expected("human.json", "human", Some(OUTBOUND), STATUS),
    Expected("input_dtmf.json", "input", Some(INBOUND), NO_STATUS),
    Expected("input_get_query.json", "input", Some(INBOUND), NO_STATUS),
    Expected("input_speech.json", "input", Some(INBOUND), NO_STATUS),
    Expected("input_speech_error.json", "input", Some(INBOUND), NO_STATUS),
    Expected("machine.json", "machine", Some(OUTBOUND), STATUS),
    Expected("machine_beep_start.json", "machine", Some(OUTBOUND), STATUS),
    Expected("notify.json", "notify", None, NO_STATUS),
    Expected("pay_failure.json", "pay", Some(INBOUND), NO_STATUS),
    Expected("pay_success.json", "pay", Some(INBOUND), NO_STATUS),
    Expected("record.json", "record", None, NO_STATUS),
    Expected("rejected_invalid_number.json", "rejected", Some(OUTBOUND), STATUS),
    Expected("rejected_restricted.json", "rejected", Some(OUTBOUND), STATUS),
    Expected("ringing_inbound.json", "ringing", Some(INBOUND), STATUS),
    Expected("ringing_outbound.json", "ringing", Some(OUTBOUND), STATUS),
    Expected("started_inbound.json", "started", Some(INBOUND), STATUS),
    Expected("started_outbound.json", "started", Some(OUTBOUND), STATUS),
    Expected("timeout.json", "timeout", Some(OUTBOUND), STATUS),
    Expected("transcribed.json", "transcribed", None, NO_STATUS),
    Expected("transfer.json", "transfer", Some(INBOUND), NO_STATUS),
    Expected("unanswered_timeout.json", "unanswered", Some(OUTBOUND), STATUS),
    Expected("unanswered_unavailable.json", "unanswered", Some(OUTBOUND), STATUS),
];

#[test]
fn every_recorded_body_is_understood() {
    assert_eq!(data::names("events"), EXPECTED.map(|Expected(file, ..)| file));
    for Expected(file, kind, leg, tells_status) in &EXPECTED {
        let endpoint = if file.starts_with("answer_") { Endpoint::Answer } else { Endpoint::Event };
        let body = data::bytes(&format!("events/{file}"));
        let delivery = if file.contains("_get_query") { get(endpoint, &body) } else { post(endpoint, &body) };
        let webhook = Webhook::read(&delivery).unwrap();
        assert_eq!(webhook.kind(endpoint), *kind, "{file}");
        assert_eq!(webhook.leg_id(), leg.map(leg_id), "{file}");
        assert_eq!(webhook.leg_status(endpoint), tells_status.then(|| (*kind).to_owned()), "{file}");
        assert_eq!(webhook.conversation_id(), Some(conversation(CONVERSATION)), "{file}");
        let moved_to =
            (*kind == "transfer").then(|| conversation("CON-9a8b7c6d-1e2f-4a3b-9c4d-5e6f70819203"));
        assert_eq!(webhook.transferred_to(), moved_to, "{file}");
    }
}

#[test]
fn a_body_reads_the_same_by_get_and_by_post() {
    for file in data::names("events") {
        let body = data::bytes(&format!("events/{file}"));
        for endpoint in [Endpoint::Answer, Endpoint::Event] {
            let deliveries = [post(endpoint, &body), get(endpoint, &body)];
            let [by_post, by_get] = deliveries.each_ref().map(|delivery| Webhook::read(delivery).unwrap());
            assert_eq!(by_get.kind(endpoint), by_post.kind(endpoint), "{file}");
            assert_eq!(by_get.leg_status(endpoint), by_post.leg_status(endpoint), "{file}");
            let told = |webhook: &Webhook<'_>| {
                let sides = (webhook.from(), webhook.to(), webhook.direction(), webhook.detail());
                let bill = (webhook.duration(), webhook.price(), webhook.timestamp());
                (webhook.leg_id(), webhook.conversation_id(), webhook.transferred_to(), sides, bill)
            };
            assert_eq!(told(&by_get), told(&by_post), "{file}");
        }
    }
}

#[test]
fn the_kinds_are_told_apart_in_this_order() {
    let everything = json!({
        "conversation_uuid_from": CONVERSATION, "type": "audio:record", "transcription_url": "https://x",
        "recording_url": "https://x", "speech": {}, "payload": {}, "reason": "why", "status": "answered",
    });
    let mut left = everything.as_object().unwrap().clone();
    for (tell, kind) in [
        ("conversation_uuid_from", "transfer"),
        ("type", "rtc"),
        ("transcription_url", "transcribed"),
        ("recording_url", "record"),
        ("speech", "input"),
        ("payload", "notify"),
        ("status", "answered"),
        ("reason", "error"),
    ] {
        assert_eq!(read(&event(&Value::Object(left.clone()))).kind(Endpoint::Event), kind, "{left:?}");
        left.remove(tell);
    }
    assert_eq!(read(&event(&Value::Object(left))).kind(Endpoint::Event), "unknown");
}

#[test]
fn other_tells_of_a_kind() {
    for (body, kind) in [
        (json!({"dtmf": "42"}), "input"),
        (json!({"speech": null, "dtmf": null, "status": "ringing"}), "ringing"),
        (json!({"type": "transfer", "status": "x"}), "transfer"),
        (json!({"type": "talk", "status": "finished"}), "playback"),
        (json!({"type": "stream", "status": "stopped"}), "playback"),
        (json!({"type": "record", "status": "transcribed", "transcription_url": "https://x"}), "transcribed"),
        (json!({"type": "member:joined", "status": "answered"}), "rtc"),
        (json!({"reason": "x", "status": "failed"}), "failed"),
        (json!({"status": "Redirected"}), "redirected"),
        (json!({"status": ""}), "unknown"),
        (json!({}), "unknown"),
    ] {
        assert_eq!(read(&event(&body)).kind(Endpoint::Event), kind, "{body}");
        assert_eq!(read(&event(&body)).kind(Endpoint::Answer), "answer", "{body}");
    }
}

#[test]
fn a_status_is_told_only_of_a_leg() {
    let told = |body: Value| read(&event(&body)).leg_status(Endpoint::Event);
    assert_eq!(told(json!({"status": "ANSWERED", "uuid": "a"})).as_deref(), Some("answered"));
    assert_eq!(told(json!({"status": "something-new", "call_uuid": "a"})).as_deref(), Some("something-new"));
    assert_eq!(told(json!({"status": "answered"})), None);
    assert_eq!(told(json!({"status": "success", "uuid": "a"})), None);
    assert_eq!(told(json!({"status": "answered", "uuid": "a", "speech": {}})), None);
}

#[test]
fn a_get_carries_nested_objects_as_texts() {
    let event = |query: &str| with_query(Endpoint::Event, query);
    let kind = |query: &str| Webhook::read(&event(query)).map(|webhook| webhook.kind(Endpoint::Event));
    assert_eq!(kind("dtmf=%7B%22digits%22%3A%223%22%7D&uuid=a").as_deref(), Ok("input"));
    assert_eq!(kind("payload=%5B1%2C2%5D").as_deref(), Ok("notify"));
    // Not JSON after all: it stays a text.
    assert_eq!(
        Webhook::read(&event("status=%7Boops&uuid=a")).unwrap().leg_status(Endpoint::Event).as_deref(),
        Some("{oops")
    );
    assert_eq!(
        Webhook::read(&event("from=Eve&&from=Alice+B%2BC&to")).unwrap().from().as_deref(),
        Some("Alice B+C")
    );
    assert_eq!(Webhook::read(&event("status=%C3%84")).unwrap().kind(Endpoint::Event), "Ä");
    assert_eq!(Webhook::read(&event("")), Err(Unreadable::NoParameters));
    assert_eq!(Webhook::read(&event("&&")), Err(Unreadable::NoParameters));
    assert_eq!(Webhook::read(&event("status=%FF")), Err(Unreadable::NotText));
    assert_eq!(Webhook::read(&event("%FF=a")), Err(Unreadable::NotText));
    let nothing = Delivery { query: None, ..with_query(Endpoint::Event, "") };
    assert_eq!(Webhook::read(&nothing), Err(Unreadable::NoParameters));
}

#[test]
fn what_is_not_asked_for_may_be_as_odd_as_it_likes() {
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let body = format!(
        r#"{{"status": "ringing", "a": {deep}, "b": 1e999, "c": "\ud800", "\udc00": 1, "status": "ans\u0077ered"}}"#
    );
    let delivery = post(Endpoint::Event, body.as_bytes());
    assert_eq!(read(&delivery).kind(Endpoint::Event), "answered", "of two the last counts");
    let price =
        post(Endpoint::Event, br#"{"price": 0.50, "from": "\ud83d\ude00", "to": true, "direction": {}}"#);
    let webhook = read(&price);
    assert_eq!(webhook.price().as_deref(), Some("0.50"));
    assert_eq!(webhook.from().as_deref(), Some("\u{1f600}"));
    assert_eq!((webhook.to().as_deref(), webhook.direction()), (Some("true"), None));
}

#[test]
fn a_post_carries_one_json_object() {
    for (body, expected) in [
        ("", Unreadable::NotJson),
        ("{", Unreadable::NotJson),
        ("{} {}", Unreadable::NotJson),
        ("[1", Unreadable::NotJson),
        ("[]", Unreadable::NotAnObject),
        ("null", Unreadable::NotAnObject),
        ("\"text\"", Unreadable::NotAnObject),
    ] {
        assert_eq!(Webhook::read(&post(Endpoint::Event, body.as_bytes())), Err(expected), "{body}");
    }
    assert_eq!(Webhook::read(&post(Endpoint::Event, b"{\"a\":\"\xff\"}")), Err(Unreadable::NotJson));
}

#[test]
fn the_sides_the_bill_and_the_time_are_read_in_every_spelling() {
    let delivery =
        event(&json!({"from_user": "alice", "duration": 61, "price": 0.5, "sub_state": "beep_start"}));
    let webhook = read(&delivery);
    assert_eq!(webhook.from().as_deref(), Some("alice"));
    assert_eq!(webhook.duration(), Some(61));
    assert_eq!(webhook.price().as_deref(), Some("0.5"));
    assert_eq!(webhook.detail().as_deref(), Some("beep_start"));
    let duration = |value: Value| read(&event(&json!({ "duration": value }))).duration();
    assert_eq!(duration(json!("307")), Some(307));
    assert_eq!(duration(json!(" 6.6 ")), Some(7));
    assert_eq!(duration(json!("soon")), None);
    assert_eq!(duration(json!(1e300)), None);
    assert_eq!(duration(Value::Null), None);
    let at = |text: &str| read(&event(&json!({ "timestamp": text }))).timestamp();
    let expected = Some("2026-03-09T10:15:41Z".parse::<Timestamp>().unwrap());
    for text in [
        "2026-03-09T10:15:41Z",
        "2026-03-09T10:15:41.000Z",
        "2026-03-09T10:15:41.000000400Z",
        "2026-03-09 10:15:41",
        "2026-03-09T10:15:41+0000",
        "2026-03-09T11:15:41.000+01:00",
        " 2026-03-09T10:15:41 ",
    ] {
        assert_eq!(at(text), expected, "{text}");
    }
    assert_eq!(at("yesterday"), None);
}

#[test]
fn an_id_that_could_change_a_path_is_no_id() {
    for id in ["CON-1/../x", "CON-1?x=1", "", "CON 1", "CON-%2e", &"C".repeat(129)] {
        assert_eq!(read(&event(&json!({ "conversation_uuid": id }))).conversation_id(), None, "{id}");
    }
    assert_eq!(
        read(&event(&json!({"uuid": "0A0000000123ABCD1"}))).leg_id(),
        Some(leg_id("0A0000000123ABCD1"))
    );
    assert_eq!(read(&event(&json!({"uuid": "a\nb"}))).leg_id(), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        ask_everything(&post(Endpoint::Event, &body));
    }

    #[test]
    fn no_json_makes_the_reader_panic(body in r#"\{("(status|uuid|type|duration|timestamp|speech)":("\PC{0,8}"|-?[0-9]{1,30}|null|\[\]|\{\}),?){0,4}\}"#) {
        ask_everything(&post(Endpoint::Event, body.as_bytes()));
    }

    #[test]
    fn no_query_makes_the_reader_panic(query in r"([a-z%&=+{}\[\]0-9A-F]|\PC){0,60}") {
        ask_everything(&with_query(Endpoint::Event, &query));
    }
}

fn ask_everything(delivery: &Delivery) {
    let Ok(webhook) = Webhook::read(delivery) else {
        return;
    };
    for endpoint in [Endpoint::Answer, Endpoint::Event] {
        let kind = webhook.kind(endpoint);
        assert!(!kind.is_empty());
        let _ = webhook.leg_status(endpoint);
    }
    let _ = (webhook.conversation_id(), webhook.transferred_to(), webhook.leg_id(), webhook.timestamp());
    let _ = (
        webhook.from(),
        webhook.to(),
        webhook.direction(),
        webhook.detail(),
        webhook.duration(),
        webhook.price(),
    );
}

fn event(body: &Value) -> Delivery {
    post(Endpoint::Event, body.to_string().as_bytes())
}

fn read(delivery: &Delivery) -> Webhook<'_> {
    Webhook::read(delivery).expect("it is an object")
}

fn post(endpoint: Endpoint, body: &[u8]) -> Delivery {
    let content_type = Some("application/json".to_owned());
    Delivery {
        endpoint,
        method: Method::Post,
        query: None,
        covered_query: None,
        content_type,
        body: body.to_vec(),
    }
}

/// The fields of a JSON object as parameters: nested ones as JSON text, absent ones left out.
fn get(endpoint: Endpoint, body: &[u8]) -> Delivery {
    let fields: serde_json::Map<String, Value> = serde_json::from_slice(body).expect("a body is an object");
    let mut query = Serializer::new(String::new());
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) => drop(query.append_pair(&name, &text)),
            nested => drop(query.append_pair(&name, &nested.to_string())),
        }
    }
    with_query(endpoint, &query.finish())
}

fn with_query(endpoint: Endpoint, query: &str) -> Delivery {
    let query = Some(query.to_owned());
    Delivery {
        endpoint,
        method: Method::Get,
        query,
        covered_query: None,
        content_type: None,
        body: Vec::new(),
    }
}

fn conversation(id: &str) -> ConversationId {
    ConversationId::parse(id).expect("it is an id")
}

fn leg_id(id: &str) -> LegId {
    LegId::parse(id).expect("it is an id")
}
