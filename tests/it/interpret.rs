//! What the two logs mean: recorded and made-up histories, and rules that hold for all of them.

use std::ops::Range;

use conversationd::domain::arrival::{Arrival, Delivery, Endpoint, Method, NewArrival, Origin};
use conversationd::domain::call::ListedCall;
use conversationd::domain::conversation::{Ending, Interpretation, Leg, Member, MemberState, State};
use conversationd::domain::fetch::{FetchState, Trouble};
use conversationd::domain::history::{History, Revision};
use conversationd::domain::ids::{ApplicationId, ConversationId, LegId, MemberId};
use conversationd::domain::snapshot::{Document, DocumentName, Sighting, Snapshot};
use conversationd::flow::interpret::interpret;
use conversationd::simulator::{self, Action, Call, Target};
use conversationd::vonage::webhook::Webhook;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::data;

pub const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
pub const TUTORIAL: &str = "CON-bc643220-2542-499a-892e-c982c4150c06";
pub const APPLICATION: &str = "0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19";
pub const ALICES_LEG: &str = "5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f";
const ALICE: &str = "MEM-6e1c0d4a-72b9-4f35-8ad1-903b5c7e2f60";
const BOB: &str = "MEM-b47a9e20-5d13-4c68-9f0e-2a81d6c3570b";
pub const BOBS_LEG: &str = "c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93";

/// The webhooks of a whole call, as they were recorded.
pub const WHOLE_CALL: [&str; 9] = [
    "started_inbound",
    "ringing_inbound",
    "answer_post_phone",
    "started_outbound",
    "ringing_outbound",
    "answered_outbound",
    "answered_inbound",
    "completed_inbound",
    "completed_outbound",
];

/// The versions of its conversation.
pub const VERSIONS: [&str; 5] = [
    "embedded_t1_only_inbound",
    "embedded_t2_outbound_invited",
    "embedded_t3_both_joined",
    "embedded_t4_outbound_left",
    "embedded_t5_all_left",
];

// === whole calls

