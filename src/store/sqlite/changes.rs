//! What happened, in the order in which it was written: each log has numbers that only go up.

use std::collections::HashMap;

use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::rows::Table;
use super::{StoreError, derived, json, queries};
use crate::domain::arrival::Endpoint;
use crate::domain::change::{Change, News, NewsOfArrival, NewsOfConversation, NewsOfSnapshot, Place};
use crate::domain::conversation::{Capture, Interpretation};
use crate::domain::digest::Digest;
use crate::domain::ids::{ApplicationId, ConversationId};

const ARRIVALS: Table = Table("arrivals");
const SNAPSHOTS: Table = Table("snapshots");
const CONVERSATIONS: Table = Table("conversations");

/// The number of each conversation's last change, and the fingerprint of what was told then.
pub(super) type Marks = HashMap<String, (i64, Digest)>;

/// Deletes the rows of these conversations (a JSON array of ids), which are about to be replaced.
pub(super) async fn delete(connection: &mut SqliteConnection, ids: &str) -> Result<Marks, StoreError> {
    let rows = query(
        "DELETE FROM conversations WHERE id IN (SELECT value FROM json_each(?))
         RETURNING id, change, fingerprint",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut marks = Marks::new();
    for row in &rows {
        let fingerprint: Option<&[u8]> = CONVERSATIONS.get(row, "fingerprint")?;
        if let Some(fingerprint) = fingerprint.and_then(Digest::from_bytes) {
            marks.insert(CONVERSATIONS.get(row, "id")?, (CONVERSATIONS.get(row, "change")?, fingerprint));
        }
    }
    Ok(marks)
}

/// Numbers what has changed of conversations that were just written; the others keep the numbers of `before`.
pub(super) async fn number(
    connection: &mut SqliteConnection,
    written: impl Iterator<Item = &Interpretation>,
    before: &Marks,
) -> Result<(), StoreError> {
    let mut newest: i64 = query_scalar("SELECT newest FROM changes").fetch_one(&mut *connection).await?;
    let mut rows = Vec::new();
    for one in written {
        let fingerprint = fingerprint(one);
        let kept = before.get(one.id.as_str()).filter(|(_, told)| *told == fingerprint);
        let change = kept.map_or_else(
            || {
                newest += 1;
                newest
            },
            |(change, _)| *change,
        );
        rows.push(json!([one.id, change, fingerprint]));
    }
    query(
        "UPDATE conversations SET change = value->>1, fingerprint = unhex(value->>2)
         FROM json_each(?) WHERE conversations.id = value->>0",
    )
    .bind(json(&rows))
    .execute(&mut *connection)
    .await?;
    query("UPDATE changes SET newest = ?").bind(newest).execute(connection).await?;
    Ok(())
}

/// What is told of a conversation, apart from when it was last confirmed: that moves with each look at a call
/// that goes on, and is no news.
fn fingerprint(one: &Interpretation) -> Digest {
    let capture = Capture { last_at: None, ..one.capture.clone() };
    let lasting = Interpretation { capture, ..one.clone() };
    let told = serde_json::to_vec(&(lasting, derived::over_from(one.ending)));
    Digest::of(&told.expect("texts and numbers are always JSON"))
}

/// The end of the logs. The counters of `AUTOINCREMENT` stay where they are when the newest rows are deleted.
pub(super) async fn end(connection: &mut SqliteConnection) -> Result<Place, StoreError> {
    let (arrival, snapshot, change) = sqlx::query_as(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'arrivals'), 0),
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'), 0), newest FROM changes",
    )
    .fetch_one(connection)
    .await?;
    Ok(Place { arrival, snapshot, change })
}

/// What happened after `place`, at most `limit` of each log.
pub(super) async fn after(
    connection: &mut SqliteConnection,
    mut place: Place,
    limit: u32,
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for row in rows(connection, NEW_ARRIVALS, place.arrival, limit).await? {
        place.arrival = ARRIVALS.get(&row, "number")?;
        changes.push(Change { place, news: News::Arrival(arrival(&row)?) });
    }
    for row in rows(connection, NEW_SNAPSHOTS, place.snapshot, limit).await? {
        place.snapshot = SNAPSHOTS.get(&row, "id")?;
        changes.push(Change { place, news: News::Snapshot(snapshot(&row)?) });
    }
    for row in rows(connection, CHANGED_CONVERSATIONS, place.change, limit).await? {
        place.change = CONVERSATIONS.get(&row, "change")?;
        let conversation = queries::conversation_row(&row)?.interpretation;
        changes.push(Change { place, news: News::Conversation(NewsOfConversation::from(conversation)) });
    }
    Ok(changes)
}

const NEW_ARRIVALS: &str = "
    SELECT number, endpoint, kind, conversation_id, transferred_to, application_id, received_at
    FROM arrivals WHERE number > ? ORDER BY number LIMIT ?";

const NEW_SNAPSHOTS: &str = "
    SELECT id, conversation_id, number, taken_at FROM snapshots WHERE id > ? ORDER BY id LIMIT ?";

const CHANGED_CONVERSATIONS: &str = "SELECT * FROM conversations WHERE change > ? ORDER BY change LIMIT ?";

async fn rows(
    connection: &mut SqliteConnection,
    statement: &'static str,
    after: i64,
    limit: u32,
) -> Result<Vec<SqliteRow>, StoreError> {
    Ok(query(statement).bind(after).bind(limit).fetch_all(connection).await?)
}

fn arrival(row: &SqliteRow) -> Result<NewsOfArrival, StoreError> {
    let conversation = |text: &str| ConversationId::parse(text).ok();
    Ok(NewsOfArrival {
        number: ARRIVALS.get(row, "number")?,
        endpoint: ARRIVALS.parsed(row, "endpoint", Endpoint::named)?,
        kind: ARRIVALS.get(row, "kind")?,
        conversation_id: ARRIVALS.parsed_option(row, "conversation_id", conversation)?,
        transferred_to: ARRIVALS.parsed_option(row, "transferred_to", conversation)?,
        application_id: ARRIVALS
            .parsed_option(row, "application_id", |text| ApplicationId::parse(text).ok())?,
        received_at: ARRIVALS.instant(row, "received_at")?,
    })
}

fn snapshot(row: &SqliteRow) -> Result<NewsOfSnapshot, StoreError> {
    Ok(NewsOfSnapshot {
        conversation_id: SNAPSHOTS.parsed(row, "conversation_id", |text| ConversationId::parse(text).ok())?,
        number: SNAPSHOTS.get(row, "number")?,
        taken_at: SNAPSHOTS.instant(row, "taken_at")?,
    })
}
