//! A page of a list around its items.

use serde_json::{Value, json};

use super::Place;
use crate::domain::json::value_in;
use crate::vonage::family::Family;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// `…/members`.
    Members,
    /// `…/events`.
    Events(EmbeddedEvents),
}

/// Where a `v1` page has its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedEvents {
    /// `_embedded` is the array: the specification, and most of Vonage's own SDKs.
    Bare,
    /// Under `_embedded.events`, as `v0.3` has them: what Vonage's Java SDK was corrected to.
    Named,
}

/// Addresses of pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLinks {
    /// The first.
    pub first: String,
    /// This one.
    pub own: String,
    /// The one after, if there is one.
    pub next: Option<String>,
}

impl EmbeddedEvents {
    /// Where this page has them; `Bare` when it is no page.
    #[must_use]
    pub fn of(page: &[u8]) -> Self {
        let page = value_in(page).unwrap_or_default();
        if page["_embedded"].is_object() { Self::Named } else { Self::Bare }
    }
}

impl List {
    /// Its name in paths and pages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Events(_) => "events",
        }
    }
}

/// A page of these items. The first two families know no pages: theirs is the bare list.
#[must_use]
pub fn page(list: List, items: Vec<Value>, page_size: usize, links: &PageLinks, place: Place<'_>) -> Value {
    let embedded = match (place.family, list) {
        (Family::Beta | Family::V01, _) => return items.into(),
        (Family::V02, _) => json!({"data": {list.name(): items}}),
        (Family::V1, List::Events(EmbeddedEvents::Bare)) => items.into(),
        (Family::V03 | Family::V1, _) => json!({list.name(): items}),
    };
    let mut shown_links = json!({"first": {"href": links.first}, "self": {"href": links.own}});
    if let Some(next) = &links.next {
        shown_links["next"] = json!({"href": next});
    }
    json!({"page_size": page_size, "_embedded": embedded, "_links": shown_links})
}
