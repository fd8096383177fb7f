//! What the store promises, over `dyn Store`; and at the end what only a SQLite file can.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conversationd::domain::arrival::{Arrival, Delivery, Endpoint, Method, NewArrival, Origin};
use conversationd::domain::call::{CallList, ListedCall};
use conversationd::domain::clock::SystemClock;
use conversationd::domain::conversation::{
    Capture, CaptureState, Channel, Ending, Interpretation, Leg, LegSource, LegStatus, Member, MemberState,
};
use conversationd::domain::digest::Digest;
use conversationd::domain::fetch::{FetchState, Finding, Known, Lease, Settlement, Trouble, Urgency};
use conversationd::domain::filter::Filter;
use conversationd::domain::gap::{Cause, Gap};
use conversationd::domain::history::{History, Revision};
use conversationd::domain::ids::{ApplicationId, ConversationId, LegId, MemberId, Region};
use conversationd::domain::reply::{NewReply, Source, Upstream};
use conversationd::domain::snapshot::{Document, DocumentName, EventList, Sighting};
use conversationd::domain::statement::{AtSource, LeftSource, NamedParty, PartySide};
use conversationd::flow::Wake;
use conversationd::flow::derive::{Deriver, Step};
use conversationd::flow::stall::Stalls;
use conversationd::store::{
    self, Discovery, GapPosition, Kept, Listed, Page, Position, Stale, Store, StoreError,
};
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;
use tokio::task::JoinSet;

const APPLICATION: &str = "0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19";

// === replies

#[tokio::test]
async fn replies_are_read_back_whole_for_each_conversation_that_their_webhook_speaks_of() {
    let place = Place::open().await;
    let own = NewReply {
        arrival: Digest::of(b"an answer webhook"),
        endpoint: Endpoint::Answer,
        conversation_id: Some(conversation("CON-1")),
        transferred_to: None,
        leg_id: Some(LegId::parse("leg-1").unwrap()),
        replied_at: at(1),
        source: Source::File,
        upstream: None,
        ncco: Some(b"[ {\"action\": \"talk\"} ]".to_vec()),
    };
    let upstream = Upstream { status: Some(204), elapsed_ms: 12, trouble: None };
    let transfer = NewReply {
        endpoint: Endpoint::Event,
        transferred_to: Some(conversation("CON-2")),
        source: Source::Forward,
        upstream: Some(upstream),
        ncco: None,
        ..own.clone()
    };
    let trouble = Some("it did not reply in time".to_owned());
    let failed = NewReply {
        endpoint: Endpoint::Fallback,
        conversation_id: Some(conversation("CON-3")),
        leg_id: None,
        source: Source::Substitute,
        upstream: Some(Upstream { status: None, elapsed_ms: 2000, trouble }),
        ..own.clone()
    };
    let unplaced = NewReply { conversation_id: None, ..own.clone() };
    for reply in [&own, &transfer, &failed, &unplaced] {
        place.store.reply(reply.clone()).await.unwrap();
    }
    for (id, expected) in [
        ("CON-1", vec![&own, &transfer]),
        ("CON-2", vec![&transfer]),
        ("CON-3", vec![&failed]),
        ("CON-4", vec![]),
    ] {
        let replies = place.store.replies(&conversation(id)).await.unwrap();
        let given: Vec<&NewReply> = replies.iter().map(|reply| &reply.given).collect();
        assert_eq!(given, expected, "{id}");
        assert!(replies.is_sorted_by_key(|reply| reply.number), "{id}");
    }
    let documents = sqlx::query("SELECT count(*) FROM documents")
        .fetch_one(&mut connect(&place.path(), true).await)
        .await;
    assert_eq!(documents.unwrap().get::<i64, _>(0), 1, "one NCCO is stored once");
}

#[tokio::test]
async fn replies_of_one_moment_are_all_kept() {
    let place = Place::open().await;
    let mut writing = JoinSet::new();
    for number in 0..200 {
        let store = Arc::clone(&place.store);
        let reply = NewReply {
            arrival: Digest::of(format!("{number}").as_bytes()),
            endpoint: Endpoint::Answer,
            conversation_id: Some(conversation("CON-1")),
            transferred_to: None,
            leg_id: None,
            replied_at: at(number),
            source: Source::File,
            upstream: None,
            ncco: Some(b"[]".to_vec()),
        };
        writing.spawn(async move { store.reply(reply).await });
    }
    for outcome in writing.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(place.store.replies(&conversation("CON-1")).await.unwrap().len(), 200);
}

// === the log of webhooks

#[tokio::test]
async fn what_was_appended_is_read_back_whole() {
    let place = Place::open().await;
    let by_post = arrival("CON-1", "a", 1);
    let by_get = NewArrival {
        delivery: Delivery {
            endpoint: Endpoint::Answer,
            method: Method::Get,
            query: Some("uuid=a%20b&to=\u{e4}".to_owned()),
            covered_query: None,
            content_type: None,
            body: Vec::new(),
        },
        application_id: None,
        origin: Origin::Unverified,
        kind: "answer".to_owned(),
        conversation_id: Some(conversation("CON-1")),
        transferred_to: Some(conversation("CON-2")),
        occurred_at: None,
        region: Some(Region::parse("api-us-3.vonage.com").unwrap()),
        fallback_reason: Some("Connection closed.".to_owned()),
        received_at: at(2),
    };
    place.store.append(by_post.clone()).await.unwrap();
    place.store.append(by_get.clone()).await.unwrap();
    let read = place.store.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap();
    let told = |event: &NewArrival| (event.clone(), 1, event.received_at);
    let found: Vec<_> =
        read.iter().map(|one| (one.event.clone(), one.deliveries, one.last_received_at)).collect();
    assert_eq!(found, [told(&by_post), told(&by_get)]);
    assert!(read[0].number < read[1].number);
    // A transfer is told of in both conversations.
    assert_eq!(place.store.arrivals_after(&conversation("CON-2"), 0, u32::MAX).await.unwrap(), read[1..]);
    assert_eq!(place.store.arrivals_after(&conversation("CON-3"), 0, u32::MAX).await.unwrap(), []);
}

#[tokio::test]
async fn a_redelivered_webhook_is_kept_once() {
    let place = Place::open().await;
    // Vonage's own time is in the body, where it is at all, and so a redelivery has the same one.
    for (id, occurred_at) in [("CON-1", Some(at(4))), ("CON-2", None), ("CON-3", long_ago())] {
        let first = NewArrival { occurred_at, ..arrival(id, "a", 5) };
        for second in [5, 9, 7] {
            let again = NewArrival { received_at: at(second), ..first.clone() };
            place.store.append(again).await.unwrap();
        }
        let read = place.store.arrivals_after(&conversation(id), 0, u32::MAX).await.unwrap();
        assert_eq!(read.len(), 1, "{id}");
        assert_eq!((read[0].deliveries, read[0].last_received_at), (3, at(9)), "{id}");
        assert_eq!(read[0].event, first);
    }
}

#[tokio::test]
async fn events_of_one_moment_or_without_any_stay_apart() {
    let place = Place::open().await;
    for occurred_at in [Some(at(4)), None] {
        for event in ["a", "b", "c"] {
            let event = format!("{event} {occurred_at:?}");
            let arrival = NewArrival { occurred_at, ..arrival("CON-1", &event, 5) };
            place.store.append(arrival).await.unwrap();
        }
    }
    let read = place.store.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap();
    let told: Vec<_> = read.iter().map(|one| (one.event.occurred_at, one.deliveries)).collect();
    assert_eq!(told, [[(Some(at(4)), 1); 3], [(None, 1); 3]].concat());
}

