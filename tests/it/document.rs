//! What answers of the Conversation API say, in the shape of every path family.

use conversationd::domain::conversation::Channel;
use conversationd::domain::ids::{LegId, MemberId};
use conversationd::domain::snapshot::DocumentName;
use conversationd::vonage::calls::CallsPage;
use conversationd::vonage::document::{ConversationDocument, MemberDocument, MembersPage};
use conversationd::vonage::event::EventsPage;
use conversationd::vonage::member::Sound;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::data;

const ALICE: &str = "MEM-6e1c0d4a-72b9-4f35-8ad1-903b5c7e2f60";
const BOB: &str = "MEM-b47a9e20-5d13-4c68-9f0e-2a81d6c3570b";
const ALICES_USER: &str = "USR-1d7f5b38-0c42-4e96-b8a7-4f2061d9c3e5";
const BOBS_USER: &str = "USR-8c2e6a94-3f71-4b05-a6d8-e1570b39f42c";
const BOBS_NAME: &str = "vapi-user-3f9a6c1be0d24785b1c7a2e84d5f6039";
const ALICES_LEG: &str = "5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f";
const BOBS_LEG: &str = "c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93";

/// A conversation's file, its name, its event count, and how many members are inside.
struct Conversation(&'static str, &'static str, i64, Option<usize>);

const UNNAMED: &str = "NAM-70c1e5a8-9d24-4b63-8f17-b2c06e3d94a5";
const TUTORIAL: &str = "NAM-1b2c4274-e3f2-494e-89c4-46856ee84a8b";

const CONVERSATIONS: [Conversation; 19] = [
    Conversation("embedded_app_member.json", UNNAMED, 8, Some(1)),
    Conversation("embedded_beta_uuid_key.json", UNNAMED, 8, Some(1)),
    Conversation("embedded_conference_named.json", "support-room", 42, Some(3)),
    Conversation("embedded_no_members.json", UNNAMED, 0, Some(0)),
    Conversation("embedded_sip_member.json", UNNAMED, 8, Some(2)),
    Conversation("embedded_t1_only_inbound.json", UNNAMED, 1, Some(1)),
    Conversation("embedded_t2_outbound_invited.json", UNNAMED, 3, Some(2)),
    Conversation("embedded_t3_both_joined.json", UNNAMED, 10, Some(2)),
    Conversation("embedded_t4_outbound_left.json", UNNAMED, 13, Some(2)),
    Conversation("embedded_t5_all_left.json", UNNAMED, 16, Some(2)),
    Conversation("embedded_v0.1_all_member_keys.json", UNNAMED, 8, Some(1)),
    Conversation("embedded_websocket_member.json", UNNAMED, 8, Some(2)),
    Conversation("seed_beta_uuid_members.json", TUTORIAL, 8, Some(2)),
    Conversation("seed_v0.3_id_members.json", TUTORIAL, 8, Some(2)),
    Conversation("v0.2_get_conversation.json", UNNAMED, 8, None),
    Conversation("v0.3_get_conversation.json", UNNAMED, 8, None),
    Conversation("v1_get_conversation_deleted.json", UNNAMED, 17, None),
    Conversation("v1_get_conversation_full.json", "support-room", 42, None),
    Conversation("v1_get_conversation_inactive.json", UNNAMED, 16, None),
];

#[test]
fn every_recorded_conversation_is_understood() {
    let about_one = |name: &String| {
        let is_seed_or_embedded = name.starts_with("embedded_") || name.starts_with("seed_");
        is_seed_or_embedded || name.contains("_get_conversation")
    };
    let files: Vec<String> = data::names("conversations").into_iter().filter(about_one).collect();
    assert_eq!(files, CONVERSATIONS.map(|Conversation(file, ..)| file));
    for Conversation(file, name, sequence_number, members) in CONVERSATIONS {
        let document = conversation(file);
        assert_eq!(document.name().as_deref(), Some(name), "{file}");
        assert_eq!(document.sequence_number(), Some(sequence_number), "{file}");
        assert_eq!(document.members().map(|members| members.len()), members, "{file}");
        let created = if name == TUTORIAL { "2018-10-25T09:26:18.999Z" } else { "2026-03-09T10:15:30.119Z" };
        assert_eq!(document.created_at(), Some(instant(created)), "{file}");
        let ids: Vec<MemberId> =
            document.members().into_iter().flatten().filter_map(|one| one.id()).collect();
        assert_eq!(ids.len(), members.unwrap_or_default(), "{file}");
    }
}

