//! Looks and lists of the client itself, against answers that are put there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use conversationd::domain::clock::SystemClock;
use conversationd::domain::digest::Digest;
use conversationd::domain::fetch::{Known, Urgency};
use conversationd::domain::ids::{ApplicationId, ConversationId, Region};
use conversationd::domain::snapshot::{EventList, Sighting};
use conversationd::simulator::{Fault, Simulator};
use conversationd::vonage::client::{
    Asked, Calls, Client, Failure, HostAnswer, Look, Looked, NoAnswer, Settings,
};
use conversationd::vonage::family::Family;
use conversationd::vonage::pace::Pace;
use conversationd::vonage::region::RegionHosts;
use conversationd::vonage::token::TokenMint;
use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use super::support::daemon::{PATIENCE, World};
use super::support::{data, keys};

const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
const ALICE: &str = "MEM-6e1c0d4a-72b9-4f35-8ad1-903b5c7e2f60";
const BOB: &str = "MEM-b47a9e20-5d13-4c68-9f0e-2a81d6c3570b";
const REGION: &str = "api-eu-3.vonage.com";

/// More requests than any test here makes at once.
const PLENTY: u32 = 100;

/// A Vonage and who asks it.
struct Scene {
    vonage: Simulator,
    client: Client,
    pace: Arc<Pace>,
    family: Family,
}

impl Scene {
    async fn of(family: Family) -> Self {
        Self::with(family, PLENTY, |_| RegionHosts::beside(&url("http://127.0.0.1"))).await
    }

    async fn with(family: Family, limit: u32, regions: impl FnOnce(&Url) -> RegionHosts) -> Self {
        let vonage = World::default().vonage().await;
        let pace = Arc::new(Pace::new(NonZeroU32::new(limit).unwrap()));
        let application = ApplicationId::parse(keys::APPLICATION).unwrap();
        let key = keys::pair().private.clone().into_bytes().into();
        let settings = Settings {
            api_url: vonage.api_url(),
            family,
            events: true,
            regions: regions(&vonage.api_url()),
            mint: Arc::new(TokenMint::new(application, &key).unwrap()),
            pace: Arc::clone(&pace),
        };
        let client = Client::new(settings, Arc::new(SystemClock)).unwrap();
        Self { vonage, client, pace, family }
    }

    /// Puts an answer to a path below the conversation: `""`, `/members`, `/events?start_id=…`.
    fn put(&self, below: &str, body: &Value) {
        put(&self.vonage, self.family, below, body);
    }

    fn put_file(&self, below: &str, file: &str) {
        let body = serde_json::from_slice(&data::bytes(&format!("conversations/{file}"))).unwrap();
        self.put(below, &body);
    }

    async fn look(&self, known: Option<&Known>) -> Look {
        self.look_in(known, None).await
    }

    async fn look_in(&self, known: Option<&Known>, region: Option<&Region>) -> Look {
        self.looked(known, region).await.look
    }

    async fn looked(&self, known: Option<&Known>, region: Option<&Region>) -> Looked {
        let id = ConversationId::parse(CONVERSATION).unwrap();
        let look = self.client.look(Asked { id: &id, known, region, urgency: Urgency::Changed });
        timeout(PATIENCE, look).await.expect("a look ends")
    }

    async fn events(&self, known: Option<&Known>) -> Look {
        let id = ConversationId::parse(CONVERSATION).unwrap();
        let look = self.client.events(Asked { id: &id, known, region: None, urgency: Urgency::Poll });
        timeout(PATIENCE, look).await.expect("a look ends")
    }

    /// The calls of an hour.
    async fn calls(&self) -> Result<Calls, NoAnswer> {
        let calls = self.client.calls(instant("2026-03-09T10:00:00Z"), instant("2026-03-09T11:00:00.5Z"));
        timeout(PATIENCE, calls).await.expect("a list ends")
    }

    /// What was asked so far, without the conversation's own path.
    fn asked(&self) -> Vec<String> {
        let own = format!("/{}/conversations/{CONVERSATION}", self.family.as_str());
        self.vonage.requests().iter().map(|request| request.path.replace(&own, "")).collect()
    }
}

fn put(vonage: &Simulator, family: Family, below: &str, body: &Value) {
    let path = format!("/{}/conversations/{CONVERSATION}{below}", family.as_str());
    vonage.serve_document(&path, 200, body.to_string());
}

// === families

