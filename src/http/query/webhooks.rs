//! `/v1/conversations/{id}/webhooks`: deliveries as they were received.

use std::collections::HashMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Parameters, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::problem::Problem;
use super::blind::Span;
use super::page::{ListParameters, Page};
use super::{PathOf, Query, raw};
use crate::domain::arrival::{Arrival, Delivery};
use crate::domain::digest::Digest;
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::domain::instant;
use crate::domain::reply::NewReply;

#[derive(Serialize)]
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
    body: Option<Box<RawValue>>,
    /// What it was replied to with the last time it came: for answers, and for events that were passed on.
    reply: Option<Reply>,
}

#[derive(Serialize)]
struct Reply {
    #[serde(serialize_with = "instant::serialize")]
    at: Timestamp,
    source: &'static str,
    upstream_status: Option<u16>,
    upstream_ms: Option<u64>,
    trouble: Option<String>,
    ncco: Option<Box<RawValue>>,
}

/// `GET …/webhooks`: oldest first.
pub(super) async fn of_conversation(
    State(query): State<Query>,
    PathOf(id): PathOf<String>,
    parameters: Result<Parameters<ListParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let page = Page::asked(parameters)?;
    let after: i64 = page.after(|text| text.parse().ok())?.unwrap_or(0);
    let id = query.named(&id).await?;
    let mut arrivals = query.store.arrivals(&id).await?;
    arrivals.retain(|arrival| arrival.number > after);
    let replies = query.store.replies(&id).await?;
    // Of several replies to one event the last is kept here.
    let mut replies: HashMap<Digest, NewReply> =
        replies.into_iter().map(|reply| (reply.given.arrival, reply.given)).collect();
    let path = format!("/v1/conversations/{id}/webhooks");
    let application = query.application_of(&id).await?;
    let span = |arrival: &Arrival| Span::at(arrival.event.received_at, application.clone());
    let spans: Vec<Span> = page.shown(&arrivals).iter().map(span).collect();
    let blind = query.blind_around(&spans).await?;
    Ok(page.answer(
        &path,
        arrivals,
        |arrival| arrival.number.to_string(),
        |arrival| {
            let reply = replies.remove(&arrival.event.identity().digest);
            Webhook { reply: reply.map(Reply::from), ..Webhook::from(arrival) }
        },
        blind,
    ))
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
        let Delivery { endpoint, method, query, content_type, body } = event.delivery;
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
