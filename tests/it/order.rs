//! What a history means depends neither on the order in which its parts came nor on what came twice: rules for
//! generated calls, and everything that was ever recorded at once.

use conversationd::domain::arrival::{Arrival, Endpoint};
use conversationd::domain::call::ListedCall;
use conversationd::domain::conversation::{Ending, Interpretation};
use conversationd::domain::history::History;
use conversationd::domain::ids::{ApplicationId, ConversationId, LegId, MemberId};
use conversationd::domain::snapshot::{Document, DocumentName, Sighting, Snapshot};
use conversationd::domain::statement::LeftSource;
use conversationd::flow::interpret::interpret;
use conversationd::flow::timeline::timeline;
use conversationd::simulator::{Action, Call, Target};
use conversationd::vonage::webhook::Webhook;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::interpret::{
    APPLICATION, CONVERSATION, TUTORIAL, arrival, history, instant, snapshot, story, whole,
};
use super::support::data;

const ELSEWHERE: &str = "CON-9a8b7c6d-1e2f-4a3b-9c4d-5e6f70819203";

// === rules for all calls

proptest! {
    #[test]
    fn neither_the_order_of_reading_nor_repetition_changes_anything(call in calls(), mix in mixes()) {
        let history = call.history();
        let expected = interpret(&history);
        let mixed = History {
            arrivals: mix.applied(&history.arrivals),
            snapshots: mix.applied(&history.snapshots),
            listed: mix.applied(&history.listed),
            ..history.clone()
        };
        prop_assert_eq!(interpret(&mixed), expected.clone());
        prop_assert_eq!(interpret(&history), expected, "a second time");
    }

    #[test]
    fn the_order_of_arrival_changes_only_who_told_first(call in calls(), mix in mixes()) {
        let history = call.history();
        let mut places: Vec<(i64, Timestamp)> =
            history.arrivals.iter().map(|one| (one.number, one.event.received_at)).collect();
        mix.shuffle(&mut places);
        let mut otherwise = history.clone();
        for (one, (number, received_at)) in otherwise.arrivals.iter_mut().zip(places) {
            (one.number, one.event.received_at, one.last_received_at) = (number, received_at, received_at);
        }
        prop_assert_eq!(apart_from_reception(interpret(&otherwise)), apart_from_reception(interpret(&history)));
    }

    #[test]
    fn a_start_that_comes_after_the_end_changes_nothing_but_its_own_entry(call in calls(), leg in 0..3_usize) {
        let mut without = Script { lost: Vec::new(), ..call }.history();
        let leg = format!("leg-{}", leg % without.legs());
        let starts = |one: &Arrival| {
            let body: Value = serde_json::from_slice(&one.event.delivery.body).expect("it is JSON");
            body["status"] == "started" && body["uuid"] == leg.as_str()
        };
        let (mut started, rest): (Vec<Arrival>, Vec<Arrival>) = without.arrivals.into_iter().partition(starts);
        without.arrivals = rest;
        let mut late = without.clone();
        let mut started = started.remove(0);
        (started.number, started.event.received_at) = (1000, instant("2026-03-09T11:00:00Z"));
        late.arrivals.push(started);
        let apart_from_it = |history: &History| {
            let mut told = interpret(history);
            let ours = told.legs.iter_mut().find(|one| one.id.as_str() == leg).expect("there are other webhooks");
            let count = ours.statuses.len();
            ours.statuses.retain(|status| status.status != "started");
            // An event may have told of it too, with another time; this is the first of all times.
            let removed = count - ours.statuses.len();
            told.started_at = None;
            (removed, told)
        };
        let (before, expected) = apart_from_it(&without);
        let (after, found) = apart_from_it(&late);
        prop_assert!(before <= 1 && after == 1);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn instants_of_any_year_end_nothing(call in calls(), mix in mixes(), odd in odd_instants()) {
        let history = odd.applied(call.history());
        let expected = interpret(&history);
        let mixed = History {
            arrivals: mix.applied(&history.arrivals),
            snapshots: mix.applied(&history.snapshots),
            listed: mix.applied(&history.listed),
            ..history.clone()
        };
        prop_assert_eq!(interpret(&mixed), expected.clone());
        prop_assert!(timeline(&history, &[]).len() >= history.arrivals.len());
        // What was heard within minutes is settled within days, whatever it is stamped with.
        if let Ending::Settling(at) = expected.ending {
            prop_assert!(at < moment(0) + SignedDuration::from_hours(72), "{at}");
        }
    }

    #[test]
    fn no_status_and_no_state_is_told_twice(call in calls()) {
        let told = interpret(&call.history());
        for leg in &told.legs {
            let near = leg.statuses.iter().enumerate().any(|(index, one)| {
                leg.statuses[..index].iter().any(|other| {
                    other.status == one.status
                        && other.detail == one.detail
                        && one.at.duration_since(other.at).abs() < SignedDuration::from_millis(500)
                        && one.status != "transferred"
                })
            });
            prop_assert!(!near, "{:?}", leg.statuses);
        }
        for member in &told.members {
            let mut states: Vec<_> = member.states.iter().map(|state| (&state.state, state.at)).collect();
            states.sort();
            let count = states.len();
            states.dedup();
            prop_assert_eq!(states.len(), count);
            prop_assert!(member.state.iter().all(|state| ["INVITED", "JOINED", "LEFT"].contains(&state.as_str())));
        }
    }
}

/// What instants are replaced with.
#[derive(Debug, Clone)]
struct OddInstants {
    /// In the order in which they are met, over and over; `None` leaves one as it is.
    replacements: Vec<Option<Timestamp>>,
}

fn odd_instants() -> impl Strategy<Value = OddInstants> {
    let edges = prop::sample::select(vec![
        Timestamp::MIN,
        Timestamp::UNIX_EPOCH,
        instant("0001-01-01T00:00:00Z"),
        instant("2036-03-09T10:15:41.902Z"),
        instant("9999-12-30T21:59:59Z"),
        Timestamp::MAX,
    ]);
    let any = (Timestamp::MIN.as_second()..=Timestamp::MAX.as_second())
        .prop_map(|second| Timestamp::from_second(second).expect("it is in range"));
    let replacement = prop::option::weighted(0.5, prop_oneof![3 => edges, 1 => any]);
    prop::collection::vec(replacement, 1..40).prop_map(|replacements| OddInstants { replacements })
}

// === impl OddInstants ===

impl OddInstants {
    /// The history with its instants replaced, wherever Vonage would have written one.
    fn applied(&self, mut history: History) -> History {
        let mut next = self.replacements.iter().cycle();
        for arrival in &mut history.arrivals {
            arrival.event.delivery.body = replaced(&arrival.event.delivery.body, &mut next);
            arrival.event.occurred_at =
                Webhook::read(&arrival.event.delivery).expect("it is JSON").timestamp();
        }
        for snapshot in &mut history.snapshots {
            for document in &mut snapshot.sighting.documents {
                *document = Document::new(document.name.clone(), replaced(&document.body, &mut next));
            }
        }
        for call in &mut history.listed {
            for at in [&mut call.start_time, &mut call.end_time] {
                *at = next.next().copied().flatten().or(*at);
            }
            // Else the webhooks' own end says all that the list's would.
            call.status = call.end_time.map(|_| "busy".to_owned());
        }
        history
    }
}

fn replaced<'a>(body: &[u8], next: &mut impl Iterator<Item = &'a Option<Timestamp>>) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(body).expect("it is JSON");
    replace_instants(&mut body, next);
    body.to_string().into_bytes()
}

