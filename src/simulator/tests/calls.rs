//! The Voice API's list of calls.

use serde_json::Value;

use super::super::Call;
use super::super::Members;
use super::super::Pace;
use super::super::Simulator;
use super::support::Application;
use super::support::TUTORIAL;
use super::support::data;
use super::support::get;
use super::support::in_mid_tutorial;
use super::support::keys;
use super::support::now;
use super::support::simulator;

const ALICE: &str = "797168e24c19a3c45e74e05b10fef2b5";
const BOB: &str = "30cecc87-7ac9-4d03-910a-e9d69558263c";

/// The legs of an answer, in its order.
fn legs(list: &Value) -> Vec<&str> {
    let calls = list["_embedded"]["calls"].as_array().unwrap();
    calls.iter().map(|call| call["uuid"].as_str().unwrap()).collect()
}

async fn list(simulator: &Simulator, query: &str) -> Value {
    let (status, list) = get(simulator, &format!("/v1/calls{query}")).await;
    assert_eq!(status, 200, "{query}");
    list
}

#[tokio::test]
async fn a_leg_has_a_price_only_when_it_is_over_and_stays_listed() {
    let simulator = simulator(Members::Listed).await;
    let end = in_mid_tutorial(&simulator).await;
    let path = format!("/v1/calls/{ALICE}");
    let (_, live) = get(&simulator, &path).await;
    let mut recorded = data("conversations/voice_get_call_in_progress");
    recorded.as_object_mut().unwrap().remove("start_time");
    assert_eq!(keys(&live), keys(&recorded));
    assert_eq!(live["status"], "answered");
    let listed = list(&simulator, &format!("?conversation_uuid={TUTORIAL}")).await;
    assert_eq!(keys(&listed), keys(&data("conversations/voice_list_calls_by_conversation")));

    simulator.play(&end, Pace::AtOnce).await;
    let (_, over) = get(&simulator, &path).await;
    assert_eq!(keys(&over), keys(&data("conversations/voice_get_call_completed")));
    assert_eq!((&over["price"], &over["duration"]), (&Value::from("0.02250000"), &Value::from("300")));
    assert_eq!(over["start_time"], "2018-10-25 09:26:30");
    let listed = list(&simulator, &format!("?conversation_uuid={TUTORIAL}")).await;
    assert_eq!(legs(&listed), [ALICE, BOB]);
    let (status, body) = get(&simulator, "/v1/calls/unknown").await;
    assert_eq!((status, body), (404, data("errors/404_no_resource_shape_voice")));
}

#[tokio::test]
async fn only_what_is_asked_for_is_listed() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    simulator.play(&Call::busy(5, now()), Pace::AtOnce).await;
    for (query, expected) in [
        ("", 3),
        ("?status=answered", 2),
        ("?status=busy", 1),
        ("?status=completed", 0),
        ("?date_start=2018-10-25T09:26:20Z", 2),
        ("?date_start=2018-10-25T09:26:20Z&date_end=2018-10-26T00:00:00Z", 1),
        ("?date_end=2018-10-25T00:00:00Z", 0),
        ("?conversation_uuid=CON-1", 0),
    ] {
        let list = list(&simulator, query).await;
        assert_eq!((legs(&list).len(), &list["count"]), (expected, &Value::from(expected)), "{query}");
    }
    let second = list(&simulator, "?page_size=1&record_index=1&order=desc").await;
    assert_eq!((legs(&second), &second["count"]), (vec![BOB], &Value::from(3)));
    assert_eq!(second["_links"]["self"]["href"], "/calls?page_size=1&record_index=1&order=desc");
    for query in ["page_size=101", "record_index=x", "order=up", "date_start=yesterday"] {
        assert_eq!(get(&simulator, &format!("/v1/calls?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_leg_that_went_over_is_listed_where_it_is() {
    let simulator = simulator(Members::Listed).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let call = Call::moved(4, now());
    let [first, second] = <[_; 2]>::try_from(call.conversations()).unwrap();
    simulator.play(&call, Pace::AtOnce).await;
    assert_eq!(legs(&list(&simulator, &format!("?conversation_uuid={first}")).await).len(), 1);
    assert_eq!(legs(&list(&simulator, &format!("?conversation_uuid={second}")).await).len(), 2);
}
