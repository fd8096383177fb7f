//! Who is let in at the private listener.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::Command;
use std::sync::Arc;

use conversationd::domain::clock::ManualClock;
use conversationd::domain::digest::Digest;
use conversationd::domain::reader::Scope;
use conversationd::http::query;
use conversationd::simulator::{Call, Pace};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::daemon::{PATIENCE, Reply, TestDaemon, World, standing_still_at};
use crate::support::process::{Process, configure, log};

/// The tokens of every test, each named for its only scope.
const TOKENS: [(&str, Scope); 3] =
    [("cvd_of-read", Scope::Read), ("cvd_of-raw", Scope::Raw), ("cvd_of-admin", Scope::Admin)];

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

/// How the table's paths are asked for; a `{parameter}` is filled in.
const ROUTES: [(Method, &str, Option<Scope>); 28] = [
    (Method::GET, "/", Some(Scope::Read)),
    (Method::GET, "/conversations/{id}", Some(Scope::Read)),
    (Method::GET, "/v1/conversations", Some(Scope::Read)),
    (Method::GET, "/v1/conversations/{id}", Some(Scope::Read)),
    (Method::GET, "/v1/conversations/{id}/members", Some(Scope::Read)),
    (Method::GET, "/v1/conversations/{id}/timeline", Some(Scope::Read)),
    (Method::GET, "/v1/conversations/{id}/snapshots", Some(Scope::Read)),
    (Method::GET, "/v1/conversations/{id}/snapshots/{number}", Some(Scope::Raw)),
    (Method::GET, "/v1/conversations/{id}/snapshots/{number}/diff", Some(Scope::Raw)),
    (Method::GET, "/v1/conversations/{id}/webhooks", Some(Scope::Raw)),
    (Method::GET, "/v1/webhooks", Some(Scope::Raw)),
    (Method::GET, "/v1/gaps", Some(Scope::Read)),
    (Method::GET, "/v1/stats", Some(Scope::Read)),
    (Method::GET, "/v1/stream", Some(Scope::Read)),
    (Method::GET, "/openapi.json", Some(Scope::Read)),
    (Method::GET, "/docs", Some(Scope::Read)),
    (Method::GET, "/docs/{*file}", Some(Scope::Read)),
    (Method::GET, "/metrics", Some(Scope::Read)),
    (Method::GET, "/livez", None),
    (Method::GET, "/readyz", None),
    (Method::GET, "/sign-in", None),
    (Method::POST, "/sign-in", None),
    (Method::POST, "/sign-out", None),
    (Method::GET, "/assets/page.css", None),
    (Method::GET, "/vonage/{family}/conversations/{id}", Some(Scope::Raw)),
    (Method::GET, "/vonage/{family}/conversations/{id}/members", Some(Scope::Raw)),
    (Method::GET, "/vonage/{family}/conversations/{id}/members/{member}", Some(Scope::Raw)),
    (Method::GET, "/vonage/{family}/conversations/{id}/events", Some(Scope::Raw)),
];

/// The lines of the configuration for [`TOKENS`].
fn tokens() -> String {
    let line = |(token, scope): (&str, Scope)| {
        let (name, sha256) = (scope.as_str(), Digest::of(token.as_bytes()));
        format!("{{ name = \"{name}\", sha256 = \"{sha256}\", scopes = [\"{name}\"] }}")
    };
    format!("tokens = [{}]", TOKENS.map(line).join(", "))
}

async fn guarded() -> (TestDaemon, Arc<ManualClock>) {
    let (world, clock) = standing_still_at("2026-03-09T10:15:30Z");
    (World { query: tokens(), ..world }.start().await, clock)
}

/// Asks with a token.
async fn with_token(daemon: &TestDaemon, path: &str, token: &str) -> Reply {
    daemon.ask(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], "").await
}

fn token_of(scope: Scope) -> &'static str {
    TOKENS.iter().find(|(_, of)| *of == scope).expect("each scope has a token").0
}

/// Vonage's errors are plain JSON, and so are those in its place.
fn is_problem(reply: &Reply) -> bool {
    let is_typed = reply.content_type == "application/problem+json"
        || (reply.content_type == "application/json" && reply.json()["code"].is_string());
    is_typed && reply.json()["detail"].is_string()
}

