//! `/v1/conversations/{id}/snapshots`: the versions of a conversation.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use jiff::Timestamp;
use json_patch::Patch;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::blind::Blind;
use super::list::{Asked, List, Page};
use super::openapi::{OfLists, Operation, Problems};
use super::parameters::Parameters;
use super::{PathOf, Query, tagged};
use crate::domain::digest::Digest;
use crate::domain::ids::ConversationId;
use crate::domain::instant;
use crate::domain::json::value_in;
use crate::domain::snapshot::{Digests, Document, Snapshot};

#[derive(Serialize, ToSchema)]
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
#[derive(Serialize, ToSchema)]
struct Entry {
    name: String,
    #[schema(value_type = String)]
    sha256: Digest,
    size_bytes: u64,
}

/// A document with its body, exactly as it is stored.
#[derive(Serialize, ToSchema)]
struct Whole {
    #[serde(flatten)]
    entry: Entry,
    #[schema(value_type = serde_json::Value)]
    body: Box<RawValue>,
}

/// About what is told of a version without documents.
const VERSION_BYTES: usize = 200;

/// About what is told of a document without its body.
const ENTRY_BYTES: usize = 150;

/// The versions of one conversation.
struct Versions {
    query: Query,
    id: ConversationId,
}

impl List for Versions {
    type Item = Digests;
    type Told = Version<Entry>;
    type Place = u32;

    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("number", "/number"),
        ("taken_at", "/taken_at"),
        ("confirmed_at", "/confirmed_at"),
        ("family", "/family"),
        ("sequence_number", "/sequence_number"),
        ("documents", "/documents"),
    ];

    async fn items(&self, after: Option<&u32>, limit: u32) -> Result<Vec<Digests>, Problem> {
        let mut versions = self.query.store.snapshots(&self.id).await?;
        versions.retain(|version| after.is_none_or(|after| version.number > *after));
        versions.truncate(limit as usize);
        Ok(versions)
    }

    fn bytes(version: &Digests) -> usize {
        VERSION_BYTES + version.documents.len() * ENTRY_BYTES
    }

    fn place(version: &Digests) -> u32 {
        version.number
    }

    async fn tell(
        &self,
        items: Vec<Digests>,
        _: Option<&u32>,
    ) -> Result<(Vec<Version<Entry>>, Vec<Blind>), Problem> {
        let blind = self.query.blind_of(&self.id, self.query.clock.now()).await?;
        Ok((items.into_iter().map(Version::from).collect(), blind))
    }
}

/// `GET …/snapshots`: oldest first, without bodies.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}/snapshots",
    tag = "conversations",
    params(("id" = String, Path, description = "The id of a conversation, a leg or a member."), OfLists),
    responses((status = 200, description = "Versions, oldest first.", content((Page<Version<Entry>> = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))), Problems),
)]
pub(super) async fn list(
    State(query): State<Query>,
    PathOf(id): PathOf<String>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::of(&mut parameters, &headers)?;
    parameters.finish()?;
    let id = query.named(&id).await?;
    let path = format!("/v1/conversations/{id}/snapshots");
    asked.answer(Versions { query, id }, &path, &[]).await
}

impl Query {
    /// A version with its documents.
    async fn version(&self, id: &ConversationId, number: &str) -> Result<Version<Whole>, Problem> {
        let number: u32 =
            number.parse().map_err(|_| Problem::not_found("snapshots are numbered 1, 2, 3 …"))?;
        let snapshot = self.store.snapshot(id, number).await?;
        let snapshot =
            snapshot.ok_or_else(|| Problem::not_found("the conversation has no snapshot of this number"))?;
        Ok(Version::from(snapshot))
    }
}

/// `GET …/snapshots/{number}`: one, with the documents.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}/snapshots/{number}",
    tag = "conversations",
    params(("id" = String, Path, description = "The id of a conversation, a leg or a member."), ("number" = u32, Path, description = "Which version: 1, 2, 3 …")),
    responses((status = 200, description = "The version with its documents.", body = Version<Whole>, content_type = "application/json"), (status = 304, description = "It is what the `If-None-Match` names."), Problems),
)]
pub(super) async fn one(
    State(query): State<Query>,
    PathOf((id, number)): PathOf<(String, String)>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    parameters.finish()?;
    let id = query.named(&id).await?;
    Ok(tagged::json(&query.version(&id, &number).await?, &headers))
}

/// `GET …/snapshots/{number}/diff?against=m`: what makes version `number` out of version `m`, as JSON Patch
/// (RFC 6902) for what `…/snapshots/m` answers. Without `against` it is the version before.
#[utoipa::path(
    get,
    path = "/v1/conversations/{id}/snapshots/{number}/diff",
    tag = "conversations",
    params(("id" = String, Path, description = "The id of a conversation, a leg or a member."), ("number" = u32, Path, description = "Which version: 1, 2, 3 …"), ("against" = Option<String>, Query, description = "The number of the version that it is compared with; without it, the one before.")),
    responses((status = 200, description = "JSON Patch (RFC 6902).", body = Vec<Operation>, content_type = "application/json-patch+json"), (status = 304, description = "It is what the `If-None-Match` names."), Problems),
)]
pub(super) async fn diff(
    State(query): State<Query>,
    PathOf((id, number)): PathOf<(String, String)>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let against = parameters.take("against");
    parameters.finish()?;
    let id = query.named(&id).await?;
    let version = query.version(&id, &number).await?;
    let before = match against {
        Some(against) => against,
        None if version.number > 1 => (version.number - 1).to_string(),
        None => {
            return Err(Problem::bad_request("nothing comes before the first snapshot: say against=NUMBER"));
        }
    };
    let before = query.version(&id, &before).await?;
    let patch = changes(&before, &version);
    let mut response = tagged::json(&patch, &headers);
    if response.headers().contains_key(CONTENT_TYPE) {
        let patch = HeaderValue::from_static("application/json-patch+json");
        response.headers_mut().insert(CONTENT_TYPE, patch);
    }
    Ok(response)
}

/// What turns the JSON of one into that of the other.
fn changes<T: Serialize>(from: &T, to: &T) -> Patch {
    let json = |value| {
        let text = serde_json::to_vec(value).expect("texts, numbers and JSON are always JSON");
        value_in(&text).expect("it was written as JSON")
    };
    json_patch::diff(&json(from), &json(to))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Number, Value};

    use super::changes;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::Number(Number::from(number))),
            "[a-c~/ ]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/]{0,2}", inner, 0..5)
                    .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_changes_applied_to_one_version_give_the_other(from in any_json(), to in any_json()) {
            let mut patched = from.clone();
            json_patch::patch(&mut patched, &changes(&from, &to)).expect("it applies");
            prop_assert_eq!(patched, to);
        }
    }
}
