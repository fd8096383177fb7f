//! Each number against a count by hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use conversationd::domain::arrival::NewArrival;
use conversationd::domain::change::Place;
use conversationd::domain::clock::Clock;
use conversationd::domain::conversation::{Capture, CaptureState, Ending, Interpretation, State};
use conversationd::domain::gap::{Cause, Gap};
use conversationd::domain::stats::{
    Alike, Arrivals, Backlog, BlindTime, ByCapture, ByState, Conversations, FetchLag, Owed, Span, Stats,
};
use conversationd::simulator::{Call, Fault, Pace};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::layers;
use crate::support::daemon::{PATIENCE, World, standing_still_at};
use crate::support::store::{TestStore, arrival, at, bare};

/// Long enough for anything.
const AN_AGE: Duration = Duration::from_mins(10);

/// From the first second to before the hundredth.
fn span() -> Span {
    Span { since: at(0), until: at(100) }
}

async fn counted(place: &TestStore, now: i64) -> Stats {
    place.store.stats(span(), at(now), AN_AGE).await.expect("the store is well")
}

#[tokio::test]
async fn conversations_are_counted_by_what_they_have_in_common() {
    let mut place = TestStore::open().await;
    place
        .save([
            seen(Interpretation {
                status: Some("completed".to_owned()),
                direction: Some("inbound".to_owned()),
                ..over("CON-1", 0)
            }),
            seen(Interpretation {
                status: Some("completed".to_owned()),
                direction: Some("outbound".to_owned()),
                ..over("CON-2", 99)
            }),
            seen(Interpretation {
                status: Some("answered".to_owned()),
                direction: Some("inbound".to_owned()),
                ..bare("CON-3", 50)
            }),
            missed(Interpretation { ending: Ending::Settling(at(60)), ..bare("CON-4", 50) }),
            Interpretation { ending: Ending::Settling(at(80)), ..bare("CON-5", 50) },
            // Neither of these began in the time.
            seen(over("CON-6", -1)),
            missed(over("CON-7", 100)),
        ])
        .await;
    let by_name =
        |counts: &[(&str, u64)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let expected = Conversations {
        total: 5,
        by_state: ByState { live: 2, ended: 3 },
        by_status: by_name(&[("answered", 1), ("completed", 2), ("unknown", 2)]),
        by_direction: by_name(&[("inbound", 2), ("outbound", 1), ("unknown", 2)]),
        by_capture: ByCapture { captured: 3, pending: 1, missed: 1 },
        coverage_percent: Some(75.0),
    };
    let stats = counted(&place, 70).await;
    assert_eq!(stats.conversations, Some(expected));
    assert_eq!(stats.store.conversations, Some(7), "the store's are those of all times");
}

#[tokio::test]
async fn the_backlog_is_of_now_and_of_everything() {
    let mut place = TestStore::open().await;
    let backlog = async |place: &TestStore| place.store.backlog(at(100), AN_AGE).await.unwrap();
    let nothing = Backlog {
        owed: Some(Owed::default()),
        uninterpreted_arrivals: Some(0),
        missed_conversations: Some(0),
    };
    assert_eq!(backlog(&place).await, nothing);
    place.append("CON-1", 10).await;
    place.append("CON-1", 20).await;
    place.append("CON-2", 30).await;
    // That one is for later.
    place.append("CON-3", 101).await;
    let waiting = Backlog {
        owed: Some(Owed { count: 2, oldest_age_seconds: Some(90.0) }),
        uninterpreted_arrivals: Some(4),
        ..nothing
    };
    assert_eq!(backlog(&place).await, waiting);
    place.save([missed(over("CON-1", 0)), missed(over("CON-2", -1_000_000)), seen(over("CON-3", 0))]).await;
    assert_eq!(backlog(&place).await, Backlog { missed_conversations: Some(2), ..waiting });
    let stale = place.store.stale(2).await.unwrap();
    place.store.save(Vec::new(), stale.through).await.unwrap();
    assert_eq!(backlog(&place).await.uninterpreted_arrivals, Some(2));
}

#[tokio::test]
async fn the_backlog_is_among_the_metrics() {
    let (world, clock) = standing_still_at("2018-10-25T09:26:40Z");
    let daemon = world.start().await;
    let send = async |call: &Call| {
        let webhook = call.webhooks().last().unwrap().clone();
        assert!(daemon.vonage.send(webhook).await.is_accepted());
    };
    let tutorial = Call::tutorial();
    let ended = tutorial.conversations()[0].clone();
    daemon.vonage.forget(&ended);
    send(&tutorial).await;
    daemon.wait_for(ended.as_str(), |one| one["capture"]["state"] == "missed").await;
    daemon.vonage.answer_next(1000, Fault::Hang);
    send(&Call::inbound(1, clock.now())).await;
    clock.advance(SignedDuration::from_secs(90));
    let expected = [
        "conversationd_looks_owed 1",
        "conversationd_looks_owed_oldest_age_seconds 90",
        "conversationd_arrivals_uninterpreted 0",
        "conversationd_conversations_missed 1",
    ];
    let told = async || {
        let mut metrics = String::new();
        while !expected.iter().all(|line| metrics.lines().any(|told| told == *line)) {
            metrics = daemon.get("/metrics").await.text;
        }
        metrics
    };
    let metrics = tokio::time::timeout(PATIENCE, told()).await.expect("the backlog is told");
    for line in expected {
        let (name, _) = line.split_once(' ').unwrap();
        assert_eq!(metrics.matches(&format!("# TYPE {name} gauge\n")).count(), 1, "{metrics}");
    }
}

#[tokio::test]
async fn every_metric_says_what_it_is_and_what_can_be_zero_begins_there() {
    let daemon = World::default().start().await;
    daemon.vonage.play(&Call::tutorial(), Pace::AtOnce).await;
    assert_ne!(daemon.webhook(Method::POST, "/webhooks/event", &[], "no JSON").await.status, 204);
    daemon.wait_for("CON-bc643220-2542-499a-892e-c982c4150c06", |one| one["capture"]["snapshots"] != 0).await;
    let told = daemon.get("/metrics").await.text;
    let readme = include_str!("../../README.md");
    let documented: BTreeSet<&str> = readme.lines().filter_map(|line| line.split('`').nth(1)).collect();
    let documented = documented.into_iter().filter(|name| name.starts_with("conversationd_"));
    // Passing on takes an application behind.
    for name in documented.filter(|name| *name != "conversationd_forwards_total") {
        assert!(told.contains(&format!("# HELP {name} ")), "{name} in\n{told}");
    }
    for name in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(readme.contains(&format!("| `{name}` |")), "{name} is not in the README");
        assert_eq!(told.matches(&format!("# HELP {name} ")).count(), 1, "{name} in\n{told}");
    }
}

