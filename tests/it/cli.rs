//! The reading commands: the same answers as over HTTP, from the store's file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use conversationd::simulator::{Action, Call, Fault, Members, Pace};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::daemon::{TestDaemon, World, standing_still_at, write_configuration};

const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";

#[tokio::test]
async fn what_is_read_beside_the_daemon_is_what_it_answers() {
    let daemon = recorded().await;
    for (arguments, path) in [
        (vec!["list", "--json"], "/v1/conversations".to_owned()),
        (
            vec!["list", "--json", "--number", "+44 7700 000001", "--state", "ended", "--min-duration", "5m"],
            "/v1/conversations?number=447700000001&state=ended&min_duration=300".to_owned(),
        ),
        (vec!["list", "--json", "--from", "447700000009"], "/v1/conversations?from=447700000009".to_owned()),
        (vec!["show", TUTORIAL, "--json"], format!("/v1/conversations/{TUTORIAL}")),
        (
            vec!["show", "30cecc87-7ac9-4d03-910a-e9d69558263c", "--json"],
            format!("/v1/conversations/{TUTORIAL}"),
        ),
        (vec!["timeline", TUTORIAL, "--json"], format!("/v1/conversations/{TUTORIAL}/timeline")),
    ] {
        let (told, answer) = told_and_answered(&daemon, &arguments, &path).await;
        let [told, answer] = [told, answer].map(|json| serde_json::from_str::<Value>(&json).unwrap());
        assert_eq!(told, answer, "{arguments:?}");
    }
    for format in ["csv", "ndjson"] {
        let path = format!("/v1/conversations?format={format}");
        let (told, answer) = told_and_answered(&daemon, &["export", "--format", format], &path).await;
        assert_eq!(told, answer);
    }
}

/// What a command prints, and what the daemon answers both before and after it: it may still be learning.
async fn told_and_answered(daemon: &TestDaemon, arguments: &[&str], path: &str) -> (String, String) {
    let mut before = daemon.get(path).await.text;
    loop {
        let output = run(daemon.directory(), arguments, &[]);
        assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
        let after = daemon.get(path).await.text;
        if after == before {
            return (text(&output), after);
        }
        before = after;
    }
}

#[tokio::test]
async fn times_are_the_readers_and_in_utc_if_asked_for() {
    let mut daemon = recorded().await;
    daemon.stop().await;
    let place = daemon.directory();
    let zone = [("TZ", "Europe/London")];
    for (arguments, expected) in [
        (&["show", TUTORIAL][..], "2018-10-25 10:26:30.340 BST"),
        (&["show", TUTORIAL, "--utc"], "2018-10-25 09:26:30.340 UTC"),
        (&["timeline", TUTORIAL], "2018-10-25 10:26:19.385 BST  member state  INVITED"),
        (&["list"], "2018-10-25 10:26:18.991 BST  447700000001  447700000002  completed"),
        (&["list", "--to", "447700000009"], "no conversation found"),
    ] {
        let output = run(place, arguments, &zone);
        assert!(text(&output).contains(expected), "{arguments:?}: {}", text(&output));
    }
}

#[tokio::test]
async fn a_conversation_of_which_little_is_known_reads_well() {
    let (world, _) = standing_still_at("2026-03-09T10:15:30Z");
    let mut daemon = World { signatures: "off", ..world }.start().await;
    let id = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
    let body = json!({"conversation_uuid": id, "uuid": "leg-1", "status": "completed"}).to_string();
    assert!(daemon.post_event(body).await.status.is_success());
    daemon.wait_for(id, |one| one["capture"]["state"] == "missed").await;
    daemon.stop().await;
    let told = text(&run(daemon.directory(), &["show", id, "--utc"], &[]));
    let expected = format!(
        "{id}  ended
  started 2026-03-09 10:15:30.000 UTC, ended 2026-03-09 10:15:30.000 UTC
  missed, no snapshots
  gone before the first look: Vonage answered 404 at 10:15:30.000

no members known

legs
  leg-1
    2026-03-09 10:15:30.000 UTC  completed
"
    );
    assert_eq!(told, expected);
}

