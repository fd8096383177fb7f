//! What those who follow along are told.

use std::time::{Duration, Instant};

use conversationd::domain::change::{News, Place};
use conversationd::domain::conversation::{Capture, Ending, Interpretation};
use conversationd::domain::history::Revision;
use conversationd::simulator::{Call, Pace};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::support::daemon::{PATIENCE, TestDaemon, World, standing_still_at};
use crate::support::store::{TestStore, at, bare};

/// How many streams there may be at one time.
const MOST: usize = 64;

/// Streams end before connections are closed on those who hold up the stop.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_call_is_told_in_all_its_parts_and_without_a_body() {
    let daemon = World::default().start().await;
    let mut stream = Stream::open(&daemon, "").await;
    daemon.vonage.play(&Call::tutorial(), Pace::AfterEachLook).await;
    let id = Call::tutorial().conversation.to_string();
    daemon.wait_for(&id, |one| one["state"] == "ended").await;
    let mut told = Vec::new();
    while of(&told, "arrival") != webhooks(&daemon).await
        || of(&told, "snapshot") != snapshots(&daemon, &id).await
        || of(&told, "conversation").last() != Some(&in_short(&daemon, &id).await)
    {
        told.extend(stream.next(1).await);
    }
    assert!(!of(&told, "snapshot").is_empty());
    let mut live = of(&told, "conversation");
    live.retain(|one| one["state"] == "live");
    assert!(!live.is_empty());
    assert!(live.iter().all(|one| one["ended_at"] == Value::Null), "{live:?}");
}

#[tokio::test]
async fn a_reader_who_comes_back_misses_nothing_and_hears_nothing_twice() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for number in 0..5 {
        let event =
            json!({"conversation_uuid": format!("CON-{number}"), "uuid": "leg", "status": "completed"});
        assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
    }
    for number in 0..5 {
        let is_missed = |one: &Value| one["capture"]["state"] == "missed";
        daemon.wait_for(&format!("CON-{number}"), is_missed).await;
    }
    // Five arrivals and five conversations, and nothing more will come.
    let all = Stream::open(&daemon, "?after=0.0.0").await.next(10).await;
    for (nth, last) in all.iter().enumerate() {
        let rest = &all[nth + 1..];
        let by_address = Stream::open(&daemon, &format!("?after={}", last.id)).await.next(rest.len()).await;
        assert_eq!(by_address, rest, "after {}", last.id);
        // A browser says it beside the address that it had at first.
        let mut by_header = Stream::resume(&daemon, "?after=0.0.0", &last.id).await;
        assert_eq!(by_header.next(rest.len()).await, rest, "after {}", last.id);
    }
    // Nothing of what was before is told to one who begins now, not even if it is cut off before the first event.
    let mut begun = Stream::open(&daemon, "").await;
    assert_eq!(begun.id().await, all[9].id);
    assert_eq!(daemon.post_event(json!({"conversation_uuid": "CON-9"}).to_string()).await.status, 204);
    assert_eq!(begun.next(1).await[0].data["conversation_id"], "CON-9");
}

