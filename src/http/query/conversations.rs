//! `/v1/conversations`: what is understood.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Parameters, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::super::cursor;
use super::super::problem::Problem;
use super::page::{ListParameters, Page};
use super::{PathOf, Query, json};
use crate::domain::conversation::{Interpretation, State as ConversationState};
use crate::store::Listed;

/// An interpretation, as of the moment of the answer.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    interpretation: Interpretation,
    state: ConversationState,
    blind: [(); 0],
}

impl Answer {
    fn at(mut interpretation: Interpretation, now: Timestamp) -> Self {
        let state = interpretation.state(now);
        if state == ConversationState::Live {
            interpretation.ended_at = None;
        }
        Self { interpretation, state, blind: [] }
    }
}

/// `GET /v1/conversations`: newest first.
pub(super) async fn list(
    State(query): State<Query>,
    parameters: Result<Parameters<ListParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let page = Page::asked(parameters)?;
    let after = page.after(cursor::decode)?;
    let listed = query.store.conversations(page.limit + 1, after).await?;
    let now = query.clock.now();
    let place = |listed: &Listed| cursor::encode(&listed.position);
    Ok(page.answer("/v1/conversations", listed, place, |listed| Answer::at(listed.interpretation, now)))
}

/// `GET /v1/conversations/{id}`.
pub(super) async fn one(State(query): State<Query>, PathOf(id): PathOf<String>) -> Result<Response, Problem> {
    let id = query.named(&id).await?;
    let interpretation = query.store.conversation(&id).await?;
    let interpretation = interpretation.ok_or_else(|| {
        Problem::not_found("the conversation was just heard of and is not interpreted yet; ask again")
    })?;
    Ok(json(&Answer::at(interpretation, query.clock.now())))
}