#[tokio::test]
async fn members_that_are_listed_are_read_one_by_one_in_every_family() {
    for (family, own, list) in [
        (Family::V02, "v0.2_get_conversation.json", "v0.2_list_members.json"),
        (Family::V03, "v0.3_get_conversation.json", "v0.3_list_members.json"),
        (Family::V1, "v1_get_conversation_full.json", "v1_list_members.json"),
    ] {
        let scene = Scene::of(family).await;
        scene.put_file("", own);
        scene.put_file("/members", list);
        scene.put_file(&format!("/members/{ALICE}"), "v1_get_member_joined.json");
        scene.put_file(&format!("/members/{BOB}"), "v1_get_member_invited.json");
        let seen = seen(scene.look(None).await);
        let own_members = if family == Family::V02 { vec![ALICE] } else { vec![ALICE, BOB] };
        let expected = ["conversation".to_owned(), "members page 1".to_owned()];
        let expected = expected.into_iter().chain(own_members.iter().map(|id| format!("member {id}")));
        assert_eq!(names(&seen), expected.collect::<Vec<_>>(), "{family:?}");
        assert_eq!(seen.family, family.as_str());
    }
}

#[tokio::test]
async fn members_inside_the_conversation_are_not_asked_for() {
    for (family, own) in
        [(Family::Beta, "embedded_beta_uuid_key.json"), (Family::V01, "embedded_v0.1_all_member_keys.json")]
    {
        let scene = Scene::of(family).await;
        scene.put_file("", own);
        assert_eq!(names(&seen(scene.look(None).await)), ["conversation"], "{family:?}");
        assert_eq!(scene.asked(), [""]);
    }
}

#[tokio::test]
async fn a_list_that_gives_no_member_ids_is_kept_as_it_is() {
    let scene = Scene::of(Family::V01).await;
    scene.put("", &json!({"uuid": CONVERSATION, "sequence_number": "8"}));
    scene.put_file("/members", "v0.1_list_members_bare_array.json");
    let seen = seen(scene.look(None).await);
    assert_eq!(names(&seen), ["conversation", "members page 1"]);
    assert_eq!(seen.sequence_number, Some(8));
    scene.put_file("/events", "v0.1_list_events_bare_array.json");
    assert_eq!(listed(&scene.events(None).await), (vec!["events after 0".to_owned()], Some(8)));
}

// === the event list

#[tokio::test]
async fn the_events_since_the_last_known_one_are_read_page_by_page() {
    let scene = Scene::of(Family::V1).await;
    let more = format!("{}v1/conversations/{CONVERSATION}/events?cursor=a%3D%3D", scene.vonage.api_url());
    let links = json!({"next": {"href": more}});
    scene.put("/events", &json!({"_embedded": {"events": [event(7), event(8)]}, "_links": links}));
    scene.put("/events?cursor=a%3D%3D", &json!({"_embedded": {"events": [event(9), event(10)]}}));
    let (names, last) = listed(&scene.events(Some(&known(Some(6)))).await);
    assert_eq!(names, ["events after 6", "events after 6 page 2"]);
    assert_eq!(last, Some(10));
    assert_eq!(scene.asked(), ["/events?page_size=100&start_id=7", "/events?cursor=a%3D%3D"]);
}

#[tokio::test]
async fn a_page_without_new_events_is_not_kept() {
    for events in
        [json!({"_embedded": {"events": []}}), json!([event(5), event(6)]), json!([{"type": "text"}])]
    {
        let scene = Scene::of(Family::Beta).await;
        scene.put("/events", &events);
        assert_eq!(listed(&scene.events(Some(&known(Some(6)))).await), (Vec::new(), Some(6)), "{events}");
    }
    let scene = Scene::of(Family::Beta).await;
    scene.put("/events", &json!([]));
    assert_eq!(listed(&scene.events(None).await), (Vec::new(), None));
}

#[tokio::test]
async fn events_that_are_all_known_are_not_worth_asking_for() {
    let scene = Scene::of(Family::V1).await;
    scene.put_file("", "embedded_t3_both_joined.json");
    for (last, has_more) in [(None, true), (Some(9), true), (Some(10), false)] {
        let look = scene.look(Some(&known(last))).await;
        assert!(
            matches!(look, Look::Seen { has_more_events, .. } if has_more_events == has_more),
            "{last:?}: {look:?}"
        );
    }
}

