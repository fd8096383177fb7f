//! What anybody can write, beside what only Vonage can: the latter is believed.

use conversationd::domain::clock::{Clock, SystemClock};
use conversationd::domain::digest::Digest;
use conversationd::simulator::{Signing, Target, Webhook};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::application::{Application, Says};
use crate::support::daemon::{TestDaemon, World};
use crate::support::keys;

const JSON: (&str, &str) = ("content-type", "application/json");

const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";

/// An event of a member.
fn member(id: i64, kind: &str, member: &str, at: &str) -> Value {
    json!({
        "id": id, "type": kind, "conversation_id": CONVERSATION, "from": member, "timestamp": at,
        "body": {"user": {"id": format!("USR-{member}")}, "channel": {"type": "phone", "id": format!("leg-{member}")}},
    })
}

/// The header of a webhook that the tests' application signed with these contents.
fn token(signed: &str) -> String {
    let claims = json!({
        "iss": "Vonage", "iat": SystemClock.now().as_second(), "api_key": keys::API_KEY,
        "application_id": keys::APPLICATION, "payload_hash": Digest::of(signed.as_bytes()).to_string(),
    });
    let key = EncodingKey::from_secret(keys::SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    format!("Bearer {}", token.expect("any claims can be signed"))
}

async fn push(daemon: &TestDaemon, event: &Value) {
    let reply = daemon.webhook(Method::POST, "/webhooks/rtc", &[JSON], event.to_string()).await;
    assert_eq!(reply.status.as_u16(), 204, "{event}");
}

/// Vonage's own list of the conversation's events.
fn list(daemon: &TestDaemon, events: &[Value]) {
    let path = format!("/v0.3/conversations/{CONVERSATION}");
    let document = json!({"id": CONVERSATION, "sequence_number": events.len(), "members": []});
    daemon.vonage.serve_document(&path, 200, document.to_string());
    let list = json!({"_embedded": {"events": events}}).to_string();
    daemon.vonage.serve_document(&format!("{path}/events"), 200, list);
}

async fn wait_for_list(daemon: &TestDaemon) {
    let is_read = |one: &Value| one["documents"].as_array().is_some_and(|documents| documents.len() > 1);
    daemon.wait_for_path(&format!("/v1/conversations/{CONVERSATION}/snapshots/1"), is_read).await;
}

fn states<'a>(told: &'a Value, id: &str) -> Vec<(&'a str, &'a str)> {
    let members = told["members"].as_array().expect("there are members");
    let member = members.iter().find(|member| member["id"] == id).expect("the member is told of");
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let states = member["states"].as_array().expect("a member has states").iter();
    states.map(|state| (text(&state["state"]), text(&state["source"]))).collect()
}

