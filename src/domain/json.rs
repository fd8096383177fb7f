//! JSON as it is written: the part that a table of values cannot hold does not cost the rest.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object's keys with what is under them, in their order and with those that are repeated.
#[derive(Debug)]
pub struct Pairs<'a, V>(
    /// One after the other.
    pub Vec<(Cow<'a, str>, V)>,
);

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
    type Value = Pairs<'de, V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // A webhook has about a dozen.
        let mut pairs = Vec::with_capacity(16);
        while let Some(key) = map.next_key::<&RawValue>()? {
            // A key that is no text (half a surrogate pair) counts as it is written.
            let key = text_in(key.get()).unwrap_or(Cow::Borrowed(key.get()));
            pairs.push((key, map.next_value()?));
        }
        Ok(Pairs(pairs))
    }
}

/// The text that `json` is, borrowed if there are no escapes in it.
#[must_use]
pub fn text_in(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    serde_json::from_str(json).ok().map(|Text(text)| text)
}

/// How deep something may be that is told although something else cannot be: a member of an embedded list is, with
/// its channel and user.
const DEPTH: usize = 8;

/// The JSON in `text`; `None` where it is none. What of it cannot be held (nested too deep, half a surrogate pair, a
/// number out of range) is null.
#[must_use]
pub fn value_in(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok().or_else(|| Some(readable(serde_json::from_slice(text).ok()?, DEPTH)))
}

fn readable(json: &RawValue, depth: usize) -> Value {
    let json = json.get();
    serde_json::from_str(json).unwrap_or_else(|_| match json.as_bytes().first() {
        Some(b'{') if depth > 0 => {
            let Pairs(pairs) = serde_json::from_str(json).unwrap_or(Pairs(Vec::new()));
            pairs.into_iter().map(|(key, part)| (key.into_owned(), readable(part, depth - 1))).collect()
        }
        Some(b'[') if depth > 0 => {
            let parts: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            parts.into_iter().map(|part| readable(part, depth - 1)).collect()
        }
        _ => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_held_is_null_and_the_rest_is_told() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        for odd in ["1e999", r#""\ud800""#, r#"{"\ud800": 1, "x": 1e999}"#, &deep] {
            let text = format!(r#"{{"n": 1, "odd": {{"a": {odd}}}, "list": [{{"b": {odd}, "c": "d"}}]}}"#);
            let value = value_in(text.as_bytes()).expect("it is JSON");
            assert_eq!((&value["n"], &value["list"][0]["c"]), (&json!(1), &json!("d")), "{odd}");
            let told = value["odd"]["a"].to_string();
            assert!(!told.contains('1') || told.contains("ud800"), "{told}");
        }
        assert_eq!(value_in(b"{"), None);
        assert_eq!(value_in(b"\"\xff\""), None);
    }
}
