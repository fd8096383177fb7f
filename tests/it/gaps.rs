//! What the daemon could not see is found afterwards, or named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::sync::Arc;

use conversationd::domain::clock::{Clock, ManualClock};
use conversationd::domain::gap::{Cause, Gap};
use conversationd::domain::ids::{ApplicationId, Region};
use conversationd::flow::Wake;
use conversationd::flow::clock_steps::ClockSteps;
use conversationd::flow::heartbeat::{self, Heartbeat};
use conversationd::flow::outage::{Host, News, Outages};
use conversationd::flow::stall::Stalls;
use conversationd::simulator::{Action, Call, Fault, Pace};
use conversationd::store::{self, Store};
use conversationd::vonage::hold::Api;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::daemon::{PATIENCE, TestDaemon, World, standing_still_at};
use crate::support::keys;

const START: &str = "2026-03-09T10:15:30Z";

/// The daemon, and Vonage, when calls that began at [`START`] are connected.
fn connected() -> (World, Arc<ManualClock>) {
    let (world, clock) = standing_still_at("2026-03-09T10:15:50Z");
    (World { reconcile: "10m", ..world }, clock)
}

fn start() -> Timestamp {
    START.parse().unwrap()
}

/// What happens in a call before so many seconds after its beginning, and what happens then.
fn cut(call: Call, seconds: i64) -> (Call, Call) {
    let began = call.steps[0].at;
    call.split_at(began + SignedDuration::from_secs(seconds))
}

fn unannounced(mut call: Call) -> Call {
    call.steps.retain(|step| matches!(step.action, Action::Change(_)));
    call
}

fn is_captured(conversation: &Value) -> bool {
    conversation["capture"]["state"] == "captured"
}

fn down(began_at: &str, ended_at: &str) -> Value {
    json!({
        "cause": "down", "reason": "the daemon was not running",
        "began_at": began_at, "ended_at": ended_at, "application_id": null,
    })
}

