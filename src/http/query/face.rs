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
use super::openapi::VonageProblems;
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

#[utoipa::path(
    get,
    path = "/vonage/{family}/conversations/{id}",
    tag = "vonage",
    params(("family" = String, Path, description = "A path family: `beta`, `v0.1`, `v0.2`, `v0.3` or `v1`."), ("id" = String, Path, description = "The id of a conversation."), ("at" = Option<String>, Query, description = "As it was known then: an instant, or so long ago (`24h`).")),
    responses((status = 200, description = "The conversation, as Vonage answered.", body = serde_json::Value, content_type = "application/json"), VonageProblems),
)]
async fn conversation(
    call: Call,
    PathOf((family, id)): PathOf<(String, String)>,
) -> Result<Response, Problem> {
    answer(call, family, id, Resource::Conversation).await
}

#[utoipa::path(
    get,
    path = "/vonage/{family}/conversations/{id}/members",
    tag = "vonage",
    params(("family" = String, Path, description = "A path family: `beta`, `v0.1`, `v0.2`, `v0.3` or `v1`."), ("id" = String, Path, description = "The id of a conversation."), ("at" = Option<String>, Query, description = "As it was known then: an instant, or so long ago (`24h`)."), ("page_size" = Option<String>, Query), ("cursor" = Option<String>, Query), ("order" = Option<String>, Query, description = "`asc` or `desc`.")),
    responses((status = 200, description = "Its members, as Vonage answered.", body = serde_json::Value, content_type = "application/json"), VonageProblems),
)]
async fn members(call: Call, PathOf((family, id)): PathOf<(String, String)>) -> Result<Response, Problem> {
    answer(call, family, id, Resource::Members).await
}

#[utoipa::path(
    get,
    path = "/vonage/{family}/conversations/{id}/members/{member}",
    tag = "vonage",
    params(("family" = String, Path, description = "A path family: `beta`, `v0.1`, `v0.2`, `v0.3` or `v1`."), ("id" = String, Path, description = "The id of a conversation."), ("at" = Option<String>, Query, description = "As it was known then: an instant, or so long ago (`24h`)."), ("member" = String, Path, description = "The id of a member.")),
    responses((status = 200, description = "The member, as Vonage answered.", body = serde_json::Value, content_type = "application/json"), VonageProblems),
)]
async fn member(
    call: Call,
    PathOf((family, id, member)): PathOf<(String, String, String)>,
) -> Result<Response, Problem> {
    answer(call, family, id, Resource::Member(member)).await
}

#[utoipa::path(
    get,
    path = "/vonage/{family}/conversations/{id}/events",
    tag = "vonage",
    params(("family" = String, Path, description = "A path family: `beta`, `v0.1`, `v0.2`, `v0.3` or `v1`."), ("id" = String, Path, description = "The id of a conversation."), ("at" = Option<String>, Query, description = "As it was known then: an instant, or so long ago (`24h`)."), ("page_size" = Option<String>, Query), ("cursor" = Option<String>, Query), ("order" = Option<String>, Query, description = "`asc` or `desc`."), ("start_id" = Option<String>, Query), ("end_id" = Option<String>, Query), ("event_type" = Option<String>, Query)),
    responses((status = 200, description = "Its events, as Vonage answered.", body = serde_json::Value, content_type = "application/json"), VonageProblems),
)]
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

/// Where this is, as the one who asks sees it; a proxy that ends TLS says so.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_https = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    let scheme = if is_https { "https" } else { "http" };
    host.map_or_else(|| "/vonage".to_owned(), |host| format!("{scheme}://{host}/vonage"))
}
