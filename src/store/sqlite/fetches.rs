//! The looks that are owed.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::StoreError;
use super::rows::Table;
use crate::domain::digest::Digest;
use crate::domain::fetch::{FetchState, HOPEFUL_FAILURES, Known, Lease, Settlement, Trouble, Urgency};
use crate::domain::ids::{ApplicationId, ConversationId, Region};

const TABLE: Table = Table("fetches");

/// The looks that are due at `?1` and not taken out, each with its class: [`Lease::urgency`] as SQL, and as a
/// number. `?2` is [`HOPEFUL_FAILURES`].
macro_rules! due {
    () => {
        "(SELECT conversation_id, due_at, CASE
             WHEN EXISTS (SELECT 1 FROM snapshots WHERE snapshots.conversation_id = fetches.conversation_id)
                 THEN urgency
             WHEN failures >= ?2 AND trouble IN ('not yet', 'refused') THEN 3
             WHEN urgency = 1 THEN 1
             ELSE 0 END AS class
         FROM fetches WHERE due_at <= ?1 AND (leased_until IS NULL OR leased_until <= ?1))"
    };
}

/// Takes out what is due. What was never seen goes first: its conversation may be gone any moment.
pub(super) async fn lease(
    connection: &mut SqliteConnection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Lease>, StoreError> {
    let rows = query(concat!(
        "UPDATE fetches SET leased_until = ?3
         WHERE conversation_id IN (SELECT conversation_id FROM ",
        due!(),
        " ORDER BY class, due_at LIMIT ?4)
         RETURNING *",
    ))
    .bind(now.as_microsecond())
    .bind(HOPEFUL_FAILURES)
    .bind(until.as_microsecond())
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut leases = Vec::with_capacity(rows.len());
    for row in rows {
        let conversation_id =
            TABLE.parsed(&row, "conversation_id", |text| ConversationId::parse(text).ok())?;
        let known = known(connection, &conversation_id).await?;
        leases.push(Lease {
            conversation_id,
            state: fetch_state(&row)?,
            asked: TABLE.get(&row, "asked")?,
            known,
        });
    }
    // The order of RETURNING is not that of the choice.
    leases.sort_by_key(|lease| (lease.urgency(), lease.state.due_at));
    Ok(leases)
}

async fn known(connection: &mut SqliteConnection, id: &ConversationId) -> Result<Option<Known>, StoreError> {
    const SNAPSHOTS: Table = Table("snapshots");
    let row = query(
        "SELECT snapshots.number, snapshots.sequence_number, snapshots.last_event_id, documents.digest
         FROM snapshots
         JOIN snapshot_documents ON snapshot_documents.snapshot_id = snapshots.id
             AND snapshot_documents.name = 'conversation'
         JOIN documents ON documents.id = snapshot_documents.document_id
         WHERE snapshots.conversation_id = ?
         ORDER BY snapshots.number DESC
         LIMIT 1",
    )
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let digest = Digest::from_bytes(SNAPSHOTS.get(&row, "digest")?);
        Ok(Known {
            snapshot: SNAPSHOTS.get(&row, "number")?,
            sequence_number: SNAPSHOTS.get(&row, "sequence_number")?,
            conversation: digest.ok_or(SNAPSHOTS.corrupt("digest"))?,
            last_event_id: SNAPSHOTS.get(&row, "last_event_id")?,
        })
    })
    .transpose()
}

/// How urgent the most urgent look is that is due and that nobody has taken out. What is not posted yet may be
/// of a conversation that was never seen.
pub(super) async fn most_urgent(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Option<Urgency>, StoreError> {
    let number: Option<i64> = query_scalar(concat!(
        "SELECT min(class) FROM (SELECT class FROM ",
        due!(),
        " UNION ALL
         SELECT CASE
             WHEN EXISTS (SELECT 1 FROM snapshots WHERE snapshots.conversation_id = unposted.conversation_id) THEN 2
             ELSE 0 END
         FROM unposted WHERE received_at <= ?1)",
    ))
    .bind(now.as_microsecond())
    .bind(HOPEFUL_FAILURES)
    .fetch_one(connection)
    .await?;
    number.map(|number| Urgency::numbered(number).ok_or(TABLE.corrupt("urgency"))).transpose()
}

