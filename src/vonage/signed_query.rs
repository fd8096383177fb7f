//! What the `payload_hash` of a `GET` webhook is the hash of: the compact JSON object of its parameters, in the order
//! of the URL (Vonage's support article 19033783342876). What proxies add to a URL is not in it, and of what is not
//! known of Vonage's way to write it, each way is tried.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;

use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

use super::parameters::Parameter;
use crate::domain::digest::Digest;
use crate::domain::json::{Pairs, text_in};

/// Every parameter of Vonage's webhooks, and everything that is read of one: what is not in here may be added to a
/// URL without breaking the signature, and so must mean nothing.
const KNOWN: [&str; 36] = [
    "call_uuid",
    "conversation_id",
    "conversation_uuid",
    "conversation_uuid_from",
    "conversation_uuid_to",
    "custom_data",
    "detail",
    "direction",
    "disconnected_by",
    "dtmf",
    "duration",
    "end_time",
    "endpoint_type",
    "from",
    "from_user",
    "headers",
    "network",
    "original_request",
    "payload",
    "price",
    "rate",
    "reason",
    "recording_url",
    "recording_uuid",
    "region_url",
    "sip_code",
    "size",
    "speech",
    "start_time",
    "status",
    "sub_state",
    "timestamp",
    "to",
    "transcription_url",
    "type",
    "uuid",
];

/// What the names of forwarded SIP headers begin with.
const KNOWN_BEGINNING: &str = "SipHeader_";

/// How many ways are tried. A webhook needs a handful; only who knows the signature secret can ask for more.
const MAX_VARIANTS: usize = 512;

/// With more nested values than this all are taken for texts, or all for objects: each of its own doubles the ways.
const MAX_MIXED: usize = 6;

/// How deep a nested value may be to be taken for an object. Vonage's are two or three levels deep.
const MAX_DEPTH: usize = 16;

/// What of a query `payload_hash` covers; `None` where it does not cover it. Of a parameter that is repeated it covers
/// one, and the others are left out. What proxies added stays.
pub(super) fn covered<'a>(query: &'a str, payload_hash: &Digest) -> Option<Cow<'a, str>> {
    let parameters = Parameter::all(query).ok()?;
    let places = Places::of(&parameters);
    let has_marks = parameters.iter().any(Parameter::has_marks);
    let (selection, _) = places
        .selections(&parameters)
        .flat_map(|selection| {
            let nested =
                selection.iter().filter(|place| compacted(parameters[**place].value(), MAX_DEPTH).is_some());
            spellings(nested.count(), has_marks).map(move |spelling| (selection.clone(), spelling))
        })
        .take(MAX_VARIANTS)
        .find(|(selection, spelling)| {
            let selected: Vec<&Parameter<'_>> = selection.iter().map(|place| &parameters[*place]).collect();
            is_hash_of(payload_hash, written(&selected, *spelling).as_bytes())
        })?;
    let selected: HashMap<&str, usize> =
        selection.iter().map(|place| (parameters[*place].name(), *place)).collect();
    let is_covered = |place: usize, parameter: &Parameter<'_>| {
        selected.get(parameter.name()).is_none_or(|covered| *covered == place)
    };
    let kept = parameters.iter().enumerate().filter(|(place, parameter)| is_covered(*place, parameter));
    let kept: Vec<&str> = kept.map(|(_, parameter)| parameter.encoded).collect();
    Some(if kept.len() < parameters.len() { Cow::Owned(kept.join("&")) } else { Cow::Borrowed(query) })
}

/// Compares in constant time.
pub(super) fn is_hash_of(payload_hash: &Digest, bytes: &[u8]) -> bool {
    payload_hash.as_bytes().ct_eq(Digest::of(bytes).as_bytes()).into()
}

/// Where the parameter of each name stands, in the order of the first of each.
struct Places(Vec<Vec<usize>>);

