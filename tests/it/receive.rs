//! Webhooks over HTTP: what is taken, what is replied, what is refused.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::daemon::{NCCO, TestDaemon, World};
use crate::support::{data, keys};

const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";

async fn unsigned() -> TestDaemon {
    World { signatures: "off", ..World::default() }.start().await
}

/// A body of the `*_get_query` files as the query string that it came in.
fn query(fields: &Value) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in fields.as_object().expect("the file holds an object") {
        query.append_pair(key, value.as_str().expect("a parameter is text"));
    }
    query.finish()
}

async fn send(daemon: &TestDaemon, name: &str) -> StatusCode {
    let endpoint = if name.starts_with("answer_") { "answer" } else { "event" };
    let body = data::bytes(&format!("events/{name}"));
    let reply = if name.contains("_get_query") {
        let fields = serde_json::from_slice(&body).expect("the file is JSON");
        daemon.webhook(Method::GET, &format!("/webhooks/{endpoint}?{}", query(&fields)), &[], "").await
    } else {
        let json = [("content-type", "application/json; charset=utf-8")];
        daemon.webhook(Method::POST, &format!("/webhooks/{endpoint}"), &json, body).await
    };
    reply.status
}

#[tokio::test]
async fn every_recorded_body_is_taken_and_kept_to_the_byte() {
    let daemon = unsigned().await;
    let names = data::names("events");
    for name in &names {
        let taken = if name.starts_with("answer_") && !name.contains("answered") { 200 } else { 204 };
        assert_eq!(send(&daemon, name).await, taken, "{name}");
    }
    let path = format!("/v1/conversations/{CONVERSATION}/webhooks?limit=500");
    let kept = daemon
        .wait_for_path(&path, |list| list["items"].as_array().is_some_and(|items| items.len() == names.len()))
        .await;
    for (name, item) in names.iter().zip(kept["items"].as_array().unwrap()) {
        let sent: Value = serde_json::from_slice(&data::bytes(&format!("events/{name}"))).unwrap();
        if item["method"] == "GET" {
            assert_eq!(item["query"], query(&sent), "{name}");
            assert_eq!(item["body"], Value::Null, "{name}");
        } else {
            assert_eq!(item["body"], sent, "{name}");
        }
        assert_eq!(item["deliveries"], 1, "{name}");
        assert_eq!(item["application_id"], keys::APPLICATION, "{name}");
    }
}

#[tokio::test]
async fn an_event_gets_an_empty_204_and_an_answer_its_ncco() {
    let daemon = unsigned().await;
    let event = daemon.post_event(data::bytes("events/started_inbound.json")).await;
    assert_eq!(
        (event.status, event.text.as_str(), event.content_type.as_str()),
        (StatusCode::NO_CONTENT, "", "")
    );
    let json = [("content-type", "application/json")];
    let answer = daemon
        .webhook(Method::POST, "/webhooks/answer", &json, data::bytes("events/answer_post_phone.json"))
        .await;
    assert_eq!(
        (answer.status, answer.text.as_str(), answer.content_type.as_str()),
        (StatusCode::OK, NCCO, "application/json")
    );
}

#[tokio::test]
async fn the_application_may_stand_in_the_path() {
    let daemon = unsigned().await;
    let json = [("content-type", "application/json")];
    let body = data::bytes("events/started_inbound.json");
    let path = format!("/webhooks/{}/event", keys::APPLICATION);
    assert_eq!(daemon.webhook(Method::POST, &path, &json, body.clone()).await.status, StatusCode::NO_CONTENT);
    let other = daemon.webhook(Method::POST, "/webhooks/another/event", &json, body).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let detail = other.json()["detail"].to_string();
    assert!(detail.contains("not configured, or not the one that signed"), "{detail}");
}

