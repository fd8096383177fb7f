//! Answers in the shapes of other path families: every fixture, into every family.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use conversationd::domain::ids::ConversationId;
use conversationd::vonage::document::{ConversationDocument, MemberDocument, MembersPage};
use conversationd::vonage::event::{ConversationEvent, EventsPage};
use conversationd::vonage::family::Family;
use conversationd::vonage::shape::{self, Place, Untold};
use serde_json::{Value, json};

use crate::support::data;
use crate::support::json::is_part;

const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
const BASE: &str = "https://api.nexmo.com";

/// A document of one of the four kinds, and how it is told in a family.
type Derive = fn(&Value, Place<'_>) -> Result<Value, Untold>;

fn bytes(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).unwrap()
}

fn conversation(document: &Value, place: Place<'_>) -> Result<Value, Untold> {
    shape::conversation(&ConversationDocument::read(&bytes(document)).unwrap(), None, place)
}

fn member(document: &Value, place: Place<'_>) -> Result<Value, Untold> {
    shape::member(&MemberDocument::read(&bytes(document)).unwrap(), place)
}

fn listed_member(document: &Value, place: Place<'_>) -> Result<Value, Untold> {
    shape::listed_member(&MemberDocument::read(&bytes(document)).unwrap(), place)
}

fn event(document: &Value, place: Place<'_>) -> Result<Value, Untold> {
    shape::event(&ConversationEvent::read(document).unwrap(), place)
}

fn fixture(name: &str) -> Value {
    serde_json::from_slice(&data::bytes(&format!("conversations/{name}"))).unwrap()
}

/// Every document in the fixtures that has a shape, with the family it was asked in. Lists are taken apart.
fn documents() -> Vec<(String, Family, Derive, Value)> {
    let mut documents = Vec::new();
    for name in data::names("conversations") {
        let text = String::from_utf8(data::bytes(&format!("conversations/{name}"))).unwrap();
        let is_of = |family: &Family| text.contains(&format!("/{}/conversations/CON-", family.as_str()));
        // A bare list of members holds no address.
        let family = Family::ALL.into_iter().find(is_of).unwrap_or(Family::V01);
        let (derive, found): (Derive, Vec<Value>) = if name.starts_with("voice_") || name.contains("legs") {
            continue;
        } else if name.contains("list_events") {
            let page = EventsPage::read(text.as_bytes()).unwrap();
            (event, page.events.iter().map(|event| event.json().clone().into()).collect())
        } else if name.contains("list_members") {
            let page = MembersPage::read(text.as_bytes()).unwrap();
            (listed_member, page.members.iter().map(|member| member.json().clone().into()).collect())
        } else if name.contains("get_member") {
            (member, vec![fixture(&name)])
        } else {
            (conversation, vec![fixture(&name)])
        };
        assert!(!found.is_empty(), "{name}");
        documents.extend(found.into_iter().map(|document| (name.clone(), family, derive, document)));
    }
    documents
}

