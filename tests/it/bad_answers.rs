//! Vonage answers badly about one conversation: that is no gap of the application, and nothing of it becomes a snapshot.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use conversationd::simulator::{Action, Call, Members, Pace};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::daemon::{PATIENCE, TestDaemon, World, standing_still_at};

const START: &str = "2026-03-09T10:15:30Z";

/// The state of a call while both talk, and its webhook.
fn talk(number: u32) -> (Call, conversationd::simulator::Webhook) {
    let (mut talk, _) =
        Call::inbound(number, START.parse().unwrap()).split_at("2026-03-09T10:15:50Z".parse().unwrap());
    let webhook = talk.webhooks().last().unwrap().clone();
    talk.steps.retain(|step| matches!(step.action, Action::Change(_)));
    (talk, webhook)
}

/// Lets a call begin of which `answer` is all that Vonage says at `path` behind its address.
async fn begin_badly(daemon: &TestDaemon, number: u32, path: &str, answer: &str) -> String {
    let (talk, webhook) = talk(number);
    let id = talk.conversation.to_string();
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon.vonage.serve_document(&format!("/v0.3/conversations/{id}{path}"), 200, answer.to_owned());
    assert!(daemon.vonage.send(webhook).await.is_accepted());
    daemon
        .wait_for(&id, |one| one["capture"]["reason"].is_string() || one["capture"]["snapshots"] == 1)
        .await;
    id
}

#[tokio::test]
async fn what_is_no_answer_about_the_conversation_is_no_snapshot_and_no_gap_of_the_application() {
    const ERROR: &str = r#"{"title": "Internal error", "code": "system:error:internal-error"}"#;
    let other = json!({"id": "CON-of-another", "name": "NAM-1", "timestamp": {"created": START}}).to_string();
    let answers = [
        ("", "<html>Bad Gateway</html>"),
        ("", "[]"),
        ("", ERROR),
        ("", &other),
        ("/members", ERROR),
        ("/members", r#"{"_embedded": {"members": null}}"#),
        ("/members", r#"{"_embedded": "none"}"#),
    ];
    for (path, answer) in answers {
        let (world, clock) = standing_still_at(START);
        let daemon = World { members: Members::Listed, ..world }.start().await;
        let id = begin_badly(&daemon, 1, path, answer).await;
        // It fails again and again, for longer than what is too short to be a gap.
        for _ in 0..3 {
            daemon.advance_until_asked(&clock, SignedDuration::from_secs(31)).await;
        }
        let one = daemon.get(&format!("/v1/conversations/{id}")).await.json();
        let documents = daemon.get(&format!("/v1/conversations/{id}/snapshots")).await.json();
        let kept = documents["items"].as_array().unwrap().len();
        // Where the members are missing the conversation itself was seen, and is kept.
        assert_eq!(kept, usize::from(path == "/members"), "{answer}: {one}");
        assert!(!documents.to_string().contains("\"members 1\""), "{documents}");
        assert_eq!(daemon.get("/v1/gaps").await.json()["items"], json!([]), "{answer}");
    }
}

#[tokio::test]
async fn bad_answers_about_more_than_one_conversation_are_a_gap() {
    let (world, clock) = standing_still_at(START);
    let daemon = world.start().await;
    begin_badly(&daemon, 1, "", "<html>").await;
    clock.advance(SignedDuration::from_secs(3));
    begin_badly(&daemon, 2, "", "<html>").await;
    daemon.advance(&clock, SignedDuration::from_secs(3));
    let list = daemon.wait_for_path("/v1/gaps", |list| list["items"][0]["cause"] == "unreachable").await;
    assert_eq!(list["items"][0]["began_at"], "2026-03-09T10:15:30.000Z", "from the first of them on");

    let (talk, webhook) = talk(3);
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    assert!(daemon.vonage.send(webhook).await.is_accepted());
    daemon.wait_for(talk.conversation.as_str(), |one| one["capture"]["state"] == "captured").await;
    daemon.wait_for_path("/v1/gaps", |list| list["items"][0]["ended_at"].is_string()).await;
}

#[tokio::test]
async fn a_gateway_that_fails_one_conversation_and_answers_others_is_no_gap() {
    let (world, clock) = standing_still_at(START);
    let daemon = world.start().await;
    let (good, webhook) = talk(1);
    daemon.vonage.play(&good, Pace::AtOnce).await;
    assert!(daemon.vonage.send(webhook).await.is_accepted());
    daemon.wait_for(good.conversation.as_str(), |one| one["capture"]["state"] == "captured").await;
    let (bad, webhook) = talk(2);
    let id = bad.conversation.to_string();
    daemon.vonage.play(&bad, Pace::AtOnce).await;
    daemon.vonage.serve_document(&format!("/v0.3/conversations/{id}"), 503, "<html>".to_owned());
    assert!(daemon.vonage.send(webhook).await.is_accepted());
    daemon.wait_for(&id, |one| one["capture"]["reason"].is_string()).await;
    // Each time both are asked: the good one is polled, the bad one tried again.
    for tries in 2..=6 {
        let told = format!("{tries} tries");
        let advancing = async {
            let mut turns = tokio::time::interval(std::time::Duration::from_millis(100));
            loop {
                turns.tick().await;
                daemon.advance(&clock, SignedDuration::from_secs(3));
                let one = daemon.get(&format!("/v1/conversations/{id}")).await.json();
                if one["capture"]["reason"].as_str().is_some_and(|reason| reason.ends_with(&told)) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, advancing).await.expect("it is tried again");
    }
    let gaps = daemon.get("/v1/gaps").await.json();
    let gaps = gaps["items"].as_array().unwrap();
    assert!(gaps.len() <= 1 && gaps.iter().all(|gap| !gap["ended_at"].is_null()), "{gaps:?}");
}
