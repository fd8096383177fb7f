//! The real binary: what systemd is told, and what survives a kill.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::Write;
use std::time::Instant;

use conversationd::domain::ids::ConversationId;
use conversationd::simulator::{Action, Call, Fault, Pace, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::daemon::{PATIENCE, World};
use crate::support::keys;
use crate::support::process::{Process, SOON, configure, log};

const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";

struct Place {
    directory: TempDir,
    vonage: Simulator,
    public: u16,
    private: u16,
}

async fn place() -> Place {
    place_in(World::default()).await
}

async fn place_in(world: World) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let vonage = world.vonage().await;
    let [public, private] = configure(directory.path(), &world, vonage.api_url().as_str()).unwrap();
    vonage.send_webhooks_to(format!("http://127.0.0.1:{public}").parse().unwrap());
    Place { directory, vonage, public, private }
}

impl Place {
    async fn wait_for(&self, condition: impl Fn(&Value) -> bool) {
        let url = format!("http://127.0.0.1:{}/v1/conversations/{TUTORIAL}", self.private);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let asking = async {
            let mut turns = tokio::time::interval(std::time::Duration::from_millis(10));
            loop {
                turns.tick().await;
                let text = http.get(&url).send().await.unwrap().text().await.unwrap();
                if serde_json::from_str(&text).is_ok_and(|answer| condition(&answer)) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("what is waited for comes about");
    }
}

/// The state of the tutorial's call while both talk, and one webhook that tells of it.
async fn both_talk(vonage: &Simulator) -> conversationd::simulator::Webhook {
    let (mut talk, _) = Call::tutorial().split_at("2018-10-25T09:31:00Z".parse().unwrap());
    let webhook = talk.webhooks().last().unwrap().clone();
    talk.steps.retain(|step| matches!(step.action, Action::Change(_)));
    vonage.play(&talk, Pace::AtOnce).await;
    webhook
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_readiness_and_of_the_end() {
    let place = place().await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    let webhook = both_talk(&place.vonage).await;
    assert!(place.vonage.send(webhook).await.is_accepted(), "READY means that webhooks are taken");
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success(), "{}", log(place.directory.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thread_that_writes_goes_ahead_of_all_that_work_beside_it() {
    let place = place().await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    let webhook = both_talk(&place.vonage).await;
    assert!(place.vonage.send(webhook).await.is_accepted());
    place.wait_for(|answer| answer["capture"]["state"] == "captured").await;
    // A thread that has only just begun has not lowered its priority yet.
    let lowered = async {
        let mut turns = tokio::time::interval(std::time::Duration::from_millis(10));
        while !only_the_writer_goes_ahead(&process.threads()) {
            turns.tick().await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, lowered).await;
    assert!(outcome.is_ok(), "{:?}", process.threads());
}

/// And the main thread, which only waits for the end.
fn only_the_writer_goes_ahead(threads: &[(String, i32)]) -> bool {
    let is_ahead = |name: &str| ["store-writer", "conversationd"].contains(&name);
    let (ahead, behind): (Vec<_>, Vec<_>) = threads.iter().partition(|(name, _)| is_ahead(name));
    let highest = ahead[0].1;
    ahead.len() == 2
        && ahead.iter().all(|(_, priority)| *priority == highest)
        && behind.iter().any(|(name, _)| name.starts_with("store-reader"))
        && behind.iter().all(|(_, priority)| *priority == (highest + 10).min(19))
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_what_has_been_begun() {
    let place = place().await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    let call = Call::tutorial();
    let (played, ()) = tokio::join!(place.vonage.play(&call, Pace::AtOnce), async {
        place.vonage.wait_for_requests(1).await;
        process.signal("TERM");
    });
    assert!(process.ended().success(), "{}", log(place.directory.path()));
    let accepted: Vec<_> = played.deliveries.iter().filter(|delivery| delivery.is_accepted()).collect();
    assert!(!accepted.is_empty());

    let again = Process::start(place.directory.path());
    assert_eq!(again.told(), "READY=1");
    let bodies = accepted.len();
    let url = format!("http://127.0.0.1:{}/v1/conversations/{TUTORIAL}/webhooks", place.private);
    place.wait_for(|_| true).await;
    let kept: Value = serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap();
    assert!(kept["items"].as_array().unwrap().len() >= bodies, "everything that was acknowledged is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_reply_and_the_look_loses_nothing() {
    let place = place().await;
    place.vonage.answer_next(100_000, Fault::Hang);
    let webhook = both_talk(&place.vonage).await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    assert!(place.vonage.send(webhook).await.is_accepted());
    process.signal("KILL");
    assert!(!process.ended().success());
    place.vonage.answer_properly();

    let before = place.vonage.requests().len();
    let again = Process::start(place.directory.path());
    assert_eq!(again.told(), "READY=1");
    let ready = Instant::now();
    tokio::time::timeout(PATIENCE, place.vonage.wait_for_requests(before + 1)).await.unwrap();
    assert!(ready.elapsed() < SOON, "the owed look begins within a second of the start");
    place.wait_for(|one| one["capture"]["state"] == "captured").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_hold_no_number_body_or_token() {
    let place = place().await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    place.vonage.answer_next(1, Fault::Status(500));
    place.vonage.play(&Call::tutorial(), Pace::AtOnce).await;
    place.wait_for(|one| one["state"] == "ended").await;
    process.signal("TERM");
    assert!(process.ended().success());
    let log = log(place.directory.path());
    assert!(log.contains("ready"), "{log}");
    for secret in ["44770", "eyJ", "vapi-user", keys::SECRET, "BEGIN"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_drain_and_the_log_says_so() {
    let place = place().await;
    place.vonage.answer_next(100_000, Fault::Hang);
    let webhook = both_talk(&place.vonage).await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    assert!(place.vonage.send(webhook).await.is_accepted());
    tokio::time::timeout(PATIENCE, place.vonage.wait_for_requests(1)).await.unwrap();
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    process.signal("TERM");
    assert_eq!(process.ended().code(), Some(1));
    let log = log(place.directory.path());
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["level"], &last["message"]),
        (&json!("ERROR"), &json!("stopped before everything was finished"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_conversation_is_logged_once() {
    let place = place().await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    place.vonage.forget(&ConversationId::parse(TUTORIAL).unwrap());
    let webhooks: Vec<_> = Call::tutorial().webhooks().cloned().collect();
    let [.., last_but_one, last] = &webhooks[..] else { panic!("a call has webhooks") };
    for webhook in [last_but_one, last] {
        let looks = place.vonage.requests().len();
        assert!(place.vonage.send(webhook.clone()).await.is_accepted());
        tokio::time::timeout(PATIENCE, place.vonage.wait_for_requests(looks + 1)).await.unwrap();
        place.wait_for(|one| one["capture"]["state"] == "missed").await;
    }
    process.signal("TERM");
    assert!(process.ended().success());
    let log = log(place.directory.path());
    let told: Vec<&str> = log.lines().filter(|line| line.contains("a conversation was missed")).collect();
    assert!(told.len() == 1 && told[0].contains(TUTORIAL) && told[0].contains("WARN"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_ends_with_78_and_every_fault() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conversationd.toml");
    std::fs::write(&file, "[webhooks]\nlisten = \"nowhere\"\nlsten = 1\n[fetch]\nconcurrency = 0\n").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_conversationd"))
        .args(["serve", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8_lossy(&output.stderr);
    for fault in ["webhooks.listen: ", "webhooks.lsten: ", "fetch.concurrency: "] {
        assert!(told.contains(fault), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_survived() {
    let place = place_in(World { signatures: "off", ..World::default() }).await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |endpoint: &str, id: &str, filling: usize| {
        let event =
            json!({"conversation_uuid": id, "uuid": id, "status": "started", "filling": "x".repeat(filling)});
        let url = format!("http://127.0.0.1:{}/webhooks/{endpoint}", place.public);
        let request = http.post(url).header("content-type", "application/json").body(event.to_string());
        request.send().await.unwrap().status().as_u16()
    };
    process.limit_files_to("1000000");
    let mut taken = 0;
    while post("event", &format!("CON-full-{taken}"), 20_000).await == 204 {
        taken += 1;
        assert!(taken < 200, "a file of a megabyte takes no more");
    }
    assert_eq!(post("event", "CON-refused", 20_000).await, 503);
    assert_eq!(post("answer", "CON-answered", 20_000).await, 200, "a caller gets the NCCO all the same");
    let ready = format!("http://127.0.0.1:{}/readyz", place.private);
    assert_eq!(http.get(&ready).send().await.unwrap().status(), 503);

    process.limit_files_to("unlimited");
    assert_eq!(post("event", TUTORIAL, 0).await, 204);
    place.wait_for(|one| one["legs"][0]["status"] == "started").await;
    let url = format!("http://127.0.0.1:{}/v1/conversations?limit=500", place.private);
    let list: Value =
        serde_json::from_str(&http.get(url).send().await.unwrap().text().await.unwrap()).unwrap();
    let kept = |id: &str| list["items"].as_array().unwrap().iter().any(|one| one["id"] == id);
    for number in 0..taken {
        assert!(kept(&format!("CON-full-{number}")), "what was acknowledged is there: {number} of {taken}");
    }
    assert!(!kept("CON-refused"));
    process.signal("TERM");
    assert!(process.ended().success(), "{}", log(place.directory.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_and_waiting_looks_do_not_hold_up_the_stop() {
    let world = World { signatures: "off", more: "requests_per_second = 1", ..World::default() };
    let place = place_in(world).await;
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    let mut half = std::net::TcpStream::connect(("127.0.0.1", place.public)).unwrap();
    half.write_all(b"POST /webh").unwrap();
    place.vonage.play(&Call::tutorial(), Pace::AtOnce).await;
    for number in 0..20 {
        let call = Call::inbound(number, "2026-03-09T10:15:30Z".parse().unwrap());
        assert!(place.vonage.play(&call, Pace::AtOnce).await.is_accepted());
    }
    process.signal("TERM");
    assert!(process.ended().success(), "{}", log(place.directory.path()));
}