#[tokio::test]
async fn a_list_of_events_that_fails_is_told_from_an_empty_one() {
    for (status, body) in
        [(404, "{}"), (400, "{}"), (500, ""), (401, "{}"), (200, "<html>"), (200, "7"), (200, "")]
    {
        let scene = Scene::of(Family::V1).await;
        let path = format!("/v1/conversations/{CONVERSATION}/events");
        scene.vonage.serve_document(&path, status, body.to_owned());
        let expected = if status == 404 { Look::NoEventList } else { Look::EventsUnread };
        assert_eq!(scene.events(None).await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn what_was_read_before_a_page_fails_is_kept() {
    let scene = Scene::of(Family::V1).await;
    let links = json!({"next": {"href": "?cursor=b"}});
    scene.put("/events", &json!({"_embedded": {"events": [event(1), event(4)]}, "_links": links}));
    let path = format!("/v1/conversations/{CONVERSATION}/events?cursor=b");
    scene.vonage.serve_document(&path, 500, String::new());
    let look = scene.events(None).await;
    assert_eq!(listed(&look), (vec!["events after 0".to_owned()], Some(4)));
    assert!(!list(look).is_whole, "the rest is still to be read");
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_asked_for() {
    let scene = Scene::of(Family::V1).await;
    let elsewhere = World::default().vonage().await;
    let next = format!("{}v1/conversations/{CONVERSATION}/events", elsewhere.api_url());
    let links = json!({"next": {"href": next}});
    scene.put("/events", &json!({"_embedded": {"events": [event(3)]}, "_links": links}));
    let look = scene.events(None).await;
    assert_eq!(listed(&look).1, Some(3));
    assert!(list(look).is_whole, "there is no more to be had");
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn secrets_of_events_are_not_brought_home() {
    let scene = Scene::of(Family::V1).await;
    let to = json!({"type": "sip", "uri": "sip:a@b", "password": "hidden-4711"});
    let event = json!({"id": 1, "type": "member:invited", "body": {"channel": {"to": to}}});
    scene.put("/events", &json!({"_embedded": {"events": [event]}}));
    let list = list(scene.events(None).await);
    let body = String::from_utf8(list.documents[0].body.to_vec()).unwrap();
    assert!(body.contains("[redacted]") && !body.contains("hidden-4711"), "{body}");
}

#[tokio::test]
async fn an_unchanged_conversation_costs_one_request_and_tells_whether_events_were_left() {
    let scene = Scene::of(Family::V03).await;
    scene.put_file("", "v0.3_get_conversation.json");
    scene.put_file("/members", "v0.3_list_members.json");
    scene.put_file(&format!("/members/{ALICE}"), "v0.3_get_member_isSystem.json");
    scene.put_file(&format!("/members/{BOB}"), "v1_get_member_invited.json");
    let first = seen(scene.look(None).await);
    let known = |last_event_id| Known {
        snapshot: 1,
        sequence_number: first.sequence_number,
        conversation: first.documents[0].digest,
        last_event_id,
        has_no_event_list: false,
    };
    let before = scene.asked().len();
    for (last, left) in [(8, false), (7, true)] {
        let look = scene.look(Some(&known(Some(last)))).await;
        assert!(
            matches!(look, Look::Unchanged { has_more_events, .. } if has_more_events == left),
            "{look:?}"
        );
    }
    assert_eq!(scene.asked().len(), before + 2);
}

#[tokio::test]
async fn a_list_that_was_not_there_is_worth_asking_for_when_the_conversation_has_changed() {
    for (family, own, other) in [
        (Family::V03, "v0.3_get_conversation.json", "v1_get_conversation_full.json"),
        (Family::Beta, "embedded_no_members.json", "embedded_t3_both_joined.json"),
    ] {
        let scene = Scene::of(family).await;
        scene.put("/members", &json!({"_embedded": {"members": []}}));
        scene.put_file("", own);
        let first = seen(scene.look(None).await);
        let (sequence_number, conversation) = (first.sequence_number, first.documents[0].digest);
        let known = Known { sequence_number, conversation, has_no_event_list: true, ..known(Some(1)) };
        for (file, has_more) in [(own, false), (other, true)] {
            scene.put_file("", file);
            match scene.look(Some(&known)).await {
                Look::Seen { has_more_events, .. } | Look::Unchanged { has_more_events, .. } => {
                    assert_eq!(has_more_events, has_more, "{file}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

// === regions

#[tokio::test]
async fn the_region_is_asked_first_and_the_configured_host_where_it_does_not_know() {
    let elsewhere = World::default().vonage().await;
    let region = Region::parse(REGION).unwrap();
    let place = elsewhere.api_url();
    let regions = |api_url: &Url| RegionHosts::beside(api_url).with(region.clone(), place.clone());
    let scene = Scene::with(Family::V1, PLENTY, regions).await;
    assert!(matches!(scene.look_in(None, Some(&region)).await, Look::NotYet(_)));
    assert_eq!((elsewhere.requests().len(), scene.asked().len()), (1, 1));

    scene.put_file("", "embedded_t1_only_inbound.json");
    let configured = seen(scene.look_in(None, Some(&region)).await);
    assert_eq!((configured.region, elsewhere.requests().len()), (None, 2));

    let own = serde_json::from_slice(&data::bytes("conversations/embedded_t1_only_inbound.json")).unwrap();
    put(&elsewhere, Family::V1, "", &own);
    let asked_before = scene.asked().len();
    let regional = seen(scene.look_in(None, Some(&region)).await);
    assert_eq!((regional.region, scene.asked().len()), (Some(region.clone()), asked_before));

    let unknown = Region::parse("evil.example.net").unwrap();
    assert_eq!(seen(scene.look_in(None, Some(&unknown)).await).region, None);
}

#[tokio::test]
async fn a_region_that_cannot_be_asked_does_not_make_a_conversation_gone() {
    let region = Region::parse(REGION).unwrap();
    // Nobody listens on the discard port.
    let regions =
        |api_url: &Url| RegionHosts::beside(api_url).with(region.clone(), url("http://127.0.0.1:9"));
    let scene = Scene::with(Family::V1, PLENTY, regions).await;
    let looked = scene.looked(Some(&known(None)), Some(&region)).await;
    let failure = Failure::Transport("no connection");
    assert_eq!(looked.look, Look::Unreachable(failure.clone()));
    let regions_answer = HostAnswer { region: Some(region.clone()), outcome: Err(failure.into()) };
    let own_answer = HostAnswer { region: None, outcome: Ok(()) };
    assert_eq!(looked.answers, [regions_answer, own_answer.clone()], "each host answers for itself");
    scene.put_file("", "embedded_t1_only_inbound.json");
    let looked = scene.looked(None, Some(&region)).await;
    assert_eq!(looked.answers, [own_answer], "nothing went unseen");
    assert_eq!(seen(looked.look).region, None);
}

// === the list of calls

#[tokio::test]
async fn calls_are_listed_page_by_page() {
    let scene = Scene::of(Family::V03).await;
    let call = |uuid: &str| json!({"uuid": uuid, "status": "completed"});
    let since = "date_start=2026-03-09T10%3A00%3A00Z&date_end=2026-03-09T11%3A00%3A00Z&page_size=100";
    let serve = |query: &str, page: Value| {
        scene.vonage.serve_document(&format!("/v1/calls?{query}"), 200, page.to_string());
    };
    // By index where the list only counts, by link where it has one, which leaves out the version.
    let counted = json!({"count": 3, "record_index": 0, "_embedded": {"calls": [call("a")]}});
    serve(since, counted);
    let next = json!({"next": {"href": "/calls?record_index=2&x=%2F"}});
    let linked = json!({"count": 3, "record_index": 1, "_embedded": {"calls": [call("b")]}, "_links": next});
    serve(&format!("{since}&record_index=1"), linked);
    serve(
        "record_index=2&x=%2F",
        json!({"count": 3, "record_index": 2, "_embedded": {"calls": [call("c")]}}),
    );
    let Calls { calls, until } = scene.calls().await.unwrap();
    assert_eq!(until, instant("2026-03-09T11:00:00.5Z"));
    let legs: Vec<&str> = calls.iter().map(|call| call.leg_id.as_str()).collect();
    assert_eq!(legs, ["a", "b", "c"]);
    assert_eq!(scene.vonage.requests().len(), 3);
}

#[tokio::test]
async fn a_list_of_calls_that_goes_in_circles_or_elsewhere_ends() {
    let elsewhere = World::default().vonage().await;
    let other_host = format!("{}v1/calls?record_index=1", elsewhere.api_url());
    for next in ["?", "/v1/calls", "/v1/other?a=b", other_host.as_str(), "//", "http://"] {
        let scene = Scene::of(Family::V03).await;
        let page = json!({"_embedded": {"calls": [{"uuid": "a"}]}, "_links": {"next": {"href": next}}});
        scene.vonage.serve_document("/v1/calls", 200, page.to_string());
        let calls = scene.calls().await;
        assert!(calls.unwrap().calls.len() <= 2, "{next}");
        assert!(scene.vonage.requests().len() <= 2, "{next}");
    }
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn of_more_calls_than_one_list_holds_those_of_the_earlier_half_are_listed() {
    let scene = Scene::of(Family::V03).await;
    let query = |until: &str| {
        format!("/v1/calls?date_start=2026-03-09T10%3A00%3A00Z&date_end=2026-03-09T{until}Z&page_size=100")
    };
    let page = |count: i64, index: i64| {
        let call = json!({"uuid": format!("leg-{index}"), "status": "completed"});
        json!({"count": count, "record_index": index, "_embedded": {"calls": [call]}}).to_string()
    };
    // The whole hour tells that it is too long, half of it only goes on and on.
    scene.vonage.serve_document(&query("11%3A00%3A00"), 200, page(5001, 0));
    let half = query("10%3A30%3A00");
    scene.vonage.serve_document(&half, 200, page(51, 0));
    for index in 1..=50 {
        scene.vonage.serve_document(&format!("{half}&record_index={index}"), 200, page(51, index));
    }
    scene.vonage.serve_document(&query("10%3A15%3A00"), 200, page(1, 0));
    let listed = scene.calls().await.unwrap();
    assert_eq!((listed.calls.len(), listed.until), (1, instant("2026-03-09T10:15:00Z")));
    assert_eq!(scene.vonage.requests().len(), 1 + 50 + 1);
}

#[tokio::test]
async fn of_more_calls_in_a_second_than_one_list_holds_some_are_listed() {
    let scene = Scene::of(Family::V03).await;
    let page = json!({"count": 5001, "record_index": 0, "_embedded": {"calls": [{"uuid": "a"}]}});
    scene.vonage.serve_document("/v1/calls", 200, page.to_string());
    let listed = scene.calls().await.unwrap();
    assert_eq!((listed.calls.len(), listed.until), (1, instant("2026-03-09T10:00:01Z")));
}

#[tokio::test]
async fn a_list_of_calls_that_cannot_be_had_says_why() {
    let scene = Scene::of(Family::V03).await;
    scene.vonage.answer_next(1, Fault::Status(404));
    assert_eq!(scene.calls().await, Err(NoAnswer::Unreachable(Failure::Status(404))));
    scene.vonage.answer_next(1, Fault::Unauthorized);
    assert_eq!(scene.calls().await, Err(NoAnswer::Refused(401)));
    scene.vonage.answer_next(1, Fault::Status(500));
    assert_eq!(scene.calls().await, Err(NoAnswer::Unreachable(Failure::Status(500))));
    let pause = Duration::from_secs(7);
    scene.vonage.answer_next(1, Fault::TooManyRequests { retry_after: Some(pause) });
    assert!(matches!(scene.calls().await, Err(NoAnswer::Unreachable(Failure::Throttled(_)))));
    let before = scene.vonage.requests().len();
    assert!(matches!(scene.calls().await, Err(NoAnswer::Unreachable(Failure::Throttled(_)))));
    assert_eq!(scene.vonage.requests().len(), before, "it is left alone as it asked");
    assert!(scene.pace.turn(Urgency::Unseen).now_or_never().is_some(), "nobody else is held up");
}

fn seen(look: Look) -> Sighting {
    match look {
        Look::Seen { sighting, .. } => sighting,
        other => panic!("{other:?}"),
    }
}

fn list(look: Look) -> EventList {
    match look {
        Look::Events(list) => list,
        other => panic!("{other:?}"),
    }
}

/// The pages that are kept of a list, and its last event.
fn listed(look: &Look) -> (Vec<String>, Option<i64>) {
    let list = list(look.clone());
    (list.documents.iter().map(|document| document.name.to_string()).collect(), list.last_event_id)
}

fn names(sighting: &Sighting) -> Vec<String> {
    sighting.documents.iter().map(|document| document.name.to_string()).collect()
}

fn event(id: i64) -> Value {
    json!({"id": id, "type": "custom:a", "body": {}})
}

fn known(last_event_id: Option<i64>) -> Known {
    Known {
        snapshot: 1,
        sequence_number: Some(6),
        conversation: Digest::of(b"older"),
        last_event_id,
        has_no_event_list: false,
    }
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}
