//! What webhooks were replied to with.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::query;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::oneshot;

use super::rows::Table;
use super::{StoreError, documents};
use crate::domain::arrival::Endpoint;
use crate::domain::digest::Digest;
use crate::domain::ids::{ConversationId, LegId};
use crate::domain::reply::{NewReply, Reply, Source, Upstream};

/// Replies that may wait to be written: a bound on memory while the store is slow.
const MAX_WAITING: usize = 4096;

const TABLE: Table = Table("replies");

/// Replies that wait to be written, each with whoever waits for it. Nobody waits for a reply as for a webhook:
/// those of a moment share one transaction.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<(NewReply, Done)>>);

/// Tells what became of one reply.
pub(super) type Done = oneshot::Sender<Result<(), StoreError>>;

/// Hears what became of one reply.
pub(super) type Receipt = oneshot::Receiver<Result<(), StoreError>>;

impl Waiting {
    /// Queues a reply.
    pub(super) fn add(&self, reply: NewReply) -> Result<Receipt, StoreError> {
        let mut waiting = self.locked();
        if waiting.len() >= MAX_WAITING {
            return Err(StoreError::Behind);
        }
        let (done, receipt) = oneshot::channel();
        waiting.push((reply, done));
        Ok(receipt)
    }

    /// Takes out everything that is queued.
    pub(super) fn take(&self) -> (Vec<NewReply>, Vec<Done>) {
        std::mem::take(&mut *self.locked()).into_iter().unzip()
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(NewReply, Done)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends a reply.
pub(super) async fn insert(connection: &mut SqliteConnection, reply: &NewReply) -> Result<(), StoreError> {
    let document_id = match &reply.ncco {
        Some(ncco) => Some(documents::id_of(connection, Digest::of(ncco), ncco).await?),
        None => None,
    };
    let upstream = reply.upstream.as_ref();
    query(
        "INSERT INTO replies (arrival, endpoint, conversation_id, transferred_to, leg_id, replied_at, source,
             upstream_status, upstream_ms, trouble, document_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(reply.arrival.as_bytes().as_slice())
    .bind(reply.endpoint.as_str())
    .bind(reply.conversation_id.as_ref().map(ConversationId::as_str))
    .bind(reply.transferred_to.as_ref().map(ConversationId::as_str))
    .bind(reply.leg_id.as_ref().map(LegId::as_str))
    .bind(reply.replied_at.as_microsecond())
    .bind(reply.source.as_str())
    .bind(upstream.and_then(|upstream| upstream.status))
    .bind(upstream.map(|upstream| i64::try_from(upstream.elapsed_ms).unwrap_or(i64::MAX)))
    .bind(upstream.and_then(|upstream| upstream.trouble.as_deref()))
    .bind(document_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// The replies to what speaks of a conversation, oldest first.
pub(super) async fn of_conversation(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Vec<Reply>, StoreError> {
    let rows = query(
        "SELECT replies.*, documents.size, documents.body
         FROM replies LEFT JOIN documents ON documents.id = replies.document_id
         WHERE replies.conversation_id = ?1 OR replies.transferred_to = ?1
         ORDER BY replies.number",
    )
    .bind(id.as_str())
    .fetch_all(connection)
    .await?;
    rows.iter().map(reply).collect()
}

fn reply(row: &SqliteRow) -> Result<Reply, StoreError> {
    let conversation = |text: &str| ConversationId::parse(text).ok();
    let given = NewReply {
        arrival: Digest::from_bytes(TABLE.get(row, "arrival")?).ok_or(TABLE.corrupt("arrival"))?,
        endpoint: TABLE.parsed(row, "endpoint", Endpoint::named)?,
        conversation_id: TABLE.parsed_option(row, "conversation_id", conversation)?,
        transferred_to: TABLE.parsed_option(row, "transferred_to", conversation)?,
        leg_id: TABLE.parsed_option(row, "leg_id", |text| LegId::parse(text).ok())?,
        replied_at: TABLE.instant(row, "replied_at")?,
        source: TABLE.parsed(row, "source", Source::named)?,
        upstream: upstream(row)?,
        ncco: documents::body(row)?,
    };
    Ok(Reply { number: TABLE.get(row, "number")?, given })
}

fn upstream(row: &SqliteRow) -> Result<Option<Upstream>, StoreError> {
    let elapsed_ms: Option<i64> = TABLE.get(row, "upstream_ms")?;
    let Some(elapsed_ms) = elapsed_ms else { return Ok(None) };
    Ok(Some(Upstream {
        status: TABLE.get(row, "upstream_status")?,
        elapsed_ms: u64::try_from(elapsed_ms).map_err(|_| TABLE.corrupt("upstream_ms"))?,
        trouble: TABLE.get(row, "trouble")?,
    }))
}