#[test]
fn every_recorded_document_is_about_the_call_it_was_recorded_in() {
    const PLAIN: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
    const SEED: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";
    for file in data::names("conversations") {
        let body = data::bytes(&format!("conversations/{file}"));
        if file.contains("_get_member") {
            let member = MemberDocument::read(&body).unwrap();
            let link = member.link().unwrap();
            assert!(link.ends_with(member.id().unwrap().as_str()), "{file}: {link}");
            let state = member.state().unwrap();
            let first = member.timed_states()[0].0.clone();
            assert!(["INVITED", "JOINED", "LEFT"].contains(&state.as_str()), "{file}");
            // The initiator of the last step is told, or of the one before.
            let by_system = member.is_by_system(&state).or(member.is_by_system("JOINED"));
            assert_eq!(by_system, Some(!file.contains("left")), "{file}");
            assert_eq!(member.is_by_system("UNKNOWN"), None, "{file}");
            assert!(["INVITED", "JOINED"].contains(&first.as_str()), "{file}");
            let enabled = member.sound().unwrap().enabled;
            assert_eq!(enabled, Some(!file.starts_with("v0.3")), "{file}");
        } else if file.contains("_list_members") {
            let page = MembersPage::read(&body).unwrap();
            assert!(page.members.iter().all(|member| member.user_id().is_some()), "{file}");
            let links = page.members.iter().filter_map(MemberDocument::link).count();
            assert_eq!(links, if file.starts_with("v0.1") { 0 } else { page.members.len() }, "{file}");
        } else if file.contains("_list_events") {
            assert!(!EventsPage::read(&body).unwrap().events.is_empty(), "{file}");
        } else if file.starts_with("voice_") {
            assert!(!CallsPage::read(&body).unwrap().calls.is_empty(), "{file}");
        } else if file.contains("_list_legs") {
            // Not asked for: the Voice API's list tells the same and more.
        } else {
            let document = conversation(&file);
            let id = if file.starts_with("seed") { SEED } else { PLAIN };
            assert_eq!(document.id().as_deref(), Some(id), "{file}");
            for member in document.members().into_iter().flatten() {
                assert!(member.id().is_some() && member.channel().is_some(), "{file}");
                let initiated = ["INVITED", "JOINED"].map(|state| member.is_by_system(state));
                let by_system = !file.contains("app_member");
                assert!(initiated.contains(&Some(by_system)), "{file}");
            }
        }
    }
}

#[test]
fn a_conversation_says_whether_it_goes_on() {
    for (file, state) in [
        ("v0.2_get_conversation.json", Some("ACTIVE")),
        ("v0.3_get_conversation.json", Some("ACTIVE")),
        ("v1_get_conversation_full.json", Some("ACTIVE")),
        ("v1_get_conversation_inactive.json", Some("INACTIVE")),
        ("v1_get_conversation_deleted.json", Some("DELETED")),
        ("embedded_beta_uuid_key.json", None),
        ("embedded_v0.1_all_member_keys.json", None),
    ] {
        assert_eq!(conversation(file).state().as_deref(), state, "{file}");
    }
    assert_eq!(read_conversation(&json!({"state": "active"})).state().as_deref(), Some("ACTIVE"));
    assert_eq!(read_conversation(&json!({"state": "Frozen"})).state().as_deref(), Some("Frozen"));
}

#[test]
fn sound_is_an_object_in_the_old_families_and_a_flag_in_the_new() {
    let old = conversation("embedded_v0.1_all_member_keys.json").members().unwrap()[0].sound();
    let on = Sound { enabled: Some(true), muted: Some(false), earmuffed: Some(false) };
    assert_eq!(old, Some(on));
    let only_audio = json!({"media": {"audio": {"enabled": true, "muted": false, "earmuffed": false}}});
    assert_eq!(read_member(&only_audio).sound(), Some(on));
    let flag = Sound { enabled: Some(true), muted: None, earmuffed: None };
    assert_eq!(read_member(&json!({"media": {"audio": true}})).sound(), Some(flag));
    let app = conversation("embedded_app_member.json").members().unwrap()[0].sound().unwrap();
    assert_eq!(app.muted, Some(true));
    assert_eq!(read_member(&json!({})).sound(), None);
}

#[test]
fn a_link_is_written_in_three_ways() {
    for document in
        [json!({"_links": {"href": "x"}}), json!({"_links": {"self": {"href": "x"}}}), json!({"href": "x"})]
    {
        assert_eq!(read_member(&document).link().as_deref(), Some("x"), "{document}");
    }
}

