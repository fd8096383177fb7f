//! What the Conversation API answers.

use super::super::Call;
use super::super::Change;
use super::super::Channel;
use super::super::Endpoint;
use super::super::Lifetime;
use super::super::Members;
use super::super::Pace;
use super::super::Participant;
use super::super::Simulator;
use super::support::TUTORIAL;
use super::support::at_vonage;
use super::support::get;
use super::support::in_mid_tutorial;
use super::support::json;
use super::support::keys;
use super::support::now;
use super::support::simulator;
use crate::domain::ids::ConversationId;
use crate::domain::ids::LegId;
use crate::domain::ids::MemberId;

const SEED_BETA: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/conversations/seed_beta_uuid_members.json"
));
const SEED_V03: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/conversations/seed_v0.3_id_members.json"));
const LISTED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/conversations/v0.3_get_conversation.json"));
const LIST: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/conversations/v0.3_list_members.json"));
const MEMBER: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/conversations/v0.3_get_member_isSystem.json"
));

#[tokio::test]
async fn the_tutorials_conversation_reads_as_in_the_tutorial() {
    let simulator = simulator(Members::Embedded).await;
    in_mid_tutorial(&simulator).await;
    for (family, seed) in [("beta", SEED_BETA), ("v0.3", SEED_V03)] {
        let (status, document) = get(&simulator, &format!("/{family}/conversations/{TUTORIAL}")).await;
        assert_eq!(status, 200);
        assert_eq!(at_vonage(&simulator, &document), json(seed), "{family}");
    }
}

#[tokio::test]
async fn the_first_join_can_be_seen_before_the_second_overwrites_it() {
    let simulator = simulator(Members::Embedded).await;
    let (before, _) = Call::tutorial().split_at("2018-10-25T09:26:30.334Z".parse().unwrap());
    simulator.play(&before, Pace::AtOnce).await;
    let (_, document) = get(&simulator, &format!("/v0.3/conversations/{TUTORIAL}")).await;
    assert_eq!(document["members"][0]["timestamp"]["joined"], "2018-10-25T09:26:19.204Z");
}

#[tokio::test]
async fn listed_members_have_the_shapes_of_v0_3() {
    let simulator = simulator(Members::Listed).await;
    in_mid_tutorial(&simulator).await;
    let path = format!("/v0.3/conversations/{TUTORIAL}");
    let (_, conversation) = get(&simulator, &path).await;
    assert_eq!(keys(&conversation), keys(&json(LISTED)));
    let (_, list) = get(&simulator, &format!("{path}/members")).await;
    assert_eq!(keys(&list), keys(&json(LIST)));
    let (_, member) =
        get(&simulator, &format!("{path}/members/MEM-f44c872e-cba9-444f-88ae-0bfa630865a6")).await;
    assert_eq!(keys(&member), keys(&json(MEMBER)));
    assert_eq!(member["timestamp"]["joined"], "2018-10-25T09:26:30.334Z");
    let (_, beta) = get(&simulator, &format!("/beta/conversations/{TUTORIAL}")).await;
    assert_eq!(at_vonage(&simulator, &beta), json(SEED_BETA));
}

#[tokio::test]
async fn a_conversation_is_gone_with_its_last_leg() {
    let simulator = simulator(Members::Embedded).await;
    let end = in_mid_tutorial(&simulator).await;
    simulator.play(&end, Pace::AtOnce).await;
    let path = format!("/v0.3/conversations/{TUTORIAL}");
    for path in [path.clone(), format!("{path}/members"), format!("{path}/members/MEM-1")] {
        let (status, body) = get(&simulator, &path).await;
        assert_eq!((status, &body["code"]), (404, &json("\"conversation:error:not-found\"")));
    }
}

