//! The same answers in the shape of another path family.
//!
//! Nothing is invented. A key is there when a stored document tells it, spelled as the family spells it; one that
//! the family does not have is left out. What a shape cannot be without, and no document tells, is [`Untold`].
//! Addresses of what can be read here are written anew for the [`Place`]; those of users stay as Vonage wrote them.
//!
//! | | `beta`, `v0.1` | `v0.2` | `v0.3` | `v1` |
//! |---|---|---|---|---|
//! | conversation | `uuid`, `members`; no `state`, of the times `created` only | `id`; no `video` | `id`; `members` where the source embeds them | `id`; no `video`, no `numbers` |
//! | list of members | bare: user and state, no ids | `_embedded.data.members` | `_embedded.members` | the same; `_links.href` |
//! | member | `id` and `href` | `is_system`, `audio` an object | `isSystem`, `audio` a flag | `is_system`, `audio` a flag; `_links.href` |
//! | list of events | bare: `href`, empty `to` and `state` | `_embedded.data.events`, items as before | `_embedded.events`: `_links` | `_embedded`: the same items |
//!
//! Each is derived from
//! - a conversation: the conversation; its `members` from members embedded in it, or else from all of them read one
//!   by one. `state` is left out where only a family that has none was asked, even of `v1`, which promises it.
//! - a list of members: the list, or members embedded in the conversation. A bare list has no ids: no other list
//!   can be made of it.
//! - a member: the member, or the embedded one, when it tells user, state, times, initiator and channel. The oldest
//!   families need no more than the id.
//! - a list of events: the events of any list. `_embedded`, which names the sender, is not made up where a family
//!   leaves it out.

mod conversation;
mod event;
mod member;
mod page;

pub use conversation::conversation;
pub use event::event;
pub use member::{listed_member, member};
pub use page::{EmbeddedEvents, List, PageLinks, page};

use serde_json::{Value, json};

use super::family::Family;
use super::json::Object;
use crate::domain::ids::ConversationId;

/// Where an answer is read: for the addresses in it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What stands before the family in an address: no slash at the end.
    pub base: &'a str,
    /// Whose shape it has.
    pub family: Family,
    /// What it is about.
    pub conversation: &'a ConversationId,
}

/// What no stored document tells, and the shape cannot be without: `the members`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing that is stored tells {0}")]
pub struct Untold(pub &'static str);

impl Place<'_> {
    /// The address of the conversation.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}/{}/conversations/{}", self.base, self.family.as_str(), self.conversation)
    }

    fn member(&self, id: &str) -> String {
        format!("{}/members/{id}", self.address())
    }

    fn event(&self, id: i64) -> String {
        format!("{}/events/{id}", self.address())
    }

    /// Whether it is one of the first two families, which embed members and know no pages.
    #[must_use]
    pub fn is_old(&self) -> bool {
        matches!(self.family, Family::Beta | Family::V01)
    }
}

/// Those of `keys` that `source` has, with their values.
fn copied(source: &Object, keys: &[&str]) -> Object {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), source.get(*key)?.clone()))).collect()
}

fn self_link(address: &str) -> Value {
    json!({"self": {"href": address}})
}
