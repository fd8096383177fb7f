//! The log of versions, and the documents they are made of.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::documents::Body;
use super::rows::Table;
use super::{StoreError, documents};
use crate::domain::digest::Digest;
use crate::domain::fetch::Finding;
use crate::domain::ids::{ConversationId, Region};
use crate::domain::snapshot::{Digests, Document, DocumentName, EventList, Sighting, Snapshot};

const SNAPSHOTS: Table = Table("snapshots");
const DOCUMENTS: Table = Table("documents");

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
            let newest = newest(connection, id).await?;
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

/// The versions of a conversation, oldest first, without bodies.
pub(super) async fn digests(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Vec<Digests>, StoreError> {
    digests_from(connection, id, 1).await
}

/// The newest version of a conversation.
async fn newest(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Option<Digests>, StoreError> {
    let number: Option<u32> = query_scalar("SELECT max(number) FROM snapshots WHERE conversation_id = ?")
        .bind(id.as_str())
        .fetch_one(&mut *connection)
        .await?;
    let Some(number) = number else { return Ok(None) };
    Ok(digests_from(connection, id, number).await?.pop())
}

async fn digests_from(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    number: u32,
) -> Result<Vec<Digests>, StoreError> {
    let rows = query(
        "SELECT snapshots.*, snapshot_documents.name, documents.digest, documents.size
         FROM snapshots
         LEFT JOIN snapshot_documents ON snapshot_documents.snapshot_id = snapshots.id
         LEFT JOIN documents ON documents.id = snapshot_documents.document_id
         WHERE conversation_id = ? AND snapshots.number >= ?
         ORDER BY snapshots.number, snapshot_documents.position",
    )
    .bind(id.as_str())
    .bind(number)
    .fetch_all(connection)
    .await?;
    let mut versions: Vec<Digests> = Vec::new();
    for row in &rows {
        let number = SNAPSHOTS.get(row, "number")?;
        if versions.last().is_none_or(|last| last.number != number) {
            versions.push(version(row, number)?);
        }
        if let (Some(name), Some(last)) = (name(row)?, versions.last_mut()) {
            last.documents.push((name, digest(row)?, size(row)?));
        }
    }
    Ok(versions)
}

fn version(row: &SqliteRow, number: u32) -> Result<Digests, StoreError> {
    Ok(Digests {
        number,
        taken_at: SNAPSHOTS.instant(row, "taken_at")?,
        confirmed_at: SNAPSHOTS.instant(row, "confirmed_at")?,
        family: SNAPSHOTS.get(row, "family")?,
        sequence_number: SNAPSHOTS.get(row, "sequence_number")?,
        documents: Vec::new(),
    })
}

fn name(row: &SqliteRow) -> Result<Option<DocumentName>, StoreError> {
    DOCUMENTS.parsed_option(row, "name", |text| text.parse().ok())
}

fn digest(row: &SqliteRow) -> Result<Digest, StoreError> {
    Digest::from_bytes(DOCUMENTS.get(row, "digest")?).ok_or(DOCUMENTS.corrupt("digest"))
}

fn size(row: &SqliteRow) -> Result<u64, StoreError> {
    let size: i64 = DOCUMENTS.get(row, "size")?;
    u64::try_from(size).map_err(|_| DOCUMENTS.corrupt("size"))
}

/// One version with its documents.
pub(super) async fn one(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    number: u32,
) -> Result<Option<Snapshot>, StoreError> {
    let rows = query(
        "SELECT snapshots.*, snapshot_documents.name, snapshot_documents.document_id
         FROM snapshots
         JOIN snapshot_documents ON snapshot_documents.snapshot_id = snapshots.id
         WHERE conversation_id = ? AND snapshots.number = ?
         ORDER BY snapshot_documents.position",
    )
    .bind(id.as_str())
    .bind(number)
    .fetch_all(&mut *connection)
    .await?;
    Ok(with_documents(connection, &rows).await?.pop())
}

/// The versions of these conversations (a JSON array of ids) with their documents, oldest first.
pub(super) async fn of_conversations(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<HashMap<String, Vec<Snapshot>>, StoreError> {
    let rows = query(
        "SELECT snapshots.*, snapshot_documents.name, snapshot_documents.document_id
         FROM snapshots
         JOIN snapshot_documents ON snapshot_documents.snapshot_id = snapshots.id
         WHERE conversation_id IN (SELECT value FROM json_each(?))
         ORDER BY conversation_id, snapshots.number, snapshot_documents.position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut snapshots: HashMap<String, Vec<Snapshot>> = HashMap::new();
    for snapshot in with_documents(connection, &rows).await? {
        snapshots.entry(snapshot.conversation_id.to_string()).or_default().push(snapshot);
    }
    Ok(snapshots)
}

/// The versions in rows of one document each. A long conference has the same documents in many of its versions:
/// each is read once and shared.
async fn with_documents(
    connection: &mut SqliteConnection,
    rows: &[SqliteRow],
) -> Result<Vec<Snapshot>, StoreError> {
    let document_id = |row| SNAPSHOTS.get::<i64>(row, "document_id");
    let ids: BTreeSet<i64> = rows.iter().map(document_id).collect::<Result<_, _>>()?;
    let bodies = documents::bodies(connection, &ids).await?;
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for row in rows {
        let (conversation, number): (&str, u32) =
            (SNAPSHOTS.get(row, "conversation_id")?, SNAPSHOTS.get(row, "number")?);
        let is_of = |last: &Snapshot| last.conversation_id.as_str() == conversation && last.number == number;
        if !snapshots.last().is_some_and(is_of) {
            snapshots.push(empty(row, number)?);
        }
        let Body { digest, bytes: body } =
            bodies.get(&document_id(row)?).cloned().ok_or(DOCUMENTS.corrupt("body"))?;
        let name = name(row)?.ok_or(DOCUMENTS.corrupt("name"))?;
        if let Some(last) = snapshots.last_mut() {
            last.sighting.documents.push(Document { name, digest, body });
        }
    }
    Ok(snapshots)
}

fn empty(row: &SqliteRow, number: u32) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        conversation_id: SNAPSHOTS.parsed(row, "conversation_id", |text| ConversationId::parse(text).ok())?,
        number,
        sighting: Sighting {
            taken_at: SNAPSHOTS.instant(row, "taken_at")?,
            family: SNAPSHOTS.get(row, "family")?,
            sequence_number: SNAPSHOTS.get(row, "sequence_number")?,
            documents: Vec::new(),
            region: SNAPSHOTS.parsed_option(row, "region", |text| Region::parse(text).ok())?,
        },
        confirmed_at: SNAPSHOTS.instant(row, "confirmed_at")?,
    })
}