impl Places {
    fn of(parameters: &[Parameter<'_>]) -> Self {
        let mut names: HashMap<&str, usize> = HashMap::new();
        let mut places: Vec<Vec<usize>> = Vec::new();
        for (place, parameter) in parameters.iter().enumerate() {
            let name = *names.entry(parameter.name()).or_insert(places.len());
            match places.get_mut(name) {
                Some(others) => others.push(place),
                None => places.push(vec![place]),
            }
        }
        Self(places)
    }

    /// The parameters that may have been signed: all, and Vonage's alone; with the last of each name, and then with
    /// each other; in the order in which they stand, and in that of the first of each name.
    fn selections(&self, parameters: &[Parameter<'_>]) -> impl Iterator<Item = Vec<usize>> {
        let choices = self.0.iter().fold(1_usize, |product, places| product.saturating_mul(places.len()));
        (0..choices.min(MAX_VARIANTS)).flat_map(move |choice| {
            let by_first = self.chosen(choice);
            let mut by_place = by_first.clone();
            by_place.sort_unstable();
            let orders = [Some(by_first.clone()).filter(|order| *order != by_place), Some(by_place)];
            let orders = orders.into_iter().rev().flatten();
            orders.flat_map(|all| {
                let is_known = |place: &usize| is_known(parameters[*place].name());
                let known: Vec<usize> = all.iter().copied().filter(is_known).collect();
                let is_another = !known.is_empty() && known.len() < all.len();
                iter::once(all).chain(Some(known).filter(|_| is_another))
            })
        })
    }

    /// One parameter of each name: the last for the choice 0.
    fn chosen(&self, choice: usize) -> Vec<usize> {
        let mut left = choice;
        let of_name = |places: &Vec<usize>| {
            let chosen = places[places.len() - 1 - left % places.len()];
            left /= places.len();
            chosen
        };
        self.0.iter().map(of_name).collect()
    }
}

fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || name.starts_with(KNOWN_BEGINNING)
}

/// How values are written of which that is not known.
#[derive(Debug, Clone, Copy)]
struct Spelling {
    /// Which nested values are objects, by bits; the others are texts that hold JSON.
    objects: u64,
    /// Whether byte order marks are part of the names and values.
    with_marks: bool,
}

/// Every spelling of a query with so many nested values: all texts, all objects, and then mixed.
fn spellings(nested: usize, has_marks: bool) -> impl Iterator<Item = Spelling> {
    let all = if nested == 0 { None } else { Some(u64::MAX) };
    let mixed = if (2..=MAX_MIXED).contains(&nested) { 1..(1_u64 << nested) - 1 } else { 0..0 };
    let objects = iter::once(0).chain(all).chain(mixed);
    let marks = if has_marks { &[false, true][..] } else { &[false] };
    objects
        .flat_map(|objects| marks.iter().map(move |with_marks| Spelling { objects, with_marks: *with_marks }))
}

/// The compact JSON object of these parameters, escaped as `JSON.stringify` does, and so neither slashes
/// nor what is beyond ASCII.
fn written(parameters: &[&Parameter<'_>], spelling: Spelling) -> String {
    let mut nested = 0;
    let fields = parameters.iter().map(|parameter| {
        let (name, value) = if spelling.with_marks {
            (parameter.name_as_sent.as_str(), parameter.value_as_sent.as_str())
        } else {
            (parameter.name(), parameter.value())
        };
        let object = compacted(value, MAX_DEPTH).filter(|_| {
            nested += 1;
            spelling.objects >> (nested - 1).min(u64::BITS - 1) & 1 == 1
        });
        format!("{}:{}", quoted(name), object.unwrap_or_else(|| quoted(value)))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

/// A nested value as JavaScript would write it again; `None` for what is neither an object nor an array.
fn compacted(json: &str, depth: usize) -> Option<String> {
    match json.trim_start().as_bytes().first()? {
        b'{' => {
            let Pairs::<&RawValue>(pairs) = serde_json::from_str(json).ok()?;
            let fields =
                pairs.iter().map(|(name, value)| Some(format!("{}:{}", quoted(name), part(value, depth)?)));
            Some(format!("{{{}}}", fields.collect::<Option<Vec<_>>>()?.join(",")))
        }
        b'[' => {
            let parts: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            let parts = parts.into_iter().map(|value| part(value, depth));
            Some(format!("[{}]", parts.collect::<Option<Vec<_>>>()?.join(",")))
        }
        _ => None,
    }
}

fn part(json: &RawValue, depth: usize) -> Option<String> {
    let json = json.get();
    match json.as_bytes().first()? {
        b'{' | b'[' => compacted(json, depth.checked_sub(1)?),
        b'"' => Some(text_in(json).map_or_else(|| json.to_owned(), |text| quoted(&text))),
        _ => Some(json.to_owned()),
    }
}