#[tokio::test]
async fn the_same_body_elsewhere_is_another_event() {
    let place = Place::open().await;
    let first = arrival("CON-1", "a", 1);
    let mut others = vec![first.clone(); 5];
    others[1].delivery.endpoint = Endpoint::Answer;
    others[2].delivery.method = Method::Get;
    others[3].delivery.query = Some("a=b".to_owned());
    others[4].application_id = None;
    for other in others {
        place.store.append(other).await.unwrap();
    }
    let read = place.store.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap();
    assert_eq!(read.iter().map(|one| one.deliveries).collect::<Vec<_>>(), [1; 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_is_counted() {
    const EACH: u32 = 60;
    let place = Place::open().await;
    let mut appends = JoinSet::new();
    for number in 0..EACH {
        for (event, occurred_at) in
            [("a", Some(at(0))), ("b", Some(at(0))), ("c", None), (&format!("own {number}"), None)]
        {
            let arrival = NewArrival { occurred_at, ..arrival("CON-1", event, 1) };
            let store = Arc::clone(&place.store);
            appends.spawn(async move { store.append(arrival).await });
        }
    }
    while let Some(done) = appends.join_next().await {
        done.unwrap().unwrap();
    }
    let read = place.store.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap();
    let mut deliveries: Vec<u32> = read.iter().map(|one| one.deliveries).collect();
    deliveries.sort_unstable();
    let expected: Vec<u32> = (0..EACH).map(|_| 1).chain([EACH; 3]).collect();
    assert_eq!(deliveries, expected);
    // A redelivery asks for nothing new.
    assert_eq!(place.lease(1).await[0].asked, i64::from(EACH) + 3);
}

// === looks

#[tokio::test]
async fn the_most_urgent_look_is_taken_out_first() {
    let place = Place::open().await;
    // Neither the order of their times nor its reverse.
    let due =
        [("hopeless", 6), ("polled", 7), ("ended", 8), ("unseen", 9), ("changed", 10), ("troubled", 11)];
    for (id, _) in due {
        place.store.append(arrival(id, "started", 5)).await.unwrap();
    }
    for lease in place.lease(5).await {
        let id = lease.conversation_id.as_str();
        let finding = match id {
            "hopeless" | "unseen" | "troubled" => Finding::Nothing,
            _ => Finding::Seen(sighting(5, &[id])),
        };
        // Only answers that it is not known say something of a conversation.
        let (failures, trouble) = match id {
            "hopeless" => (3, Some(Trouble::NotYet)),
            "troubled" => (3, Some(Trouble::Unreachable)),
            _ => (0, None),
        };
        let due_at = due.iter().find(|(other, _)| *other == id).map(|(_, second)| at(*second));
        let state = FetchState { due_at, failures, trouble, ..nothing_owed() };
        let settled_at = at(5);
        let (conversation_id, asked) = (lease.conversation_id, lease.asked);
        let settlement = Settlement { conversation_id, asked, finding, state, settled_at };
        place.store.settle(settlement).await.unwrap();
    }
    place.store.append(arrival("changed", "answered", 12)).await.unwrap();
    let ended = NewArrival { kind: "completed".to_owned(), ..arrival("ended", "completed", 12) };
    place.store.append(ended).await.unwrap();
    let mut order = Vec::new();
    while let Some(urgency) = place.store.most_urgent(at(12)).await.unwrap() {
        let lease = place.store.lease(at(12), at(60), 1).await.unwrap().remove(0);
        // What is not posted yet counts as never seen until it is.
        assert!(lease.urgency == urgency || order.is_empty(), "{lease:?}");
        order.push((lease.conversation_id.to_string(), lease.urgency));
    }
    let expected = [
        ("unseen", Urgency::Unseen),
        ("troubled", Urgency::Unseen),
        ("ended", Urgency::Last),
        ("changed", Urgency::Changed),
        ("hopeless", Urgency::Poll),
        ("polled", Urgency::Poll),
    ];
    let mut found: Vec<(&str, Urgency)> = order.iter().map(|(id, urgency)| (id.as_str(), *urgency)).collect();
    found[4..].sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn events_join_the_newest_version_and_stay_read() {
    let place = Place::open().await;
    let last_known = async |event: &str, second: i64| {
        place.store.append(arrival("CON-1", event, second)).await.unwrap();
        let lease = place.lease(second).await.remove(0);
        (lease.known.as_ref().and_then(|known| known.last_event_id), lease)
    };
    let (known, lease) = last_known("a", 1).await;
    assert_eq!(known, None);
    assert_eq!(place.settle(&lease, events(0, 4), None, 1).await, None, "there is no version to join");
    let documents = async || {
        let versions = place.store.snapshots(&conversation("CON-1")).await.unwrap();
        let name = |(name, ..): &(DocumentName, Digest, u64)| name.to_string();
        versions.iter().map(|one| one.documents.iter().map(name).collect()).collect::<Vec<Vec<_>>>()
    };
    for (finding, number) in [
        (Finding::Seen(sighting(2, &["one", "x"])), 1),
        (events(0, 4), 1),
        // Somebody else has read the same meanwhile.
        (events(0, 4), 1),
        // The same again, without events: nothing new, and no new version.
        (Finding::Seen(sighting(3, &["one", "x"])), 1),
        (events(4, 6), 1),
        (Finding::Seen(sighting(4, &["two"])), 2),
    ] {
        assert_eq!(place.settle(&lease, finding.clone(), None, 4).await, Some(number), "{finding:?}");
    }
    let joined = ["conversation", "members page 1", "events after 0", "events after 4"];
    assert_eq!(documents().await, [joined.to_vec(), vec!["conversation"]]);
    assert_eq!(last_known("b", 5).await.0, Some(6));
}

#[tokio::test]
async fn what_a_burst_leaves_unposted_is_owed_all_the_same() {
    const CALLS: usize = 1200;
    let place = Place::open().await;
    place.append_calls(CALLS).await;
    let mut leased = 0;
    while place.store.next_due().await.unwrap().is_some_and(|due| due <= at(1)) {
        let some = place.lease(1).await.len();
        assert!(some > 0, "{leased} of {CALLS} were leased");
        leased += some;
        assert_eq!(
            place.store.arrivals_after(&conversation("CON-1199"), 0, u32::MAX).await.unwrap().len(),
            1
        );
    }
    assert_eq!(leased, CALLS);
}

#[tokio::test]
async fn a_burst_is_interpreted_in_its_order_and_whoever_asks_sees_all_of_it_at_once() {
    const CALLS: usize = 1200;
    let place = Place::open().await;
    place.append_calls(CALLS).await;
    let last = place.store.newest_arrivals(1, None).await.unwrap().pop().unwrap();
    let last = last.event.conversation_id.unwrap();
    // Behind the batch that is posted next: it costs whoever interprets the others nothing.
    assert_eq!(place.store.histories(std::slice::from_ref(&last)).await.unwrap(), []);
    let history = place.store.history(&last).await.unwrap().unwrap();
    assert_eq!(history.arrivals.len(), 1);
    assert_eq!(history.fetch.due_at, Some(at(1)));
    assert_eq!(place.store.arrivals_after(&last, 0, u32::MAX).await.unwrap(), history.arrivals);

    let deriver = Deriver::new(Arc::clone(&place.store), [Wake::default(), Wake::default()], stalls());
    while deriver.step().await.unwrap() != Step::Idle {}
    for number in 0..CALLS {
        let interpretation = place.store.conversation(&conversation(&format!("CON-{number}"))).await.unwrap();
        assert!(interpretation.is_some(), "{number}");
    }
}

#[tokio::test]
async fn the_look_is_owed_as_soon_as_append_returns() {
    let place = Place::open().await;
    let transfer = NewArrival { transferred_to: Some(conversation("CON-2")), ..arrival("CON-1", "a", 10) };
    place.store.append(transfer).await.unwrap();
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(10)));
    let leases = place.lease(10).await;
    let owed: Vec<(&str, i64)> =
        leases.iter().map(|lease| (lease.conversation_id.as_str(), lease.asked)).collect();
    assert_eq!(owed, [("CON-1", 1), ("CON-2", 1)]);
    let owed = FetchState { due_at: Some(at(10)), urgency: Urgency::Changed, ..nothing_owed() };
    assert_eq!(leases[0].state, owed);
    assert_eq!(leases[0].known, None);
}

#[tokio::test]
async fn a_webhook_that_names_no_conversation_owes_nothing() {
    let place = Place::open().await;
    place.store.append(NewArrival { conversation_id: None, ..arrival("CON-1", "a", 1) }).await.unwrap();
    assert_eq!(place.store.next_due().await.unwrap(), None);
    assert_eq!(place.lease(100).await, []);
}

#[tokio::test]
async fn arrivals_collapse_onto_one_look_and_bring_it_nearer() {
    let place = Place::open().await;
    for (event, second) in [("a", 20), ("b", 15), ("c", 30)] {
        place.store.append(arrival("CON-1", event, second)).await.unwrap();
    }
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(15)));
    let leases = place.lease(15).await;
    assert_eq!((leases.len(), leases[0].asked, leases[0].state.due_at), (1, 3, Some(at(15))));
}

#[tokio::test]
async fn an_application_is_kept_once_it_is_known() {
    let place = Place::open().await;
    let unknown = NewArrival { application_id: None, ..arrival("CON-1", "a", 1) };
    place.store.append(unknown.clone()).await.unwrap();
    assert_eq!(place.lease(1).await[0].state.application_id, None);
    place.store.append(arrival("CON-1", "b", 2)).await.unwrap();
    place.store.append(NewArrival { application_id: Some(application("other")), ..unknown }).await.unwrap();
    let history = place.history("CON-1").await.unwrap();
    assert_eq!(history.fetch.application_id, Some(application(APPLICATION)));
}

#[tokio::test]
async fn a_look_that_is_taken_out_is_nobody_elses_until_the_lease_runs_out() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 10)).await.unwrap();
    assert_eq!(place.store.lease(at(9), at(60), 10).await.unwrap(), [], "it is not due yet");
    assert_eq!(place.store.lease(at(10), at(60), 10).await.unwrap().len(), 1);
    assert_eq!(place.store.lease(at(59), at(90), 10).await.unwrap(), []);
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(60)));
    assert_eq!(place.store.lease(at(60), at(90), 10).await.unwrap().len(), 1);
    assert_eq!(place.store.lease(at(60), at(90), 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_take_out_looks_no_two_get_the_same() {
    let place = Place::open().await;
    for number in 0..30 {
        place.store.append(arrival(&format!("CON-{number}"), "a", 1)).await.unwrap();
    }
    let mut takers = JoinSet::new();
    for _ in 0..12 {
        let store = Arc::clone(&place.store);
        takers.spawn(async move { store.lease(at(1), at(60), 3).await });
    }
    let mut taken = Vec::new();
    while let Some(leases) = takers.join_next().await {
        let leases = leases.unwrap().unwrap();
        assert!(leases.len() <= 3);
        taken.extend(leases.into_iter().map(|lease| lease.conversation_id));
    }
    let distinct: BTreeSet<_> = taken.iter().collect();
    assert_eq!((taken.len(), distinct.len()), (30, 30));
}

#[tokio::test]
async fn what_was_never_seen_is_looked_at_first_and_of_that_the_newest() {
    let place = Place::open().await;
    place.store.append(arrival("CON-seen", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    place.settle(&lease, Finding::Seen(sighting(1, &["x"])), Some(at(2)), 1).await;
    for (id, second) in [("CON-late", 5), ("CON-early", 4)] {
        place.store.append(arrival(id, "a", second)).await.unwrap();
    }
    let one = place.store.lease(at(9), at(60), 1).await.unwrap();
    assert_eq!(one[0].conversation_id, conversation("CON-late"));
    let rest = place.store.lease(at(9), at(60), 9).await.unwrap();
    let rest: Vec<&str> = rest.iter().map(|lease| lease.conversation_id.as_str()).collect();
    assert_eq!(rest, ["CON-early", "CON-seen"]);
}

#[tokio::test]
async fn of_thousands_that_are_due_each_has_its_place() {
    let place = Place::open().await;
    let of_each = 500;
    let ids = |kind: &str| (0..of_each).map(|number| format!("{kind}-{number:03}")).collect::<Vec<_>>();
    let (looked_at, untried) = ([ids("failed"), ids("polled"), ids("changed")].concat(), ids("untried"));
    append_all(&place, &looked_at, |id| arrival(id, "started", 1)).await;
    let leases = [place.lease(2).await, place.store.lease(at(2), at(60), 9999).await.unwrap()].concat();
    assert_eq!(leases.len(), looked_at.len());
    for (number, lease) in (0..).zip(leases) {
        let is_failed = lease.conversation_id.as_str().starts_with("failed");
        let finding = if is_failed { Finding::Nothing } else { Finding::Seen(sighting(2, &["x"])) };
        let trouble = is_failed.then_some(Trouble::Unreachable);
        let failures = u32::from(is_failed);
        let state = FetchState { due_at: Some(at(3 + number)), failures, trouble, ..nothing_owed() };
        let (conversation_id, asked) = (lease.conversation_id, lease.asked);
        let settlement = Settlement { conversation_id, asked, finding, state, settled_at: at(2) };
        place.store.settle(settlement).await.unwrap();
    }
    append_all(&place, &ids("changed"), |id| arrival(id, "answered", 5000)).await;
    append_all(&place, &untried, |id| arrival(id, "started", 5000 + id[8..].parse::<i64>().unwrap())).await;
    let leases = place.store.lease(at(9000), at(9999), 9999).await.unwrap();
    assert_eq!(leases.len(), looked_at.len() + untried.len());
    let (first, others) = leases.split_at(untried.len());
    let newest: Vec<&str> = first.iter().map(|lease| lease.conversation_id.as_str()).collect();
    assert!(newest.iter().eq(untried.iter().rev()), "the newest first: {:?}", &newest[..3]);
    for (part, (kind, urgency)) in others.chunks(of_each).zip([
        ("failed", Urgency::Unseen),
        ("changed", Urgency::Changed),
        ("polled", Urgency::Poll),
    ]) {
        let is_of_kind = |lease: &Lease| lease.conversation_id.as_str().starts_with(kind);
        assert!(part.iter().all(|lease| is_of_kind(lease) && lease.urgency == urgency), "{kind}");
        assert!(part.is_sorted_by_key(|lease| lease.state.due_at), "{kind}: the longest due first");
    }
}

async fn append_all(place: &Place, ids: &[String], event: impl Fn(&str) -> NewArrival) {
    let mut appending = JoinSet::new();
    for id in ids {
        let (store, event) = (Arc::clone(&place.store), event(id));
        appending.spawn(async move { store.append(event).await });
    }
    for outcome in appending.join_all().await {
        outcome.expect("the store works");
    }
}

#[tokio::test]
async fn opening_ends_the_leases_of_a_predecessor() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    assert_eq!(place.store.lease(at(1), at(1000), 1).await.unwrap().len(), 1);
    let place = place.reopened().await;
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(1)));
    assert_eq!(place.lease(2).await.len(), 1);
    place.store.release_leases().await.unwrap();
    assert_eq!(place.lease(2).await.len(), 1);
}

#[tokio::test]
async fn what_was_found_becomes_a_version_or_confirms_one() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    let seen = |second, bodies: &[&str]| (Finding::Seen(sighting(second, bodies)), second);
    for ((finding, second), number) in [
        ((Finding::Nothing, 1), None),
        // There is none to confirm.
        ((Finding::Unchanged(at(1)), 1), None),
        (seen(2, &["x", "y"]), Some(1)),
        (seen(3, &["x", "y"]), Some(1)),
        ((Finding::Unchanged(at(4)), 4), Some(1)),
        (seen(5, &["x", "z"]), Some(2)),
        (seen(6, &["x"]), Some(3)),
        // What was there before the last change is a version again.
        (seen(7, &["x", "z"]), Some(4)),
        ((Finding::Unchanged(at(6)), 8), Some(4)),
    ] {
        let shown = format!("{finding:?} at {second}");
        assert_eq!(place.settle(&lease, finding, None, second).await, number, "{shown}");
    }
    let versions = place.store.snapshots(&conversation("CON-1")).await.unwrap();
    let told: Vec<(u32, Timestamp, Timestamp, usize)> = versions
        .iter()
        .map(|one| (one.number, one.taken_at, one.confirmed_at, one.documents.len()))
        .collect();
    assert_eq!(
        told,
        [(1, at(2), at(4), 2), (2, at(5), at(5), 2), (3, at(6), at(6), 1), (4, at(7), at(7), 2)]
    );
}

