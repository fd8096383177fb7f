//! How values are written for people. Templates hand them over by reference.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::Member;
use crate::domain::instant;
use crate::domain::statement::LeftSource;

/// What stands where nothing is known.
const UNKNOWN: &str = "–";

/// An instant, for programs that read the page.
pub(super) fn rfc_3339(at: &Timestamp) -> String {
    instant::text(*at)
}

/// `2018-10-25 09:26:18`, UTC.
pub(super) fn second(at: &Timestamp) -> String {
    at.strftime("%F %T").to_string()
}

/// `2018-10-25 09:26:18.991`, UTC.
pub(super) fn millisecond(at: &Timestamp) -> String {
    at.strftime("%F %T.%3f").to_string()
}

/// `5m 7s`.
#[expect(clippy::ref_option, reason = "the shape in which templates hand over a field")]
pub(super) fn duration(seconds: &Option<i64>) -> String {
    seconds.map_or_else(|| UNKNOWN.to_owned(), |seconds| format!("{:#}", SignedDuration::from_secs(seconds)))
}

/// The text, or that it is not known.
#[expect(clippy::ref_option, reason = "the shape in which templates hand over a field")]
pub(super) fn or_dash(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or(UNKNOWN)
}

/// What says that a member has left.
#[expect(clippy::ref_option, reason = "the shape in which templates hand over a field")]
pub(super) fn left_source(source: &Option<LeftSource>) -> String {
    match source {
        None => UNKNOWN.to_owned(),
        Some(LeftSource::Rtc { number }) => format!("webhook {number}"),
        Some(LeftSource::Snapshot { number }) => format!("snapshot {number}"),
        Some(LeftSource::Event { number }) => format!("event {number}"),
        Some(LeftSource::LegEnd { leg_id }) => format!("the leg {leg_id} ended"),
    }
}

/// A member's name, or else what stands for it.
pub(super) fn member(member: &Member) -> &str {
    member.name.as_deref().or(member.user_id.as_deref()).unwrap_or(member.id.as_str())
}
