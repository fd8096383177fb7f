//! An event in every family's list.

use serde_json::{Value, json};

use super::{Place, Untold, copied, self_link};
use crate::vonage::event::ConversationEvent;
use crate::vonage::family::Family;
use crate::vonage::json;

/// What all families have.
const COMMON: [&str; 5] = ["id", "type", "from", "body", "timestamp"];

/// Whom it is directed at, and a state that nobody has ever seen: empty texts where there is none, up to `v0.2`.
const EMPTY_IN_OLD: [&str; 2] = ["to", "state"];

/// The event as an item of the place's list.
///
/// # Errors
/// When it has no number.
pub fn event(event: &ConversationEvent, place: Place<'_>) -> Result<Value, Untold> {
    let source = event.json();
    let address = place.event(event.id().ok_or(Untold("an event's number"))?);
    let mut shown = copied(source, &COMMON);
    let is_old = place.is_old() || place.family == Family::V02;
    for key in EMPTY_IN_OLD {
        let told = json::text(source, key).or_else(|| is_old.then(String::new));
        shown.extend(told.map(|text| (key.to_owned(), json!(text))));
    }
    if is_old {
        shown.insert("href".to_owned(), json!(address));
    } else {
        shown.extend(copied(source, &["_embedded"]));
        shown.insert("_links".to_owned(), self_link(&address));
    }
    Ok(shown.into())
}