#[tokio::test]
async fn a_version_is_read_back_whole() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    let taken = Sighting { sequence_number: None, ..sighting(2, &["x", "y \u{e4}", ""]) };
    place.settle(&lease, Finding::Seen(taken.clone()), None, 2).await;
    let id = conversation("CON-1");
    let version = place.store.snapshots(&id).await.unwrap().remove(0);
    assert_eq!((version.family.as_str(), version.sequence_number), ("v0.3", None));
    let (name, digest, size) = &version.documents[1];
    let expected = (&DocumentName::Members(1), Digest::of("y \u{e4}".as_bytes()), 4);
    assert_eq!((name, *digest, *size), expected);
    let snapshot = place.store.snapshot(&id, 1).await.unwrap().unwrap();
    assert_eq!((snapshot.conversation_id, snapshot.number), (id.clone(), 1));
    assert_eq!((snapshot.confirmed_at, snapshot.sighting), (at(2), taken));
    assert_eq!(place.store.snapshot(&id, 2).await.unwrap(), None);
    assert_eq!(place.store.snapshot(&conversation("CON-2"), 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_knows_the_newest_version() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    place.settle(&lease, Finding::Seen(sighting(1, &["x"])), None, 1).await;
    place.settle(&lease, Finding::Seen(sighting(2, &["y", "z"])), Some(at(3)), 2).await;
    let known = place.lease(3).await.remove(0).known;
    let expected = Known {
        snapshot: 2,
        sequence_number: Some(8),
        conversation: Digest::of(b"y"),
        last_event_id: None,
        has_no_event_list: false,
    };
    assert_eq!(known, Some(expected));
}

#[tokio::test]
async fn that_there_is_no_event_list_is_known_until_the_next_version() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    for (finding, number, expected) in [
        (Finding::Seen(sighting(1, &["x"])), 1, (None, false)),
        (Finding::NoEventList, 1, (None, true)),
        (Finding::Unchanged(at(2)), 1, (None, true)),
        (Finding::Seen(sighting(3, &["y"])), 2, (None, false)),
        (events(0, 4), 2, (Some(4), false)),
        (Finding::Seen(sighting(4, &["z"])), 3, (Some(4), false)),
        (Finding::NoEventList, 3, (Some(4), true)),
        (events(4, 6), 3, (Some(6), false)),
    ] {
        let settled = place.settle(&lease, finding.clone(), Some(at(5)), 5).await;
        let known = place.lease(5).await.remove(0).known.unwrap();
        let found = (settled, (known.last_event_id, known.has_no_event_list));
        assert_eq!(found, (Some(number), expected), "{finding:?}");
    }
}

#[tokio::test]
async fn what_is_owed_next_is_what_the_settlement_says() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    let state = FetchState {
        application_id: Some(application(APPLICATION)),
        due_at: Some(at(7)),
        failures: 3,
        failing_since: Some(at(2)),
        trouble: Some(Trouble::Refused),
        gone_at: Some(at(4)),
        gave_up_at: Some(at(5)),
        region: Some(Region::parse("api-eu-3.vonage.com").unwrap()),
        urgency: Urgency::Last,
    };
    place.settle_as(&lease, Finding::Nothing, state.clone(), 6).await;
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(7)));
    assert_eq!(place.history("CON-1").await.unwrap().fetch, state);
    assert_eq!(place.lease(7).await[0].state, state);
    place.settle(&lease, Finding::Nothing, None, 8).await;
    assert_eq!(place.store.next_due().await.unwrap(), None);
    assert_eq!(place.lease(1000).await, []);
}

#[tokio::test]
async fn what_waits_because_of_an_outage_can_be_made_due() {
    let place = Place::open().await;
    let troubles = [
        ("CON-1", APPLICATION, Some(Trouble::Unreachable)),
        ("CON-2", APPLICATION, Some(Trouble::Refused)),
        ("CON-3", APPLICATION, Some(Trouble::Throttled)),
        ("CON-4", APPLICATION, Some(Trouble::NotYet)),
        ("CON-5", APPLICATION, None),
        ("CON-6", "APP-2", Some(Trouble::Unreachable)),
    ];
    for (id, application_id, trouble) in troubles {
        let arrival = NewArrival { application_id: Some(application(application_id)), ..arrival(id, "a", 1) };
        place.store.append(arrival).await.unwrap();
        let lease = place.lease(1).await.remove(0);
        let state = FetchState { due_at: Some(at(30)), trouble, ..nothing_owed() };
        place.settle_as(&lease, Finding::Nothing, state, 2).await;
    }
    assert_eq!(place.store.hasten(&application(APPLICATION), at(5)).await.unwrap(), 3);
    assert_eq!(place.store.hasten(&application(APPLICATION), at(5)).await.unwrap(), 0, "nothing is left");
    let due: Vec<String> =
        place.lease(5).await.iter().map(|lease| lease.conversation_id.to_string()).collect();
    assert_eq!(due, ["CON-1", "CON-2", "CON-3"]);
}

#[tokio::test]
async fn what_was_given_up_in_an_outage_can_be_made_due() {
    let place = Place::open().await;
    for (id, application_id, trouble, gave_up_at) in [
        ("CON-live", APPLICATION, Trouble::Unreachable, 12),
        ("CON-over", APPLICATION, Trouble::Unreachable, 12),
        ("CON-settled", APPLICATION, Trouble::Unreachable, 12),
        ("CON-throttled", APPLICATION, Trouble::Throttled, 12),
        ("CON-unknown", APPLICATION, Trouble::NotYet, 12),
        ("CON-before", APPLICATION, Trouble::Unreachable, 9),
        ("CON-other", "APP-2", Trouble::Unreachable, 12),
    ] {
        let arrival = NewArrival { application_id: Some(application(application_id)), ..arrival(id, "a", 1) };
        place.store.append(arrival).await.unwrap();
        let lease = place.lease(1).await.remove(0);
        place.give_up(&lease, trouble, gave_up_at).await;
    }
    let latest = Revision { newest_arrival: 100, looks: 100 };
    let saved = [("CON-over", Ending::Over), ("CON-settled", Ending::Settling(at(20)))]
        .map(|(id, ending)| (Interpretation { ending, ..bare_interpretation(id, 1) }, latest));
    place.save(place.stale(10).await).await;
    place.store.save(saved.to_vec(), None).await.unwrap();
    place.store.revive(&application(APPLICATION), at(10), at(20)).await.unwrap();
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(20)));
    let due = place.lease(20).await;
    let due: Vec<&str> = due.iter().map(|lease| lease.conversation_id.as_str()).collect();
    assert_eq!(due, ["CON-live", "CON-throttled"]);
    assert_eq!(place.stale(10).await, stale(&due, None), "they are no longer missed");
}

