//! The list of events.

use std::collections::BTreeMap;

use serde_json::Value;

use super::asked::Asked;
use super::past::{Past, Version};
use super::refusal::Refusal;
use super::{Failure, derived};
use crate::vonage::event::{ConversationEvent, EventsPage};
use crate::vonage::family::Family;
use crate::vonage::shape::{self, EmbeddedEvents, List, Place, Untold};

/// An event, and the version that told it last.
struct Told<'a> {
    event: ConversationEvent,
    by: &'a Version,
}

/// A page of the list.
pub(super) async fn list(past: &Past<'_>, asked: &Asked, place: Place<'_>) -> Result<Vec<u8>, Failure> {
    let versions = past.with_events().await?;
    let events = merged(&versions);
    let Some(last) = events.values().next_back() else { return Err(Refusal::EventsNotRead.into()) };
    let whole = versions.iter().rev().find_map(|version| whole_list(version, place.family, &events));
    if let Some(list) = whole.filter(|_| !asked.chooses_events() || place.is_old()) {
        return Ok(list);
    }
    // The first two families know no parameters: they tell every event each time.
    let wanted = events.iter().filter(|(id, told)| place.is_old() || asked.wants(**id, told.event.kind()));
    let items: Result<Vec<Value>, Untold> = wanted.map(|(_, told)| item(told, place)).collect();
    match items {
        Ok(items) => asked.cut(List::Events(embedded_in(&versions, place.family)), items, place),
        Err(untold) => derived(Err(untold), last.by),
    }
}

/// The events of every list, by number.
fn merged(versions: &[Version]) -> BTreeMap<i64, Told<'_>> {
    let told = versions.iter().flat_map(|by| {
        let pages = by.event_pages().filter_map(|page| EventsPage::read(&page.body));
        pages.flat_map(|page| page.events).map(move |event| Told { event, by })
    });
    told.filter_map(|told| Some((told.event.id()?, told))).collect()
}

/// A page of the version that holds all of `events` and names no other page, in this family.
fn whole_list(version: &Version, family: Family, events: &BTreeMap<i64, Told<'_>>) -> Option<Vec<u8>> {
    let is_whole = |body: &[u8]| {
        let page = EventsPage::read(body).filter(|page| page.next.is_none());
        page.is_some_and(|page| {
            let mut ids: Vec<i64> = page.events.iter().filter_map(ConversationEvent::id).collect();
            ids.sort_unstable();
            ids.iter().eq(events.keys())
        })
    };
    let mut pages = version.event_pages().filter(|_| version.is_in(family));
    pages.find(|page| is_whole(&page.body)).map(|page| page.body.to_vec())
}

fn item(told: &Told<'_>, place: Place<'_>) -> Result<Value, Untold> {
    if told.by.is_in(place.family) {
        Ok(Value::Object(told.event.json().clone()))
    } else {
        shape::event(&told.event, place)
    }
}

/// Where a page of `v1` has its events: where the last one stored has them, and else as specified.
fn embedded_in(versions: &[Version], family: Family) -> EmbeddedEvents {
    let stored = versions.iter().rev().filter(|version| version.is_in(family));
    let page = stored.flat_map(Version::event_pages).next();
    page.map_or(EmbeddedEvents::Bare, |page| EmbeddedEvents::of(&page.body))
}
