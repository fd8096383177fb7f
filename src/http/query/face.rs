//! `/vonage/{family}/conversations/{id}`: Vonage's own face for past calls.

use axum::extract::{RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::super::auth::Refusal;
use super::super::problem::Problem;
use super::super::route::Route;
use super::{PathOf, Query, readable};
use crate::flow::face::{self, Answer, Question, Resource};

/// Who asks, and what of the conversation: what all addresses here have beside their path.
type Call = (State<Query>, HeaderMap, RawQuery);

/// Its routes. What is in their documents was received, and so is raw.
pub(super) fn routes() -> impl Iterator<Item = Route<Query>> {
    [
        Route::raw("/vonage/{family}/conversations/{id}", readable(get(conversation))),
        Route::raw("/vonage/{family}/conversations/{id}/members", readable(get(members))),
        Route::raw("/vonage/{family}/conversations/{id}/members/{member}", readable(get(member))),
        Route::raw("/vonage/{family}/conversations/{id}/events", readable(get(events))),
    ]
    .into_iter()
    .map(|route| route.refusing_with(refused))
}

/// Says in Vonage's shape that somebody is not let in.
fn refused(refusal: Refusal, _: &Request) -> Response {
    let (title, code) = match refusal {
        Refusal::Unknown => ("Unauthorized.", "system:error:missing-token"),
        Refusal::WrongToken | Refusal::SlowedDown(_) => ("Unauthorized.", "system:error:invalid-token"),
        Refusal::Lacking(_) => ("Forbidden.", "system:error:permission"),
    };
    let body = json!({"title": title, "code": code, "detail": refusal.to_string()}).to_string();
    Problem::from(refusal).shown_as(([(CONTENT_TYPE, "application/json")], body).into_response())
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
