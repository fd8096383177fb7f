//! Webhooks of the rtc capability, fallback webhooks, and where webhooks go.

use serde_json::Value;

use super::super::Action;
use super::super::Call;
use super::super::Change;
use super::super::Endpoint;
use super::super::Leg;
use super::super::Members;
use super::super::Note;
use super::super::Pace;
use super::super::Region;
use super::super::Target;
use super::super::Webhook;
use super::support::APPLICATION;
use super::support::Application;
use super::support::Received;
use super::support::data;
use super::support::json;
use super::support::keys;
use super::support::now;
use super::support::simulator;
use crate::domain::ids::ApplicationId;

fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

/// What an application with the rtc capability hears of `call` on its rtc address.
async fn told(call: &Call) -> Vec<Value> {
    let simulator = simulator(Members::Listed).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let call = call.clone().told_by_rtc(&ApplicationId::parse(APPLICATION).unwrap()).by_get();
    assert!(simulator.play(&call, Pace::AtOnce).await.is_accepted());
    let received = application.received();
    let rtc = received.iter().filter(|received| received.address == "/webhooks/rtc");
    rtc.inspect(|received| assert!(received.authorization.is_some())).map(body).collect()
}

#[tokio::test]
async fn each_event_is_told_with_its_number() {
    let told = told(&Call::tutorial()).await;
    let numbered: Vec<String> =
        told.iter().map(|body| format!("{} {}", body["id"], body["type"]).replace('"', "")).collect();
    assert_eq!(
        numbered,
        [
            "null conversation:created",
            "1 member:joined",
            "2 member:invited",
            "3 sip:ringing",
            "4 member:joined",
            "5 member:media",
            "6 sip:answered",
            "7 member:joined",
            "8 member:media",
            "null conversation:deleted",
        ]
    );
    assert_eq!(told[1]["from"], "MEM-f44c872e-cba9-444f-88ae-0bfa630865a6");
    assert!(!told[1]["body"].to_string().contains("MEM-"));
    assert_eq!(told[4]["body"]["timestamp"]["invited"], "2018-10-25T09:26:19.385Z");
}

#[tokio::test]
async fn each_kind_has_the_keys_of_the_recorded_one() {
    let two = Call::inbound(1, now());
    let mut told_of = told(&two).await;
    told_of.extend(told(&Call::voicemail(10, now())).await);
    told_of.extend(told(&Call::moved(4, now())).await);
    told_of.extend(told(&Call::from_app(11, now())).await);
    for name in [
        "conversation_created",
        "conversation_deleted",
        "member_invited",
        "member_joined_inbound",
        "member_left",
        "member_media",
        "sip_answered",
        "sip_machine",
        "sip_ringing",
        "rtc_transfer",
    ] {
        let recorded = data(&format!("rtc/{name}"));
        let mut alike = told_of.iter().filter(|body| body["type"] == recorded["type"]);
        assert!(alike.any(|body| keys(body) == keys(&recorded)), "{name}: {recorded}");
    }
}

#[tokio::test]
async fn any_event_can_be_told() {
    let call = Call::tutorial();
    let participant = call.steps.iter().find_map(|step| match &step.action {
        Action::Change(Change::Invited(participant)) => Some(participant.clone()),
        _ => None,
    });
    let participant = participant.unwrap();
    let history = [("started", now()), ("ringing", now()), ("answered", now())];
    let call = Call::new(call.conversation.clone())
        .created(now(), "NAM-1")
        .noted(now(), Note::muted(&participant))
        .noted(now(), Note::earmuffed(&participant, true))
        .noted(now(), Note::leg_status(&call.conversation, &participant, &history))
        .noted(now(), Note::hung_up(&participant))
        .noted(now(), Note::of_kind("custom:case_opened", json(r#"{"case": "T-881"}"#)));
    let told = told(&call).await;
    for (body, name) in told[1..].iter().zip([
        "audio_mute_on",
        "audio_earmuff_on",
        "leg_status_update_answered",
        "sip_hangup",
    ]) {
        let recorded = data(&format!("rtc/{name}"));
        assert_eq!((&body["type"], keys(body)), (&recorded["type"], keys(&recorded)));
    }
    assert_eq!((&told[5]["from"], &told[5]["id"]), (&Value::Null, &json("5")));
}

#[tokio::test]
async fn a_call_without_the_capability_is_not_told_of() {
    assert!((1..=12).all(|number| {
        Call::varied(number, now()).webhooks().all(|webhook| webhook.target != Target::Rtc)
    }));
}

#[test]
fn a_fallback_webhook_has_the_fields_of_the_one_that_failed_and_why() {
    for (target, kind) in [(Target::Answer, "answer"), (Target::Event, "event")] {
        let recorded = data(&format!("events/{kind}_fallback_post"));
        let mut original = recorded.clone();
        original.as_object_mut().unwrap().retain(|key, _| key != "reason" && key != "original_request");
        let url = format!("https://audit.example.net/webhooks/{kind}").parse().unwrap();
        let fallback =
            Webhook::post(target, original.to_string()).after_failing_at(&url, "Connection closed.");
        assert_eq!(fallback.target, Target::Fallback);
        assert_eq!(serde_json::from_slice::<Value>(&fallback.body).unwrap(), recorded);
    }
}

#[tokio::test]
async fn webhooks_go_where_the_application_wants_them() {
    let simulator = simulator(Members::Listed).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let url = "https://audit.example.net/webhooks/event".parse().unwrap();
    simulator.send(Webhook::post(Target::Event, "{}").after_failing_at(&url, "x")).await;
    simulator.name_application_in_path(true);
    simulator.send(Webhook::post(Target::Rtc, "{}").by_get()).await;
    simulator.send(Webhook::post(Target::Answer, r#"{"a":"b"}"#).by_get()).await;
    simulator.name_application_in_path(false);
    simulator.send(Webhook::post(Target::Event, "{}")).await;
    let addresses: Vec<String> =
        application.received().into_iter().map(|received| received.address).collect();
    assert_eq!(
        addresses,
        [
            "/webhooks/fallback".to_owned(),
            format!("/webhooks/{APPLICATION}/rtc"),
            format!("/webhooks/{APPLICATION}/answer?a=b"),
            "/webhooks/event".to_owned(),
        ]
    );
}

#[test]
fn an_answer_webhook_tells_who_calls_and_where() {
    let (from, to) = ("447700900001", "447700900100");
    let leg = Leg::inbound("5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f".parse().unwrap(), from, to);
    let conversation = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f".parse().unwrap();
    let call = Call::new(conversation).asked_for_ncco(now(), &leg);
    let answer = |call: &Call| json(str::from_utf8(&call.webhooks().next().unwrap().body).unwrap());
    assert_eq!(answer(&call.clone().in_region(Region::EuWest)), data("events/answer_post_phone"));
    assert_eq!(answer(&call).get("region_url"), None);
    let app = Leg { from: Endpoint::app("alice.smith"), ..leg };
    let answer = answer(&Call::new(call.conversation).asked_for_ncco(now(), &app));
    assert_eq!((&answer["from_user"], &answer["endpoint_type"]), (&"alice.smith".into(), &"app".into()));
    assert_eq!(answer.get("from"), None);
}
