//! Posting: what the log says goes to the accounts of its conversations, behind the replies.

use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_scalar};

use super::rows::Table;
use super::{StoreError, json};
use crate::domain::arrival::{Arrival, ENDS};
use crate::domain::fetch::{FetchState, Urgency};

const TABLE: Table = Table("progress");

/// Arrivals posted in one transaction: webhooks wait for as long as it takes. Who looks only as far beyond what is
/// posted takes no longer for a backlog, however long it is.
pub(super) const BATCH: i64 = 1000;

/// Posts what the log holds beyond the last that was posted: gives each arrival its mentions, and owes a look
/// at once to each conversation. The looks of one conversation collapse.
///
/// Posts at most one batch; the rest is still in the log, and so is still owed.
pub(super) async fn post(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let through: Option<i64> = query_scalar(
        "SELECT max(number) FROM
             (SELECT number FROM arrivals WHERE number > (SELECT posted FROM progress) ORDER BY number LIMIT ?)",
    )
    .bind(BATCH)
    .fetch_one(&mut *connection)
    .await?;
    let Some(through) = through else { return Ok(()) };
    query(MENTION).bind(through).execute(&mut *connection).await?;
    query(OWE)
        .bind(through)
        .bind(json(&ENDS))
        .bind(Urgency::Last.number())
        .bind(Urgency::Changed.number())
        .execute(&mut *connection)
        .await?;
    query(ADVANCE).bind(through).execute(&mut *connection).await?;
    Ok(())
}

const MENTION: &str = "
    INSERT INTO mentions (conversation_id, number)
    SELECT conversation_id, number FROM unposted WHERE number <= ?1 ORDER BY conversation_id, number";

const OWE: &str = "
    INSERT INTO fetches (conversation_id, application_id, region, due_at, urgency, asked)
    SELECT conversation_id, max(application_id), max(region), min(received_at),
        min(CASE WHEN kind IN (SELECT value FROM json_each(?2)) THEN ?3 ELSE ?4 END), count(*)
    FROM unposted WHERE number <= ?1 GROUP BY conversation_id
    ON CONFLICT (conversation_id) DO UPDATE
    SET application_id = coalesce(application_id, excluded.application_id),
        region = coalesce(excluded.region, region),
        urgency = min(urgency, excluded.urgency),
        due_at = min(coalesce(due_at, excluded.due_at), excluded.due_at),
        asked = asked + excluded.asked";

const ADVANCE: &str = "UPDATE progress SET posted = ?1";

/// How far the log goes, and how far it is posted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// The number of the newest arrival; 0 when there is none.
    pub(super) newest: i64,
    posted: i64,
}

/// How far the log goes, and how far it is posted.
pub(super) async fn progress(connection: &mut SqliteConnection) -> Result<Progress, StoreError> {
    let row = query("SELECT posted, (SELECT coalesce(max(number), 0) FROM arrivals) AS newest FROM progress")
        .fetch_one(connection)
        .await?;
    Ok(Progress { newest: TABLE.get(&row, "newest")?, posted: TABLE.get(&row, "posted")? })
}

impl Progress {
    /// The same where the log ends with the next batch to be posted.
    pub(super) fn of_next_batch(self) -> Self {
        Self { newest: self.newest.min(self.posted + BATCH), ..self }
    }

    /// Owes what posting will owe to a conversation that these arrivals speak of.
    pub(super) fn owe(self, state: &mut FetchState, arrivals: &[Arrival]) {
        for arrival in arrivals.iter().filter(|arrival| arrival.number > self.posted) {
            let asked_at = arrival.event.received_at;
            state.due_at = Some(state.due_at.map_or(asked_at, |due_at| due_at.min(asked_at)));
            state.urgency = state.urgency.min(Urgency::Changed);
            if state.application_id.is_none() {
                state.application_id.clone_from(&arrival.event.application_id);
            }
        }
    }
}
