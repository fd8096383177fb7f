//! `/v1/gaps`: every time in which something could not be seen.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::problem::Problem;
use super::Query;
use super::blind::Blind;
use super::list::{Asked, List, Page};
use super::openapi::{OfLists, Problems};
use super::parameters::Parameters;
use crate::domain::gap::Gap;
use crate::store::GapPosition;

/// About what is told of a gap.
const GAP_BYTES: usize = 250;

/// The list is its own `blind`, which stays empty.
struct Gaps(Query);

impl List for Gaps {
    type Item = Gap;
    type Told = Blind;
    type Place = GapPosition;

    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("cause", "/cause"),
        ("reason", "/reason"),
        ("began_at", "/began_at"),
        ("ended_at", "/ended_at"),
        ("application_id", "/application_id"),
    ];

    async fn items(&self, after: Option<&GapPosition>, limit: u32) -> Result<Vec<Gap>, Problem> {
        Ok(self.0.store.gaps(limit, after.copied()).await?)
    }

    fn bytes(_: &Gap) -> usize {
        GAP_BYTES
    }

    fn place(gap: &Gap) -> GapPosition {
        GapPosition { began_at: gap.began_at, id: gap.id }
    }

    async fn tell(
        &self,
        items: Vec<Gap>,
        _: Option<&GapPosition>,
    ) -> Result<(Vec<Blind>, Vec<Blind>), Problem> {
        Ok((items.iter().map(Blind::from).collect(), Vec::new()))
    }
}

/// `GET /v1/gaps`: newest first.
#[utoipa::path(
    get,
    path = "/v1/gaps",
    tag = "gaps",
    params(OfLists),
    responses((status = 200, description = "Times in which the daemon could not see, newest first.", content((Page<Blind> = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))), Problems),
)]
pub(super) async fn list(
    State(query): State<Query>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut parameters, &headers)?;
    parameters.finish()?;
    asked.answer(Gaps(query), "/v1/gaps", &[]).await
}
