//! Webhooks whose texts are made to exhaust the stack or the processor, in every field: the daemon takes or rejects
//! them, and goes on with everybody else's.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{TestDaemon, World};

const JSON: (&str, &str) = ("content-type", "application/json");

/// What fits into the largest body beside the rest of it.
const TEXT_BYTES: usize = 255 * 1024;

/// What fits into a query beside the rest of it.
const QUERY_BYTES: usize = 7 * 1024;

/// Texts that nest, or that make each of their parts look at all the others.
const SHAPES: [&str; 5] = ["ws:a/", "//a", "wss:a:b@", "%77%73:a/", "sip\u{ff1a}a ;"];

/// What is read of a webhook of the Voice API.
const VOICE_FIELDS: [&str; 16] = [
    "status",
    "type",
    "detail",
    "sub_state",
    "reason",
    "from",
    "to",
    "uuid",
    "conversation_uuid",
    "conversation_uuid_to",
    "direction",
    "timestamp",
    "duration",
    "price",
    "region_url",
    "original_request",
];

fn filled(shape: &str, bytes: usize) -> String {
    shape.repeat(bytes / shape.len())
}

/// Webhooks of the Voice API with a text in each field, and one that is one deep nest.
fn voice_bodies(shape: &str) -> Vec<String> {
    let text = filled(shape, TEXT_BYTES);
    let with = |field: &&str| {
        let mut body = json!({"conversation_uuid": "CON-hostile", "uuid": "leg-1", "status": "ringing"});
        body[*field] = json!(text);
        body.to_string()
    };
    VOICE_FIELDS.iter().map(with).collect()
}

/// Events of the Conversation API with a text in each field.
fn rtc_bodies(shape: &str) -> Vec<String> {
    let text = filled(shape, TEXT_BYTES);
    let joined = |id: i64, user: &Value, channel: &Value| {
        json!({
            "type": "member:joined", "id": id, "conversation_id": "CON-hostile", "from": "MEM-1",
            "timestamp": "2026-03-09T10:15:30Z", "body": {"user": user, "channel": channel},
        })
    };
    let leg = |id: i64, status: &str, reason: &str| {
        json!({
            "type": "leg:status:update", "id": id, "conversation_id": "CON-hostile",
            "body": {"leg_id": "leg-1", "status": status, "state": {"reason": reason}},
        })
    };
    let bodies = [
        json!({"type": text, "id": 1, "conversation_id": "CON-hostile"}),
        json!({"type": "member:joined", "id": text, "conversation_id": text, "from": "MEM-1"}),
        joined(2, &json!({"name": text}), &json!({"id": "leg-1"})),
        joined(3, &json!({"user_id": text}), &json!({"id": "leg-1", "type": text})),
        joined(4, &json!({"id": "USR-1"}), &json!({"id": "leg-1", "to": {"type": "sip", "uri": text}})),
        joined(
            5,
            &json!({"id": "USR-1"}),
            &json!({"id": "leg-1", "from": {"type": "phone", "number": text}}),
        ),
        leg(6, &text, "hangup"),
        leg(7, "completed", &text),
    ];
    let fits = |body: &Value| body.to_string().len() <= 262_144;
    bodies.iter().filter(|body| fits(body)).map(Value::to_string).collect()
}

