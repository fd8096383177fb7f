//! What a browser sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use conversationd::domain::digest::Digest;
use conversationd::domain::filter::Filter;
use conversationd::simulator::{Call, Pace};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::daemon::{Reply, TestDaemon, World, standing_still_at};

const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";
const CALLED: &str = "MEM-25ccda92-839d-4ac6-a7b2-de310224878b";

// === the list

#[tokio::test]
async fn the_tutorials_call_is_on_the_list() {
    let daemon = recorded().await;
    let page = page(&daemon, "/").await;
    let row = row(&page, TUTORIAL);
    for told in [
        "<time datetime=\"2018-10-25T09:26:18",
        "447700000001 → 447700000002",
        "inbound",
        "completed",
        "5m",
        "ended",
        "captured",
    ] {
        assert!(row.contains(told), "{told}: {row}");
    }
    assert!(!page.contains("Not seen"), "{page}");
}

#[tokio::test]
async fn every_condition_is_on_the_form_and_stays_there() {
    let daemon = recorded().await;
    for name in Filter::NAMES {
        let value = match name {
            "number" | "from" | "to" => "+44 7700 000001",
            "state" => "ended",
            "capture" => "captured",
            "direction" => "inbound",
            "since" => "2018-10-25",
            "until" => "24h",
            "min_duration" => "300",
            "max_duration" => "5m",
            "application" => "0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19",
            "status" => "completed",
            _ => "USR-33a51f4d-d06b-42f6-a525-90d2859ab9f6",
        };
        let asked = query(&[(name, value)]);
        let page = page(&daemon, &format!("/?{asked}&order=")).await;
        assert!(page.contains(&format!("<label for=\"{name}\">")), "{name}");
        let field = format!("name=\"{name}\" value=\"{value}\"");
        let option = format!("<option selected>{value}</option>");
        assert!(page.contains(&field) || page.contains(&option), "{name}: {page}");
        let found = page.contains(&format!("href=\"/conversations/{TUTORIAL}\""));
        assert_eq!(found, name != "to", "{name}");
        assert!(page.contains(&format!("\"/v1/conversations?{asked}\"")), "{name}: {page}");
        let is_common = ["number", "since", "until", "state", "capture"].contains(&name);
        assert_eq!(page.contains("<details open>"), !is_common, "{name}");
    }
}