#[tokio::test]
async fn an_arrival_during_a_look_owes_another_at_once() {
    let place = Place::open().await;
    for (settled_due, expected) in [(None, 20), (Some(at(30)), 20), (Some(at(15)), 15)] {
        place
            .store
            .append(arrival("CON-1", &format!("before {expected} {settled_due:?}"), 10))
            .await
            .unwrap();
        let lease = place.store.lease(at(20), at(60), 1).await.unwrap().remove(0);
        place
            .store
            .append(arrival("CON-1", &format!("during {expected} {settled_due:?}"), 12))
            .await
            .unwrap();
        assert_eq!(place.store.lease(at(20), at(60), 1).await.unwrap(), [], "it is still taken out");
        place.settle(&lease, Finding::Nothing, settled_due, 20).await;
        assert_eq!(place.store.next_due().await.unwrap(), Some(at(expected)));
        // The next look ends without news, and then nothing more is owed.
        let lease = place.store.lease(at(20), at(60), 1).await.unwrap().remove(0);
        place.settle(&lease, Finding::Nothing, None, 21).await;
        assert_eq!(place.store.next_due().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_look_that_nobody_asked_for_is_kept_too() {
    let place = Place::open().await;
    let lease = Lease {
        conversation_id: conversation("CON-1"),
        state: nothing_owed(),
        urgency: Urgency::Unseen,
        asked: 0,
        known: None,
        heard_at: None,
    };
    assert_eq!(place.settle(&lease, Finding::Seen(sighting(1, &["x"])), None, 1).await, Some(1));
    assert_eq!(place.stale(10).await, stale(&["CON-1"], None));
    let history = place.history("CON-1").await.unwrap();
    assert_eq!((history.arrivals.len(), history.snapshots.len()), (0, 1));
}

// === interpretation

#[tokio::test]
async fn every_change_makes_an_interpretation_stale_until_it_is_saved_again() {
    let place = Place::open().await;
    assert_eq!(place.stale(10).await, Stale::default());
    assert_eq!(place.history("CON-1").await, None);
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let mut revisions = vec![place.save_present("CON-1").await];
    place.store.append(arrival("CON-1", "b", 2)).await.unwrap();
    revisions.push(place.save_present("CON-1").await);
    for (event, finding) in
        [("c", Finding::Seen(sighting(2, &["x"]))), ("d", Finding::Unchanged(at(3))), ("e", Finding::Nothing)]
    {
        place.store.append(arrival("CON-1", event, 2)).await.unwrap();
        let lease = place.store.lease(at(2), at(60), 1).await.unwrap().remove(0);
        place.settle(&lease, finding, None, 3).await;
        revisions.push(place.save_present("CON-1").await);
    }
    assert!(revisions.is_sorted_by(|left, right| right.is_after(*left)), "{revisions:?}");
}

#[tokio::test]
async fn the_log_is_followed_by_number_and_each_arrival_once() {
    let place = Place::open().await;
    for number in 0..5 {
        place.store.append(arrival(&format!("CON-{number}"), "a", 1)).await.unwrap();
    }
    let mut found = BTreeSet::new();
    let mut followed = Vec::new();
    loop {
        let stale = place.stale(2).await;
        assert_eq!(place.stale(2).await, stale, "nothing is followed before it is saved");
        let Some(through) = stale.through else { break };
        assert!(stale.conversations.len() <= 2);
        assert!(found.is_disjoint(&stale.conversations), "{stale:?}");
        found.extend(stale.conversations.clone());
        followed.push(through);
        place.save(stale).await;
    }
    assert_eq!(found.len(), 5);
    assert_eq!(followed.len(), 3);
    assert!(followed.is_sorted_by(|left, right| left < right), "{followed:?}");
    // Where it got to is never taken back, not even by reopening.
    place.store.save(Vec::new(), followed.first().copied()).await.unwrap();
    assert_eq!(place.stale(9).await, Stale::default());
    let place = place.reopened().await;
    assert_eq!(place.stale(9).await, Stale::default());
    // What has no number yet is not followed either.
    place.store.append(arrival("CON-9", "a", 2)).await.unwrap();
    let last = followed.last().map(|through| through + 1);
    assert_eq!(place.stale(9).await, stale(&["CON-9"], last));
    place.store.save(Vec::new(), None).await.unwrap();
    assert_eq!(place.stale(9).await, stale(&["CON-9"], last));
}

#[tokio::test]
async fn arrivals_that_name_no_conversation_do_not_hold_up_the_others() {
    let place = Place::open().await;
    for event in ["a", "b", "c"] {
        let lost = NewArrival { conversation_id: None, ..arrival("CON-0", event, 1) };
        place.store.append(lost).await.unwrap();
    }
    let transfer = NewArrival { transferred_to: Some(conversation("CON-2")), ..arrival("CON-1", "d", 1) };
    place.store.append(transfer).await.unwrap();
    let mut steps = Vec::new();
    for _ in 0..4 {
        let stale = place.stale(1).await;
        steps.push((stale.through.is_some(), stale.conversations.len()));
        place.save(stale).await;
    }
    // A transfer counts for both of its conversations.
    assert_eq!(steps, [(true, 0), (true, 0), (true, 0), (true, 2)]);
    assert_eq!(place.stale(1).await, Stale::default());
}

#[tokio::test]
async fn a_look_makes_stale_and_an_interpretation_of_what_it_found_ends_that() {
    let place = Place::open().await;
    for id in ["CON-1", "CON-2", "CON-3"] {
        place.interpreted(id, 1).await;
    }
    place.save(place.stale(10).await).await;
    let leases = place.lease(1).await;
    for lease in &leases {
        assert_eq!(place.stale(10).await, Stale::default(), "a lease alone changes nothing");
        place.settle(lease, Finding::Nothing, None, 2).await;
        assert_eq!(place.stale(10).await, stale(&[lease.conversation_id.as_str()], None));
        place.save(place.stale(10).await).await;
    }
    for lease in &leases {
        place.settle(lease, Finding::Unchanged(at(3)), None, 3).await;
    }
    assert_eq!(place.stale(2).await.conversations.len(), 2, "as many as the limit");
    assert_eq!(place.stale(10).await, stale(&["CON-1", "CON-2", "CON-3"], None));
    // Of what an arrival and a look both ask for, there is one.
    place.store.append(arrival("CON-1", "b", 4)).await.unwrap();
    assert_eq!(place.stale(10).await.conversations.len(), 3);
    let place = place.reopened().await;
    assert_eq!(place.stale(10).await.conversations.len(), 3);
    place.save(place.stale(10).await).await;
    assert_eq!(place.stale(10).await, Stale::default());
}

#[tokio::test]
async fn what_changes_while_it_is_interpreted_is_interpreted_again() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    // Between the reading of a history and the saving of what it means there is a look, then an arrival.
    let (before, revision) = (place.stale(10).await, place.history("CON-1").await.unwrap().revision);
    place.settle(&lease, Finding::Seen(sighting(2, &["x"])), None, 2).await;
    place.store.save(vec![(bare_interpretation("CON-1", 1), revision)], before.through).await.unwrap();
    assert_eq!(place.stale(10).await, stale(&["CON-1"], None));
    let (before, revision) = (place.stale(10).await, place.history("CON-1").await.unwrap().revision);
    place.store.append(arrival("CON-1", "b", 3)).await.unwrap();
    place.store.save(vec![(bare_interpretation("CON-1", 1), revision)], before.through).await.unwrap();
    let after = place.stale(10).await;
    assert_eq!(after.conversations, BTreeSet::from([conversation("CON-1")]));
    assert!(after.through.is_some());
    place.save(after).await;
    assert_eq!(place.stale(10).await, Stale::default());
}

#[tokio::test]
async fn histories_are_those_of_the_conversations_asked_for() {
    let place = Place::open().await;
    for id in ["CON-1", "CON-2", "CON-3", "CON-4"] {
        place.store.append(arrival(id, "a", 1)).await.unwrap();
    }
    let both = NewArrival { transferred_to: Some(conversation("CON-2")), ..arrival("CON-1", "b", 2) };
    let itself = NewArrival { transferred_to: Some(conversation("CON-3")), ..arrival("CON-3", "b", 2) };
    for transfer in [both.clone(), itself] {
        place.store.append(transfer).await.unwrap();
    }
    for lease in place.lease(2).await {
        let body = lease.conversation_id.as_str();
        place.settle(&lease, Finding::Seen(sighting(3, &[body, "y"])), None, 3).await;
        place.settle(&lease, Finding::Seen(sighting(4, &[body])), None, 4).await;
    }
    let asked = ["CON-3", "CON-1", "CON-unheard", "CON-2"].map(conversation);
    let mut together = place.store.histories(&asked).await.unwrap();
    together.sort_by(|left, right| left.conversation_id.cmp(&right.conversation_id));
    let mut alone = Vec::new();
    for id in ["CON-1", "CON-2", "CON-3"] {
        alone.push(place.history(id).await.unwrap());
    }
    assert_eq!(together, alone);
    for history in &together {
        let id = &history.conversation_id;
        assert_eq!(history.arrivals, place.store.arrivals_after(id, 0, u32::MAX).await.unwrap());
        assert_eq!(history.arrivals.len(), 2, "{id}");
        assert!(history.arrivals.is_sorted_by_key(|arrival| arrival.number), "{id}");
        let versions: Vec<_> = history.snapshots.iter().map(|one| (one.number, &one.sighting)).collect();
        let body = id.as_str();
        assert_eq!(versions, [(1, &sighting(3, &[body, "y"])), (2, &sighting(4, &[body]))]);
    }
    assert_eq!(together[1].arrivals[1].event, both);
    assert_eq!(place.store.histories(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_history_is_both_logs_and_the_looks() {
    let place = Place::open().await;
    let id = conversation("CON-1");
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    place
        .store
        .append(NewArrival { transferred_to: Some(id.clone()), ..arrival("CON-0", "b", 2) })
        .await
        .unwrap();
    let lease = place.lease(2).await.into_iter().find(|lease| lease.conversation_id == id).unwrap();
    for (second, body) in [(3, "x"), (4, "y")] {
        place.settle(&lease, Finding::Seen(sighting(second, &[body])), Some(at(9)), second).await;
    }
    let history = place.history("CON-1").await.unwrap();
    for limit in [1, 2, 9] {
        let mut paged = Vec::new();
        while let page = place
            .store
            .arrivals_after(&id, paged.last().map_or(0, |last: &Arrival| last.number), limit)
            .await
            .unwrap()
            && !page.is_empty()
        {
            assert!(page.len() <= limit as usize);
            paged.extend(page);
        }
        assert_eq!(paged, history.arrivals, "pages of {limit}");
    }
    assert_eq!(history.arrivals, place.store.arrivals_after(&id, 0, u32::MAX).await.unwrap());
    assert_eq!(history.arrivals.len(), 2);
    let versions: Vec<_> = history.snapshots.iter().map(|one| (one.number, one.sighting.clone())).collect();
    assert_eq!(versions, [(1, sighting(3, &["x"])), (2, sighting(4, &["y"]))]);
    // Two asked during the lease's settlements, which both knew of all that had asked.
    assert_eq!(history.fetch.due_at, Some(at(9)));
}

#[tokio::test]
async fn an_interpretation_is_read_back_as_it_was_saved() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let full = full_interpretation("CON-1");
    place.store.save(vec![(full.clone(), revision(1))], None).await.unwrap();
    assert_eq!(place.store.conversation(&full.id).await.unwrap(), Some(full.clone()));
    let listed = place.conversations(10, None).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].interpretation, full);
    assert_eq!(listed[0].position, Position { listed_at: at(1), id: full.id.clone() });
    for ending in [Ending::Open, Ending::Settling(at(77)), Ending::Over] {
        let bare = Interpretation { ending, ..bare_interpretation("CON-1", 3) };
        place.store.save(vec![(bare.clone(), revision(1))], None).await.unwrap();
        assert_eq!(place.store.conversation(&bare.id).await.unwrap(), Some(bare));
    }
    assert_eq!(place.store.conversation(&conversation("CON-2")).await.unwrap(), None);
}

#[tokio::test]
async fn an_interpretation_of_an_older_revision_does_not_replace_a_newer_one() {
    let place = Place::open().await;
    let id = conversation("CON-1");
    for event in ["a", "b", "c"] {
        place.store.append(arrival("CON-1", event, 1)).await.unwrap();
    }
    let named =
        |name: &str| Interpretation { name: Some(name.to_owned()), ..bare_interpretation("CON-1", 1) };
    let lease = place.lease(1).await.remove(0);
    place.settle(&lease, Finding::Nothing, None, 1).await;
    let followed = place.stale(10).await.through;
    let name = async || place.store.conversation(&id).await.unwrap().unwrap().name.unwrap();
    let before_the_look = |newest_arrival| Revision { newest_arrival, looks: 0 };
    place.store.save(vec![(named("third"), before_the_look(3))], followed).await.unwrap();
    assert_eq!(name().await, "third");
    assert_eq!(place.stale(10).await, stale(&["CON-1"], None), "the look is the fourth change");
    place.store.save(vec![(named("second"), before_the_look(2))], None).await.unwrap();
    assert_eq!(name().await, "third");
    assert_eq!(place.stale(10).await, stale(&["CON-1"], None));
    place.store.save(vec![(named("fourth"), Revision { newest_arrival: 3, looks: 1 })], None).await.unwrap();
    assert_eq!(name().await, "fourth");
    assert_eq!(place.stale(10).await, Stale::default());
    // One that is refused keeps nothing else from being saved.
    place.store.append(arrival("CON-0", "a", 1)).await.unwrap();
    let both = vec![
        (named("third again"), before_the_look(4)),
        (bare_interpretation("CON-0", 1), before_the_look(4)),
    ];
    place.store.save(both, None).await.unwrap();
    assert_eq!(name().await, "fourth");
    assert!(place.store.conversation(&conversation("CON-0")).await.unwrap().is_some());
}

#[tokio::test]
async fn of_two_interpretations_that_are_saved_together_the_newer_stays() {
    let place = Place::open().await;
    for event in ["a", "b", "c"] {
        place.store.append(arrival("CON-1", event, 1)).await.unwrap();
    }
    let named =
        |name: &str| Interpretation { name: Some(name.to_owned()), ..bare_interpretation("CON-1", 1) };
    for (one, other) in [(("second", 2), ("first", 1)), (("second", 2), ("third", 3))] {
        let both = vec![(named(one.0), revision(one.1)), (named(other.0), revision(other.1))];
        place.store.save(both, None).await.unwrap();
        let saved = place.store.conversation(&conversation("CON-1")).await.unwrap().unwrap();
        assert_eq!(saved.name.as_deref(), Some(if one.1 > other.1 { one.0 } else { other.0 }));
    }
}

// === reading

#[tokio::test]
async fn pages_go_from_the_newest_to_the_oldest_without_gap_or_repetition() {
    let place = Place::open().await;
    // Three share each instant.
    for number in 0..20 {
        place.interpreted(&format!("CON-{number:02}"), number / 3).await;
    }
    let mut expected: Vec<(i64, String)> =
        (0..20).map(|number| (number / 3, format!("CON-{number:02}"))).collect();
    expected.sort_by(|left, right| right.cmp(left));
    for limit in [1, 2, 3, 7, 20, 50] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = place.conversations(limit, after).await;
            assert!(page.len() <= usize::try_from(limit).unwrap());
            let Some(last) = page.last() else { break };
            assert!(found.len() < expected.len(), "pages of {limit} do not end");
            after = Some(last.position.clone());
            found.extend(page.into_iter().map(|listed| {
                (
                    listed.position.listed_at.as_second() - at(0).as_second(),
                    listed.position.id.as_str().to_owned(),
                )
            }));
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_page_goes_on_where_it_stopped_whatever_came_meanwhile() {
    let place = Place::open().await;
    for number in 0..6 {
        place.interpreted(&format!("CON-{number}"), number).await;
    }
    let ids = |page: Vec<Listed>| {
        page.into_iter().map(|listed| listed.position.id.as_str().to_owned()).collect::<Vec<_>>()
    };
    let first = place.conversations(2, None).await;
    let after = first.last().map(|listed| listed.position.clone());
    assert_eq!(ids(first), ["CON-5", "CON-4"]);
    place.interpreted("CON-9", 9).await;
    assert_eq!(ids(place.conversations(9, after).await), ["CON-3", "CON-2", "CON-1", "CON-0"]);
}

#[tokio::test]
async fn a_conversation_without_a_start_is_listed_by_its_first_news() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 40)).await.unwrap();
    let startless = Interpretation { started_at: None, ..bare_interpretation("CON-1", 0) };
    place.store.save(vec![(startless.clone(), revision(1))], None).await.unwrap();
    assert_eq!(place.conversations(1, None).await[0].position.listed_at, at(40));
    let capture = Capture { first_at: Some(at(30)), ..startless.capture.clone() };
    place.store.save(vec![(Interpretation { capture, ..startless }, revision(1))], None).await.unwrap();
    assert_eq!(place.conversations(1, None).await[0].position.listed_at, at(30));
}