#[tokio::test]
async fn a_redelivery_is_counted_and_kept_once() {
    let daemon = unsigned().await;
    let body = data::bytes("events/completed_inbound.json");
    for agent in ["first", "second", "third"] {
        let headers = [("content-type", "application/json"), ("user-agent", agent)];
        let reply = daemon.webhook(Method::POST, "/webhooks/event", &headers, body.clone()).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
    }
    let path = format!("/v1/conversations/{CONVERSATION}/webhooks?limit=500");
    let kept = daemon.wait_for_path(&path, |list| list["items"][0]["deliveries"] == 3).await;
    assert_eq!(kept["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_object_of_an_unknown_kind_is_taken_and_counted() {
    let daemon = unsigned().await;
    let count = async || {
        let metrics = daemon.get("/metrics").await.text;
        let line = metrics.lines().find(|line| {
            line.starts_with("conversationd_webhooks_total{")
                && line.contains(r#"endpoint="event""#)
                && line.contains(r#"kind="unknown""#)
        });
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let before = count().await;
    let body = json!({"something": "new", "conversation_uuid": CONVERSATION}).to_string();
    assert_eq!(daemon.post_event(body).await.status, StatusCode::NO_CONTENT);
    assert!(count().await > before);
    let path = format!("/v1/conversations/{CONVERSATION}/webhooks");
    daemon.wait_for_path(&path, |list| list["items"][0]["kind"] == "unknown").await;
}

#[tokio::test]
async fn a_body_that_no_table_can_hold_is_told_in_every_format() {
    let daemon = unsigned().await;
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for odd in ["1e999", r#""\ud800""#, &deep] {
        let body = format!(
            "{{\"conversation_uuid\": \"{CONVERSATION}\",\n \"uuid\": \"a\", \"status\": \"ringing\",\r\n \"odd\": {odd}}}"
        );
        assert_eq!(daemon.post_event(body.clone()).await.status, StatusCode::NO_CONTENT);
        let path = format!("/v1/conversations/{CONVERSATION}/webhooks");
        daemon.wait_for(CONVERSATION, |one| one["status"] == "ringing").await;
        let json = daemon.get("/v1/webhooks").await;
        assert!(json.text.contains(&body), "to the byte");
        for path in [&path, "/v1/webhooks", &format!("/v1/conversations/{CONVERSATION}/timeline")] {
            let lines = daemon.get(&format!("{path}?format=ndjson")).await.text;
            assert!(lines.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{lines}");
            let table = daemon.get(&format!("{path}?format=csv")).await;
            let mut table = csv::Reader::from_reader(table.text.as_bytes());
            assert_eq!(table.records().map(Result::unwrap).count(), lines.lines().count(), "{path}");
        }
        let table = daemon.get("/v1/webhooks?format=csv&limit=1").await.text;
        assert!(table.contains(&body.replace('"', "\"\"")), "to the byte: {table}");
    }
}

/// A method, a path, headers, a body, and the status that they get.
type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);

#[tokio::test]
async fn bad_input_is_told_what_to_do_and_nothing_of_it_is_kept() {
    let daemon = unsigned().await;
    let json = ("content-type", "application/json");
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(300_000));
    let cases: [Case<'_>; 13] = [
        (Method::POST, "/webhooks/event", &[json], "not JSON", 400),
        (Method::POST, "/webhooks/event", &[json], "", 400),
        (Method::POST, "/webhooks/event", &[json], "[]", 400),
        (Method::POST, "/webhooks/event", &[json], "\"text\"", 400),
        (Method::GET, "/webhooks/event", &[], "", 400),
        (Method::GET, "/webhooks/answer?a=%ff", &[], "", 400),
        (Method::POST, "/webhooks/event", &[("content-type", "text/plain")], "{}", 415),
        (
            Method::POST,
            "/webhooks/event",
            &[("content-type", "application/x-www-form-urlencoded")],
            "a=b",
            415,
        ),
        (Method::POST, "/webhooks/event", &[json], &large, 413),
        (Method::PUT, "/webhooks/event", &[json], "{}", 405),
        (Method::HEAD, "/webhooks/answer?uuid=a", &[], "", 405),
        (Method::POST, "/webhooks/elsewhere", &[json], "{}", 404),
        (Method::POST, "/webhooks/%ff/event", &[json], "{}", 400),
    ];
    for (method, path, headers, body, status) in cases {
        let is_head = method == Method::HEAD;
        let shown = format!("{method} {path} {}", &body[..body.len().min(20)]);
        let reply = daemon.webhook(method, path, headers, body.to_owned()).await;
        assert_eq!(reply.status.as_u16(), status, "{shown}");
        assert_eq!(reply.content_type, "application/problem+json", "{shown}");
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{shown}");
        if !is_head {
            assert_eq!(reply.json()["status"], status, "{shown}");
            assert!(reply.json()["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{shown}");
        }
    }
    assert_eq!(daemon.get("/v1/conversations").await.json()["items"], json!([]));
}

#[tokio::test]
async fn an_unsigned_webhook_is_asked_for_again_and_a_forged_one_is_not() {
    let daemon = World::default().start().await;
    let body = data::bytes("events/started_inbound.json");
    let unsigned = daemon.post_event(body.clone()).await;
    assert_eq!(unsigned.status, StatusCode::SERVICE_UNAVAILABLE);
    let headers = [("content-type", "application/json"), ("authorization", "Bearer a.b.c")];
    let forged = daemon.webhook(Method::POST, "/webhooks/event", &headers, body).await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
    for reply in [unsigned, forged] {
        assert_eq!(reply.content_type, "application/problem+json");
        assert!(!reply.text.contains("447700900001"), "nothing of the request is told back");
    }
    assert_eq!(daemon.get(&format!("/v1/conversations/{CONVERSATION}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_signing_vector_gets_its_verdict_over_http() {
    let vectors: Value = serde_json::from_slice(&data::bytes("signing/hs256_vectors.json")).unwrap();
    let now = jiff::Timestamp::from_second(vectors["reference_now"].as_i64().unwrap()).unwrap();
    let (world, _clock) = crate::support::daemon::standing_still_at(&now.to_string());
    let daemon = world.start().await;
    for vector in vectors["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let is_get = vector["method"] == "GET";
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(vector["authorization"].as_str().map(|token| ("authorization", token)));
        let (method, path) = if is_get {
            (Method::GET, "/webhooks/event?status=x")
        } else {
            (Method::POST, "/webhooks/event")
        };
        let reply = daemon.webhook(method, path, &headers, vector["body"].as_str().unwrap().to_owned()).await;
        let expected = match (vector["expect"].as_str().unwrap(), vector["authorization"].is_null()) {
            ("accept", _) => 204,
            (_, true) => 503,
            (_, false) => 401,
        };
        assert_eq!(reply.status.as_u16(), expected, "{name}");
    }
}
