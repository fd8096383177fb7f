//! A member in its three forms: embedded, listed, and by itself.

use serde_json::{Value, json};

use super::{Place, Untold, copied, self_link};
use crate::vonage::document::MemberDocument;
use crate::vonage::family::Family;
use crate::vonage::json::{self, Object};

/// What is written alike of an embedded member and of one by itself, in every family.
const ALIKE: [&str; 5] = ["state", "timestamp", "channel", "invited_by", "knocking_id"];

/// What only `v0.1` tells of an embedded member, beside its address.
const IN_V01: [&str; 3] = ["leg_ids", "legs", "isDisabledCallback"];

/// The member as the conversation's document embeds it.
///
/// # Errors
/// When it has no id.
pub(super) fn embedded_member(member: &MemberDocument, place: Place<'_>) -> Result<Value, Untold> {
    let source = member.json();
    let id = id(member)?;
    let mut shown = copied(source, &ALIKE);
    shown.extend(respelled(source, place.family));
    let mut user = user(member);
    for (own, key) in [("user_id", "id"), ("name", "name"), ("display_name", "display_name")] {
        shown.extend(user.remove(key).map(|value| (own.to_owned(), value)));
    }
    if place.family == Family::V01 {
        shown.extend(copied(source, &IN_V01));
        shown.insert("href".to_owned(), json!(place.member(&id)));
    }
    shown.insert("member_id".to_owned(), json!(id));
    Ok(shown.into())
}

/// The member as an item of the list of members.
///
/// # Errors
/// When something that is in every item is not told.
pub fn listed_member(member: &MemberDocument, place: Place<'_>) -> Result<Value, Untold> {
    let state = member.json().get("state").ok_or(Untold("a member's state"))?;
    let user_id = member.user_id().ok_or(Untold("a member's user"))?;
    if place.is_old() {
        let name = member.name().ok_or(Untold("a member's name"))?;
        return Ok(json!({"user_id": user_id, "name": name, "user_name": name, "state": state}));
    }
    let id = id(member)?;
    let links = links(&id, place);
    Ok(json!({"id": id, "state": state, "_embedded": {"user": user(member)}, "_links": links}))
}

/// The member by itself.
///
/// # Errors
/// When something that the family promises is not told.
pub fn member(member: &MemberDocument, place: Place<'_>) -> Result<Value, Untold> {
    let id = id(member)?;
    if place.is_old() {
        return Ok(json!({"id": id, "href": place.member(&id)}));
    }
    let source = member.json();
    member.user_id().ok_or(Untold("the member's user"))?;
    for (key, what) in [
        ("state", "the member's state"),
        ("timestamp", "the times of the member's states"),
        ("initiator", "who brought the member in"),
        ("channel", "the member's channel"),
    ] {
        source.get(key).ok_or(Untold(what))?;
    }
    let mut user = user(member);
    // A list shows that nobody has one, a member by itself leaves it out.
    user.retain(|key, value| key != "display_name" || !value.is_null());
    let mut shown = copied(source, &ALIKE);
    shown.extend(respelled(source, place.family));
    shown.insert("_links".to_owned(), links(&id, place));
    shown.insert("id".to_owned(), json!(id));
    shown.insert("conversation_id".to_owned(), json!(place.conversation));
    shown.insert("_embedded".to_owned(), json!({"user": user}));
    Ok(shown.into())
}

fn id(member: &MemberDocument) -> Result<String, Untold> {
    Ok(member.id().ok_or(Untold("a member's id"))?.into())
}

/// The member's own address: `v1` leaves out the word `self`.
fn links(id: &str, place: Place<'_>) -> Value {
    let address = place.member(id);
    if place.family == Family::V1 { json!({"href": address}) } else { self_link(&address) }
}

/// The user behind the member.
fn user(member: &MemberDocument) -> Object {
    let mut user = member.user().map(|user| copied(user, &["display_name", "_links"])).unwrap_or_default();
    user.extend(copied(member.json(), &["display_name"]));
    user.extend(member.user_id().map(|id| ("id".to_owned(), json!(id))));
    user.extend(member.name().map(|name| ("name".to_owned(), json!(name))));
    user
}

/// What the families spell differently: `initiator` and `media`.
fn respelled(source: &Object, family: Family) -> Object {
    let initiator = json::object(source, "initiator").map(|initiator| self::initiator(initiator, family));
    let media = json::object(source, "media").map(|media| self::media(media, family));
    let parts = [("initiator", initiator), ("media", media)];
    parts.into_iter().filter_map(|(key, part)| Some((key.to_owned(), part?.into()))).collect()
}

fn initiator(initiator: &Object, family: Family) -> Object {
    let (own, other) = match family {
        Family::Beta | Family::V01 | Family::V03 => ("isSystem", "is_system"),
        Family::V02 | Family::V1 => ("is_system", "isSystem"),
    };
    let mut initiator = initiator.clone();
    for by in initiator.values_mut().filter_map(Value::as_object_mut) {
        if let Some(flag) = by.remove(other) {
            by.insert(own.to_owned(), flag);
        }
    }
    initiator
}

/// `audio` says in some families whether there is sound, and in others the same as `audio_settings`. It is left out
/// where the two cannot be told from each other.
fn media(media: &Object, family: Family) -> Object {
    let settings = media.get("audio_settings");
    let enabled = |settings: &Value| settings.get("enabled").cloned();
    let is_settings = matches!(family, Family::V01 | Family::V02);
    let audio = match media.get("audio") {
        Some(audio @ Value::Object(_)) if !is_settings => enabled(audio),
        Some(flag @ Value::Bool(_)) if is_settings => {
            settings.filter(|settings| enabled(settings).as_ref() == Some(flag)).cloned()
        }
        audio => audio.cloned(),
    };
    let mut media = media.clone();
    media.remove("audio");
    media.extend(audio.map(|audio| ("audio".to_owned(), audio)));
    media
}
