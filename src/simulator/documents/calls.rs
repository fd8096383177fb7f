//! The Voice API's documents: one leg, which it names a call, and lists of them.

use serde::Serialize;

use super::parts::Link;
use crate::simulator::leg::Bill;
use crate::simulator::member::Endpoint;
use crate::simulator::record::LegRecord;
use crate::simulator::text::euros;
use crate::simulator::text::seconds;

/// GET of one leg.
#[derive(Serialize)]
pub(in crate::simulator) struct CallDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    _links: Option<RelativeLink>,
    uuid: &'a str,
    conversation_uuid: &'a str,
    to: &'a Endpoint,
    from: &'a Endpoint,
    status: &'static str,
    direction: &'static str,
    #[serde(flatten)]
    account: Option<Account<'a>>,
}

/// What is told only of a completed leg.
#[derive(Serialize)]
struct Account<'a> {
    rate: String,
    price: String,
    duration: String,
    start_time: Option<String>,
    end_time: String,
    network: &'a str,
}

/// Some legs, and how many there are in all.
#[derive(Serialize)]
pub(in crate::simulator) struct CallPage<'a> {
    count: usize,
    page_size: usize,
    record_index: usize,
    _links: RelativeLink,
    _embedded: Calls<'a>,
}

#[derive(Serialize)]
struct Calls<'a> {
    calls: Vec<CallDocument<'a>>,
}

/// The Voice API writes addresses without a host, and without the version.
#[derive(Serialize)]
struct RelativeLink {
    #[serde(rename = "self")]
    own: Link,
}

// === impl CallDocument ===

impl<'a> CallDocument<'a> {
    /// The document of a leg by itself.
    pub(in crate::simulator) fn of(record: &'a LegRecord) -> Self {
        let links = RelativeLink { own: Link { href: format!("/calls/{}", record.leg.id) } };
        Self { _links: Some(links), ..Self::listed(record) }
    }

    /// A leg as its list shows it.
    pub(in crate::simulator) fn listed(record: &'a LegRecord) -> Self {
        Self {
            _links: None,
            uuid: record.leg.id.as_str(),
            conversation_uuid: record.conversation.as_str(),
            to: &record.leg.to,
            from: &record.leg.from,
            status: record.status(),
            direction: record.leg.direction.word(),
            account: record.bill().map(Account::of),
        }
    }
}

// === impl Account ===

impl<'a> Account<'a> {
    fn of(bill: &'a Bill) -> Self {
        Self {
            rate: euros(bill.rate),
            price: bill.price(),
            duration: bill.seconds().to_string(),
            start_time: bill.answered.map(seconds),
            end_time: seconds(bill.ended),
            network: &bill.network,
        }
    }
}

// === impl CallPage ===

impl<'a> CallPage<'a> {
    /// A page of these legs out of `count`, which `query` asks for.
    pub(in crate::simulator) fn of(
        count: usize,
        (page_size, record_index): (usize, usize),
        calls: Vec<CallDocument<'a>>,
        query: &str,
    ) -> Self {
        let links = RelativeLink { own: Link { href: format!("/calls?{query}") } };
        Self { count, page_size, record_index, _links: links, _embedded: Calls { calls } }
    }
}
