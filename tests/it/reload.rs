//! The real binary and signals: SIGHUP puts another configuration in force, others do nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::time::Duration;

use conversationd::domain::digest::Digest;
use conversationd::simulator::{Call, Pace, Simulator};
use reqwest::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::daemon::{NCCO, PATIENCE, World};
use crate::support::keys;
use crate::support::process::{Process, configure, log};

const OLD_TOKEN: &str = "cvd_of-yesterday";
const NEW_TOKEN: &str = "cvd_of-today";

/// Between two questions whether something has happened.
const ASKED_EVERY: Duration = Duration::from_millis(20);

struct Place {
    directory: TempDir,
    vonage: Simulator,
    public: u16,
    private: u16,
    http: Client,
}

async fn place(world: World) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let vonage = world.vonage().await;
    let [public, private] = configure(directory.path(), &world, vonage.api_url().as_str()).unwrap();
    vonage.send_webhooks_to(format!("http://127.0.0.1:{public}").parse().unwrap());
    let http = Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build().unwrap();
    Place { directory, vonage, public, private, http }
}

fn unsigned() -> World {
    World { signatures: "off", ..World::default() }
}

fn token_line(token: &str) -> String {
    format!(
        r#"tokens = [{{ name = "t", sha256 = "{}", scopes = ["read", "raw"] }}]"#,
        Digest::of(token.as_bytes())
    )
}