#[test]
fn documents_have_names_that_can_be_read_back() {
    for (name, text) in [
        (DocumentName::Conversation, "conversation"),
        (DocumentName::Members(2), "members page 2"),
        (DocumentName::Member(member_id("MEM-1")), "member MEM-1"),
        (DocumentName::Events { after: 0, page: 1 }, "events after 0"),
        (DocumentName::Events { after: 17, page: 1 }, "events after 17"),
        (DocumentName::Events { after: 17, page: 2 }, "events after 17 page 2"),
    ] {
        assert_eq!(name.to_string(), text);
        assert_eq!(text.parse(), Ok(name));
    }
    for text in [
        "",
        "events",
        "events after",
        "events after x",
        "events after 1 page 1",
        "events after 1 page",
        "events after 01",
    ] {
        assert!(text.parse::<DocumentName>().is_err(), "{text}");
    }
}

#[test]
fn an_event_count_may_be_a_text_or_absent() {
    let count = |document: Value| read_conversation(&document).sequence_number();
    assert_eq!(count(json!({"sequence_number": "17"})), Some(17));
    assert_eq!(count(json!({"sequence_number": null})), None);
    assert_eq!(count(json!({})), None);
    assert!(ConversationDocument::read(b"[]").is_none());
    assert!(ConversationDocument::read(b"<html>").is_none());
    assert!(ConversationDocument::read(&data::bytes("errors/502_gateway.html")).is_none());
}

#[test]
fn members_inside_a_conversation_have_everything() {
    for file in ["embedded_t3_both_joined.json", "embedded_t5_all_left.json"] {
        let members = conversation(file).members().unwrap();
        let [alice, bob] = &members[..] else { panic!("{file}: {} members", members.len()) };
        assert_eq!(alice.id(), Some(member_id(ALICE)));
        assert_eq!(alice.user_id().as_deref(), Some(ALICES_USER));
        assert_eq!(alice.name().as_deref(), Some(ALICES_USER));
        assert_eq!(alice.leg_ids(), [leg_id(ALICES_LEG)]);
        assert_eq!(bob.id(), Some(member_id(BOB)));
        assert_eq!(bob.user_id().as_deref(), Some(BOBS_USER));
        assert_eq!(bob.name().as_deref(), Some(BOBS_NAME));
        assert_eq!(bob.channel(), Some(channel("phone", BOBS_LEG, "Unknown", "447700900002")));
    }
    let left = &conversation("embedded_t5_all_left.json").members().unwrap()[1];
    assert_eq!(left.state().as_deref(), Some("LEFT"));
    assert_eq!(
        left.timed_states(),
        [
            ("INVITED".to_owned(), instant("2026-03-09T10:15:31.020Z")),
            ("JOINED".to_owned(), instant("2026-03-09T10:15:41.830Z")),
            ("LEFT".to_owned(), instant("2026-03-09T10:20:47.981Z")),
        ]
    );
}

#[test]
fn the_oldest_family_says_the_same_as_the_newer_one() {
    let told = |file: &str| {
        let document = conversation(file);
        let members = document.members().unwrap();
        let one = |member: &MemberDocument| {
            let names = (member.id(), member.user_id(), member.name());
            (names, member.state(), member.timed_states(), member.channel(), member.leg_ids())
        };
        (document.name(), document.created_at(), members.iter().map(one).collect::<Vec<_>>())
    };
    assert_eq!(told("seed_beta_uuid_members.json"), told("seed_v0.3_id_members.json"));
}

#[test]
fn every_kind_of_channel_has_its_sides() {
    for (file, member, expected) in [
        (
            "embedded_app_member.json",
            0,
            channel("app", "a1c93f7e-6d25-4b08-9e41-58c0d7b62f3a", "alice.smith", "447700900100"),
        ),
        (
            "embedded_sip_member.json",
            1,
            channel(
                "sip",
                "4c8e1f73-b02d-4a95-86cf-d731e09b5a26",
                "447700900100",
                "sip:rebekka@sip.example.net",
            ),
        ),
        (
            "embedded_websocket_member.json",
            1,
            channel(
                "websocket",
                "e7b0c6d2-58a1-4c3f-bd94-2f6a1e907c85",
                "447700900100",
                "wss://bot.example.net/socket?token=SECRET",
            ),
        ),
    ] {
        assert_eq!(conversation(file).members().unwrap()[member].channel(), Some(expected), "{file}");
    }
    let vbc = read_member(
        &json!({"channel": {"type": "vbc", "leg_id": "l", "from": "2021", "to": {"extension": 7}}}),
    );
    assert_eq!(vbc.channel(), Some(channel("vbc", "l", "2021", "7")));
    let bare = read_member(&json!({"channel": {"type": "phone", "to": {"type": "phone"}, "from": ""}}));
    let nothing = Channel { kind: Some("phone".to_owned()), id: None, from: None, to: None };
    assert_eq!(bare.channel(), Some(nothing));
    assert_eq!(read_member(&json!({"channel": null})).channel(), None);
}

