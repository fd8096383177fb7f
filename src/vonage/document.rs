//! What answers of the Conversation API say, leniently: each key in every spelling that a path family uses.

use jiff::Timestamp;
use serde_json::Value;

use super::json::{self, Object};
use crate::domain::conversation::Channel;
use crate::domain::ids::{LegId, MemberId};

/// `GET …/conversations/{id}`.
#[derive(Debug, Clone)]
pub struct ConversationDocument(Object);

impl ConversationDocument {
    /// Reads the body of an answer; `None` when it is no JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        read_object(body).map(Self)
    }

    /// Whether it is a conversation at all: every family's has an id.
    #[must_use]
    pub fn has_id(&self) -> bool {
        json::first_text(&self.0, &["id", "uuid"]).is_some()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        json::text(&self.0, "name")
    }

    /// When it was made.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        json::instant(json::object(&self.0, "timestamp")?, "created")
    }

    /// The number of its newest event; one family writes it as text.
    #[must_use]
    pub fn sequence_number(&self) -> Option<i64> {
        json::integer(&self.0, "sequence_number")
    }

    /// The members inside the answer; `None` when this family lists them elsewhere.
    #[must_use]
    pub fn members(&self) -> Option<Vec<MemberDocument>> {
        json::array(&self.0, "members").map(|members| member_documents(members))
    }
}

/// A page of `GET …/members`.
#[derive(Debug, Clone)]
pub struct MembersPage {
    /// The members on it, in short form.
    pub members: Vec<MemberDocument>,
    /// Where the next page is, as written. Not yet trusted.
    pub next: Option<String>,
}

impl MembersPage {
    /// Reads the body of an answer: a bare array, `_embedded.members`, or `_embedded.data.members`.
    /// `None` when it is no JSON.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let page: Value = serde_json::from_slice(body).ok()?;
        let object = match page {
            Value::Array(members) => return Some(Self { members: member_documents(&members), next: None }),
            Value::Object(object) => object,
            _ => return None,
        };
        let embedded = json::object(&object, "_embedded");
        let members = embedded
            .and_then(|embedded| json::array(json::object(embedded, "data").unwrap_or(embedded), "members"))
            .or_else(|| json::array(&object, "members"));
        let next = json::object(&object, "_links").and_then(|links| json::object(links, "next"));
        Some(Self {
            members: members.map(|members| member_documents(members)).unwrap_or_default(),
            next: next.and_then(|next| json::text(next, "href")),
        })
    }
}

/// A member, embedded, listed or by itself.
#[derive(Debug, Clone)]
pub struct MemberDocument(Object);

impl MemberDocument {
    /// Reads the body of `GET …/members/{id}`; `None` when it is no JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        read_object(body).map(Self)
    }

    /// The member. Without one there is nobody to speak of.
    #[must_use]
    pub fn id(&self) -> Option<MemberId> {
        MemberId::parse(json::first_text(&self.0, &["member_id", "id"])?).ok()
    }

    /// The user behind the member.
    #[must_use]
    pub fn user_id(&self) -> Option<String> {
        json::text(&self.0, "user_id").or_else(|| json::text(self.user()?, "id"))
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        json::first_text(&self.0, &["name", "user_name"]).or_else(|| json::text(self.user()?, "name"))
    }

    /// The state: a known one in capitals, an unknown one as written.
    #[must_use]
    pub fn state(&self) -> Option<String> {
        json::text(&self.0, "state").map(|state| state_name(&state))
    }

    /// The states that have a time, in the order a member goes through them.
    #[must_use]
    pub fn timed_states(&self) -> Vec<(String, Timestamp)> {
        const STATES: [&str; 3] = ["invited", "joined", "left"];
        let Some(times) = json::object(&self.0, "timestamp") else { return Vec::new() };
        STATES.iter().filter_map(|state| Some((state_name(state), json::instant(times, state)?))).collect()
    }

    /// How the member is connected.
    #[must_use]
    pub fn channel(&self) -> Option<Channel> {
        let channel = json::object(&self.0, "channel")?;
        Some(Channel {
            kind: json::text(channel, "type"),
            id: channel_leg(channel),
            from: channel.get("from").and_then(endpoint),
            to: channel.get("to").and_then(endpoint),
        })
    }

    /// The member's legs, wherever they are named, each once.
    #[must_use]
    pub fn leg_ids(&self) -> Vec<LegId> {
        let channel = json::object(&self.0, "channel");
        let mut legs: Vec<LegId> = Vec::new();
        for holder in channel.into_iter().chain([&self.0]) {
            let listed = json::array(holder, "leg_ids").into_iter().flatten().filter_map(Value::as_str);
            let described = json::array(holder, "legs").into_iter().flatten().filter_map(Value::as_object);
            let described = described.filter_map(|leg| json::first_text(leg, &["leg_id", "id"]));
            legs.extend(listed.map(str::to_owned).chain(described).filter_map(|id| LegId::parse(id).ok()));
        }
        legs.extend(channel.and_then(channel_leg));
        let mut seen = std::collections::HashSet::new();
        legs.retain(|leg| seen.insert(leg.clone()));
        legs
    }

    fn user(&self) -> Option<&Object> {
        json::object(json::object(&self.0, "_embedded")?, "user").or_else(|| json::object(&self.0, "user"))
    }
}

fn read_object(body: &[u8]) -> Option<Object> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn member_documents(members: &[Value]) -> Vec<MemberDocument> {
    members.iter().filter_map(Value::as_object).cloned().map(MemberDocument).collect()
}

/// States are lower-case in requests and in the oldest answers. Unknown ones are kept as they are.
fn state_name(state: &str) -> String {
    let capitals = state.to_ascii_uppercase();
    match capitals.as_str() {
        "INVITED" | "JOINED" | "LEFT" | "UNKNOWN" => capitals,
        _ => state.to_owned(),
    }
}

fn channel_leg(channel: &Object) -> Option<LegId> {
    LegId::parse(json::first_text(channel, &["id", "leg_id"])?).ok()
}

/// One side of a channel as one text, whatever its type.
fn endpoint(endpoint: &Value) -> Option<String> {
    match endpoint {
        Value::Object(endpoint) => json::first_text(endpoint, &["number", "uri", "user", "extension", "id"]),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}
