//! `/v1/gaps`: every time in which something could not be seen.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Parameters, State};
use axum::response::Response;
use jiff::Timestamp;

use super::super::problem::Problem;
use super::Query;
use super::blind::Blind;
use super::page::{ListParameters, Page};
use crate::domain::gap::Gap;
use crate::store::GapPosition;

/// `GET /v1/gaps`: newest first. It is its own `blind`, which stays empty.
pub(super) async fn list(
    State(query): State<Query>,
    parameters: Result<Parameters<ListParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let page = Page::asked(parameters)?;
    let after = page.after(decode)?;
    let gaps = query.store.gaps(page.limit + 1, after).await?;
    Ok(page.answer("/v1/gaps", gaps, encode, |gap| Blind::from(&gap), Vec::new()))
}

/// Where the list goes on behind a gap: microseconds and number.
fn encode(gap: &Gap) -> String {
    format!("{}.{}", gap.began_at.as_microsecond(), gap.id)
}

fn decode(cursor: &str) -> Option<GapPosition> {
    let (microseconds, id) = cursor.split_once('.')?;
    let began_at = Timestamp::from_microsecond(microseconds.parse().ok()?).ok()?;
    Some(GapPosition { began_at, id: id.parse().ok()? })
}