#[tokio::test]
async fn a_stream_can_be_of_one_conversation_or_of_some_kinds() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let transfer = json!({
        "conversation_uuid_from": "CON-1", "conversation_uuid_to": "CON-2", "uuid": "leg", "type": "transfer",
        "timestamp": "2026-03-09T10:15:40.000Z",
    });
    let completed = |id: &str| json!({"conversation_uuid": id, "uuid": "leg", "status": "completed"});
    for event in [completed("CON-1"), completed("CON-2"), transfer, completed("CON-3")] {
        assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
    }
    let numbers = async |query: &str, count: usize| -> Vec<i64> {
        let told = Stream::open(&daemon, query).await.next(count).await;
        assert!(told.iter().all(|told| told.event == "arrival"), "{told:?}");
        told.iter().map(|told| told.data["number"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers("?after=0.0.0&events=arrival", 4).await, [1, 2, 3, 4]);
    assert_eq!(numbers("?after=0.0.0&events=arrival&conversation=CON-1", 2).await, [1, 3]);
    assert_eq!(numbers("?after=0.0.0&events=arrival&conversation=CON-2", 2).await, [2, 3]);
    let both = Stream::open(&daemon, "?after=0.0.0&events=snapshot,%20conversation&conversation=CON-3");
    let told = both.await.next(1).await;
    assert_eq!((told[0].event.as_str(), &told[0].data["id"]), ("conversation", &json!("CON-3")));
}

#[tokio::test]
async fn what_another_process_writes_is_told() {
    // Time stands still, so that the daemon itself writes nothing meanwhile.
    let (world, _clock) = standing_still_at("2026-03-09T10:15:50Z");
    let daemon = world.start().await;
    let mut stream = Stream::open(&daemon, "").await;
    let store = daemon.store().await;
    let call = bare("CON-1", 0);
    store.save(vec![(call, Revision::default())], None).await.unwrap();
    store.close().await;
    assert_eq!(stream.next(1).await[0].data["id"], "CON-1");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let daemon = World::default().start().await;
    for wrong in [
        "after=nonsense",
        "after=1.2",
        "after=-1.0.0",
        "after=0.0.0.0",
        "after=1.0.0",
        "after=0.1.0",
        "after=0.0.1",
        "events=arrivals",
        "events=arrival,,snapshot",
        "conversation=%20",
        "limit=5",
    ] {
        let reply = daemon.get(&format!("/v1/stream?{wrong}")).await;
        assert_eq!(reply.status.as_u16(), 400, "{wrong}");
        assert_eq!(reply.content_type, "application/problem+json", "{wrong}");
        assert!(reply.json()["detail"].is_string(), "{wrong}");
    }
    let reply = request(&daemon, "", Some("nonsense")).await;
    assert_eq!(reply.status().as_u16(), 400);
}

#[tokio::test]
async fn there_are_so_many_streams_at_one_time_and_no_more() {
    let daemon = World::default().start().await;
    let mut streams = Vec::new();
    for _ in 0..MOST {
        streams.push(Stream::open(&daemon, "").await);
    }
    let refused = daemon.get("/v1/stream").await;
    assert_eq!(refused.status.as_u16(), 503);
    assert_eq!(
        (refused.content_type.as_str(), &refused.headers["retry-after"]),
        ("application/problem+json", &"1".parse().unwrap())
    );
    streams.pop();
    let admitted = async {
        while request(&daemon, "", None).await.status().as_u16() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, admitted).await.expect("there is room again");
}

#[tokio::test]
async fn streams_do_not_hold_up_the_stop() {
    let mut daemon = World::default().start().await;
    let mut stream = Stream::open(&daemon, "").await;
    stream.id().await;
    let began = Instant::now();
    daemon.stop().await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(stream.is_at_end().await);
}

#[tokio::test]
async fn what_is_saved_again_without_a_change_is_no_news() {
    let mut place = TestStore::open().await;
    place.save([bare("CON-1", 0), bare("CON-2", 0)]).await;
    assert_eq!(changed(&place, 0).await, [("CON-1".to_owned(), 1), ("CON-2".to_owned(), 2)]);
    place.save([bare("CON-1", 0), bare("CON-2", 0)]).await;
    assert_eq!(changed(&place, 2).await, []);
    // A look that found what was there moves only the time of the last.
    let confirmed = |id: &str, second: i64| {
        let one = bare(id, 0);
        Interpretation { capture: Capture { last_at: Some(at(second)), ..one.capture }, ..one }
    };
    place.save([confirmed("CON-1", 15)]).await;
    place.save([confirmed("CON-1", 30)]).await;
    assert_eq!(changed(&place, 2).await, []);
    let whole = place.store.conversation(&bare("CON-1", 0).id).await.unwrap().unwrap();
    assert_eq!(whole.capture.last_at, Some(at(30)), "it is kept all the same");
    // What shows nowhere but in the state is a change.
    for (ending, number) in [(Ending::Settling(at(60)), 3), (Ending::Over, 4), (Ending::Open, 5)] {
        place.save([Interpretation { ending, ..confirmed("CON-1", 30) }]).await;
        assert_eq!(changed(&place, number - 1).await, [("CON-1".to_owned(), number)], "{ending:?}");
    }
    let all = changed(&place, 0).await;
    assert_eq!(all, [("CON-2".to_owned(), 2), ("CON-1".to_owned(), 5)], "only the last change of each");
    assert_eq!(place.store.end().await.unwrap(), Place { arrival: 0, snapshot: 0, change: 5 });
}

#[tokio::test]
async fn whoever_waits_is_told_of_whatever_was_written() {
    let mut place = TestStore::open().await;
    let mut written = place.store.written();
    written.mark_unchanged();
    place.append("CON-1", 0).await;
    assert!(written.has_changed().unwrap(), "an arrival");
    written.mark_unchanged();
    place.keep("CON-1", 0).await;
    assert!(written.has_changed().unwrap(), "a snapshot");
    written.mark_unchanged();
    place.save([bare("CON-1", 0)]).await;
    assert!(written.has_changed().unwrap(), "an interpretation");
}

#[tokio::test]
async fn the_logs_are_read_in_pieces_that_fit_together() {
    let mut place = TestStore::open().await;
    for second in 0..5 {
        place.append("CON-1", second).await;
        place.keep("CON-1", second).await;
    }
    place.save((0..3).map(|number| bare(&format!("CON-{number}"), number))).await;
    let whole = place.store.changes(Place::default(), 100).await.unwrap();
    assert_eq!(whole.len(), 13);
    assert_eq!(whole.last().map(|change| change.place), Some(place.store.end().await.unwrap()));
    for limit in [1, 2, 3] {
        let (mut at, mut read) = (Place::default(), Vec::new());
        loop {
            let piece = place.store.changes(at, limit).await.unwrap();
            let Some(last) = piece.last() else { break };
            at = last.place;
            read.extend(piece.into_iter().map(|change| change.news));
        }
        assert_eq!(read.len(), whole.len(), "{limit}");
        for change in &whole {
            assert!(read.contains(&change.news), "{limit}: {change:?}");
        }
    }
}

/// What was told of one kind.
fn of(told: &[Told], event: &str) -> Vec<Value> {
    told.iter().filter(|told| told.event == event).map(|told| told.data.clone()).collect()
}

/// All webhooks, oldest first, as they should be told.
async fn webhooks(daemon: &TestDaemon) -> Vec<Value> {
    let names =
        ["number", "endpoint", "kind", "conversation_id", "transferred_to", "application_id", "received_at"];
    let list = daemon.get("/v1/webhooks").await.json();
    list["items"]
        .as_array()
        .expect("it is a list")
        .iter()
        .rev()
        .map(|webhook| some(webhook, &names))
        .collect()
}

/// The versions of a conversation, as they should be told.
async fn snapshots(daemon: &TestDaemon, id: &str) -> Vec<Value> {
    let list = daemon.get(&format!("/v1/conversations/{id}/snapshots")).await.json();
    let told = |one: &Value| {
        let mut told = some(one, &["number", "taken_at"]);
        told["conversation_id"] = json!(id);
        told
    };
    list["items"].as_array().expect("it is a list").iter().map(told).collect()
}

/// A conversation, as it should be told.
async fn in_short(daemon: &TestDaemon, id: &str) -> Value {
    let whole = daemon.get(&format!("/v1/conversations/{id}")).await.json();
    let mut short = some(&whole, &["id", "state", "status", "from", "to", "started_at", "ended_at"]);
    short["capture"] = some(&whole["capture"], &["state"]);
    short
}

fn some(item: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), item[*name].clone())).collect()
}

