//! The log of webhooks.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, query};

use super::StoreError;
use super::rows::{Table, placeholders};
use crate::domain::arrival::{Arrival, Delivery, Endpoint, Method, NewArrival, Origin};
use crate::domain::ids::{ApplicationId, ConversationId};

/// Rows in one insert, and so arrivals in one commit: enough for every connection of a busy hour, few enough
/// to keep the first of them from waiting for the last.
pub(super) const MAX_ROWS: usize = 128;

const TABLE: Table = Table("arrivals");

const COLUMNS: usize = 13;

/// Appends in one statement. The unique digest decides what is a redelivery, also within the batch.
pub(super) async fn append(connection: &mut SqliteConnection, arrivals: &[NewArrival]) -> Result<(), StoreError> {
    let statement = format!(
        "INSERT INTO arrivals (digest, endpoint, method, query, content_type, body, application_id, origin, kind,
            conversation_id, transferred_to, received_at, last_received_at)
         VALUES {}
         ON CONFLICT (digest) DO UPDATE
         SET deliveries = deliveries + 1, last_received_at = max(last_received_at, excluded.last_received_at)",
        placeholders(arrivals.len(), COLUMNS)
    );
    let mut insert = query(AssertSqlSafe(statement));
    for arrival in arrivals {
        let delivery = &arrival.delivery;
        insert = insert
            .bind(delivery.digest(arrival.application_id.as_ref()).as_bytes().to_vec())
            .bind(delivery.endpoint.as_str())
            .bind(delivery.method.as_str())
            .bind(delivery.query.as_deref())
            .bind(delivery.content_type.as_deref())
            .bind(delivery.body.as_slice())
            .bind(arrival.application_id.as_ref().map(ApplicationId::as_str))
            .bind(arrival.origin.as_str())
            .bind(arrival.kind.as_str())
            .bind(arrival.conversation_id.as_ref().map(ConversationId::as_str))
            .bind(arrival.transferred_to.as_ref().map(ConversationId::as_str))
            .bind(arrival.received_at.as_microsecond())
            .bind(arrival.received_at.as_microsecond());
    }
    insert.execute(connection).await?;
    Ok(())
}

/// The arrivals that speak of a conversation, oldest first.
pub(super) async fn of_conversation(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Vec<Arrival>, StoreError> {
    let rows = query(
        "SELECT * FROM arrivals WHERE conversation_id = ?1
         UNION
         SELECT * FROM arrivals WHERE transferred_to = ?1
         ORDER BY number",
    )
    .bind(id.as_str())
    .fetch_all(connection)
    .await?;
    rows.iter().map(arrival).collect()
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
                content_type: TABLE.get(row, "content_type")?,
                body: TABLE.get(row, "body")?,
            },
            application_id: TABLE.parsed_option(row, "application_id", |text| ApplicationId::parse(text).ok())?,
            origin: TABLE.parsed(row, "origin", Origin::named)?,
            kind: TABLE.get(row, "kind")?,
            conversation_id: TABLE.parsed_option(row, "conversation_id", conversation)?,
            transferred_to: TABLE.parsed_option(row, "transferred_to", conversation)?,
            received_at: TABLE.instant(row, "received_at")?,
        },
        deliveries: TABLE.get(row, "deliveries")?,
        last_received_at: TABLE.instant(row, "last_received_at")?,
    })
}