/// Nests of JSON, deeper than any reader follows.
fn nests() -> [String; 3] {
    let deep = |open: &str, close: &str| {
        let depth = TEXT_BYTES / (open.len() + close.len());
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    };
    let list = deep("[", "]");
    [
        format!(r#"{{"conversation_uuid":"CON-hostile","uuid":"leg-1","status":"ringing","to":{list}}}"#),
        format!(r#"{{"conversation_uuid":"CON-hostile","type":"custom:x","from":"{list}"}}"#),
        deep(r#"{"to":"#, "}"),
    ]
}

/// Posts all at one time while an ordinary call is told of, and asks whether that is answered and told.
async fn bear(daemon: &TestDaemon, path: &str, bodies: Vec<String>, expected: &[u16]) {
    let posting = bodies.into_iter().map(|body| daemon.webhook(Method::POST, path, &[JSON], body));
    let (replies, live) = tokio::join!(join_all(posting), daemon.webhook(Method::GET, "/livez", &[], ""));
    for reply in replies {
        assert!(expected.contains(&reply.status.as_u16()), "{path}: {} {}", reply.status, reply.text);
    }
    assert_eq!(live.status.as_u16(), 200);
}

#[tokio::test]
async fn no_text_of_a_webhook_ends_the_daemon_or_keeps_it_from_others() {
    let mut daemon = World { signatures: "off", ..World::default() }.start().await;
    for shape in SHAPES {
        bear(&daemon, "/webhooks/event", voice_bodies(shape), &[204]).await;
        bear(&daemon, "/webhooks/rtc", rtc_bodies(shape), &[204]).await;
        let answer =
            json!({"conversation_uuid": "CON-hostile", "uuid": "a", "to": filled(shape, TEXT_BYTES)});
        bear(&daemon, "/webhooks/answer", vec![answer.to_string()], &[200]).await;
        let fallback = json!({"conversation_uuid": "CON-hostile", "reason": filled(shape, TEXT_BYTES)});
        bear(&daemon, "/webhooks/fallback", vec![fallback.to_string()], &[204]).await;
    }
    for path in ["/webhooks/event", "/webhooks/rtc"] {
        bear(&daemon, path, nests().to_vec(), &[204, 400]).await;
    }
    told_of_others(&daemon, "CON-before").await;
    daemon.wait_for("CON-hostile", |told| !told["members"].as_array().is_none_or(Vec::is_empty)).await;
    // What is stored is read again at each start.
    daemon.stop().await;
    daemon.start_again().await;
    told_of_others(&daemon, "CON-after").await;
    for path in ["", "/timeline", "/members"] {
        let reply = daemon.get(&format!("/v1/conversations/CON-hostile{path}")).await;
        assert_eq!(reply.status.as_u16(), 200, "{path}");
    }
}

#[tokio::test]
async fn no_text_of_an_unsigned_webhook_ends_the_daemon_that_rejects_it() {
    let daemon = World::default().start().await;
    for shape in SHAPES {
        for path in ["/webhooks/event", "/webhooks/answer", "/webhooks/fallback"] {
            bear(&daemon, path, voice_bodies(shape), &[503]).await;
        }
        bear(&daemon, "/webhooks/rtc", rtc_bodies(shape), &[503]).await;
    }
    for path in ["/webhooks/event", "/webhooks/rtc"] {
        bear(&daemon, path, nests().to_vec(), &[503]).await;
    }
}

#[tokio::test]
async fn no_text_of_a_query_ends_the_daemon() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for shape in SHAPES {
        let text =
            percent_encoding::utf8_percent_encode(shape, percent_encoding::NON_ALPHANUMERIC).to_string();
        for field in VOICE_FIELDS {
            let path = format!("/webhooks/event?uuid=leg-1&{field}={}", filled(&text, QUERY_BYTES));
            assert_eq!(daemon.webhook(Method::GET, &path, &[], "").await.status.as_u16(), 204, "{field}");
        }
    }
    told_of_others(&daemon, "CON-other").await;
}

#[tokio::test]
async fn no_list_in_an_event_keeps_the_daemon_from_others() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let legs: Vec<String> = (0..25_000).map(|number| format!("{number:x}-")).collect();
    let joined = json!({
        "type": "member:joined", "id": 1, "conversation_id": "CON-legs", "from": "MEM-1",
        "timestamp": "2026-03-09T10:15:30Z", "body": {"channel": {"id": "leg-1", "leg_ids": legs}},
    });
    // Of each second one, so that none is another's.
    let history =
        (0..4500).map(|number| json!({"status": "s", "date": (1_773_051_330 + 4 * number).to_string()}));
    let history: Vec<Value> = history.collect();
    let update = |id: i64| {
        json!({
            "type": "leg:status:update", "id": id, "conversation_id": "CON-statuses",
            "body": {"leg_id": "leg-1", "statusHistory": history},
        })
    };
    for body in [joined, update(1), update(2)] {
        bear(&daemon, "/webhooks/rtc", vec![body.to_string()], &[204]).await;
    }
    told_of_others(&daemon, "CON-other").await;
    let count = |told: &Value, list: &str| told[list].as_array().map_or(0, Vec::len);
    daemon.wait_for("CON-legs", |told| count(told, "legs") >= 25_000).await;
    daemon.wait_for("CON-statuses", |told| count(&told["legs"][0], "statuses") >= 4500).await;
}

/// An ordinary call is taken and told.
async fn told_of_others(daemon: &TestDaemon, conversation: &str) {
    let event = json!({"conversation_uuid": conversation, "uuid": "leg-9", "status": "ringing"}).to_string();
    assert_eq!(daemon.post_event(event).await.status.as_u16(), 204);
    daemon.wait_for(conversation, |told| told["status"] == "ringing").await;
}
