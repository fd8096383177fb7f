//! A webhook is passed on to the application behind this daemon, and its reply is judged: what may go back to
//! Vonage, and what is a failure that the daemon must stand in for.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::IgnoredAny;

use crate::domain::arrival::{Delivery, Endpoint};
use crate::domain::reply;
use crate::upstream::{Exchange, Failure, Reply, Upstream};

/// Statuses that Vonage takes for success.
const SUCCESS: std::ops::RangeInclusive<u16> = 200..=205;

/// Passes on one kind of webhook.
#[derive(Debug)]
pub struct Forward {
    /// [`Endpoint::Answer`] or [`Endpoint::Event`].
    kind: Endpoint,
    upstream: Upstream,
    /// Whether the last one failed: failures are logged when they begin and when they end.
    failing: AtomicBool,
}

/// What came of passing a webhook on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The reply that goes back to Vonage; `None` when the daemon has to stand in.
    pub reply: Option<Reply>,
    /// How the application did, for the record.
    pub told: reply::Upstream,
}

/// Why a reply does not go back to Vonage. Holds nothing of what was sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("it did not reply in time")]
    TimedOut,
    #[error("no connection could be made")]
    Unreachable,
    #[error("the connection broke")]
    Broken,
    #[error("its reply is larger than 1 MiB")]
    TooLarge,
    #[error("it replied with a redirect, which is not followed")]
    Redirect,
    #[error("it replied with status {0}")]
    Status(u16),
    #[error("its reply is no NCCO: not a JSON array")]
    NotNcco,
}

impl Trouble {
    /// Its name in metrics.
    fn outcome(self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::TooLarge => "too large",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
            Self::NotNcco => "not an NCCO",
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TimedOut => Self::TimedOut,
            Failure::Unreachable => Self::Unreachable,
            Failure::Broken => Self::Broken,
            Failure::TooLarge => Self::TooLarge,
        }
    }
}

impl Forward {
    /// Passes answer webhooks on.
    #[must_use]
    pub fn of_answers(upstream: Upstream) -> Self {
        Self { kind: Endpoint::Answer, upstream, failing: AtomicBool::new(false) }
    }

    /// Passes events on.
    #[must_use]
    pub fn of_events(upstream: Upstream) -> Self {
        Self { kind: Endpoint::Event, upstream, failing: AtomicBool::new(false) }
    }

    /// Passes a webhook on, with its signature, and waits for the reply as long as is allowed.
    pub async fn pass(&self, delivery: &Delivery, authorization: Option<&str>) -> Forwarded {
        let Exchange { status, elapsed, outcome } = self.upstream.relay(delivery, authorization).await;
        let judged = outcome.map_err(Trouble::from).and_then(|reply| self.judged(reply));
        let trouble = judged.as_ref().err().copied();
        self.note(trouble);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let told =
            reply::Upstream { status, elapsed_ms, trouble: trouble.map(|trouble| trouble.to_string()) };
        Forwarded { reply: judged.ok(), told }
    }

    /// A call that waits for an NCCO gets one. What else is said to an event is between the application and
    /// Vonage: an NCCO among it replaces the call's flow.
    fn judged(&self, reply: Reply) -> Result<Reply, Trouble> {
        match reply.status {
            300..=399 => Err(Trouble::Redirect),
            status if !SUCCESS.contains(&status) => Err(Trouble::Status(status)),
            _ if self.kind == Endpoint::Answer && !is_array(&reply.body) => Err(Trouble::NotNcco),
            _ => Ok(reply),
        }
    }

    fn note(&self, trouble: Option<Trouble>) {
        let kind = self.kind.as_str();
        let outcome = trouble.map_or("passed", Trouble::outcome);
        metrics::counter!("conversationd_forwards_total", "kind" => kind, "outcome" => outcome).increment(1);
        let was_failing = self.failing.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(trouble) if !was_failing => {
                tracing::warn!(kind, "{kind}.forward_url fails: {trouble}; the daemon replies in its place");
            }
            None if was_failing => tracing::info!(kind, "{kind}.forward_url replies again"),
            _ => {}
        }
    }
}

fn is_array(body: &[u8]) -> bool {
    serde_json::from_slice::<Vec<IgnoredAny>>(body).is_ok()
}
