//! What documents and events write alike of a member: its states, its channel, its legs, its sound.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;

use super::json::{self, Object};
use crate::domain::conversation::Channel;
use crate::domain::ids::LegId;
use crate::domain::json::value_in;
use crate::domain::placeholder::says_nothing;
use crate::domain::visible::visible;

/// Whether a member is heard and hears. `None` where Vonage says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sound {
    /// Whether there is sound at all.
    pub enabled: Option<bool>,
    /// Whether the others do not hear the member.
    pub muted: Option<bool>,
    /// Whether the member does not hear the others.
    pub earmuffed: Option<bool>,
}

/// The sound of a `media` object: `audio_settings`, or in `v0.1` and `v0.2` an object under `audio`, which is
/// a flag elsewhere.
pub(super) fn sound(media: &Object) -> Sound {
    let settings = json::object(media, "audio_settings").or_else(|| json::object(media, "audio"));
    let setting = |key| settings.and_then(|settings| json::flag(settings, key));
    Sound {
        enabled: setting("enabled").or_else(|| json::flag(media, "audio")),
        muted: setting("muted"),
        earmuffed: setting("earmuffed"),
    }
}

/// A member's state. They are lower-case in requests and in the oldest answers; unknown ones are kept as they
/// are.
pub(super) fn state_name(state: &str) -> String {
    in_capitals(state, &["INVITED", "JOINED", "LEFT", "UNKNOWN"])
}

/// The word in capitals if it is one of `known` then, and else as it is.
pub(super) fn in_capitals(word: &str, known: &[&str]) -> String {
    let capitals = word.to_ascii_uppercase();
    if known.contains(&capitals.as_str()) { capitals } else { word.to_owned() }
}

/// The states that have a time under the holder's `timestamp`, in the order a member goes through them.
pub(super) fn timed_states(holder: &Object) -> Vec<(String, Timestamp)> {
    const STATES: [&str; 3] = ["invited", "joined", "left"];
    let Some(times) = json::object(holder, "timestamp") else { return Vec::new() };
    STATES.iter().filter_map(|state| Some((state_name(state), json::instant(times, state)?))).collect()
}

/// The channel under the holder's `channel`.
pub(super) fn channel(holder: &Object) -> Option<Channel> {
    let channel = json::object(holder, "channel")?;
    Some(Channel {
        kind: json::text(channel, "type"),
        id: channel_leg(channel),
        from: channel.get("from").and_then(party),
        to: channel.get("to").and_then(party),
    })
}

/// The legs that the holder and its channel name, each once.
pub(super) fn leg_ids(holder: &Object) -> Vec<LegId> {
    let channel = json::object(holder, "channel");
    let mut legs: Vec<LegId> = Vec::new();
    for holder in channel.into_iter().chain([holder]) {
        let listed = json::array(holder, "leg_ids").into_iter().flatten().filter_map(Value::as_str);
        let described = json::array(holder, "legs").into_iter().flatten().filter_map(Value::as_object);
        let described = described.filter_map(|leg| json::first_text(leg, &["leg_id", "id"]));
        legs.extend(listed.map(str::to_owned).chain(described).filter_map(|id| LegId::parse(id).ok()));
    }
    legs.extend(channel.and_then(channel_leg));
    let mut seen = HashSet::new();
    legs.retain(|leg| seen.insert(leg.clone()));
    legs
}

/// One side of a channel or a call as one text, whatever its type; of several the first that tells anything.
pub(super) fn party(side: &Value) -> Option<String> {
    match side {
        Value::Array(sides) => sides.iter().find_map(endpoint),
        side => endpoint(side),
    }
}

fn endpoint(endpoint: &Value) -> Option<String> {
    const PARTIES: [&str; 5] = ["number", "uri", "user", "extension", "id"];
    match endpoint {
        Value::Object(endpoint) => PARTIES.iter().find_map(|key| party_in(&json::text(endpoint, key)?)),
        Value::String(text) => party_in(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The party that a text tells, without what nobody sees in it. An endpoint may come as JSON in a text; what looks
/// like one and cannot be read is nobody, since it may hold anything.
pub(super) fn party_in(text: &str) -> Option<String> {
    let text = visible(text);
    if says_nothing(&text) {
        None
    } else if text.starts_with(['{', '[']) {
        match value_in(text.as_bytes())? {
            Value::Array(sides) => sides.iter().filter(|side| side.is_object()).find_map(endpoint),
            side => endpoint(&side),
        }
    } else {
        Some(text.into_owned())
    }
}

/// `inbound` or `outbound`; some events say `in` or `out`, and what is added since is kept as it is.
pub(super) fn direction(text: &str) -> Option<String> {
    match visible(text).to_ascii_lowercase().as_str() {
        "in" => Some("inbound".to_owned()),
        "out" => Some("outbound".to_owned()),
        "unknown" => None,
        direction if says_nothing(direction) => None,
        direction => Some(direction.to_owned()),
    }
}

fn channel_leg(channel: &Object) -> Option<LegId> {
    ["id", "leg_id"].iter().find_map(|key| LegId::parse(json::text(channel, key)?).ok())
}