#[tokio::test]
async fn a_conversation_is_found_by_its_id_a_legs_or_a_members() {
    let place = Place::open().await;
    for (id, second) in [("CON-old", 1), ("CON-new", 2), ("CON-lone", 3)] {
        place.store.append(arrival(id, "a", second)).await.unwrap();
        let with_both = Interpretation { started_at: Some(at(second)), ..full_interpretation(id) };
        let one = if id == "CON-lone" { bare_interpretation(id, second) } else { with_both };
        place.store.save(vec![(one, revision(1))], None).await.unwrap();
    }
    let resolve = async |id: &str| place.store.resolve(id).await.unwrap().map(|id| id.as_str().to_owned());
    for id in ["CON-old", "CON-new", "CON-lone"] {
        assert_eq!(resolve(id).await.as_deref(), Some(id));
    }
    // A leg that was transferred is in two; the newest is meant.
    for id in [ODD_LEG, "leg-of-nobody", "MEM-1", "MEM-2"] {
        assert_eq!(resolve(id).await.as_deref(), Some("CON-new"), "{id}");
    }
    for id in ["", "CON-3", "%", "' OR 1=1 --", "MEM-3"] {
        assert_eq!(resolve(id).await, None, "{id}");
    }
}

// === beginning and end

#[tokio::test]
async fn what_was_told_to_be_on_disk_is_there_after_reopening() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    place.settle(&lease, Finding::Seen(sighting(1, &["x"])), Some(at(9)), 1).await;
    let before = place.history("CON-1").await;
    let place = place.reopened().await;
    assert_eq!(place.history("CON-1").await, before);
    place.store.check().await.unwrap();
}

#[tokio::test]
async fn what_is_queued_when_the_store_closes_is_still_written() {
    let mut place = Place::open().await;
    let mut appends = JoinSet::new();
    for number in 0..300 {
        let (store, arrival) = (Arc::clone(&place.store), arrival("CON-1", &format!("{number}"), 1));
        appends.spawn(async move { store.append(arrival).await.is_ok() });
    }
    tokio::task::yield_now().await;
    place.store.close().await;
    place.writer.join_next().await.unwrap().unwrap();
    let mut taken = 0;
    while let Some(done) = appends.join_next().await {
        taken += usize::from(done.unwrap());
    }
    assert!(taken > 0);
    let late = place.store.append(arrival("CON-1", "late", 2)).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    let place = place.reopened().await;
    assert_eq!(place.store.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap().len(), taken);
}

#[tokio::test]
async fn a_second_daemon_is_kept_out() {
    let place = Place::open().await;
    let second = store::open(&place.path()).await;
    assert!(
        matches!(second, Err(StoreError::InUse(ref path)) if *path == place.path().display().to_string())
    );
    // A command beside the daemon is not, and leaves the daemon's leases alone.
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    assert_eq!(place.lease(1).await.len(), 1);
    let (beside, writer) = store::open_shared(&place.path()).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    beside.append(arrival("CON-1", "b", 2)).await.unwrap();
    assert_eq!(beside.lease(at(2), at(60), 9).await.unwrap(), []);
    assert_eq!(place.store.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap().len(), 2);
    place.reopened().await;
}

#[tokio::test]
async fn a_place_where_no_file_can_be_is_told() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("nowhere/store.db");
    let error = store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Unopenable { .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere/store.db"), "{error}");
    let path = directory.path().join("text.db");
    fs::write(&path, "this is no database, and long enough to be seen as none at all").unwrap();
    assert!(matches!(store::open(&path).await, Err(StoreError::Unopenable { .. })));
}

// === SQLite

#[tokio::test]
async fn a_store_that_is_closed_is_one_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.db");
    let (store, writer) = store::open(&path).await.unwrap();
    let work = async {
        let log = path.with_extension("db-wal");
        for number in 0..8 {
            store.append(arrival("CON-1", &number.to_string(), number)).await.unwrap();
            store.newest_arrivals(1, None).await.unwrap();
            assert!(log.exists());
        }
        store.close().await;
    };
    tokio::join!(work, writer.run());
    assert!(store.beat(at(1)).await.is_err(), "nothing is written from then on");
    let names = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["store.db", "store.db.lock"]);
}

#[tokio::test]
async fn what_is_kept_beside_a_lease_leaves_what_is_owed_alone() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "started", 1)).await.unwrap();
    let before = place.store.histories(&[conversation("CON-1")]).await.unwrap().remove(0).fetch;
    let kept = place
        .store
        .keep(&conversation("CON-1"), &application("APP-1"), Finding::Seen(sighting(2, &["one"])))
        .await
        .unwrap();
    assert_eq!(kept, Some(Kept::New(1)));
    let after = place.store.histories(&[conversation("CON-1")]).await.unwrap().remove(0);
    assert_eq!(after.fetch, before);
    assert_eq!(after.snapshots.len(), 1);
    let stranger = place
        .store
        .keep(&conversation("CON-2"), &application("APP-1"), Finding::Seen(sighting(2, &["one"])))
        .await
        .unwrap();
    assert_eq!(stranger, Some(Kept::New(1)));
    let leases = place.lease(3).await;
    assert_eq!(leases.iter().map(|lease| lease.conversation_id.as_str()).collect::<Vec<_>>(), ["CON-1"]);
}

#[tokio::test]
async fn what_is_kept_beside_a_lease_tells_whose_it_is_and_follows_nothing() {
    let place = Place::open().await;
    let id = conversation("CON-1");
    place.store.append(NewArrival { application_id: None, ..arrival("CON-1", "a", 1) }).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    let state =
        FetchState { gave_up_at: Some(at(2)), trouble: Some(Trouble::Unreachable), ..FetchState::default() };
    place.settle_as(&lease, Finding::Nothing, state, 2).await;
    place.store.keep(&id, &application("APP-1"), Finding::Seen(sighting(3, &["one"]))).await.unwrap();
    let fetch = place.history("CON-1").await.unwrap().fetch;
    assert_eq!((fetch.application_id, fetch.due_at), (Some(application("APP-1")), None));
    place.store.revive(&application("APP-1"), at(1), at(4)).await.unwrap();
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(4)), "it was given up all the same");
}