// === tokens

#[test]
fn every_route_is_in_the_table() {
    let mut listed: Vec<(&str, Option<Scope>)> = ROUTES.map(|(_, path, scope)| (path, scope)).into();
    listed.dedup();
    let routes: Vec<_> = query::routes().into_iter().map(|route| (route.path, route.scope)).collect();
    assert_eq!(routes, listed);
}

#[tokio::test]
async fn a_route_is_open_to_a_token_with_its_scope_and_to_no_other() {
    let (daemon, clock) = guarded().await;
    for (method, path, scope) in ROUTES {
        let path = path.replace("{id}", "CON-1").replace("{number}", "1");
        // A stream has no end; one that goes on from nowhere does not begin.
        let path = path.replace("/v1/stream", "/v1/stream?after=nowhere");
        let ask = async |token: &str| {
            let header = ("authorization", token);
            let headers = if token.is_empty() { &[][..] } else { &[header] };
            daemon.ask(method.clone(), &path, headers, "").await
        };
        // One wrong token is forgiven in this time.
        daemon.advance(&clock, SignedDuration::from_secs(6));
        for scheme in ["Bearer", "bearer"] {
            for (token, of) in TOKENS {
                let reply = ask(&format!("{scheme} {token}")).await;
                let expected = scope.is_some_and(|scope| scope != of);
                assert_eq!(reply.status == StatusCode::FORBIDDEN, expected, "{method} {path} {of:?}");
                assert_ne!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path} {of:?}");
                assert!(!expected || is_problem(&reply), "{}", reply.text);
            }
        }
        let (none, wrong) = (ask("").await, ask("Bearer cvd_wrong").await);
        if scope.is_some() {
            for (reply, challenge) in [
                (none, "Bearer realm=\"conversationd\""),
                (wrong, "Bearer realm=\"conversationd\", error=\"invalid_token\""),
            ] {
                assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}");
                assert_eq!(reply.headers["www-authenticate"], challenge, "{method} {path}");
                assert!(is_problem(&reply), "{}", reply.text);
            }
        } else {
            let right = ask(&format!("Bearer {}", token_of(Scope::Read))).await;
            assert_eq!((none.status, wrong.status), (right.status, right.status), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_a_call_was_told_is_for_readers_of_what_was_received() {
    let (daemon, _clock) = guarded().await;
    daemon.vonage.play(&Call::tutorial(), Pace::AtOnce).await;
    let path = "/v1/conversations/CON-bc643220-2542-499a-892e-c982c4150c06/timeline";
    let replied = async {
        loop {
            let reply = with_token(&daemon, path, token_of(Scope::Read)).await;
            if reply.text.contains("\"reply\"") {
                return reply;
            }
            tokio::task::yield_now().await;
        }
    };
    let reply = tokio::time::timeout(PATIENCE, replied).await.unwrap();
    assert!(reply.text.contains("\"ncco\":null") && !reply.text.contains("talk"), "{}", reply.text);
}

#[tokio::test]
async fn without_tokens_only_this_machine_is_answered() {
    let daemon = World::default().start().await;
    for (host, is_answered) in [
        ("localhost:3001", true),
        ("127.0.0.1", true),
        ("[::1]:3001", true),
        ("evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("10.0.0.5:3001", false),
    ] {
        let reply = daemon.ask(Method::GET, "/v1/conversations", &[("host", host)], "").await;
        let expected = if is_answered { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(reply.status, expected, "{host}");
        assert!(is_answered || is_problem(&reply), "{}", reply.text);
    }
}

#[tokio::test]
async fn without_tokens_everything_is_open() {
    let daemon = World::default().start().await;
    for path in ["/", "/v1/conversations", "/v1/gaps", "/metrics"] {
        assert_eq!(daemon.get(path).await.status, StatusCode::OK, "{path}");
        assert_eq!(with_token(&daemon, path, "cvd_wrong").await.status, StatusCode::OK, "{path}");
    }
    let reply = daemon.ask(Method::GET, "/sign-in", &[], "").await;
    assert_eq!((reply.status, &reply.headers["location"]), (StatusCode::SEE_OTHER, &"/".parse().unwrap()));
    assert!(!daemon.get("/").await.text.contains("Sign out"));
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_and_right_ones_are_not() {
    let (daemon, clock) = guarded().await;
    for number in 0..10 {
        let wrong = with_token(&daemon, "/v1/gaps", &format!("cvd_{number}")).await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{number}");
    }
    let slowed = with_token(&daemon, "/v1/gaps", "cvd_10").await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(slowed.headers["retry-after"], "7");
    assert!(is_problem(&slowed));
    let page = sign_in(&daemon, "cvd_10", &[]).await;
    assert_eq!((page.status, &page.headers["retry-after"]), (slowed.status, &slowed.headers["retry-after"]));

    let right = with_token(&daemon, "/v1/gaps", token_of(Scope::Read)).await;
    assert_eq!(right.status, StatusCode::OK);
    assert_eq!(daemon.get("/v1/gaps").await.status, StatusCode::UNAUTHORIZED);
    daemon.advance(&clock, SignedDuration::from_secs(6));
    assert_eq!(with_token(&daemon, "/v1/gaps", "cvd_11").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(with_token(&daemon, "/v1/gaps", "cvd_12").await.status, StatusCode::TOO_MANY_REQUESTS);
}

// === browsers

/// Sends the form.
async fn sign_in(daemon: &TestDaemon, token: &str, headers: &[(&str, &str)]) -> Reply {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers = [&[form, HTML], headers].concat();
    let body = format!("token={token}&next=%2Fv1%2Fconversations%3Flimit%3D1");
    daemon.ask(Method::POST, "/sign-in", &headers, &body).await
}

/// The cookie that a reply sets, as a browser sends it back.
fn cookie(reply: &Reply) -> String {
    let set = reply.headers["set-cookie"].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

async fn with_cookie(daemon: &TestDaemon, path: &str, cookie: &str) -> StatusCode {
    let cookies = format!("theme=dark; {cookie}; other=1");
    daemon.ask(Method::GET, path, &[("cookie", &cookies)], "").await.status
}

#[tokio::test]
async fn a_browser_is_led_to_the_form_and_back() {
    let (daemon, _) = guarded().await;
    let led = daemon.ask(Method::GET, "/?number=4477*&a=%20", &[HTML], "").await;
    let location = led.headers["location"].to_str().unwrap();
    assert_eq!(led.status, StatusCode::SEE_OTHER);
    assert_eq!(location, "/sign-in?next=%2F%3Fnumber%3D4477%2A%26a%3D%2520");
    let form = daemon.ask(Method::GET, location, &[HTML], "").await;
    assert_eq!(form.status, StatusCode::OK);
    assert!(form.text.contains("value=\"/?number=4477*&#38;a=%20\""), "{}", form.text);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(form.headers[name], value);
    }
    let policy = form.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");

    let signed_in = sign_in(&daemon, token_of(Scope::Read), &[]).await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
    assert_eq!(signed_in.headers["location"], "/v1/conversations?limit=1");
    // What is no page is not led anywhere.
    assert_eq!(daemon.ask(Method::GET, "/v1/gaps", &[HTML], "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_form_leads_to_this_daemon_only() {
    let (daemon, _) = guarded().await;
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", "/%09/evil.example", "evil", ""]
    {
        let form = daemon.ask(Method::GET, &format!("/sign-in?next={next}"), &[HTML], "").await;
        assert!(form.text.contains("name=\"next\" value=\"/\""), "{next}: {}", form.text);
    }
}

#[tokio::test]
async fn a_session_opens_what_its_token_opens_until_it_ends() {
    let (daemon, clock) = guarded().await;
    let reply = sign_in(&daemon, token_of(Scope::Read), &[]).await;
    let set = reply.headers["set-cookie"].to_str().unwrap();
    assert!(set.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"), "{set}");
    let secure = sign_in(&daemon, token_of(Scope::Read), &[("x-forwarded-proto", "https")]).await;
    assert!(secure.headers["set-cookie"].to_str().unwrap().ends_with("; Secure"));

    let (session, other) = (cookie(&reply), cookie(&secure));
    assert!(!session.contains(token_of(Scope::Read)));
    assert_eq!(with_cookie(&daemon, "/", &session).await, StatusCode::OK);
    assert_eq!(with_cookie(&daemon, "/v1/conversations", &session).await, StatusCode::OK);
    let raw = "/v1/conversations/CON-1/webhooks";
    assert_eq!(with_cookie(&daemon, raw, &session).await, StatusCode::FORBIDDEN);
    let unknown = with_cookie(&daemon, "/", "conversationd_session=cvd_guessed").await;
    assert_eq!(unknown, StatusCode::UNAUTHORIZED);

    let out = daemon.ask(Method::POST, "/sign-out", &[("cookie", &session)], "").await;
    assert_eq!((out.status, &out.headers["location"]), (StatusCode::SEE_OTHER, &"/sign-in".parse().unwrap()));
    assert!(out.headers["set-cookie"].to_str().unwrap().ends_with("Max-Age=0"));
    assert_eq!(with_cookie(&daemon, "/", &session).await, StatusCode::UNAUTHORIZED);

    daemon.advance(&clock, SignedDuration::from_hours(12) - SignedDuration::from_secs(1));
    assert_eq!(with_cookie(&daemon, "/", &other).await, StatusCode::OK);
    daemon.advance(&clock, SignedDuration::from_secs(1));
    assert_eq!(with_cookie(&daemon, "/", &other).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_stream_ends_with_the_session_that_opened_it() {
    let (world, clock) = standing_still_at("2026-03-09T10:15:30Z");
    let daemon = World { query: tokens(), signatures: "off", ..world }.start().await;
    let [first, second] = [
        sign_in(&daemon, token_of(Scope::Read), &[]).await,
        sign_in(&daemon, token_of(Scope::Read), &[]).await,
    ];
    let open = async |name: &str, value: &str| daemon.get_raw("/v1/stream", name, value).await;
    let signed_out = open("cookie", &cookie(&first)).await;
    let expired = open("cookie", &cookie(&second)).await;
    let mut held = open("authorization", &format!("Bearer {}", token_of(Scope::Read))).await;
    // Each begins with its place, without an event.
    assert!(held.chunk().await.unwrap().is_some());
    let ended = async |mut stream: reqwest::Response| {
        let reading = async { while stream.chunk().await.unwrap().is_some() {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the stream ends");
    };
    daemon.ask(Method::POST, "/sign-out", &[("cookie", &cookie(&first))], "").await;
    ended(signed_out).await;
    daemon.advance(&clock, SignedDuration::from_hours(12));
    ended(expired).await;
    assert_eq!(daemon.post_event(r#"{"conversation_uuid":"CON-1"}"#).await.status, StatusCode::NO_CONTENT);
    let told = tokio::time::timeout(PATIENCE, held.chunk()).await.expect("a token's goes on");
    assert!(told.unwrap().is_some());
}

#[tokio::test]
async fn nobody_in_between_keeps_an_answer_or_takes_it_for_something_else() {
    let (daemon, _) = guarded().await;
    for path in [
        "/v1/conversations",
        "/v1/conversations?format=csv",
        "/v1/conversations?format=ndjson",
        "/v1/gaps",
        "/v1/stats",
        "/v1/nowhere",
        "/metrics",
        "/",
    ] {
        let reply = with_token(&daemon, path, token_of(Scope::Read)).await;
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(reply.headers["cache-control"], "no-store", "{path}");
    }
    let refused = daemon.get("/v1/conversations").await;
    assert_eq!(refused.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_wrong_token_is_told_on_the_form_and_not_repeated() {
    let (daemon, _) = guarded().await;
    let reply = sign_in(&daemon, "cvd_mistyped", &[]).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.text.contains("role=\"alert\"") && !reply.text.contains("mistyped"), "{}", reply.text);
    assert!(reply.text.contains("value=\"/v1/conversations?limit=1\""), "{}", reply.text);
    assert!(!reply.headers.contains_key("set-cookie"));
    let large = sign_in(&daemon, &"x".repeat(20_000), &[]).await;
    assert_eq!(large.status, StatusCode::BAD_REQUEST);
    assert!(is_problem(&large));
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let (daemon, _) = guarded().await;
    let session = cookie(&sign_in(&daemon, token_of(Scope::Read), &[]).await);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let foreign = [("cookie", session.as_str()), (name, value)];
        let out = daemon.ask(Method::POST, "/sign-out", &foreign, "").await;
        assert_eq!(out.status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(is_problem(&out));
        let into = sign_in(&daemon, token_of(Scope::Read), &[(name, value)]).await;
        assert_eq!(into.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(with_cookie(&daemon, "/", &session).await, StatusCode::OK);
    let own = [("cookie", session.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(daemon.ask(Method::POST, "/sign-out", &own, "").await.status, StatusCode::SEE_OTHER);
}

// === the real binary

/// Runs a command, which must end by itself.
fn run(arguments: &[&str]) -> std::process::Output {
    Command::new("timeout")
        .args([&PATIENCE.as_secs().to_string(), env!("CARGO_BIN_EXE_conversationd")])
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary can be started")
}

#[test]
fn a_new_token_is_printed_with_its_line_for_the_configuration() {
    let arguments = ["token", "new", "night \"shift\"", "--scope", "read", "--scope", "raw"];
    let printed = run(&[&arguments[..], &["--json"]].concat());
    let new: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let token = new["token"].as_str().unwrap();
    assert_eq!(token.len(), "cvd_".len() + 64);
    assert_eq!(new["sha256"], Digest::of(token.as_bytes()).to_string());
    assert_eq!(new["scopes"], serde_json::json!(["read", "raw"]));

    let text = String::from_utf8(run(&arguments).stdout).unwrap();
    assert!(!text.contains(token), "each is another");
    let token = text.lines().find(|line| line.starts_with("cvd_")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conversationd.toml");
    let line = text.lines().last().unwrap();
    std::fs::write(&file, format!("[query]\nlisten = \"0.0.0.0:3001\"\ntokens = [{line}]")).unwrap();
    let shown = run(&["config", "show", "--json", "--config", file.to_str().unwrap()]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["query"]["tokens"][0]["name"], "night \"shift\"");
    assert_eq!(shown["query"]["tokens"][0]["sha256"], Digest::of(token.as_bytes()).to_string());

    assert_eq!(run(&["token", "new", "a", "--scope", "write"]).status.code(), Some(2));
    let default: Value = serde_json::from_slice(&run(&["token", "new", "a", "--json"]).stdout).unwrap();
    assert_eq!(default["scopes"], serde_json::json!(["read"]));
}

#[test]
fn it_does_not_start_where_anybody_could_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conversationd.toml");
    let store = format!("[store]\nurl = \"sqlite:{}/a.db\"", directory.path().display());
    std::fs::write(&file, format!("[query]\nlisten = \"0.0.0.0:0\"\n{store}")).unwrap();
    let refused = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(78));
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("query.listen: ") && told.contains("conversationd token new NAME"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_reader_and_the_route_and_neither_token_nor_number() {
    let directory = tempfile::tempdir().unwrap();
    let world = World { query: tokens(), ..World::default() };
    let vonage = world.vonage().await;
    let [_, private] = configure(directory.path(), &world, vonage.api_url().as_str()).unwrap();
    let process = Process::start(directory.path());
    assert_eq!(process.told(), "READY=1");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, token) in [
        ("/v1/conversations?number=447700000001", token_of(Scope::Read)),
        ("/v1/conversations/447700000002", token_of(Scope::Raw)),
        ("/447700000003", "cvd_wrong"),
    ] {
        let request = http.get(format!("http://127.0.0.1:{private}{path}")).bearer_auth(token);
        request.send().await.unwrap();
    }
    process.signal("TERM");
    assert!(process.ended().success());
    let log = log(directory.path());
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "a reader was answered").collect();
    let told: Vec<_> = answered
        .iter()
        .map(|line| (&line["method"], &line["route"], &line["status"], &line["reader"]))
        .collect();
    let [get, list, one, read, raw] =
        ["GET", "/v1/conversations", "/v1/conversations/{id}", "read", "raw"].map(Value::from);
    let [good, forbidden, nowhere] = [200, 403, 404].map(Value::from);
    let expected = [
        (&get, &list, &good, &read),
        (&get, &one, &forbidden, &raw),
        (&get, &Value::Null, &nowhere, &Value::Null),
    ];
    assert_eq!(told, expected);
    assert!(answered.iter().all(|line| line["elapsed_ms"].is_number()));
    assert!(!log.contains("44770") && !log.contains("cvd_"), "{log}");
}