#[test]
fn what_is_measured_is_what_is_described() {
    let mut files = Vec::new();
    layers::sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut described, mut measured) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let parts: Vec<&str> = text.split("\"conversationd_").collect();
        for (before, name) in parts.iter().zip(parts.iter().skip(1)) {
            let name = format!("conversationd_{}", name.split('"').next().unwrap());
            if ["counter!(", "gauge!("].iter().any(|measuring| before.trim_end().ends_with(measuring)) {
                measured.insert(name);
            } else if file.ends_with("telemetry.rs") {
                described.insert(name);
            }
        }
    }
    // Those of the backlog are described where they are measured.
    let of_backlog =
        ["looks_owed", "looks_owed_oldest_age_seconds", "arrivals_uninterpreted", "conversations_missed"];
    measured.extend(of_backlog.map(|name| format!("conversationd_{name}")));
    assert_eq!(described, measured);
}

#[test]
fn coverage_is_cut_and_of_nothing_there_is_none() {
    for (captured, missed_ones, expected) in
        [(0, 0, None), (0, 1, Some(0.0)), (2, 1, Some(66.66)), (20_000, 1, Some(99.99)), (3, 0, Some(100.0))]
    {
        let alike =
            |capture, count| Alike { state: State::Ended, status: None, direction: None, capture, count };
        let all = [
            alike(CaptureState::Captured, captured),
            alike(CaptureState::Missed, missed_ones),
            alike(CaptureState::Pending, 1),
        ];
        let all: Conversations = all.into_iter().collect();
        assert_eq!(all.coverage_percent, expected, "{captured} captured, {missed_ones} missed");
    }
}

#[tokio::test]
async fn lag_is_from_the_first_webhook_to_the_first_snapshot() {
    let mut place = TestStore::open().await;
    // 2, 4, 6, … 40 seconds: half are within 20, 19 of 20 within 38.
    for number in 1..=20 {
        let id = format!("CON-{number}");
        place.append(&id, number + 1).await;
        place.append(&id, number).await;
        place.save([taken(&id, number, 3 * number)]).await;
    }
    // Seen before anything was heard; seen without a word; not seen; and not in the time.
    place.append("CON-30", 50).await;
    place.append("CON-32", 50).await;
    place.append("CON-33", 110).await;
    place.save([taken("CON-30", 40, 40), taken("CON-31", 50, 90), bare("CON-32", 50)]).await;
    place.save([taken("CON-33", 110, 500)]).await;
    let expected = FetchLag {
        conversations: 20,
        median_seconds: Some(20.0),
        p95_seconds: Some(38.0),
        max_seconds: Some(40.0),
    };
    assert_eq!(counted(&place, 200).await.fetch_lag, Some(expected));
}

