//! The daemon in front of another application: what is passed on, what is passed back, and what a call gets when
//! that application fails.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::application::{Application, Asked, Says};
use crate::support::daemon::{NCCO, Reply, TestDaemon, World};
use crate::support::data;
use crate::support::process::{self, Process};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Long enough for a busy machine, short enough to wait for.
const FORWARD_TIMEOUT: Duration = Duration::from_millis(400);

/// What is added to it at most: the store's patience, and a little.
const BESIDES: Duration = Duration::from_millis(300);

/// An application's own NCCO, with white space that must survive.
const OWN_NCCO: &str = r#"[ {"action":"talk","text":"From behind."} ]"#;

/// A daemon that passes answers and events on to these addresses.
async fn in_front_of(answer_url: &str, event_url: &str) -> TestDaemon {
    let world = World {
        signatures: "off",
        answer: format!(
            "forward_url = \"{answer_url}\"\nforward_timeout = \"{}ms\"",
            FORWARD_TIMEOUT.as_millis()
        ),
        sections: format!("[event]\nforward_url = \"{event_url}\""),
        ..World::default()
    };
    world.start().await
}

async fn application() -> (Application, TestDaemon) {
    let application = Application::start(Says::json(200, OWN_NCCO)).await;
    let daemon =
        in_front_of(&format!("{}answer", application.url), &format!("{}event", application.url)).await;
    (application, daemon)
}

fn answer_of(conversation: &str) -> String {
    let body = json!({"conversation_uuid": conversation, "uuid": "leg-1", "from": "447700900001", "to": "447700900100"});
    body.to_string()
}

fn event_of(conversation: &str) -> String {
    json!({"conversation_uuid": conversation, "uuid": "leg-1", "status": "answered"}).to_string()
}

/// The record of the only webhook of a conversation, as soon as its reply is there.
async fn recorded(daemon: &TestDaemon, conversation: &str) -> Value {
    let path = format!("/v1/conversations/{conversation}/webhooks");
    let list = daemon.wait_for_path(&path, |list| !list["items"][0]["reply"].is_null()).await;
    list["items"][0].clone()
}

fn told(reply: &Reply) -> (u16, &str, &str) {
    (reply.status.as_u16(), reply.content_type.as_str(), reply.text.as_str())
}

#[tokio::test]
async fn an_answer_webhook_is_passed_on_as_it_came_and_its_reply_back() {
    let (application, daemon) = application().await;
    application.say(Says::json(201, OWN_NCCO));
    let body = answer_of("CON-1").replace(',', " , ");
    let headers =
        [JSON, ("authorization", "Bearer a.b.c"), ("x-forwarded-for", "192.0.2.1"), ("cookie", "a=b")];
    let reply = daemon.webhook(Method::POST, "/webhooks/answer?a=b%20c", &headers, body.clone()).await;
    assert_eq!(told(&reply), (201, "application/json; charset=utf-8", OWN_NCCO));
    let Asked { method, address, headers, body: passed_on } = application.asked().remove(0);
    assert_eq!(
        (method.as_str(), address.as_str(), &passed_on[..]),
        ("POST", "/answer?a=b%20c", body.as_bytes())
    );
    let of_transport = ["accept", "content-length", "host"];
    let named: Vec<_> = headers.iter().filter(|(name, _)| !of_transport.contains(&name.as_str())).collect();
    let expected = [("authorization", "Bearer a.b.c"), ("content-type", "application/json")];
    assert_eq!(
        named,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())).iter().collect::<Vec<_>>()
    );

    let record = recorded(&daemon, "CON-1").await;
    let given = &record["reply"];
    assert_eq!(
        (&given["source"], &given["upstream_status"], &given["trouble"]),
        (&json!("forward"), &json!(201), &Value::Null)
    );
    assert_eq!(given["ncco"], serde_json::from_str::<Value>(OWN_NCCO).unwrap());
    assert!(given["upstream_ms"].as_u64().unwrap() <= 2000 && given["at"].is_string());
    let text = daemon.get("/v1/conversations/CON-1/webhooks").await.text;
    assert!(text.contains(OWN_NCCO), "the NCCO is there to the byte");
}

#[tokio::test]
async fn a_get_is_passed_on_behind_the_parameters_of_the_address() {
    let application = Application::start(Says::json(200, "[]")).await;
    let url = format!("{}hooks?key=1", application.url);
    let daemon = in_front_of(&url, &url).await;
    let path =
        "/webhooks/answer?to=447700900100&uuid=a&conversation_uuid=CON-1&custom_data=%7B%22a%22%3A1%7D";
    let reply = daemon.webhook(Method::GET, path, &[], "").await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, "[]"));
    let asked = application.asked().remove(0);
    let query = path.split_once('?').unwrap().1;
    assert_eq!((asked.method.as_str(), asked.address), ("GET", format!("/hooks?key=1&{query}")));
    assert!(asked.body.is_empty());
}