/// When the next look that nobody has taken out is due.
pub(super) async fn next_due(connection: &mut SqliteConnection) -> Result<Option<Timestamp>, StoreError> {
    let row = query(
        "SELECT min(due_at) AS due_at FROM (
             SELECT min(max(due_at, coalesce(leased_until, 0))) AS due_at FROM fetches WHERE due_at IS NOT NULL
             UNION ALL
             SELECT min(received_at) FROM unposted)",
    )
    .fetch_one(connection)
    .await?;
    TABLE.instant_option(&row, "due_at")
}

/// Ends a lease. Arrivals since it began have asked for a look at once.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let state = &settlement.state;
    let microseconds = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    query(
        "INSERT INTO fetches (conversation_id, application_id, due_at, asked, failures, failing_since, trouble,
             gone_at, gave_up_at, urgency, region, looks)
         VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?11, ?12, 1)
         ON CONFLICT (conversation_id) DO UPDATE
         SET leased_until = NULL,
             application_id = coalesce(application_id, excluded.application_id),
             due_at = CASE WHEN asked > ?9 THEN min(coalesce(?3, ?10), ?10) ELSE ?3 END,
             urgency = CASE WHEN asked > ?9 THEN min(urgency, ?11) ELSE ?11 END,
             -- An arrival may have named the region since the look began.
             region = CASE WHEN asked > ?9 THEN coalesce(region, ?12) ELSE ?12 END,
             failures = ?4, failing_since = ?5, trouble = ?6, gone_at = ?7, gave_up_at = ?8,
             looks = looks + 1",
    )
    .bind(settlement.conversation_id.as_str())
    .bind(state.application_id.as_ref().map(ApplicationId::as_str))
    .bind(microseconds(state.due_at))
    .bind(state.failures)
    .bind(microseconds(state.failing_since))
    .bind(state.trouble.as_ref().map(Trouble::as_str))
    .bind(microseconds(state.gone_at))
    .bind(microseconds(state.gave_up_at))
    .bind(settlement.asked)
    .bind(settlement.settled_at.as_microsecond())
    .bind(state.urgency.number())
    .bind(state.region.as_ref().map(Region::as_str))
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a conversation was seen without a lease. What is owed stays owed.
pub(super) async fn seen(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    application: &ApplicationId,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO fetches (conversation_id, application_id, asked, looks) VALUES (?1, ?2, 0, 1)
         ON CONFLICT (conversation_id) DO UPDATE
         SET gone_at = NULL, gave_up_at = NULL, looks = looks + 1",
    )
    .bind(id.as_str())
    .bind(application.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends all leases.
pub(super) async fn release(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    query("UPDATE fetches SET leased_until = NULL WHERE leased_until IS NOT NULL")
        .execute(connection)
        .await?;
    Ok(())
}

/// The state of the looks at these conversations (a JSON array of ids), each with how many there were.
pub(super) async fn states(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<HashMap<String, (FetchState, i64)>, StoreError> {
    let rows = query("SELECT * FROM fetches WHERE conversation_id IN (SELECT value FROM json_each(?))")
        .bind(ids)
        .fetch_all(connection)
        .await?;
    let state = |row: &SqliteRow| {
        let looks = TABLE.get(row, "looks")?;
        Ok((TABLE.get(row, "conversation_id")?, (fetch_state(row)?, looks)))
    };
    rows.iter().map(state).collect()
}

fn fetch_state(row: &SqliteRow) -> Result<FetchState, StoreError> {
    Ok(FetchState {
        application_id: TABLE.parsed_option(row, "application_id", |text| ApplicationId::parse(text).ok())?,
        due_at: TABLE.instant_option(row, "due_at")?,
        failures: TABLE.get(row, "failures")?,
        failing_since: TABLE.instant_option(row, "failing_since")?,
        trouble: TABLE.parsed_option(row, "trouble", Trouble::named)?,
        gone_at: TABLE.instant_option(row, "gone_at")?,
        gave_up_at: TABLE.instant_option(row, "gave_up_at")?,
        region: TABLE.parsed_option(row, "region", |text| Region::parse(text).ok())?,
        urgency: Urgency::numbered(TABLE.get(row, "urgency")?).ok_or(TABLE.corrupt("urgency"))?,
    })
}