/// The conversations that changed after the change of this number, and the numbers of their changes.
async fn changed(place: &TestStore, change: i64) -> Vec<(String, i64)> {
    let changes =
        place.store.changes(Place { change, ..Place::default() }, 100).await.expect("the store is well");
    let conversation = |news: News| match news {
        News::Conversation(news) => news.id.to_string(),
        other => panic!("{other:?}"),
    };
    changes.into_iter().map(|one| (conversation(one.news), one.place.change)).collect()
}

/// A reader of `/v1/stream`.
struct Stream {
    response: Response,
    text: String,
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    id: String,
    event: String,
    data: Value,
}

impl Stream {
    async fn open(daemon: &TestDaemon, query: &str) -> Self {
        Self::of(request(daemon, query, None).await)
    }

    async fn resume(daemon: &TestDaemon, query: &str, last: &str) -> Self {
        Self::of(request(daemon, query, Some(last)).await)
    }

    fn of(response: Response) -> Self {
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next events.
    async fn next(&mut self, count: usize) -> Vec<Told> {
        let mut all = Vec::new();
        let coming = async {
            while all.len() < count {
                all.extend(self.told().await);
            }
        };
        // As a whole: the signs of life in between have no end.
        tokio::time::timeout(PATIENCE, coming).await.expect("so much is told");
        all
    }

    /// The place that it begins at.
    async fn id(&mut self) -> String {
        let block = self.block().await.expect("it has begun");
        block.strip_prefix("id: ").expect("an id comes first").to_owned()
    }

    async fn is_at_end(&mut self) -> bool {
        self.block().await.is_none()
    }

    /// The next event; `None` for what only says where it begins, or that it goes on.
    async fn told(&mut self) -> Option<Told> {
        let block = self.block().await.expect("it goes on");
        let field = |name: &str| {
            let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned)
        };
        let data = serde_json::from_str(&field("data")?).expect("it is JSON");
        Some(Told { id: field("id")?, event: field("event")?, data })
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("something comes").expect("the stream is whole")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("events are text"));
        }
    }
}

async fn request(daemon: &TestDaemon, query: &str, last: Option<&str>) -> Response {
    let client = Client::builder().no_proxy().build().expect("a client can be had");
    let url = daemon.private_url().join(&format!("v1/stream{query}")).expect("it is a URL");
    let request = last.into_iter().fold(client.get(url), |request, id| request.header("last-event-id", id));
    request.send().await.expect("the daemon replies")
}
