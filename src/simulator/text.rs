//! How Vonage writes instants and amounts.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

/// An instant with three decimals, also when they are zeros.
pub(super) fn milliseconds(instant: Timestamp) -> Value {
    json!(format!("{instant:.3}"))
}

/// An instant as the Voice API writes it: whole seconds, without a zone, in UTC.
pub(super) fn seconds(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// An amount: euros with eight decimals.
pub(super) fn euros(hundred_millionths: i64) -> String {
    format!("{}.{:08}", hundred_millionths / 100_000_000, hundred_millionths % 100_000_000)
}
