//! Times in which webhooks that were plainly ours were rejected are gaps; what strangers post opens none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::sync::Arc;

use conversationd::domain::clock::{Clock as _, ManualClock};
use conversationd::flow::rejection_gaps::RejectionGaps;
use conversationd::simulator::{Signing, Target, Webhook};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{TestDaemon, World, standing_still_at};
use crate::support::keys;
use crate::support::store::{TestStore, conversation};

const START: &str = "2026-03-09T10:15:30Z";

const JSON: (&str, &str) = ("content-type", "application/json");

async fn start() -> (TestDaemon, Arc<ManualClock>) {
    let (world, clock) = standing_still_at(START);
    (world.start().await, clock)
}

fn event(conversation: &str) -> String {
    json!({"conversation_uuid": conversation, "uuid": "a", "status": "ringing"}).to_string()
}

async fn post(daemon: &TestDaemon, path: &str, body: String, authorization: Option<&str>) -> u16 {
    let mut headers = vec![JSON];
    headers.extend(authorization.map(|value| ("authorization", value)));
    daemon.webhook(Method::POST, path, &headers, body).await.status.as_u16()
}

/// A token with these claims that nobody has signed who may.
fn forged(claims: &Value) -> String {
    let key = EncodingKey::from_secret(b"nobody's secret, and long enough to be one");
    format!("Bearer {}", jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap())
}

/// A gap from so many seconds after [`START`] to so many.
fn rejected(from: i64, to: i64, application: Option<&str>) -> Value {
    let at = |second: i64| {
        let start: Timestamp = START.parse().unwrap();
        format!("{:.3}", start + SignedDuration::from_secs(second))
    };
    json!({
        "cause": "rejected", "reason": "webhooks of Vonage's were rejected",
        "began_at": at(from), "ended_at": at(to), "application_id": application,
    })
}

/// Waits until the gaps of rejected webhooks are these, newest first.
async fn wait_for_gaps(daemon: &TestDaemon, gaps: &[Value]) {
    let are_told = |told: &Value| {
        let told = told["items"].as_array().unwrap().iter();
        told.filter(|gap| gap["cause"] == "rejected").eq(gaps)
    };
    daemon.wait_for_path("/v1/gaps", are_told).await;
}

/// So many seconds after [`START`].
fn set(clock: &ManualClock, second: i64) {
    let start: Timestamp = START.parse().unwrap();
    clock.advance((start + SignedDuration::from_secs(second)).duration_since(clock.now()));
}

#[tokio::test]
async fn a_wrong_secret_is_a_gap_from_the_first_rejection_to_the_last() {
    let (daemon, clock) = start().await;
    let body = |second: i64| event(&format!("CON-{second}"));
    let stranger = async |second| {
        let webhook = Webhook::post(Target::Event, body(second)).signed_by(Signing::Stranger);
        assert_eq!(daemon.vonage.send(webhook).await.status(), Some(401));
    };
    stranger(0).await;
    wait_for_gaps(&daemon, &[rejected(0, 0, Some(keys::APPLICATION))]).await;
    for second in [50, 110] {
        set(&clock, second);
        stranger(second).await;
        wait_for_gaps(&daemon, &[rejected(0, second, Some(keys::APPLICATION))]).await;
    }
    set(&clock, 171);
    stranger(171).await;
    let two = [rejected(171, 171, Some(keys::APPLICATION)), rejected(0, 110, Some(keys::APPLICATION))];
    wait_for_gaps(&daemon, &two).await;
    assert_eq!(daemon.get("/v1/webhooks").await.json()["items"], json!([]), "nothing of it is stored");
}

#[tokio::test]
async fn a_token_that_names_our_account_or_application_and_fails_is_ours() {
    let (daemon, clock) = start().await;
    let stranger = "99999999-2222-4333-8444-555555555555";
    let none = [
        json!({}),
        json!({"api_key": "ffffffff", "application_id": stranger}),
        json!({"api_key": null, "application_id": 7}),
    ];
    for claims in none {
        assert_eq!(post(&daemon, "/webhooks/event", event("CON-1"), Some(&forged(&claims))).await, 401);
    }
    for garbage in ["Bearer a.b.c", "Bearer x", "Bearer ..", "Basic YTpi"] {
        let status = post(&daemon, "/webhooks/event", event("CON-1"), Some(garbage)).await;
        assert!([401, 503].contains(&status), "{garbage}");
    }
    assert_eq!(post(&daemon, "/webhooks/elsewhere/event", event("CON-1"), None).await, 503);
    let mut gaps = Vec::new();
    for (second, path, claims) in [
        (100, "event", json!({"api_key": keys::API_KEY})),
        (200, "rtc", json!({"application_id": keys::APPLICATION, "api_key": "ffffffff"})),
        (300, "answer", json!({"application_id": stranger, "api_key": keys::API_KEY, "iat": "x"})),
    ] {
        set(&clock, second);
        let path = format!("/webhooks/{path}");
        assert_eq!(post(&daemon, &path, event("CON-1"), Some(&forged(&claims))).await, 401, "{claims}");
        gaps.insert(0, rejected(second, second, Some(keys::APPLICATION)));
        // What came before opened none, or it would be told by now.
        wait_for_gaps(&daemon, &gaps).await;
    }
}