#[test]
fn a_leg_is_listed_once_however_often_it_is_named() {
    let all = &conversation("embedded_v0.1_all_member_keys.json").members().unwrap()[0];
    assert_eq!(all.leg_ids(), [leg_id(ALICES_LEG)]);
    let several = read_member(&json!({
        "leg_ids": ["c", "a"], "legs": [{"leg_id": "d"}, {"id": "b"}, "x", {}],
        "channel": {"id": "e", "leg_ids": ["a", 7, ""], "legs": [{"leg_id": "b"}]},
    }));
    assert_eq!(several.leg_ids(), ["a", "b", "c", "d", "e"].map(leg_id));
    assert_eq!(read_member(&json!({"channel": {"leg_id": "only"}})).leg_ids(), [leg_id("only")]);
}

#[test]
fn lists_of_members_are_read_in_every_shape() {
    for (file, expected) in [
        ("v0.2_list_members.json", vec![(Some(ALICE), ALICES_USER, ALICES_USER, "JOINED")]),
        (
            "v0.3_list_members.json",
            vec![
                (Some(ALICE), ALICES_USER, ALICES_USER, "JOINED"),
                (Some(BOB), BOBS_USER, BOBS_NAME, "INVITED"),
            ],
        ),
        (
            "v1_list_members.json",
            vec![
                (Some(ALICE), ALICES_USER, ALICES_USER, "JOINED"),
                (Some(BOB), BOBS_USER, BOBS_NAME, "JOINED"),
            ],
        ),
        // This one names its members by their users only.
        (
            "v0.1_list_members_bare_array.json",
            vec![(None, ALICES_USER, ALICES_USER, "JOINED"), (None, BOBS_USER, BOBS_NAME, "INVITED")],
        ),
    ] {
        let page = MembersPage::read(&data::bytes(&format!("conversations/{file}"))).unwrap();
        let told = |member: &MemberDocument| (member.id(), member.user_id(), member.name(), member.state());
        let expected = expected.into_iter().map(|(id, user, name, state)| {
            (id.map(member_id), Some(user.to_owned()), Some(name.to_owned()), Some(state.to_owned()))
        });
        assert_eq!(page.members.iter().map(told).collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{file}");
        assert_eq!(page.next, None, "{file}");
    }
}

#[test]
fn what_holds_no_list_is_no_empty_list() {
    for page in [
        json!({}),
        json!({"title": "Internal error", "code": "system:error:internal-error"}),
        json!({"_embedded": {"members": null}}),
        json!({"_embedded": "none", "_links": {"next": {"href": "https://api.nexmo.com/"}}}),
        json!("members"),
    ] {
        assert!(MembersPage::read(page.to_string().as_bytes()).is_none(), "{page}");
        assert!(EventsPage::read(page.to_string().as_bytes()).is_none(), "{page}");
    }
}

#[test]
fn a_list_says_where_it_goes_on() {
    let next = |page: Value| MembersPage::read(page.to_string().as_bytes()).unwrap().next;
    let href = "https://api.nexmo.com/v1/conversations/CON-1/members?cursor=a%3D";
    assert_eq!(
        next(json!({"_embedded": {"members": []}, "_links": {"next": {"href": href}}})).as_deref(),
        Some(href)
    );
    assert_eq!(
        next(json!({"_embedded": {"members": []}, "_links": {"next": {"self": {"href": href}}}})).as_deref(),
        Some(href)
    );
    assert_eq!(next(json!({"_embedded": {"members": []}, "_links": {"next": href}})).as_deref(), Some(href));
    assert_eq!(next(json!({"_embedded": {"members": []}, "_links": {"next": {"href": ""}}})), None);
    assert_eq!(
        next(json!({"_embedded": {"members": []}, "_links": {"next": null, "self": {"href": href}}})),
        None
    );
    let plain = MembersPage::read(br#"{"members": [{"member_id": "MEM-1"}]}"#).unwrap();
    assert_eq!(plain.members[0].id(), Some(member_id("MEM-1")));
    assert!(MembersPage::read(b"17").is_none());
    assert!(MembersPage::read(b"").is_none());
}

#[test]
fn a_single_member_has_everything() {
    for (file, id, state, times, leg) in [
        ("v0.3_get_member_isSystem.json", ALICE, "JOINED", vec!["JOINED"], ALICES_LEG),
        ("v1_get_member_joined.json", ALICE, "JOINED", vec!["JOINED"], ALICES_LEG),
        ("v1_get_member_invited.json", BOB, "INVITED", vec!["INVITED"], BOBS_LEG),
        ("v1_get_member_left.json", BOB, "LEFT", vec!["INVITED", "JOINED", "LEFT"], BOBS_LEG),
    ] {
        let member = MemberDocument::read(&data::bytes(&format!("conversations/{file}"))).unwrap();
        let (user, name) = if id == ALICE { (ALICES_USER, ALICES_USER) } else { (BOBS_USER, BOBS_NAME) };
        assert_eq!(member.id(), Some(member_id(id)), "{file}");
        assert_eq!(member.user_id().as_deref(), Some(user), "{file}");
        assert_eq!(member.name().as_deref(), Some(name), "{file}");
        assert_eq!(member.state().as_deref(), Some(state), "{file}");
        let timed: Vec<String> = member.timed_states().into_iter().map(|(state, _)| state).collect();
        assert_eq!(timed, times, "{file}");
        assert_eq!(member.leg_ids(), [leg_id(leg)], "{file}");
        assert_eq!(member.channel().unwrap().id, Some(leg_id(leg)), "{file}");
    }
}

#[test]
fn states_are_compared_without_case_and_unknown_ones_are_kept() {
    for (written, read) in [
        ("joined", Some("JOINED")),
        ("Invited", Some("INVITED")),
        ("LEFT", Some("LEFT")),
        ("unknown", Some("UNKNOWN")),
        ("OnHold", Some("OnHold")),
        ("", None),
    ] {
        assert_eq!(read_member(&json!({ "state": written })).state().as_deref(), read, "{written}");
    }
    let times = json!({"timestamp": {"invited": "2026-03-09 10:15:31", "joined": null, "left": 7}});
    assert_eq!(read_member(&times).timed_states(), [("INVITED".to_owned(), instant("2026-03-09T10:15:31Z"))]);
}

proptest! {
    #[test]
    fn no_json_makes_the_readers_panic(document in document()) {
        ask_everything(document.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_make_the_readers_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
        ask_everything(&body);
    }
}

/// Any JSON, mostly with the keys that are looked for.
fn document() -> impl Strategy<Value = Value> {
    const KEYS: &str = "id|uuid|member_id|members|_embedded|data|user|name|user_name|user_id|state|timestamp|created|\
                        invited|joined|left|channel|leg_ids|legs|leg_id|from|to|number|uri|type|_links|next|href|\
                        sequence_number|[a-z]{0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        r"\PC{0,12}".prop_map(Value::from),
        "(MEM|CON|USR)-[0-9a-f]{0,4}".prop_map(Value::from),
        Just(json!("2026-03-09T10:15:31.020Z")),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(KEYS, inner, 0..6).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn ask_everything(body: &[u8]) {
    let mut members = Vec::new();
    if let Some(document) = ConversationDocument::read(body) {
        let _ = (document.name(), document.created_at(), document.sequence_number());
        members.extend(document.members().into_iter().flatten());
    }
    members.extend(MembersPage::read(body).into_iter().flat_map(|page| page.members));
    members.extend(MemberDocument::read(body));
    for member in members {
        let _ = (member.id(), member.user_id(), member.name(), member.state(), member.channel());
        let _ = (member.link(), member.sound(), member.is_by_system("JOINED"));
        let times = member.timed_states();
        assert!(times.len() <= 3);
        let mut legs = member.leg_ids();
        let count = legs.len();
        legs.sort();
        legs.dedup();
        assert_eq!(legs.len(), count, "a leg is listed twice");
    }
}

fn conversation(file: &str) -> ConversationDocument {
    ConversationDocument::read(&data::bytes(&format!("conversations/{file}"))).expect("it is an object")
}

fn read_conversation(document: &Value) -> ConversationDocument {
    ConversationDocument::read(document.to_string().as_bytes()).expect("it is an object")
}

fn read_member(document: &Value) -> MemberDocument {
    MemberDocument::read(document.to_string().as_bytes()).expect("it is an object")
}

fn channel(kind: &str, leg: &str, from: &str, to: &str) -> Channel {
    let text = |text: &str| Some(text.to_owned());
    Channel { kind: text(kind), id: Some(leg_id(leg)), from: text(from), to: text(to) }
}

fn member_id(id: &str) -> MemberId {
    MemberId::parse(id).expect("it is an id")
}

fn leg_id(id: &str) -> LegId {
    LegId::parse(id).expect("it is an id")
}

fn instant(text: &str) -> Timestamp {
    text.parse().expect("it is an instant")
}
