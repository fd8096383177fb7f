//! `/v1/webhooks`, `/v1/conversations/{id}/webhooks`: deliveries as they were received.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::blind::{Blind, Span};
use super::list::{Asked, List, Page};
use super::openapi::{OfLists, Problems};
use super::parameters::Parameters;
use super::{PathOf, Query, raw};
use crate::domain::arrival::{Arrival, Delivery};
use crate::domain::digest::Digest;
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::domain::instant;
use crate::domain::reply::NewReply;

#[derive(Serialize, ToSchema)]
struct Webhook {
    number: i64,
    endpoint: &'static str,
    kind: String,
    conversation_id: Option<ConversationId>,
    transferred_to: Option<ConversationId>,
    application_id: Option<ApplicationId>,
    origin: &'static str,
    /// Why a fallback webhook was sent.
    fallback_reason: Option<String>,
    #[serde(serialize_with = "instant::serialize")]
    received_at: Timestamp,
    deliveries: u32,
    #[serde(serialize_with = "instant::serialize")]
    last_received_at: Timestamp,
    method: &'static str,
    query: Option<String>,
    content_type: Option<String>,
    /// The body as it came; `null` for a `GET`, whose data is in the query.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Box<RawValue>>,
    /// What it was replied to with the last time it came: for answers, and for events that were passed on.
    reply: Option<Reply>,
}

#[derive(Serialize, ToSchema)]
struct Reply {
    #[serde(serialize_with = "instant::serialize")]
    at: Timestamp,
    source: &'static str,
    upstream_status: Option<u16>,
    upstream_ms: Option<u64>,
    trouble: Option<String>,
    #[schema(value_type = Option<serde_json::Value>)]
    ncco: Option<Box<RawValue>>,
}

/// The columns of a table of webhooks.
const COLUMNS: &[(&str, &str)] = &[
    ("number", "/number"),
    ("endpoint", "/endpoint"),
    ("kind", "/kind"),
    ("conversation_id", "/conversation_id"),
    ("transferred_to", "/transferred_to"),
    ("application_id", "/application_id"),
    ("origin", "/origin"),
    ("fallback_reason", "/fallback_reason"),
    ("received_at", "/received_at"),
    ("deliveries", "/deliveries"),
    ("last_received_at", "/last_received_at"),
    ("method", "/method"),
    ("query", "/query"),
    ("content_type", "/content_type"),
    ("body", "/body"),
];

/// What a webhook has beside its body and query.
const OTHER_BYTES: usize = 600;

fn bytes(arrival: &Arrival) -> usize {
    let delivery = &arrival.event.delivery;
    delivery.body.len() + delivery.query.as_ref().map_or(0, String::len) + OTHER_BYTES
}

/// The webhooks that speak of one conversation.
struct OfConversation {
    query: Query,
    id: ConversationId,
}

impl List for OfConversation {
    type Item = Arrival;
    type Told = Webhook;
    type Place = i64;

    const COLUMNS: &'static [(&'static str, &'static str)] = COLUMNS;

    async fn items(&self, after: Option<&i64>, limit: u32) -> Result<Vec<Arrival>, Problem> {
        Ok(self.query.store.arrivals_after(&self.id, after.copied().unwrap_or(0), limit).await?)
    }

    fn bytes(arrival: &Arrival) -> usize {
        bytes(arrival)
    }

    fn place(arrival: &Arrival) -> i64 {
        arrival.number
    }

    async fn tell(
        &self,
        items: Vec<Arrival>,
        _: Option<&i64>,
    ) -> Result<(Vec<Webhook>, Vec<Blind>), Problem> {
        let replies = self.query.store.replies(&self.id).await?;
        // Of several replies to one event the last is kept here.
        let mut replies: HashMap<Digest, NewReply> =
            replies.into_iter().map(|reply| (reply.given.arrival, reply.given)).collect();
        let blind = self.query.blind_of(&self.id, self.query.clock.now()).await?;
        let told = items.into_iter().map(|arrival| {
            let reply = replies.remove(&arrival.event.identity().digest);
            Webhook { reply: reply.map(Reply::from), ..Webhook::from(arrival) }
        });
        Ok((told.collect(), blind))
    }
}

