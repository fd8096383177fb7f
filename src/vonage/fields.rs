//! The fields of one JSON object, each left as it is written until it is asked for: a webhook is read before it is
//! acknowledged, and most of what it says is only looked at.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde_json::value::RawValue;

use super::member::{party, party_in};
use crate::domain::json::{self, Pairs, value_in};
use crate::domain::placeholder::says_nothing;

/// Keys with what is under them, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Field<'a>)>);

/// What is under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field<'a> {
    Json(Cow<'a, str>),
    Text(String),
}

impl<'a> Fields<'a> {
    /// Adds a parameter of a query. Arrays and objects come as JSON.
    pub(super) fn add_parameter(&mut self, key: String, value: String) {
        let is_nested = value.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(&value).is_ok();
        let field = if is_nested { Field::Json(Cow::Owned(value)) } else { Field::Text(value) };
        self.0.push((Cow::Owned(key), field));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is something under `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|field| !matches!(field, Field::Json(json) if json == "null"))
    }

    /// The text under `key`; numbers and booleans count as their text, as it was written, and a blank or a word for
    /// nothing as nothing.
    pub(super) fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        let text = match self.get(key)? {
            Field::Text(text) => Cow::Borrowed(text.as_str()),
            Field::Json(json) => match json.as_bytes().first()? {
                b'"' => json::text_in(json)?,
                b'{' | b'[' | b'n' => return None,
                _ => Cow::Borrowed(&**json),
            },
        };
        (!says_nothing(&text)).then_some(text)
    }

    /// The party under `key`: its text, or what tells of it in an object or the first of a list.
    pub(super) fn party(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Field::Json(json) if json.starts_with(['{', '[']) => party(&value_in(json.as_bytes())?),
            _ => party_in(&self.text(key)?),
        }
    }

    /// The text under the first of `keys` that has one.
    pub(super) fn first_text(&self, keys: &[&str]) -> Option<Cow<'_, str>> {
        keys.iter().find_map(|key| self.text(key))
    }

    /// The object under `key`.
    pub(super) fn object(&self, key: &str) -> Option<Fields<'_>> {
        match self.get(key)? {
            Field::Json(json) => serde_json::from_str(json).ok(),
            Field::Text(_) => None,
        }
    }

    /// Of what is written twice the last counts, as for every reader that makes a table of an object.
    fn get(&self, key: &str) -> Option<&Field<'a>> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, field)| field)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pairs::deserialize(deserializer).map(|Pairs(fields)| Self(fields))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|json| Self::Json(Cow::Borrowed(json.get())))
    }
}