#[tokio::test]
async fn an_older_sighting_does_not_become_the_newest_version() {
    let place = Place::open().await;
    let id = conversation("CON-1");
    assert_eq!(
        place.store.keep(&id, &application("APP-1"), Finding::Seen(sighting(9, &["new"]))).await.unwrap(),
        Some(Kept::New(1))
    );
    assert_eq!(
        place.store.keep(&id, &application("APP-1"), Finding::Seen(sighting(5, &["old"]))).await.unwrap(),
        Some(Kept::Joined(1))
    );
    assert_eq!(place.store.snapshots(&id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_document_is_stored_once_however_many_versions_hold_it() {
    let place = Place::open().await;
    for id in ["CON-1", "CON-2"] {
        place.store.append(arrival(id, "a", 1)).await.unwrap();
        let lease = place.lease(1).await.remove(0);
        for (second, last) in [(1, "b"), (2, "c"), (3, "b")] {
            let kept =
                place.settle(&lease, Finding::Seen(sighting(second, &["a", last])), None, second).await;
            assert_eq!(kept, Some(u32::try_from(second).unwrap()));
        }
    }
    assert_eq!(place.number("SELECT count(*) FROM documents").await, 3);
    assert_eq!(place.number("SELECT count(*) FROM snapshot_documents").await, 12);
    assert_eq!(place.number("SELECT count(*) FROM snapshots").await, 6);
}

#[tokio::test]
async fn a_document_is_read_once_however_many_versions_hold_it() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    for number in 1..=3 {
        let own = format!("version {number}");
        place.settle(&lease, Finding::Seen(sighting(number, &[&own, "shared"])), None, number).await;
    }
    let versions = place.history("CON-1").await.unwrap().snapshots;
    let documents: Vec<&Document> = versions.iter().flat_map(|version| &version.sighting.documents).collect();
    let texts: Vec<&[u8]> = documents.iter().map(|document| &*document.body).collect();
    let [one, two, three] = [&b"version 1"[..], b"version 2", b"version 3"];
    assert_eq!(texts, [one, b"shared", two, b"shared", three, b"shared"]);
    assert!(Arc::ptr_eq(&documents[1].body, &documents[3].body));
    assert!(Arc::ptr_eq(&documents[1].body, &documents[5].body));
}

#[tokio::test]
async fn replacing_an_interpretation_leaves_nothing_behind() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    place.store.save(vec![(full_interpretation("CON-1"), revision(1))], None).await.unwrap();
    place.store.save(vec![(bare_interpretation("CON-1", 1), revision(1))], None).await.unwrap();
    for table in ["members", "member_legs", "member_states", "legs", "leg_statuses"] {
        assert_eq!(place.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    assert_eq!(place.number("SELECT count(*) FROM conversations").await, 1);
}

#[tokio::test]
async fn after_a_stop_the_file_alone_holds_everything() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let path = place.path();
    place.store.close().await;
    // The connections are still open: the process has not ended.
    let Place { store, writer, directory } = place;
    writer.join_all().await;
    let copy = directory.path().join("copy.db");
    fs::copy(path, &copy).unwrap();
    let (copied, _writer) = store::open(&copy).await.unwrap();
    assert_eq!(copied.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap().len(), 1);
    drop(store);
}

#[tokio::test]
async fn what_is_written_is_copied_into_the_file_while_the_store_is_open() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let copied = async {
        for attempt in 0.. {
            let copy = place.directory.path().join(format!("copy-{attempt}.db"));
            fs::copy(place.path(), &copy).unwrap();
            // A file that is being written may not be readable.
            let Ok((copied, _writer)) = store::open(&copy).await else { continue };
            let found = copied.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await;
            if found.is_ok_and(|found| found.len() == 1) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), copied).await.expect("the log is copied now and then");
}

#[tokio::test]
async fn it_is_told_while_arrivals_wait_for_the_commits_of_others() {
    let place = Place::open().await;
    let mut pressed = place.store.pressed();
    assert!(!*pressed.borrow());
    let mut appending = JoinSet::new();
    // More than one commit takes.
    for number in 0..200 {
        let store = Arc::clone(&place.store);
        appending.spawn(async move { store.append(arrival("CON-1", &number.to_string(), 1)).await });
    }
    let mut becomes = async |expected: bool, why: &str| {
        let told = pressed.wait_for(|pressed| *pressed == expected);
        tokio::time::timeout(Duration::from_secs(10), told).await.expect(why).map(drop).unwrap();
    };
    becomes(true, "the second commit's arrivals waited for the first").await;
    for outcome in appending.join_all().await {
        outcome.unwrap();
    }
    becomes(false, "nobody waits any more").await;
}

#[tokio::test]
async fn the_file_is_for_its_owner_only_and_has_the_right_pragmas() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    for file in ["store.db", "store.db-wal", "store.db-shm", "store.db.lock"] {
        let mode = fs::metadata(place.directory.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(place.number("PRAGMA auto_vacuum").await, 2, "incremental");
    let mut connection = connect(&place.path(), true).await;
    let row = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<String, _>(0), "wal");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = Place::open().await.closed().await;
    let path = directory.path().join("store.db");
    let mut connection = connect(&path, false).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let error = store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9999 }), "{error:?}");
    assert!(matches!(store::open_shared(&path).await, Err(StoreError::Newer { found: 9999 })));
}

#[tokio::test]
async fn a_value_that_cannot_be_read_names_its_place_and_not_itself() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    place.settle(&lease, Finding::Seen(sighting(1, &["x"])), None, 1).await;
    let mut connection = connect(&place.path(), false).await;
    for (statement, expected) in [
        ("UPDATE documents SET body = x'00'", ("documents", "body")),
        ("UPDATE fetches SET trouble = 'a secret'", ("fetches", "trouble")),
        ("UPDATE arrivals SET endpoint = 'a secret'", ("arrivals", "endpoint")),
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
        let error = match expected.0 {
            "documents" => place.store.snapshot(&conversation("CON-1"), 1).await.unwrap_err(),
            "arrivals" => place.store.arrivals_after(&conversation("CON-1"), 0, u32::MAX).await.unwrap_err(),
            _ => place.store.histories(&[conversation("CON-1")]).await.unwrap_err(),
        };
        assert!(!error.to_string().contains("a secret"), "{error}");
        let StoreError::Corrupt { table, column } = error else { panic!("{statement}: {error:?}") };
        assert_eq!((table, column), expected);
    }
}

#[tokio::test]
async fn a_conversation_that_cannot_be_read_does_not_hold_up_the_others() {
    let place = Place::open().await;
    for id in ["CON-1", "CON-2", "CON-3"] {
        place.store.append(arrival(id, "a", 1)).await.unwrap();
    }
    let mut connection = connect(&place.path(), false).await;
    sqlx::query("UPDATE arrivals SET origin = 'a secret' WHERE conversation_id = 'CON-2'")
        .execute(&mut connection)
        .await
        .unwrap();
    let deriver = Deriver::new(Arc::clone(&place.store), [Wake::default(), Wake::default()], stalls());
    assert_eq!(deriver.step().await.unwrap(), Step::Did(2));
    for (id, expected) in [("CON-1", true), ("CON-2", false), ("CON-3", true)] {
        let found = place.store.conversation(&conversation(id)).await.unwrap();
        assert_eq!(found.is_some(), expected, "{id}");
    }
    assert_eq!(deriver.step().await.unwrap(), Step::Idle);
}

#[tokio::test]
async fn a_look_that_cannot_be_read_does_not_hold_up_the_others() {
    let place = Place::open().await;
    let ids = ["CON-1", "CON-2", "CON-3", "CON-4"];
    for id in ids {
        place.store.append(arrival(id, "a", 1)).await.unwrap();
    }
    for lease in place.lease(1).await {
        place.settle(&lease, Finding::Seen(sighting(1, &["x"])), Some(at(2)), 1).await;
    }
    let mut connection = connect(&place.path(), false).await;
    for statement in [
        "UPDATE fetches SET trouble = 'a secret' WHERE conversation_id = 'CON-1'",
        "UPDATE fetches SET urgency = 99 WHERE conversation_id = 'CON-2'",
        "UPDATE fetches SET conversation_id = 'not/an/id' WHERE conversation_id = 'CON-3'",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let mut leased = Vec::new();
    while place.store.most_urgent(at(9)).await.unwrap().is_some() {
        leased.extend(place.store.lease(at(9), at(60), 1).await.unwrap());
    }
    let leased: Vec<&str> = leased.iter().map(|lease| lease.conversation_id.as_str()).collect();
    assert_eq!(leased, ["CON-4"]);
    assert_eq!(place.store.lease(at(1000), at(1060), 9).await.unwrap().len(), 1, "they are told once");
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(1060)));
    place.store.release_leases().await.unwrap();
    assert_eq!(place.store.lease(at(2000), at(2060), 9).await.unwrap().len(), 1);
}

// === the place

/// A store in a directory of its own, with its writer.
// === what could not be seen

#[tokio::test]
async fn a_beat_is_the_last_until_the_next() {
    let place = Place::open().await;
    assert_eq!(place.store.last_beat().await.unwrap(), None);
    place.store.beat(at(1)).await.unwrap();
    place.store.beat(at(6)).await.unwrap();
    let place = place.reopened().await;
    assert_eq!(place.store.last_beat().await.unwrap(), Some(at(6)));
}

#[tokio::test]
async fn a_gap_that_lasts_is_begun_once_and_ended_once() {
    let place = Place::open().await;
    let (own, other) = (application(APPLICATION), application("other"));
    let open = async |cause, application, second| {
        place.store.open_gap(cause, application, at(second)).await.unwrap();
    };
    open(Cause::Refused, Some(&own), 1).await;
    open(Cause::Refused, Some(&own), 2).await;
    open(Cause::Unreachable, Some(&own), 3).await;
    open(Cause::Refused, Some(&other), 4).await;
    open(Cause::Store, None, 5).await;
    open(Cause::Store, None, 6).await;
    assert_eq!(place.gaps().await, ["store 5-", "refused 4-", "unreachable 3-", "refused 1-"]);
    place.store.close_gap(Cause::Refused, Some(&own), at(7)).await.unwrap();
    place.store.close_gap(Cause::Refused, Some(&own), at(8)).await.unwrap();
    place.store.close_gap(Cause::Down, None, at(8)).await.unwrap();
    open(Cause::Refused, Some(&own), 9).await;
    assert_eq!(place.gaps().await, ["refused 9-", "store 5-", "refused 4-", "unreachable 3-", "refused 1-7"]);
    place.store.close_gaps(at(8)).await.unwrap();
    // None ends before it began.
    assert_eq!(
        place.gaps().await,
        ["refused 9-9", "store 5-8", "refused 4-8", "unreachable 3-8", "refused 1-7"]
    );
}

#[tokio::test]
async fn a_gap_that_is_told_twice_is_there_once() {
    let place = Place::open().await;
    for (began, ended) in [(1, 5), (1, 7), (1, 6), (8, 9)] {
        place.store.add_gap(Cause::Down, None, at(began), at(ended)).await.unwrap();
    }
    assert_eq!(place.gaps().await, ["down 8-9", "down 1-7"]);
}

#[tokio::test]
async fn gaps_are_read_in_pages_and_by_the_time_they_touch() {
    let place = Place::open().await;
    for (began, ended) in [(1, 2), (4, 6), (4, 8), (9, 10)] {
        let application = application(&format!("until-{ended}"));
        place.store.add_gap(Cause::Unreachable, Some(&application), at(began), at(ended)).await.unwrap();
    }
    place.store.open_gap(Cause::Store, None, at(12)).await.unwrap();
    let mut after = None;
    let mut found = Vec::new();
    loop {
        let page = place.store.gaps(2, after).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(GapPosition { began_at: last.began_at, id: last.id });
        found.extend(page);
    }
    assert_eq!(found.len(), 5);
    assert_eq!(found, place.store.gaps(10, None).await.unwrap());
    for (from, to, expected) in [
        (0, 0, &[][..]),
        (0, 1, &["unreachable 1-2"]),
        (2, 3, &["unreachable 1-2"]),
        (5, 5, &["unreachable 4-6", "unreachable 4-8"]),
        (7, 9, &["unreachable 4-8", "unreachable 9-10"]),
        (11, 11, &[]),
        (20, 30, &["store 12-"]),
    ] {
        let found = place.store.gaps_between(at(from), at(to)).await.unwrap();
        assert_eq!(found.iter().map(gap_text).collect::<Vec<_>>(), expected, "{from} to {to}");
    }
}