/// The lists of calls that Vonage was asked for, as the times they are of.
fn lists(daemon: &TestDaemon) -> Vec<(String, String)> {
    let requests = daemon.vonage.requests();
    let lists = requests.iter().filter(|request| request.bare_path() == "/v1/calls");
    let time = |path: &str, name: &str| {
        let url = url::Url::parse(&format!("http://vonage{path}")).unwrap();
        url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    lists.map(|list| (time(&list.path, "date_start"), time(&list.path, "date_end"))).collect()
}

async fn wait_for_lists(daemon: &TestDaemon, count: usize) {
    let asked = daemon.vonage.wait_until(|requests| {
        requests.iter().filter(|request| request.bare_path() == "/v1/calls").count() >= count
    });
    tokio::time::timeout(PATIENCE, asked).await.expect("the calls are listed");
}

#[tokio::test]
async fn what_happened_while_the_daemon_was_down_is_found_and_the_rest_is_named() {
    let (world, clock) = connected();
    let mut daemon = world.start().await;
    let (begun, rest): (Vec<Call>, Vec<Call>) =
        (1..=5).map(|number| cut(Call::inbound(number, start()), 20)).unzip();
    for call in &begun {
        assert!(daemon.vonage.play(call, Pace::AtOnce).await.is_accepted());
        daemon.wait_for(call.conversation.as_str(), is_captured).await;
    }

    daemon.crash().await;
    clock.advance(SignedDuration::from_secs(30));
    let later = start() + SignedDuration::from_secs(25);
    let unheard = unannounced(Call::inbound(6, later));
    let (unheard_begun, _) = cut(unannounced(Call::inbound(7, later)), 20);
    let ended: Vec<Call> = rest.into_iter().take(2).map(unannounced).collect();
    for call in ended.iter().chain([&unheard, &unheard_begun]) {
        daemon.vonage.play(call, Pace::AtOnce).await;
    }
    daemon.start_again().await;

    let gap = down("2026-03-09T10:15:50.000Z", "2026-03-09T10:16:20.000Z");
    assert_eq!(daemon.get("/v1/gaps").await.json(), json!({"items": [gap], "next": null, "blind": []}));
    let again = |one: &Value| is_captured(one) && one["capture"]["last_at"] == "2026-03-09T10:16:20.000Z";
    for call in begun[2..].iter().chain([&unheard_begun]) {
        let live = daemon.wait_for(call.conversation.as_str(), again).await;
        assert_eq!((&live["state"], &live["blind"]), (&json!("live"), &json!([gap])));
    }
    for call in &ended {
        let over = daemon.wait_for(call.conversation.as_str(), |one| one["state"] == "ended").await;
        assert_eq!(over["blind"], json!([gap]));
    }
    let missed = daemon.wait_for(unheard.conversation.as_str(), |_| true).await;
    assert_eq!(missed["blind"], json!([gap]));
    for call in ended.iter().chain([&unheard]) {
        let legs = daemon.history(&call.conversation).await.listed;
        assert_eq!(legs.len(), 2);
        for leg in legs {
            assert_eq!(leg.status.as_deref(), Some("completed"));
            assert!(leg.price.is_some() && leg.duration.is_some() && leg.end_time.is_some(), "{leg:?}");
        }
    }
    let list = daemon.get("/v1/conversations").await.json();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["blind"]), (7, &json!([gap])));
    // Where nothing was found it says why that may be.
    for (asked, expected) in [
        ("number=999&since=2026-03-09T10:15:55Z&until=2026-03-09T10:16:10Z", json!([gap])),
        ("number=999&since=2026-03-09T10:00:00Z&until=2026-03-09T10:15:00Z", json!([])),
        ("number=999", json!([gap])),
        ("number=999&order=oldest&since=2026-03-09T10:16:00Z", json!([gap])),
    ] {
        let empty = daemon.get(&format!("/v1/conversations?{asked}")).await.json();
        assert_eq!((&empty["items"], &empty["blind"]), (&json!([]), &expected), "{asked}");
    }
    let webhooks = format!("/v1/conversations/{}/webhooks", begun[0].conversation);
    assert_eq!(
        daemon.get(&webhooks).await.json()["blind"],
        json!([gap]),
        "none came in the gap, or none was heard"
    );
    let snapshots = format!("/v1/conversations/{}/snapshots", begun[2].conversation);
    assert_eq!(daemon.get(&snapshots).await.json()["blind"], json!([gap]));
}

#[tokio::test]
async fn a_first_start_is_no_gap_and_neither_is_a_second() {
    let (world, clock) = connected();
    let mut daemon = world.start().await;
    let items = async |daemon: &TestDaemon| daemon.get("/v1/gaps").await.json()["items"].clone();
    assert_eq!(items(&daemon).await, json!([]));
    daemon.stop().await;
    clock.advance(SignedDuration::from_secs(1));
    daemon.start_again().await;
    assert_eq!(items(&daemon).await, json!([]));
    // A stop that was orderly hides as much as one that was not.
    clock.advance(SignedDuration::from_secs(1));
    daemon.stop().await;
    clock.advance(SignedDuration::from_secs(2));
    daemon.start_again().await;
    assert_eq!(items(&daemon).await, json!([down("2026-03-09T10:15:52.000Z", "2026-03-09T10:15:54.000Z")]));
}

