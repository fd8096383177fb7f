//! Where a list goes on, as an opaque text in its `next`.

use jiff::Timestamp;

use crate::domain::ids::ConversationId;
use crate::store::Position;

/// Writes a position: microseconds and id, in characters that need no escaping in a URL.
pub(super) fn encode(position: &Position) -> String {
    format!("{}.{}", position.listed_at.as_microsecond(), position.id)
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub(super) fn decode(cursor: &str) -> Option<Position> {
    let (microseconds, id) = cursor.split_once('.')?;
    let listed_at = Timestamp::from_microsecond(microseconds.parse().ok()?).ok()?;
    Some(Position { listed_at, id: ConversationId::parse(id).ok()? })
}
