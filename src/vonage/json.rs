//! Lenient reading of JSON: what is not as expected is absent, never an error.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::timestamp::instant_in;
use crate::domain::json::value_in;
use crate::domain::placeholder::says_nothing;

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// As [`value_in`], where it is an object.
pub(super) fn object_in(text: &[u8]) -> Option<Object> {
    match value_in(text)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The text under `key`; numbers and booleans count as their text, a blank or a word for nothing as nothing.
pub(super) fn text(object: &Object, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) if says_nothing(text) => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text under the first of `keys` that has one.
pub(super) fn first_text(object: &Object, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| text(object, key))
}

/// The object under `key`.
pub(super) fn object<'a>(object: &'a Object, key: &str) -> Option<&'a Object> {
    object.get(key)?.as_object()
}

/// The elements of the array under `key`.
pub(super) fn array<'a>(object: &'a Object, key: &str) -> Option<&'a Vec<Value>> {
    object.get(key)?.as_array()
}

/// The whole number under `key`, written as a number or as text; a fraction is rounded.
pub(super) fn integer(object: &Object, key: &str) -> Option<i64> {
    parse_integer(&text(object, key)?)
}

/// A whole number as text; a fraction is rounded.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| rounded(text.parse().ok()?))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before the cast")]
fn rounded(number: f64) -> Option<i64> {
    // 2^53: beyond it a float does not hold every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.abs() < EXACT).then(|| number.round() as i64)
}

/// The flag under `key`, written as a boolean or as text.
pub(super) fn flag(object: &Object, key: &str) -> Option<bool> {
    text(object, key)?.parse().ok()
}

/// The instant under `key`, in any spelling.
pub(super) fn instant(object: &Object, key: &str) -> Option<Timestamp> {
    instant_in(&text(object, key)?)
}

/// An address under `key`, in any of Vonage's spellings: the text itself, `{href}` or `{self: {href}}`.
pub(super) fn address(object: &Object, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::Object(link) => text(link, "href").or_else(|| text(self::object(link, "self")?, "href")),
        Value::String(address) if !address.is_empty() => Some(address.clone()),
        _ => None,
    }
}

/// The elements of one page of the list `key`, and where the next page is, as written: a bare array,
/// `_embedded.data.<key>`, `_embedded.<key>`, an array as `_embedded`, or `<key>` itself. `None` when there is no
/// list in it: it is not an empty one then, but an error or another document.
pub(super) fn page(page: Value, key: &str) -> Option<(Vec<Value>, Option<String>)> {
    let mut page = match page {
        Value::Array(elements) => return Some((elements, None)),
        Value::Object(page) => page,
        _ => return None,
    };
    let next = object(&page, "_links").and_then(|links| address(links, "next"));
    let elements = match page.remove("_embedded") {
        Some(Value::Array(elements)) => Some(elements),
        Some(Value::Object(mut embedded)) => match embedded.remove("data") {
            Some(Value::Object(mut data)) => taken_array(&mut data, key),
            _ => None,
        }
        .or_else(|| taken_array(&mut embedded, key)),
        _ => None,
    };
    Some((elements.or_else(|| taken_array(&mut page, key))?, next))
}

fn taken_array(object: &mut Object, key: &str) -> Option<Vec<Value>> {
    match object.remove(key)? {
        Value::Array(elements) => Some(elements),
        _ => None,
    }
}
