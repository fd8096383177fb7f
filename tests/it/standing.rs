//! The real binary while its store stands still: another program holds it, or the disk is full. Calls are answered,
//! events are refused, and everybody is told.

use std::io::Write;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, query_scalar};

use crate::support::daemon::{NCCO, PATIENCE, World};
use crate::support::process::{ExclusiveLock, Process, SOON};
use crate::support::service::Service;

/// What an answer webhook may take while the store does not answer, on a busy machine.
const NCCO_IN_TIME: Duration = Duration::from_secs(2);

/// What `/readyz` may take, on a busy machine.
const READINESS_IN_TIME: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_before_a_locked_store_can_be_opened() {
    let service = Service::new();
    let lock = ExclusiveLock::take(service.directory.path()).await;
    let process = Process::start(service.directory.path());
    let listening = async {
        while service.http.get(format!("http://127.0.0.1:{}/livez", service.public)).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.expect("the daemon listens");
    let began = Instant::now();
    assert_eq!(service.answer("CON-while-locked").await, (StatusCode::OK, NCCO.to_owned()));
    assert!(began.elapsed() < NCCO_IN_TIME, "{:?}", began.elapsed());
    assert_eq!(service.event("CON-refused").await, StatusCode::SERVICE_UNAVAILABLE);
    let (status, told) = service.private("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    assert!(told.contains("cannot be opened yet"), "{told}");
    assert_eq!(service.private("/livez").await.0, StatusCode::OK);
    assert_eq!(service.private("/v1/conversations").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let told = process.told();
    assert!(told.starts_with("STATUS=waiting for the store: ") && told.contains("locked"), "{told}");
    assert_eq!(process.told(), "READY=1", "calls are answered, which is what a restart would not do");

    lock.release().await;
    service.wait_for("/readyz", |status, _| status == StatusCode::OK).await;
    assert_eq!(process.told(), "STATUS=");
    assert_eq!(service.event("CON-taken").await, StatusCode::NO_CONTENT);
    // What was replied to before the store was there is kept when it is.
    service.wait_for_conversation("CON-while-locked").await;
    assert_eq!(service.causes().await, ["store"]);
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success(), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_waits_for_its_store_stops_when_it_is_told() {
    let service = Service::new();
    let lock = ExclusiveLock::take(service.directory.path()).await;
    let process = Process::start(service.directory.path());
    assert!(process.told().starts_with("STATUS=waiting"));
    assert_eq!(process.told(), "READY=1");
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    assert!(process.ended().success(), "{}", service.log());
    lock.release().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_no_store_ends_the_start() {
    let service = Service::new();
    std::fs::write(service.directory.path().join("conversationd.db"), "this is no database at all").unwrap();
    let process = Process::start(service.directory.path());
    assert_eq!(process.ended().code(), Some(1), "waiting would not mend it");
    assert!(service.log().contains("cannot be opened"), "{}", service.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_store_silences_neither_the_watchdog_nor_readiness() {
    let service = Service::new();
    // A tenth of the unit's, so that a lock that outlasts it need not last for a minute.
    let period = Duration::from_secs(3);
    let log = std::fs::File::create(service.directory.path().join("log")).unwrap();
    let process = Process::start_logging_to(service.directory.path(), log, "export WATCHDOG_USEC=3000000");
    let mut told = [process.told(), process.told()];
    told.sort();
    assert_eq!(told, ["READY=1", "WATCHDOG=1"]);
    let lock = ExclusiveLock::take(service.directory.path()).await;
    let senders = async {
        // Longer than two events wait for the store.
        for number in 0..3 {
            assert_eq!(service.event(&format!("CON-{number}")).await, StatusCode::SERVICE_UNAVAILABLE);
            let began = Instant::now();
            assert_eq!(service.answer(&format!("CON-answer-{number}")).await.1, NCCO);
            assert!(began.elapsed() < NCCO_IN_TIME, "{:?}", began.elapsed());
            let began = Instant::now();
            let (status, told) = service.private("/readyz").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
            assert!(began.elapsed() < READINESS_IN_TIME, "{:?}", began.elapsed());
        }
        // The store cannot be told of it; whoever asks is.
        let lasting = |gaps: &str| gaps.contains(r#""cause":"store""#) && gaps.contains(r#""ended_at":null"#);
        service.wait_for("/v1/gaps", |_, gaps| lasting(gaps)).await;
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
    service.wait_for("/readyz", |status, _| status == StatusCode::OK).await;
    service.wait_for_conversation("CON-answer-2").await;
    drop(process.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_sender_hangs_up_is_counted_and_followed_up_at_once() {
    let world = World { signatures: "off", ..World::default() };
    let vonage = world.vonage().await;
    let service = Service::beside(vonage.api_url().as_str());
    let process = Process::start(service.directory.path());
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
        let lock = ExclusiveLock::take(service.directory.path()).await;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", service.public)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        drop(stream);
        assert_eq!(service.private("/livez").await.0, StatusCode::OK);
        lock.release().await;
        service.wait_for_conversation(&format!("CON-{number}")).await;
        tokio::time::timeout(SOON, vonage.wait_for_requests(before + 1))
            .await
            .expect("it is fetched at once");
    }
    let series = r#"conversationd_webhooks_total{endpoint="event",kind="answered"}"#;
    assert_eq!(service.counted(series).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_for_the_store_take_a_bounded_part_of_the_memory() {
    const SENT: u64 = 300;
    // Each body has 5 s to come in, also on a busy machine.
    const AT_ONCE: usize = 16;
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    let lock = ExclusiveLock::take(service.directory.path()).await;
    let filling = "x".repeat(250_000);
    let url = format!("http://127.0.0.1:{}/webhooks/answer", service.public);
    let answers = stream::iter(0..SENT).map(|number| {
        let body = format!(
            r#"{{"conversation_uuid": "CON-{number}", "uuid": "leg", "custom_data": {{"x": "{filling}"}}}}"#
        );
        service.http.post(&url).header("content-type", "application/json").body(body).send()
    });
    let mut replies = answers.buffer_unordered(AT_ONCE);
    while let Some(reply) = replies.next().await {
        assert_eq!(reply.unwrap().text().await.unwrap(), NCCO);
    }
    let lost = service.counted("conversationd_answers_lost_total").await;
    assert!((100..SENT).contains(&lost), "64 MiB hold some of them and not all: {lost} were lost");
    let peak = process.peak_memory();
    assert!(peak < 350 * 1024 * 1024, "{peak} bytes");

    lock.release().await;
    let kept = format!(r#"conversationd_webhooks_total{{endpoint="answer",kind="answer"}} {}"#, SENT - lost);
    service.wait_for("/metrics", |_, metrics| metrics.lines().any(|line| line == kept)).await;
    // What was lost is named.
    service.wait_for("/v1/gaps", |_, gaps| gaps.contains(r#""cause":"store""#)).await;
}

/// What to do to the store's files while the daemon has them open.
type Damage = fn(&std::path::Path);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_into_files_that_are_gone_and_what_they_held_is_rescued() {
    let damages: [(&str, Damage); 4] = [
        ("everything is removed", |store| {
            for ending in ["", "-wal", "-shm"] {
                std::fs::remove_file(store.with_extension(format!("db{ending}"))).unwrap();
            }
        }),
        ("the store is removed", |store| std::fs::remove_file(store).unwrap()),
        ("the log is removed", |store| std::fs::remove_file(store.with_extension("db-wal")).unwrap()),
        ("another file takes its place", |store| {
            let other = store.with_extension("other");
            std::fs::write(&other, "conversation,started_at\n").unwrap();
            std::fs::rename(other, store).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let service = Service::new();
        let process = Process::start(service.directory.path());
        assert_eq!(process.told(), "READY=1");
        assert_eq!(service.event("CON-before").await, StatusCode::NO_CONTENT);
        service.wait_for_conversation("CON-before").await;
        let store = service.directory.path().join("conversationd.db");
        damage(&store);
        assert_eq!(service.event("CON-after").await, StatusCode::SERVICE_UNAVAILABLE, "{what}");
        assert_eq!(service.answer("CON-answer").await, (StatusCode::OK, NCCO.to_owned()), "{what}");
        let ready = service.wait_for("/readyz", |status, _| status == StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(ready.contains("removed or replaced"), "{what}: {ready}");
        assert!(service.log().contains("was removed or replaced"), "{what}: {}", service.log());
        process.signal("TERM");
        assert_eq!(process.told(), "STOPPING=1");
        process.ended();

        // Whoever overlooks what else is to be removed must not lose anything.
        let copy = service.directory.path().join("conversationd.db.rescue-1");
        assert!(copy.exists(), "{what}: {}", service.log());
        std::fs::copy(copy, &store).unwrap();
        let again = Process::start(service.directory.path());
        assert_eq!(again.told(), "READY=1", "{what}: {}", service.log());
        service.wait_for_conversation("CON-before").await;
        assert_eq!(service.event("CON-after").await, StatusCode::NO_CONTENT, "{what}");
        let mut check = SqliteConnectOptions::new().filename(&store).connect().await.unwrap();
        let checked: String = query_scalar("PRAGMA integrity_check").fetch_one(&mut check).await.unwrap();
        assert_eq!(checked, "ok", "{what}");
        assert!(
            service.log().contains("there is a rescue copy beside the store"),
            "{what}: {}",
            service.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_are_noticed_without_a_webhook() {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    std::fs::remove_file(service.directory.path().join("conversationd.db")).unwrap();
    let copy = service.directory.path().join("conversationd.db.rescue-1");
    let rescued = async {
        let mut turns = tokio::time::interval(Duration::from_millis(20));
        while !copy.exists() {
            turns.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, rescued).await.expect("the heartbeat notices");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_never_takes_the_service_of_the_store() {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    let directory = service.directory.path();
    let link = directory.join("link.csv");
    std::os::unix::fs::symlink(directory.join("conversationd.db"), &link).unwrap();
    let (store, roundabout) = (directory.join("conversationd.db"), directory.join("./conversationd.db-wal"));
    let own = [store.clone(), roundabout, directory.join("conversationd.db.lock"), link];
    for output in own {
        let exported = std::process::Command::new(env!("CARGO_BIN_EXE_conversationd"))
            .args(["export", "--config"])
            .arg(directory.join("conversationd.toml"))
            .arg("--output")
            .arg(&output)
            .output()
            .unwrap();
        assert_eq!(exported.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8(exported.stderr).unwrap();
        assert!(told.contains("one of the store's own files"), "{told}");
    }
    assert_eq!(service.event("CON-after").await, StatusCode::NO_CONTENT, "the store is where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_requests_of_a_start_wait_for_the_store() {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    let url = format!("http://127.0.0.1:{}/webhooks/event", service.public);
    let body = r#"{"conversation_uuid": "CON-first", "uuid": "leg", "status": "ringing"}"#;
    let listening = async {
        loop {
            let request = service.http.post(&url).header("content-type", "application/json").body(body);
            if let Ok(reply) = request.send().await {
                return reply.status();
            }
        }
    };
    let first = tokio::time::timeout(PATIENCE, listening).await.expect("the daemon listens");
    assert_eq!(first, StatusCode::NO_CONTENT, "Vonage repeats an event once, and not long after");
    assert_eq!(service.private("/readyz").await.0, StatusCode::OK);
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_the_store_is_another_file() {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    assert_eq!(service.event("CON-before").await, StatusCode::NO_CONTENT);
    let store = service.directory.path().join("conversationd.db");
    let elsewhere = service.directory.path().join("elsewhere.db");
    std::fs::rename(&store, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &store).unwrap();
    // SQLite would look for the log beside the file that the link leads to.
    assert_eq!(service.event("CON-after").await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(service.directory.path().join("conversationd.db.rescue-1").exists(), "{}", service.log());
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_takes_the_place_of_nothing_but_a_file() {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    assert_eq!(service.event("CON-1").await, StatusCode::NO_CONTENT);
    service.wait_for("/v1/conversations/CON-1", |status, _| status == StatusCode::OK).await;
    let directory = service.directory.path();
    let (target, link, pipe) =
        (directory.join("target.csv"), directory.join("link.csv"), directory.join("pipe"));
    std::fs::write(&target, "before").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let export = |output: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conversationd"));
        command.args(["export", "--config"]).arg(directory.join("conversationd.toml"));
        command.arg("--output").arg(output).spawn().unwrap()
    };
    assert!(export(&link).wait().unwrap().success());
    assert!(link.is_symlink() && std::fs::read_to_string(&target).unwrap().contains("CON-1"));
    let mut running = export(&pipe);
    let read = tokio::task::spawn_blocking({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    let read = tokio::time::timeout(PATIENCE, read).await.expect("it is written into").unwrap();
    assert!(read.contains("CON-1"), "{read}");
    assert!(running.wait().unwrap().success());
    assert!(!pipe.is_file(), "it is still a pipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_lock_and_says_what_it_loses() {
    let service = Service::new();
    let process = Process::start(service.directory.path());
    assert_eq!(process.told(), "READY=1");
    let lock = ExclusiveLock::take(service.directory.path()).await;
    for number in 0..5 {
        assert_eq!(service.answer(&format!("CON-{number}")).await.1, NCCO);
    }
    process.signal("TERM");
    assert_eq!(process.told(), "STOPPING=1");
    let began = Instant::now();
    process.signal("TERM");
    assert_eq!(process.ended().code(), Some(1), "answers were lost: {}", service.log());
    assert!(began.elapsed() < Duration::from_secs(5), "a second signal cuts it short: {:?}", began.elapsed());
    lock.release().await;
}