#[tokio::test]
async fn one_snapshot_is_no_snapshots() {
    let mut daemon = World::default().start().await;
    let (mut talk, _) = Call::tutorial().split_at("2018-10-25T09:31:00Z".parse().unwrap());
    let webhook = talk.webhooks().last().unwrap().clone();
    talk.steps.retain(|step| matches!(step.action, Action::Change(_)));
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    assert!(daemon.vonage.send(webhook).await.is_accepted());
    daemon.wait_for(TUTORIAL, |one| one["capture"]["state"] == "captured").await;
    daemon.stop().await;
    let told = text(&run(daemon.directory(), &["show", TUTORIAL], &[]));
    assert!(told.contains("\n  captured, 1 snapshot\n"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_answered_is_told_with_an_exit_code() {
    let mut daemon = recorded().await;
    daemon.stop().await;
    let place = daemon.directory();
    for (arguments, code, word) in [
        (&["list", "--state", "dead"][..], 2, "live or ended"),
        (&["list", "--nonsense"], 2, "nonsense"),
        (&["show", "CON-unknown"], 1, "no conversation"),
        (&["export", "--since", "1h", "--until", "2h"], 2, "later than since"),
        (&["export", "--output", "/nonexistent/file.csv"], 1, "No such file"),
    ] {
        let output = run(place, arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(errors(&output).contains(word), "{arguments:?}: {}", errors(&output));
        assert_eq!(text(&output), "");
    }
    let elsewhere = [("CONVERSATIOND__STORE__URL", "sqlite:/nonexistent/store.db")];
    let output = run(place, &["list"], &elsewhere);
    assert_eq!(output.status.code(), Some(1));
    let told = errors(&output);
    assert!(told.contains("/nonexistent/store.db") && told.contains("No such file"), "{told}");
    assert!(!Path::new("/nonexistent").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn vonage_is_asked_for_conversations_only() {
    let mut daemon = World::default().start().await;
    daemon.stop().await;
    for id in
        ["nonsense", "MEM-1", "CON-1/members", "CON-1 2", "CON-", "", "797168e24c19a3c45e74e05b10fef2b5"]
    {
        let output = run(daemon.directory(), &["fetch", id], &[]);
        assert_eq!(output.status.code(), Some(2), "{id}: {}", errors(&output));
    }
    let told = errors(&run(daemon.directory(), &["fetch", "MEM-1"], &[]));
    assert!(told.contains("a conversation's id begins with CON-"), "{told}");
    assert!(daemon.vonage.requests().is_empty());
    let output = run(daemon.directory(), &["fetch", "CON-unknown"], &[]);
    assert!(output.status.code() == Some(1) && errors(&output).contains("(404)"), "{}", errors(&output));
    assert!(!daemon.vonage.requests().is_empty());
}

/// The tutorial's call at Vonage, while it lasts, and a daemon that never heard of it and has stopped.
async fn unheard_of() -> TestDaemon {
    let mut daemon = World { members: Members::Listed, ..World::default() }.start().await;
    daemon.stop().await;
    let (mut talk, _) = Call::tutorial().split_at("2018-10-25T09:31:00Z".parse().expect("it is an instant"));
    talk.steps.retain(|step| matches!(step.action, Action::Change(_)));
    daemon.vonage.play(&talk, Pace::AtOnce).await;
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_by_hand_is_kept_once() {
    let daemon = unheard_of().await;
    for told in ["kept as snapshot 1\n", "nothing new since snapshot 1\n"] {
        let output = run(daemon.directory(), &["fetch", TUTORIAL, "--keep"], &[]);
        assert_eq!((output.status.code(), errors(&output).as_str()), (Some(0), told));
        assert!(text(&output).contains("NAM-"), "{}", text(&output));
    }
    let shown = run(daemon.directory(), &["show", TUTORIAL, "--json"], &[]);
    let shown: Value = serde_json::from_str(&text(&shown)).unwrap();
    assert_eq!((&shown["capture"]["state"], &shown["capture"]["snapshots"]), (&json!("captured"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_look_by_hand_could_not_see_is_said() {
    let daemon = unheard_of().await;
    for (path, said) in
        [("/events", "the event list could not be read"), ("/members", "not all members were seen")]
    {
        daemon.vonage.answer_properly();
        daemon.vonage.answer_always(&format!("/v0.3/conversations/{TUTORIAL}{path}"), Fault::Status(500));
        let output = run(daemon.directory(), &["fetch", TUTORIAL], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(errors(&output).contains(said), "{path}: {}", errors(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_by_hand_asks_with_each_applications_token() {
    let daemon = unheard_of().await;
    let file = daemon.directory().join("conversationd.toml");
    let other = format!(
        "[[application]]\nid = \"4a1b2c3d-0000-4000-8000-000000000000\"\nprivate_key_file = \"{0}\"\n\
         signature_secret_files = [\"{1}\"]\napi_key = \"abcd1234\"\napi_url = \"{2}\"\n[[application]]",
        daemon.directory().join("private.key").display(),
        daemon.directory().join("signature.secret").display(),
        daemon.vonage.api_url(),
    );
    let configuration = fs::read_to_string(&file).unwrap().replacen("[[application]]", &other, 1);
    fs::write(&file, configuration).unwrap();
    let output = run(daemon.directory(), &["fetch", TUTORIAL, "--keep"], &[]);
    assert_eq!((output.status.code(), errors(&output).as_str()), (Some(0), "kept as snapshot 1\n"));
    // Why the first does not work is the more telling of the two.
    let told = errors(&run(daemon.directory(), &["fetch", "CON-unknown"], &[]));
    assert!(told.contains("4a1b2c3d-0000-4000-8000-000000000000 (401)"), "{told}");
}

#[test]
fn without_an_application_the_configuration_is_what_is_wrong() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("conversationd.toml"), "webhooks.signatures = \"off\"").unwrap();
    for arguments in [&["jwt"][..], &["fetch", "CON-1"]] {
        let output = run(place.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {}", errors(&output));
        assert!(errors(&output).contains("[[application]]"), "{}", errors(&output));
    }
}

#[test]
fn files_that_would_fail_every_webhook_are_told_of_before_any_comes() {
    let place = TempDir::new().unwrap();
    write_configuration(place.path(), &World::default(), "http://127.0.0.1:9");
    let file = |name: &str| place.path().join(name);
    let configuration = fs::read_to_string(file("conversationd.toml")).unwrap();
    // A check that waits for a pipe to be written to would never end.
    let check = |configuration: &str| {
        fs::write(file("conversationd.toml"), configuration).unwrap();
        let check = ["20", env!("CARGO_BIN_EXE_conversationd"), "config", "check", "--config"];
        let mut command = Command::new("timeout");
        let output = command.args(check).arg(file("conversationd.toml")).env_remove("RUST_LOG").output();
        let output = output.expect("timeout is there");
        (output.status.code(), text(&output) + &errors(&output))
    };
    let is_well = |(code, told): (Option<i32>, String)| code == Some(0) && !told.contains("warning");
    for name in ["private.key", "signature.secret"] {
        fs::set_permissions(file(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(is_well(check(&configuration)));
    let secret = fs::read_to_string(file("signature.secret")).unwrap();
    for (content, told) in [
        (format!("\u{feff}{secret}"), "byte order mark"),
        (format!("\u{200b}{secret}"), "a character that nobody sees"),
        (format!("{secret}\u{200d}"), "a character that nobody sees"),
        (format!("SIGNATURE_SECRET={secret}"), "NAME=value"),
        (format!("secret = {secret}"), "NAME=value"),
        (format!("\"{secret}\"\n"), "quotes"),
        (format!("{secret}\n{secret}\n"), "name two files"),
    ] {
        fs::write(file("signature.secret"), content).unwrap();
        let (code, errors) = check(&configuration);
        assert!(code == Some(78) && errors.contains(told), "{code:?} {errors}");
    }
    fs::write(file("signature.secret"), format!("  {secret}\r\n")).unwrap();
    assert!(is_well(check(&configuration)));
    fs::set_permissions(file("signature.secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, errors) = check(&configuration);
    assert!(code == Some(0) && errors.contains("can be read by every user"), "{code:?} {errors}");
    assert!(Command::new("mkfifo").arg(file("pipe")).status().unwrap().success());
    for endless in [file("pipe").display().to_string(), "/dev/zero".to_owned()] {
        for name in ["private.key", "signature.secret", "ncco.json"] {
            let own = file(name).display().to_string();
            let (code, errors) = check(&configuration.replace(&own, &endless));
            assert!(
                code == Some(78) && errors.contains("no regular file"),
                "{endless} {name}: {code:?} {errors}"
            );
        }
    }
}

#[test]
fn whoever_has_read_enough_ends_a_command_without_a_word() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("conversationd.toml"), "webhooks.signatures = \"off\"").unwrap();
    let commands: [&[&str]; 6] = [
        &["config", "default"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "check"],
        &["token", "new", "someone"],
        &["token", "new", "someone", "--json"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(place.path(), arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", errors(&output));
        assert_eq!(errors(&output), "", "{arguments:?}");
    }
}

#[tokio::test]
async fn reading_does_not_need_the_keys() {
    let mut daemon = recorded().await;
    daemon.stop().await;
    let place = daemon.directory();
    fs::remove_file(place.join("private.key")).unwrap();
    let output = run(place, &["list"], &[]);
    assert!(text(&output).contains(TUTORIAL), "{}", errors(&output));
}

#[tokio::test]
async fn an_export_is_there_when_it_is_whole() {
    let mut daemon = recorded().await;
    daemon.stop().await;
    let place = daemon.directory();
    let file = place.join("calls.csv");
    let output = run(place, &["export", "--output", file.to_str().unwrap()], &[]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), text(&run(place, &["export"], &[])));
}

async fn recorded() -> TestDaemon {
    let daemon = World::default().start().await;
    daemon.vonage.play(&Call::tutorial(), Pace::AfterEachLook).await;
    let is_over =
        |list: &Value| list.to_string().contains("\"gone\"") && list.to_string().contains("\"ncco\"");
    daemon.wait_for_path(&format!("/v1/conversations/{TUTORIAL}/timeline"), is_over).await;
    daemon.wait_for(TUTORIAL, |one| one["state"] == "ended" && one["price"].is_string()).await;
    daemon
}

fn run(place: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(place, arguments).envs(environment.iter().copied()).output().expect("the binary can be started")
}

fn command(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conversationd"));
    command.args(arguments).arg("--config").arg(place.join("conversationd.toml")).env_remove("RUST_LOG");
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
