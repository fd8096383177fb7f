//! Times in which something could not be seen, and the beat that tells when the daemon ran.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Sqlite, query, query::Query};

use super::rows::Table;
use super::{GapPosition, StoreError};
use crate::domain::gap::{Cause, Gap};
use crate::domain::ids::ApplicationId;

const TABLE: Table = Table("gaps");
const HEARTBEAT: Table = Table("heartbeat");

/// The statement that notes that the daemon runs.
pub(super) fn beat(at: Timestamp) -> Query<'static, Sqlite, SqliteArguments> {
    query("UPDATE heartbeat SET beat_at = ?").bind(at.as_microsecond())
}

/// When the daemon was last seen running.
pub(super) async fn last_beat(connection: &mut SqliteConnection) -> Result<Option<Timestamp>, StoreError> {
    let row = query("SELECT beat_at FROM heartbeat").fetch_one(connection).await?;
    HEARTBEAT.instant_option(&row, "beat_at")
}

/// Begins a gap, unless one like it lasts.
pub(super) async fn open(
    connection: &mut SqliteConnection,
    cause: Cause,
    application: Option<&ApplicationId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    for statement in [
        // One that began at the same instant goes on: there is no second.
        "UPDATE OR IGNORE gaps SET ended_at = NULL
         WHERE cause = ?1 AND application_id IS ?2 AND began_at = ?3 AND ended_at IS NOT NULL",
        "INSERT INTO gaps (cause, application_id, began_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    ] {
        query(statement)
            .bind(cause.as_str())
            .bind(application.map(ApplicationId::as_str))
            .bind(at.as_microsecond())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Ends the gap of this cause and application that lasts, if there is one.
pub(super) async fn close(
    connection: &mut SqliteConnection,
    cause: Cause,
    application: Option<&ApplicationId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE gaps SET ended_at = max(began_at, ?3)
         WHERE ended_at IS NULL AND cause = ?1 AND application_id IS ?2",
    )
    .bind(cause.as_str())
    .bind(application.map(ApplicationId::as_str))
    .bind(at.as_microsecond())
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends every gap that lasts.
pub(super) async fn close_all(connection: &mut SqliteConnection, at: Timestamp) -> Result<(), StoreError> {
    query("UPDATE gaps SET ended_at = max(began_at, ?) WHERE ended_at IS NULL")
        .bind(at.as_microsecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds a gap that is over; or lets the one that began at the same instant last longer.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    cause: Cause,
    application: Option<&ApplicationId>,
    (began_at, ended_at): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    for statement in [
        "INSERT INTO gaps (cause, application_id, began_at, ended_at)
         SELECT ?1, ?2, ?3, ?3 WHERE NOT EXISTS (
             SELECT 1 FROM gaps
             WHERE began_at = ?3 AND cause = ?1 AND application_id IS ?2 AND ended_at IS NOT NULL)",
        "UPDATE gaps SET ended_at = max(ended_at, ?4)
         WHERE began_at = ?3 AND cause = ?1 AND application_id IS ?2 AND ended_at IS NOT NULL",
    ] {
        query(statement)
            .bind(cause.as_str())
            .bind(application.map(ApplicationId::as_str))
            .bind(began_at.as_microsecond())
            .bind(ended_at.as_microsecond())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Newest first, from behind `after` on.
pub(super) async fn list(
    connection: &mut SqliteConnection,
    limit: u32,
    after: Option<GapPosition>,
) -> Result<Vec<Gap>, StoreError> {
    let (began_at, id) =
        after.map_or((i64::MAX, i64::MAX), |after| (after.began_at.as_microsecond(), after.id));
    let rows =
        query("SELECT * FROM gaps WHERE (began_at, id) < (?1, ?2) ORDER BY began_at DESC, id DESC LIMIT ?3")
            .bind(began_at)
            .bind(id)
            .bind(limit)
            .fetch_all(connection)
            .await?;
    rows.iter().map(gap).collect()
}

/// Those that touch the time from `from` to `to`, oldest first.
pub(super) async fn between(
    connection: &mut SqliteConnection,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Gap>, StoreError> {
    let rows = query(
        "SELECT * FROM gaps WHERE began_at <= ?2 AND (ended_at IS NULL OR ended_at >= ?1)
         ORDER BY began_at, id",
    )
    .bind(from.as_microsecond())
    .bind(to.as_microsecond())
    .fetch_all(connection)
    .await?;
    rows.iter().map(gap).collect()
}

fn gap(row: &SqliteRow) -> Result<Gap, StoreError> {
    Ok(Gap {
        id: TABLE.get(row, "id")?,
        cause: TABLE.parsed(row, "cause", Cause::named)?,
        began_at: TABLE.instant(row, "began_at")?,
        ended_at: TABLE.instant_option(row, "ended_at")?,
        application_id: TABLE.parsed_option(row, "application_id", |text| ApplicationId::parse(text).ok())?,
    })
}
