//! Conversations are found by any of their properties, together and in either order.

use std::sync::Arc;

use conversationd::domain::conversation::{
    Capture, CaptureState, Channel, Ending, Interpretation, Leg, Member, State,
};
use conversationd::domain::filter::{Context, Filter};
use conversationd::domain::history::Revision;
use conversationd::domain::ids::{ApplicationId, ConversationId, LegId, MemberId};
use conversationd::store::{self, Order, Page, Store, Writer};
use jiff::{SignedDuration, Timestamp};
use phonenumber::country;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;

const APPLICATIONS: [&str; 2] =
    ["0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19", "1f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19"];

/// More than are looked up one by one.
const MANY: u32 = 5_200;

#[tokio::test]
async fn each_filter_and_each_pair_of_them_finds_what_has_the_property() {
    let place = Place::with((0..64).map(varied)).await;
    let conditions = [
        ("number", "+44 7700 900001"),
        ("number", "07700900002"),
        ("number", "*00003"),
        ("number", "0044 7700 9000*"),
        ("number", "447700900500"),
        ("number", "447700900600"),
        ("number", "ALICE"),
        ("number", "999"),
        ("from", "447700900001"),
        ("to", "447700900001"),
        ("to", "ali*"),
        ("user", "USR-3"),
        ("user", "bob"),
        ("state", "live"),
        ("state", "ended"),
        ("capture", "captured"),
        ("capture", "missed"),
        ("status", "Completed"),
        ("status", "failed"),
        ("direction", "inbound"),
        ("application", APPLICATIONS[1]),
        ("since", "2026-03-09T10:00:30Z"),
        ("until", "30s"),
        ("min_duration", "10"),
        ("max_duration", "20s"),
    ];
    let all: Vec<Interpretation> = (0..64).map(varied).collect();
    for (nth, one) in conditions.iter().enumerate() {
        let mut alone = 0;
        for other in &conditions[nth..] {
            let asked = if one.0 == other.0 { vec![*one] } else { vec![*one, *other] };
            let expected: Vec<&str> =
                all.iter().rev().filter(|one| holds(one, &asked)).map(|one| one.id.as_str()).collect();
            let found = place.found(&asked, Order::NewestFirst).await;
            assert_eq!(found, expected, "{asked:?}");
            let mut backwards = place.found(&asked, Order::OldestFirst).await;
            backwards.reverse();
            assert_eq!(backwards, expected, "{asked:?}, oldest first");
            alone = alone.max(if asked.len() == 1 { expected.len() } else { 0 });
        }
        assert!(alone < all.len(), "{one:?} leaves nothing out");
        assert!(alone > 0 || one.1 == "999", "{one:?} finds nothing");
    }
}

#[tokio::test]
async fn a_party_of_very_many_calls_is_found_all_the_same() {
    let place = Place::with((0..MANY).map(|number| Interpretation {
        from: Some("447700900100".to_owned()),
        to: Some(format!("4477010{number:05}")),
        duration: Some(i64::from(number)),
        status: Some(if number.is_multiple_of(100) { "failed" } else { "completed" }.to_owned()),
        ..bare(number)
    }))
    .await;
    for (asked, expected) in [
        (vec![("number", "447700900100")], MANY),
        (vec![("number", "447700900100"), ("status", "failed")], MANY.div_ceil(100)),
        (vec![("number", "447700900100"), ("to", "447701000007")], 1),
        (vec![("number", "447700900100"), ("min_duration", "1")], MANY - 1),
        (vec![("number", "447700900100"), ("max_duration", "9"), ("min_duration", "3")], 7),
        (vec![("number", "447700900101")], 0),
    ] {
        let found = place.found(&asked, Order::NewestFirst).await;
        assert_eq!(found.len(), expected as usize, "{asked:?}");
        assert!(found.is_sorted_by(|newer, older| newer > older), "{asked:?}");
    }
}

