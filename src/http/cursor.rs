//! Where a list goes on, as an opaque text in its `next`.

use jiff::Timestamp;

use crate::domain::change::Place;
use crate::domain::ids::ConversationId;
use crate::store::{GapPosition, Position};

/// A place in a list.
pub(super) trait Cursor: Sized {
    /// Writes it in characters that need no escaping in a URL.
    fn encode(&self) -> String;

    /// Reads what [`Cursor::encode`] wrote; `None` for anything else.
    fn decode(text: &str) -> Option<Self>;
}

impl Cursor for Position {
    fn encode(&self) -> String {
        format!("{}.{}", self.listed_at.as_microsecond(), self.id)
    }

    fn decode(text: &str) -> Option<Self> {
        let (listed_at, id) = timed(text)?;
        Some(Self { listed_at, id: ConversationId::parse(id).ok()? })
    }
}

impl Cursor for GapPosition {
    fn encode(&self) -> String {
        format!("{}.{}", self.began_at.as_microsecond(), self.id)
    }

    fn decode(text: &str) -> Option<Self> {
        let (began_at, id) = timed(text)?;
        Some(Self { began_at, id: id.parse().ok()? })
    }
}

impl Cursor for Place {
    fn encode(&self) -> String {
        format!("{}.{}.{}", self.arrival, self.snapshot, self.change)
    }

    fn decode(text: &str) -> Option<Self> {
        let (arrival, rest) = text.split_once('.')?;
        let (snapshot, change) = rest.split_once('.')?;
        Some(Self {
            arrival: arrival.parse().ok()?,
            snapshot: snapshot.parse().ok()?,
            change: change.parse().ok()?,
        })
    }
}

/// The number of a snapshot.
impl Cursor for u32 {
    fn encode(&self) -> String {
        self.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The number of an arrival.
impl Cursor for i64 {
    fn encode(&self) -> String {
        self.to_string()
    }

    fn decode(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

fn timed(text: &str) -> Option<(Timestamp, &str)> {
    let (microseconds, rest) = text.split_once('.')?;
    Some((Timestamp::from_microsecond(microseconds.parse().ok()?).ok()?, rest))
}
