//! What the Voice API's answers about calls say.

use conversationd::domain::call::ListedCall;
use conversationd::domain::ids::{ConversationId, LegId};
use conversationd::vonage::calls::CallsPage;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::data;

const CONVERSATION: &str = "CON-4f1e2d3c-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
const ALICES_LEG: &str = "5d0c7c1e8f2b4a6d9e3f1a2b3c4d5e6f";
const BOBS_LEG: &str = "c2f1a8d4-3b7e-4f60-9a52-7d8e6b1c0f93";

#[test]
fn a_call_that_is_over_tells_everything() {
    let page = recorded("voice_get_call_completed.json");
    let text = |text: &str| Some(text.to_owned());
    let expected = ListedCall {
        rate: text("0.00450000"),
        price: text("0.02302500"),
        duration: Some(307),
        start_time: Some(instant("2026-03-09T10:15:41Z")),
        end_time: Some(instant("2026-03-09T10:20:48Z")),
        network: text("23410"),
        ..bare(ALICES_LEG, "completed", "inbound", "447700900001", "447700900100")
    };
    assert_eq!(page.calls, [expected]);
    let lasting = recorded("voice_get_call_in_progress.json");
    let expected = ListedCall {
        start_time: Some(instant("2026-03-09T10:15:41Z")),
        ..bare(ALICES_LEG, "answered", "inbound", "447700900001", "447700900100")
    };
    assert_eq!(lasting.calls, [expected]);
}

#[test]
fn a_list_of_calls_has_one_for_each_leg() {
    let page = recorded("voice_list_calls_by_conversation.json");
    let expected = [
        bare(ALICES_LEG, "answered", "inbound", "447700900001", "447700900100"),
        bare(BOBS_LEG, "answered", "outbound", "Unknown", "447700900002"),
    ];
    assert_eq!(page.calls, expected);
    assert_eq!(page.next, None);
}

#[test]
fn calls_are_read_leniently() {
    let call = json!({
        "uuid": "l", "conversation_uuid": "not/an/id", "status": "COMPLETED", "duration": 7, "price": 0.5,
        "from": "447700900001", "to": [{"type": "sip", "uri": "sip:a@b"}],
        "start_time": "2026-03-09T10:15:41.000Z", "end_time": null, "network": 23410,
    });
    let page = json!({"_embedded": {"calls": [call, {"status": "completed"}, 7, {"uuid": ""}]}});
    let page = CallsPage::read(page.to_string().as_bytes()).unwrap();
    let [call] = &page.calls[..] else { panic!("{:?}", page.calls) };
    assert_eq!((call.conversation_id.as_ref(), call.duration), (None, Some(7)));
    assert_eq!((call.from.as_deref(), call.to.as_deref()), (Some("447700900001"), Some("sip:a@b")));
    assert_eq!((call.status.as_deref(), call.price.as_deref()), (Some("completed"), Some("0.5")));
    assert_eq!((call.start_time, call.end_time), (Some(instant("2026-03-09T10:15:41Z")), None));
    let next = json!({"_embedded": {"calls": []}, "_links": {"next": {"href": "/calls?record_index=10"}}});
    let page = CallsPage::read(next.to_string().as_bytes()).unwrap();
    assert_eq!((page.calls.len(), page.next.as_deref()), (0, Some("/calls?record_index=10")));
    for body in [&b"<html>"[..], b"7", b""] {
        assert_eq!(CallsPage::read(body), None);
    }
}

proptest! {
    #[test]
    fn no_numbers_make_the_reader_panic(count: i64, index: i64, text in "\\PC{0,9}") {
        let page: Value = json!({"count": count, "record_index": index, "calls": [{"uuid": text}]});
        prop_assert!(CallsPage::read(page.to_string().as_bytes()).is_some());
    }
}

fn bare(leg: &str, status: &str, direction: &str, from: &str, to: &str) -> ListedCall {
    let text = |text: &str| Some(text.to_owned());
    ListedCall {
        leg_id: LegId::parse(leg).expect("it is an id"),
        conversation_id: ConversationId::parse(CONVERSATION).ok(),
        status: text(status),
        direction: text(direction),
        from: text(from),
        to: text(to),
        rate: None,
        price: None,
        duration: None,
        start_time: None,
        end_time: None,
        network: None,
    }
}

fn recorded(file: &str) -> CallsPage {
    CallsPage::read(&data::bytes(&format!("conversations/{file}"))).expect("it is JSON")
}

fn instant(text: &str) -> Timestamp {
    text.parse().expect("it is an instant")
}