#[tokio::test]
async fn no_filter_looks_at_what_it_does_not_find() {
    let place = Place::with((0..3).map(bare)).await;
    let options = SqliteConnectOptions::new().filename(place.directory.path().join("store.db"));
    let mut connection = options.connect().await.unwrap();
    for (condition, index) in [
        ("capture_state = 'missed'", "conversations_by_capture"),
        ("status = 'failed'", "conversations_by_status"),
        ("direction = 'inbound'", "conversations_by_direction"),
        ("application_id = 'a'", "conversations_by_application"),
        ("over_from IS NOT 0 AND (over_from IS NULL OR over_from > 5)", "conversations_live"),
        ("listed_at >= 5 AND listed_at < 9", "conversations_newest_first"),
        ("id IN (SELECT conversation_id FROM parties WHERE key = '1')", "parties_by_key"),
        ("id IN (SELECT conversation_id FROM parties WHERE key >= '1' AND key < '2')", "parties_by_key"),
        (
            "id IN (SELECT conversation_id FROM parties WHERE reversed >= '1' AND reversed < '2')",
            "parties_by_ending",
        ),
        ("id IN (SELECT conversation_id FROM members WHERE user_id = '1')", "members_by_user"),
        ("id IN (SELECT conversation_id FROM members WHERE name = '1')", "members_by_name"),
        (
            "id IN (SELECT id FROM conversations AS found WHERE found.duration >= 5)",
            "conversations_by_duration",
        ),
    ] {
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT * FROM conversations WHERE {condition} ORDER BY listed_at DESC, id DESC"
        );
        let plan = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{condition}: {plan:?}");
        assert!(!plan.iter().any(|step| step == "SCAN conversations"), "{condition}: {plan:?}");
    }
}

/// Whether a conversation has what is asked for, worked out without an index.
fn holds(one: &Interpretation, asked: &[(&str, &str)]) -> bool {
    let channels = one.members.iter().filter_map(|member| member.channel.as_ref());
    let legs = one.legs.iter().flat_map(|leg| [&leg.from, &leg.to]);
    let others = channels.flat_map(|channel| [&channel.from, &channel.to]).chain(legs);
    let parties: Vec<&str> =
        [&one.from, &one.to].into_iter().chain(others).filter_map(|party| party.as_deref()).collect();
    let is = |party: &str, text: &str| match text {
        "+44 7700 900001" | "447700900001" => party.trim_start_matches('+') == "447700900001",
        "07700900002" => party == "447700900002",
        "*00003" => party.ends_with("00003"),
        "0044 7700 9000*" => party.trim_start_matches('+').starts_with("4477009000"),
        "447700900600" => party.contains("447700900600"),
        "ali*" | "ALICE" => party == "Alice",
        other => party == other,
    };
    asked.iter().all(|(name, text)| match *name {
        "number" => parties.iter().any(|party| is(party, text)),
        "from" => one.from.as_deref().is_some_and(|party| is(party, text)),
        "to" => one.to.as_deref().is_some_and(|party| is(party, text)),
        "user" => one.members.iter().any(|member| {
            [&member.user_id, &member.name].into_iter().any(|user| user.as_deref() == Some(text))
        }),
        "state" => (one.state(now()) == State::Live) == (*text == "live"),
        "capture" => one.capture.state.as_str() == *text,
        "status" => one.status.as_deref() == Some(&text.to_lowercase()),
        "direction" => one.direction.as_deref() == Some(text),
        "application" => one.application_id.as_ref().is_some_and(|id| id.as_str() == *text),
        "since" => one.started_at >= Some(at(30)),
        "until" => one.started_at < Some(now() - SignedDuration::from_secs(30)),
        "min_duration" => one.duration >= Some(10),
        "max_duration" => one.duration.is_some_and(|duration| duration <= 20),
        other => panic!("{other} is not known"),
    })
}

