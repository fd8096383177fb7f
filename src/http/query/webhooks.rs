//! `/v1/conversations/{id}/webhooks`: deliveries as they were received.

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::problem::Problem;
use super::{Query, json, raw};
use crate::domain::arrival::{Arrival, Delivery};
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::domain::instant;

#[derive(Serialize)]
struct List {
    items: Vec<Webhook>,
    next: Option<String>,
    blind: [(); 0],
}

#[derive(Serialize)]
struct Webhook {
    number: i64,
    endpoint: &'static str,
    kind: String,
    conversation_id: Option<ConversationId>,
    transferred_to: Option<ConversationId>,
    application_id: Option<ApplicationId>,
    origin: &'static str,
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
}

/// `GET …/webhooks`: oldest first.
pub(super) async fn of_conversation(
    State(query): State<Query>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = query.named(&id).await?;
    let items = query.store.arrivals(&id).await?.into_iter().map(Webhook::from).collect();
    Ok(json(&List { items, next: None, blind: [] }))
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
            received_at: event.received_at,
            deliveries: arrival.deliveries,
            last_received_at: arrival.last_received_at,
            method: method.as_str(),
            query,
            content_type,
            body: (!body.is_empty()).then(|| raw(&body)),
        }
    }
}