fn with_place<T>(family: Family, document: &Value, then: impl FnOnce(Place<'_>) -> T) -> T {
    let own = document["id"].as_str().or_else(|| document["uuid"].as_str());
    let id = own.filter(|id| id.starts_with("CON-")).unwrap_or(CONVERSATION);
    let conversation = ConversationId::parse(id).unwrap();
    then(Place { base: BASE, family, conversation: &conversation })
}

fn told(derive: Derive, document: &Value, family: Family) -> Result<Value, Untold> {
    with_place(family, document, |place| derive(document, place))
}

#[test]
fn what_is_in_the_asked_shape_already_stays_as_it_is() {
    for (name, family, derive, document) in documents() {
        assert_eq!(told(derive, &document, family), Ok(document), "{name}");
    }
}

#[test]
fn there_and_back_again_invents_nothing_and_loses_nothing_that_both_shapes_have() {
    let mut derived = 0;
    for (name, own, derive, document) in documents() {
        for family in Family::ALL {
            let Ok(there) = told(derive, &document, family) else { continue };
            derived += 1;
            let Ok(back) = told(derive, &there, own) else { continue };
            let way = format!("{name} to {} and back:\n{there}\n{back}", family.as_str());
            assert!(is_part(&back, &document), "{way}");
            assert_eq!(told(derive, &back, family), Ok(there), "{way}");
        }
    }
    assert!(derived > 150, "only {derived} documents were derived");
}

#[test]
fn what_nobody_tells_is_not_made_up() {
    let bare_list = &fixture("v0.1_list_members_bare_array.json")[0];
    let reference = json!({"id": "MEM-1", "href": "https://api.nexmo.com/beta/…"});
    let mut of_no_user = fixture("v0.3_get_member_isSystem.json");
    of_no_user["_embedded"] = Value::Null;
    let in_short = &fixture("v1_list_members.json")["_embedded"]["members"][0];
    let v1 = fixture("v1_get_conversation_full.json");
    let cases: [(Derive, &Value, Family, &str); 8] = [
        (conversation, &v1, Family::Beta, "the members"),
        (conversation, &v1, Family::V01, "the members"),
        (listed_member, bare_list, Family::V03, "a member's id"),
        (listed_member, &reference, Family::V1, "a member's state"),
        (member, bare_list, Family::V1, "a member's id"),
        (member, &reference, Family::V1, "the member's user"),
        (member, &of_no_user, Family::V1, "the member's user"),
        (member, in_short, Family::V03, "the times of the member's states"),
    ];
    for (derive, document, family, untold) in cases {
        assert_eq!(told(derive, document, family), Err(Untold(untold)), "{document}");
    }
}

#[test]
fn an_embedded_member_is_told_as_the_others_tell_it() {
    let talk = fixture("embedded_t3_both_joined.json");
    let single = told(member, &talk["members"][0], Family::V1).unwrap();
    assert!(is_part(&single, &fixture("v1_get_member_joined.json")), "{single}");
    assert_eq!(single["initiator"], json!({"joined": {"is_system": true}}));
    let ringing = fixture("embedded_t2_outbound_invited.json");
    for (name, family) in
        [("v0.3_list_members.json", Family::V03), ("v0.1_list_members_bare_array.json", Family::V01)]
    {
        let page = fixture(name);
        let items = page["_embedded"]["members"].as_array().or_else(|| page.as_array()).unwrap();
        for (embedded, item) in ringing["members"].as_array().unwrap().iter().zip(items) {
            let listed = told(listed_member, embedded, family).unwrap();
            assert!(is_part(&listed, item), "{listed}");
        }
    }
}

#[test]
fn members_that_were_read_one_by_one_are_embedded_where_the_shape_embeds_them() {
    let read = MemberDocument::read(&data::bytes("conversations/v1_get_member_joined.json")).unwrap();
    let document =
        ConversationDocument::read(&data::bytes("conversations/v1_get_conversation_full.json")).unwrap();
    let id = ConversationId::parse(CONVERSATION).unwrap();
    let in_family = |family| {
        let place = Place { base: BASE, family, conversation: &id };
        shape::conversation(&document, Some(std::slice::from_ref(&read)), place).unwrap()
    };
    let beta = in_family(Family::Beta);
    let embedded = &fixture("embedded_beta_uuid_key.json")["members"][0];
    assert!(is_part(embedded, &beta["members"][0]), "{beta}");
    assert_eq!(beta["timestamp"], json!({"created": "2026-03-09T10:15:30.119Z"}));
    assert_eq!(beta["state"], Value::Null, "the oldest families have none");
    assert_eq!(in_family(Family::V03)["members"], Value::Null, "v0.3 does not promise any");
}

#[test]
fn sound_is_a_flag_in_some_families_and_settings_in_others() {
    let muted = json!({"enabled": true, "earmuffed": false, "muted": true});
    let mut source = fixture("v1_get_member_joined.json");
    source["media"] = json!({"audio": true, "audio_settings": muted});
    let in_v02 = told(member, &source, Family::V02).unwrap();
    assert_eq!(in_v02["media"], json!({"audio": muted, "audio_settings": muted}));
    assert_eq!(told(member, &in_v02, Family::V1).unwrap()["media"], source["media"]);
    source["media"] = json!({"audio": true});
    assert_eq!(told(member, &source, Family::V02).unwrap()["media"], json!({}), "how it is set is not told");
}
