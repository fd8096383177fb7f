//! `/vonage/{family}/conversations/{id}`: Vonage's own face for past calls.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::super::problem::Problem;
use super::{PathOf, Query, readable};
use crate::flow::face::{self, Answer, Question, Resource};

/// Who asks, and what of the conversation: what all addresses here have beside their path.
type Call = (State<Query>, HeaderMap, RawQuery);

/// Its routes.
pub(super) fn routes() -> Router<Query> {
    Router::new()
        .route("/vonage/{family}/conversations/{id}", readable(get(conversation)))
        .route("/vonage/{family}/conversations/{id}/members", readable(get(members)))
        .route("/vonage/{family}/conversations/{id}/members/{member}", readable(get(member)))
        .route("/vonage/{family}/conversations/{id}/events", readable(get(events)))
}

async fn conversation(
    call: Call,
    PathOf((family, id)): PathOf<(String, String)>,
) -> Result<Response, Problem> {
    answer(call, family, id, Resource::Conversation).await
}

async fn members(call: Call, PathOf((family, id)): PathOf<(String, String)>) -> Result<Response, Problem> {
    answer(call, family, id, Resource::Members).await
}

async fn member(
    call: Call,
    PathOf((family, id, member)): PathOf<(String, String, String)>,
) -> Result<Response, Problem> {
    answer(call, family, id, Resource::Member(member)).await
}

async fn events(call: Call, PathOf((family, id)): PathOf<(String, String)>) -> Result<Response, Problem> {
    answer(call, family, id, Resource::Events).await
}

async fn answer(
    (State(query), headers, RawQuery(parameters)): Call,
    family: String,
    conversation: String,
    resource: Resource,
) -> Result<Response, Problem> {
    let parameters = parameters.unwrap_or_default();
    let question = Question { family, conversation, resource, parameters, base: base(&headers) };
    let answer = face::answer(&*query.store, &question, query.clock.now()).await?;
    let (status, body) = match answer {
        Answer::Document(body) => (StatusCode::OK, body),
        Answer::NotFound(body) => (StatusCode::NOT_FOUND, body),
        Answer::BadRequest(body) => (StatusCode::BAD_REQUEST, body),
    };
    // Vonage's errors, too, are plain JSON.
    Ok((status, [(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Where this is, as the one who asks sees it.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.map_or_else(|| "/vonage".to_owned(), |host| format!("http://{host}/vonage"))
}
