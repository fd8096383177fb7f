//! Counting, for as long as there is time.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::rows::Table;
use super::{StoreError, arrivals, gaps, time_box};
use crate::domain::conversation::{CaptureState, State};
use crate::domain::stats::{
    Alike, Arrivals, Backlog, BlindTime, Conversations, FetchLag, Owed, Span, Stats, StoreSize,
};

const ARRIVALS: Table = Table("arrivals");
const CONVERSATIONS: Table = Table("conversations");
const FETCHES: Table = Table("fetches");

/// Counts. What is quick comes first, so that it is there whatever the rest takes.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    span: Span,
    now: Timestamp,
    patience: Duration,
) -> Result<Stats, StoreError> {
    let gaps = gaps::between(connection, span.since, span.until).await?;
    let (file_bytes, wal_bytes) = size_in_bytes(connection).await?;
    time_box::begin(connection, patience).await?;
    Ok(Stats {
        blind_time: BlindTime::within(&gaps, span, now),
        owed: owed(connection, now).await?,
        conversations: conversations(connection, span, now).await?,
        arrivals: arrivals_of(connection, span).await?,
        fetch_lag: fetch_lag(connection, span).await?,
        store: StoreSize {
            file_bytes,
            wal_bytes,
            conversations: rows(connection, "SELECT count(*) FROM conversations WHERE change >= 0").await?,
            snapshots: rows(connection, "SELECT count(*) FROM snapshots WHERE conversation_id >= ''").await?,
            documents: rows(connection, "SELECT count(*) FROM documents WHERE digest >= x''").await?,
            arrivals: rows(connection, "SELECT count(*) FROM arrivals WHERE moment >= -1e18").await?,
        },
    })
}

/// Counts what waits to be done. Each has an index that holds little else.
pub(super) async fn backlog(
    connection: &mut SqliteConnection,
    now: Timestamp,
    patience: Duration,
) -> Result<Backlog, StoreError> {
    time_box::begin(connection, patience).await?;
    Ok(Backlog {
        owed: owed(connection, now).await?,
        uninterpreted_arrivals: rows(
            connection,
            "SELECT count(*) FROM arrivals WHERE number > (SELECT derived FROM progress)",
        )
        .await?,
        missed_conversations: rows(
            connection,
            "SELECT count(*) FROM conversations WHERE capture_state = 'missed'",
        )
        .await?,
    })
}