#[tokio::test]
async fn the_list_goes_on_with_its_conditions_and_as_data() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for number in 0..5 {
        start(&daemon, &format!("CON-{number}"), if number == 2 { "447700900002" } else { "447700900001" })
            .await;
    }
    daemon.wait_for_path("/v1/conversations", |list| list["items"].as_array().unwrap().len() == 5).await;
    let first = page(&daemon, "/?number=447700900001&limit=2").await;
    assert_eq!(listed(&first), ["CON-4", "CON-3"]);
    let second = page(&daemon, &next(&first)).await;
    assert_eq!(listed(&second), ["CON-1", "CON-0"]);
    assert!(!second.contains("rel=\"next\""), "{second}");
    for (format, lines) in [("csv", 5), ("ndjson", 4)] {
        let path = format!("/v1/conversations?number=447700900001&format={format}");
        assert!(first.contains(&format!("\"{}\"", path.replace('&', "&amp;"))), "{format}: {first}");
        assert_eq!(daemon.get(&path).await.text.lines().count(), lines, "{format}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_above_the_form() {
    let daemon = World::default().start().await;
    for (asked, word) in [
        ("number=447700900001&state=dead", "live or ended"),
        ("number=447700900001&since=1h&until=2h", "later than since"),
        ("number=447700900001&next=nonsense", "not a cursor"),
        ("number=447700900001&limit=0", "1 to 500"),
        ("number=447700900001&nmber=1", "number, from, to"),
        ("number=447700900001&format=csv", "number, from, to"),
    ] {
        let reply = daemon.get(&format!("/?{asked}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{asked}");
        let (before, form) = reply.text.split_once("<form role=\"search\"").expect("the form is there");
        let alert = before.split_once("role=\"alert\"").expect("it is told").1;
        assert!(alert.contains(word), "{asked}: {alert}");
        assert!(form.contains("value=\"447700900001\""), "{asked}");
    }
}

#[tokio::test]
async fn where_nothing_is_found_the_page_says_what_to_try() {
    let daemon = World::default().start().await;
    assert!(page(&daemon, "/").await.contains("No conversation is here yet"));
    assert!(page(&daemon, "/?number=1").await.contains("Try fewer conditions"));
}

// === one conversation

#[tokio::test]
async fn the_tutorials_call_is_shown_whole_by_any_of_its_ids() {
    let daemon = recorded().await;
    for id in [TUTORIAL, "797168e24c19a3c45e74e05b10fef2b5", CALLED] {
        let page = page(&daemon, &format!("/conversations/{id}")).await;
        assert!(page.contains("<h1>447700000001 → 447700000002</h1>"), "{page}");
        let (facts, rest) = page.split_once("<h2>Members</h2>").unwrap();
        let (members, rest) = rest.split_once("<h2>Legs</h2>").unwrap();
        let (legs, timeline) = rest.split_once("<h2>Timeline</h2>").unwrap();
        for told in [TUTORIAL, "inbound", "completed", "captured", "5m"] {
            assert!(facts.contains(told), "{told}: {facts}");
        }
        let called = members.split_once(&format!("id=\"{CALLED}\"")).unwrap().1;
        assert!(called.contains("INVITED") && called.contains("JOINED"), "{called}");
        assert!(called.contains("2018-10-25 09:26:19.385") && called.contains("snapshot "), "{called}");
        assert!(legs.contains("id=\"30cecc87-7ac9-4d03-910a-e9d69558263c\""), "{legs}");
        for told in
            ["event webhook: ringing", "JOINED", "Vonage does not know it any more", "told by webhook 1"]
        {
            assert!(timeline.contains(told), "{told}: {timeline}");
        }
        assert!(timeline.contains(&format!("<a href=\"#{CALLED}\">")), "{timeline}");
        let order: Vec<&str> = timeline.split("<li>\n<time datetime=\"").skip(1).collect();
        assert!(order.len() > 10 && order.is_sorted_by_key(|line| &line[..24]), "{order:?}");
    }
}

#[tokio::test]
async fn the_timeline_says_when_something_was_learnt_if_that_was_later() {
    let (world, _) = standing_still_at("2026-03-09T10:15:30Z");
    let daemon = World { signatures: "off", ..world }.start().await;
    for (status, timestamp) in [("started", "2026-03-09T10:15:28.999Z"), ("ringing", "2026-03-09T10:15:29Z")]
    {
        let event =
            json!({"conversation_uuid": "CON-1", "uuid": "l", "status": status, "timestamp": timestamp});
        assert_eq!(daemon.post_event(event.to_string()).await.status, StatusCode::NO_CONTENT);
    }
    daemon.wait_for("CON-1", |one| one["status"] == "ringing").await;
    let page = page(&daemon, "/conversations/CON-1").await;
    let line = |status: &str| {
        let line = page.split_once(&format!("event webhook: {status}")).expect("it is told").1;
        line.split("</li>").next().unwrap().to_owned()
    };
    assert!(line("started").contains("learnt <time datetime=\"2026-03-09T10:15:30.000Z\">"), "{page}");
    assert!(!line("ringing").contains("learnt"), "{page}");
}

#[tokio::test]
async fn what_is_not_there_is_told_on_a_page() {
    let daemon = World::default().start().await;
    for (path, status) in [
        ("CON-unknown", StatusCode::NOT_FOUND),
        ("%ff", StatusCode::BAD_REQUEST),
        ("CON-1?a=1", StatusCode::BAD_REQUEST),
    ] {
        let reply = daemon.get(&format!("/conversations/{path}")).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.content_type, "text/html; charset=utf-8", "{path}");
        assert!(reply.text.contains("role=\"alert\"") && reply.text.contains("href=\"/\""), "{}", reply.text);
    }
}

// === both

#[tokio::test]
async fn what_was_not_seen_is_said_on_both_pages() {
    let (world, clock) = standing_still_at("2026-03-09T10:00:00Z");
    let mut daemon = World { signatures: "off", ..world }.start().await;
    start(&daemon, "CON-1", "447700900001").await;
    daemon.wait_for("CON-1", |one| one["status"] == "started").await;
    daemon.stop().await;
    clock.advance(SignedDuration::from_mins(5));
    daemon.start_again().await;
    for path in ["/", "/conversations/CON-1"] {
        let page = page(&daemon, path).await;
        let notice =
            page.split_once("Not seen</h2>").expect("it is said").1.split("</section>").next().unwrap();
        let words = words(notice);
        let expected = "2026-03-09 10:00:00 – 2026-03-09 10:05:00 UTC, the daemon was not running";
        assert!(words.starts_with(expected), "{path}: {words}");
    }
    assert!(row(&page(&daemon, "/").await, "CON-1").contains("not seen in part"));
}

#[tokio::test]
async fn hostile_names_and_numbers_stay_text() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let hostile = "<script>alert('1')</script>";
    start(&daemon, "CON-1", hostile).await;
    daemon.wait_for("CON-1", |one| one["from"] == hostile).await;
    let asked = query(&[("user", hostile)]);
    for path in ["/", "/conversations/CON-1", &format!("/?{asked}")] {
        let page = page(&daemon, path).await;
        assert!(!page.contains("<script"), "{path}: {page}");
        assert!(page.contains("&#60;script&#62;"), "{path}: {page}");
    }
}