#[tokio::test]
async fn webhooks_that_could_not_be_stored_become_a_gap_when_the_store_works_again() {
    let place = Place::open().await;
    let file = place.path();
    let change = async |sql| {
        let mut connection = connect(&file, false).await;
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    };
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    place.store.beat(at(2)).await.unwrap();
    assert_eq!(place.gaps().await, [""; 0]);
    change("CREATE TRIGGER refuse BEFORE INSERT ON arrivals BEGIN SELECT RAISE(ABORT, 'no room'); END").await;
    for second in [4, 3, 6] {
        assert!(place.store.append(arrival("CON-1", &second.to_string(), second)).await.is_err());
    }
    // A beat may still fit where a webhook does not.
    place.store.beat(at(7)).await.unwrap();
    assert_eq!(place.gaps().await, ["store 3-"]);
    change("DROP TRIGGER refuse").await;
    place.store.append(arrival("CON-1", "b", 9)).await.unwrap();
    place.store.append(arrival("CON-1", "c", 10)).await.unwrap();
    place.store.beat(at(12)).await.unwrap();
    place.store.beat(at(17)).await.unwrap();
    assert_eq!(place.gaps().await, ["store 3-9"]);
}

// === lists of calls

#[tokio::test]
async fn a_leg_that_is_listed_makes_its_conversation_known() {
    let place = Place::open().await;
    let lasting = listed_call("CON-1", "a", "answered");
    let ended = ListedCall {
        rate: text("0.1"),
        price: text("0.2"),
        duration: Some(7),
        start_time: Some(at(1)),
        end_time: Some(at(8)),
        network: text("23410"),
        ..listed_call("CON-2", "b", "completed")
    };
    let nowhere = ListedCall { conversation_id: None, ..listed_call("CON-3", "c", "answered") };
    let list = vec![lasting.clone(), ended.clone(), nowhere];
    let found = place.store.keep_listed(call_list(0, 10, list.clone())).await.unwrap();
    let unannounced = [conversation("CON-1"), conversation("CON-2")];
    assert_eq!(found, Discovery { legs: 2, unannounced: unannounced.into(), owed: 1 });
    assert_eq!(place.history("CON-1").await.unwrap().listed, [lasting]);
    let history = place.history("CON-2").await.unwrap();
    assert_eq!((history.listed, history.fetch), (vec![ended], nothing_owed()));
    assert_eq!(place.store.resolve("CON-2").await.unwrap(), Some(conversation("CON-2")));
    assert_eq!(
        place.stale(10).await.conversations,
        BTreeSet::from([conversation("CON-1"), conversation("CON-2")])
    );
    let leases = place.lease(10).await;
    assert_eq!(leases.len(), 1);
    assert_eq!((leases[0].conversation_id.as_str(), leases[0].state.due_at), ("CON-1", Some(at(10))));
    // Told again, it is no news.
    place.save(place.stale(10).await).await;
    assert_eq!(place.store.keep_listed(call_list(5, 20, list)).await.unwrap(), Discovery::default());
    assert_eq!(place.stale(10).await, Stale::default());
}

