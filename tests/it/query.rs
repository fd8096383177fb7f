//! What readers are told.

use conversationd::domain::ids::ConversationId;
use conversationd::simulator::{Call, Pace};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::daemon::World;
use crate::support::data;

#[tokio::test]
async fn a_list_goes_from_the_newest_on_without_skipping_or_repeating() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for number in 0..7 {
        let event = json!({
            "conversation_uuid": format!("CON-{number}"), "uuid": format!("leg-{number}"), "status": "started",
            "timestamp": format!("2026-03-09T10:15:3{}.000Z", number / 2),
        });
        assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
    }
    let is_whole = |list: &Value| list["items"].as_array().is_some_and(|items| items.len() == 7);
    let whole = daemon.wait_for_path("/v1/conversations", is_whole).await;
    let ids = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&whole), ["CON-6", "CON-5", "CON-4", "CON-3", "CON-2", "CON-1", "CON-0"]);
    assert_eq!(whole["next"], Value::Null);
    assert_eq!(whole["blind"], json!([]));

    let mut found = Vec::new();
    let mut path = "/v1/conversations?limit=3".to_owned();
    for page in 1..=3 {
        let reply = daemon.get(&path).await;
        found.extend(ids(&reply.json()));
        let Some(next) = reply.json()["next"].as_str().map(str::to_owned) else {
            assert_eq!(page, 3);
            assert!(!reply.headers.contains_key("link"));
            break;
        };
        path = format!("/v1/conversations?limit=3&next={next}");
        assert_eq!(reply.headers["link"], format!("<{path}>; rel=\"next\""));
    }
    assert_eq!(found, ids(&whole));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_answered_with_what_would() {
    let daemon = World::default().start().await;
    for (path, status) in [
        ("/v1/conversations?limit=0", 400),
        ("/v1/conversations?limit=501", 400),
        ("/v1/conversations?limit=many", 400),
        ("/v1/conversations?next=nonsense", 400),
        ("/v1/conversations?nmber=1", 400),
        ("/v1/conversations/CON-unknown", 404),
        ("/v1/conversations/CON-unknown/snapshots", 404),
        ("/v1/conversations/CON-unknown/webhooks", 404),
        ("/v1/conversations/CON-unknown/webhooks?limt=1", 400),
        ("/v1/gaps?next=x", 400),
        ("/v1/conversations/%ff", 400),
        ("/v1/nothing", 404),
    ] {
        let reply = daemon.get(path).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        assert_eq!(reply.content_type, "application/problem+json", "{path}");
        assert!(reply.json()["detail"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn a_conversation_is_found_by_its_own_id_a_legs_or_a_members() {
    let daemon = World::default().start().await;
    daemon.vonage.play(&Call::tutorial(), Pace::AfterEachLook).await;
    let own = "CON-bc643220-2542-499a-892e-c982c4150c06";
    daemon.wait_for(own, |one| one["members"].as_array().is_some_and(|members| members.len() == 2)).await;
    for id in [
        own,
        "797168e24c19a3c45e74e05b10fef2b5",
        "30cecc87-7ac9-4d03-910a-e9d69558263c",
        "MEM-25ccda92-839d-4ac6-a7b2-de310224878b",
    ] {
        assert_eq!(daemon.get(&format!("/v1/conversations/{id}")).await.json()["id"], own, "{id}");
    }
}

#[tokio::test]
async fn a_version_is_told_as_vonage_told_it() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    let id = ConversationId::parse("CON-bc643220-2542-499a-892e-c982c4150c06").unwrap();
    let body = String::from_utf8(data::bytes("conversations/seed_v0.3_id_members.json")).unwrap();
    daemon.vonage.serve_document(&format!("/v0.3/conversations/{id}"), 200, body.clone());
    let event =
        json!({"conversation_uuid": id, "uuid": "797168e24c19a3c45e74e05b10fef2b5", "status": "answered"});
    assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
    let path = format!("/v1/conversations/{id}/snapshots/1");
    daemon.wait_for_path(&path, |_| true).await;
    let text = daemon.get(&path).await.text;
    assert!(text.contains(body.trim()), "the document is there to the byte");
    let list = daemon.get(&format!("/v1/conversations/{id}/snapshots")).await.json();
    let version = &list["items"][0];
    assert_eq!(version["number"], 1);
    assert_eq!(version["family"], "v0.3");
    assert_eq!(version["sequence_number"], 8);
    assert_eq!(version["documents"][0]["name"], "conversation");
    assert_eq!(version["documents"][0]["size_bytes"], body.len());
    for missing in ["0", "2", "one"] {
        let reply = daemon.get(&format!("/v1/conversations/{id}/snapshots/{missing}")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn health_is_told_without_ceremony() {
    let daemon = World::default().start().await;
    assert_eq!(daemon.get("/livez").await.status, StatusCode::OK);
    assert_eq!(daemon.get("/readyz").await.status, StatusCode::OK);
    let public = daemon.webhook(reqwest::Method::GET, "/livez", &[], "").await;
    assert_eq!(public.status, StatusCode::OK);
    let closed = daemon.webhook(reqwest::Method::GET, "/v1/conversations", &[], "").await;
    assert_eq!(closed.status, StatusCode::NOT_FOUND, "readers are not served where Vonage connects");
}

#[tokio::test]
async fn a_conversations_webhooks_come_in_pages_too() {
    let daemon = World { signatures: "off", ..World::default() }.start().await;
    for status in ["started", "ringing", "answered"] {
        let event = json!({"conversation_uuid": "CON-1", "uuid": "leg", "status": status});
        assert_eq!(daemon.post_event(event.to_string()).await.status, 204);
    }
    let first = daemon.get("/v1/conversations/CON-1/webhooks?limit=2").await;
    let kinds = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&first.json()), ["started", "ringing"]);
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let path = format!("/v1/conversations/CON-1/webhooks?limit=2&next={next}");
    assert_eq!(first.headers["link"], format!("<{path}>; rel=\"next\""));
    let second = daemon.get(&path).await.json();
    assert_eq!(kinds(&second), ["answered"]);
    assert_eq!(second["next"], Value::Null);
}