#[tokio::test]
async fn an_event_of_vonages_list_outranks_an_unsigned_one_of_its_number() {
    let daemon = World { webhooks: r#"rtc_signatures = "off""#, ..World::default() }.start().await;
    let joined = member(7, "member:joined", "MEM-1", "2026-03-09T10:15:41.902Z");
    let left = member(8, "member:left", "MEM-2", "2026-03-09T10:16:00.000Z");
    list(&daemon, &[joined.clone(), left.clone()]);
    let forgeries = [
        member(7, "member:left", "MEM-1", "2026-03-09T10:15:50.000Z"),
        member(7, "member:joined", "MEM-9", "2026-03-09T10:15:41.902Z"),
        member(7, "member:joined", "MEM-1", "2026-03-09T10:15:40.000Z"),
        json!({"id": "7", "type": "member:left", "conversation_id": CONVERSATION, "from": "MEM-1"}),
    ];
    // One comes before the list is read, the others afterwards.
    push(&daemon, &forgeries[0]).await;
    let started = json!({"conversation_uuid": CONVERSATION, "uuid": "leg-MEM-1", "status": "started"});
    assert!(daemon.vonage.send(Webhook::post(Target::Event, started.to_string())).await.is_accepted());
    wait_for_list(&daemon).await;
    for forgery in &forgeries {
        push(&daemon, forgery).await;
    }
    // What says the same is no rival, however it is written, and neither is what has a number of its own.
    let mut same = left;
    same["timestamp"] = json!("2026-03-09T11:16:00+01:00");
    push(&daemon, &same).await;
    push(&daemon, &member(9, "member:joined", "MEM-3", "2026-03-09T10:17:00.000Z")).await;
    let all = |told: &Value| {
        let ids: Vec<&Value> =
            told["members"].as_array().into_iter().flatten().map(|one| &one["id"]).collect();
        ids.contains(&&json!("MEM-3")) && ids.contains(&&json!("MEM-1"))
    };
    let told = daemon.wait_for(CONVERSATION, all).await;
    assert_eq!(states(&told, "MEM-1"), [("JOINED", "event 7")], "{told}");
    assert_eq!(states(&told, "MEM-3"), [("JOINED", "rtc")], "{told}");
    let of = |id: &str| told["members"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned();
    assert_eq!(of("MEM-9"), None, "{told}");
    assert_eq!(of("MEM-2").unwrap()["left_at"], "2026-03-09T10:16:00.000Z");
    let first = of("MEM-1").unwrap();
    assert_eq!((&first["left_at"], &first["state"]), (&Value::Null, &json!("JOINED")), "{told}");
}

#[tokio::test]
async fn a_signed_event_is_one_of_vonages_also_where_the_list_says_otherwise() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    list(&daemon, &[member(7, "custom:x", "MEM-1", "2026-03-09T10:15:41.902Z")]);
    let started = json!({"conversation_uuid": CONVERSATION, "uuid": "leg-MEM-1", "status": "started"});
    assert_eq!(daemon.post_event(started.to_string()).await.status.as_u16(), 204);
    wait_for_list(&daemon).await;
    let left = member(7, "member:left", "MEM-1", "2026-03-09T10:15:50.000Z").to_string();
    assert!(daemon.vonage.send(Webhook::post(Target::Rtc, left)).await.is_accepted());
    let told = daemon.wait_for(CONVERSATION, |told| told["members"][0]["state"] == "LEFT").await;
    assert_eq!(told["members"][0]["left_source"]["type"], "rtc", "{told}");
}

#[tokio::test]
async fn a_signature_that_is_not_due_is_checked_all_the_same() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let body = |name: &str| {
        json!({"conversation_uuid": "CON-1", "conversation_id": "CON-1", "type": "custom:x", "uuid": name})
            .to_string()
    };
    let signers =
        [(Signing::Vonage, "signed"), (Signing::Stranger, "unverified"), (Signing::Nobody, "unverified")];
    let mut expected = Vec::new();
    for (name, target, by_get) in [
        ("answer", Target::Answer, false),
        ("answer", Target::Answer, true),
        ("event", Target::Event, false),
        ("event", Target::Event, true),
        ("rtc", Target::Rtc, false),
        ("fallback", Target::Fallback, false),
    ] {
        for (signing, origin) in signers {
            let webhook = Webhook::post(target, body(&format!("{name}-{by_get}-{}", expected.len())));
            let webhook = if by_get { webhook.by_get() } else { webhook };
            assert!(daemon.vonage.send(webhook.signed_by(signing)).await.is_accepted(), "{name} {origin}");
            expected.push((name.to_owned(), origin.to_owned()));
        }
    }
    let kept = daemon.get("/v1/webhooks?limit=500").await.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kept = kept["items"].as_array().unwrap().iter().rev();
    let kept: Vec<_> = kept.map(|item| (text(&item["endpoint"]), text(&item["origin"]))).collect();
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn where_no_signature_is_due_that_of_another_application_is_none() {
    let other = "11111111-2222-4333-8444-555555555555";
    let sections = format!(
        "[[application]]\nid = \"{other}\"\nprivate_key_file = \"{{directory}}/private.key\"\n\
         signature_secret_files = [\"{{directory}}/signature.secret\"]\napi_key = \"{}\"",
        keys::API_KEY
    );
    let daemon = World { signatures: "off", sections, ..World::default() }.start().await;
    let event =
        |leg: &str| json!({"conversation_uuid": "CON-1", "uuid": leg, "status": "ringing"}).to_string();
    let path = format!("/webhooks/{other}/event");
    for (path, body) in [("/webhooks/event", event("a")), (&path, event("b"))] {
        let authorization = token(&body);
        let headers = [JSON, ("authorization", authorization.as_str())];
        assert_eq!(daemon.webhook(Method::POST, path, &headers, body).await.status.as_u16(), 204, "{path}");
    }
    let kept = daemon.get("/v1/webhooks").await.json();
    let told: Vec<_> = kept["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["origin"], &item["application_id"]))
        .collect();
    let expected = [(json!("unverified"), json!(other)), (json!("signed"), json!(keys::APPLICATION))];
    assert_eq!(told, expected.iter().map(|(origin, id)| (origin, id)).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_a_repeated_parameter_the_signed_one_is_forwarded_and_told_and_all_are_kept() {
    let application = Application::start(Says::json(200, "[]")).await;
    let answer = format!("forward_url = \"{}hooks?key=1\"", application.url);
    let mut daemon = World { answer, ..World::default() }.start().await;
    for (conversation, query, covered) in [
        ("CON-1", "to=447700900100&{rest}&to=447700900666", "to=447700900100&{rest}"),
        ("CON-2", "to=447700900666&{rest}&to=447700900100", "{rest}&to=447700900100"),
        (
            "CON-3",
            "t%6f=447700900100&{rest}&via=a&via=b&to=447700900666",
            "t%6f=447700900100&{rest}&via=a&via=b",
        ),
        ("CON-4", "to=447700900100&{rest}", "to=447700900100&{rest}"),
    ] {
        let rest = format!("uuid=leg-{conversation}&conversation_uuid={conversation}");
        let [query, covered] = [query, covered].map(|text| text.replace("{rest}", &rest));
        let [to, uuid] = [r#""to":"447700900100""#.to_owned(), format!(r#""uuid":"leg-{conversation}""#)];
        let named = format!(r#""conversation_uuid":"{conversation}""#);
        let signed = if covered.starts_with("uuid") {
            format!("{{{uuid},{named},{to}}}")
        } else {
            format!("{{{to},{uuid},{named}}}")
        };
        let headers = [("authorization", token(&signed))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let reply = daemon.webhook(Method::GET, &format!("/webhooks/answer?{query}"), &headers, "").await;
        assert_eq!(reply.status.as_u16(), 200, "{conversation}");
        let asked = application.asked().pop().expect("it is asked");
        assert_eq!(asked.address, format!("/hooks?key=1&{covered}"));
        let kept = daemon.get(&format!("/v1/conversations/{conversation}/webhooks")).await.json();
        assert_eq!(kept["items"][0]["query"], query, "as it was sent");
    }
    // What is stored is read again.
    daemon.stop().await;
    daemon.start_again().await;
    for conversation in ["CON-1", "CON-2", "CON-3", "CON-4"] {
        daemon.wait_for(conversation, |told| told["to"] == "447700900100").await;
    }
}

#[tokio::test]
async fn what_anybody_sent_first_does_not_take_the_place_of_what_is_signed() {
    let daemon = World { webhooks: r#"rtc_signatures = "off""#, ..World::default() }.start().await;
    let left = member(7, "member:left", "MEM-1", "2026-03-09T10:15:50.000Z");
    push(&daemon, &left).await;
    assert!(daemon.vonage.send(Webhook::post(Target::Rtc, left.to_string())).await.is_accepted());
    let kept = daemon.get("/v1/webhooks").await.json();
    let origins: Vec<&Value> = kept["items"].as_array().unwrap().iter().map(|item| &item["origin"]).collect();
    assert_eq!(origins, ["signed", "unverified"]);
}
