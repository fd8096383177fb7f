//! The real binary's log: where standard error goes must not matter to calls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs::File;
use std::io::{PipeReader, Read, pipe};
use std::process::Stdio;

use reqwest::StatusCode;
use tempfile::TempDir;

use crate::support::daemon::{PATIENCE, World};
use crate::support::process::{Process, configure};
use crate::support::service::Service;

/// More lines than a pipe of 64 KiB and the daemon's buffer hold.
const LINES: usize = 2_000;

/// A daemon in a process, on an empty store.
struct Place {
    directory: TempDir,
    public: u16,
    private: u16,
    http: reqwest::Client,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let world = World { signatures: "off", ..World::default() };
    let [public, private] = configure(directory.path(), &world, "http://127.0.0.1:9").unwrap();
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    Place { directory, public, private, http }
}

impl Place {
    fn start_logging_to(&self, log: impl Into<Stdio>) -> Process {
        let process = Process::start_logging_to(self.directory.path(), log, "");
        assert_eq!(process.told(), "READY=1");
        process
    }

    async fn get(&self, path: &str) -> String {
        let response = self.http.get(format!("http://127.0.0.1:{}{path}", self.private)).send().await;
        let response = response.expect("the private listener answers");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    async fn post(&self, endpoint: &str, body: &str) -> StatusCode {
        let url = format!("http://127.0.0.1:{}/webhooks/{endpoint}", self.public);
        let request = self.http.post(url).header("content-type", "application/json").body(body.to_owned());
        request.send().await.expect("the public listener answers").status()
    }

    /// Everything that logs is asked for once.
    async fn both_listeners_go_on(&self) {
        let event = r#"{"status":"started","uuid":"1","conversation_uuid":"CON-1"}"#;
        assert_eq!(self.post("event", event).await, StatusCode::NO_CONTENT);
        assert_eq!(self.post("answer", event).await, StatusCode::OK);
        assert_eq!(self.post("event", "no JSON").await, StatusCode::BAD_REQUEST, "which is logged");
        self.get("/readyz").await;
        self.get("/v1/conversations").await;
    }

    /// `conversationd_log_lines_dropped_total`.
    async fn dropped_lines(&self) -> u64 {
        let metrics = self.get("/metrics").await;
        let value = |line: &str| line.strip_prefix("conversationd_log_lines_dropped_total ")?.parse().ok();
        metrics.lines().find_map(value).unwrap_or_else(|| panic!("{metrics}"))
    }
}

/// A pipe that somebody may read.
fn log_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = pipe().unwrap();
    (reader, writer.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_full_disk_costs_lines_only() {
    let place = place();
    let process = place.start_logging_to(File::options().write(true).open("/dev/full").unwrap());
    let before = place.dropped_lines().await;
    place.both_listeners_go_on().await;
    assert!(place.dropped_lines().await > before);
    process.signal("TERM");
    assert!(process.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_reader_has_gone_costs_lines_only() {
    let place = place();
    let (reader, log) = log_pipe();
    let process = place.start_logging_to(log);
    place.both_listeners_go_on().await;
    drop(reader);
    place.both_listeners_go_on().await;
    place.both_listeners_go_on().await;
    assert!(place.dropped_lines().await > 0);
    process.signal("TERM");
    assert!(process.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_costs_nothing() {
    let place = place();
    let process = Process::start_logging_to(place.directory.path(), Stdio::null(), "exec 2>&-");
    assert_eq!(process.told(), "READY=1");
    place.both_listeners_go_on().await;
    process.signal("TERM");
    assert!(process.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let place = place();
    let (_reader, log) = log_pipe();
    let process = place.start_logging_to(log);
    assert_eq!(place.dropped_lines().await, 0);
    for _ in 0..LINES {
        place.get("/livez").await;
    }
    place.both_listeners_go_on().await;
    let dropped = place.dropped_lines().await;
    place.get("/livez").await;
    assert!(dropped > 0 && place.dropped_lines().await > dropped);
    process.signal("TERM");
    assert!(process.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_late_reader_of_the_log_finds_is_whole_to_the_last_line() {
    let place = place();
    let (mut reader, log) = log_pipe();
    let process = place.start_logging_to(log);
    // More than the pipe holds, less than the pipe and the buffer.
    let asked = LINES / 3;
    for _ in 0..asked {
        place.get("/livez").await;
    }
    process.signal("TERM");
    let reading = std::thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).map(|_| log)
    });
    assert!(process.ended().success());
    let log = reading.join().unwrap().unwrap();
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert_eq!(log.lines().filter(|line| line.contains("\"/livez\"")).count(), asked);
    assert!(log.lines().last().unwrap().contains("\"stopped\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn however_much_is_logged_no_number_is() {
    let place = place();
    let log = place.directory.path().join("log");
    let process = Process::start_logging_to(
        place.directory.path(),
        File::create(&log).unwrap(),
        "export RUST_LOG=trace,tower_http=trace",
    );
    assert_eq!(process.told(), "READY=1");
    let number = "447700900123";
    let url = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}");
    for url in [
        url(place.private, &format!("/v1/conversations/{number}")),
        url(place.private, &format!("/v1/conversations?number={number}")),
        url(place.public, &format!("/webhooks/answer?to={number}&conversation_uuid=CON-1&uuid=1")),
    ] {
        place.http.get(url).send().await.unwrap();
    }
    let event = format!(r#"{{"status":"started","uuid":"1","conversation_uuid":"CON-1","to":"{number}"}}"#);
    assert_eq!(place.post("event", &event).await, StatusCode::NO_CONTENT);
    process.signal("TERM");
    assert!(process.ended().success());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"DEBUG\""), "the level is in force: {log}");
    let line = log.lines().find(|line| line.contains(number));
    assert_eq!(line, None);
}

#[test]
fn a_command_that_fails_and_cannot_say_so_ends_with_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conversationd.toml");
    std::fs::write(&file, "[fetch]\nconcurrency = 0\n").unwrap();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for command in [["config", "check"].as_slice(), &["serve"]] {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_conversationd"))
            .args(command)
            .arg("--config")
            .arg(&file)
            .stdout(full())
            .stderr(full())
            .status();
        assert_eq!(status.unwrap().code(), Some(78), "{command:?}");
    }
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_conversationd"))
        .args(["config", "default"])
        .stdout(full())
        .stderr(full())
        .status();
    assert_eq!(shown.unwrap().code(), Some(1), "what was asked for could not be written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_at_vonage_is_told_of() {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    for path in ["/webhooks/evnt", "/447700900123", "/webhook/event"] {
        let url = format!("http://127.0.0.1:{}{path}", service.public);
        assert_eq!(service.http.post(url).body("{}").send().await.unwrap().status(), 404);
    }
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success());
    let log = service.log();
    assert_eq!(log.matches("a path that is no webhook's").count(), 1, "{log}");
    assert!(log.contains("more requests came to paths") && log.contains("\"requests\":2"), "{log}");
    assert!(!log.contains("447700900123"), "{log}");
}