#[tokio::test]
async fn a_secret_in_an_ncco_goes_to_the_call_and_not_into_the_record() {
    const SECRET: &str = r#"[{"action":"connect","endpoint":[{"type":"websocket","uri":"wss://a.example/b?token=s3cr3t","headers":{"authorization":"Bearer s3cr3t"}}]}]"#;
    let (application, daemon) = application().await;
    application.say(Says::json(200, SECRET));
    let reply = daemon.webhook(
        Method::POST,
        "/webhooks/answer",
        &[("content-type", "application/json")],
        answer_of("CON-1"),
    );
    assert_eq!(told(&reply.await), (200, "application/json; charset=utf-8", SECRET));
    let ncco = recorded(&daemon, "CON-1").await["reply"]["ncco"].to_string();
    assert!(ncco.contains("a.example") && !ncco.contains("s3cr3t"), "{ncco}");
}

#[tokio::test]
async fn a_call_gets_the_files_ncco_in_time_whatever_the_application_does() {
    let (application, daemon) = application().await;
    let redirect = Says {
        headers: vec![("location", format!("{}elsewhere", application.url))],
        ..Says::json(307, "[]")
    };
    let large = format!("[{}1]", "1,".repeat(600_000));
    let slow = Says::json(200, OWN_NCCO).after(FORWARD_TIMEOUT * 4);
    let cases = [
        (Says::json(500, OWN_NCCO), json!(500), "it replied with status 500"),
        (Says::json(404, "[]"), json!(404), "it replied with status 404"),
        (Says::json(206, "[]"), json!(206), "it replied with status 206"),
        (redirect, json!(307), "it replied with a redirect, which is not followed"),
        (Says::json(200, "{}"), json!(200), "its reply is no NCCO: not a JSON array"),
        (Says::json(200, "[1"), json!(200), "its reply is no NCCO: not a JSON array"),
        (Says::json(204, ""), json!(204), "its reply is no NCCO: not a JSON array"),
        (Says::json(200, large), json!(200), "its reply is larger than 1 MiB"),
        (slow, Value::Null, "it did not reply in time"),
    ];
    for (number, (says, status, trouble)) in cases.into_iter().enumerate() {
        application.say(says);
        let conversation = format!("CON-{number}");
        let began = Instant::now();
        let reply = daemon.webhook(Method::POST, "/webhooks/answer", &[JSON], answer_of(&conversation)).await;
        assert!(began.elapsed() < FORWARD_TIMEOUT + BESIDES, "{trouble}: {:?}", began.elapsed());
        assert_eq!(told(&reply), (200, "application/json", NCCO), "{trouble}");
        let given = recorded(&daemon, &conversation).await["reply"].clone();
        assert_eq!(
            (&given["source"], &given["upstream_status"]),
            (&json!("substitute"), &status),
            "{trouble}"
        );
        assert_eq!(given["trouble"], trouble);
        assert_eq!(given["ncco"], serde_json::from_str::<Value>(NCCO).unwrap(), "{trouble}");
    }
    assert_eq!(application.asked().len(), 9, "each was asked once, and no redirect was followed");
    let metrics = daemon.get("/metrics").await.text;
    for outcome in ["status", "redirect", "not an NCCO", "too large", "timeout"] {
        let line = format!("conversationd_forwards_total{{kind=\"answer\",outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_a_failure_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let daemon = in_front_of(&url, &url).await;
    let answer = daemon.webhook(Method::POST, "/webhooks/answer", &[JSON], answer_of("CON-1")).await;
    assert_eq!(told(&answer), (200, "application/json", NCCO));
    assert_eq!(recorded(&daemon, "CON-1").await["reply"]["trouble"], "no connection could be made");
    assert_eq!(told(&daemon.post_event(event_of("CON-2")).await), (204, "", ""));
    let given = recorded(&daemon, "CON-2").await["reply"].clone();
    assert_eq!((&given["source"], &given["ncco"]), (&json!("substitute"), &Value::Null));
}

#[tokio::test]
async fn an_event_is_passed_on_and_only_a_success_is_passed_back() {
    let (application, daemon) = application().await;
    let text = Says { headers: vec![("content-type", "text/plain".to_owned())], ..Says::json(200, "OK") };
    let empty = Says { headers: Vec::new(), ..Says::json(204, "") };
    let bare = Says { headers: Vec::new(), ..Says::json(200, "") };
    let cases = [
        (Says::json(200, OWN_NCCO), (200, "application/json; charset=utf-8", OWN_NCCO)),
        (text, (200, "text/plain", "OK")),
        (empty, (204, "", "")),
        (bare, (200, "", "")),
        (Says::json(500, OWN_NCCO), (204, "", "")),
        (Says::json(404, OWN_NCCO), (204, "", "")),
        (Says::json(302, OWN_NCCO), (204, "", "")),
        (Says::json(200, OWN_NCCO).after(FORWARD_TIMEOUT * 4), (204, "", "")),
    ];
    for (number, (says, expected)) in cases.into_iter().enumerate() {
        let shown = format!("{says:?}");
        application.say(says);
        let conversation = format!("CON-{number}");
        assert_eq!(told(&daemon.post_event(event_of(&conversation)).await), expected, "{shown}");
        let given = recorded(&daemon, &conversation).await["reply"].clone();
        let passed_back = expected != (204, "", "") || given["upstream_status"] == 204;
        assert_eq!(given["source"], if passed_back { "forward" } else { "substitute" }, "{shown}");
        assert_eq!(given["ncco"].is_null(), expected.2.is_empty(), "{shown}");
    }
    let asked = application.asked().remove(0);
    assert_eq!((asked.address.as_str(), &asked.body[..]), ("/event", event_of("CON-0").as_bytes()));
}

#[tokio::test]
async fn the_other_webhooks_go_where_they_belong() {
    let (application, daemon) = application().await;
    let post =
        async |path: &str, file: &str| daemon.webhook(Method::POST, path, &[JSON], data::bytes(file)).await;
    let answer = post("/webhooks/fallback", "events/answer_fallback_post.json").await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, OWN_NCCO));
    let event = post("/webhooks/fallback", "events/event_fallback_post.json").await;
    assert_eq!((event.status, event.text.as_str()), (StatusCode::OK, OWN_NCCO));
    let rtc = post("/webhooks/rtc", "rtc/member_left.json").await;
    assert_eq!(told(&rtc), (204, "", ""));
    let refused = daemon.webhook(Method::POST, "/webhooks/event", &[JSON], "no JSON").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let asked: Vec<String> = application.asked().into_iter().map(|asked| asked.address).collect();
    assert_eq!(asked, ["/answer", "/event"], "neither an rtc event nor what was refused is passed on");
}

