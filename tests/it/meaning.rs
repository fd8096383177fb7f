//! What a webhook or document means, seen from outside: sent to the public listener or answered by Vonage, read from
//! the private one.

use conversationd::domain::arrival::Origin;
use conversationd::flow::interpret::interpret;
use reqwest::Method;
use serde_json::{Value, json};

use super::interpret::{CONVERSATION, arrival, history, instant};
use crate::support::daemon::{TestDaemon, World};
use conversationd::domain::arrival::Endpoint;

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