/// A conversation whose properties depend on its number, each in another rhythm.
fn varied(number: u32) -> Interpretation {
    let party = |nth: u32| match nth % 7 {
        0 => None,
        1 => Some("447700900001".to_owned()),
        2 => Some("447700900002".to_owned()),
        3 => Some("447700900003".to_owned()),
        4 => Some("+447700900001".to_owned()),
        5 => Some("Alice".to_owned()),
        _ => Some("14155550100".to_owned()),
    };
    let leg = Leg {
        id: LegId::parse(format!("leg-{number}")).expect("it is an id"),
        direction: None,
        from: number.is_multiple_of(13).then(|| "sip:447700900600@example.com".to_owned()),
        to: None,
        status: None,
        duration: None,
        price: None,
        statuses: Vec::new(),
        source: None,
    };
    let capture = match number % 3 {
        0 => CaptureState::Captured,
        1 => CaptureState::Pending,
        _ => CaptureState::Missed,
    };
    Interpretation {
        application_id: Some(
            ApplicationId::parse(APPLICATIONS[(number % 4 / 3) as usize]).expect("it is an id"),
        ),
        capture: Capture { state: capture, ..bare(number).capture },
        direction: (!number.is_multiple_of(4))
            .then(|| ["inbound", "outbound"][(number % 2) as usize].to_owned()),
        from: party(number),
        to: party(number / 7),
        ending: match number % 5 {
            0 => Ending::Open,
            1 => Ending::Settling(now() + SignedDuration::from_secs(1)),
            2 => Ending::Settling(now()),
            _ => Ending::Over,
        },
        duration: (!number.is_multiple_of(8)).then(|| i64::from(number)),
        status: Some(["completed", "failed", "answered"][(number / 3 % 3) as usize].to_owned()),
        members: vec![member(number)],
        legs: vec![leg],
        ..bare(number)
    }
}

fn member(number: u32) -> Member {
    Member {
        id: MemberId::parse(format!("MEM-{number}")).expect("it is an id"),
        user_id: Some(format!("USR-{}", number % 5)),
        name: number.is_multiple_of(6).then(|| "bob".to_owned()),
        state: None,
        joined_at: None,
        left_at: None,
        left_source: None,
        channel: Some(Channel {
            kind: Some("phone".to_owned()),
            id: None,
            from: None,
            to: number.is_multiple_of(11).then(|| "447700900500".to_owned()),
        }),
        leg_ids: Vec::new(),
        states: Vec::new(),
    }
}

fn bare(number: u32) -> Interpretation {
    Interpretation {
        id: ConversationId::parse(format!("CON-{number:05}")).expect("it is an id"),
        name: None,
        application_id: None,
        capture: Capture {
            state: CaptureState::Pending,
            reason: None,
            snapshots: 0,
            first_at: None,
            last_at: None,
        },
        direction: None,
        from: None,
        to: None,
        other_parties: Vec::new(),
        first_heard_at: None,
        started_at: Some(at(i64::from(number))),
        answered_at: None,
        ended_at: None,
        ending: Ending::Over,
        duration: None,
        price: None,
        status: None,
        members: Vec::new(),
        legs: Vec::new(),
        latest_snapshot: None,
    }
}

fn at(second: i64) -> Timestamp {
    let start: Timestamp = "2026-03-09T10:00:00Z".parse().expect("it is an instant");
    start + SignedDuration::from_secs(second)
}

fn now() -> Timestamp {
    at(64)
}

struct Place {
    store: Arc<dyn Store>,
    directory: TempDir,
    _writer: Writer,
}

impl Place {
    async fn with(interpretations: impl Iterator<Item = Interpretation>) -> Self {
        let directory = TempDir::new().expect("a directory can be made");
        let (store, writer) =
            store::open(&directory.path().join("store.db")).await.expect("the store is well");
        let revised = interpretations.map(|one| (one, Revision { newest_arrival: 1, looks: 0 }));
        store.save(revised.collect(), None).await.expect("the store is well");
        Self { store, directory, _writer: writer }
    }

    /// The ids of what is found, page by page.
    async fn found(&self, asked: &[(&str, &str)], order: Order) -> Vec<String> {
        let value =
            |name: &str| asked.iter().find(|(asked, _)| *asked == name).map(|(_, text)| (*text).to_owned());
        let context = Context { now: now(), country: Some(country::Id::GB) };
        let filter = Filter::read(value, context).expect("it makes sense");
        let mut found = Vec::new();
        let mut page = Page { order, limit: 500, after: None };
        loop {
            let listed = self.store.conversations(&filter, now(), &page).await.expect("the store is well");
            let Some(last) = listed.last() else { return found };
            page.after = Some(last.position.clone());
            found.extend(listed.into_iter().map(|listed| listed.interpretation.id.to_string()));
        }
    }
}
