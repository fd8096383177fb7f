//! How an instant is written for readers, RFC 3339, UTC, milliseconds; and how readers write one.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::Serializer;

/// `2018-10-25T09:26:18.991Z`.
#[must_use]
pub fn text(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

/// The last instant that can be stored: the last of all has a fraction that microseconds do not hold.
const LAST: Timestamp = Timestamp::constant(253_402_207_200, 0);

/// So long after `at`, or the last instant there is: what a webhook or document names may lie anywhere.
#[must_use]
pub fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(LAST).min(LAST)
}

/// So long before `at`, or the first instant there is.
#[must_use]
pub fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The longest call that Vonage carries.
pub const LONGEST_CALL: SignedDuration = SignedDuration::from_hours(24);

/// Whether what is stamped `at` may have happened in a call of which something was known at `known_at`, apart from
/// how long before.
#[must_use]
pub fn is_within_a_call(known_at: Timestamp, at: Timestamp) -> bool {
    at <= later(known_at, LONGEST_CALL)
}

/// The instant that something is stamped with, or else that at which it was known, where it cannot have happened so
/// late. A stamp of the next decade would keep a call live, or out of every list, until then.
#[must_use]
pub fn credible(at: Timestamp, known_at: Timestamp) -> Timestamp {
    if is_within_a_call(known_at, at) { at } else { known_at }
}

/// How readers may write an instant, for a person.
pub const FORMS: &str = "is an instant such as 2026-03-09T10:15:30Z, a day such as 2026-03-09 (UTC), or so long ago, such as 24h or 7d";

/// Reads the instant that a reader names at `now`: RFC 3339, the beginning of a day (UTC), or how long ago it was,
/// `24h` or `7d`. `None` for anything else.
#[must_use]
pub fn asked(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let day = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    // In a query string a + that was not escaped is a space.
    let at = text.parse().or_else(|_| text.replace(' ', "+").parse()).ok().or_else(day);
    at.or_else(|| now.checked_sub(duration(text)?).ok())
}

/// Reads `90s`, `24h`, `7d`: no less than nothing. A day has 24 hours.
#[must_use]
pub fn duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (!duration.is_negative()).then_some(duration)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_later_than_what_can_be_stored() {
        for at in [Timestamp::MAX, LAST, Timestamp::MIN] {
            let later = later(at, SignedDuration::from_secs(60));
            assert_eq!(Timestamp::from_microsecond(later.as_microsecond()).ok(), Some(later), "{at}");
        }
        assert_eq!(later(Timestamp::MAX, SignedDuration::ZERO), LAST);
        assert_eq!(LAST.as_second(), Timestamp::MAX.as_second());
    }

    #[test]
    fn an_instant_is_absolute_a_day_or_so_long_ago() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().expect("it is an instant");
        for (text, expected) in [
            ("2026-03-09T10:15:30Z", "2026-03-09T10:15:30Z"),
            ("2026-03-09T10:15:30.250+02:00", "2026-03-09T08:15:30.25Z"),
            ("2026-03-09T10:15:30 02:00", "2026-03-09T08:15:30Z"),
            ("2026-03-09", "2026-03-09T00:00:00Z"),
            ("24h", "2026-03-09T12:00:00Z"),
            ("7d", "2026-03-03T12:00:00Z"),
            ("90m", "2026-03-10T10:30:00Z"),
        ] {
            let expected: Timestamp = expected.parse().expect("it is an instant");
            assert_eq!(asked(text, now), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "-24h", "24", "2026-13-01", "999999999d"] {
            assert_eq!(asked(text, now), None, "{text}");
        }
    }
}