#[tokio::test]
async fn a_signed_webhook_at_another_applications_path_is_ours() {
    let other = "11111111-2222-4333-8444-555555555555";
    let sections = format!(
        "[[application]]\nid = \"{other}\"\nprivate_key_file = \"{{directory}}/private.key\"\n\
         signature_secret_files = [\"{{directory}}/signature.secret\"]\napi_key = \"{}\"",
        keys::API_KEY
    );
    let (world, clock) = standing_still_at(START);
    let daemon = World { sections, ..world }.start().await;
    let claims = json!({"api_key": keys::API_KEY});
    assert_eq!(post(&daemon, "/webhooks/event", event("CON-1"), Some(&forged(&claims))).await, 401);
    wait_for_gaps(&daemon, &[rejected(0, 0, None)]).await;
    set(&clock, 100);
    let claims = json!({
        "iss": "Vonage", "iat": 1_773_051_430, "api_key": keys::API_KEY, "application_id": keys::APPLICATION,
        "payload_hash": conversationd::domain::digest::Digest::of(event("CON-1").as_bytes()).to_string(),
    });
    let key = EncodingKey::from_secret(keys::SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    let path = format!("/webhooks/{other}/event");
    assert_eq!(post(&daemon, &path, event("CON-1"), Some(&format!("Bearer {token}"))).await, 404);
    wait_for_gaps(&daemon, &[rejected(100, 100, Some(keys::APPLICATION)), rejected(0, 0, None)]).await;
}

#[tokio::test]
async fn an_unsigned_webhook_is_ours_if_its_conversation_is_or_comes_to_be() {
    let (daemon, clock) = start().await;
    let unsigned = async |conversation: &str| {
        assert_eq!(post(&daemon, "/webhooks/event", event(conversation), None).await, 503);
    };
    let signed = async |conversation: &str| {
        let webhook = Webhook::post(Target::Event, event(conversation));
        assert_eq!(daemon.vonage.send(webhook).await.status(), Some(204));
    };
    for conversation in ["CON-strange", "CON-later", ""] {
        unsigned(conversation).await;
    }
    set(&clock, 10);
    unsigned("CON-later").await;
    assert_eq!(post(&daemon, "/webhooks/event", "no JSON".to_owned(), None).await, 503);
    set(&clock, 20);
    signed("CON-known").await;
    set(&clock, 200);
    unsigned("CON-known").await;
    let known = rejected(200, 200, Some(keys::APPLICATION));
    wait_for_gaps(&daemon, std::slice::from_ref(&known)).await;
    set(&clock, 210);
    signed("CON-later").await;
    let later = rejected(0, 10, Some(keys::APPLICATION));
    wait_for_gaps(&daemon, &[known.clone(), later.clone()]).await;
    // A query names its conversation too.
    set(&clock, 300);
    let reply =
        daemon.webhook(Method::GET, "/webhooks/answer/?conversation_uuid=CON-later&to=1", &[], "").await;
    assert_eq!(reply.status.as_u16(), 503);
    let by_get = rejected(300, 300, Some(keys::APPLICATION));
    wait_for_gaps(&daemon, &[by_get, known, later]).await;
}

#[tokio::test]
async fn strangers_can_neither_fill_the_memory_nor_make_it_last() {
    let TestStore { store, .. } = &TestStore::open().await;
    let gaps = RejectionGaps::default();
    let started: Timestamp = START.parse().unwrap();
    let at = |second: i64| started + SignedDuration::from_secs(second);
    for number in 0..5000_i64 {
        gaps.unsigned(conversation(&format!("CON-{number}")), None, at(number / 10));
    }
    let recorded = async |now| {
        gaps.record(&**store, now).await.unwrap();
        let gaps = store.gaps(10, None).await.unwrap();
        gaps.into_iter().map(|gap| (gap.began_at, gap.ended_at)).collect::<Vec<_>>()
    };
    assert_eq!(recorded(at(500)).await, []);
    gaps.known(&conversation("CON-0"));
    assert_eq!(recorded(at(500)).await, [], "the first made room");
    gaps.known(&conversation("CON-4990"));
    let first = (at(499), Some(at(499)));
    assert_eq!(recorded(at(500)).await, [first]);
    recorded(at(499 + 60 * 15 + 1)).await;
    gaps.known(&conversation("CON-4991"));
    assert_eq!(recorded(at(2000)).await, [first], "too long ago");
}

#[tokio::test]
async fn what_cannot_be_written_is_written_later_and_whole() {
    let TestStore { store, .. } = &TestStore::open().await;
    let gaps = RejectionGaps::default();
    let started: Timestamp = START.parse().unwrap();
    let at = |second: i64| started + SignedDuration::from_secs(second);
    // More gaps than are remembered, in an order of their own.
    for minute in (0..200).chain(0..200) {
        gaps.ours(None, at(minute * 120 + 7));
        gaps.ours(None, at(minute * 120));
    }
    gaps.record(&**store, at(200 * 120)).await.unwrap();
    let told = store.gaps(500, None).await.unwrap();
    assert!(told.len() <= 64, "{}", told.len());
    for second in (0..200).flat_map(|minute| [minute * 120, minute * 120 + 7]) {
        assert!(told.iter().any(|gap| gap.touches(at(second), at(second))), "{second}");
    }
}

#[tokio::test]
async fn where_no_signature_is_due_nothing_is_rejected_for_it() {
    let (world, _clock) = standing_still_at(START);
    let daemon = World { signatures: "off", ..world }.start().await;
    let claims = json!({"api_key": keys::API_KEY, "application_id": keys::APPLICATION});
    assert_eq!(post(&daemon, "/webhooks/event", event("CON-1"), Some(&forged(&claims))).await, 204);
    assert_eq!(post(&daemon, "/webhooks/event", event("CON-1"), None).await, 204);
    assert_eq!(post(&daemon, "/webhooks/event", "[]".to_owned(), None).await, 400);
    daemon.wait_for("CON-1", |told| told["status"] == "ringing").await;
    assert_eq!(daemon.get("/v1/gaps").await.json()["items"], json!([]));
}
