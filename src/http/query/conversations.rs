//! `/v1/conversations`: what is understood.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::blind::{Blind, Span};
use super::list::{Asked, List, Page, Part, json_bytes};
use super::openapi::{OfFilters, OfLists, Problems};
use super::parameters::Parameters;
use super::{PathOf, Query, json, tagged};
use crate::domain::conversation::{Interpretation, State as ConversationState};
use crate::domain::filter::{self, Filter};
use crate::domain::gap::Gap;
use crate::store::{self, Listed, Order, Position};

/// An interpretation, as of the moment of the answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Answer {
    /// What is understood.
    #[serde(flatten)]
    pub(in crate::http) interpretation: Interpretation,
    /// Whether it goes on.
    pub(in crate::http) state: ConversationState,
    /// The times of it that could not be seen.
    pub(in crate::http) blind: Vec<Blind>,
}

impl Answer {
    /// The answer at `now`; `gaps` are those that may touch it.
    fn at(mut interpretation: Interpretation, now: Timestamp, span: &Span, gaps: &[Gap]) -> Self {
        let state = interpretation.state(now);
        if state == ConversationState::Live {
            interpretation.ended_at = None;
        }
        Self { interpretation, state, blind: span.blind(gaps) }
    }
}

/// What a list of conversations is made with.
struct Conversations {
    query: Query,
    filter: Filter,
    order: Order,
    /// One for the whole list: a conversation must not be on one page as live and on the next as ended.
    now: Timestamp,
}

impl List for Conversations {
    type Item = Listed;
    type Told = Answer;
    type Place = Position;

    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("id", "/id"),
        ("name", "/name"),
        ("application_id", "/application_id"),
        ("state", "/state"),
        ("capture", "/capture/state"),
        ("capture_reason", "/capture/reason"),
        ("snapshots", "/capture/snapshots"),
        ("direction", "/direction"),
        ("from", "/from"),
        ("to", "/to"),
        ("started_at", "/started_at"),
        ("answered_at", "/answered_at"),
        ("ended_at", "/ended_at"),
        ("duration", "/duration"),
        ("price", "/price"),
        ("status", "/status"),
        ("members", "/members"),
        ("legs", "/legs"),
        ("blind", "/blind"),
    ];

    async fn items(&self, after: Option<&Position>, limit: u32) -> Result<Vec<Listed>, Problem> {
        let page = store::Page { order: self.order, limit, after: after.cloned() };
        Ok(self.query.store.conversations(&self.filter, self.now, &page).await?)
    }

    fn bytes(item: &Listed) -> usize {
        json_bytes(&item.interpretation)
    }

    fn place(item: &Listed) -> Position {
        item.position.clone()
    }

    async fn tell(
        &self,
        items: Vec<Listed>,
        after: Option<&Position>,
    ) -> Result<(Vec<Answer>, Vec<Blind>), Problem> {
        let span = |listed: &Listed| Span::of(&listed.interpretation, listed.position.listed_at, self.now);
        let mut spans: Vec<Span> = items.iter().map(span).collect();
        let application = || match &self.filter.application {
            Some(application) => Some(application.clone()),
            None => items.first().and_then(|listed| listed.interpretation.application_id.clone()),
        };
        let edges = self.edges(after, items.is_empty());
        spans.extend(edges.into_iter().flatten().map(|edge| Span::at(edge, application())));
        let gaps = self.query.gaps_around(&spans).await?;
        let answer = |listed: Listed| {
            let span = span(&listed);
            Answer::at(listed.interpretation, self.now, &span, &gaps)
        };
        Ok((items.into_iter().map(answer).collect(), gaps.iter().map(Blind::from).collect()))
    }
}

/// The parameters that are this list's own, as they were written: the conditions, and the order.
pub(in crate::http) fn own(parameters: &mut Parameters) -> Vec<(String, String)> {
    let mut own = parameters.take_all(&Filter::NAMES);
    own.extend(parameters.take_all(&["order"]));
    own
}

impl Conversations {
    /// Where the time ends that is asked for, towards the page before and beyond: calls may be missing there, and
    /// most of all where none was found.
    fn edges(&self, after: Option<&Position>, is_empty: bool) -> [Option<Timestamp>; 2] {
        let before = after.map(|after| after.listed_at);
        let since = self.filter.since.or(is_empty.then_some(Timestamp::UNIX_EPOCH));
        let until = self.filter.until.unwrap_or(self.now).min(self.now);
        match self.order {
            Order::NewestFirst => [before.or(Some(until)), since],
            Order::OldestFirst => [before.or(since), self.filter.until.or(is_empty.then_some(until))],
        }
    }

    /// The list with these parameters of its own.
    fn with(own: &mut [(String, String)], query: Query) -> Result<Self, Problem> {
        let now = query.clock.now();
        let value = |name: &str| own.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        let filter = Filter::read(value, filter::Context { now, country: query.country })
            .map_err(|fault| Problem::bad_request(fault.to_string()))?;
        let order = match value("order").as_deref() {
            None | Some("newest") => Order::NewestFirst,
            Some("oldest") => Order::OldestFirst,
            Some(_) => return Err(Problem::bad_request("order is newest or oldest")),
        };
        // The next page is of the same time, whenever it is asked for.
        for (name, value) in own {
            let instant = match name.as_str() {
                "since" => filter.since,
                "until" => filter.until,
                _ => None,
            };
            if let Some(instant) = instant {
                *value = instant.to_string();
            }
        }
        Ok(Self { query, filter, order, now })
    }
}

/// One page of the list, as the parameters ask for it.
pub(in crate::http) async fn page(query: Query, mut parameters: Parameters) -> Result<Page<Answer>, Problem> {
    let part = Part::of(&mut parameters)?;
    let mut own = own(&mut parameters);
    parameters.finish()?;
    let list = Conversations::with(&mut own, query)?;
    part.read(&list, &own).await
}

/// `GET /v1/conversations`: newest first.
#[utoipa::path(
    get,
    path = "/v1/conversations",
    tag = "conversations",
    params(OfLists, OfFilters),
    responses((status = 200, description = "Conversations.", content((Page<Answer> = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))), Problems),
)]
pub(super) async fn list(
    State(query): State<Query>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut parameters, &headers)?;
    let mut own = own(&mut parameters);
    parameters.finish()?;
    let list = Conversations::with(&mut own, query)?;
    asked.answer(list, "/v1/conversations", &own).await
}

impl Query {
    /// The conversation that a path names, as an answer has it.
    pub(in crate::http) async fn conversation(&self, id: &str) -> Result<Answer, Problem> {
        let (id, interpretation) = self.interpreted(id).await?;
        let now = self.clock.now();
        let span = Span::of(&interpretation, self.first_news(&id, &interpretation, now).await?, now);
        let gaps = self.gaps_around(std::slice::from_ref(&span)).await?;
        Ok(Answer::at(interpretation, now, &span, &gaps))
    }
}

/// `GET /v1/conversations/{id}`. Whoever has it already is told so, once it is over and changes rarely.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}",
    tag = "conversations",
    params(("id" = String, Path, description = "The id of a conversation, a leg or a member.")),
    responses((status = 200, description = "The conversation.", body = Answer, content_type = "application/json"), (status = 304, description = "It is what the `If-None-Match` names."), Problems),
)]
pub(super) async fn one(
    State(query): State<Query>,
    PathOf(id): PathOf<String>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let answer = query.conversation(&id).await?;
    Ok(match answer.state {
        ConversationState::Ended => tagged::json(&answer, &headers),
        ConversationState::Live => json(&answer),
    })
}
