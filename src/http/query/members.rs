//! `/v1/conversations/{id}/members`: who takes part, or who did at some moment.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::problem::Problem;
use super::blind::Span;
use super::list::{Asked, Page};
use super::openapi::{OfLists, Problems};
use super::parameters::Parameters;
use super::whole::{Columns, Whole};
use super::{PathOf, Query};
use crate::domain::conversation::Member;
use crate::domain::instant;

impl Columns for Member {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("id", "/id"),
        ("user_id", "/user_id"),
        ("name", "/name"),
        ("state", "/state"),
        ("joined_at", "/joined_at"),
        ("left_at", "/left_at"),
        ("left_source", "/left_source/type"),
        ("channel_type", "/channel/type"),
        ("channel_id", "/channel/id"),
        ("channel_from", "/channel/from"),
        ("channel_to", "/channel/to"),
        ("legs", "/leg_ids"),
        ("states", "/states"),
    ];
}

/// `GET …/members[?at=TIME]`: with `at`, those who were there then, each with the states until then.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}/members",
    tag = "conversations",
    params(("id" = String, Path, description = "The id of a conversation, a leg or a member."), ("at" = Option<String>, Query, description = "As of this moment: an instant, a day, or so long ago (`24h`)."), OfLists),
    responses((status = 200, description = "Members.", content((Page<Member> = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))), Problems),
)]
pub(super) async fn list(
    State(query): State<Query>,
    PathOf(id): PathOf<String>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut parameters, &headers)?;
    let own = parameters.take_all(&["at"]);
    parameters.finish()?;
    let now = query.clock.now();
    let instant = |(_, text): &(String, String)| {
        let at = instant::asked(text, now);
        at.ok_or_else(|| Problem::bad_request(format!("at {}", instant::FORMS)))
    };
    let at = own.first().map(instant).transpose()?;
    let (id, conversation) = query.interpreted(&id).await?;
    let span = match at {
        Some(at) => Span::at(at, conversation.application_id.clone()),
        None => Span::of(&conversation, query.first_news(&id, &conversation, now).await?, now),
    };
    let members = conversation.members.into_iter();
    let members = members.filter_map(|member| match at {
        Some(at) => member.until(at),
        None => Some(member),
    });
    let blind = query.blind_around(&[span]).await?;
    let path = format!("/v1/conversations/{id}/members");
    asked.answer(Whole { items: members.collect(), blind }, &path, &own).await
}