#[test]
fn half_and_95_of_100_are_of_those_that_there_are() {
    for (lags, expected) in [
        (vec![], [None, None, None]),
        (vec![7], [Some(7.0); 3]),
        (vec![9, 1], [Some(1.0), Some(9.0), Some(9.0)]),
        (vec![3, 1, 2], [Some(2.0), Some(3.0), Some(3.0)]),
        ((1..=100).rev().collect(), [Some(50.0), Some(95.0), Some(100.0)]),
    ] {
        let lag = FetchLag::of(lags.iter().copied().map(SignedDuration::from_secs).collect());
        let found = [lag.median_seconds, lag.p95_seconds, lag.max_seconds];
        assert_eq!((lag.conversations, found), (lags.len(), expected), "{lags:?}");
    }
}

#[tokio::test]
async fn arrivals_and_looks_that_are_owed_are_counted() {
    let place = TestStore::open().await;
    let owed = |count, age| Some(Owed { count, oldest_age_seconds: age });
    assert_eq!(counted(&place, 0).await.owed, owed(0, None));
    for (id, second) in [("CON-1", -1), ("CON-1", 0), ("CON-1", 10), ("CON-2", 99), ("CON-2", 100)] {
        place.append(id, second).await;
    }
    for again in [11, 12] {
        let redelivered = NewArrival { received_at: at(again), ..arrival("CON-1", 10) };
        place.store.append(redelivered).await.unwrap();
    }
    let stats = counted(&place, 100).await;
    let expected = Arrivals { total: 3, deliveries: 5, oldest_at: Some(at(0)), newest_at: Some(at(99)) };
    assert_eq!(stats.arrivals, Some(expected));
    assert_eq!(stats.store.arrivals, Some(5));
    // They are owed by being in the log, and just so once they are posted.
    assert_eq!(stats.owed, owed(2, Some(101.0)));
    place.store.lease(at(20), at(30), 1).await.unwrap();
    assert_eq!(counted(&place, 100).await.owed, owed(2, Some(101.0)));
    assert_eq!(counted(&place, 98).await.owed, owed(1, Some(99.0)));
}

#[tokio::test]
async fn the_store_tells_its_size() {
    let place = TestStore::open().await;
    for (id, second) in [("CON-1", 1), ("CON-1", 2), ("CON-2", 1)] {
        place.keep(id, second).await;
    }
    let store = counted(&place, 0).await.store;
    assert_eq!((store.snapshots, store.documents), (Some(3), Some(2)), "two share a document");
    let bytes = |name: &str| fs::metadata(place.directory.path().join(name)).unwrap().len();
    assert_eq!((store.file_bytes, store.wal_bytes), (bytes("store.db"), bytes("store.db-wal")));
    assert!(store.wal_bytes > 0);
}

#[test]
fn blind_time_counts_once_and_only_in_the_time() {
    let gap = |began: i64, ended: Option<i64>| Gap {
        id: 0,
        cause: Cause::Down,
        began_at: at(began),
        ended_at: ended.map(at),
        application_id: None,
    };
    for (gaps, expected) in [
        (vec![], (0, 0.0)),
        (vec![gap(10, Some(20)), gap(30, Some(35))], (2, 15.0)),
        (vec![gap(-10, Some(20))], (1, 20.0)),
        (vec![gap(-10, Some(0)), gap(100, Some(110))], (0, 0.0)),
        (vec![gap(10, Some(30)), gap(20, Some(25)), gap(28, Some(40))], (3, 30.0)),
        (vec![gap(10, None), gap(85, Some(95))], (2, 85.0)),
        (vec![gap(90, None)], (0, 0.0)),
    ] {
        let blind = BlindTime::within(&gaps, span(), at(90));
        assert_eq!((blind.gaps, blind.seconds), expected, "{gaps:?}");
    }
}

#[tokio::test]
async fn what_there_is_no_time_to_count_is_said() {
    let mut place = TestStore::open().await;
    place.save((0..2000).map(|number| over(&format!("CON-{number}"), number % 100))).await;
    let rushed = place.store.stats(span(), at(0), Duration::ZERO).await.unwrap();
    assert_eq!(rushed.conversations, None);
    assert_eq!(rushed.not_counted(), ["conversations", "fetch_lag", "store.conversations"]);
    // The connections are as good as before, whoever gets them.
    for _ in 0..8 {
        assert_eq!(place.store.changes(Place::default(), 5000).await.unwrap().len(), 2000);
    }
    let stats = counted(&place, 0).await;
    assert_eq!((stats.store.conversations, stats.not_counted()), (Some(2000), vec![]));
}