fn replace_instants<'a>(value: &mut Value, next: &mut impl Iterator<Item = &'a Option<Timestamp>>) {
    match value {
        Value::String(text) if text.parse::<Timestamp>().is_ok() => {
            if let Some(Some(at)) = next.next() {
                *text = at.to_string();
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| replace_instants(part, next)),
        Value::Object(parts) => parts.values_mut().for_each(|part| replace_instants(part, next)),
        _ => {}
    }
}

/// An interpretation without what depends on who told first and when: the sources of states and when they told, and until when
/// `busy` may still be followed by something.
fn apart_from_reception(mut told: Interpretation) -> Interpretation {
    for state in told.members.iter_mut().flat_map(|member| &mut member.states) {
        state.source.clear();
        state.learnt_at = Timestamp::UNIX_EPOCH;
    }
    for member in &mut told.members {
        // Of several webhooks that tell of it the first counts.
        if let Some(LeftSource::Rtc { number }) = &mut member.left_source {
            *number = 0;
        }
    }
    if matches!(told.ending, Ending::Settling(_)) {
        told.ending = Ending::Settling(Timestamp::UNIX_EPOCH);
    }
    told
}

// === everything at once

#[test]
fn every_recorded_body_is_folded_with_every_document() {
    let bodies = |folder: &str| -> Vec<Vec<u8>> {
        data::names(folder).iter().map(|name| data::bytes(&format!("{folder}/{name}"))).collect()
    };
    let (webhooks, events) = (bodies("events"), bodies("rtc"));
    let at = instant("2026-03-09T10:15:30Z");
    let all_posted =
        webhooks.iter().chain(&events).flat_map(|body| Endpoint::ALL.map(|endpoint| (endpoint, body)));
    let arrivals: Vec<Arrival> =
        (1..).zip(all_posted).map(|(number, (endpoint, body))| arrival(number, endpoint, body, at)).collect();
    let everything = interpret(&history(CONVERSATION, arrivals.clone(), Vec::new()));
    assert!(everything.members.len() >= 2 && everything.legs.len() >= 3);
    for body in bodies("conversations") {
        let documents = [
            Document::new(DocumentName::Conversation, body.clone()),
            Document::new(DocumentName::Members(1), body.clone()),
            Document::new(DocumentName::Member(MemberId::parse("MEM-1").unwrap()), body.clone()),
            Document::new(DocumentName::Events { after: 0, page: 1 }, body),
        ];
        for count in 1..=documents.len() {
            let seen = version(1, at, documents[..count].to_vec());
            let told = interpret(&history(CONVERSATION, arrivals.clone(), vec![seen]));
            assert!(told.legs.len() >= everything.legs.len());
        }
    }
}

#[test]
fn the_tutorials_call_is_told_moment_by_moment() {
    for file in ["seed_v0.3_id_members", "seed_beta_uuid_members"] {
        let application = ApplicationId::parse(APPLICATION).unwrap();
        let call = Call::tutorial().told_by_rtc(&application);
        let webhooks = call.steps.iter().filter_map(|step| match &step.action {
            Action::Webhook(webhook) => Some((step.at, webhook)),
            Action::Change(_) => None,
        });
        let arrivals = (1..).zip(webhooks).map(|(number, (at, webhook))| {
            let endpoint = match webhook.target {
                Target::Answer => Endpoint::Answer,
                Target::Event => Endpoint::Event,
                Target::Rtc => Endpoint::Rtc,
                Target::Fallback => Endpoint::Fallback,
            };
            arrival(number, endpoint, &webhook.body, at + SignedDuration::from_millis(50))
        });
        let arrivals: Vec<Arrival> = arrivals.collect();
        let seed = snapshot(TUTORIAL, 1, "2018-10-25T09:26:31Z", &[whole(file)]);
        let told = interpret(&history(TUTORIAL, arrivals, vec![seed]));
        insta::allow_duplicates! {
            insta::assert_snapshot!(story(&told), @r"
        CON-bc643220-2542-499a-892e-c982c4150c06 NAM-1b2c4274-e3f2-494e-89c4-46856ee84a8b of 0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19
        inbound 447700000001 -> 447700000002, completed
        started 2018-10-25T09:26:18.991Z, answered 2018-10-25T09:26:30.340Z
        ended 2018-10-25T09:31:30.179Z (Over)
        Some(300) s, 0.02250000 EUR, Captured
        MEM-f44c872e-cba9-444f-88ae-0bfa630865a6 JOINED USR-33a51f4d-d06b-42f6-a525-90d2859ab9f6
          phone 447700000001 -> 447700000002 by 797168e24c19a3c45e74e05b10fef2b5, legs 797168e24c19a3c45e74e05b10fef2b5
          2018-10-25T09:26:19.204Z JOINED told by rtc
          2018-10-25T09:26:30.334Z JOINED told by rtc
        MEM-25ccda92-839d-4ac6-a7b2-de310224878b JOINED vapi-user-f59c1ff26c0543fdb6c02fd30617a1c0
          phone Unknown -> 447700000001 by 30cecc87-7ac9-4d03-910a-e9d69558263c, legs 30cecc87-7ac9-4d03-910a-e9d69558263c
          2018-10-25T09:26:19.385Z INVITED told by rtc
          2018-10-25T09:26:30.270Z JOINED told by rtc
        797168e24c19a3c45e74e05b10fef2b5 inbound 447700000001 -> 447700000002, completed
          Some(300) s, 0.02250000 EUR
          2018-10-25T09:26:18.991Z started
          2018-10-25T09:26:18.991Z ringing
          2018-10-25T09:26:30.340Z answered
          2018-10-25T09:31:30.179Z completed
        30cecc87-7ac9-4d03-910a-e9d69558263c outbound Unknown -> 447700000003, completed
          Some(300) s, 0.12000000 EUR
          2018-10-25T09:26:24.384Z started
          2018-10-25T09:26:24.384Z ringing
          2018-10-25T09:26:30.277Z answered
          2018-10-25T09:31:30.179Z completed
        ");
        }
    }
}

// === generated calls

/// What becomes of a leg.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Completed,
    Busy,
    Cancelled,
    Rejected,
    GoesOn,
    Transferred,
    Returned,
}

/// A call, and what was heard and seen of it.
#[derive(Debug, Clone)]
struct Script {
    legs: Vec<Outcome>,
    /// Whether the callees' events come from the caller's member.
    is_mixed_up: bool,
    /// Which arrivals never came.
    lost: Vec<bool>,
    /// Which of the versions were taken.
    seen: Vec<bool>,
    /// Which of the legs are in the list of calls.
    listed: Vec<bool>,
}

/// Another order, and what is there twice.
#[derive(Debug, Clone)]
struct Mix {
    keys: Vec<u32>,
    twice: Vec<bool>,
}

fn calls() -> impl Strategy<Value = Script> {
    use Outcome::{Busy, Cancelled, Completed, GoesOn, Rejected, Returned, Transferred};
    let outcome =
        prop::sample::select(vec![Completed, Busy, Cancelled, Rejected, GoesOn, Transferred, Returned]);
    (
        prop::collection::vec(outcome, 1..=3),
        any::<bool>(),
        prop::collection::vec(prop::bool::weighted(0.2), 40),
        prop::collection::vec(any::<bool>(), 4),
        prop::collection::vec(any::<bool>(), 3),
    )
        .prop_map(|(legs, is_mixed_up, lost, seen, listed)| Script {
            legs,
            is_mixed_up,
            lost,
            seen,
            listed,
        })
}

fn mixes() -> impl Strategy<Value = Mix> {
    (prop::collection::vec(any::<u32>(), 64), prop::collection::vec(prop::bool::weighted(0.2), 64))
        .prop_map(|(keys, twice)| Mix { keys, twice })
}

// === impl Mix ===

impl Mix {
    fn shuffle<T: Clone>(&self, items: &mut [T]) {
        let mut keyed: Vec<(u32, T)> = self.keys.iter().copied().cycle().zip(items.iter().cloned()).collect();
        keyed.sort_by_key(|(key, _)| *key);
        for (place, (_, item)) in items.iter_mut().zip(keyed) {
            *place = item;
        }
    }

    fn applied<T: Clone>(&self, items: &[T]) -> Vec<T> {
        let again = items.iter().zip(self.twice.iter().cycle()).filter(|(_, twice)| **twice);
        let mut mixed: Vec<T> = items.iter().chain(again.map(|(item, _)| item)).cloned().collect();
        self.shuffle(&mut mixed);
        mixed
    }
}

// === impl Script ===

/// A generated history knows how many legs it is about.
trait Legs {
    fn legs(&self) -> usize;
}

impl Legs for History {
    fn legs(&self) -> usize {
        self.arrivals.iter().filter(|one| one.event.kind == "started").count()
    }
}

impl Script {
    fn history(&self) -> History {
        let mut told: Vec<(Timestamp, Endpoint, Value)> = Vec::new();
        for (index, outcome) in self.legs.iter().enumerate() {
            told.extend(statuses(index, *outcome).into_iter().map(|(at, body)| (at, Endpoint::Event, body)));
        }
        let events = self.events();
        told.extend(events.iter().map(|(at, body)| (*at, Endpoint::Rtc, body.clone())));
        told.sort_by_key(|(at, ..)| *at);
        let heard = told.into_iter().zip(self.lost.iter().copied().chain(std::iter::repeat(false)));
        let heard = heard.filter(|(_, lost)| !lost).map(|(told, _)| told);
        let arrivals = (1..).zip(heard).map(|(number, (at, endpoint, body))| {
            arrival(number, endpoint, body.to_string().as_bytes(), at + SignedDuration::from_millis(70))
        });
        let moments = [3_000, 9_000, 40_000, 100_000].into_iter().zip(&self.seen).filter(|(_, seen)| **seen);
        let snapshots = (1..).zip(moments).map(|(number, (at, _))| self.seen_at(number, moment(at), &events));
        let listed = self.legs.iter().enumerate().zip(&self.listed).filter(|(_, listed)| **listed);
        let listed = listed.map(|((index, outcome), _)| listed_call(index, *outcome)).collect();
        History { listed, ..history(CONVERSATION, arrivals.collect(), snapshots.collect()) }
    }

    /// The conversation's events in order, numbered.
    fn events(&self) -> Vec<(Timestamp, Value)> {
        let mut events = Vec::new();
        for (index, outcome) in self.legs.iter().enumerate() {
            let from = if self.is_mixed_up { 0 } else { index };
            for (kind, at) in member_times(index, *outcome) {
                let body = member_body(index, kind, at);
                let body =
                    json!({"type": format!("member:{kind}"), "from": format!("MEM-{from}"), "body": body});
                events.push((at + SignedDuration::from_millis(3), body));
            }
            let history: Vec<Value> = statuses(index, *outcome)
                .iter()
                .filter(|(_, status)| status["status"] != Value::Null)
                .map(|(at, status)| {
                    let at = *at - SignedDuration::from_millis(40);
                    json!({"conversation_id": CONVERSATION, "status": status["status"], "date": text(at)})
                })
                .collect();
            let last = statuses(index, *outcome).last().map_or(moment(0), |(at, _)| *at);
            let body = json!({
                "leg_id": format!("leg-{index}"), "direction": "outbound",
                "status": history.last().map(|last| last["status"].clone()), "statusHistory": history,
            });
            let update = json!({"type": "leg:status:update", "from": format!("MEM-{index}"), "body": body});
            events.push((last + SignedDuration::from_millis(5), update));
        }
        for (kind, at) in
            [("audio:mute:on", 20_000), ("audio:mute:off", 21_000), ("audio:earmuff:on", 22_000)]
        {
            let switched = json!({"type": kind, "from": "MEM-0", "to": "MEM-0", "body": {"rtc_id": "leg-0"}});
            events.push((moment(at), switched));
        }
        events.sort_by_key(|(at, _)| *at);
        for (id, (at, event)) in (1..).zip(&mut events) {
            event["id"] = json!(id);
            event["timestamp"] = json!(text(*at));
            event["conversation_id"] = json!(CONVERSATION);
        }
        events
    }

    /// What a look finds: the members as they are, and the events so far.
    fn seen_at(&self, number: u32, at: Timestamp, events: &[(Timestamp, Value)]) -> Snapshot {
        let mut members = Vec::new();
        for (index, outcome) in self.legs.iter().enumerate() {
            let times: Vec<_> =
                member_times(index, *outcome).into_iter().filter(|(_, since)| *since <= at).collect();
            let Some((last, _)) = times.last() else { continue };
            let mut member = member_body(index, last, at);
            member["timestamp"] =
                times.iter().map(|(kind, at)| ((*kind).to_owned(), json!(text(*at)))).collect();
            member["member_id"] = json!(format!("MEM-{index}"));
            member["user_id"] = json!(format!("USR-{index}"));
            member["state"] = json!(last);
            members.push(member);
        }
        let whole =
            json!({"id": CONVERSATION, "timestamp": {"created": text(moment(10))}, "members": members});
        let so_far: Vec<&Value> =
            events.iter().filter(|(since, _)| *since <= at).map(|(_, event)| event).collect();
        let list = json!({"_embedded": {"events": so_far}});
        let documents = vec![
            Document::new(DocumentName::Conversation, whole.to_string().into_bytes()),
            Document::new(DocumentName::Events { after: 0, page: 1 }, list.to_string().into_bytes()),
        ];
        version(number, at, documents)
    }
}

/// A leg's webhooks.
fn statuses(index: usize, outcome: Outcome) -> Vec<(Timestamp, Value)> {
    let begin = 5_000 * i64::try_from(index).unwrap_or(0);
    let told = |status: &str, at: i64| {
        let mut body = json!({
            "status": status, "uuid": format!("leg-{index}"), "conversation_uuid": CONVERSATION,
            "direction": if index == 0 { "inbound" } else { "outbound" },
            "from": "447700900001", "to": "447700900100", "timestamp": text(moment(begin + at)),
        });
        if status == "completed" {
            (body["duration"], body["price"]) = (json!("50"), json!("0.02"));
        }
        (moment(begin + at), body)
    };
    let moved = |from: &str, to: &str, at: i64| {
        let body = json!({
            "type": "transfer", "uuid": format!("leg-{index}"), "conversation_uuid_from": from,
            "conversation_uuid_to": to, "timestamp": text(moment(begin + at)),
        });
        (moment(begin + at), body)
    };
    let mut told_so_far = vec![told("started", 0), told("ringing", 0)];
    match outcome {
        Outcome::Busy => told_so_far.extend([told("busy", 4_000), told("completed", 3_900)]),
        Outcome::Cancelled => told_so_far.push(told("cancelled", 4_000)),
        Outcome::Rejected => told_so_far.push(told("rejected", 100)),
        Outcome::GoesOn => told_so_far.push(told("answered", 6_500)),
        Outcome::Completed => told_so_far.extend([told("answered", 6_500), told("completed", 60_000)]),
        Outcome::Transferred => {
            told_so_far.extend([told("answered", 6_500), moved(CONVERSATION, ELSEWHERE, 30_000)]);
        }
        Outcome::Returned => told_so_far.extend([
            told("answered", 6_500),
            moved(CONVERSATION, ELSEWHERE, 30_000),
            moved(ELSEWHERE, CONVERSATION, 33_000),
            told("completed", 60_000),
        ]),
    }
    told_so_far
}

/// When the leg's member gets into which state.
fn member_times(index: usize, outcome: Outcome) -> Vec<(&'static str, Timestamp)> {
    let begin = 5_000 * i64::try_from(index).unwrap_or(0);
    let mut times = Vec::new();
    if index > 0 {
        times.push(("invited", moment(begin + 200)));
    }
    if !matches!(outcome, Outcome::Busy | Outcome::Cancelled | Outcome::Rejected) {
        times.push(("joined", moment(begin + 6_400)));
    }
    if matches!(outcome, Outcome::Completed | Outcome::Returned) {
        times.push(("left", moment(begin + 60_200)));
    }
    times
}

fn member_body(index: usize, kind: &str, at: Timestamp) -> Value {
    let mut user = json!({"user_id": format!("USR-{index}"), "name": format!("user {index}")});
    if kind == "invited" {
        user["member_id"] = json!(format!("MEM-{index}"));
    }
    let channel = json!({"type": "phone", "id": format!("leg-{index}"), "leg_ids": [format!("leg-{index}")]});
    json!({"user": user, "channel": channel, "timestamp": {kind: text(at)}})
}

fn listed_call(index: usize, outcome: Outcome) -> ListedCall {
    let ends = statuses(index, outcome);
    let status = match outcome {
        Outcome::GoesOn => "answered",
        Outcome::Cancelled => "cancelled",
        Outcome::Rejected => "rejected",
        _ => "completed",
    };
    ListedCall {
        leg_id: LegId::parse(format!("leg-{index}")).expect("it is an id"),
        conversation_id: ConversationId::parse(CONVERSATION).ok(),
        status: Some(status.to_owned()),
        direction: Some("outbound".to_owned()),
        from: Some("447700900001".to_owned()),
        to: None,
        rate: None,
        price: Some("0.02".to_owned()),
        duration: Some(50),
        start_time: ends.first().map(|(at, _)| *at),
        end_time: ends.last().map(|(at, _)| *at).filter(|_| outcome != Outcome::GoesOn),
        network: None,
    }
}

fn version(number: u32, taken_at: Timestamp, documents: Vec<Document>) -> Snapshot {
    Snapshot {
        conversation_id: ConversationId::parse(CONVERSATION).expect("it is an id"),
        number,
        sighting: Sighting {
            taken_at,
            family: "v0.3".to_owned(),
            sequence_number: None,
            documents,
            region: None,
        },
        confirmed_at: taken_at,
    }
}

/// So many milliseconds after the call began.
fn moment(after_ms: i64) -> Timestamp {
    instant("2026-03-09T10:00:00Z") + SignedDuration::from_millis(after_ms)
}

fn text(at: Timestamp) -> String {
    format!("{at:.3}")
}
