//! The log of webhooks.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, query, query_scalar};

use super::StoreError;
use super::rows::{Table, placeholders};
use crate::domain::arrival::{Arrival, Delivery, Endpoint, Identity, Method, NewArrival, Origin};
use crate::domain::ids::{ApplicationId, ConversationId, Region};
use crate::store::PORTION_BYTES;

/// Rows in one insert, and so arrivals in one commit: enough for every connection of a busy hour, few enough
/// to keep the first of them from waiting for the last.
pub(super) const MAX_ROWS: usize = 128;

const TABLE: Table = Table("arrivals");

const COLUMNS: usize = 18;

/// The statement that appends so many arrivals. The unique key decides what is a redelivery, also within the
/// batch.
pub(super) fn insert(rows: usize) -> String {
    format!(
        "INSERT INTO arrivals (digest, moment, endpoint, method, query, covered_query, content_type, body,
            application_id, origin, kind, conversation_id, transferred_to, occurred_at, region, fallback_reason, received_at,
            last_received_at)
         VALUES {}
         ON CONFLICT (moment, digest) DO UPDATE
         SET deliveries = deliveries + 1, last_received_at = max(last_received_at, excluded.last_received_at)",
        placeholders(rows, COLUMNS)
    )
}

/// Fills in the values of [`insert`].
pub(super) fn bind(
    mut insert: Query<'_, Sqlite, SqliteArguments>,
    arrivals: Vec<(Identity, NewArrival)>,
) -> Query<'_, Sqlite, SqliteArguments> {
    for (identity, arrival) in arrivals {
        let delivery = arrival.delivery;
        insert = insert
            .bind(identity.digest.as_bytes().to_vec())
            .bind(identity.moment.map_or(0, Timestamp::as_microsecond))
            .bind(delivery.endpoint.as_str())
            .bind(delivery.method.as_str())
            .bind(delivery.query)
            .bind(delivery.covered_query)
            .bind(delivery.content_type)
            .bind(delivery.body)
            .bind(arrival.application_id.map(String::from))
            .bind(arrival.origin.as_str())
            .bind(arrival.kind)
            .bind(arrival.conversation_id.map(String::from))
            .bind(arrival.transferred_to.map(String::from))
            .bind(arrival.occurred_at.map(Timestamp::as_microsecond))
            .bind(arrival.region.map(String::from))
            .bind(arrival.fallback_reason)
            .bind(arrival.received_at.as_microsecond())
            .bind(arrival.received_at.as_microsecond());
    }
    insert
}

/// The arrivals up to `through` that speak of these conversations (a JSON array of ids), oldest first. One that
/// speaks of two is there for both.
pub(super) async fn of_conversations(
    connection: &mut SqliteConnection,
    ids: &str,
    through: i64,
) -> Result<HashMap<String, Vec<Arrival>>, StoreError> {
    let sql = format!(
        "{SPOKEN_OF}
         SELECT spoken_of.speaks_of, arrivals.* FROM spoken_of JOIN arrivals USING (number) ORDER BY number"
    );
    // Row by row: all of them would be in memory twice.
    let mut rows = query(AssertSqlSafe(sql)).bind(ids).bind(through).fetch(connection);
    let mut arrivals: HashMap<String, Vec<Arrival>> = HashMap::new();
    while let Some(row) = rows.try_next().await? {
        arrivals.entry(TABLE.get(&row, "speaks_of")?).or_default().push(arrival(&row)?);
    }
    Ok(arrivals)
}

/// The arrivals up to `?2` that speak of the conversations of `?1`, a JSON array of ids.
const SPOKEN_OF: &str = "
    WITH spoken_of (speaks_of, number) AS (
        SELECT conversation_id, number FROM mentions
        WHERE conversation_id IN (SELECT value FROM json_each(?1))
        UNION ALL
        SELECT conversation_id, number FROM unposted
        WHERE number <= ?2 AND conversation_id IN (SELECT value FROM json_each(?1)))";

/// The bytes of the bodies and queries of [`of_conversations`]. No body is read for that.
pub(super) async fn bytes_of_conversations(
    connection: &mut SqliteConnection,
    ids: &str,
    through: i64,
) -> Result<HashMap<String, u64>, StoreError> {
    let sql = format!(
        "{SPOKEN_OF}
         SELECT spoken_of.speaks_of, sum(octet_length(body) + coalesce(octet_length(query), 0)) AS bytes
         FROM spoken_of JOIN arrivals USING (number) GROUP BY spoken_of.speaks_of"
    );
    let rows = query(AssertSqlSafe(sql)).bind(ids).bind(through).fetch_all(connection).await?;
    let bytes = |row| u64::try_from(TABLE.get::<i64>(row, "bytes")?).map_err(|_| TABLE.corrupt("body"));
    rows.iter().map(|row| Ok((TABLE.get(row, "speaks_of")?, bytes(row)?))).collect()
}