/// `None` for a statement that was given up.
fn in_time<T>(outcome: Result<T, sqlx::Error>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(counted) => Ok(Some(counted)),
        Err(error) if time_box::is_over(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The number of rows that `statement` counts. It has a condition that an index knows, be it one that every row
/// fulfils: without one SQLite counts in a single step, which cannot be given up.
async fn rows(connection: &mut SqliteConnection, statement: &'static str) -> Result<Option<u64>, StoreError> {
    let counted: Option<i64> = in_time(query_scalar(statement).fetch_one(connection).await)?;
    Ok(counted.map(i64::unsigned_abs))
}

async fn size_in_bytes(connection: &mut SqliteConnection) -> Result<(u64, u64), StoreError> {
    let path: String = query_scalar("SELECT file FROM pragma_database_list WHERE name = 'main'")
        .fetch_one(connection)
        .await?;
    // Without readers and writers there is no log.
    let bytes = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    Ok((bytes(PathBuf::from(&path)), bytes(PathBuf::from(path + "-wal"))))
}

/// Looks that are due, with those that the log asks for and that are not posted yet.
async fn owed(connection: &mut SqliteConnection, now: Timestamp) -> Result<Option<Owed>, StoreError> {
    let row = query(
        "SELECT count(DISTINCT conversation_id) AS owed, min(due_at) AS due_at FROM (
             SELECT conversation_id, due_at FROM fetches WHERE due_at <= ?1
             UNION ALL
             SELECT conversation_id, received_at FROM unposted WHERE received_at <= ?1)",
    )
    .bind(now.as_microsecond())
    .fetch_one(connection)
    .await;
    let Some(row) = in_time(row)? else { return Ok(None) };
    let due_at = FETCHES.instant_option(&row, "due_at")?;
    Ok(Some(Owed {
        count: number(FETCHES, &row, "owed")?,
        oldest_age_seconds: due_at.map(|due_at| now.duration_since(due_at).as_secs_f64()),
    }))
}

async fn conversations(
    connection: &mut SqliteConnection,
    span: Span,
    now: Timestamp,
) -> Result<Option<Conversations>, StoreError> {
    let rows = query(
        "SELECT coalesce(over_from <= ?3, 0) AS is_over, status, direction, capture_state, count(*) AS alike
         FROM conversations WHERE listed_at >= ?1 AND listed_at < ?2 GROUP BY 1, 2, 3, 4",
    )
    .bind(span.since.as_microsecond())
    .bind(span.until.as_microsecond())
    .bind(now.as_microsecond())
    .fetch_all(connection)
    .await;
    let Some(rows) = in_time(rows)? else { return Ok(None) };
    rows.iter().map(alike).collect::<Result<_, _>>().map(Some)
}

fn alike(row: &SqliteRow) -> Result<Alike, StoreError> {
    let is_over: bool = CONVERSATIONS.get(row, "is_over")?;
    Ok(Alike {
        state: if is_over { State::Ended } else { State::Live },
        status: CONVERSATIONS.get(row, "status")?,
        direction: CONVERSATIONS.get(row, "direction")?,
        capture: CONVERSATIONS.parsed(row, "capture_state", CaptureState::named)?,
        count: number(CONVERSATIONS, row, "alike")?,
    })
}

async fn arrivals_of(connection: &mut SqliteConnection, span: Span) -> Result<Option<Arrivals>, StoreError> {
    let (first, last) = match arrivals::numbers_around(connection, span.since, span.until).await {
        Err(StoreError::TooLong) => return Ok(None),
        numbers => numbers?,
    };
    let row = query(
        "SELECT count(*) AS total, coalesce(sum(deliveries), 0) AS deliveries,
             min(received_at) AS oldest_at, max(received_at) AS newest_at
         FROM arrivals WHERE number BETWEEN ? AND ? AND received_at >= ? AND received_at < ?",
    )
    .bind(first)
    .bind(last)
    .bind(span.since.as_microsecond())
    .bind(span.until.as_microsecond())
    .fetch_one(connection)
    .await;
    let Some(row) = in_time(row)? else { return Ok(None) };
    Ok(Some(Arrivals {
        total: number(ARRIVALS, &row, "total")?,
        deliveries: number(ARRIVALS, &row, "deliveries")?,
        oldest_at: ARRIVALS.instant_option(&row, "oldest_at")?,
        newest_at: ARRIVALS.instant_option(&row, "newest_at")?,
    }))
}

async fn fetch_lag(connection: &mut SqliteConnection, span: Span) -> Result<Option<FetchLag>, StoreError> {
    let lags = query_scalar(
        "SELECT lag FROM (
             SELECT first_at - (
                 SELECT min(received_at) FROM mentions JOIN arrivals USING (number)
                 WHERE mentions.conversation_id = conversations.id) AS lag
             FROM conversations WHERE listed_at >= ? AND listed_at < ?)
         WHERE lag >= 0",
    )
    .bind(span.since.as_microsecond())
    .bind(span.until.as_microsecond())
    .fetch_all(connection)
    .await;
    let lags: Option<Vec<i64>> = in_time(lags)?;
    Ok(lags.map(|lags| FetchLag::of(lags.into_iter().map(SignedDuration::from_micros).collect())))
}

/// A count, which is never negative.
fn number(table: Table, row: &SqliteRow, column: &'static str) -> Result<u64, StoreError> {
    let number: i64 = table.get(row, column)?;
    u64::try_from(number).map_err(|_| table.corrupt(column))
}
