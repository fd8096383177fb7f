//! The log of versions, and the documents they are made of.

use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::documents::Body;
use super::rows::Table;
use super::{StoreError, documents};
use crate::domain::digest::Digest;
use crate::domain::fetch::Finding;
use crate::domain::ids::{ConversationId, Region};
use crate::domain::snapshot::{Digests, Document, DocumentName, EventsRead, Sighting, Snapshot};

const SNAPSHOTS: Table = Table("snapshots");
const DOCUMENTS: Table = Table("documents");

/// Keeps what a look found. Returns the number of the snapshot that was made or confirmed.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    finding: &Finding,
) -> Result<Option<u32>, StoreError> {
    let (confirmed_at, last_event_id) = match finding {
        Finding::Nothing => return Ok(None),
        Finding::Unchanged(at) => (*at, None),
        Finding::Seen(sighting) => {
            let newest = newest(connection, id).await?;
            // Looks can overlap: an older sighting says nothing of what was seen since.
            if let Some(newer) = newest.as_ref().filter(|newest| newest.taken_at > sighting.taken_at) {
                return Ok(Some(newer.number));
            }
            if !newest.as_ref().is_some_and(|newest| is_same(newest, sighting)) {
                let number = newest.map_or(1, |newest| newest.number + 1);
                insert(connection, id, number, sighting).await?;
                return Ok(Some(number));
            }
            (sighting.taken_at, sighting.events.last_event_id())
        }
    };
    let row = query(
        "UPDATE snapshots SET confirmed_at = max(confirmed_at, ?2), last_event_id = coalesce(?3, last_event_id)
         WHERE conversation_id = ?1
             AND number = (SELECT max(number) FROM snapshots WHERE conversation_id = ?1)
         RETURNING number",
    )
    .bind(id.as_str())
    .bind(confirmed_at.as_microsecond())
    .bind(last_event_id)
    .fetch_optional(connection)
    .await?;
    row.map(|row| SNAPSHOTS.get(&row, "number")).transpose()
}

/// Whether a sighting holds nothing new. Events are read from the last known one on, so those of an earlier
/// version are not in a later one, and any that are there are new.
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
        "INSERT INTO snapshots (conversation_id, number, taken_at, confirmed_at, family, sequence_number,
             last_event_id, region)
         -- What an earlier look read of the events stays read, whatever came of them now.
         VALUES (?1, ?2, ?3, ?3, ?4, ?5,
             coalesce(?6, (SELECT max(last_event_id) FROM snapshots WHERE conversation_id = ?1)), ?7)
         RETURNING id",
    )
    .bind(id.as_str())
    .bind(number)
    .bind(sighting.taken_at.as_microsecond())
    .bind(sighting.family.as_str())
    .bind(sighting.sequence_number)
    .bind(sighting.events.last_event_id())
    .bind(sighting.region.as_ref().map(Region::as_str))
    .fetch_one(&mut *connection)
    .await?;
    let snapshot_id: i64 = SNAPSHOTS.get(&row, "id")?;
    for (position, document) in (0_i64..).zip(&sighting.documents) {
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
            events: events_read(row)?,
            region: SNAPSHOTS.parsed_option(row, "region", |text| Region::parse(text).ok())?,
        },
        confirmed_at: SNAPSHOTS.instant(row, "confirmed_at")?,
    })
}

fn events_read(row: &SqliteRow) -> Result<EventsRead, StoreError> {
    let last_event_id: Option<i64> = SNAPSHOTS.get(row, "last_event_id")?;
    Ok(match last_event_id {
        Some(_) => EventsRead::Read { last_event_id },
        None => EventsRead::NotAsked,
    })
}
