//! What is owed to each conversation, and how the looks at it went.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::query;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::StoreError;
use super::rows::Table;
use crate::domain::fetch::{FetchState, Settlement, Trouble, Urgency};
use crate::domain::ids::{ApplicationId, ConversationId, Region};

const TABLE: Table = Table("fetches");

/// Ends a lease. Arrivals since it began have asked for a look at once.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let state = &settlement.state;
    let microseconds = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    query(
        "INSERT INTO fetches (conversation_id, application_id, due_at, asked, failures, failing_since, trouble,
             gone_at, gave_up_at, urgency, region, looks, is_seen)
         VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?11, ?12, 1,
             EXISTS (SELECT 1 FROM snapshots WHERE conversation_id = ?1))
         ON CONFLICT (conversation_id) DO UPDATE
         SET leased_until = NULL,
             is_seen = max(is_seen, excluded.is_seen),
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

/// Notes that a conversation was seen without a lease, and whose it is. What is owed stays owed, and what was given
/// up is still not followed.
pub(super) async fn seen(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    application: &ApplicationId,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO fetches (conversation_id, application_id, asked, looks, is_seen) VALUES (?1, ?2, 0, 1, 1)
         ON CONFLICT (conversation_id) DO UPDATE
         SET is_seen = 1, gone_at = NULL, looks = looks + 1,
             application_id = coalesce(application_id, excluded.application_id)",
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

pub(super) fn fetch_state(row: &SqliteRow) -> Result<FetchState, StoreError> {
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
