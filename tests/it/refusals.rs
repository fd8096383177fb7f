//! What the log says of webhooks that were not taken.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conversationd::domain::arrival::Endpoint;
use conversationd::domain::ids::ApplicationId;
use conversationd::domain::rejection::{Rejection, RejectionReason};
use conversationd::flow::refusals::Refusals;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::World;
use crate::support::keys;
use crate::support::process::{Process, configure, log};

/// A token that nobody has signed who may.
const FORGED: &str = "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl";

const BODY: &str = r#"{"conversation_uuid": "CON-1", "status": "started", "from": "447700000001"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_with_a_wrong_secret_reads_it_in_the_log() {
    let place = tempfile::tempdir().unwrap();
    let [public, private] = configure(place.path(), &World::default(), "http://127.0.0.1:9").unwrap();
    let process = Process::start(place.path());
    assert_eq!(process.told(), "READY=1");
    let http = Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str, headers: &[(&str, &str)]| {
        let request = http.post(format!("http://127.0.0.1:{public}/webhooks/{path}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(BODY).send().await.unwrap().status()
    };
    let rejected = async || rejected(&http, private).await;
    let before = rejected().await;
    assert_eq!(before.len(), 4 * 9, "{before:?}");
    assert!(before.iter().all(|series| series.ends_with(" 0")), "{before:?}");
    for _ in 0..3 {
        assert_eq!(post("event", &[("authorization", FORGED)]).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(post("answer", &[]).await, StatusCode::SERVICE_UNAVAILABLE);
    let plain = [("content-type", "text/plain")];
    assert_eq!(post("event", &plain).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(post("%ff/event", &[]).await, StatusCode::BAD_REQUEST);
    let after = rejected().await;
    assert_eq!(after.len(), before.len());
    let counted: Vec<&str> =
        after.iter().map(String::as_str).filter(|series| !series.ends_with(" 0")).collect();
    let expected = [
        r#"{endpoint="answer",reason="signature_missing"} 1"#,
        r#"{endpoint="event",reason="content_type"} 1"#,
        r#"{endpoint="event",reason="signature_invalid"} 3"#,
        r#"{endpoint="event",reason="unknown_application"} 1"#,
    ];
    assert_eq!(counted, expected);
    process.signal("TERM");
    assert!(process.ended().success());

    let forged = "the signature was not made with the configured signature secret";
    let unsigned = "the webhook is not signed: no bearer token in its Authorization header; switch on signed \
                    webhooks for the application";
    assert_eq!(
        warnings(place.path()),
        [
            said("event signature_invalid", Some(keys::APPLICATION), forged),
            said("answer signature_missing", Some(keys::APPLICATION), unsigned),
            said(
                "event content_type",
                None,
                "a webhook's body is application/json: set the application's HTTP method to POST (JSON) or GET"
            ),
            said("event unknown_application", None, "the path is not UTF-8 after percent-decoding"),
            summed_up("event signature_invalid", Some(keys::APPLICATION), 2),
        ]
    );
    let log = log(place.path());
    assert!(!log.contains("447700000001") && !log.contains("eyJ"), "{log}");
}

/// What `/metrics` says of rejected webhooks, in order.
async fn rejected(http: &Client, port: u16) -> Vec<String> {
    let metrics = http.get(format!("http://127.0.0.1:{port}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let series =
        metrics.lines().filter_map(|line| line.strip_prefix("conversationd_webhooks_rejected_total"));
    let mut series: Vec<String> = series.map(str::to_owned).collect();
    series.sort();
    series
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_a_line_a_minute_and_what_comes_after_a_pause_is_a_beginning() {
    let place = tempfile::tempdir().unwrap();
    let file = fs::File::create(place.path().join("log")).unwrap();
    let logs = tracing_subscriber::fmt().json().flatten_event(true).with_writer(Arc::new(file)).finish();
    let _logging = tracing::subscriber::set_default(logs);
    let refusals = Arc::new(Refusals::default());
    let one = ApplicationId::parse("one").unwrap();
    let unsigned = Rejection { endpoint: Endpoint::Rtc, reason: RejectionReason::SignatureMissing };
    let flood = |webhooks: usize| {
        for _ in 0..webhooks {
            refusals.note(unsigned, Some(&one), &"no token");
        }
    };
    let stop = CancellationToken::new();
    let minutes_pass = async {
        let minute = Duration::from_mins(1);
        // In the middle of the minutes that are summed up.
        tokio::time::sleep(minute / 2).await;
        flood(20);
        refusals.note(unsigned, None, &"no token");
        tokio::time::sleep(minute).await;
        flood(10);
        tokio::time::sleep(minute * 2).await;
        flood(2);
        stop.cancel();
    };
    tokio::join!(Arc::clone(&refusals).run(stop.clone()), minutes_pass);
    assert_eq!(
        warnings(place.path()),
        [
            said("rtc signature_missing", Some("one"), "no token"),
            said("rtc signature_missing", None, "no token"),
            summed_up("rtc signature_missing", Some("one"), 19),
            summed_up("rtc signature_missing", Some("one"), 10),
            said("rtc signature_missing", Some("one"), "no token"),
            summed_up("rtc signature_missing", Some("one"), 1),
        ]
    );
}

/// Endpoint with reason, application, and either what the matter is or how many more there were.
type Warning = (String, Option<String>, Result<String, u64>);

fn said(reason: &str, application: Option<&str>, detail: &str) -> Warning {
    (reason.to_owned(), application.map(str::to_owned), Ok(detail.to_owned()))
}

fn summed_up(reason: &str, application: Option<&str>, webhooks: u64) -> Warning {
    (reason.to_owned(), application.map(str::to_owned), Err(webhooks))
}

/// The warnings about refused webhooks, in their order.
fn warnings(place: &Path) -> Vec<Warning> {
    let log = log(place);
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["level"] == "WARN" && line["reason"].is_string())
        .map(|line| {
            let text = |key: &str| line[key].as_str().map(str::to_owned);
            let told = text("detail").ok_or_else(|| line["webhooks"].as_u64().unwrap());
            (format!("{} {}", text("endpoint").unwrap(), text("reason").unwrap()), text("application"), told)
        })
        .collect()
}
