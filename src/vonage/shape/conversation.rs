//! `GET …/conversations/{id}` in every family's shape.

use serde_json::{Value, json};

use super::member::embedded_member;
use super::{Place, Untold, copied, self_link};
use crate::vonage::document::{ConversationDocument, MemberDocument};
use crate::vonage::family::Family;
use crate::vonage::json::{self, Object};

/// What all families have.
const COMMON: [&str; 3] = ["name", "display_name", "image_url"];

/// The conversation in the place's shape. `read` are its members as they were read one by one, all of them;
/// `None` when they were not.
///
/// # Errors
/// When it has no id, or the shape embeds members and nobody tells them.
pub fn conversation(
    document: &ConversationDocument,
    read: Option<&[MemberDocument]>,
    place: Place<'_>,
) -> Result<Value, Untold> {
    let source = document.json();
    let embedded = document.members();
    let members = match place.family {
        Family::Beta | Family::V01 => Some(embedded.as_deref().or(read).ok_or(Untold("the members"))?),
        Family::V03 => embedded.as_deref(),
        Family::V02 | Family::V1 => None,
    };
    let id = document.id().ok_or(Untold("the id"))?;
    let mut shown = copied(source, &COMMON);
    shown.insert(if place.is_old() { "uuid" } else { "id" }.to_owned(), json!(id));
    shown.insert("_links".to_owned(), self_link(&place.address()));
    if let Some(number) = document.sequence_number() {
        shown.insert("sequence_number".to_owned(), json!(number));
    }
    if let Some(members) = members {
        let members: Result<Vec<Value>, Untold> =
            members.iter().map(|member| embedded_member(member, place)).collect();
        shown.insert("members".to_owned(), members?.into());
    }
    // What v1 takes in a request and does not tell.
    if place.family != Family::V1 {
        shown.extend(copied(source, &["numbers"]));
    }
    if !place.is_old() {
        shown.extend(copied(source, &["state"]));
    }
    shown.extend(parts(source, place).into_iter().filter_map(|(key, part)| Some((key.to_owned(), part?))));
    Ok(shown.into())
}

/// The objects in it, as far as the family has them.
fn parts(source: &Object, place: Place<'_>) -> [(&'static str, Option<Value>); 2] {
    let times = json::object(source, "timestamp").cloned().map(|mut times| {
        times.retain(|key, _| !place.is_old() || key == "created");
        times.into()
    });
    let knows_video = !matches!(place.family, Family::V02 | Family::V1);
    let properties = json::object(source, "properties").cloned().map(|mut properties| {
        properties.retain(|key, _| knows_video || key != "video");
        properties.into()
    });
    [("timestamp", times), ("properties", properties)]
}
