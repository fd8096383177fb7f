//! `/v1/conversations`: what is understood.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Parameters, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::cursor;
use super::super::problem::Problem;
use super::blind::{Blind, Span};
use super::page::{ListParameters, Page};
use super::{PathOf, Query, json};
use crate::domain::conversation::{Interpretation, State as ConversationState};
use crate::domain::gap::Gap;
use crate::store::Listed;

/// An interpretation, as of the moment of the answer.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    interpretation: Interpretation,
    state: ConversationState,
    blind: Vec<Blind>,
}

impl Answer {
    /// The answer at `now`; `gaps` are those that may touch it.
    fn at(mut interpretation: Interpretation, now: Timestamp, span: &Span, gaps: &[Gap]) -> Self {
        let state = interpretation.state(now);
        if state == ConversationState::Live {
            interpretation.ended_at = None;
        }
        Self { interpretation, state, blind: span.blind(gaps) }
    }
}

/// `GET /v1/conversations`: newest first.
pub(super) async fn list(
    State(query): State<Query>,
    parameters: Result<Parameters<ListParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let page = Page::asked(parameters)?;
    let after = page.after(cursor::decode)?;
    let listed = query.store.conversations(page.limit + 1, after.clone()).await?;
    let now = query.clock.now();
    let span = |listed: &Listed| Span::of(&listed.interpretation, listed.position.listed_at, now);
    let mut spans: Vec<Span> = page.shown(&listed).iter().map(span).collect();
    // Also what lies between this page and the one before, or the present: calls may be missing there.
    let edge = after.map_or(now, |after| after.listed_at);
    spans.extend(spans.first().map(|newest| newest.moved_to(edge)));
    let gaps = query.gaps_around(&spans).await?;
    let place = |listed: &Listed| cursor::encode(&listed.position);
    let answer = |listed: Listed| {
        let span = span(&listed);
        Answer::at(listed.interpretation, now, &span, &gaps)
    };
    let blind = gaps.iter().map(Blind::from).collect();
    Ok(page.answer("/v1/conversations", listed, place, answer, blind))
}

/// `GET /v1/conversations/{id}`.
pub(super) async fn one(State(query): State<Query>, PathOf(id): PathOf<String>) -> Result<Response, Problem> {
    let id = query.named(&id).await?;
    let interpretation = query.store.conversation(&id).await?;
    let interpretation = interpretation.ok_or_else(|| {
        Problem::not_found("the conversation was just heard of and is not interpreted yet; ask again")
    })?;
    let now = query.clock.now();
    let span = Span::of(&interpretation, query.first_news(&id, &interpretation, now).await?, now);
    let gaps = query.gaps_around(std::slice::from_ref(&span)).await?;
    Ok(json(&Answer::at(interpretation, now, &span, &gaps)))
}
