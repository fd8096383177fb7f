//! `/v1/conversations/{id}/snapshots`: the versions of a conversation.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Parameters, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::problem::Problem;
use super::blind::Span;
use super::page::{ListParameters, Page};
use super::{PathOf, Query, json};
use crate::domain::digest::Digest;
use crate::domain::instant;
use crate::domain::snapshot::{Digests, Document, Snapshot};

#[derive(Serialize)]
struct Version<D> {
    number: u32,
    #[serde(serialize_with = "instant::serialize")]
    taken_at: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    confirmed_at: Timestamp,
    family: String,
    sequence_number: Option<i64>,
    documents: Vec<D>,
}

/// A document without its body.
#[derive(Serialize)]
struct Entry {
    name: String,
    sha256: Digest,
    size_bytes: u64,
}

/// A document with its body, exactly as it is stored.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    entry: Entry,
    body: Box<RawValue>,
}

/// `GET …/snapshots`: oldest first, without bodies.
pub(super) async fn list(
    State(query): State<Query>,
    PathOf(id): PathOf<String>,
    parameters: Result<Parameters<ListParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let page = Page::asked(parameters)?;
    let after: u32 = page.after(|text| text.parse().ok())?.unwrap_or(0);
    let id = query.named(&id).await?;
    let mut versions = query.store.snapshots(&id).await?;
    versions.retain(|version| version.number > after);
    let path = format!("/v1/conversations/{id}/snapshots");
    let application = query.application_of(&id).await?;
    let span = |version: &Digests| {
        [version.taken_at, version.confirmed_at].map(|at| Span::at(at, application.clone()))
    };
    let spans: Vec<Span> = page.shown(&versions).iter().flat_map(span).collect();
    let blind = query.blind_around(&spans).await?;
    Ok(page.answer(&path, versions, |version| version.number.to_string(), Version::from, blind))
}

/// `GET …/snapshots/{number}`: one, with the documents.
pub(super) async fn one(
    State(query): State<Query>,
    PathOf((id, number)): PathOf<(String, String)>,
) -> Result<Response, Problem> {
    let number: u32 = number.parse().map_err(|_| Problem::not_found("snapshots are numbered 1, 2, 3 …"))?;
    let id = query.named(&id).await?;
    let snapshot = query.store.snapshot(&id, number).await?;
    let snapshot =
        snapshot.ok_or_else(|| Problem::not_found("the conversation has no snapshot of this number"))?;
    Ok(json(&Version::from(snapshot)))
}

impl From<Digests> for Version<Entry> {
    fn from(digests: Digests) -> Self {
        let entry =
            |(name, sha256, size_bytes): (_, _, _)| Entry { name: name_text(&name), sha256, size_bytes };
        Self {
            number: digests.number,
            taken_at: digests.taken_at,
            confirmed_at: digests.confirmed_at,
            family: digests.family,
            sequence_number: digests.sequence_number,
            documents: digests.documents.into_iter().map(entry).collect(),
        }
    }
}

impl From<Snapshot> for Version<Whole> {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            number: snapshot.number,
            taken_at: snapshot.sighting.taken_at,
            confirmed_at: snapshot.confirmed_at,
            family: snapshot.sighting.family,
            sequence_number: snapshot.sighting.sequence_number,
            documents: snapshot.sighting.documents.iter().map(whole).collect(),
        }
    }
}

fn whole(document: &Document) -> Whole {
    let entry = Entry {
        name: name_text(&document.name),
        sha256: document.digest,
        size_bytes: document.body.len() as u64,
    };
    Whole { entry, body: super::raw(&document.body) }
}

fn name_text(name: &impl ToString) -> String {
    name.to_string()
}
