//! What answers of the Conversation API say, leniently: each key in every spelling that a path family uses.

use jiff::Timestamp;
use serde_json::Value;

use super::json::{self, Object};
use super::member::{self, Sound};
use crate::domain::conversation::Channel;
use crate::domain::ids::{LegId, MemberId};
use crate::domain::json::value_in;

/// `GET …/conversations/{id}`.
#[derive(Debug, Clone)]
pub struct ConversationDocument(Object);

impl ConversationDocument {
    /// Reads the body of an answer; `None` when it is no JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        json::object_in(body).map(Self)
    }

    /// Whether it is a conversation at all: every family's has an id.
    #[must_use]
    pub fn has_id(&self) -> bool {
        self.id().is_some()
    }

    /// Its id: `id`, or `uuid` in `beta` and `v0.1`.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        json::first_text(&self.0, &["id", "uuid"])
    }

    /// Whether it goes on: `ACTIVE`, `INACTIVE`, `DELETED`, or a word that Vonage has added since, as written.
    /// The oldest families say nothing.
    #[must_use]
    pub fn state(&self) -> Option<String> {
        let state = json::text(&self.0, "state")?;
        Some(member::in_capitals(&state, &["ACTIVE", "INACTIVE", "DELETED"]))
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

    /// The conversation as Vonage wrote it.
    #[must_use]
    pub fn json(&self) -> &Object {
        &self.0
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
        let (members, next) = json::page(value_in(body)?, "members")?;
        Some(Self { members: member_documents(&members), next })
    }
}

/// A member, embedded, listed or by itself.
#[derive(Debug, Clone)]
pub struct MemberDocument(Object);

impl MemberDocument {
    /// Reads the body of `GET …/members/{id}`; `None` when it is no JSON object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        json::object_in(body).map(Self)
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
        json::text(&self.0, "state").map(|state| member::state_name(&state))
    }

    /// The states that have a time, in the order a member goes through them.
    #[must_use]
    pub fn timed_states(&self) -> Vec<(String, Timestamp)> {
        member::timed_states(&self.0)
    }

    /// Whether Vonage brought the member into the state (in capitals), and not a user: `isSystem` or
    /// `is_system`.
    #[must_use]
    pub fn is_by_system(&self, state: &str) -> Option<bool> {
        let initiator = json::object(json::object(&self.0, "initiator")?, &state.to_ascii_lowercase())?;
        ["isSystem", "is_system"].iter().find_map(|key| json::flag(initiator, key))
    }

    /// How the member is connected.
    #[must_use]
    pub fn channel(&self) -> Option<Channel> {
        member::channel(&self.0)
    }

    /// The member's legs, wherever they are named, each once.
    #[must_use]
    pub fn leg_ids(&self) -> Vec<LegId> {
        member::leg_ids(&self.0)
    }

    /// Whether the member is heard and hears.
    #[must_use]
    pub fn sound(&self) -> Option<Sound> {
        json::object(&self.0, "media").map(member::sound)
    }

    /// Where the member is to be found, as written: `_links` as `{href}` or `{self: {href}}`, or `href`.
    #[must_use]
    pub fn link(&self) -> Option<String> {
        json::address(&self.0, "_links").or_else(|| json::text(&self.0, "href"))
    }

    /// The member as Vonage wrote it.
    #[must_use]
    pub fn json(&self) -> &Object {
        &self.0
    }

    /// The user behind the member, where it is an object of its own.
    pub(super) fn user(&self) -> Option<&Object> {
        json::object(json::object(&self.0, "_embedded")?, "user").or_else(|| json::object(&self.0, "user"))
    }
}

fn member_documents(members: &[Value]) -> Vec<MemberDocument> {
    members.iter().filter_map(Value::as_object).cloned().map(MemberDocument).collect()
}
