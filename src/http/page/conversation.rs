//! `/conversations/{id}`: one conversation, whole.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::problem::Problem;
use super::super::query::blind::Blind;
use super::super::query::parameters::Parameters;
use super::super::query::{PathOf, Query};
use super::story::Line;
use super::{html, written};
use crate::domain::conversation::{Interpretation, State as ConversationState};
use crate::domain::statement::AtSource;

#[derive(Template)]
#[template(path = "conversation.html")]
struct Page {
    one: Interpretation,
    state: ConversationState,
    blind: Vec<Blind>,
    story: Vec<Line>,
    signed_in: bool,
}

/// Why there is nothing to show.
#[derive(Template)]
#[template(path = "trouble.html")]
struct Trouble<'a> {
    detail: &'a str,
    signed_in: bool,
}

/// `GET /conversations/{id}`, where the id is its own, a leg's or a member's.
pub(in crate::http) async fn conversation(
    State(query): State<Query>,
    id: Result<PathOf<String>, Problem>,
    parameters: Result<Parameters, Problem>,
) -> Response {
    let signed_in = !query.access.is_open();
    page(&query, id, parameters).await.map_or_else(
        |problem| {
            let page = html(&Trouble { detail: problem.detail(), signed_in });
            problem.shown_as(page)
        },
        |page| html(&page),
    )
}

async fn page(
    query: &Query,
    id: Result<PathOf<String>, Problem>,
    parameters: Result<Parameters, Problem>,
) -> Result<Page, Problem> {
    parameters?.finish()?;
    let answer = query.conversation(&id?.0).await?;
    let one = answer.interpretation;
    let story = query.story(&one.id).await?.items.into_iter().map(|entry| Line::of(entry, &one)).collect();
    let (state, blind, signed_in) = (answer.state, answer.blind, !query.access.is_open());
    Ok(Page { one, state, blind, story, signed_in })
}