#[test]
fn the_tutorials_call_is_told_as_vonage_tells_it() {
    let seed = snapshot(TUTORIAL, 1, "2018-10-25T09:26:31Z", &[whole("seed_v0.3_id_members")]);
    let history = history(TUTORIAL, tutorial(), vec![seed]);
    insta::assert_snapshot!(story(&interpret(&history)), @r"
    CON-bc643220-2542-499a-892e-c982c4150c06 NAM-1b2c4274-e3f2-494e-89c4-46856ee84a8b of 0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19
    inbound 447700000001 -> 447700000002, completed
    started 2018-10-25T09:26:18.991Z, answered 2018-10-25T09:26:30.340Z
    ended 2018-10-25T09:31:30.179Z (Over)
    Some(300) s, 0.02250000 EUR, Captured
    MEM-25ccda92-839d-4ac6-a7b2-de310224878b JOINED vapi-user-f59c1ff26c0543fdb6c02fd30617a1c0
      phone Unknown -> 447700000001 by 30cecc87-7ac9-4d03-910a-e9d69558263c, legs 30cecc87-7ac9-4d03-910a-e9d69558263c
      2018-10-25T09:26:19.385Z INVITED told by snapshot 1
      2018-10-25T09:26:30.270Z JOINED told by snapshot 1
    MEM-f44c872e-cba9-444f-88ae-0bfa630865a6 JOINED USR-33a51f4d-d06b-42f6-a525-90d2859ab9f6
      phone 447700000001 -> 447700000002 by 797168e24c19a3c45e74e05b10fef2b5, legs 797168e24c19a3c45e74e05b10fef2b5
      2018-10-25T09:26:30.334Z JOINED told by snapshot 1
    797168e24c19a3c45e74e05b10fef2b5 inbound 447700000001 -> 447700000002, completed
      Some(300) s, 0.02250000 EUR
      2018-10-25T09:26:18.991Z started
      2018-10-25T09:26:18.991Z ringing
      2018-10-25T09:26:30.340Z answered
      2018-10-25T09:31:30.179Z completed
    30cecc87-7ac9-4d03-910a-e9d69558263c outbound Unknown -> 447700000003, completed
      Some(300) s, 0.12000000 EUR
      2018-10-25T09:26:24.384Z started
      2018-10-25T09:26:24.384Z ringing
      2018-10-25T09:26:30.277Z answered
      2018-10-25T09:31:30.179Z completed
    ");
}

#[test]
fn both_shapes_of_the_tutorials_conversation_say_the_same() {
    let told = |file: &str| {
        let seed = snapshot(TUTORIAL, 1, "2018-10-25T09:26:31Z", &[whole(file)]);
        interpret(&history(TUTORIAL, tutorial(), vec![seed]))
    };
    assert_eq!(told("seed_beta_uuid_members"), told("seed_v0.3_id_members"));
}

#[test]
fn a_recorded_call_is_told_with_all_its_versions() {
    insta::assert_snapshot!(story(&interpret(&recorded_call())), @r"
    CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f NAM-70c1e5a8-9d24-4b63-8f17-b2c06e3d94a5 of 0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19
    inbound 447700900001 -> 447700900100, completed
    started 2026-03-09T10:15:30.118Z, answered 2026-03-09T10:15:41.902Z
    ended 2026-03-09T10:20:47.990Z (Over)
    Some(307) s, 0.02302500 EUR, Captured
    MEM-6e1c0d4a-72b9-4f35-8ad1-903b5c7e2f60 LEFT USR-1d7f5b38-0c42-4e96-b8a7-4f2061d9c3e5
      phone 447700900001 -> 447700900100 by 5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f, legs 5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f
      2026-03-09T10:15:30.324Z JOINED told by snapshot 1
      2026-03-09T10:15:41.895Z JOINED told by snapshot 3
      2026-03-09T10:20:48.120Z LEFT told by snapshot 5
    MEM-b47a9e20-5d13-4c68-9f0e-2a81d6c3570b LEFT vapi-user-3f9a6c1be0d24785b1c7a2e84d5f6039
      phone Unknown -> 447700900002 by c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93, legs c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93
      2026-03-09T10:15:31.020Z INVITED told by snapshot 2
      2026-03-09T10:15:41.830Z JOINED told by snapshot 3
      2026-03-09T10:20:47.981Z LEFT told by snapshot 4
    5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f inbound 447700900001 -> 447700900100, completed
      Some(307) s, 0.02302500 EUR
      2026-03-09T10:15:30.118Z started
      2026-03-09T10:15:30.118Z ringing
      2026-03-09T10:15:41.902Z answered
      2026-03-09T10:20:47.655Z completed
    c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93 outbound Unknown -> 447700900002, completed
      Some(307) s, 0.12280000 EUR
      2026-03-09T10:15:35.640Z started
      2026-03-09T10:15:35.640Z ringing
      2026-03-09T10:15:41.837Z answered
      2026-03-09T10:20:47.990Z completed
    ");
}

#[test]
fn each_version_adds_to_what_is_known() {
    let mut told = Vec::new();
    for count in 0..=VERSIONS.len() {
        let interpretation = interpret(&history(CONVERSATION, arrivals(&WHOLE_CALL), versions(0..count)));
        let states = interpretation.members.iter().map(|member| {
            let states: Vec<&str> = member.states.iter().map(|state| state.state.as_str()).collect();
            format!("{}: {}", member.state.as_deref().unwrap_or("-"), states.join(" "))
        });
        told.push(states.collect::<Vec<_>>().join("; "));
        assert_eq!(interpretation.capture.snapshots, u32::try_from(count).unwrap());
        assert_eq!(interpretation.latest_snapshot, (count > 0).then_some(interpretation.capture.snapshots));
    }
    assert_eq!(
        told,
        [
            "",
            "JOINED: JOINED",
            "JOINED: JOINED; INVITED: INVITED",
            "JOINED: JOINED JOINED; JOINED: INVITED JOINED",
            "JOINED: JOINED JOINED; LEFT: INVITED JOINED LEFT",
            "LEFT: JOINED JOINED LEFT; LEFT: INVITED JOINED LEFT",
        ]
    );
}

#[test]
fn listed_members_are_completed_by_their_own_documents() {
    let alice = MemberId::parse("MEM-6e1c0d4a-72b9-4f35-8ad1-903b5c7e2f60").unwrap();
    let documents = [
        whole("v0.3_get_conversation"),
        (DocumentName::Members(1), "v0.3_list_members".to_owned()),
        (DocumentName::Member(alice), "v0.3_get_member_isSystem".to_owned()),
    ];
    let listed = snapshot(CONVERSATION, 1, "2026-03-09T10:16:10Z", &documents);
    let interpretation = interpret(&history(CONVERSATION, Vec::new(), vec![listed]));
    insta::assert_snapshot!(story(&interpretation), @r"
    CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f NAM-70c1e5a8-9d24-4b63-8f17-b2c06e3d94a5 of 0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19
    - 447700900001 -> 447700900100, -
    started 2026-03-09T10:15:30.119Z, answered -
    ended - (Open)
    None s, - EUR, Captured
    MEM-6e1c0d4a-72b9-4f35-8ad1-903b5c7e2f60 JOINED USR-1d7f5b38-0c42-4e96-b8a7-4f2061d9c3e5
      phone 447700900001 -> 447700900100 by 5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f, legs 5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f
      2026-03-09T10:15:41.895Z JOINED told by snapshot 1
    MEM-b47a9e20-5d13-4c68-9f0e-2a81d6c3570b INVITED vapi-user-3f9a6c1be0d24785b1c7a2e84d5f6039
      - INVITED told by snapshot 1
    5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f - 447700900001 -> 447700900100, -
      None s, - EUR
    ");
}

#[test]
fn a_state_without_a_time_gives_way_to_the_same_state_with_one() {
    let listed = |number, file: &str| {
        let document = (DocumentName::Members(1), file.to_owned());
        snapshot(CONVERSATION, number, "2026-03-09T10:15:50Z", &[document])
    };
    let states = |snapshots: Vec<Snapshot>| {
        let interpretation = interpret(&history(CONVERSATION, Vec::new(), snapshots));
        let bob = interpretation.members.into_iter().find(|member| member.id.as_str() == BOB).unwrap();
        let told = |state: &MemberState| (state.state.clone(), state.at.is_some(), state.source.clone());
        bob.states.iter().map(told).collect::<Vec<_>>()
    };
    let untimed = ("INVITED".to_owned(), false, "snapshot 1".to_owned());
    assert_eq!(states(vec![listed(1, "v0.3_list_members")]), std::slice::from_ref(&untimed));
    let joined_later = ("JOINED".to_owned(), false, "snapshot 2".to_owned());
    assert_eq!(
        states(vec![listed(1, "v0.3_list_members"), listed(2, "v1_list_members")]),
        [untimed, joined_later]
    );
    let with_times =
        snapshot(CONVERSATION, 2, "2026-03-09T10:16:00Z", &[whole("embedded_t2_outbound_invited")]);
    assert_eq!(
        states(vec![listed(1, "v0.3_list_members"), with_times]),
        [("INVITED".to_owned(), true, "snapshot 2".to_owned())]
    );
}

// === how it ends

#[test]
fn a_call_is_over_when_each_of_its_legs_is() {
    for (count, ending) in [(7, Ending::Open), (8, Ending::Open), (9, Ending::Over)] {
        let interpretation = interpret(&history(CONVERSATION, arrivals(&WHOLE_CALL[..count]), Vec::new()));
        assert_eq!(interpretation.ending, ending, "{count} webhooks");
        let ended_at = (ending == Ending::Over).then(|| instant("2026-03-09T10:20:47.990Z"));
        assert_eq!(interpretation.ended_at, ended_at, "{count} webhooks");
    }
    // A leg that only a member names is one, too.
    let history = history(CONVERSATION, arrivals(&["started_inbound", "completed_inbound"]), versions(2..3));
    assert_eq!(interpret(&history).ending, Ending::Open);
    assert_eq!(interpret(&history).legs.len(), 2);
}

#[test]
fn nothing_after_busy_and_its_like_is_the_end_after_a_minute() {
    for file in ["busy", "cancelled", "timeout", "unanswered_timeout", "failed_cannot_route"] {
        let arrivals = arrivals(&["started_outbound", "ringing_outbound", file]);
        let heard = arrivals[2].event.received_at;
        let interpretation = interpret(&history(CONVERSATION, arrivals, Vec::new()));
        let settled = heard + SignedDuration::from_secs(60);
        assert_eq!(interpretation.ending, Ending::Settling(settled), "{file}");
        assert_eq!(interpretation.state(settled - SignedDuration::from_micros(1)), State::Live, "{file}");
        assert_eq!(interpretation.state(settled), State::Ended, "{file}");
        assert_eq!(interpretation.ended_at, Some(heard - SignedDuration::from_millis(50)), "{file}");
    }
}

#[test]
fn what_follows_busy_decides() {
    let ending = |files: &[&str]| interpret(&history(CONVERSATION, arrivals(files), Vec::new())).ending;
    assert_eq!(ending(&["started_outbound", "busy", "completed_outbound"]), Ending::Over);
    // The same leg goes on after all.
    let mut arrivals = arrivals(&["started_outbound", "busy"]);
    let later = json!({"status": "answered", "uuid": BOBS_LEG, "timestamp": "2026-03-09T10:15:59Z"});
    arrivals.push(event(3, "2026-03-09T10:15:59Z", &later));
    assert_eq!(interpret(&history(CONVERSATION, arrivals, Vec::new())).ending, Ending::Open);
    // One leg is over for certain, and another may be.
    let two = ending(&["started_inbound", "completed_inbound", "busy"]);
    assert_eq!(two, Ending::Settling(instant("2026-03-09T10:16:44.320Z")));
}

#[test]
fn a_rejected_call_is_over_at_once() {
    for file in ["rejected_restricted", "rejected_invalid_number"] {
        let interpretation =
            interpret(&history(CONVERSATION, arrivals(&["started_outbound", file]), Vec::new()));
        assert_eq!(interpretation.ending, Ending::Over, "{file}");
        assert_eq!(interpretation.status.as_deref(), Some("rejected"), "{file}");
        assert_eq!(interpretation.ended_at, Some(instant("2026-03-09T10:15:36.002Z")), "{file}");
    }
}

#[test]
fn a_call_that_vonage_knows_no_more_is_over() {
    let gone = |arrivals: Vec<Arrival>| {
        let mut history = history(CONVERSATION, arrivals, versions(0..1));
        history.fetch.gone_at = Some(instant("2026-03-09T10:18:00Z"));
        interpret(&history)
    };
    let interpretation = gone(arrivals(&["started_inbound", "ringing_inbound", "answered_inbound"]));
    assert_eq!(interpretation.ending, Ending::Over);
    assert_eq!(interpretation.ended_at, Some(instant("2026-03-09T10:18:00Z")));
    // A webhook that came after the 404 shows that it goes on, unless it tells of an end.
    let mut alive = arrivals(&["started_inbound"]);
    let ringing = json!({"status": "ringing", "uuid": ALICES_LEG, "timestamp": "2026-03-09T10:18:01Z"});
    alive.push(event(2, "2026-03-09T10:18:01Z", &ringing));
    assert_eq!(gone(alive).ending, Ending::Open);
    let ended = gone(arrivals(&["started_inbound", "completed_inbound"]));
    assert_eq!((ended.ending, ended.ended_at), (Ending::Over, Some(instant("2026-03-09T10:20:47.655Z"))));
}

#[test]
fn a_late_start_changes_nothing_but_its_own_entry() {
    let mut without = WHOLE_CALL.to_vec();
    without.retain(|file| *file != "started_outbound");
    let mut on_time = history(CONVERSATION, arrivals(&without), versions(0..5));
    on_time.fetch.gone_at = Some(instant("2026-03-09T10:20:50Z"));
    let mut late = on_time.clone();
    let mut started = arrivals(&["started_outbound"]).remove(0);
    started.number = 99;
    started.event.received_at = instant("2026-03-09T10:30:00Z");
    late.arrivals.push(started);
    let (expected, mut found) = (interpret(&on_time), interpret(&late));
    assert_eq!(found.legs[1].statuses.len(), 4);
    assert_eq!(found.legs[1].statuses.remove(0).status, "started");
    assert_eq!(found, expected);
}

// === legs

#[test]
fn a_leg_is_told_of_in_both_conversations_of_a_transfer() {
    let elsewhere = "CON-9a8b7c6d-1e2f-4a3b-9c4d-5e6f70819203";
    let files = ["started_inbound", "answered_inbound", "transfer"];
    let left = interpret(&history(CONVERSATION, arrivals(&files), Vec::new()));
    let statuses: Vec<&str> = left.legs[0].statuses.iter().map(|status| status.status.as_str()).collect();
    assert_eq!((left.legs.len(), statuses), (1, vec!["started", "answered", "transferred"]));
    let last = left.legs[0].statuses.last().unwrap();
    assert_eq!(last.at, instant("2026-03-09T10:15:43.850Z"));
    assert_eq!(last.detail.as_deref(), Some(elsewhere));
    assert_eq!((left.ending, left.ended_at), (Ending::Over, Some(last.at)));
    let mut entered = arrivals(&["transfer"]);
    let completed = json!({
        "status": "completed", "uuid": ALICES_LEG, "conversation_uuid": elsewhere, "duration": "12",
        "timestamp": "2026-03-09T10:16:00Z",
    });
    let just_entered = interpret(&history(elsewhere, entered.clone(), Vec::new()));
    assert_eq!(just_entered.legs[0].id.as_str(), ALICES_LEG);
    assert_eq!((just_entered.ending, just_entered.started_at), (Ending::Open, Some(last.at)));
    entered.push(event(2, "2026-03-09T10:16:00Z", &completed));
    let ringing = json!({"status": "ringing", "uuid": ALICES_LEG, "timestamp": "2026-03-09T10:15:50Z"});
    entered.push(event(3, "2026-03-09T10:16:00Z", &ringing));
    let entered = interpret(&history(elsewhere, entered, Vec::new()));
    assert_eq!(entered.legs.len(), 1);
    assert_eq!((entered.ending, entered.duration), (Ending::Over, Some(12)));
    let told: Vec<(&str, Option<&str>)> = entered.legs[0]
        .statuses
        .iter()
        .map(|status| (status.status.as_str(), status.detail.as_deref()))
        .collect();
    assert_eq!(told, [("transferred", Some(CONVERSATION)), ("ringing", None), ("completed", None)]);
}

#[test]
fn what_answers_is_a_status_and_what_is_said_is_none() {
    let files = [
        "started_outbound",
        "answered_outbound",
        "machine",
        "machine_beep_start",
        "human",
        "input_dtmf",
        "record",
        "transcribed",
        "notify",
        "pay_success",
        "error",
        "completed_outbound",
    ];
    let interpretation = interpret(&history(CONVERSATION, arrivals(&files), Vec::new()));
    let leg = interpretation.legs.iter().find(|leg| leg.id.as_str() == BOBS_LEG).unwrap();
    let told: Vec<(&str, Option<&str>)> =
        leg.statuses.iter().map(|status| (status.status.as_str(), status.detail.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("started", None),
            ("answered", None),
            ("human", None),
            ("machine", None),
            ("machine", Some("beep_start")),
            ("completed", None),
        ]
    );
    // Digits were put in on Alice's leg, which tells that there is one and nothing of its status.
    let alices = interpretation.legs.iter().find(|leg| leg.id.as_str() == ALICES_LEG).unwrap();
    assert_eq!((alices.status.as_deref(), alices.statuses.len()), (None, 0));
    assert_eq!((alices.from.as_deref(), alices.to.as_deref()), (Some("447700900001"), Some("447700900100")));
}

#[test]
fn an_unknown_status_is_kept() {
    let redirected = json!({"status": "redirected", "uuid": BOBS_LEG, "timestamp": "2026-03-09T10:15:50Z"});
    let untimed = json!({"status": "complete", "uuid": BOBS_LEG});
    let mut arrivals = arrivals(&["started_outbound", "answered_outbound"]);
    arrivals.push(event(3, "2026-03-09T10:15:50.100Z", &redirected));
    arrivals.push(event(4, "2026-03-09T10:15:51Z", &untimed));
    let interpretation = interpret(&history(CONVERSATION, arrivals, Vec::new()));
    let told: Vec<(&str, Timestamp)> =
        interpretation.legs[0].statuses.iter().map(|status| (status.status.as_str(), status.at)).collect();
    assert_eq!(
        told[2..],
        [("redirected", instant("2026-03-09T10:15:50Z")), ("complete", instant("2026-03-09T10:15:51Z")),]
    );
    assert_eq!(interpretation.ending, Ending::Open);
}

#[test]
fn the_order_of_a_call_decides_where_times_do_not() {
    // `busy` came first and `completed` is stamped before it, as has been seen.
    let at = |status: &str, at: &str| json!({"status": status, "uuid": BOBS_LEG, "timestamp": at});
    let arrivals = vec![
        event(1, "2019-04-16T16:24:26Z", &at("busy", "2019-04-16T16:24:26Z")),
        event(2, "2019-04-16T16:24:26Z", &at("ringing", "2019-04-16T16:24:25.753Z")),
        event(3, "2019-04-16T16:24:26Z", &at("started", "2019-04-16T16:24:25.753Z")),
        event(4, "2019-04-16T16:24:27Z", &at("completed", "2019-04-16T16:24:25.900Z")),
    ];
    let interpretation = interpret(&history(CONVERSATION, arrivals, Vec::new()));
    let told: Vec<&str> =
        interpretation.legs[0].statuses.iter().map(|status| status.status.as_str()).collect();
    assert_eq!(told, ["started", "ringing", "busy", "completed"]);
    assert_eq!(interpretation.status.as_deref(), Some("completed"));
    assert_eq!(interpretation.ended_at, Some(instant("2019-04-16T16:24:26Z")));
}

#[test]
fn of_two_webhooks_that_say_the_same_the_first_in_the_log_speaks() {
    // Both tell of `answered` at the same millisecond, with another caller each.
    for files in
        [["answered_outbound", "answered_no_headers_old"], ["answered_no_headers_old", "answered_outbound"]]
    {
        let in_order = arrivals(&files);
        let reversed: Vec<Arrival> = in_order.iter().rev().cloned().collect();
        let caller = |arrivals| interpret(&history(CONVERSATION, arrivals, Vec::new())).from.unwrap();
        let first = if files[0] == "answered_outbound" { "Unknown" } else { "447700900100" };
        assert_eq!(caller(in_order), first);
        assert_eq!(caller(reversed), first);
    }
}

#[test]
fn the_leg_that_began_the_call_speaks_for_it() {
    let answer_only = interpret(&history(CONVERSATION, arrivals(&["answer_post_phone"]), Vec::new()));
    assert_eq!(answer_only.from.as_deref(), Some("447700900001"));
    assert_eq!((answer_only.direction, answer_only.status), (None, None), "nothing says it");
    let outbound_first =
        interpret(&history(CONVERSATION, arrivals(&["busy", "completed_inbound"]), Vec::new()));
    assert_eq!(outbound_first.direction.as_deref(), Some("outbound"));
    assert_eq!(outbound_first.legs[0].id.as_str(), BOBS_LEG);
    assert_eq!((outbound_first.duration, outbound_first.price), (None, None));
    // Where no webhook came, the members tell who speaks to whom.
    let members_only = interpret(&history(CONVERSATION, Vec::new(), versions(2..3)));
    assert_eq!(members_only.legs.len(), 2);
    assert_eq!(members_only.legs[0].to.as_deref(), Some("447700900002"));
    assert_eq!(members_only.started_at, Some(instant("2026-03-09T10:15:30.119Z")));
}

// === events

#[test]
fn an_event_that_was_pushed_and_read_is_told_by_whoever_told_first() {
    let pushed = |received_at: &str| rtc(1, "member_joined_inbound", received_at);
    let read = |taken_at: &str| {
        let page = (DocumentName::Events { after: 0, page: 1 }, "v1_list_events_embedded_events".to_owned());
        snapshot(CONVERSATION, 1, taken_at, &[page])
    };
    let alices = |arrivals: Vec<Arrival>, snapshots: Vec<Snapshot>| {
        let told = interpret(&history(CONVERSATION, arrivals, snapshots));
        let alice = told.members.into_iter().find(|member| member.id.as_str() == ALICE).unwrap();
        alice.states.into_iter().map(|state| (time(state.at), state.source)).collect::<Vec<_>>()
    };
    let first = "2026-03-09T10:15:30.324Z".to_owned();
    let early = alices(vec![pushed("2026-03-09T10:15:31Z")], vec![read("2026-03-09T10:15:50Z")]);
    assert!(early.contains(&(first.clone(), "rtc".to_owned())), "{early:?}");
    assert!(early.contains(&("2026-03-09T10:15:41.895Z".to_owned(), "event 7".to_owned())), "{early:?}");
    let late = alices(vec![pushed("2026-03-09T10:15:51Z")], vec![read("2026-03-09T10:15:50Z")]);
    assert!(late.contains(&(first, "event 1".to_owned())), "{late:?}");
    assert_eq!(early.len(), late.len());
}

#[test]
fn nobody_learns_of_an_event_before_it_happened() {
    // The page joined the version some seconds after that was taken.
    let page = (DocumentName::Events { after: 0, page: 1 }, "v1_list_events_embedded_events".to_owned());
    let taken_at = "2026-03-09T10:15:35Z";
    let told =
        interpret(&history(CONVERSATION, Vec::new(), vec![snapshot(CONVERSATION, 1, taken_at, &[page])]));
    let states: Vec<_> = told.members.iter().flat_map(|member| &member.states).collect();
    let happened_later = |state: &&&MemberState| state.at.is_some_and(|at| at > instant(taken_at));
    assert!(states.iter().filter(happened_later).count() > 0, "{states:?}");
    assert!(states.iter().all(|state| state.learnt_at >= state.at.unwrap_or(Timestamp::MIN)), "{states:?}");
}

#[test]
fn a_member_of_whom_only_events_tell_is_told_with_all_that_they_say() {
    let arrivals = vec![
        rtc(1, "member_joined_inbound", "2026-03-09T10:15:31Z"),
        rtc(2, "member_invited", "2026-03-09T10:15:32Z"),
        rtc(3, "member_joined_outbound", "2026-03-09T10:15:42Z"),
        rtc(4, "member_joined_inbound_again", "2026-03-09T10:15:42Z"),
        rtc(5, "member_media", "2026-03-09T10:15:42Z"),
        rtc(6, "leg_status_update_answered", "2026-03-09T10:15:42Z"),
        rtc(7, "audio_mute_on", "2026-03-09T10:17:02Z"),
        rtc(8, "audio_earmuff_on", "2026-03-09T10:17:04Z"),
        rtc(9, "audio_mute_off", "2026-03-09T10:17:10Z"),
        rtc(10, "member_left", "2026-03-09T10:20:48Z"),
    ];
    // Bob's events but the last come from Alice's member.
    insta::assert_snapshot!(story(&interpret(&history(CONVERSATION, arrivals, Vec::new()))), @r"
    CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f - of 0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19
    - 447700900001 -> 447700900100, -
    started 2026-03-09T10:15:30.324Z, answered -
    ended - (Open)
    None s, - EUR, Missed
    MEM-6e1c0d4a-72b9-4f35-8ad1-903b5c7e2f60 JOINED USR-1d7f5b38-0c42-4e96-b8a7-4f2061d9c3e5
      phone 447700900001 -> 447700900100 by 5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f, legs 5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f
      2026-03-09T10:15:30.324Z JOINED told by rtc
      2026-03-09T10:15:41.895Z JOINED told by rtc
      2026-03-09T10:17:01.250Z MUTED told by rtc
      2026-03-09T10:17:02.250Z UNMUTED told by rtc
      2026-03-09T10:17:03.250Z EARMUFFED told by rtc
    MEM-b47a9e20-5d13-4c68-9f0e-2a81d6c3570b LEFT vapi-user-3f9a6c1be0d24785b1c7a2e84d5f6039
      phone Unknown -> 447700900002 by c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93, legs c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93
      2026-03-09T10:15:31.020Z INVITED told by rtc
      2026-03-09T10:15:41.830Z JOINED told by rtc
      2026-03-09T10:20:47.981Z LEFT told by rtc
    5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f - 447700900001 -> 447700900100, -
      None s, - EUR
    c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93 outbound Unknown -> 447700900002, answered
      None s, - EUR
      2026-03-09T10:15:35.100Z started
      2026-03-09T10:15:35.640Z ringing
      2026-03-09T10:15:41.830Z answered
    ");
}

#[test]
fn the_time_of_an_event_is_not_that_of_another_state() {
    // The event was made 3 ms after what it tells of, and does not repeat when that was.
    let mut fields: Value = serde_json::from_slice(&data::bytes("rtc/member_joined_inbound.json")).unwrap();
    fields["body"].as_object_mut().unwrap().remove("timestamp");
    let body = fields.to_string();
    let pushed = arrival(1, Endpoint::Rtc, body.as_bytes(), instant("2026-03-09T10:15:30.400Z"));
    let told = |snapshots: Vec<Snapshot>| {
        let told = interpret(&history(CONVERSATION, vec![pushed.clone()], snapshots));
        told.members[0].states.iter().map(|state| (time(state.at), state.source.clone())).collect::<Vec<_>>()
    };
    assert_eq!(told(Vec::new()), [("2026-03-09T10:15:30.327Z".to_owned(), "rtc".to_owned())]);
    assert_eq!(told(versions(0..1)), [("2026-03-09T10:15:30.324Z".to_owned(), "snapshot 1".to_owned())]);
}

#[test]
fn an_event_of_a_user_whose_member_is_unknown_is_nobody_elses() {
    let arrivals = vec![rtc(1, "member_joined_outbound", "2026-03-09T10:15:42Z")];
    let known = interpret(&history(CONVERSATION, arrivals.clone(), versions(0..1)));
    // A document that names the user's member is as good as an invitation.
    let with_bob = interpret(&history(CONVERSATION, arrivals, versions(1..2)));
    let bob = with_bob.members.iter().find(|member| member.id.as_str() == BOB).unwrap();
    assert_eq!(
        bob.states.iter().map(|state| state.state.as_str()).collect::<Vec<_>>(),
        ["INVITED", "JOINED"]
    );
    let states: Vec<&str> = known.members[0].states.iter().map(|state| state.source.as_str()).collect();
    assert_eq!((known.members.len(), states), (1, vec!["snapshot 1"]));
}

#[test]
fn what_a_member_hears_is_no_state_that_it_is_in() {
    let mut arrivals = vec![rtc(1, "audio_mute_on", "2026-03-09T10:17:02Z")];
    let of = |arrivals: &[Arrival]| {
        let told = interpret(&history(CONVERSATION, arrivals.to_vec(), Vec::new()));
        let states: Vec<String> = told.members[0].states.iter().map(|state| state.state.clone()).collect();
        (told.members[0].state.clone(), states)
    };
    assert_eq!(of(&arrivals), (None, vec!["MUTED".to_owned()]));
    // That nobody muted the member is no news, and neither is what was told before.
    arrivals[0] = rtc(1, "member_media", "2026-03-09T10:15:42Z");
    assert_eq!(of(&arrivals), (None, Vec::new()));
    arrivals.push(rtc(2, "audio_mute_on", "2026-03-09T10:17:02Z"));
    arrivals.push(rtc(3, "member_joined_inbound", "2026-03-09T10:15:31Z"));
    let told = (Some("JOINED".to_owned()), vec!["JOINED".to_owned(), "MUTED".to_owned()]);
    assert_eq!(of(&arrivals), told);
}

#[test]
fn a_leave_that_is_pushed_after_the_last_version_is_the_members_state() {
    let left = vec![rtc(1, "member_left", "2026-03-09T10:20:48Z")];
    let told = interpret(&history(CONVERSATION, left, versions(0..3)));
    let bob = told.members.iter().find(|member| member.id.as_str() == BOB).unwrap();
    let last = bob.states.last().unwrap();
    assert_eq!(
        (bob.state.as_deref(), last.state.as_str(), last.source.as_str()),
        (Some("LEFT"), "LEFT", "rtc")
    );
}

#[test]
fn what_an_event_says_of_a_leg_fills_in_what_no_webhook_said() {
    let bobs = |files: &[&str]| {
        let mut told = arrivals(files);
        told.push(rtc(90, "leg_status_update_completed_state", "2026-03-09T10:20:48Z"));
        told.push(rtc(91, "sip_answered", "2026-03-09T10:15:42Z"));
        let interpretation = interpret(&history(CONVERSATION, told, Vec::new()));
        let leg = interpretation.legs.into_iter().find(|leg| leg.id.as_str() == BOBS_LEG).unwrap();
        let statuses: Vec<String> = leg
            .statuses
            .iter()
            .map(|status| format!("{} {}", time(Some(status.at)), status.status))
            .collect();
        (leg.direction, leg.to, statuses)
    };
    let (direction, to, statuses) = bobs(&[]);
    assert_eq!((direction.as_deref(), to.as_deref()), (Some("outbound"), Some("447700900002")));
    assert_eq!(
        statuses,
        [
            "2026-03-09T10:15:35.100Z started",
            "2026-03-09T10:15:35.640Z ringing",
            "2026-03-09T10:15:41.830Z answered",
            "2026-03-09T10:20:47.970Z completed",
        ]
    );
    let (.., statuses) = bobs(&["started_outbound", "answered_outbound"]);
    assert_eq!(
        statuses,
        [
            "2026-03-09T10:15:35.640Z started",
            "2026-03-09T10:15:35.640Z ringing",
            "2026-03-09T10:15:41.837Z answered",
            "2026-03-09T10:20:47.970Z completed",
        ]
    );
}

#[test]
fn an_event_at_the_voice_webhooks_address_counts_like_any_other() {
    let body = data::bytes("rtc/member_joined_inbound.json");
    let arrivals = vec![arrival(1, Endpoint::Event, &body, instant("2026-03-09T10:15:31Z"))];
    let told = interpret(&history(CONVERSATION, arrivals, Vec::new()));
    assert_eq!(told.members[0].states[0].source, "rtc");
}

// === transfers, fallbacks, the list of calls

#[test]
fn a_leg_that_comes_back_goes_on() {
    let elsewhere = "CON-9a8b7c6d-1e2f-4a3b-9c4d-5e6f70819203";
    let transfer = |number, from: &str, to: &str, at: &str| {
        let fields = json!({
            "type": "transfer", "uuid": ALICES_LEG, "conversation_uuid_from": from,
            "conversation_uuid_to": to, "timestamp": at,
        });
        event(number, at, &fields)
    };
    let mut told = arrivals(&["started_inbound", "answered_inbound"]);
    told.push(transfer(3, CONVERSATION, elsewhere, "2026-03-09T10:16:00Z"));
    assert_eq!(interpret(&history(CONVERSATION, told.clone(), Vec::new())).ending, Ending::Over);
    told.push(transfer(4, elsewhere, CONVERSATION, "2026-03-09T10:16:01Z"));
    let back = interpret(&history(CONVERSATION, told.clone(), Vec::new()));
    let statuses: Vec<&str> = back.legs[0].statuses.iter().map(|status| status.status.as_str()).collect();
    assert_eq!(statuses, ["started", "answered", "transferred", "transferred"]);
    assert_eq!((back.ending, back.ended_at), (Ending::Open, None));
    told.extend(arrivals(&["completed_inbound"]).into_iter().map(|one| Arrival { number: 5, ..one }));
    assert_eq!(interpret(&history(CONVERSATION, told, Vec::new())).ending, Ending::Over);
}

#[test]
fn what_the_leg_was_in_its_former_conversation_is_not_told_in_the_next() {
    let elsewhere = "CON-9a8b7c6d-1e2f-4a3b-9c4d-5e6f70819203";
    let update = json!({
        "type": "leg:status:update", "id": 4, "conversation_id": elsewhere,
        "timestamp": "2026-03-09T10:16:00.010Z",
        "body": {"leg_id": ALICES_LEG, "status": "completed", "statusHistory": [
            {"conversation_id": CONVERSATION, "status": "answered", "date": "2026-03-09T10:15:41.902Z"},
            {"conversation_id": elsewhere, "status": "completed", "date": "2026-03-09T10:16:00Z"},
        ]},
    });
    let mut told = arrivals(&["transfer"]);
    let update = update.to_string();
    told.push(arrival(2, Endpoint::Rtc, update.as_bytes(), instant("2026-03-09T10:16:01Z")));
    told.push(rtc(3, "rtc_transfer", "2026-03-09T10:15:44Z"));
    let entered = interpret(&history(elsewhere, told, Vec::new()));
    let statuses: Vec<&str> = entered.legs[0].statuses.iter().map(|status| status.status.as_str()).collect();
    assert_eq!((statuses, entered.ending), (vec!["transferred", "completed"], Ending::Over));
}

#[test]
fn a_transfer_that_only_an_event_tells_of_is_one() {
    let told = vec![rtc(1, "rtc_transfer", "2026-03-09T10:15:44Z")];
    let leg = interpret(&history(CONVERSATION, told, Vec::new())).legs.remove(0);
    assert_eq!(leg.id.as_str(), ALICES_LEG);
    assert_eq!((leg.from.as_deref(), leg.statuses.len()), (Some("447700900001"), 1));
    assert_eq!(leg.statuses[0].detail.as_deref(), Some("CON-9a8b7c6d-1e2f-4a3b-9c4d-5e6f70819203"));
}

#[test]
fn a_fallback_is_read_as_what_it_repeats() {
    let as_fallback = |number, file: &str, kind: &str| {
        let mut fields: Value = serde_json::from_slice(&data::bytes(&format!("events/{file}.json"))).unwrap();
        fields["reason"] = json!("Connection closed.");
        fields["original_request"] = json!({"url": "https://example.com/", "type": kind});
        let body = fields.to_string();
        arrival(number, Endpoint::Fallback, body.as_bytes(), instant("2026-03-09T10:21:00Z"))
    };
    let directly = arrivals(&["answer_post_phone", "started_inbound", "completed_inbound"]);
    let repeats = vec![
        as_fallback(4, "answer_post_phone", "answer"),
        as_fallback(5, "started_inbound", "event"),
        as_fallback(6, "completed_inbound", "event"),
    ];
    let expected = interpret(&history(CONVERSATION, directly.clone(), Vec::new()));
    let both = interpret(&history(CONVERSATION, [directly, repeats.clone()].concat(), Vec::new()));
    assert_eq!(both, expected);
    let repeated = interpret(&history(CONVERSATION, repeats, Vec::new()));
    let first_heard_at = Some(instant("2026-03-09T10:21:00Z"));
    assert_eq!(repeated, Interpretation { first_heard_at, ..expected });
    let recorded = data::bytes("events/answer_fallback_post.json");
    let recorded = arrival(1, Endpoint::Fallback, &recorded, instant("2026-03-09T10:21:00Z"));
    let leg = interpret(&history(CONVERSATION, vec![recorded], Vec::new())).legs.remove(0);
    assert_eq!((leg.direction.as_deref(), leg.from.as_deref()), (None, Some("447700900001")));
    assert!(leg.statuses.is_empty());
}

#[test]
fn a_fallback_without_a_time_adds_nothing_to_what_was_told() {
    let untimed = json!({"status": "answered", "uuid": BOBS_LEG, "reason": "Connection closed."});
    let mut told = arrivals(&["answered_outbound"]);
    let body = untimed.to_string();
    told.push(arrival(2, Endpoint::Fallback, body.as_bytes(), instant("2026-03-09T10:21:00Z")));
    assert_eq!(interpret(&history(CONVERSATION, told, Vec::new())).legs[0].statuses.len(), 1);
}

#[test]
fn a_call_that_nobody_announced_is_told_from_the_list() {
    let mut found = history(CONVERSATION, Vec::new(), Vec::new());
    found.listed = vec![listed(ALICES_LEG, "inbound"), listed(BOBS_LEG, "outbound")];
    let told = interpret(&found);
    assert_eq!(told.capture.state.as_str(), "missed");
    let reason = "no webhook told of it: it was found afterwards in Vonage's list of calls";
    assert_eq!(told.capture.reason.as_deref(), Some(reason));
    insta::assert_snapshot!(story(&told), @r"
    CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f - of 0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19
    inbound 447700900001 -> 447700900100, completed
    started 2026-03-09T10:15:41.000Z, answered 2026-03-09T10:15:41.000Z
    ended 2026-03-09T10:16:41.000Z (Over)
    Some(60) s, 0.01 EUR, Missed
    5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f inbound 447700900001 -> 447700900100, completed
      Some(60) s, 0.01 EUR
      2026-03-09T10:15:41.000Z answered
      2026-03-09T10:16:41.000Z completed
    c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93 outbound 447700900001 -> 447700900100, completed
      Some(60) s, 0.01 EUR
      2026-03-09T10:15:41.000Z answered
      2026-03-09T10:16:41.000Z completed
    ");
    let json = serde_json::to_value(&told.legs[0]).unwrap();
    assert_eq!(json["source"], "calls list");
    found.fetch.gone_at = Some(instant("2026-03-10T10:00:00Z"));
    let reason = format!("{reason}; Vonage answered 404 at 2026-03-10 10:00:00.000");
    assert_eq!(interpret(&found).capture.reason, Some(reason));
    // One that goes on, and one of which no time is known.
    let going_on =
        ListedCall { status: Some("answered".to_owned()), end_time: None, ..found.listed[0].clone() };
    let timeless = ListedCall { start_time: None, end_time: None, ..found.listed[1].clone() };
    found.fetch.gone_at = None;
    found.listed = vec![going_on];
    assert_eq!(interpret(&found).ending, Ending::Open);
    found.listed = vec![timeless];
    assert_eq!(
        (interpret(&found).ending, interpret(&found).status.as_deref()),
        (Ending::Over, Some("completed"))
    );
}

#[test]
fn a_known_leg_gets_from_the_list_what_it_lacks() {
    let told = |files: &[&str]| {
        let mut known = history(CONVERSATION, arrivals(files), Vec::new());
        known.listed = vec![listed(ALICES_LEG, "inbound")];
        interpret(&known)
    };
    let without_end = told(&["started_inbound", "answered_inbound"]);
    let leg = &without_end.legs[0];
    let statuses: Vec<&str> = leg.statuses.iter().map(|status| status.status.as_str()).collect();
    assert_eq!(statuses, ["started", "answered", "completed"]);
    assert_eq!((leg.duration, leg.price.as_deref(), leg.source), (Some(60), Some("0.01"), None));
    assert_eq!(without_end.ended_at, Some(instant("2026-03-09T10:16:41Z")));
    assert!(serde_json::to_value(leg).unwrap().get("source").is_none());
    let whole = told(&["started_inbound", "completed_inbound"]);
    let without_list =
        interpret(&history(CONVERSATION, arrivals(&["started_inbound", "completed_inbound"]), Vec::new()));
    assert_eq!(whole, without_list);
    // A leg that went elsewhere has its end there.
    let moved = told(&["started_inbound", "transfer"]);
    assert_eq!(moved.legs[0].status.as_deref(), Some("transferred"));
}

// === whether it was seen

#[test]
fn what_was_not_seen_is_pending_or_missed_and_says_why() {
    let capture = |change: &dyn Fn(&mut FetchState)| {
        let mut history = history(CONVERSATION, arrivals(&["started_inbound"]), Vec::new());
        change(&mut history.fetch);
        let capture = interpret(&history).capture;
        (capture.state.as_str(), capture.reason.unwrap_or_default())
    };
    let due = Some(instant("2026-03-09T10:16:00Z"));
    assert_eq!(capture(&|fetch| fetch.due_at = due), ("pending", String::new()));
    let end = Some(instant("2026-03-09T10:25:42Z"));
    for (trouble, pending, given_up) in [
        (
            Trouble::NotYet,
            "Vonage answers 404: it does not know the conversation, or not in this region",
            "never known to Vonage, or not in this region: it answered 404 until 10:25:42.000, \
             10.2 min after the first webhook",
        ),
        (
            Trouble::Refused,
            "Vonage refuses the token",
            "given up at 10:25:42.000, 10.2 min after the first webhook: Vonage refuses the token",
        ),
        (
            Trouble::Throttled,
            "Vonage answers 429: it is asked too often",
            "given up at 10:25:42.000, 10.2 min after the first webhook: Vonage answers 429: it is asked too often",
        ),
        (
            Trouble::Unreachable,
            "Vonage could not be reached, or gave no useful answer",
            "given up at 10:25:42.000, 10.2 min after the first webhook: \
             Vonage could not be reached, or gave no useful answer",
        ),
    ] {
        let owed = capture(&|fetch| {
            (fetch.due_at, fetch.trouble) = (due, Some(trouble.clone()));
            (fetch.failing_since, fetch.failures) = (Some(instant("2026-03-09T10:15:32Z")), 3);
        });
        assert_eq!(owed, ("pending", format!("{pending} since 10:15:32.000, 3 tries")));
        let lost = capture(&|fetch| (fetch.gave_up_at, fetch.trouble) = (end, Some(trouble.clone())));
        assert_eq!(lost, ("missed", given_up.to_owned()));
    }
    let no_application = "no configured application is known for it, so it cannot be fetched";
    let nobodys = capture(&|fetch| (fetch.due_at, fetch.application_id) = (due, None));
    assert_eq!(nobodys, ("pending", no_application.to_owned()));
    let unconfigured = capture(&|fetch| (fetch.due_at, fetch.trouble) = (due, Some(Trouble::NoApplication)));
    assert_eq!(unconfigured, ("pending", no_application.to_owned()));
    let gone = |at: &str| capture(&|fetch| fetch.gone_at = Some(instant(at)));
    let before_the_look = "gone before the first look: Vonage answered 404 at";
    for (at, told) in [
        ("2026-03-09T10:16:00Z", "10:16:00.000, 29.8 s after the first webhook"),
        ("2026-03-09T10:15:30Z", "10:15:30.000"),
        ("2026-03-10T00:00:00Z", "2026-03-10 00:00:00.000, 13.7 h after the first webhook"),
    ] {
        assert_eq!(gone(at), ("missed", format!("{before_the_look} {told}")));
    }
    assert_eq!(capture(&|_| {}).0, "missed");
}

#[test]
fn a_conversation_of_which_nothing_is_known_is_told_without_inventing() {
    let interpretation = interpret(&history(CONVERSATION, Vec::new(), Vec::new()));
    assert_eq!(interpretation.ending, Ending::Open);
    assert_eq!((interpretation.started_at, interpretation.ended_at), (None, None));
    assert!(interpretation.members.is_empty() && interpretation.legs.is_empty());
}

// === rules for all histories

proptest! {
    #[test]
    fn neither_order_nor_repetition_changes_what_a_history_means(Mixed(history, mixed) in mixed_histories()) {
        let expected = interpret(&history);
        prop_assert_eq!(interpret(&mixed), expected.clone());
        prop_assert_eq!(interpret(&history), expected, "a second time");
    }

    #[test]
    fn states_and_legs_are_in_order_and_each_is_there_once(Mixed(history, _) in mixed_histories()) {
        let interpretation = interpret(&history);
        let started = interpretation.started_at;
        for member in &interpretation.members {
            prop_assert!(member.states.is_sorted_by_key(|state| (state.at.is_none(), state.at)));
            prop_assert!(member.states.iter().filter_map(|state| state.at).all(|at| Some(at) >= started));
            prop_assert!(member.leg_ids.iter().all(|id| interpretation.legs.iter().any(|leg| leg.id == *id)));
        }
        for leg in &interpretation.legs {
            prop_assert_eq!(leg.status.as_ref(), leg.statuses.last().map(|status| &status.status));
            prop_assert_eq!(interpretation.legs.iter().filter(|other| other.id == leg.id).count(), 1);
            prop_assert!(leg.statuses.windows(2).all(|pair| pair[0] != pair[1]));
        }
        prop_assert_eq!(interpretation.ended_at.is_some(), interpretation.ending != Ending::Open);
    }
}

/// A history, and the same in another order with repetitions. Shown by what it is made of.
struct Mixed(History, History);

impl std::fmt::Debug for Mixed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(history, mixed) = self;
        let arrivals = |history: &History| {
            let one = |arrival: &Arrival| format!("{} {}", arrival.number, arrival.event.kind);
            history.arrivals.iter().map(one).collect::<Vec<_>>()
        };
        let versions = |history: &History| history.snapshots.iter().map(|one| one.number).collect::<Vec<_>>();
        writeln!(
            formatter,
            "{:?} {:?}, gone {:?}",
            arrivals(history),
            versions(history),
            history.fetch.gone_at
        )?;
        writeln!(formatter, "{:?} {:?}", arrivals(mixed), versions(mixed))
    }
}

/// A history of some recorded webhooks and versions, and the same in another order with some webhooks twice.
fn mixed_histories() -> impl Strategy<Value = Mixed> {
    let files: Vec<String> = data::names("events").iter().map(|name| name.replace(".json", "")).collect();
    let chosen = prop::sample::subsequence(files.clone(), 0..=files.len());
    let versions_chosen =
        prop::sample::subsequence((0..VERSIONS.len()).collect::<Vec<_>>(), 0..=VERSIONS.len());
    let gone_at = prop::option::of(
        (0..600_i64).prop_map(|seconds| instant("2026-03-09T10:15:30Z") + SignedDuration::from_secs(seconds)),
    );
    (chosen.prop_shuffle(), versions_chosen, gone_at).prop_flat_map(|(files, chosen, gone_at)| {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let all = arrivals(&files);
        let snapshots: Vec<Snapshot> =
            chosen.into_iter().flat_map(|index| versions(index..index + 1)).collect();
        let repeated = prop::collection::vec(0..all.len().max(1), 0..4).prop_map({
            let all = all.clone();
            move |again| {
                let again = again.into_iter().filter_map(|index| all.get(index).cloned()).collect::<Vec<_>>();
                [all.clone(), again].concat()
            }
        });
        let mut history = history(CONVERSATION, all, snapshots.clone());
        history.fetch.gone_at = gone_at;
        (Just(history), repeated.prop_shuffle(), Just(snapshots).prop_shuffle()).prop_map(
            |(history, arrivals, snapshots)| {
                let mixed = History { arrivals, snapshots, ..history.clone() };
                Mixed(history, mixed)
            },
        )
    })
}

/// The interpretation as a story, for people.
pub fn story(of: &Interpretation) -> String {
    let application = of.application_id.as_ref().map_or("-", ApplicationId::as_str);
    let head = [
        format!("{} {} of {application}", of.id, text(of.name.as_deref())),
        format!(
            "{} {} -> {}, {}",
            text(of.direction.as_deref()),
            text(of.from.as_deref()),
            text(of.to.as_deref()),
            text(of.status.as_deref())
        ),
        format!("started {}, answered {}", time(of.started_at), time(of.answered_at)),
        format!("ended {} ({:?})", time(of.ended_at), of.ending),
        format!("{:?} s, {} EUR, {:?}", of.duration, text(of.price.as_deref()), of.capture.state),
    ];
    let members = of.members.iter().flat_map(story_of_member);
    let lines: Vec<String> =
        head.into_iter().chain(members).chain(of.legs.iter().flat_map(story_of_leg)).collect();
    lines.join("\n")
}

fn story_of_member(member: &Member) -> Vec<String> {
    let mut lines =
        vec![format!("{} {} {}", member.id, text(member.state.as_deref()), text(member.name.as_deref()))];
    if let Some(channel) = &member.channel {
        let sides = format!("{} -> {}", text(channel.from.as_deref()), text(channel.to.as_deref()));
        let carrier = channel.id.as_ref().map_or("-", LegId::as_str);
        let legs: Vec<&str> = member.leg_ids.iter().map(LegId::as_str).collect();
        lines.push(format!(
            "  {} {sides} by {carrier}, legs {}",
            text(channel.kind.as_deref()),
            legs.join(" ")
        ));
    }
    let states = member.states.iter();
    lines
        .extend(states.map(|state| format!("  {} {} told by {}", time(state.at), state.state, state.source)));
    lines
}

fn story_of_leg(leg: &Leg) -> Vec<String> {
    let sides = format!("{} -> {}", text(leg.from.as_deref()), text(leg.to.as_deref()));
    let mut lines = vec![
        format!("{} {} {sides}, {}", leg.id, text(leg.direction.as_deref()), text(leg.status.as_deref())),
        format!("  {:?} s, {} EUR", leg.duration, text(leg.price.as_deref())),
    ];
    lines.extend(leg.statuses.iter().map(|status| format!("  {} {}", time(Some(status.at)), status.status)));
    lines
}

fn text(value: Option<&str>) -> &str {
    value.unwrap_or("-")
}

fn time(value: Option<Timestamp>) -> String {
    value.map_or("-".to_owned(), |at| format!("{at:.3}"))
}

// === histories

/// The recorded call with all its webhooks and versions.
fn recorded_call() -> History {
    let snapshots = versions(0..VERSIONS.len());
    history(CONVERSATION, arrivals(&WHOLE_CALL), snapshots)
}

fn tutorial() -> Vec<Arrival> {
    let call = Call::tutorial();
    let webhooks = call.steps.iter().filter_map(|step| match &step.action {
        Action::Webhook(webhook) => Some((step.at, webhook)),
        Action::Change(_) => None,
    });
    let arrival = |(number, (at, webhook)): (i64, (Timestamp, &simulator::Webhook))| {
        let endpoint = if webhook.target == Target::Answer { Endpoint::Answer } else { Endpoint::Event };
        arrival(number, endpoint, &webhook.body, at)
    };
    (1..).zip(webhooks).map(arrival).collect()
}

/// Recorded bodies, each received 50 ms after Vonage's time for it, or else after its predecessor's.
pub fn arrivals(files: &[&str]) -> Vec<Arrival> {
    let mut previous = instant("2026-03-09T10:15:30Z");
    let arrival = |(number, file): (i64, &&str)| {
        let body = data::bytes(&format!("events/{file}.json"));
        let endpoint = if file.starts_with("answer_") { Endpoint::Answer } else { Endpoint::Event };
        let fields: Value = serde_json::from_slice(&body).expect("a body is JSON");
        let at = fields["timestamp"].as_str().map_or(previous, instant) + SignedDuration::from_millis(50);
        previous = at;
        arrival(number, endpoint, &body, at)
    };
    (1..).zip(files).map(arrival).collect()
}

/// An event with these fields.
pub fn event(number: i64, received_at: &str, fields: &Value) -> Arrival {
    arrival(number, Endpoint::Event, fields.to_string().as_bytes(), instant(received_at))
}

pub fn arrival(number: i64, endpoint: Endpoint, body: &[u8], received_at: Timestamp) -> Arrival {
    let delivery = Delivery {
        endpoint,
        method: Method::Post,
        query: None,
        covered_query: None,
        content_type: None,
        body: body.to_vec(),
    };
    let webhook = Webhook::read(&delivery).expect("a body is an object");
    let event = NewArrival {
        application_id: None,
        origin: Origin::Signed,
        kind: webhook.kind(endpoint),
        conversation_id: webhook.conversation_id(),
        transferred_to: webhook.transferred_to(),
        occurred_at: webhook.timestamp(),
        region: None,
        fallback_reason: None,
        received_at,
        delivery,
    };
    Arrival { number, event, deliveries: 1, last_received_at: received_at }
}

/// A recorded event of the Conversation API, pushed.
pub fn rtc(number: i64, file: &str, received_at: &str) -> Arrival {
    let body = data::bytes(&format!("rtc/{file}.json"));
    arrival(number, Endpoint::Rtc, &body, instant(received_at))
}

/// A leg of a minute in the list of calls.
pub fn listed(leg: &str, direction: &str) -> ListedCall {
    ListedCall {
        leg_id: LegId::parse(leg).expect("it is an id"),
        conversation_id: Some(id(CONVERSATION)),
        status: Some("completed".to_owned()),
        direction: Some(direction.to_owned()),
        from: Some("447700900001".to_owned()),
        to: Some("447700900100".to_owned()),
        rate: Some("0.01".to_owned()),
        price: Some("0.01".to_owned()),
        duration: Some(60),
        start_time: Some(instant("2026-03-09T10:15:41Z")),
        end_time: Some(instant("2026-03-09T10:16:41Z")),
        network: None,
    }
}

/// Some of the versions, each taken ten seconds after the one before it.
pub fn versions(range: Range<usize>) -> Vec<Snapshot> {
    let taken_at = |number: u32| format!("2026-03-09T10:16:{:02}Z", number * 10);
    let version =
        |(number, file): (u32, &&str)| snapshot(CONVERSATION, number, &taken_at(number), &[whole(file)]);
    (1..).zip(&VERSIONS).skip(range.start).take(range.len()).map(version).collect()
}

pub fn whole(file: &str) -> (DocumentName, String) {
    (DocumentName::Conversation, file.to_owned())
}

/// A version of recorded documents; confirmed a second later.
pub fn snapshot(
    conversation: &str,
    number: u32,
    taken_at: &str,
    files: &[(DocumentName, String)],
) -> Snapshot {
    let document = |(name, file): &(DocumentName, String)| {
        Document::new(name.clone(), data::bytes(&format!("conversations/{file}.json")))
    };
    let taken_at = instant(taken_at);
    Snapshot {
        conversation_id: id(conversation),
        number,
        sighting: Sighting {
            taken_at,
            family: "v0.3".to_owned(),
            sequence_number: None,
            documents: files.iter().map(document).collect(),
            region: None,
        },
        confirmed_at: taken_at + SignedDuration::from_secs(1),
    }
}

pub fn history(conversation: &str, arrivals: Vec<Arrival>, snapshots: Vec<Snapshot>) -> History {
    let fetch = FetchState {
        application_id: Some(ApplicationId::parse(APPLICATION).expect("it is an id")),
        ..FetchState::default()
    };
    History {
        conversation_id: id(conversation),
        arrivals,
        snapshots,
        listed: Vec::new(),
        fetch,
        revision: Revision::default(),
    }
}

pub fn id(text: &str) -> ConversationId {
    ConversationId::parse(text).expect("it is an id")
}

pub fn instant(text: &str) -> Timestamp {
    text.parse().expect("it is an instant")
}
