//! What looks found goes to the log of versions, and to the documents they are made of.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_scalar};

use super::rows::Table;
use super::{StoreError, documents, snapshots};
use crate::domain::fetch::Finding;
use crate::domain::ids::{ConversationId, Region};
use crate::domain::snapshot::{Digests, Document, DocumentName, EventList, Sighting};

const SNAPSHOTS: Table = Table("snapshots");

/// A version's `last_event_id` where there was no event list: events are counted from 1.
pub(super) const NO_EVENT_LIST: i64 = 0;

/// Keeps what a look found. Returns the number of the snapshot that was made or confirmed.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    finding: &Finding,
) -> Result<Option<u32>, StoreError> {
    match finding {
        Finding::Nothing => Ok(None),
        Finding::Unchanged(at) => confirm(connection, id, *at).await,
        Finding::Seen(sighting) => {
            let newest = snapshots::newest(connection, id).await?;
            // Looks can overlap: an older sighting says nothing of what was seen since.
            if let Some(newer) = newest.as_ref().filter(|newest| newest.taken_at > sighting.taken_at) {
                return Ok(Some(newer.number));
            }
            if newest.as_ref().is_some_and(|newest| is_same(newest, sighting)) {
                return confirm(connection, id, sighting.taken_at).await;
            }
            let number = newest.map_or(1, |newest| newest.number + 1);
            insert(connection, id, number, sighting).await?;
            Ok(Some(number))
        }
        Finding::Events(list) => join(connection, id, list).await,
        Finding::NoEventList => mark_without_list(connection, id).await,
    }
}

/// The newest version has no event list. Events of it that were read stay read.
async fn mark_without_list(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Option<u32>, StoreError> {
    let number = query_scalar(
        "UPDATE snapshots SET last_event_id = coalesce(last_event_id, ?2)
         WHERE conversation_id = ?1
             AND number = (SELECT max(number) FROM snapshots WHERE conversation_id = ?1)
         RETURNING number",
    )
    .bind(id.as_str())
    .bind(NO_EVENT_LIST);
    Ok(number.fetch_optional(connection).await?)
}

/// Nothing has changed since the newest version.
async fn confirm(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    at: Timestamp,
) -> Result<Option<u32>, StoreError> {
    let row = query(
        "UPDATE snapshots SET confirmed_at = max(confirmed_at, ?2)
         WHERE conversation_id = ?1
             AND number = (SELECT max(number) FROM snapshots WHERE conversation_id = ?1)
         RETURNING number",
    )
    .bind(id.as_str())
    .bind(at.as_microsecond())
    .fetch_optional(connection)
    .await?;
    row.map(|row| SNAPSHOTS.get(&row, "number")).transpose()
}

/// Adds events to the newest version. Looks can overlap: those that are had are not added again.
async fn join(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    list: &EventList,
) -> Result<Option<u32>, StoreError> {
    let row = query(
        "SELECT id, number, (SELECT max(last_event_id) FROM snapshots WHERE conversation_id = ?1) AS last_event_id,
             (SELECT count(*) FROM snapshot_documents WHERE snapshot_id = snapshots.id) AS documents
         FROM snapshots WHERE conversation_id = ?1 ORDER BY number DESC LIMIT 1",
    )
    .bind(id.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let had: Option<i64> = SNAPSHOTS.get(&row, "last_event_id")?;
    if list.last_event_id > had {
        let snapshot_id: i64 = SNAPSHOTS.get(&row, "id")?;
        insert_documents(connection, snapshot_id, SNAPSHOTS.get(&row, "documents")?, &list.documents).await?;
        query("UPDATE snapshots SET last_event_id = ?2 WHERE id = ?1")
            .bind(snapshot_id)
            .bind(list.last_event_id)
            .execute(connection)
            .await?;
    }
    Ok(Some(SNAPSHOTS.get(&row, "number")?))
}

/// Whether a sighting holds nothing new. The events that have joined the newest version are none of a sighting's.
fn is_same(newest: &Digests, sighting: &Sighting) -> bool {
    let is_events = |name: &DocumentName| matches!(name, DocumentName::Events { .. });
    let theirs = sighting.documents.iter().map(|document| (&document.name, document.digest));
    let ours = newest.documents.iter().filter(|(name, ..)| !is_events(name));
    ours.map(|(name, digest, _)| (name, *digest)).eq(theirs)
}

async fn insert(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    number: u32,
    sighting: &Sighting,
) -> Result<(), StoreError> {
    let row = query(
        "INSERT INTO snapshots (conversation_id, number, taken_at, confirmed_at, family, sequence_number, region)
         VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6)
         RETURNING id",
    )
    .bind(id.as_str())
    .bind(number)
    .bind(sighting.taken_at.as_microsecond())
    .bind(sighting.family.as_str())
    .bind(sighting.sequence_number)
    .bind(sighting.region.as_ref().map(Region::as_str))
    .fetch_one(&mut *connection)
    .await?;
    insert_documents(connection, SNAPSHOTS.get(&row, "id")?, 0, &sighting.documents).await
}

/// Gives a version these documents, from a place in it on.
async fn insert_documents(
    connection: &mut SqliteConnection,
    snapshot_id: i64,
    first: i64,
    documents: &[Document],
) -> Result<(), StoreError> {
    for (position, document) in (first..).zip(documents) {
        let document_id = documents::id_of(connection, document.digest, &document.body).await?;
        query(
            "INSERT INTO snapshot_documents (snapshot_id, position, name, document_id) VALUES (?, ?, ?, ?)",
        )
        .bind(snapshot_id)
        .bind(position)
        .bind(document.name.to_string())
        .bind(document_id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
