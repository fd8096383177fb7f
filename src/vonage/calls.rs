//! The Voice API's list of calls, `GET /v1/calls` (specification `voice.yml` 1.3.7), leniently.

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::json::{self, Object};
use super::member::{self, party};
use super::requests::{PAGE_SIZE, trusted_link, with_segments};
use crate::domain::call::ListedCall;
use crate::domain::ids::{ConversationId, LegId};
use crate::domain::json::value_in;

/// A page of the list, or one call by itself as a page of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallsPage {
    /// The calls on it that have an id.
    pub calls: Vec<ListedCall>,
    /// Where the next page is, as written. Not yet trusted.
    pub next: Option<String>,
    /// How many calls the whole list has, where it says so.
    pub count: Option<i64>,
    /// The index of the first call that comes after this page, if the page tells that there is one.
    next_index: Option<i64>,
}

impl CallsPage {
    /// Reads the body of `GET /v1/calls` (`_embedded.calls`) or of `GET /v1/calls/{uuid}`. `None` when it is
    /// no JSON.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let page = value_in(body)?;
        if let Some(call) = page.as_object().and_then(listed_call) {
            return Some(Self { calls: vec![call], next: None, count: None, next_index: None });
        }
        let number = |key| page.as_object().and_then(|page| json::integer(page, key));
        let (count, index) = (number("count"), number("record_index"));
        // Of no calls there may be no list.
        let (calls, next) =
            json::page(page, "calls").or_else(|| (count == Some(0)).then(Default::default))?;
        let end = index.unwrap_or(0).saturating_add(i64::try_from(calls.len()).unwrap_or(i64::MAX));
        let next_index = count.filter(|count| *count > end).map(|_| end);
        let calls = calls.iter().filter_map(Value::as_object).filter_map(listed_call).collect();
        Some(Self { calls, next, count, next_index })
    }

    /// The address of the page after the one at `here`. The list's links are relative to something that is
    /// not the address (`/calls?record_index=10`, asked for as `/v1/calls`), so only their query is taken. The
    /// specification names no `next` link at all, but counts: without a link the page is asked for by index.
    pub(super) fn next_address(&self, here: &Url) -> Option<Url> {
        let mut address = here.clone();
        if let Some(link) = &self.next {
            address.set_query(trusted_link(here, link)?.query());
        } else {
            let index = self.next_index?.to_string();
            let asked: Vec<(String, String)> = here.query_pairs().into_owned().collect();
            let kept = asked.iter().filter(|(key, _)| key != "record_index");
            address.query_pairs_mut().clear().extend_pairs(kept).append_pair("record_index", &index);
        }
        Some(address)
    }
}

/// The first page of the calls that began between two instants.
pub(super) fn list_address(api_url: &Url, since: Timestamp, until: Timestamp) -> Url {
    let mut address = with_segments(api_url, &["v1", "calls"]);
    address
        .query_pairs_mut()
        // Whole seconds: the specification's examples have no fraction.
        .append_pair("date_start", &format!("{since:.0}"))
        .append_pair("date_end", &format!("{until:.0}"))
        .append_pair("page_size", &PAGE_SIZE.to_string());
    address
}

fn listed_call(call: &Object) -> Option<ListedCall> {
    let conversation = |key: &&str| json::text(call, key).and_then(|id| ConversationId::parse(id).ok());
    Some(ListedCall {
        leg_id: LegId::parse(json::text(call, "uuid")?).ok()?,
        conversation_id: ["conversation_uuid", "conversation_id"].iter().find_map(conversation),
        status: json::text(call, "status").map(|status| status.to_ascii_lowercase()),
        direction: json::text(call, "direction").and_then(|text| member::direction(&text)),
        from: call.get("from").and_then(party),
        to: call.get("to").and_then(party),
        rate: json::text(call, "rate"),
        price: json::text(call, "price"),
        duration: json::integer(call, "duration"),
        start_time: json::instant(call, "start_time"),
        end_time: json::instant(call, "end_time"),
        network: json::text(call, "network"),
    })
}