#[tokio::test]
async fn what_a_leg_came_to_is_news_and_asks_for_no_look() {
    let place = Place::open().await;
    let lasting = listed_call("CON-1", "a", "answered");
    place.store.keep_listed(call_list(0, 10, vec![lasting.clone()])).await.unwrap();
    let lease = place.lease(10).await.remove(0);
    place.settle(&lease, Finding::Nothing, None, 11).await;
    place.save(place.stale(10).await).await;
    let ended = ListedCall { from: None, price: text("0.2"), ..listed_call("CON-1", "a", "completed") };
    let found = place.store.keep_listed(call_list(5, 20, vec![ended.clone()])).await.unwrap();
    assert_eq!(found, Discovery { legs: 1, ..Discovery::default() });
    assert_eq!(place.history("CON-1").await.unwrap().listed, [ListedCall { from: lasting.from, ..ended }]);
    assert_eq!(place.stale(10).await.conversations, BTreeSet::from([conversation("CON-1")]));
    assert_eq!(place.store.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn only_a_call_that_was_never_seen_is_looked_at_because_it_is_listed() {
    let place = Place::open().await;
    place.store.append(arrival("CON-seen", "a", 1)).await.unwrap();
    place.store.append(arrival("CON-unseen", "a", 1)).await.unwrap();
    for lease in place.lease(1).await {
        let seen = lease.conversation_id.as_str() == "CON-seen";
        let finding = if seen { Finding::Seen(sighting(1, &["x"])) } else { Finding::Nothing };
        place.settle(&lease, finding, None, 1).await;
    }
    let list = ["CON-seen", "CON-unseen"].map(|id| listed_call(id, "a", "ringing"));
    let found = place.store.keep_listed(call_list(0, 10, list.to_vec())).await.unwrap();
    assert_eq!(found, Discovery { legs: 2, unannounced: BTreeSet::new(), owed: 1 });
    let leases = place.lease(10).await;
    assert_eq!(leases.iter().map(|lease| lease.conversation_id.as_str()).collect::<Vec<_>>(), ["CON-unseen"]);
}

#[tokio::test]
async fn a_call_that_was_given_up_is_looked_at_for_as_long_as_it_is_listed_as_one_that_lasts() {
    let place = Place::open().await;
    for (id, trouble) in
        [("CON-1", Trouble::Unreachable), ("CON-2", Trouble::NotYet), ("CON-3", Trouble::Unreachable)]
    {
        place.store.append(arrival(id, "a", 1)).await.unwrap();
        let lease = place.lease(1).await.remove(0);
        place.settle(&lease, Finding::Seen(sighting(1, &["x"])), None, 1).await;
        place.give_up(&lease, trouble, 2).await;
    }
    let list = [("CON-1", "answered"), ("CON-2", "answered"), ("CON-3", "completed")]
        .map(|(id, status)| listed_call(id, "a", status));
    for (listed_at, legs) in [(10, 3), (20, 0)] {
        let found = place.store.keep_listed(call_list(0, listed_at, list.to_vec())).await.unwrap();
        assert_eq!(found, Discovery { legs, unannounced: BTreeSet::new(), owed: 1 });
        let due = place.lease(listed_at).await;
        assert_eq!(due.iter().map(|lease| lease.conversation_id.as_str()).collect::<Vec<_>>(), ["CON-1"]);
        place.give_up(&due[0], Trouble::Unreachable, listed_at).await;
    }
    // One that is followed again is owed its next look already.
    place.store.keep_listed(call_list(0, 30, list.to_vec())).await.unwrap();
    let lease = place.lease(30).await.remove(0);
    place.settle(&lease, Finding::Nothing, Some(at(50)), 30).await;
    let found = place.store.keep_listed(call_list(0, 40, list.to_vec())).await.unwrap();
    assert_eq!((found, place.store.next_due().await.unwrap()), (Discovery::default(), Some(at(50))));
}

#[tokio::test]
async fn a_list_that_comes_during_a_look_owes_another() {
    let place = Place::open().await;
    place.store.append(arrival("CON-1", "a", 1)).await.unwrap();
    let lease = place.lease(1).await.remove(0);
    place.store.keep_listed(call_list(0, 10, vec![listed_call("CON-1", "a", "started")])).await.unwrap();
    place.settle(&lease, Finding::Nothing, None, 11).await;
    assert_eq!(place.store.next_due().await.unwrap(), Some(at(11)));
}

#[tokio::test]
async fn how_far_calls_are_listed_is_known_for_each_application() {
    let place = Place::open().await;
    let own = application(APPLICATION);
    let until = async |lasting_since| place.store.listed_until(&own, at(lasting_since)).await.unwrap();
    assert_eq!(until(0).await, None);
    place.store.keep_listed(call_list(0, 10, Vec::new())).await.unwrap();
    assert_eq!(until(0).await, Some(at(10)));
    assert_eq!(place.store.listed_until(&application("other"), at(0)).await.unwrap(), None);
    // A leg that is not over is waited for, but not for ever.
    place.store.keep_listed(call_list(9, 20, vec![listed_call("CON-1", "a", "answered")])).await.unwrap();
    place.store.keep_listed(call_list(19, 30, vec![listed_call("CON-2", "b", "completed")])).await.unwrap();
    // It began after the list before, however far back the one goes that told of it.
    assert_eq!((until(20).await, until(21).await), (Some(at(10)), Some(at(30))));
    place.store.keep_listed(call_list(9, 40, vec![listed_call("CON-1", "a", "completed")])).await.unwrap();
    assert_eq!(until(0).await, Some(at(40)));
}

#[tokio::test]
async fn the_oldest_conversation_that_is_not_over_is_known() {
    let place = Place::open().await;
    assert_eq!(place.store.oldest_live(at(0)).await.unwrap(), None);
    let over = Interpretation { ending: Ending::Over, ..bare_interpretation("CON-1", 1) };
    let [old, young] = [("CON-2", 2), ("CON-3", 3)].map(|(id, second)| bare_interpretation(id, second));
    let saved = [over, old, young].map(|interpretation| (interpretation, revision(1)));
    place.store.save(saved.to_vec(), None).await.unwrap();
    assert_eq!(place.store.oldest_live(at(0)).await.unwrap(), Some(at(2)));
    assert_eq!(place.store.oldest_live(at(3)).await.unwrap(), Some(at(3)));
    assert_eq!(place.store.oldest_live(at(4)).await.unwrap(), None);
}

#[tokio::test]
async fn a_conversation_that_is_only_listed_has_its_place_in_the_list() {
    let place = Place::open().await;
    let call = ListedCall { start_time: Some(at(4)), ..listed_call("CON-1", "a", "completed") };
    place.store.keep_listed(call_list(0, 10, vec![call])).await.unwrap();
    let unknown = Interpretation { started_at: None, ..bare_interpretation("CON-1", 0) };
    place.store.save(vec![(unknown, revision(1))], None).await.unwrap();
    assert_eq!(place.conversations(1, None).await[0].position.listed_at, at(4));
}

struct Place {
    store: Arc<dyn Store>,
    writer: JoinSet<()>,
    directory: TempDir,
}

impl Place {
    async fn open() -> Self {
        Self::open_in(TempDir::new().expect("a directory can be made")).await
    }

    async fn open_in(directory: TempDir) -> Self {
        let (store, writer) =
            store::open(&directory.path().join("store.db")).await.expect("the store can be opened");
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        Self { store, writer: tasks, directory }
    }

    /// Appends an arrival of each of so many conversations, all at once.
    async fn append_calls(&self, calls: usize) {
        let mut appends = JoinSet::new();
        for number in 0..calls {
            let store = Arc::clone(&self.store);
            let arrival = arrival(&format!("CON-{number}"), "started", 1);
            appends.spawn(async move { store.append(arrival).await });
        }
        for appended in appends.join_all().await {
            appended.expect("it can be stored");
        }
    }

    /// Newest first, whatever they are.
    async fn conversations(&self, limit: u32, after: Option<Position>) -> Vec<Listed> {
        let page = Page { after, ..Page::first(limit) };
        self.store.conversations(&Filter::default(), at(0), &page).await.expect("the store can be read")
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.db")
    }

    /// Closes the store and leaves the directory.
    async fn closed(self) -> TempDir {
        self.store.close().await;
        self.writer.join_all().await;
        self.directory
    }

    async fn reopened(self) -> Self {
        Self::open_in(self.closed().await).await
    }

    /// Takes out everything that is due, for a minute.
    async fn lease(&self, second: i64) -> Vec<Lease> {
        let mut leases = self.store.lease(at(second), at(second + 60), 100).await.expect("the store works");
        leases.sort_by(|left, right| left.conversation_id.cmp(&right.conversation_id));
        leases
    }

    /// Ends a lease without trouble.
    async fn settle(
        &self,
        lease: &Lease,
        finding: Finding,
        due_at: Option<Timestamp>,
        second: i64,
    ) -> Option<u32> {
        self.settle_as(lease, finding, FetchState { due_at, ..nothing_owed() }, second).await
    }

    /// Ends a lease with which looking at a conversation is given up.
    async fn give_up(&self, lease: &Lease, trouble: Trouble, second: i64) {
        let state = FetchState { gave_up_at: Some(at(second)), trouble: Some(trouble), ..nothing_owed() };
        self.settle_as(lease, Finding::Nothing, state, second).await;
    }

    async fn settle_as(
        &self,
        lease: &Lease,
        finding: Finding,
        state: FetchState,
        second: i64,
    ) -> Option<u32> {
        let (conversation_id, asked) = (lease.conversation_id.clone(), lease.asked);
        let settlement = Settlement { conversation_id, asked, finding, state, settled_at: at(second) };
        self.store.settle(settlement).await.expect("the store works")
    }

    /// Everything that is known of a conversation.
    async fn history(&self, id: &str) -> Option<History> {
        let mut histories = self.store.histories(&[conversation(id)]).await.expect("the store works");
        assert!(histories.len() <= 1, "{histories:?}");
        histories.pop()
    }

    async fn stale(&self, limit: u32) -> Stale {
        self.store.stale(limit).await.expect("the store works")
    }

    /// Saves some interpretation of what is known now of each that is stale.
    async fn save(&self, stale: Stale) {
        let ids: Vec<ConversationId> = stale.conversations.into_iter().collect();
        let histories = self.store.histories(&ids).await.expect("the store works");
        let interpreted = histories
            .iter()
            .map(|history| (bare_interpretation(history.conversation_id.as_str(), 1), history.revision));
        self.store.save(interpreted.collect(), stale.through).await.expect("the store works");
    }

    /// Saves some interpretation of what is known now, which is new; returns its revision.
    async fn save_present(&self, id: &str) -> Revision {
        let stale = self.stale(10).await;
        assert_eq!(stale.conversations, BTreeSet::from([conversation(id)]));
        self.save(stale).await;
        assert_eq!(self.stale(10).await, Stale::default());
        self.history(id).await.expect("it is there").revision
    }

    /// A conversation that began then, with its interpretation.
    async fn interpreted(&self, id: &str, second: i64) {
        self.store.append(arrival(id, "a", 1)).await.expect("the store works");
        self.store
            .save(vec![(bare_interpretation(id, second), revision(1))], None)
            .await
            .expect("the store works");
    }

    /// Every gap, newest first, as `cause began-ended` in seconds.
    async fn gaps(&self) -> Vec<String> {
        self.store.gaps(100, None).await.expect("the store works").iter().map(gap_text).collect()
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut connection = connect(&self.path(), true).await;
        let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await;
        row.expect("the statement is right").get(0)
    }
}

async fn connect(path: &Path, read_only: bool) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(read_only)
        .connect()
        .await
        .expect("the file can be read")
}

fn arrival(id: &str, event: &str, second: i64) -> NewArrival {
    NewArrival {
        delivery: Delivery {
            endpoint: Endpoint::Event,
            method: Method::Post,
            query: None,
            covered_query: None,
            content_type: Some("application/json".to_owned()),
            body: format!("{id} {event}").into_bytes(),
        },
        application_id: Some(application(APPLICATION)),
        origin: Origin::Signed,
        kind: "answered".to_owned(),
        conversation_id: Some(conversation(id)),
        transferred_to: None,
        occurred_at: Some(at(second) - SignedDuration::from_millis(50)),
        region: None,
        fallback_reason: None,
        received_at: at(second),
    }
}

fn gap_text(gap: &Gap) -> String {
    let second = |instant: Timestamp| instant.duration_since(at(0)).as_secs();
    let ended = gap.ended_at.map(|ended_at| second(ended_at).to_string());
    format!("{} {}-{}", gap.cause.as_str(), second(gap.began_at), ended.unwrap_or_default())
}

fn listed_call(id: &str, leg: &str, status: &str) -> ListedCall {
    ListedCall {
        leg_id: leg_id(leg),
        conversation_id: Some(conversation(id)),
        status: text(status),
        direction: text("inbound"),
        from: text("447700900001"),
        to: text("447700900100"),
        rate: None,
        price: None,
        duration: None,
        start_time: None,
        end_time: None,
        network: None,
    }
}

fn call_list(since: i64, until: i64, calls: Vec<ListedCall>) -> CallList {
    CallList { application_id: application(APPLICATION), since: at(since), until: at(until), calls }
}

fn stale(ids: &[&str], through: Option<i64>) -> Stale {
    Stale { conversations: ids.iter().map(|id| conversation(id)).collect(), through }
}

/// A look's findings: the conversation's document, and pages of members after it.
fn sighting(second: i64, bodies: &[&str]) -> Sighting {
    let name = |page: u32| {
        if page == 0 { DocumentName::Conversation } else { DocumentName::Members(page) }
    };
    let documents = (0..).zip(bodies).map(|(page, body)| Document::new(name(page), body.as_bytes().to_vec()));
    Sighting {
        taken_at: at(second),
        family: "v0.3".to_owned(),
        sequence_number: Some(8),
        documents: documents.collect(),
        region: None,
    }
}

/// The events from behind one on to another.
fn events(after: i64, last: i64) -> Finding {
    let body = format!("[{after}, {last}]").into_bytes();
    let documents = vec![Document::new(DocumentName::Events { after, page: 1 }, body)];
    Finding::Events(EventList { documents, last_event_id: Some(last), is_whole: true })
}

fn stalls() -> Arc<Stalls> {
    Arc::new(Stalls::new(Arc::new(SystemClock)))
}

fn nothing_owed() -> FetchState {
    FetchState { application_id: Some(application(APPLICATION)), ..FetchState::default() }
}

/// A revision that is later than those of smaller numbers.
fn revision(number: i64) -> Revision {
    Revision { newest_arrival: number, looks: 0 }
}

fn bare_interpretation(id: &str, second: i64) -> Interpretation {
    let capture =
        Capture { state: CaptureState::Pending, reason: None, snapshots: 0, first_at: None, last_at: None };
    Interpretation {
        id: conversation(id),
        name: None,
        application_id: None,
        capture,
        direction: None,
        from: None,
        to: None,
        other_parties: Vec::new(),
        first_heard_at: None,
        started_at: Some(at(second)),
        answered_at: None,
        ended_at: None,
        ending: Ending::Open,
        duration: None,
        price: None,
        status: None,
        members: Vec::new(),
        legs: Vec::new(),
        latest_snapshot: None,
    }
}

/// A text that a store could stumble over.
const ODD: &str = "quote \" ' \\ \n tab\t nul\0 \u{1f600} \u{e4} 17 null";

/// A leg that is in several conversations, and whose id no reader expects.
const ODD_LEG: &str = "leg \u{e4} 1";

/// One with everything.
fn full_interpretation(id: &str) -> Interpretation {
    Interpretation {
        name: text(ODD),
        application_id: Some(application(APPLICATION)),
        capture: Capture {
            state: CaptureState::Captured,
            reason: text(ODD),
            snapshots: 3,
            first_at: Some(at(2)),
            last_at: long_ago(),
        },
        direction: text("inbound"),
        from: text("+447700900001"),
        to: text(ODD),
        other_parties: vec![NamedParty { side: PartySide::From, party: ODD.to_owned() }],
        answered_at: Some(at(2) + SignedDuration::from_micros(1)),
        ended_at: Some(at(9)),
        ending: Ending::Settling(at(10)),
        duration: Some(i64::MAX),
        price: text("0.02302500"),
        status: text("completed"),
        members: full_members(),
        legs: full_legs(),
        latest_snapshot: Some(3),
        ..bare_interpretation(id, 1)
    }
}

fn full_members() -> Vec<Member> {
    let member = |id: &str, channel: Option<Channel>, leg_ids: Vec<LegId>, states: Vec<MemberState>| Member {
        id: MemberId::parse(id).expect("it is an id"),
        user_id: text("USR-1"),
        name: text(ODD),
        state: text("OnHold"),
        joined_at: Some(at(1)),
        left_at: None,
        left_source: None,
        channel,
        leg_ids,
        states,
    };
    let state = |state: &str, held_at: Option<Timestamp>| MemberState {
        state: state.to_owned(),
        at: held_at,
        source: "snapshot 1".to_owned(),
        learnt_at: at(2),
    };
    let channel =
        Channel { kind: text("phone"), id: Some(leg_id(ODD_LEG)), from: text("007"), to: text(ODD) };
    let empty = Channel { kind: None, id: None, from: None, to: None };
    let states = vec![state("INVITED", Some(at(1))), state("LEFT", None)];
    let gone = |second: i64, source: LeftSource, member: Member| Member {
        left_at: Some(at(second)),
        left_source: Some(source),
        ..member
    };
    vec![
        gone(
            3,
            LeftSource::LegEnd { leg_id: leg_id(ODD_LEG) },
            member("MEM-2", Some(channel), vec![leg_id(ODD_LEG), leg_id("b")], states),
        ),
        member("MEM-1", Some(empty), Vec::new(), vec![state("JOINED", long_ago())]),
        gone(4, LeftSource::Rtc { number: i64::MAX }, member("MEM-0", None, Vec::new(), Vec::new())),
        gone(5, LeftSource::Snapshot { number: 3 }, member("MEM-4", None, Vec::new(), Vec::new())),
        gone(6, LeftSource::Event { number: 7 }, member("MEM-5", None, Vec::new(), Vec::new())),
    ]
}

fn full_legs() -> Vec<Leg> {
    let status = |status: &str, second: i64, detail: Option<&str>| LegStatus {
        status: status.to_owned(),
        at: at(second),
        at_source: if second == 1 { AtSource::Timestamp } else { AtSource::Receipt },
        detail: detail.map(str::to_owned),
    };
    let full = Leg {
        id: leg_id(ODD_LEG),
        direction: text("inbound"),
        from: text("0017"),
        to: text(ODD),
        status: text("completed"),
        duration: Some(61),
        price: text("0.50"),
        statuses: vec![status("started", 1, None), status(ODD, 2, Some("beep_start"))],
        source: Some(LegSource::CallsList),
    };
    let bare = Leg {
        id: leg_id("leg-of-nobody"),
        direction: None,
        from: None,
        to: None,
        status: None,
        duration: None,
        price: None,
        statuses: Vec::new(),
        source: None,
    };
    vec![full, bare]
}

#[expect(clippy::unnecessary_wraps, reason = "the fields that it fills may be empty")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn leg_id(id: &str) -> LegId {
    LegId::parse(id).expect("it is an id")
}

/// A microsecond before the beginning of time.
fn long_ago() -> Option<Timestamp> {
    Timestamp::from_microsecond(-1).ok()
}

fn conversation(id: &str) -> ConversationId {
    ConversationId::parse(id).expect("it is an id")
}

fn application(id: &str) -> ApplicationId {
    ApplicationId::parse(id).expect("it is an id")
}

/// So many seconds after the beginning.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_773_051_330 + second).expect("it is an instant")
}
