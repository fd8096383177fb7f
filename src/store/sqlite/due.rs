//! The looks that are due, in their order, and who takes them out.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_scalar};

use super::fetches::fetch_state;
use super::findings::NO_EVENT_LIST;
use super::rows::Table;
use super::{StoreError, ledger};
use crate::domain::digest::Digest;
use crate::domain::fetch::{Known, Lease, Trouble, Urgency};
use crate::domain::ids::{ApplicationId, ConversationId};

const TABLE: Table = Table("fetches");

/// The queues in which looks stand, the first to be served first, and how urgent a look in each is. The schema says
/// which look stands where: `fetches.queue`.
const QUEUES: [(i64, Urgency); 5] = [
    (UNTRIED, Urgency::Unseen),
    (1, Urgency::Unseen),
    (2, Urgency::Last),
    (3, Urgency::Changed),
    (4, Urgency::Poll),
];

/// The queue of conversations that were not asked for yet.
const UNTRIED: i64 = 0;

/// The looks of queue `?1` that are due at `?2` and that nobody has taken out, at most `?3`.
macro_rules! due {
    ($order:literal) => {
        concat!(
            "SELECT conversation_id FROM fetches
             WHERE queue = ?1 AND due_at <= ?2 AND (leased_until IS NULL OR leased_until <= ?2)
             ORDER BY due_at ",
            $order,
            " LIMIT ?3"
        )
    };
}
const LONGEST_DUE: &str = due!("ASC");
const NEWEST: &str = due!("DESC");

