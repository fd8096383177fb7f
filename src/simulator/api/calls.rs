//! The Voice API's list of legs, which it calls calls.

use jiff::Timestamp;
use url::form_urlencoded;

use super::Api;
use super::page::is_descending;
use super::page::page_size;
use crate::simulator::documents::CallDocument;
use crate::simulator::documents::CallPage;
use crate::simulator::record::LegRecord;
use crate::simulator::reply::Reply;
use crate::simulator::world::World;

const DEFAULT_PAGE_SIZE: usize = 10;

/// Which legs are asked for, and which part of them.
struct CallQuery {
    size: usize,
    start: usize,
    descending: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    status: Option<String>,
    conversation: Option<String>,
}

// === impl Api ===

impl Api {
    /// The legs of this host's region, also those that are over.
    pub(super) fn calls(&self, world: &World, query: &str) -> Reply {
        let call_query = match CallQuery::parse(query) {
            Ok(query) => query,
            Err(refusal) => return refusal,
        };
        let known = world.legs.iter().filter(|record| self.knows(world, record));
        let mut records: Vec<&LegRecord> = known.filter(|record| call_query.wants(record)).collect();
        // Legs that began at the same moment stay in the order in which Vonage heard of them.
        records.sort_by_key(|record| record.since);
        if call_query.descending {
            records.reverse();
        }
        let shown = records.iter().skip(call_query.start).take(call_query.size);
        let shown = shown.map(|record| CallDocument::listed(record)).collect();
        let place = (call_query.size, call_query.start);
        Reply::found(&CallPage::of(records.len(), place, shown, &call_query.text()))
    }

    /// One leg.
    pub(super) fn call(&self, world: &World, id: &str) -> Reply {
        match world.leg(id).filter(|record| self.knows(world, record)) {
            Some(record) => Reply::found(&CallDocument::of(record)),
            None => Reply::no_resource(),
        }
    }

    fn knows(&self, world: &World, record: &LegRecord) -> bool {
        world.region(&record.conversation) == self.region
    }
}

// === impl CallQuery ===

impl CallQuery {
    fn parse(query: &str) -> Result<Self, Reply> {
        let mut parsed = Self {
            size: DEFAULT_PAGE_SIZE,
            start: 0,
            descending: false,
            since: None,
            until: None,
            status: None,
            conversation: None,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "page_size" => parsed.size = page_size(&value)?,
                "record_index" => {
                    let refused = |_| Reply::invalid_parameter("record_index", "must be a number");
                    parsed.start = value.parse().map_err(refused)?;
                }
                "order" => parsed.descending = is_descending(&value)?,
                "date_start" => parsed.since = Some(instant("date_start", &value)?),
                "date_end" => parsed.until = Some(instant("date_end", &value)?),
                "status" => parsed.status = Some(value.into_owned()),
                "conversation_uuid" => parsed.conversation = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(parsed)
    }

    fn wants(&self, record: &LegRecord) -> bool {
        self.since.is_none_or(|since| record.since >= since)
            && self.until.is_none_or(|until| record.since <= until)
            && self.status.as_ref().is_none_or(|status| record.status() == status)
            && self.conversation.as_ref().is_none_or(|id| record.conversation.as_str() == id)
    }

    /// The query as Vonage repeats it.
    fn text(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let dates = [("date_start", self.since), ("date_end", self.until)];
        query.extend_pairs(dates.iter().filter_map(|(name, at)| Some((name, (*at)?.to_string()))));
        let texts = [("status", &self.status), ("conversation_uuid", &self.conversation)];
        query.extend_pairs(texts.iter().filter_map(|(name, text)| Some((name, text.as_ref()?))));
        query.append_pair("page_size", &self.size.to_string());
        query.append_pair("record_index", &self.start.to_string());
        query.append_pair("order", if self.descending { "desc" } else { "asc" });
        query.finish()
    }
}

fn instant(name: &'static str, text: &str) -> Result<Timestamp, Reply> {
    text.parse().map_err(|_| Reply::invalid_parameter(name, "must be in ISO 8601 format"))
}
