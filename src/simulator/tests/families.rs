//! The same conversation in every path family.

use serde_json::Value;

use super::super::Action;
use super::super::Call;
use super::super::Change;
use super::super::Members;
use super::super::Note;
use super::super::Participant;
use super::super::Simulator;
use super::super::Step;
use super::support::TUTORIAL;
use super::support::at_vonage;
use super::support::data;
use super::support::get;
use super::support::in_mid_tutorial;
use super::support::keys;
use super::support::now;
use super::support::simulator;

const ALICE: &str = "MEM-f44c872e-cba9-444f-88ae-0bfa630865a6";

async fn document(simulator: &Simulator, family: &str, rest: &str) -> Value {
    let (status, document) = get(simulator, &format!("/{family}/conversations/{TUTORIAL}{rest}")).await;
    assert_eq!(status, 200, "{family}{rest}");
    document
}

/// The keys, sorted, without those that begin so.
fn keys_but(document: &Value, left_out: &[&str]) -> Vec<String> {
    let mut keys = keys(document);
    keys.retain(|key| !left_out.iter().any(|prefix| key.starts_with(prefix)));
    keys.sort();
    keys
}

#[tokio::test]
async fn a_conversation_has_each_familys_keys() {
    let simulator = simulator(Members::Embedded).await;
    in_mid_tutorial(&simulator).await;
    for (family, recorded, optional) in [
        ("beta", "seed_beta_uuid_members", [].as_slice()),
        ("v0.1", "embedded_v0.1_all_member_keys", &["members.knocking_id", "display_name", "image_url"]),
        ("v0.2", "v0.2_get_conversation", &["timestamp.updated"]),
        ("v0.3", "seed_v0.3_id_members", &[]),
        ("v1", "v1_get_conversation_inactive", &[]),
    ] {
        let document = document(&simulator, family, "").await;
        let recorded = data(&format!("conversations/{recorded}"));
        assert_eq!(keys_but(&document, optional), keys_but(&recorded, optional), "{family}");
        assert_eq!(document["sequence_number"], 8, "{family}");
        let own = at_vonage(&simulator, &document)["_links"]["self"]["href"].clone();
        assert_eq!(own, format!("https://api.nexmo.com/{family}/conversations/{TUTORIAL}"));
    }
}

#[tokio::test]
async fn a_v0_1_member_tells_of_its_legs() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    let document = document(&simulator, "v0.1", "").await;
    let recorded = data("conversations/embedded_v0.1_all_member_keys");
    assert_eq!(keys_but(&document["members"][0], &[]), keys_but(&recorded["members"][0], &["knocking_id"]),);
    assert_eq!(document["members"][0]["legs"][0]["status"], "answered");
}

#[tokio::test]
async fn a_member_list_has_each_familys_keys() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    for (family, recorded, optional) in [
        ("beta", "v0.1_list_members_bare_array", [].as_slice()),
        ("v0.1", "v0.1_list_members_bare_array", &[]),
        ("v0.2", "v0.2_list_members", &["_links.first"]),
        ("v0.3", "v0.3_list_members", &[]),
        ("v1", "v1_list_members", &[]),
    ] {
        let list = document(&simulator, family, "/members").await;
        let recorded = data(&format!("conversations/{recorded}"));
        assert_eq!(list.is_array(), recorded.is_array(), "{family}");
        assert_eq!(keys_but(&list, optional), keys_but(&recorded, optional), "{family}");
    }
}

#[tokio::test]
async fn a_member_has_each_familys_keys() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    let rest = format!("/members/{ALICE}");
    for family in ["beta", "v0.1"] {
        assert_eq!(keys(&document(&simulator, family, &rest).await), ["href", "id"], "{family}");
    }
    for (family, recorded) in [("v0.3", "v0.3_get_member_isSystem"), ("v1", "v1_get_member_joined")] {
        let member = document(&simulator, family, &rest).await;
        let recorded = data(&format!("conversations/{recorded}"));
        assert_eq!(keys_but(&member, &[]), keys_but(&recorded, &[]), "{family}");
    }
    let member = document(&simulator, "v0.2", &rest).await;
    assert_eq!(member["initiator"]["joined"]["is_system"], true);
    assert_eq!(member["media"]["audio"]["enabled"], true);
    assert!(member["_links"]["self"]["href"].is_string());
}

#[tokio::test]
async fn a_muted_member_reads_as_muted_until_it_is_heard_again() {
    let simulator = simulator(Members::Embedded).await;
    in_mid_tutorial(&simulator).await;
    let participant = Call::tutorial().steps.into_iter().find_map(joined).unwrap();
    let conversation = Call::tutorial().conversation;
    for (note, muted) in [(Note::muted(&participant), true), (Note::unmuted(&participant), false)] {
        simulator.apply(&conversation, now(), Change::Noted(note));
        let member = document(&simulator, "v1", &format!("/members/{ALICE}")).await;
        assert_eq!(member["media"]["audio_settings"]["muted"], muted);
        let embedded = document(&simulator, "beta", "").await;
        assert_eq!(embedded["members"][0]["media"].is_object(), muted);
    }
}

fn joined(step: Step) -> Option<Participant> {
    match step.action {
        Action::Change(Change::Joined(participant)) => Some(*participant),
        _ => None,
    }
}
