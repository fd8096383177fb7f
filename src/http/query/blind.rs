//! The times in which something could not be seen, beside what was seen.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use crate::domain::conversation::{Interpretation, State};
use crate::domain::gap::Gap;
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::domain::instant;
use crate::store::StoreError;

/// A gap, for readers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::http) struct Blind {
    cause: &'static str,
    /// The cause, for a person.
    pub(in crate::http) reason: &'static str,
    #[serde(serialize_with = "instant::serialize")]
    pub(in crate::http) began_at: Timestamp,
    #[serde(serialize_with = "instant::serialize_option")]
    /// `None` while it lasts.
    pub(in crate::http) ended_at: Option<Timestamp>,
    application_id: Option<ApplicationId>,
}

impl From<&Gap> for Blind {
    fn from(gap: &Gap) -> Self {
        Self {
            cause: gap.cause.as_str(),
            reason: gap.cause.sentence(),
            began_at: gap.began_at,
            ended_at: gap.ended_at,
            application_id: gap.application_id.clone(),
        }
    }
}

/// A time in which something happened, and to whose calls.
#[derive(Debug, Clone)]
pub(super) struct Span {
    from: Timestamp,
    to: Timestamp,
    application_id: Option<ApplicationId>,
}

impl Span {
    /// An instant.
    pub(super) fn at(instant: Timestamp, application_id: Option<ApplicationId>) -> Self {
        Self { from: instant, to: instant, application_id }
    }

    /// A conversation's: from its start, or the first news of it, to its end, or now.
    pub(super) fn of(one: &Interpretation, first_news: Timestamp, now: Timestamp) -> Self {
        let from = one.started_at.unwrap_or(first_news).min(now);
        let ended_at = one.ended_at.filter(|_| one.state(now) == State::Ended);
        // What is told of the future does not reach into it.
        let to = ended_at.map_or(now, |ended_at| ended_at.min(now)).max(from);
        Self { from, to, application_id: one.application_id.clone() }
    }

    /// The same application's, at an instant.
    pub(super) fn moved_to(&self, instant: Timestamp) -> Self {
        Self::at(instant, self.application_id.clone())
    }

    /// From the beginning of the first to the end of the last of `spans`; `None` without any.
    fn around(spans: &[Self]) -> Option<(Timestamp, Timestamp)> {
        let from = spans.iter().map(|span| span.from).min()?;
        let to = spans.iter().map(|span| span.to).max()?;
        Some((from, to))
    }

    /// Those of `gaps` that touch it.
    pub(super) fn blind(&self, gaps: &[Gap]) -> Vec<Blind> {
        let touch =
            |gap: &&Gap| gap.touches(self.from, self.to) && gap.concerns(self.application_id.as_ref());
        gaps.iter().filter(touch).map(Blind::from).collect()
    }
}

impl Query {
    /// The gaps that touch the time from the oldest to the newest of `items`, each of which is somebody's; an
    /// application's gap only where one of them is its own.
    pub(super) async fn gaps_around(&self, items: &[Span]) -> Result<Vec<Gap>, StoreError> {
        let Some((from, to)) = Span::around(items) else { return Ok(Vec::new()) };
        let mut gaps = self.store.gaps_between(from, to).await?;
        gaps.retain(|gap| items.iter().any(|item| gap.concerns(item.application_id.as_ref())));
        Ok(gaps)
    }

    /// The same, as an answer has it.
    pub(super) async fn blind_around(&self, items: &[Span]) -> Result<Vec<Blind>, StoreError> {
        Ok(self.gaps_around(items).await?.iter().map(Blind::from).collect())
    }

    /// The first instant at which anything was heard of a conversation that is not known to have a start.
    pub(super) async fn first_news(
        &self,
        id: &ConversationId,
        one: &Interpretation,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        if let Some(at) = one.started_at.or(one.capture.first_at) {
            return Ok(at);
        }
        let history = self.store.history(id).await?;
        let heard = history.iter().flat_map(|history| {
            let received = history.arrivals.iter().map(|arrival| arrival.event.received_at);
            received.chain(history.listed.iter().filter_map(|leg| leg.start_time.or(leg.end_time)))
        });
        Ok(heard.min().unwrap_or(now))
    }

    /// The same, of a conversation's own time.
    pub(super) async fn blind_of(
        &self,
        id: &ConversationId,
        now: Timestamp,
    ) -> Result<Vec<Blind>, StoreError> {
        let Some(one) = self.store.conversation(id).await? else { return Ok(Vec::new()) };
        let span = Span::of(&one, self.first_news(id, &one, now).await?, now);
        self.blind_around(&[span]).await
    }
}