#[tokio::test]
async fn a_redelivery_shows_what_the_call_was_given_last() {
    let (application, daemon) = application().await;
    application.say(Says::json(503, ""));
    for _ in 0..2 {
        daemon.webhook(Method::POST, "/webhooks/answer", &[JSON], answer_of("CON-1")).await;
        recorded(&daemon, "CON-1").await;
        application.say(Says::json(200, OWN_NCCO));
    }
    let path = "/v1/conversations/CON-1/webhooks";
    let list = daemon.wait_for_path(path, |list| list["items"][0]["reply"]["source"] == "forward").await;
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["deliveries"]), (1, &json!(2)));
}

#[tokio::test]
async fn without_a_forward_the_files_ncco_is_part_of_the_record_and_events_have_no_reply() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    daemon.webhook(Method::POST, "/webhooks/answer", &[JSON], answer_of("CON-1")).await;
    let given = recorded(&daemon, "CON-1").await["reply"].clone();
    let upstream = (&given["upstream_status"], &given["upstream_ms"], &given["trouble"]);
    assert_eq!((&given["source"], upstream), (&json!("file"), (&Value::Null, &Value::Null, &Value::Null)));
    assert_eq!(given["ncco"], serde_json::from_str::<Value>(NCCO).unwrap());
    daemon.post_event(event_of("CON-1")).await;
    // Replies are stored in their order: when the second call's is there, the event has none to come.
    let other = answer_of("CON-1").replace("leg-1", "leg-2");
    daemon.webhook(Method::POST, "/webhooks/answer", &[JSON], other).await;
    let path = "/v1/conversations/CON-1/webhooks";
    let list = daemon.wait_for_path(path, |list| list["items"][2]["reply"]["source"] == "file").await;
    assert_eq!((&list["items"][1]["kind"], &list["items"][1]["reply"]), (&json!("answered"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_application_is_logged_when_it_begins_and_when_it_ends() {
    let application = Application::start(Says::json(500, "a secret")).await;
    let world = World {
        signatures: "off",
        answer: format!("forward_url = \"{}answer?key=hidden\"", application.url),
        ..World::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let [public, _] = process::configure(directory.path(), &world, "http://127.0.0.1:9").unwrap();
    let daemon = Process::start(directory.path());
    assert_eq!(daemon.told(), "READY=1");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let turns = [(500, "a secret", 3), (200, OWN_NCCO, 2), (200, "{}", 2)];
    for (status, body, times) in turns {
        application.say(Says::json(status, body));
        for _ in 0..times {
            let request =
                http.post(format!("http://127.0.0.1:{public}/webhooks/answer")).header(JSON.0, JSON.1);
            assert_eq!(request.body(answer_of("CON-1")).send().await.unwrap().status(), StatusCode::OK);
        }
    }
    daemon.signal("TERM");
    assert!(daemon.ended().success());
    let logged = process::log(directory.path());
    let lines: Vec<Value> = logged.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let about: Vec<(String, String)> = lines
        .iter()
        .map(|line| (text(line, "level"), text(line, "message")))
        .filter(|(_, message)| message.starts_with("answer.forward_url"))
        .collect();
    let expected = [
        ("WARN", "answer.forward_url fails: it replied with status 500; the daemon replies in its place"),
        ("INFO", "answer.forward_url replies again"),
        (
            "WARN",
            "answer.forward_url fails: its reply is no NCCO: not a JSON array; the daemon replies in its place",
        ),
    ];
    assert_eq!(about, expected.map(|(level, message)| (level.to_owned(), message.to_owned())), "{logged}");
    for secret in ["447700900001", "a secret", "From behind", "hidden"] {
        assert!(!logged.contains(secret), "{secret}: {logged}");
    }
}
