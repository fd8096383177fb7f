//! The generated calls: whether they are such as Vonage has.

use std::collections::HashMap;

use serde_json::Value;

use super::super::Action;
use super::super::Call;
use super::super::Members;
use super::super::Pace;
use super::super::Step;
use super::super::Target;
use super::super::Webhook;
use super::support::Application;
use super::support::get;
use super::support::now;
use super::support::simulator;

/// Two rounds of every kind.
fn calls() -> impl Iterator<Item = Call> {
    (1..=24).map(|number| Call::varied(number, now()))
}

/// The statuses of each leg, in the order they are told.
fn statuses(call: &Call) -> HashMap<String, Vec<String>> {
    let mut statuses: HashMap<String, Vec<String>> = HashMap::new();
    for webhook in call.webhooks().filter(|webhook| webhook.target == Target::Event) {
        let body: Value = serde_json::from_slice(&webhook.body).unwrap();
        let leg = body["uuid"].as_str().or(body["call_uuid"].as_str()).unwrap();
        let status = body["status"].as_str().unwrap_or("transfer");
        statuses.entry(leg.to_owned()).or_default().push(status.to_owned());
    }
    statuses
}

#[test]
fn every_leg_begins_with_started_and_ends_with_completed_or_rejected() {
    for call in calls() {
        for (leg, statuses) in statuses(&call) {
            let end = statuses.last().unwrap().as_str();
            assert_eq!(statuses[0], "started", "{leg}");
            assert!(end == "rejected" || end == "completed", "{leg}: {statuses:?}");
            let rejected = statuses.contains(&"rejected".to_owned());
            assert_eq!(rejected, end == "rejected", "{leg}: {statuses:?}");
        }
    }
}

#[test]
fn the_kinds_follow_each_other() {
    let told: Vec<Vec<String>> = (1..=12)
        .map(|number| {
            let mut legs: Vec<String> =
                statuses(&Call::varied(number, now())).values().map(|statuses| statuses.join(" ")).collect();
            legs.sort();
            legs
        })
        .collect();
    let talked = "started ringing answered completed";
    let met = "started ringing answered transfer completed";
    assert_eq!(
        told,
        [
            vec![talked, talked],
            vec![talked],
            vec![met, met, met],
            vec![talked, talked, met],
            vec!["started ringing busy completed"],
            vec!["started ringing rejected"],
            vec!["started ringing cancelled completed", "started ringing completed"],
            vec!["started ringing unanswered timeout completed"],
            vec!["started failed completed"],
            vec!["started ringing answered machine machine completed"],
            vec![talked, talked],
            vec![talked, talked],
        ]
    );
}

#[test]
fn nothing_happens_before_what_came_before_it() {
    for call in calls().chain([Call::tutorial()]) {
        assert!(call.steps.is_sorted_by_key(|step| step.at), "{}", call.conversation);
    }
}

#[test]
fn no_two_calls_share_a_conversation() {
    let mut all: Vec<_> = calls().flat_map(|call| call.conversations()).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[tokio::test]
async fn a_leg_that_goes_over_leaves_one_conversation_and_joins_another() {
    let simulator = simulator(Members::Embedded).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let call = Call::moved(4, now());
    let [first, second] = <[_; 2]>::try_from(call.conversations()).unwrap();
    let is_transfer =
        |step: &Step| matches!(&step.action, Action::Webhook(webhook) if says(webhook, "transfer"));
    let transfer = call.steps.iter().position(is_transfer).unwrap();
    let (mut before, mut after) = (Call::new(first.clone()), Call::new(first.clone()));
    before.steps = call.steps[..=transfer].to_vec();
    after.steps = call.steps[transfer + 1..].to_vec();

    simulator.play(&before, Pace::AtOnce).await;
    let (_, left) = get(&simulator, &format!("/beta/conversations/{first}")).await;
    let (_, joined) = get(&simulator, &format!("/beta/conversations/{second}")).await;
    assert_eq!(
        (&left["members"][0]["state"], &left["members"][1]["state"], &joined["members"][0]["state"]),
        (&Value::from("LEFT"), &Value::from("JOINED"), &Value::from("JOINED"))
    );
    assert_eq!(left["members"][0]["user_id"], joined["members"][0]["user_id"]);
    assert_ne!(left["members"][0]["member_id"], joined["members"][0]["member_id"]);
    let received = application.received();
    let told: Value = serde_json::from_slice(&received.last().unwrap().body).unwrap();
    assert_eq!(told["conversation_uuid_from"], first.as_str());
    assert_eq!(told["conversation_uuid_to"], second.as_str());

    simulator.play(&after, Pace::AtOnce).await;
    for conversation in [first, second] {
        assert_eq!(get(&simulator, &format!("/beta/conversations/{conversation}")).await.0, 404);
    }
}

fn says(webhook: &Webhook, kind: &str) -> bool {
    let body: Value = serde_json::from_slice(&webhook.body).unwrap();
    body["type"] == kind
}
