//! `/v1/conversations`: what is understood.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::cursor;
use super::super::problem::Problem;
use super::{Query, json};
use crate::domain::conversation::{Interpretation, State as ConversationState};
use crate::store::Listed;

/// Conversations in a list that asks for no number.
const DEFAULT_LIMIT: u32 = 50;

/// The most that one answer lists.
const MAX_LIMIT: u32 = 500;

/// The parameters of a list. Unknown ones are refused: a misspelt filter must not look like an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    limit: Option<u32>,
    next: Option<String>,
}

#[derive(Serialize)]
struct List {
    items: Vec<Answer>,
    next: Option<String>,
    blind: [(); 0],
}

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
    let Parameters(parameters) = parameters.map_err(|rejection| {
        Problem::bad_request(format!("{}; known are limit and next", rejection.body_text()))
    })?;
    let limit = parameters.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is a number from 1 to {MAX_LIMIT}")));
    }
    let after = match parameters.next.as_deref() {
        None => None,
        Some(text) => Some(cursor::decode(text).ok_or_else(|| {
            Problem::bad_request("next is not a cursor of this list: take it as it is from the answer before")
        })?),
    };
    // One more than asked for tells whether there is more.
    let mut listed = query.store.conversations(limit + 1, after).await?;
    let more = listed.len() > limit as usize;
    listed.truncate(limit as usize);
    let next = listed.last().filter(|_| more).map(|last| cursor::encode(&last.position));
    let now = query.clock.now();
    let items =
        listed.into_iter().map(|Listed { interpretation, .. }| Answer::at(interpretation, now)).collect();
    let link =
        next.as_ref().map(|next| format!("</v1/conversations?limit={limit}&next={next}>; rel=\"next\""));
    let answer = json(&List { items, next, blind: [] });
    Ok(match link {
        Some(link) => ([(LINK, link)], answer).into_response(),
        None => answer,
    })
}

/// `GET /v1/conversations/{id}`.
pub(super) async fn one(State(query): State<Query>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = query.named(&id).await?;
    let interpretation = query.store.conversation(&id).await?;
    let interpretation = interpretation.ok_or_else(|| {
        Problem::not_found("the conversation was just heard of and is not interpreted yet; ask again")
    })?;
    Ok(json(&Answer::at(interpretation, query.clock.now())))
}