impl Place {
    fn start(&self) -> Process {
        let process = Process::start(self.directory.path());
        assert_eq!(process.told(), "READY=1");
        process
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.directory.path().join(name), content).unwrap();
    }

    /// Changes the configuration's file.
    fn change(&self, from: &str, to: &str) {
        let file = self.directory.path().join("conversationd.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file, text.replacen(from, to, 1)).unwrap();
    }

    async fn post(&self, endpoint: &str, body: String) -> (StatusCode, String) {
        let url = format!("http://127.0.0.1:{}/webhooks/{endpoint}", self.public);
        let request = self.http.post(url).header("content-type", "application/json").body(body);
        let reply = request.send().await.unwrap();
        (reply.status(), reply.text().await.unwrap())
    }

    async fn get(&self, path: &str, (name, value): (&str, &str)) -> StatusCode {
        let url = format!("http://127.0.0.1:{}{path}", self.private);
        self.http.get(url).header(name, value).send().await.unwrap().status()
    }

    async fn get_as(&self, token: &str) -> StatusCode {
        self.get("/v1/conversations", (AUTHORIZATION.as_str(), &format!("Bearer {token}"))).await
    }

    /// Signs a browser in. Returns its cookie.
    async fn sign_in(&self, token: &str) -> String {
        let url = format!("http://127.0.0.1:{}/sign-in", self.private);
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        let reply = request.body(format!("token={token}&next=%2F")).send().await.unwrap();
        let cookie = reply.headers()[SET_COOKIE].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// The lines that were logged with this message.
    fn logged(&self, message: &str) -> Vec<Value> {
        let log = log(self.directory.path());
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        lines.filter(|line| line["message"] == message).collect()
    }

    /// The same, as soon as there are so many.
    async fn wait_for_log(&self, message: &str, count: usize) -> Vec<Value> {
        let mut turns = tokio::time::interval(ASKED_EVERY);
        let waiting = async {
            loop {
                turns.tick().await;
                let lines = self.logged(message);
                if lines.len() >= count {
                    return lines;
                }
            }
        };
        let lines = tokio::time::timeout(PATIENCE, waiting).await;
        lines.unwrap_or_else(|_| panic!("{message} is not in {}", log(self.directory.path())))
    }
}

/// Sends SIGHUP and waits until systemd is told that it was followed.
fn reload(process: &Process) {
    process.signal("HUP");
    let told = process.told();
    assert!(told.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{told}");
    assert_eq!(process.told(), "READY=1");
}

fn event(id: &str, filling: usize) -> String {
    json!({"conversation_uuid": id, "uuid": id, "status": "started", "filling": "x".repeat(filling)})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_ncco_tokens_and_limits_again() {
    let place = place(World { query: token_line(OLD_TOKEN), ..unsigned() }).await;
    let process = place.start();
    let cookie = place.sign_in(OLD_TOKEN).await;
    let session = (COOKIE.as_str(), cookie.as_str());
    assert_eq!(place.get("/v1/conversations", session).await, StatusCode::OK);
    let url = format!("http://127.0.0.1:{}/v1/stream", place.private);
    let mut stream = place.http.get(url).bearer_auth(OLD_TOKEN).send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let changed = r#"[{"action":"talk","text":"Changed."}]"#;
    place.write("ncco.json", changed);
    place.change(&token_line(OLD_TOKEN), &token_line(NEW_TOKEN));
    place.change("[webhooks]\n", "[webhooks]\nmax_body_bytes = 2048\n");
    assert_eq!(place.post("answer", event("CON-1", 3000)).await.1, NCCO, "nothing changes by itself");
    assert_eq!(place.get_as(OLD_TOKEN).await, StatusCode::OK);

    reload(&process);
    assert_eq!(place.post("answer", event("CON-2", 0)).await.1, changed);
    assert_eq!(place.post("event", event("CON-2", 3000)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(place.get_as(OLD_TOKEN).await, StatusCode::UNAUTHORIZED);
    assert_eq!(place.get("/v1/conversations", session).await, StatusCode::UNAUTHORIZED, "the session ended");
    assert_eq!(place.get_as(NEW_TOKEN).await, StatusCode::OK);
    let reading = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, reading).await.expect("the stream of the old token ends");
    let told = place.wait_for_log("the configuration was reloaded", 1).await;
    assert_eq!(told[0]["changed"], "answer.ncco_file, query.tokens, webhooks.max_body_bytes");
    assert!(place.logged("changed settings take effect after a restart only").is_empty());

    reload(&process);
    assert_eq!(place.wait_for_log("the configuration was reloaded", 2).await[1]["changed"], "");
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success());
    let log = log(place.directory.path());
    for secret in [NEW_TOKEN, OLD_TOKEN, &Digest::of(NEW_TOKEN.as_bytes()).to_string()] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_signature_secrets_and_private_keys_again() {
    let place = place(World::default()).await;
    let other = pem::encode(&{
        use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        pem::Pem::new("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref())
    });
    place.write("private.key", &other);
    place.write("signature.secret", keys::NEW_SECRET);
    let process = place.start();
    let played = place.vonage.play(&Call::tutorial(), Pace::AtOnce).await;
    assert!(played.deliveries.iter().all(|delivery| !delivery.is_accepted()));

    place.write("signature.secret", keys::SECRET);
    reload(&process);
    let call = Call::inbound(1, "2026-03-09T10:15:30Z".parse().unwrap());
    let (ringing, _) = call.clone().split_at("2026-03-09T10:15:39Z".parse().unwrap());
    assert!(place.vonage.play(&ringing, Pace::AtOnce).await.is_accepted());
    let lines = place.wait_for_log("the configuration was reloaded", 1).await;
    assert_eq!(lines[0]["changed"], "application[1].signature_secret_files");

    // Vonage refuses the token as long as it is signed with another key.
    place.write("private.key", &keys::pair().private);
    reload(&process);
    let path = format!("http://127.0.0.1:{}/v1/conversations/{}", place.private, call.conversations()[0]);
    let captured = async {
        let mut turns = tokio::time::interval(ASKED_EVERY);
        loop {
            turns.tick().await;
            let answer: Value =
                serde_json::from_str(&place.http.get(&path).send().await.unwrap().text().await.unwrap())
                    .unwrap();
            if answer["capture"]["state"] == "captured" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, captured).await.expect("the call is captured with the right key");
    assert_eq!(
        place.wait_for_log("the configuration was reloaded", 2).await[1]["changed"],
        "application[1].private_key_file"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_stays_out_and_what_takes_a_restart_is_said() {
    let place = place(unsigned()).await;
    let process = place.start();
    place.write("ncco.json", r#"[{"action":"talk","text":"Changed."}]"#);
    place.change("[webhooks]\n", "[webhooks]\nnonsense = 1\n");
    place.change("[fetch]\n", "[fetch]\nconcurrency = 0\n");
    reload(&process);
    let errors = place.wait_for_log("the configuration was not reloaded", 2).await;
    let settings: Vec<&Value> = errors.iter().map(|line| &line["setting"]).collect();
    assert_eq!(settings, ["webhooks.nonsense", "fetch.concurrency"]);
    assert_eq!(place.post("answer", event("CON-1", 0)).await.1, NCCO, "all of it stays as it was");

    place.write("ncco.json", "[{\"action\":");
    place.change("nonsense = 1\n", "");
    place.change("concurrency = 0\n", "concurrency = 3\n");
    reload(&process);
    assert_eq!(
        place.wait_for_log("the configuration was not reloaded", 3).await[2]["setting"],
        "answer.ncco_file"
    );
    assert_eq!(place.post("answer", event("CON-1", 0)).await.1, NCCO);

    place.write("ncco.json", NCCO);
    place.change(&format!("127.0.0.1:{}", place.public), "127.0.0.1:9");
    reload(&process);
    let told = place.wait_for_log("changed settings take effect after a restart only", 1).await;
    assert_eq!(told[0]["settings"], "fetch.concurrency, webhooks.listen");
    assert_eq!(place.post("answer", event("CON-1", 0)).await.1, NCCO, "it listens where it did");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_under_load_lose_nothing() {
    let place = place(unsigned()).await;
    let process = Process::start(place.directory.path());
    // The shell before it is no daemon yet: the first thing that the daemon does is to catch SIGHUP, which is signal 1.
    let caught = || u64::from_str_radix(process.system_says("status", "SigCgt:").trim(), 16).unwrap();
    while caught() & 1 == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let during_start = ["USR1", "USR2", "ALRM", "PIPE", "HUP"];
    for signal in during_start {
        process.signal(signal);
    }
    while process.told() != "READY=1" {}
    let mut told = Vec::new();
    let storm = async {
        for _ in 0..20 {
            for signal in during_start {
                process.signal(signal);
                tokio::task::yield_now().await;
                told.extend(process.told_so_far());
            }
        }
    };
    let load = async {
        for number in 0..200 {
            assert_eq!(
                place.post("event", event(&format!("CON-{number}"), 0)).await.0,
                StatusCode::NO_CONTENT
            );
            assert_eq!(place.post("answer", event(&format!("CON-{number}"), 1)).await.0, StatusCode::OK);
        }
    };
    tokio::join!(load, storm);
    let mut turns = tokio::time::interval(ASKED_EVERY);
    while told.last().is_none_or(|last| last != "READY=1") {
        turns.tick().await;
        told.extend(process.told_so_far());
    }
    process.signal("TERM");
    assert!(process.ended().success(), "{}", log(place.directory.path()));
    assert!(!place.logged("the configuration was reloaded").is_empty());
    let again = place.start();
    let url = format!("http://127.0.0.1:{}/v1/webhooks?format=ndjson", place.private);
    let kept = place.http.get(url).send().await.unwrap().text().await.unwrap();
    assert_eq!(kept.lines().count(), 400, "each that was acknowledged is there");
    drop(again);
}

/// Takes every `[[application]]` out of the file.
fn without_applications(place: &Place) -> String {
    let file = place.directory.path().join("conversationd.toml");
    let whole = fs::read_to_string(&file).unwrap();
    let (kept, _) = whole.split_once("[[application]]").unwrap();
    fs::write(file, kept).unwrap();
    whole
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_application_must_sign_whatever_becomes_of_its_block() {
    for rtc_signatures in ["same", "required"] {
        let webhooks = if rtc_signatures == "same" { "" } else { "rtc_signatures = \"required\"" };
        let place = place(World { signatures: "auto", webhooks, ..World::default() }).await;
        let process = place.start();
        let unsigned = async |what: &str| {
            for endpoint in ["answer", "event", "rtc"] {
                let status = place.post(endpoint, event("CON-1", 0)).await.0;
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{endpoint}, {what}");
            }
        };
        unsigned("as started").await;
        let calls = (1..9).map(|number| Call::inbound(number, "2026-03-09T10:15:30Z".parse().unwrap()));
        let mut calls = calls.map(|call| call.split_at("2026-03-09T10:15:39Z".parse().unwrap()).0);
        let mut signed = async || {
            assert!(place.vonage.play(&calls.next().unwrap(), Pace::AtOnce).await.is_accepted());
        };

        let whole = without_applications(&place);
        if rtc_signatures == "same" {
            reload(&process);
            place.wait_for_log("the configuration was reloaded", 1).await;
            assert!(place.logged("the configuration was not reloaded").is_empty());
            unsigned("the block was removed").await;
            signed().await;
        }

        let other = format!(
            "[[application]]\nid = \"11111111-2222-4333-8444-555555555555\"\nprivate_key_file = {:?}\n",
            place.directory.path().join("private.key")
        );
        let (kept, _) = whole.split_once("[[application]]").unwrap();
        place.write("conversationd.toml", &format!("{kept}{other}"));
        reload(&process);
        unsigned("the block was replaced").await;
        signed().await;

        place.write("conversationd.toml", &whole);
        reload(&process);
        unsigned("the block is back").await;
        signed().await;
        assert!(!log(place.directory.path()).contains("not checked for a signature"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_secret_does_not_come_back_when_the_block_goes() {
    let place = place(World { secrets: vec![keys::NEW_SECRET], ..World::default() }).await;
    let process = place.start();
    place.write("signature.secret", keys::SECRET);
    reload(&process);
    place.change("signatures = \"required\"", "signatures = \"auto\"");
    without_applications(&place);
    for number in 1..3 {
        reload(&process);
        let call = Call::inbound(number, "2026-03-09T10:15:30Z".parse().unwrap());
        let (ringing, _) = call.split_at("2026-03-09T10:15:39Z".parse().unwrap());
        assert!(place.vonage.play(&ringing, Pace::AtOnce).await.is_accepted(), "reload {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_would_have_every_webhook_rejected_is_not_done() {
    let place = place(World { secrets: Vec::new(), ..unsigned() }).await;
    let process = place.start();
    place.write("signature.secret", keys::SECRET);
    // Of the other application they must be signed; the one that is served has no secret.
    place.change("signatures = \"off\"", "signatures = \"required\"");
    place.change(keys::APPLICATION, "11111111-2222-4333-8444-555555555555");
    let secret = place.directory.path().join("signature.secret");
    place.change("signature_secret_files = []", &format!("signature_secret_files = [{secret:?}]"));
    place.write("ncco.json", r#"[{"action":"talk","text":"Changed."}]"#);
    reload(&process);
    let told = place.wait_for_log("the configuration was not reloaded", 1).await;
    assert!(told[0]["error"].as_str().unwrap().contains(keys::APPLICATION), "{told:?}");
    assert_eq!(place.post("answer", event("CON-1", 0)).await, (StatusCode::OK, NCCO.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_or_empty_for_a_moment_changes_nothing() {
    for is_named in [false, true] {
        let place = place(World { query: token_line(OLD_TOKEN), ..World::default() }).await;
        let directory = place.directory.path();
        let log = fs::File::create(directory.join("log")).unwrap();
        let arguments: &[&str] =
            if is_named { &["serve", "--config", "conversationd.toml"] } else { &["serve"] };
        let process = Process::start_as(arguments, directory, log, "");
        assert_eq!(process.told(), "READY=1");
        let (file, away) = (directory.join("conversationd.toml"), directory.join("conversationd.toml~"));
        let in_force = async || {
            assert_eq!(place.get_as(OLD_TOKEN).await, StatusCode::OK);
            assert_eq!(place.get_as(NEW_TOKEN).await, StatusCode::UNAUTHORIZED, "tokens are asked for");
            let status = place.post("event", event("CON-1", 0)).await.0;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "it must be signed");
        };
        in_force().await;
        fs::rename(&file, &away).unwrap();
        reload(&process);
        let errors = place.wait_for_log("the configuration was not reloaded", 1).await;
        assert!(errors[0]["setting"].as_str().unwrap().ends_with("conversationd.toml"), "{errors:?}");
        in_force().await;
        fs::write(&file, "").unwrap();
        reload(&process);
        place.wait_for_log("the configuration was not reloaded", 2).await;
        in_force().await;
        fs::rename(&away, &file).unwrap();
        place.change(&token_line(OLD_TOKEN), &token_line(NEW_TOKEN));
        reload(&process);
        place.wait_for_log("the configuration was reloaded", 1).await;
        assert_eq!(place.get_as(NEW_TOKEN).await, StatusCode::OK);
    }
}
