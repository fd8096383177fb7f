//! The log of versions, read.

use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::documents::Body;
use super::rows::Table;
use super::{StoreError, documents};
use crate::domain::digest::Digest;
use crate::domain::ids::{ConversationId, Region};
use crate::domain::snapshot::{Digests, Document, DocumentName, Sighting, Snapshot};

const SNAPSHOTS: Table = Table("snapshots");
const DOCUMENTS: Table = Table("documents");

/// The versions of a conversation, oldest first, without bodies.
pub(super) async fn digests(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Vec<Digests>, StoreError> {
    digests_from(connection, id, 1).await
}

/// The newest version of a conversation.
pub(super) async fn newest(
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

/// The bytes of the documents of [`of_conversations`], each counted once in a conversation.
pub(super) async fn bytes_of_conversations(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<HashMap<String, u64>, StoreError> {
    let rows = query(
        "SELECT conversation_id, sum(size) AS size FROM (
             SELECT DISTINCT snapshots.conversation_id, snapshot_documents.document_id FROM snapshots
             JOIN snapshot_documents ON snapshot_documents.snapshot_id = snapshots.id
             WHERE conversation_id IN (SELECT value FROM json_each(?)))
         JOIN documents ON documents.id = document_id GROUP BY conversation_id",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((SNAPSHOTS.get(row, "conversation_id")?, size(row)?))).collect()
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
