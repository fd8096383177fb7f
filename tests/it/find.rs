//! What is stored is found: by filters, as of a moment, as a story, as a table, and as what has changed.

use std::collections::BTreeSet;

use conversationd::simulator::{Call, Pace};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

use crate::support::daemon::{TestDaemon, World};

const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";
const CALLER: &str = "MEM-f44c872e-cba9-444f-88ae-0bfa630865a6";
const CALLED: &str = "MEM-25ccda92-839d-4ac6-a7b2-de310224878b";

/// More than are read from the store at one time.
const MANY: usize = 620;

// === filters

#[tokio::test]
async fn a_call_is_found_by_whatever_is_known_of_it() {
    let daemon = recorded().await;
    for (asked, is_found) in [
        ("number=447700000001", true),
        ("number=%2B44%207700%20000001", true),
        ("number=+447700000001", true),
        ("number=00447700000002", true),
        ("number=*000003", true),
        ("number=44770000*", true),
        ("number=447700000009", false),
        ("from=447700000001&to=447700000002", true),
        ("from=447700000002", false),
        ("user=USR-33a51f4d-d06b-42f6-a525-90d2859ab9f6", true),
        ("user=vapi-user-f59c1ff26c0543fdb6c02fd30617a1c0", true),
        ("state=ended&status=completed&direction=inbound&capture=captured", true),
        ("state=live", false),
        ("since=2018-10-25&until=2018-10-26T00:00:00Z", true),
        ("since=24h", false),
        ("min_duration=300&max_duration=5m", true),
        ("min_duration=301", false),
        ("application=0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19", true),
        ("status=", true),
    ] {
        let reply = daemon.get(&format!("/v1/conversations?{asked}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{asked}: {}", reply.text);
        let found = reply.json()["items"].as_array().unwrap().iter().any(|one| one["id"] == TUTORIAL);
        assert_eq!(found, is_found, "{asked}");
    }
}

#[tokio::test]
async fn a_number_without_a_countrys_code_is_one_of_the_default_country() {
    let query = "default_country = \"GB\"".to_owned();
    let daemon = World { signatures: "off", query, ..World::default() }.start().await;
    start(&daemon, 1, "447700900001").await;
    daemon.wait_for("CON-00001", |_| true).await;
    for number in ["07700900001", "07700%20900%20001", "(07700)900001", "0770*", "447700900001"] {
        let list = daemon.get(&format!("/v1/conversations?number={number}")).await.json();
        assert_eq!(ids(&list), ["CON-00001"], "{number}");
    }
}

#[tokio::test]
async fn an_answer_is_compressed_for_whoever_accepts_it() {
    let daemon = recorded().await;
    let path = format!("/v1/conversations/{TUTORIAL}");
    let plain = daemon.get(&path).await;
    for encoding in ["gzip", "zstd"] {
        let response = daemon.get_raw(&path, "accept-encoding", encoding).await;
        assert_eq!(response.headers()["content-encoding"], encoding);
        let bytes = response.bytes().await.unwrap();
        let whole = match encoding {
            "gzip" => None,
            _ => Some(zstd::decode_all(bytes.as_ref()).unwrap()),
        };
        assert!(bytes.len() < plain.text.len());
        assert!(whole.is_none_or(|whole| whole == plain.text.as_bytes()));
    }
}

#[tokio::test]
async fn a_condition_that_makes_no_sense_is_refused_with_what_would() {
    let daemon = World::default().start().await;
    for (asked, word) in [
        ("state=dead", "live or ended"),
        ("capture=all", "captured, pending or missed"),
        ("since=yesterday", "24h"),
        ("min_duration=long", "seconds"),
        ("number=*", "900001"),
        ("order=random", "newest or oldest"),
        ("format=xml", "ndjson"),
        ("nmber=1", "number, from, to"),
        ("state=live&state=ended", "twice"),
        ("since=1h&until=2h", "later than since"),
    ] {
        let reply = daemon.get(&format!("/v1/conversations?{asked}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{asked}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(word), "{asked}: {detail}");
    }
}

#[tokio::test]
async fn the_next_page_keeps_the_filters_and_goes_on_whatever_comes_in() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for number in 0..9 {
        start(&daemon, number, if number % 2 == 0 { "447700900001" } else { "447700900002" }).await;
    }
    daemon.wait_for_path("/v1/conversations", |list| list["items"].as_array().unwrap().len() == 9).await;
    for (order, expected) in [("newest", [8, 6, 4, 2, 0]), ("oldest", [0, 2, 4, 6, 8])] {
        let mut path = format!("/v1/conversations?number=447700900001&order={order}&limit=2");
        let mut found = Vec::new();
        loop {
            let reply = daemon.get(&path).await;
            found.extend(ids(&reply.json()));
            let Some(link) = reply.headers.get("link") else { break };
            let link = link.to_str().unwrap();
            assert!(
                link.contains("number=447700900001") && link.contains(&format!("order={order}")),
                "{link}"
            );
            path = link.split(['<', '>']).nth(1).unwrap().to_owned();
            // One that is newer than all, and that the filter lets through.
            start(&daemon, 50 + found.len() + usize::from(order == "oldest"), "447700900009").await;
        }
        assert_eq!(found, expected.map(|number| format!("CON-{number:05}")), "{order}");
    }
}

// === tables

#[tokio::test]
async fn a_stream_holds_the_whole_and_says_the_same_in_each_format() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let all: BTreeSet<String> = (0..MANY).map(|number| format!("CON-{number:05}")).collect();
    for number in 0..MANY {
        start(&daemon, number, if number == 7 { "=1+1" } else { "447700900001" }).await;
    }
    let newest = format!("/v1/conversations/CON-{:05}", MANY - 1);
    daemon.wait_for_path(&newest, |one| one["status"] == "started").await;

    let ndjson = daemon.get("/v1/conversations?format=ndjson").await;
    assert_eq!(ndjson.content_type, "application/x-ndjson; charset=utf-8");
    let lines: Vec<Value> = ndjson.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), MANY);
    let told: BTreeSet<String> = lines.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, all);

    let csv = daemon.get_as("/v1/conversations", "text/csv").await;
    assert_eq!(csv.content_type, "text/csv; charset=utf-8");
    assert_eq!(csv.headers["content-disposition"], "attachment; filename=\"conversations.csv\"");
    assert_eq!(csv.headers["vary"], "accept");
    let mut table = csv::Reader::from_reader(csv.text.as_bytes());
    let names = table.headers().unwrap().clone();
    let cell = |row: &csv::StringRecord, name: &str| {
        row[names.iter().position(|found| found == name).unwrap()].to_owned()
    };
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), MANY);
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(cell(row, "id"), line["id"].as_str().unwrap());
        assert_eq!(cell(row, "started_at"), line["started_at"].as_str().unwrap(), "the same instant");
        let from = if line["id"] == "CON-00007" { "'=1+1" } else { "447700900001" };
        assert_eq!(cell(row, "from"), from);
    }
    let one = daemon.get("/v1/conversations?format=csv&number=447700900001&limit=3").await;
    assert_eq!(one.text.lines().count(), 4, "as many as were asked for, and the names");
}