#[tokio::test]
async fn the_answer_says_which_time_it_is_of() {
    let (world, clock) = standing_still_at("2026-03-09T10:15:50Z");
    let daemon = World { signatures: "off", ..world }.start().await;
    let event = json!({
        "conversation_uuid": "CON-1", "uuid": "leg-1", "status": "completed", "direction": "inbound",
        "timestamp": "2026-03-09T10:15:40.000Z",
    });
    assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
    daemon.wait_for("CON-1", |one| one["capture"]["state"] == "missed").await;
    clock.advance(SignedDuration::from_secs(10));
    let mut answer = daemon.get("/v1/stats").await.json();
    let window =
        |since: &str, until: &str, default: bool| json!({"since": since, "until": until, "default": default});
    assert_eq!(answer["window"], window("2026-03-08T10:16:00.000Z", "2026-03-09T10:16:00.000Z", true));
    for size in ["file_bytes", "wal_bytes"] {
        assert!(answer["store"][size].as_u64().unwrap() > 0, "{size}");
        answer["store"][size] = Value::Null;
    }
    answer["window"] = Value::Null;
    assert_eq!(
        answer,
        json!({
            "window": null, "complete": true, "not_counted": [],
            "conversations": {
                "total": 1, "by_state": {"live": 0, "ended": 1}, "by_status": {"completed": 1},
                "by_direction": {"inbound": 1}, "by_capture": {"captured": 0, "pending": 0, "missed": 1},
                "coverage_percent": 0.0,
            },
            "fetch_lag": {"conversations": 0, "median_seconds": null, "p95_seconds": null, "max_seconds": null},
            "owed": {"count": 0, "oldest_age_seconds": null},
            "arrivals": {
                "total": 1, "deliveries": 1,
                "oldest_at": "2026-03-09T10:15:50.000Z", "newest_at": "2026-03-09T10:15:50.000Z",
            },
            "blind_time": {"gaps": 0, "seconds": 0.0},
            "store": {
                "file_bytes": null, "wal_bytes": null,
                "arrivals": 1, "snapshots": 0, "documents": 0, "conversations": 1,
            },
        })
    );
    for (asked, expected) in [
        ("since=1h", window("2026-03-09T09:16:00.000Z", "2026-03-09T10:16:00.000Z", false)),
        ("until=2026-03-09", window("2026-03-08T00:00:00.000Z", "2026-03-09T00:00:00.000Z", false)),
        ("since=2026-03-01&until=7d", window("2026-03-01T00:00:00.000Z", "2026-03-02T10:16:00.000Z", false)),
    ] {
        let answer = daemon.get(&format!("/v1/stats?{asked}")).await.json();
        assert_eq!(answer["window"], expected, "{asked}");
    }
    for wrong in ["since=yesterday", "until=-1h", "since=1h&until=2h", "since=2030-01-01", "limit=1"] {
        let reply = daemon.get(&format!("/v1/stats?{wrong}")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.content_type.as_str()),
            (400, "application/problem+json"),
            "{wrong}"
        );
        assert!(reply.json()["detail"].is_string(), "{wrong}");
    }
}

#[tokio::test]
async fn blind_time_is_that_of_the_stored_gaps() {
    let place = TestStore::open().await;
    for (began, ended) in [(-50, 10), (40, 50)] {
        place.store.add_gap(Cause::Down, None, at(began), at(ended)).await.unwrap();
    }
    assert_eq!(counted(&place, 200).await.blind_time, BlindTime { gaps: 2, seconds: 20.0 });
}

fn over(id: &str, second: i64) -> Interpretation {
    Interpretation { ending: Ending::Over, ..bare(id, second) }
}

fn seen(one: Interpretation) -> Interpretation {
    Interpretation { capture: Capture { state: CaptureState::Captured, ..one.capture }, ..one }
}

fn missed(one: Interpretation) -> Interpretation {
    Interpretation { capture: Capture { state: CaptureState::Missed, ..one.capture }, ..one }
}

/// A conversation that began at a second and was seen at another.
fn taken(id: &str, began: i64, seen_at: i64) -> Interpretation {
    let one = seen(bare(id, began));
    Interpretation { capture: Capture { first_at: Some(at(seen_at)), ..one.capture }, ..one }
}