#[tokio::test]
async fn a_conversation_outlives_the_first_of_its_legs_and_a_named_one_all_of_them() {
    let simulator = simulator(Members::Embedded).await;
    let leg = |text: &str| LegId::parse(text).unwrap();
    for (id, lifetime, status) in [("CON-1", Lifetime::Transient, 404), ("CON-2", Lifetime::Persistent, 200)]
    {
        let conversation = ConversationId::parse(id).unwrap();
        let path = format!("/beta/conversations/{id}");
        simulator.apply(&conversation, now(), Change::LegStarted(leg("a")));
        simulator.apply(&conversation, now(), Change::Created { name: "room".to_owned(), lifetime });
        simulator.apply(&conversation, now(), Change::LegStarted(leg("b")));
        simulator.apply(&conversation, now(), Change::LegEnded(leg("a")));
        assert_eq!(get(&simulator, &path).await.0, 200);
        simulator.apply(&conversation, now(), Change::LegEnded(leg("b")));
        assert_eq!(get(&simulator, &path).await.0, status);
        simulator.forget(&conversation);
        assert_eq!(get(&simulator, &path).await.0, 404);
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page_along_its_links() {
    let simulator = simulator(Members::Listed).await;
    let conversation = crowd(&simulator, 23);
    for (size, pages) in [("", vec![10, 10, 3]), ("?page_size=23", vec![23]), ("?page_size=12", vec![12, 11])]
    {
        let mut path = format!("/v0.3/conversations/{conversation}/members{size}");
        let mut seen = Vec::new();
        for expected in &pages {
            let (status, page) = get(&simulator, &path).await;
            assert_eq!(status, 200);
            let members = page["_embedded"]["members"].as_array().unwrap();
            assert_eq!(members.len(), *expected);
            seen.extend(members.iter().map(|member| member["id"].as_str().unwrap().to_owned()));
            let next = page["_links"]["next"]["href"].as_str();
            path = next.unwrap_or_default().replace(simulator.api_url().as_str(), "");
        }
        assert_eq!(path, "", "the last page has no next one");
        assert_eq!(seen, (0..23).map(|index| format!("MEM-{index}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_list_refuses_what_vonage_refuses() {
    let simulator = simulator(Members::Listed).await;
    let conversation = crowd(&simulator, 3);
    for (query, code) in [
        ("page_size=0", "http:error:validation-fail"),
        ("page_size=101", "http:error:validation-fail"),
        ("page_size=many", "http:error:validation-fail"),
        ("order=up", "http:error:validation-fail"),
        ("cursor=CON-2%2F1%2B%3D%3D", "paginator-builder:error:invalid-cursor"),
        ("cursor=1", "paginator-builder:error:invalid-cursor"),
    ] {
        let (status, body) =
            get(&simulator, &format!("/v0.3/conversations/{conversation}/members?{query}")).await;
        assert_eq!((status, body["code"].as_str().unwrap()), (400, code), "{query}");
    }
    let path = format!("/v0.3/conversations/{conversation}/members?order=desc&page_size=1");
    assert_eq!(get(&simulator, &path).await.1["_embedded"]["members"][0]["id"], "MEM-2");
}

#[tokio::test]
async fn only_known_paths_without_a_slash_at_the_end_are_answered() {
    let simulator = simulator(Members::Listed).await;
    let id = crowd(&simulator, 1);
    for path in [
        format!("/v0.3/conversations/{id}/"),
        format!("/v0.3/conversations/{id}/members/"),
        format!("/v9/conversations/{id}"),
        format!("/v1/conversations/{id}/legs"),
        "/v0.3/conversations/".to_owned(),
        "/".to_owned(),
    ] {
        let (status, body) = get(&simulator, &path).await;
        assert_eq!((status, &body["error_title"]), (404, &json("\"Not Found\"")), "{path}");
    }
    let (status, body) = get(&simulator, &format!("/v0.3/conversations/{id}/members/MEM-77")).await;
    assert_eq!((status, body["code"].as_str().unwrap()), (404, "conversation:error:member-not-found"));
}

#[tokio::test]
async fn a_fixed_document_is_served_byte_for_byte() {
    let simulator = simulator(Members::Embedded).await;
    let path = format!("/beta/conversations/{TUTORIAL}");
    simulator.serve_document(&path, 200, SEED_BETA.to_owned());
    let token = super::support::KEYS.sign(&super::support::good_claims());
    let answer = super::support::ask(&simulator, &path, &token).await.unwrap();
    assert_eq!(answer, (200, SEED_BETA.to_owned()));
}

/// A conversation with this many members, `MEM-0` and so on.
fn crowd(simulator: &Simulator, count: usize) -> ConversationId {
    let conversation = ConversationId::parse("CON-1").unwrap();
    let name = "support-room".to_owned();
    simulator.apply(&conversation, now(), Change::Created { name, lifetime: Lifetime::Persistent });
    for index in 0..count {
        let leg = LegId::parse(format!("leg-{index}")).unwrap();
        let participant = Participant {
            member_id: MemberId::parse(format!("MEM-{index}")).unwrap(),
            user_id: format!("USR-{index}"),
            name: "alice.smith".to_owned(),
            display_name: Some("Alice Smith".to_owned()),
            invited_by: None,
            channel: Channel::inbound(leg, Endpoint::app("alice.smith"), Endpoint::phone("447700900100")),
        };
        simulator.apply(&conversation, now(), Change::joined(&participant));
    }
    conversation
}