/// `GET …/webhooks`: oldest first.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}/webhooks",
    tag = "webhooks",
    params(("id" = String, Path, description = "The id of a conversation, a leg or a member."), OfLists),
    responses((status = 200, description = "Webhooks, oldest first.", content((Page<Webhook> = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))), Problems),
)]
pub(super) async fn of_conversation(
    State(query): State<Query>,
    PathOf(id): PathOf<String>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut parameters, &headers)?;
    parameters.finish()?;
    let id = query.named(&id).await?;
    let path = format!("/v1/conversations/{id}/webhooks");
    asked.answer(OfConversation { query, id }, &path, &[]).await
}

/// The whole log.
struct Log {
    query: Query,
    /// Of the present moment, from which on nothing is missing yet.
    now: Timestamp,
}

impl List for Log {
    type Item = Arrival;
    type Told = Webhook;
    type Place = i64;

    const COLUMNS: &'static [(&'static str, &'static str)] = COLUMNS;

    async fn items(&self, after: Option<&i64>, limit: u32) -> Result<Vec<Arrival>, Problem> {
        Ok(self.query.store.newest_arrivals(limit, after.copied()).await?)
    }

    fn bytes(arrival: &Arrival) -> usize {
        bytes(arrival)
    }

    fn place(arrival: &Arrival) -> i64 {
        arrival.number
    }

    async fn tell(
        &self,
        items: Vec<Arrival>,
        after: Option<&i64>,
    ) -> Result<(Vec<Webhook>, Vec<Blind>), Problem> {
        let span =
            |arrival: &Arrival| Span::at(arrival.event.received_at, arrival.event.application_id.clone());
        let mut spans: Vec<Span> = items.iter().map(span).collect();
        if after.is_none() {
            spans.extend(spans.first().map(|newest| newest.moved_to(self.now)));
        }
        let blind = self.query.blind_around(&spans).await?;
        Ok((items.into_iter().map(Webhook::from).collect(), blind))
    }
}

/// `GET /v1/webhooks`: all of them, newest first, without what they were replied to with.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    params(OfLists),
    responses((status = 200, description = "Webhooks, newest first.", content((Page<Webhook> = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))), Problems),
)]
pub(super) async fn list(
    State(query): State<Query>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut parameters, &headers)?;
    parameters.finish()?;
    let now = query.clock.now();
    asked.answer(Log { query, now }, "/v1/webhooks", &[]).await
}

impl From<NewReply> for Reply {
    fn from(reply: NewReply) -> Self {
        let upstream = reply.upstream;
        Self {
            at: reply.replied_at,
            source: reply.source.as_str(),
            upstream_status: upstream.as_ref().and_then(|upstream| upstream.status),
            upstream_ms: upstream.as_ref().map(|upstream| upstream.elapsed_ms),
            trouble: upstream.and_then(|upstream| upstream.trouble),
            ncco: reply.ncco.map(|ncco| raw(&ncco)),
        }
    }
}

impl From<Arrival> for Webhook {
    fn from(arrival: Arrival) -> Self {
        let event = arrival.event;
        let Delivery { endpoint, method, query, covered_query: _, content_type, body } = event.delivery;
        Self {
            number: arrival.number,
            endpoint: endpoint.as_str(),
            kind: event.kind,
            conversation_id: event.conversation_id,
            transferred_to: event.transferred_to,
            application_id: event.application_id,
            origin: event.origin.as_str(),
            fallback_reason: event.fallback_reason,
            received_at: event.received_at,
            deliveries: arrival.deliveries,
            last_received_at: arrival.last_received_at,
            method: method.as_str(),
            query,
            content_type,
            body: (!body.is_empty()).then(|| raw(&body)),
            reply: None,
        }
    }
}