#[tokio::test]
async fn pages_hold_nothing_from_elsewhere_and_nobody_keeps_them() {
    let daemon = recorded().await;
    for path in ["/", "/?state=dead", &format!("/conversations/{TUTORIAL}"), "/conversations/CON-0"] {
        let reply = daemon.get(path).await;
        assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
        for attribute in ["href=\"", "src=\"", "action=\""] {
            for address in reply.text.split(attribute).skip(1) {
                let is_own =
                    address.starts_with('#') || (address.starts_with('/') && !address.starts_with("//"));
                assert!(is_own, "{path}: {attribute}{address}");
            }
        }
        for inline in ["<script", "<style", " style=", "://", " onclick="] {
            assert!(!reply.text.contains(inline), "{path}: {inline}");
        }
    }
    let style = daemon.get("/assets/page.css").await.text;
    assert!(!style.contains("url(") && !style.contains("@import"), "{style}");
}

#[tokio::test]
async fn who_is_signed_in_can_sign_out_on_every_page() {
    let token = "cvd_of-read";
    let digest = Digest::of(token.as_bytes());
    let tokens = format!("tokens = [{{ name = \"read\", sha256 = \"{digest}\", scopes = [\"read\"] }}]");
    let guarded = World { query: tokens, ..World::default() }.start().await;
    let open = World::default().start().await;
    for path in ["/", "/?state=dead", "/conversations/CON-0"] {
        let bearer = format!("Bearer {token}");
        let signed_in = guarded.ask(Method::GET, path, &[("authorization", &bearer)], "").await;
        assert!(signed_in.text.contains("action=\"/sign-out\""), "{path}: {}", signed_in.text);
        assert!(!open.get(path).await.text.contains("sign-out"), "{path}");
    }
}

// === reading pages

async fn page(daemon: &TestDaemon, path: &str) -> String {
    let Reply { status, content_type, text, .. } = daemon.get(path).await;
    assert_eq!(
        (status, content_type.as_str()),
        (StatusCode::OK, "text/html; charset=utf-8"),
        "{path}: {text}"
    );
    text
}

/// The table's row of a conversation.
fn row(page: &str, id: &str) -> String {
    let link = format!("href=\"/conversations/{id}\"");
    page.split("<tr>").find(|row| row.contains(&link)).expect("it is listed").to_owned()
}

/// The conversations of the table, in its order.
fn listed(page: &str) -> Vec<&str> {
    page.split("href=\"/conversations/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Where the list goes on.
fn next(page: &str) -> String {
    let before = page.split_once("\" rel=\"next\"").expect("it goes on").0;
    before.rsplit('"').next().unwrap().replace("&#38;", "&")
}

/// A page without its tags.
fn words(html: &str) -> String {
    let texts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    texts.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn query(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
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

/// The first event of a call.
async fn start(daemon: &TestDaemon, id: &str, from: &str) {
    let event = json!({
        "conversation_uuid": id, "uuid": format!("leg-{id}"), "status": "started", "from": from,
        "to": "447700900100", "direction": "inbound", "timestamp": "2026-03-09T10:00:00.000Z",
    });
    assert_eq!(daemon.post_event(event.to_string()).await.status, StatusCode::NO_CONTENT);
}
