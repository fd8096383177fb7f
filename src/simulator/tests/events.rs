//! The list of a conversation's events.

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

async fn list(simulator: &Simulator, family: &str, query: &str) -> Value {
    let (status, list) = get(simulator, &format!("/{family}/conversations/{TUTORIAL}/events{query}")).await;
    assert_eq!(status, 200, "{family} {query}");
    list
}

fn ids(events: &Value) -> Vec<u64> {
    events.as_array().unwrap().iter().map(|event| event["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_list_has_each_familys_shape() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    for (family, recorded, path) in [
        ("beta", "v0.1_list_events_bare_array", ""),
        ("v0.1", "v0.1_list_events_bare_array", ""),
        ("v0.2", "v0.2_list_events", "/_embedded/data/events"),
        ("v0.3", "v1_list_events_embedded_events", "/_embedded/events"),
        ("v1", "v1_list_events_embedded_events", "/_embedded/events"),
    ] {
        let list = list(&simulator, family, "").await;
        let recorded = data(&format!("conversations/{recorded}"));
        let mut shape = keys(&list);
        shape.retain(|key| family != "v0.2" || !key.starts_with("_links.first"));
        assert_eq!(shape, keys(&recorded), "{family}");
        assert_eq!(ids(list.pointer(path).unwrap()), [1, 2, 3, 4, 5, 6, 7, 8], "{family}");
    }
    simulator.embed_bare_events(true);
    assert_eq!(ids(&list(&simulator, "v1", "").await["_embedded"]).len(), 8);
    assert_eq!(ids(&list(&simulator, "v0.3", "").await["_embedded"]["events"]).len(), 8);
}

#[tokio::test]
async fn the_tutorials_events_are_the_tutorials() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    let list = list(&simulator, "v0.3", "").await;
    let events = list["_embedded"]["events"].as_array().unwrap();
    let told: Vec<String> = events
        .iter()
        .map(|event| format!("{} {}", event["type"], event["timestamp"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "member:joined 2018-10-25T09:26:19.204Z",
            "member:invited 2018-10-25T09:26:19.385Z",
            "sip:ringing 2018-10-25T09:26:24.384Z",
            "member:joined 2018-10-25T09:26:30.270Z",
            "member:media 2018-10-25T09:26:30.274Z",
            "sip:answered 2018-10-25T09:26:30.277Z",
            "member:joined 2018-10-25T09:26:30.334Z",
            "member:media 2018-10-25T09:26:30.337Z",
        ]
    );
    let (first, again) = (&events[0], &events[6]);
    assert_eq!(first["body"]["timestamp"]["joined"], "2018-10-25T09:26:19.204Z");
    assert_eq!(again["body"]["timestamp"]["joined"], "2018-10-25T09:26:30.334Z");
    assert_eq!(first["from"], again["from"]);
    assert_eq!(first["body"]["member_id"], Value::Null);
    assert_eq!(events[1]["body"]["user"]["member_id"], events[3]["from"]);
}

#[tokio::test]
async fn only_what_is_asked_for_is_listed() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    for (query, expected) in [
        ("?start_id=6", vec![6, 7, 8]),
        ("?end_id=2", vec![1, 2]),
        ("?start_id=2&end_id=3", vec![2, 3]),
        ("?event_type=member:joined", vec![1, 4, 7]),
        ("?event_type=member:joined,member:invited&start_id=2", vec![2, 4, 7]),
        ("?order=desc&start_id=7", vec![8, 7]),
        ("?page_size=3&order=DESC", vec![8, 7, 6]),
    ] {
        assert_eq!(ids(&list(&simulator, "v1", query).await["_embedded"]["events"]), expected, "{query}");
    }
    assert_eq!(ids(&list(&simulator, "v0.1", "?start_id=7").await), [7, 8]);
    let path = format!("/v1/conversations/{TUTORIAL}/events?start_id=x");
    assert_eq!(get(&simulator, &path).await.0, 400);
}

#[tokio::test]
async fn a_filtered_list_is_read_page_by_page_along_its_links() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    let mut path = format!("/v1/conversations/{TUTORIAL}/events?page_size=2&start_id=4");
    let mut seen = Vec::new();
    while !path.is_empty() {
        let (status, page) = get(&simulator, &path).await;
        assert_eq!(status, 200);
        seen.push(ids(&page["_embedded"]["events"]));
        let next = page["_links"]["next"]["href"].as_str().unwrap_or_default();
        path = next.replace(simulator.api_url().as_str(), "");
    }
    assert_eq!(seen, [vec![4, 5], vec![6, 7], vec![8]]);
}

#[tokio::test]
async fn the_newest_events_id_is_the_sequence_number_and_a_named_conversation_tells_its_end() {
    let simulator = simulator(Members::Listed).await;
    let application = Application::replying([]).await;
    simulator.send_webhooks_to(application.base.clone());
    let call = Call::conference(3, now());
    assert!(simulator.play(&call, Pace::AtOnce).await.is_accepted());
    let room = &call.conversations()[1];
    let path = format!("/v1/conversations/{room}");
    let (status, conversation) = get(&simulator, &path).await;
    assert_eq!(status, 200);
    let (_, newest) = get(&simulator, &format!("{path}/events?order=desc&page_size=1")).await;
    assert_eq!(newest["_embedded"]["events"][0]["id"], conversation["sequence_number"]);
    assert_eq!(newest["_embedded"]["events"][0]["type"], "member:left");
    let (_, members) = get(&simulator, &format!("{path}/members")).await;
    let all = members["_embedded"]["members"].as_array().unwrap();
    assert!(all.len() == 3 && all.iter().all(|member| member["state"] == "LEFT"));
}
