//! The parameters of a question: when, and which part of a list.

use jiff::Timestamp;
use serde_json::Value;
use url::form_urlencoded;

use super::refusal::Refusal;
use super::{Failure, body};
use crate::domain::instant;
use crate::vonage::shape::{self, List, PageLinks, Place};

/// Items on a page when none are asked for, and the most: Vonage's own.
const DEFAULT_PAGE_SIZE: usize = 10;
const MAX_PAGE_SIZE: usize = 100;

/// What is asked. Vonage's parameters are read leniently, except a cursor: a client that got the first page again
/// would go on for ever.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// As it was known then.
    pub(super) at: Option<Timestamp>,
    pub(super) page: PageAsked,
    /// Which events: from this one on, up to this one, and of these types.
    first_id: Option<i64>,
    last_id: Option<i64>,
    kinds: Vec<String>,
}

/// Which page of a list.
#[derive(Debug, Default)]
pub(super) struct PageAsked {
    size: Option<usize>,
    /// Items before the page.
    start: Option<usize>,
    order: Option<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

// === impl Asked ===

impl Asked {
    /// Reads a query string at `now`.
    pub(super) fn read(parameters: &str, now: Timestamp) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            // An SDK sends what it was not given as an empty text.
            if value.is_empty() {
                continue;
            }
            match &*name {
                "at" => asked.at = Some(instant::asked(&value, now).ok_or(Refusal::NoInstant)?),
                "page_size" => {
                    asked.page.size = value.parse().ok().map(|size: usize| size.clamp(1, MAX_PAGE_SIZE));
                }
                "cursor" => asked.page.start = Some(value.parse().map_err(|_| Refusal::NoCursor)?),
                "order" => asked.page.order = Order::named(&value),
                "start_id" => asked.first_id = value.parse().ok(),
                "end_id" => asked.last_id = value.parse().ok(),
                "event_type" => asked.kinds = value.split(',').map(str::to_owned).collect(),
                _ => {}
            }
        }
        Ok(asked)
    }

    /// Whether an event is asked for.
    pub(super) fn wants(&self, id: i64, kind: &str) -> bool {
        self.first_id.is_none_or(|first| id >= first)
            && self.last_id.is_none_or(|last| id <= last)
            && (self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind))
    }

    /// Whether certain events, or a page of them, are asked for.
    pub(super) fn chooses_events(&self) -> bool {
        let chooses = self.first_id.is_some() || self.last_id.is_some() || !self.kinds.is_empty();
        chooses || self.page.is_chosen()
    }

    /// The page of these items that is asked for; all of them in the families that know no pages.
    pub(super) fn cut(
        &self,
        list: List,
        mut items: Vec<Value>,
        place: Place<'_>,
    ) -> Result<Vec<u8>, Failure> {
        if place.is_old() {
            let links = PageLinks { first: String::new(), own: String::new(), next: None };
            return Ok(body(&shape::page(list, items, MAX_PAGE_SIZE, &links, place)));
        }
        let (size, start) = (self.page.size.unwrap_or(DEFAULT_PAGE_SIZE), self.page.start.unwrap_or(0));
        if start > items.len() {
            return Err(Refusal::NoCursor.into());
        }
        if self.page.order == Some(Order::Descending) {
            items.reverse();
        }
        let end = items.len().min(start.saturating_add(size));
        let link = |start| self.link(list, size, start, place);
        let links =
            PageLinks { first: link(0), own: link(start), next: (end < items.len()).then(|| link(end)) };
        let shown = items.drain(start..end).collect();
        Ok(body(&shape::page(list, shown, size, &links, place)))
    }

    /// The address of the page from the item `start` on. It repeats the instant: of a call that goes on, all pages
    /// are of one moment.
    fn link(&self, list: List, size: usize, start: usize, place: Place<'_>) -> String {
        let order = if self.page.order == Some(Order::Descending) { "desc" } else { "asc" };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("order", order).append_pair("page_size", &size.to_string());
        for (name, id) in [("start_id", self.first_id), ("end_id", self.last_id)] {
            query.extend_pairs(id.map(|id| (name, id.to_string())));
        }
        if !self.kinds.is_empty() {
            query.append_pair("event_type", &self.kinds.join(","));
        }
        query.extend_pairs(self.at.map(|at| ("at", at.to_string())));
        if start > 0 {
            query.append_pair("cursor", &start.to_string());
        }
        format!("{}/{}?{}", place.address(), list.name(), query.finish())
    }
}

// === impl PageAsked ===

impl PageAsked {
    /// Whether a certain page is asked for.
    pub(super) fn is_chosen(&self) -> bool {
        self.size.is_some() || self.start.is_some() || self.order.is_some()
    }
}

// === impl Order ===

impl Order {
    fn named(name: &str) -> Option<Self> {
        match name {
            "asc" | "ASC" => Some(Self::Ascending),
            "desc" | "DESC" => Some(Self::Descending),
            _ => None,
        }
    }
}
