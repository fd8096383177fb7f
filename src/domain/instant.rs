//! How an instant is written for readers, RFC 3339, UTC, milliseconds; and how readers write one.

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::Serializer;

/// `2018-10-25T09:26:18.991Z`.
#[must_use]
pub fn text(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

/// Reads the instant that a reader names at `now`: RFC 3339, or how long ago it was, `24h` or `7d`. A day has 24
/// hours. `None` for anything else.
#[must_use]
pub fn asked(text: &str, now: Timestamp) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let ago: Span = text.parse().ok()?;
        let ago = ago.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        now.checked_sub(ago).ok().filter(|_| ago >= SignedDuration::ZERO)
    })
}

/// Serializes an instant as [`text`]; for `#[serde(serialize_with)]`.
///
/// # Errors
/// Only the serializer's own.
pub fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{instant:.3}"))
}

/// Serializes an instant that may be unknown as [`text`] or `null`; for `#[serde(serialize_with)]`.
///
/// # Errors
/// Only the serializer's own.
#[expect(clippy::ref_option, reason = "the shape that serde asks for")]
pub fn serialize_option<S: Serializer>(
    instant: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serialize(instant, serializer),
        None => serializer.serialize_none(),
    }
}
