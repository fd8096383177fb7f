//! The real binary while its store stands still: another program holds it, or the disk is full. Calls are answered,
//! events are refused, and everybody is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::Write;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::{NCCO, PATIENCE, World};
use crate::support::process::{ExclusiveLock, Process, SOON, configure, log};

/// What an answer webhook may take while the store does not answer, on a busy machine.
const NCCO_IN_TIME: Duration = Duration::from_secs(2);

/// What `/readyz` may take, on a busy machine.
const READINESS_IN_TIME: Duration = Duration::from_secs(2);

/// A daemon whose webhooks need no signature, with its addresses.
struct Place {
    directory: TempDir,
    http: reqwest::Client,
    public: u16,
    private: u16,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = World { signatures: "off", ..World::default() };
        // Nobody is at Vonage's address: nothing here is about fetches.
        let [public, private] = configure(directory.path(), &world, "http://127.0.0.1:9").unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { directory, http, public, private }
    }

    async fn answer(&self, conversation: &str) -> (StatusCode, String) {
        let query = format!("to=447700900100&from=447700900001&uuid=leg&conversation_uuid={conversation}");
        let url = format!("http://127.0.0.1:{}/webhooks/answer?{query}", self.public);
        let reply = self.http.get(url).send().await.unwrap();
        (reply.status(), reply.text().await.unwrap())
    }

    async fn event(&self, conversation: &str) -> StatusCode {
        let url = format!("http://127.0.0.1:{}/webhooks/event", self.public);
        let body =
            format!(r#"{{"conversation_uuid": "{conversation}", "uuid": "leg", "status": "ringing"}}"#);
        let request = self.http.post(url).header("content-type", "application/json").body(body);
        request.send().await.unwrap().status()
    }

    async fn private(&self, path: &str) -> (StatusCode, String) {
        let reply = self.http.get(format!("http://127.0.0.1:{}{path}", self.private)).send().await.unwrap();
        (reply.status(), reply.text().await.unwrap())
    }

    /// Asks until the answer is as it should be.
    async fn wait_for(&self, path: &str, condition: impl Fn(StatusCode, &str) -> bool) -> String {
        let asking = async {
            let mut turns = tokio::time::interval(Duration::from_millis(20));
            loop {
                turns.tick().await;
                let (status, text) = self.private(path).await;
                if condition(status, &text) {
                    return text;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("what is waited for comes about")
    }

    /// Waits until a conversation is kept.
    async fn wait_for_conversation(&self, id: &str) {
        self.wait_for(&format!("/v1/conversations/{id}/webhooks"), |status, _| status == StatusCode::OK)
            .await;
    }

    async fn causes(&self) -> Vec<String> {
        let gaps: Value = serde_json::from_str(&self.private("/v1/gaps").await.1).unwrap();
        let causes = gaps["items"].as_array().unwrap().iter().map(|gap| gap["cause"].as_str().unwrap());
        causes.map(str::to_owned).collect()
    }

    fn log(&self) -> String {
        log(self.directory.path())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_before_a_locked_store_can_be_opened() {
    let place = Place::new();
    let lock = ExclusiveLock::take(place.directory.path()).await;
    let process = Process::start(place.directory.path());
    let listening = async {
        while place.http.get(format!("http://127.0.0.1:{}/livez", place.public)).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("the daemon listens");
    let began = Instant::now();
    assert_eq!(place.answer("CON-while-locked").await, (StatusCode::OK, NCCO.to_owned()));
    assert!(began.elapsed() < NCCO_IN_TIME, "{:?}", began.elapsed());
    assert_eq!(place.event("CON-refused").await, StatusCode::SERVICE_UNAVAILABLE);
    let (status, told) = place.private("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    assert!(told.contains("cannot be opened yet"), "{told}");
    assert_eq!(place.private("/livez").await.0, StatusCode::OK);
    assert_eq!(place.private("/v1/conversations").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let told = process.told();
    assert!(told.starts_with("STATUS=waiting for the store: ") && told.contains("locked"), "{told}");
    assert_eq!(process.told(), "READY=1", "calls are answered, which is what a restart would not do");

    lock.release().await;
    place.wait_for("/readyz", |status, _| status == StatusCode::OK).await;
    assert_eq!(process.told(), "STATUS=");
    assert_eq!(place.event("CON-taken").await, StatusCode::NO_CONTENT);
    // What was replied to before the store was there is kept when it is.
    place.wait_for_conversation("CON-while-locked").await;
    assert_eq!(place.causes().await, ["store"]);
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success(), "{}", place.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_waits_for_its_store_stops_when_it_is_told() {
    let place = Place::new();
    let lock = ExclusiveLock::take(place.directory.path()).await;
    let process = Process::start(place.directory.path());
    assert!(process.told().starts_with("STATUS=waiting"));
    assert_eq!(process.told(), "READY=1");
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success(), "{}", place.log());
    lock.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_no_store_ends_the_start() {
    let place = Place::new();
    std::fs::write(place.directory.path().join("conversationd.db"), "this is no database at all").unwrap();
    let process = Process::start(place.directory.path());
    assert_eq!(process.ended().code(), Some(1), "waiting would not mend it");
    assert!(place.log().contains("cannot be opened"), "{}", place.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_store_silences_neither_the_watchdog_nor_readiness() {
    let place = Place::new();
    // A tenth of the unit's, so that a lock that outlasts it need not last for a minute.
    let period = Duration::from_secs(3);
    let log = std::fs::File::create(place.directory.path().join("log")).unwrap();
    let process = Process::start_logging_to(place.directory.path(), log, "export WATCHDOG_USEC=3000000");
    let mut told = [process.told(), process.told()];
    told.sort();
    assert_eq!(told, ["READY=1", "WATCHDOG=1"]);
    let lock = ExclusiveLock::take(place.directory.path()).await;
    let senders = async {
        // Longer than two events wait for the store.
        for number in 0..3 {
            assert_eq!(place.event(&format!("CON-{number}")).await, StatusCode::SERVICE_UNAVAILABLE);
            let began = Instant::now();
            assert_eq!(place.answer(&format!("CON-answer-{number}")).await.1, NCCO);
            assert!(began.elapsed() < NCCO_IN_TIME, "{:?}", began.elapsed());
            let began = Instant::now();
            let (status, told) = place.private("/readyz").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
            assert!(began.elapsed() < READINESS_IN_TIME, "{:?}", began.elapsed());
        }
    };
    let watched = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let mut last = began;
        while began.elapsed() < 4 * period {
            assert_eq!(process.told(), "WATCHDOG=1");
            assert!(last.elapsed() < period, "systemd would have killed it: {:?}", last.elapsed());
            last = Instant::now();
        }
        process
    });
    let ((), process) = tokio::join!(senders, watched);
    lock.release().await;
    place.wait_for("/readyz", |status, _| status == StatusCode::OK).await;
    place.wait_for_conversation("CON-answer-2").await;
    drop(process.unwrap());
}

impl Place {
    /// What a counter has counted.
    async fn counted(&self, series: &str) -> u64 {
        let (_, metrics) = self.private("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_sender_hangs_up_is_counted_and_followed_up_at_once() {
    let world = World { signatures: "off", ..World::default() };
    let vonage = world.vonage().await;
    let directory = tempfile::tempdir().unwrap();
    let [public, private] = configure(directory.path(), &world, vonage.api_url().as_str()).unwrap();
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let place = Place { directory, http, public, private };
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    for number in 0..3 {
        let before = vonage.requests().len();
        let body = format!(r#"{{"conversation_uuid": "CON-{number}", "uuid": "leg", "status": "answered"}}"#);
        let request = format!(
            "POST /webhooks/event HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        // The commit waits, and with it the reply that nobody will read.
        let lock = ExclusiveLock::take(place.directory.path()).await;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", public)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        drop(stream);
        assert_eq!(place.private("/livez").await.0, StatusCode::OK);
        lock.release().await;
        place.wait_for_conversation(&format!("CON-{number}")).await;
        tokio::time::timeout(SOON, vonage.wait_for_requests(before + 1))
            .await
            .expect("it is fetched at once");
    }
    let series = r#"conversationd_webhooks_total{endpoint="event",kind="answered"}"#;
    assert_eq!(place.counted(series).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_for_the_store_take_a_bounded_part_of_the_memory() {
    const SENT: u64 = 300;
    let place = Place::new();
    let process = Process::start(place.directory.path());
    assert_eq!(process.told(), "READY=1");
    let lock = ExclusiveLock::take(place.directory.path()).await;
    let filling = "x".repeat(250_000);
    let url = format!("http://127.0.0.1:{}/webhooks/answer", place.public);
    let answers = (0..SENT).map(|number| {
        let body = format!(
            r#"{{"conversation_uuid": "CON-{number}", "uuid": "leg", "custom_data": {{"x": "{filling}"}}}}"#
        );
        place.http.post(&url).header("content-type", "application/json").body(body).send()
    });
    for reply in futures_util::future::join_all(answers).await {
        assert_eq!(reply.unwrap().text().await.unwrap(), NCCO);
    }
    let lost = place.counted("conversationd_answers_lost_total").await;
    assert!((100..SENT).contains(&lost), "64 MiB hold some of them and not all: {lost} were lost");
    let peak = process.peak_memory();
    assert!(peak < 350 * 1024 * 1024, "{peak} bytes");

    lock.release().await;
    let all = format!("/v1/webhooks?limit={SENT}");
    let kept = |text: &str| text.matches("\"number\"").count() as u64;
    place.wait_for(&all, |_, text| kept(text) == SENT - lost).await;
    assert!(place.causes().await.contains(&"store".to_owned()), "what was lost is named");
}
