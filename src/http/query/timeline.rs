//! `/v1/conversations/{id}/timeline`: the story of one call.

use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use axum::response::Response;

use super::super::problem::Problem;
use super::super::request_log::may_see_bodies;
use super::blind::Span;
use super::list::{Asked, Page};
use super::openapi::{OfLists, Problems};
use super::parameters::Parameters;
use super::whole::{Columns, Whole};
use super::{PathOf, Query};
use crate::domain::ids::ConversationId;
use crate::domain::timeline::Entry;
use crate::flow::timeline::timeline;

impl Columns for Entry {
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("at", "/at"),
        ("at_source", "/at_source"),
        ("learnt_at", "/learnt_at"),
        ("kind", "/kind"),
        ("source", "/source"),
        ("endpoint", "/endpoint"),
        ("about", "/about"),
        ("leg_id", "/leg_id"),
        ("member_id", "/member_id"),
        ("name", "/name"),
        ("state", "/state"),
        ("status", "/status"),
        ("outcome", "/outcome"),
        ("snapshot", "/snapshot"),
        ("detail", "/detail"),
        ("transferred_to", "/transferred_to"),
        ("deliveries", "/deliveries"),
        ("upstream_status", "/upstream_status"),
        ("upstream_ms", "/upstream_ms"),
        ("trouble", "/trouble"),
    ];
}

impl Query {
    /// The story of a conversation, oldest first.
    pub(in crate::http) async fn story(&self, id: &ConversationId) -> Result<Whole<Entry>, Problem> {
        let history = self.store.history(id).await?;
        let replies = self.store.replies(id).await?;
        let application = history.as_ref().and_then(|history| history.fetch.application_id.clone());
        // Beside the runtime's threads, which webhooks wait for: a long conference takes a while.
        let telling = tokio::task::spawn_blocking(move || {
            history.map(|history| timeline(&history, &replies)).unwrap_or_default()
        });
        let items = telling.await.expect("telling does not panic");
        let ends = [items.first(), items.last()].into_iter().flatten();
        let spans: Vec<Span> = ends.map(|entry| Span::at(entry.at, application.clone())).collect();
        let blind = self.blind_around(&spans).await?;
        Ok(Whole { items, blind })
    }
}

/// `GET …/timeline`: oldest first. What a call was told to do is only for readers of what was received.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}/timeline",
    tag = "conversations",
    params(("id" = String, Path, description = "The id of a conversation, a leg or a member."), OfLists),
    responses((status = 200, description = "What happened, oldest first.", content((Page<Entry> = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))), Problems),
)]
pub(super) async fn list(
    State(query): State<Query>,
    PathOf(id): PathOf<String>,
    mut parameters: Parameters,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut parameters, &headers)?;
    parameters.finish()?;
    let id = query.named(&id).await?;
    let path = format!("/v1/conversations/{id}/timeline");
    let mut story = query.story(&id).await?;
    if !may_see_bodies(&extensions) {
        story.items.iter_mut().for_each(Entry::leave_out_bodies);
    }
    asked.answer(story, &path, &[]).await
}