/// Those that speak of a conversation, oldest first, from behind `after` on.
pub(super) async fn after(
    connection: &mut SqliteConnection,
    id: &ConversationId,
    after: i64,
    limit: u32,
) -> Result<Vec<Arrival>, StoreError> {
    let rows = query(
        "SELECT arrivals.* FROM (
             SELECT number, sum(bytes) OVER (ORDER BY number) - bytes AS bytes_before FROM (
                 SELECT number, octet_length(body) AS bytes FROM arrivals WHERE number IN (
                     SELECT number FROM mentions WHERE conversation_id = ?1 AND number > ?2
                     UNION
                     SELECT number FROM unposted WHERE conversation_id = ?1 AND number > ?2
                     ORDER BY number LIMIT ?3)))
         JOIN arrivals USING (number) WHERE bytes_before < ?4 ORDER BY number",
    )
    .bind(id.as_str())
    .bind(after)
    .bind(limit)
    .bind(PORTION_BYTES)
    .fetch_all(connection)
    .await?;
    rows.iter().map(arrival).collect()
}

/// Newest first, from behind `after` on.
pub(super) async fn newest(
    connection: &mut SqliteConnection,
    limit: u32,
    after: Option<i64>,
) -> Result<Vec<Arrival>, StoreError> {
    let rows = query(
        "SELECT arrivals.* FROM (
             SELECT number, sum(bytes) OVER (ORDER BY number DESC) - bytes AS bytes_before FROM (
                 SELECT number, octet_length(body) AS bytes FROM arrivals
                 WHERE number < ?1 ORDER BY number DESC LIMIT ?2))
         JOIN arrivals USING (number) WHERE bytes_before < ?3 ORDER BY number DESC",
    )
    .bind(after.unwrap_or(i64::MAX))
    .bind(limit)
    .bind(PORTION_BYTES)
    .fetch_all(connection)
    .await?;
    rows.iter().map(arrival).collect()
}

/// How far apart, in numbers, two arrivals may be whose order differs from that of their times: a queue's worth.
const DISORDER: i64 = 10_000;

/// The numbers between which every arrival from `since` to `until` is. Arrivals come nearly in the order of their
/// times: it is found by halving, and no commit has an index of times to write.
pub(super) async fn numbers_around(
    connection: &mut SqliteConnection,
    since: Timestamp,
    until: Timestamp,
) -> Result<(i64, i64), StoreError> {
    let first = first_from(connection, since).await?;
    let last = first_from(connection, until).await?;
    Ok((first.saturating_sub(DISORDER), last.saturating_add(DISORDER)))
}

/// The number of the first arrival that came at `at` or later, or the one behind the newest.
async fn first_from(connection: &mut SqliteConnection, at: Timestamp) -> Result<i64, StoreError> {
    let newest: Option<i64> =
        query_scalar("SELECT max(number) FROM arrivals").fetch_one(&mut *connection).await?;
    let (mut low, mut high) = (0, newest.unwrap_or(0) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = query("SELECT number, received_at FROM arrivals WHERE number >= ? ORDER BY number LIMIT 1")
            .bind(middle)
            .fetch_optional(&mut *connection)
            .await?;
        match row {
            Some(row) if TABLE.instant(&row, "received_at")? < at => {
                low = TABLE.get::<i64>(&row, "number")? + 1;
            }
            _ => high = middle,
        }
    }
    Ok(low)
}

fn arrival(row: &SqliteRow) -> Result<Arrival, StoreError> {
    let conversation = |text: &str| ConversationId::parse(text).ok();
    Ok(Arrival {
        number: TABLE.get(row, "number")?,
        event: NewArrival {
            delivery: Delivery {
                endpoint: TABLE.parsed(row, "endpoint", Endpoint::named)?,
                method: TABLE.parsed(row, "method", Method::named)?,
                query: TABLE.get(row, "query")?,
                covered_query: TABLE.get(row, "covered_query")?,
                content_type: TABLE.get(row, "content_type")?,
                body: TABLE.get(row, "body")?,
            },
            application_id: TABLE
                .parsed_option(row, "application_id", |text| ApplicationId::parse(text).ok())?,
            origin: TABLE.parsed(row, "origin", Origin::named)?,
            kind: TABLE.get(row, "kind")?,
            conversation_id: TABLE.parsed_option(row, "conversation_id", conversation)?,
            transferred_to: TABLE.parsed_option(row, "transferred_to", conversation)?,
            occurred_at: TABLE.instant_option(row, "occurred_at")?,
            region: TABLE.parsed_option(row, "region", |text| Region::parse(text).ok())?,
            fallback_reason: TABLE.get(row, "fallback_reason")?,
            received_at: TABLE.instant(row, "received_at")?,
        },
        deliveries: TABLE.get(row, "deliveries")?,
        last_received_at: TABLE.instant(row, "last_received_at")?,
    })
}