#[tokio::test]
async fn a_stream_that_fails_on_the_way_does_not_look_whole() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for number in 0..MANY {
        start(&daemon, number, "447700900001").await;
    }
    let newest = format!("/v1/conversations/CON-{:05}", MANY - 1);
    daemon.wait_for_path(&newest, |one| one["status"] == "started").await;
    let options = SqliteConnectOptions::new().filename(daemon.store_path());
    let mut connection = options.connect().await.unwrap();
    connection
        .execute("UPDATE conversations SET capture_state = 'eaten' WHERE id = 'CON-00003'")
        .await
        .unwrap();
    for format in ["ndjson", "csv"] {
        let path = format!("/v1/conversations?format={format}");
        let whole = async { daemon.get_unread(&path).await?.error_for_status()?.text().await };
        assert!(whole.await.is_err(), "{format}");
    }
    let reply = daemon.get("/v1/conversations?format=csv&order=oldest").await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR, "nothing was sent yet");
}

// === one call

#[tokio::test]
async fn the_members_of_any_moment_are_those_who_were_there() {
    let daemon = recorded().await;
    for (at, caller, called) in [
        ("2018-10-25T09:26:19.203Z", None, None),
        ("2018-10-25T09:26:19.204Z", Some("JOINED"), None),
        ("2018-10-25T09:26:19.384Z", Some("JOINED"), None),
        ("2018-10-25T09:26:19.385Z", Some("JOINED"), Some("INVITED")),
        ("2018-10-25T09:26:30.269Z", Some("JOINED"), Some("INVITED")),
        ("2018-10-25T09:26:30.270Z", Some("JOINED"), Some("JOINED")),
        ("2018-10-25T11:26:30.334%2B02:00", Some("JOINED"), Some("JOINED")),
        ("24h", Some("JOINED"), Some("JOINED")),
    ] {
        let reply = daemon.get(&format!("/v1/conversations/{TUTORIAL}/members?at={at}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{at}: {}", reply.text);
        let list = reply.json();
        let state = |id: &str| {
            let member = list["items"].as_array().unwrap().iter().find(|member| member["id"] == id)?;
            Some(member["state"].as_str().unwrap().to_owned())
        };
        assert_eq!((state(CALLER).as_deref(), state(CALLED).as_deref()), (caller, called), "{at}");
    }
    let now = daemon.get(&format!("/v1/conversations/{TUTORIAL}/members")).await.json();
    let one = daemon.get(&format!("/v1/conversations/{TUTORIAL}")).await.json();
    assert_eq!(now["items"], one["members"]);
    let reply = daemon.get(&format!("/v1/conversations/{TUTORIAL}/members?at=then")).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_timeline_tells_everything_once_in_order_with_when_it_was_learnt() {
    let daemon = recorded().await;
    let path = format!("/v1/conversations/{TUTORIAL}/timeline");
    // The answer webhook's reply is written behind it.
    let list = daemon.wait_for_path(&path, |list| list.to_string().contains("\"ncco\"")).await;
    let items = list["items"].as_array().unwrap();
    let instants: Vec<&str> = items.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    assert!(instants.is_sorted(), "{instants:?}");
    assert!(items.iter().all(|entry| entry["learnt_at"].is_string() && entry["source"].is_string()));
    let of = |kind: &str| -> Vec<String> {
        let of_kind = items.iter().filter(|entry| entry["kind"] == kind);
        let what = of_kind.map(|entry| {
            let word =
                ["about", "state", "outcome", "source"].into_iter().find_map(|key| entry[key].as_str());
            word.unwrap().to_owned()
        });
        what.collect()
    };
    let told = "started ringing started ringing answered answered completed completed answer";
    assert_eq!(of("webhook"), told.split(' ').collect::<Vec<_>>());
    assert_eq!(of("member state"), ["JOINED", "INVITED", "JOINED", "JOINED"]);
    assert_eq!(of("look"), ["seen", "seen", "seen", "seen", "gone"]);
    assert_eq!(of("reply"), ["file"]);
    let reply = items.iter().find(|entry| entry["kind"] == "reply").unwrap();
    assert_eq!(reply["ncco"], json!([{"action": "talk", "text": "Hello."}]));
    let paged = daemon.get(&format!("{path}?limit=7")).await.json();
    let rest = daemon.get(&format!("{path}?limit=500&next={}", paged["next"].as_str().unwrap())).await.json();
    let both = [paged["items"].as_array().unwrap().as_slice(), rest["items"].as_array().unwrap()].concat();
    assert_eq!(&both, items);
}

#[tokio::test]
async fn the_difference_of_two_versions_makes_one_of_the_other() {
    let daemon = recorded().await;
    let path = format!("/v1/conversations/{TUTORIAL}/snapshots");
    let versions = daemon.get(&path).await.json()["items"].as_array().unwrap().len();
    assert!(versions >= 3, "{versions}");
    for to in 1..=versions {
        for against in 1..=versions {
            let reply = daemon.get(&format!("{path}/{to}/diff?against={against}")).await;
            assert_eq!(reply.content_type, "application/json-patch+json");
            let changes: json_patch::Patch = serde_json::from_str(&reply.text).unwrap();
            let mut version = daemon.get(&format!("{path}/{against}")).await.json();
            json_patch::patch(&mut version, &changes).unwrap();
            assert_eq!(version, daemon.get(&format!("{path}/{to}")).await.json(), "{against} to {to}");
        }
    }
    let before = daemon.get(&format!("{path}/2/diff")).await;
    assert_eq!(before.text, daemon.get(&format!("{path}/2/diff?against=1")).await.text);
    assert_eq!(daemon.get(&format!("{path}/1/diff")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(daemon.get(&format!("{path}/1/diff?against=99")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_has_an_answer_already_is_told_so() {
    let daemon = recorded().await;
    let snapshot = format!("/v1/conversations/{TUTORIAL}/snapshots/1");
    for path in
        [format!("/v1/conversations/{TUTORIAL}"), snapshot.clone(), format!("{snapshot}/diff?against=2")]
    {
        let first = daemon.get(&path).await;
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        for had in [tag.clone(), format!("\"other\", {tag}"), tag.replace("W/", ""), "*".to_owned()] {
            let again = daemon.get_with(&path, "if-none-match", &had).await;
            assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path} {had}");
            assert_eq!(again.headers["etag"], tag);
        }
        let other = daemon.get_with(&path, "if-none-match", "\"other\"").await;
        assert_eq!((other.status, &other.text), (StatusCode::OK, &first.text));
    }
    let live = World { signatures: "off", ..World::default() }.start().await;
    start(&live, 1, "447700900001").await;
    live.wait_for("CON-00001", |_| true).await;
    assert!(!live.get("/v1/conversations/CON-00001").await.headers.contains_key("etag"));
}

#[tokio::test]
async fn the_log_is_read_as_a_whole_newest_first() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    start(&daemon, 1, "447700900001").await;
    daemon.post_event(r#"{"whatever": "this is"}"#).await;
    start(&daemon, 2, "447700900001").await;
    let list = daemon.get("/v1/webhooks?limit=2").await.json();
    let numbers = |list: &Value| -> Vec<i64> {
        list["items"].as_array().unwrap().iter().map(|one| one["number"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&list), [3, 2]);
    assert_eq!(list["items"][1]["body"], json!({"whatever": "this is"}));
    let rest =
        daemon.get(&format!("/v1/webhooks?limit=2&next={}", list["next"].as_str().unwrap())).await.json();
    assert_eq!((numbers(&rest), &rest["next"]), (vec![1], &Value::Null));
    let csv = daemon.get("/v1/webhooks?format=csv").await;
    assert_eq!(csv.text.lines().count(), 4);
}

async fn recorded() -> TestDaemon {
    let daemon = World::default().start().await;
    daemon.vonage.play(&Call::tutorial(), Pace::AfterEachLook).await;
    // The last look at it is the one that finds it gone.
    let is_over = |list: &Value| list.to_string().contains("\"gone\"");
    daemon.wait_for_path(&format!("/v1/conversations/{TUTORIAL}/timeline"), is_over).await;
    daemon.wait_for(TUTORIAL, |one| one["state"] == "ended" && one["price"].is_string()).await;
    daemon
}

/// The first event of a call, a second later for each number.
async fn start(daemon: &TestDaemon, number: usize, from: &str) {
    let event = json!({
        "conversation_uuid": format!("CON-{number:05}"), "uuid": format!("leg-{number}"), "status": "started",
        "from": from, "to": "447700900100", "direction": "inbound",
        "timestamp": format!("2026-03-09T10:{:02}:{:02}.000Z", number / 60, number % 60),
    });
    assert_eq!(daemon.post_event(event.to_string()).await.status, StatusCode::NO_CONTENT);
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("it is a list");
    items.iter().map(|one| one["id"].as_str().expect("it has an id").to_owned()).collect()
}
