//! What looks found goes to the log of versions, and to the documents they are made of.

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
        Finding::Unchanged(at) => tell_of_newest(connection, id, CONFIRM, at.as_microsecond()).await,
        Finding::Seen(sighting) => {
            let newest = snapshots::newest(connection, id).await?;
            // Looks can overlap: an older sighting says nothing of what was seen since.
            if let Some(newer) = newest.as_ref().filter(|newest| newest.taken_at > sighting.taken_at) {
                return Ok(Some(newer.number));
            }
            if newest.as_ref().is_some_and(|newest| is_same(newest, sighting)) {
                return tell_of_newest(connection, id, CONFIRM, sighting.taken_at.as_microsecond()).await;
            }
            let number = newest.map_or(1, |newest| newest.number + 1);
            insert(connection, id, number, sighting).await?;
            Ok(Some(number))
        }
        Finding::Events(list) => join(connection, id, list).await,
        Finding::NoEventList => tell_of_newest(connection, id, WITHOUT_LIST, NO_EVENT_LIST).await,
    }
}

/// Changes what the newest version says of itself with `?2`. Returns its number.
macro_rules! update_newest {
    ($set:literal) => {
        concat!(
            "UPDATE snapshots SET ",
            $set,
            " WHERE conversation_id = ?1
                 AND number = (SELECT max(number) FROM snapshots WHERE conversation_id = ?1)
             RETURNING number"
        )
    };
}

/// Nothing has changed since the newest version.
const CONFIRM: &str = update_newest!("confirmed_at = max(confirmed_at, ?2)");

/// The newest version has no event list. Events of it that were read stay read.
const WITHOUT_LIST: &str = update_newest!("last_event_id = coalesce(last_event_id, ?2)");

async fn tell_of_newest(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    statement: &'static str,
    value: i64,
) -> Result<Option<u32>, StoreError> {
    Ok(query_scalar(statement).bind(id.as_str()).bind(value).fetch_optional(connection).await?)
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
