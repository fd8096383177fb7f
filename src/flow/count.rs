//! What is counted of webhooks.

use metrics::Counter;

use crate::domain::arrival::Endpoint;
use crate::domain::rejection::Rejection;

/// The counter of webhooks that are not taken.
pub fn rejections(rejection: Rejection) -> Counter {
    let Rejection { endpoint, reason } = rejection;
    metrics::counter!(
        "conversationd_webhooks_rejected_total", "endpoint" => endpoint.as_str(), "reason" => reason.as_str()
    )
}

/// Kinds that are counted under their own name. The others share one: a sender chooses the text, and must
/// not be able to make as many counters as it likes.
const COUNTED_KINDS: [&str; 27] = [
    "answer",
    "started",
    "ringing",
    "answered",
    "busy",
    "cancelled",
    "timeout",
    "unanswered",
    "rejected",
    "failed",
    "disconnected",
    "human",
    "machine",
    "completed",
    "record",
    "transcribed",
    "input",
    "transfer",
    "notify",
    "pay",
    "error",
    "playback",
    "rtc",
    "unknown",
    "redirected",
    "complete",
    "other",
];

/// Counts webhooks that are taken. The many types of rtc events count as one kind.
pub(super) fn arrivals(endpoint: Endpoint, kind: &str) -> Counter {
    let kind = if endpoint == Endpoint::Rtc { "rtc" } else { kind };
    let kind = COUNTED_KINDS.iter().find(|known| **known == kind).unwrap_or(&"other");
    metrics::counter!("conversationd_webhooks_total", "endpoint" => endpoint.as_str(), "kind" => *kind)
}