/// Takes out what is due. What was never seen goes first: its conversation may be gone any moment. Returns also the
/// damage that was met on the way: it may be that of one conversation, or of a page that all need.
pub(super) async fn lease(
    connection: &mut SqliteConnection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<(Vec<Lease>, Option<StoreError>), StoreError> {
    let (mut leases, mut damaged) = (Vec::new(), None);
    let mut room = limit;
    for (queue, urgency) in QUEUES {
        for id in due(connection, queue, now, room).await? {
            room -= 1;
            match take_out(connection, &id, until, urgency).await {
                Ok(lease) => leases.push(lease),
                Err(error @ StoreError::Corrupt { .. }) => set_aside(connection, &id, &error).await?,
                Err(error @ StoreError::Damaged(_)) => {
                    set_aside(connection, &id, &error).await?;
                    damaged = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok((leases, damaged))
}

/// Who is due in a queue. Where there is never time for all, of those that were not asked for yet the older ones
/// are the more likely to be gone: there the newest come first.
async fn due(
    connection: &mut SqliteConnection,
    queue: i64,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<String>, StoreError> {
    let statement = if queue == UNTRIED { NEWEST } else { LONGEST_DUE };
    let ids = query_scalar(statement).bind(queue).bind(now.as_microsecond()).bind(limit);
    Ok(ids.fetch_all(connection).await?)
}

async fn take_out(
    connection: &mut SqliteConnection,
    id: &str,
    until: Timestamp,
    urgency: Urgency,
) -> Result<Lease, StoreError> {
    let row = query("UPDATE fetches SET leased_until = ?2 WHERE conversation_id = ?1 RETURNING *")
        .bind(id)
        .bind(until.as_microsecond())
        .fetch_one(&mut *connection)
        .await?;
    let conversation_id = TABLE.parsed(&row, "conversation_id", |text| ConversationId::parse(text).ok())?;
    Ok(Lease {
        state: fetch_state(&row)?,
        urgency,
        asked: TABLE.get(&row, "asked")?,
        known: known(connection, &conversation_id).await?,
        heard_at: heard_at(connection, &conversation_id).await?,
        conversation_id,
    })
}

/// Takes out what cannot be read for as long as the program runs: it must not hold up the others.
async fn set_aside(
    connection: &mut SqliteConnection,
    id: &str,
    error: &StoreError,
) -> Result<(), StoreError> {
    query("UPDATE fetches SET leased_until = ?2 WHERE conversation_id = ?1")
        .bind(id)
        .bind(Timestamp::MAX.as_microsecond())
        .execute(connection)
        .await?;
    metrics::counter!("conversationd_looks_unreadable_total").increment(1);
    let conversation = ConversationId::parse(id).ok();
    let conversation = conversation.as_ref().map(ConversationId::as_str);
    tracing::error!(%error, conversation, "an owed look cannot be read; it is left out until the next start");
    Ok(())
}

/// When the last webhook came that speaks of a conversation.
async fn heard_at(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Option<Timestamp>, StoreError> {
    const ARRIVALS: Table = Table("arrivals");
    let row = query(
        "SELECT received_at FROM arrivals
         WHERE number = (SELECT max(number) FROM mentions WHERE conversation_id = ?)",
    )
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|row| ARRIVALS.instant(&row, "received_at")).transpose()
}

async fn known(connection: &mut SqliteConnection, id: &ConversationId) -> Result<Option<Known>, StoreError> {
    const SNAPSHOTS: Table = Table("snapshots");
    let row = query(
        "SELECT snapshots.number, snapshots.sequence_number, documents.digest,
             coalesce(snapshots.last_event_id = ?2, FALSE) AS has_no_event_list,
             (SELECT nullif(max(last_event_id), ?2) FROM snapshots WHERE conversation_id = ?1) AS last_event_id
         FROM snapshots
         JOIN snapshot_documents ON snapshot_documents.snapshot_id = snapshots.id
             AND snapshot_documents.name = 'conversation'
         JOIN documents ON documents.id = snapshot_documents.document_id
         WHERE snapshots.conversation_id = ?1
         ORDER BY snapshots.number DESC
         LIMIT 1",
    )
    .bind(id.as_str())
    .bind(NO_EVENT_LIST)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let digest = Digest::from_bytes(SNAPSHOTS.get(&row, "digest")?);
        Ok(Known {
            snapshot: SNAPSHOTS.get(&row, "number")?,
            sequence_number: SNAPSHOTS.get(&row, "sequence_number")?,
            conversation: digest.ok_or(SNAPSHOTS.corrupt("digest"))?,
            last_event_id: SNAPSHOTS.get(&row, "last_event_id")?,
            has_no_event_list: SNAPSHOTS.get(&row, "has_no_event_list")?,
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
    let unposted: Option<i64> = query_scalar(UNPOSTED)
        .bind(now.as_microsecond())
        .bind(Urgency::Changed.number())
        .bind(Urgency::Unseen.number())
        .bind(ledger::BATCH)
        .fetch_one(&mut *connection)
        .await?;
    let unposted = unposted.and_then(Urgency::numbered);
    for (queue, urgency) in QUEUES {
        if unposted.is_some_and(|unposted| unposted <= urgency) {
            return Ok(unposted);
        }
        if !due(connection, queue, now, 1).await?.is_empty() {
            return Ok(Some(urgency));
        }
    }
    Ok(None)
}

const UNPOSTED: &str = "
    SELECT min(CASE
        WHEN EXISTS (SELECT 1 FROM fetches WHERE fetches.conversation_id = unposted.conversation_id AND is_seen) THEN ?2
        ELSE ?3 END)
    FROM unposted WHERE received_at <= ?1 AND number <= (SELECT posted FROM progress) + ?4";

/// Whether a look is owed to a conversation of this application, or of none that is known; also by a webhook that is not
/// posted yet.
pub(super) async fn has_pending(
    connection: &mut SqliteConnection,
    application: &ApplicationId,
) -> Result<bool, StoreError> {
    let pending: bool = query_scalar(
        "SELECT EXISTS (SELECT 1 FROM unposted)
             OR EXISTS (SELECT 1 FROM fetches
                        WHERE queue IN (0, 1, 2, 3, 4) AND due_at IS NOT NULL AND coalesce(application_id, ?1) = ?1)",
    )
    .bind(application.as_str())
    .fetch_one(connection)
    .await?;
    Ok(pending)
}

/// When the next look that nobody has taken out is due.
pub(super) async fn next_due(connection: &mut SqliteConnection) -> Result<Option<Timestamp>, StoreError> {
    let row = query(NEXT_DUE).fetch_one(connection).await?;
    TABLE.instant_option(&row, "due_at")
}

/// The first of each queue, what is taken out, and what is not posted.
const NEXT_DUE: &str = "
    SELECT min(due_at) AS due_at FROM (
        SELECT (SELECT due_at FROM fetches
                WHERE queue = column1 AND due_at IS NOT NULL AND leased_until IS NULL
                ORDER BY due_at LIMIT 1) AS due_at
        FROM (VALUES (0), (1), (2), (3), (4))
        UNION ALL
        SELECT max(due_at, leased_until) FROM fetches WHERE leased_until IS NOT NULL AND due_at IS NOT NULL
        UNION ALL
        SELECT min(received_at) FROM unposted)";

/// Rows that one transaction changes: webhooks wait for as long as it takes.
const BATCH: i64 = 500;

/// The queues are named so that only what is due later is read.
const HASTEN: &str = "
    UPDATE fetches SET due_at = ?2 WHERE conversation_id IN (
        SELECT conversation_id FROM fetches
        WHERE queue IN (0, 1, 2, 3, 4) AND due_at > ?2 AND trouble IN (?3, ?4, ?5) AND coalesce(application_id, ?1) = ?1
        LIMIT ?6)";

/// Makes looks due that wait because of an outage, a batch of them. Returns how many.
pub(super) async fn hasten(
    connection: &mut SqliteConnection,
    application: &ApplicationId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let done = query(HASTEN)
        .bind(application.as_str())
        .bind(now.as_microsecond())
        .bind(Trouble::Unreachable.as_str())
        .bind(Trouble::Refused.as_str())
        .bind(Trouble::Throttled.as_str())
        .bind(BATCH)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

const PULL: &str = "
    UPDATE fetches SET due_at = ?1 WHERE conversation_id IN (
        SELECT conversation_id FROM fetches WHERE queue IN (0, 1, 2, 3, 4) AND due_at > ?2 LIMIT ?3)";

/// Makes looks due that no pause can have put off beyond `latest`, a batch of them: the clock was set back since. Returns
/// how many.
pub(super) async fn pull(
    connection: &mut SqliteConnection,
    now: Timestamp,
    latest: Timestamp,
) -> Result<u64, StoreError> {
    let done = query(PULL)
        .bind(now.as_microsecond())
        .bind(latest.as_microsecond())
        .bind(BATCH)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// A call that is over is not looked at again: after the outage that is most of them.
const REVIVE: &str = "
    UPDATE fetches SET due_at = ?2, looks = looks + 1 WHERE conversation_id IN (
        SELECT conversation_id FROM fetches
        WHERE gave_up_at >= ?3 AND due_at IS NULL AND trouble <> ?4 AND coalesce(application_id, ?1) = ?1
            AND NOT EXISTS (SELECT 1 FROM conversations WHERE id = fetches.conversation_id AND over_from <= ?2)
        LIMIT ?5)";

/// Makes looks due that were given up since then at calls that may go on, a batch of them. Returns how many. Their
/// conversations are stale: who was missed is waited for again.
pub(super) async fn revive(
    connection: &mut SqliteConnection,
    application: &ApplicationId,
    since: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let done = query(REVIVE)
        .bind(application.as_str())
        .bind(now.as_microsecond())
        .bind(since.as_microsecond())
        .bind(Trouble::NotYet.as_str())
        .bind(BATCH)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};
    use tempfile::TempDir;

    use super::super::open_shared;
    use super::*;

    /// Each step of the plan of a statement that reads looks.
    async fn plan(statement: &str) -> Vec<String> {
        let directory = TempDir::new().expect("a directory can be made");
        let (store, _writer) =
            open_shared(&directory.path().join("store.db")).await.expect("it can be opened");
        let mut connection = store.read().await.expect("it can be read");
        let explained = query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
        let steps = explained.fetch_all(&mut *connection).await.expect("the statement is right");
        let steps = steps.iter().map(|step| step.get::<String, _>("detail"));
        steps
            .filter(|step| {
                step.contains("fetches") || step.contains("conversations") || step.contains("TEMP B-TREE")
            })
            .collect()
    }

    #[tokio::test]
    async fn what_is_due_is_read_in_the_order_of_an_index() {
        for statement in [LONGEST_DUE, NEWEST] {
            let expected = ["SEARCH fetches USING INDEX fetches_by_queue (queue=? AND due_at<?)"];
            assert_eq!(plan(statement).await, expected);
        }
        let expected = [
            "SEARCH fetches USING INDEX fetches_by_queue (queue=? AND due_at>?)",
            "SEARCH fetches USING INDEX fetches_leased (leased_until>?)",
        ];
        assert_eq!(plan(NEXT_DUE).await, expected);
        let update = "SEARCH fetches USING PRIMARY KEY (conversation_id=?)";
        for statement in [HASTEN, PULL] {
            let expected = [update, "SEARCH fetches USING INDEX fetches_by_queue (queue=? AND due_at>?)"];
            assert_eq!(plan(statement).await, expected);
        }
        let expected = [
            update,
            "SEARCH fetches USING INDEX fetches_given_up (gave_up_at>?)",
            "SEARCH conversations USING PRIMARY KEY (id=?)",
        ];
        assert_eq!(plan(REVIVE).await, expected);
        assert_eq!(plan(UNPOSTED).await, ["SEARCH fetches USING PRIMARY KEY (conversation_id=?)"]);
    }
}