#[tokio::test]
async fn gaps_come_in_pages_and_touch_only_what_they_touch() {
    let (world, clock) = connected();
    let mut daemon = World { signatures: "off", ..world }.start().await;
    let call = async |daemon: &TestDaemon, id: &str, at: &str| {
        let event = json!({"conversation_uuid": id, "uuid": id, "status": "completed", "timestamp": at});
        assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
        daemon.wait_for(id, |one| one["state"] == "ended").await
    };
    call(&daemon, "CON-before", "2026-03-09T10:15:49.000Z").await;
    for _ in 0..3 {
        daemon.stop().await;
        clock.advance(SignedDuration::from_secs(10));
        daemon.start_again().await;
    }
    clock.advance(SignedDuration::from_secs(10));
    let after = call(&daemon, "CON-after", "2026-03-09T10:16:30.000Z").await;
    assert_eq!(after["blind"], json!([]));
    let before = daemon.get("/v1/conversations/CON-before").await.json();
    assert_eq!(before["blind"], json!([]));
    let newest = daemon.get("/v1/conversations?limit=1").await.json();
    assert_eq!((&newest["items"][0]["id"], &newest["blind"]), (&json!("CON-after"), &json!([])));
    let next = newest["next"].as_str().unwrap();
    let oldest = daemon.get(&format!("/v1/conversations?limit=1&next={next}")).await.json();
    assert_eq!(
        oldest["blind"].as_array().unwrap().len(),
        3,
        "what lies between two pages is told with the second"
    );

    let first = daemon.get("/v1/gaps?limit=2").await;
    let began = |list: &Value| -> Vec<Value> {
        list["items"].as_array().unwrap().iter().map(|gap| gap["began_at"].clone()).collect()
    };
    assert_eq!(began(&first.json()), ["2026-03-09T10:16:10.000Z", "2026-03-09T10:16:00.000Z"]);
    let path = format!("/v1/gaps?limit=2&next={}", first.json()["next"].as_str().unwrap());
    assert_eq!(first.headers["link"], format!("<{path}>; rel=\"next\""));
    let second = daemon.get(&path).await.json();
    assert_eq!((began(&second), &second["next"]), (vec![json!("2026-03-09T10:15:50.000Z")], &Value::Null));
    for path in ["/v1/gaps?next=nonsense", "/v1/gaps?limit=0", "/v1/gaps?cause=down"] {
        assert_eq!(daemon.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn an_outage_begins_with_the_look_that_ran_into_it() {
    let (world, clock) = connected();
    let daemon = World { reconcile: "0s", ..world }.start().await;
    daemon.vonage.answer_next(1000, Fault::Hang);
    let (begun, _) = cut(Call::inbound(1, start()), 20);
    daemon.vonage.play(&begun, Pace::AtOnce).await;
    tokio::time::timeout(PATIENCE, daemon.vonage.wait_for_requests(1)).await.expect("Vonage is asked");
    clock.advance(SignedDuration::from_secs(5));
    // The look runs into its timeout, in real time.
    daemon.wait_for(begun.conversation.as_str(), |one| one["capture"]["reason"].is_string()).await;
    daemon.advance(&clock, SignedDuration::from_secs(6));
    let list = daemon.wait_for_path("/v1/gaps", |list| list["items"][0]["cause"] == "unreachable").await;
    assert_eq!(list["items"][0]["began_at"], "2026-03-09T10:15:50.000Z");
}

#[tokio::test]
async fn a_refused_token_is_a_gap_until_it_is_taken() {
    let (world, clock) = connected();
    let mut daemon = World { reconcile: "0s", ..world }.start().await;
    daemon.vonage.refuse_tokens(true);
    let (begun, _) = cut(Call::inbound(1, start()), 20);
    daemon.vonage.play(&begun, Pace::AtOnce).await;
    let id = begun.conversation.as_str();
    daemon.wait_for(id, |one| one["capture"]["reason"].is_string()).await;
    // Whether it lasts shows after a second.
    assert_eq!(daemon.get(&format!("/v1/conversations/{id}")).await.json()["blind"], json!([]));
    daemon.advance(&clock, SignedDuration::from_secs(6));
    let gap = |ended_at: Value| {
        json!({
            "cause": "refused", "reason": "Vonage refused the token", "application_id": keys::APPLICATION,
            "began_at": "2026-03-09T10:15:50.000Z", "ended_at": ended_at,
        })
    };
    let blind = daemon.wait_for(id, |one| one["blind"] != json!([])).await["blind"].clone();
    assert_eq!(blind, json!([gap(Value::Null)]));
    // It ends when the daemon does, as far as is known.
    daemon.crash().await;
    clock.advance(SignedDuration::from_secs(20));
    daemon.start_again().await;
    let items = daemon.get("/v1/gaps").await.json()["items"].clone();
    let between = down("2026-03-09T10:15:56.000Z", "2026-03-09T10:16:16.000Z");
    assert_eq!(items, json!([between, gap(json!("2026-03-09T10:15:56.000Z"))]));
    // It is still refused, until it is not. The clock moves until a look has been refused for a second.
    let lasting = async {
        while daemon.get("/v1/gaps").await.json()["items"].as_array().unwrap().len() < 3 {
            daemon.advance(&clock, SignedDuration::from_secs(1));
        }
    };
    tokio::time::timeout(PATIENCE, lasting).await.expect("it is a gap again");
    daemon.vonage.refuse_tokens(false);
    // A look may just be on its way that was refused: its next try is later than any one step of the clock.
    let taken = async {
        while !is_captured(&daemon.get(&format!("/v1/conversations/{id}")).await.json()) {
            daemon.advance(&clock, SignedDuration::from_secs(1));
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the token is taken");
    let is_over = |list: &Value| list["items"][0]["ended_at"].is_string();
    let list = daemon.wait_for_path("/v1/gaps", is_over).await;
    assert_eq!((&list["items"][0]["cause"], list["items"].as_array().unwrap().len()), (&json!("refused"), 3));
}

#[tokio::test]
async fn a_call_that_nobody_announces_is_found_while_it_lasts() {
    let (world, clock) = connected();
    let daemon = world.start().await;
    wait_for_lists(&daemon, 1).await;
    let (begun, rest) = cut(unannounced(Call::inbound(1, start() + SignedDuration::from_secs(60))), 20);
    daemon.vonage.play(&begun, Pace::AtOnce).await;
    daemon.advance(&clock, SignedDuration::from_mins(9));
    assert_eq!(lists(&daemon).len(), 1);
    // The first list fails, and the next comes before another interval is over.
    daemon.vonage.answer_next(1, Fault::Status(500));
    daemon.advance(&clock, SignedDuration::from_mins(1));
    wait_for_lists(&daemon, 2).await;
    daemon.advance(&clock, SignedDuration::from_secs(1));
    daemon.wait_for(begun.conversation.as_str(), is_captured).await;
    // Its legs were not over, so the next list goes back to them, and no further than the lists before.
    daemon.vonage.play(&rest, Pace::AtOnce).await;
    daemon.advance(&clock, SignedDuration::from_mins(10));
    wait_for_lists(&daemon, 4).await;
    daemon.wait_for(begun.conversation.as_str(), |one| one["state"] == "ended").await;
    let legs = daemon.history(&begun.conversation).await.listed;
    assert!(legs.len() == 2 && legs.iter().all(|leg| leg.price.is_some()), "{legs:?}");
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        lists(&daemon),
        [
            pair("2026-03-09T10:14:50Z", "2026-03-09T10:15:50Z"),
            pair("2026-03-09T10:14:50Z", "2026-03-09T10:25:50Z"),
            pair("2026-03-09T10:14:50Z", "2026-03-09T10:25:51Z"),
            pair("2026-03-09T10:14:50Z", "2026-03-09T10:35:51Z"),
        ]
    );
}

#[tokio::test]
async fn a_call_that_was_given_up_is_found_while_it_lasts() {
    let (world, clock) = connected();
    let daemon = World { reconcile: "30m", ..world }.start().await;
    wait_for_lists(&daemon, 1).await;
    let (begun, _) = cut(Call::inbound(1, start()), 20);
    daemon.vonage.play(&begun, Pace::AtOnce).await;
    let id = begun.conversation.as_str();
    daemon.wait_for(id, is_captured).await;
    daemon.vonage.answer_always(&format!("/v0.3/conversations/{id}"), Fault::Status(503));
    let timeline = format!("/v1/conversations/{id}/timeline");
    for (minutes, outcome) in [(1, "failing"), (11, "given_up")] {
        daemon.advance(&clock, SignedDuration::from_mins(minutes));
        daemon.wait_for_path(&timeline, |entries| entries.to_string().contains(outcome)).await;
    }
    daemon.vonage.answer_properly();
    daemon.advance(&clock, SignedDuration::from_mins(18));
    daemon.wait_for(id, |one| one["capture"]["last_at"] == "2026-03-09T10:45:50.000Z").await;
}

#[tokio::test]
async fn more_calls_than_one_list_holds_are_listed_in_parts() {
    let (world, clock) = connected();
    let daemon = world.start().await;
    wait_for_lists(&daemon, 1).await;
    let calls: Vec<Call> = [1, 5]
        .map(|minutes| {
            let began_at = start() + SignedDuration::from_mins(minutes);
            unannounced(Call::inbound(u32::try_from(minutes).unwrap(), began_at))
        })
        .into();
    for call in &calls {
        daemon.vonage.play(call, Pace::AtOnce).await;
    }
    let whole =
        "/v1/calls?date_start=2026-03-09T10%3A14%3A50Z&date_end=2026-03-09T10%3A25%3A50Z&page_size=100";
    let page = json!({"count": 5001, "record_index": 0, "_embedded": {"calls": [{"uuid": "a"}]}});
    daemon.vonage.serve_document(whole, 200, page.to_string());
    daemon.advance(&clock, SignedDuration::from_mins(10));
    for call in &calls {
        daemon.wait_for(call.conversation.as_str(), |one| one["legs"][0]["source"] == "calls list").await;
    }
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        lists(&daemon)[1..],
        [
            pair("2026-03-09T10:14:50Z", "2026-03-09T10:25:50Z"),
            pair("2026-03-09T10:14:50Z", "2026-03-09T10:20:20Z"),
            pair("2026-03-09T10:20:20Z", "2026-03-09T10:25:50Z"),
        ]
    );
}

#[tokio::test]
async fn after_a_start_the_list_goes_back_to_what_went_on_before_but_not_for_ever() {
    let (world, clock) = connected();
    let mut daemon = world.start().await;
    wait_for_lists(&daemon, 1).await;
    let (begun, _) = cut(Call::inbound(1, start() - SignedDuration::from_mins(30)), 20);
    daemon.vonage.play(&begun, Pace::AtOnce).await;
    daemon.wait_for(begun.conversation.as_str(), is_captured).await;
    daemon.stop().await;
    clock.advance(SignedDuration::from_hours(1));
    daemon.start_again().await;
    wait_for_lists(&daemon, 2).await;
    daemon.stop().await;
    clock.advance(SignedDuration::from_hours(72));
    daemon.start_again().await;
    wait_for_lists(&daemon, 3).await;
    let lists = lists(&daemon);
    assert_eq!(lists[1].0, "2026-03-09T09:44:30Z", "a minute before the call began");
    assert_eq!(lists[2], ("2026-03-10T11:15:50Z".to_owned(), "2026-03-12T11:15:50Z".to_owned()));
}

#[tokio::test]
async fn without_an_interval_no_calls_are_listed() {
    let (world, clock) = connected();
    let daemon = World { reconcile: "0s", ..world }.start().await;
    daemon.advance(&clock, SignedDuration::from_hours(1));
    let (begun, _) = cut(Call::inbound(1, start()), 20);
    daemon.vonage.play(&begun, Pace::AtOnce).await;
    daemon.wait_for(begun.conversation.as_str(), is_captured).await;
    assert_eq!(lists(&daemon), []);
}

#[tokio::test]
async fn a_gap_of_one_application_is_not_told_with_anothers_calls() {
    let (world, _) = connected();
    let daemon = world.start().await;
    let (begun, _) = cut(Call::inbound(1, start()), 20);
    daemon.vonage.play(&begun, Pace::AtOnce).await;
    let id = begun.conversation.as_str();
    daemon.wait_for(id, is_captured).await;
    let store = daemon.store().await;
    let other = ApplicationId::parse("other").unwrap();
    for application in [Some(&other), None] {
        store.add_gap(Cause::Unreachable, application, at(1000), at(2000)).await.unwrap();
    }
    store.close().await;
    let everybodys = json!([null]);
    let whose = |blind: &Value| -> Value {
        blind.as_array().unwrap().iter().map(|gap| gap["application_id"].clone()).collect()
    };
    let one = format!("/v1/conversations/{id}");
    assert_eq!(whose(&daemon.get(&one).await.json()["blind"]), everybodys);
    let list = daemon.get("/v1/conversations").await.json();
    assert_eq!((whose(&list["blind"]), whose(&list["items"][0]["blind"])), (everybodys.clone(), everybodys));
    assert_eq!(whose(&daemon.get("/v1/gaps").await.json()["items"]), json!([null, "other"]));
}

// === the parts

struct Place {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    outages: Arc<Outages>,
    _directory: TempDir,
}

impl Place {
    async fn open() -> Self {
        let directory = TempDir::new().unwrap();
        let (store, _writer) = store::open(&directory.path().join("store.db")).await.unwrap();
        let clock = Arc::new(ManualClock::starting_at(start()));
        let outages = Arc::new(Outages::new(Wake::default()));
        Self { store, clock, outages, _directory: directory }
    }

    async fn heartbeat(&self) -> (Heartbeat, Option<Timestamp>) {
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        Heartbeat::begin(heartbeat::Parts {
            store: Arc::clone(&self.store),
            outages: Arc::clone(&self.outages),
            stalls: Arc::new(Stalls::new(Arc::<ManualClock>::clone(&clock))),
            clock_steps: Arc::new(ClockSteps::new(Arc::<ManualClock>::clone(&clock))),
            wake: Wake::default(),
            fetcher: Wake::default(),
            started_at: clock.now(),
            longest_pause: SignedDuration::from_mins(10),
            clock,
        })
        .await
        .unwrap()
    }

    async fn record(&self, milliseconds: i64) -> Option<i64> {
        let next = self.outages.record(&*self.store, at(milliseconds)).await.unwrap();
        next.map(|next| next.duration_since(start()).as_millis().try_into().unwrap())
    }

    /// Every gap, newest first, in milliseconds.
    async fn gaps(&self) -> Vec<(Cause, i64, Option<i64>)> {
        let since = |at: Timestamp| i64::try_from(at.duration_since(start()).as_millis()).unwrap();
        let gaps = self.store.gaps(10, None).await.unwrap();
        gaps.iter().map(|gap| (gap.cause, since(gap.began_at), gap.ended_at.map(since))).collect()
    }
}

fn at(milliseconds: i64) -> Timestamp {
    start() + SignedDuration::from_millis(milliseconds)
}

#[tokio::test]
async fn another_cause_is_no_answer_in_between() {
    let place = Place::open().await;
    let host = host("a", None);
    let observed = |cause, milliseconds| place.outages.observed(&host, cause, at(milliseconds));
    assert_eq!(observed(Some(Cause::Refused), 0), Some(News::Silent));
    assert_eq!(observed(Some(Cause::Unreachable), 5000), Some(News::Silent));
    let after = SignedDuration::from_millis(5100);
    assert_eq!(observed(None, 5100), Some(News::Answers { after }));
}

#[tokio::test]
async fn one_look_that_fails_is_no_gap() {
    let place = Place::open().await;
    let host = host("a", None);
    let observed = |cause, milliseconds| place.outages.observed(&host, cause, at(milliseconds));
    observed(None, 0);
    observed(Some(Cause::Unreachable), 100);
    observed(Some(Cause::Unreachable), 200);
    assert_eq!(place.record(500).await, Some(1100));
    observed(None, 900);
    assert_eq!(place.record(5000).await, None);
    assert_eq!(place.gaps().await, []);
    // Nobody was there to record it, and it is not lost.
    observed(Some(Cause::Unreachable), 6000);
    observed(Some(Cause::Refused), 8000);
    assert_eq!(place.record(8500).await, Some(9000));
    assert_eq!(place.gaps().await, [(Cause::Unreachable, 6000, Some(8000))]);
    assert_eq!(place.record(9000).await, None);
    assert_eq!(place.gaps().await[0], (Cause::Refused, 8000, None));
    observed(None, 9500);
    assert_eq!(place.record(9600).await, None);
    let refused = (Cause::Refused, 8000, Some(9500));
    assert_eq!(place.gaps().await, [refused, (Cause::Unreachable, 6000, Some(8000))]);
}

#[tokio::test]
async fn a_gap_lasts_as_long_as_any_host_does_not_answer_the_application() {
    let place = Place::open().await;
    let [configured, regional, others] =
        [host("a", None), host("a", Some("api-eu-3.vonage.com")), host("b", None)];
    let observed = |host, cause, milliseconds| place.outages.observed(host, cause, at(milliseconds));
    let answers = |after| Some(News::Answers { after: SignedDuration::from_millis(after) });
    assert_eq!(observed(&regional, Some(Cause::Unreachable), 100), Some(News::Silent));
    for _ in 0..2 {
        assert_eq!(observed(&configured, None, 200), None, "another host's outage is not its own");
        assert_eq!(observed(&others, None, 200), None);
        assert_eq!(observed(&regional, Some(Cause::Unreachable), 300), None);
    }
    assert_eq!(place.record(1100).await, None);
    let gap = |ended_at| (Cause::Unreachable, 100, ended_at);
    assert_eq!(place.gaps().await, [gap(None)]);
    assert_eq!(observed(&configured, Some(Cause::Unreachable), 2000), Some(News::Silent));
    assert_eq!(observed(&regional, None, 3000), answers(2900));
    assert_eq!(place.record(3000).await, None);
    assert_eq!(place.gaps().await, [gap(None)]);
    assert_eq!(observed(&configured, None, 4000), answers(2000));
    assert_eq!(place.record(4000).await, None);
    assert_eq!(place.gaps().await, [gap(Some(4000))]);
}

fn host(application: &str, region: Option<&str>) -> Host {
    Host {
        application: ApplicationId::parse(application).unwrap(),
        region: region.map(|host| Region::parse(host).unwrap()),
        api: Api::Conversations,
    }
}

#[tokio::test]
async fn the_heart_beats_every_five_seconds_also_when_the_clock_is_set_back() {
    let place = Place::open().await;
    let (mut heart, before) = place.heartbeat().await;
    assert_eq!(before, None);
    for (now, next, beat) in [
        (1000, 5000, 0),
        (4999, 5000, 0),
        (5000, 10_000, 5000),
        (30_000, 35_000, 30_000),
        (-60_000, -55_000, -60_000),
    ] {
        assert_eq!(heart.step(at(now)).await, at(next), "{now}");
        assert_eq!(place.store.last_beat().await.unwrap(), Some(at(beat)), "{now}");
    }
    place.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(place.heartbeat().await.1, Some(at(-60_000)));
    assert_eq!(place.gaps().await, [(Cause::Down, -60_000, Some(60_000))]);
}

#[test]
fn a_gap_touches_what_it_overlaps_and_concerns_whose_it_may_be() {
    let [own, other] = ["own", "other"].map(|id| ApplicationId::parse(id).unwrap());
    let gap = Gap {
        id: 1,
        cause: Cause::Refused,
        began_at: at(10),
        ended_at: Some(at(20)),
        application_id: Some(own.clone()),
    };
    let touched =
        [(0, 9), (0, 10), (12, 15), (20, 30), (21, 30)].map(|(from, to)| gap.touches(at(from), at(to)));
    assert_eq!(touched, [false, true, true, true, false]);
    let concerned = [Some(&own), Some(&other), None].map(|application| gap.concerns(application));
    assert_eq!(concerned, [true, false, true]);
    let everybodys = Gap { application_id: None, ended_at: None, ..gap };
    assert!(everybodys.concerns(Some(&other)) && everybodys.touches(at(100), at(200)));
    for cause in Cause::ALL {
        assert_eq!(Cause::named(cause.as_str()), Some(cause));
    }
    assert_eq!(Cause::named("other"), None);
}
