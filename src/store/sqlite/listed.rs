//! Legs as the Voice API lists them.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::rows::Table;
use super::{Discovery, StoreError};
use crate::domain::call::{CallList, ListedCall};
use crate::domain::fetch::Trouble;
use crate::domain::ids::{ApplicationId, ConversationId, LegId};

const TABLE: Table = Table("listed_calls");

/// Keeps a list: its legs, the looks that they ask for, and how far it goes. A leg that names no conversation
/// belongs nowhere.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    list: &CallList,
) -> Result<Discovery, StoreError> {
    let application = list.application_id.as_str();
    let rows: Vec<Value> = list.calls.iter().filter(|call| call.conversation_id.is_some()).map(row).collect();
    let rows = super::json(&rows);
    let unannounced = conversations(query_scalar(UNHEARD_OF).bind(&rows).fetch_all(&mut *connection).await?)?;
    let changed: Vec<String> = query_scalar(KEEP)
        .bind(&rows)
        .bind(application)
        .bind(list.since.as_microsecond())
        .bind(list.until.as_microsecond())
        .fetch_all(&mut *connection)
        .await?;
    let news = changed.len();
    let changed: BTreeSet<ConversationId> = conversations(changed)?;
    let changed = super::json(&changed.iter().collect::<Vec<_>>());
    query(KNOW).bind(&changed).bind(application).execute(&mut *connection).await?;
    let owed = query(OWE)
        .bind(&rows)
        .bind(&changed)
        .bind(list.until.as_microsecond())
        .bind(Trouble::NotYet.as_str())
        .execute(&mut *connection)
        .await?
        .rows_affected();
    query(
        "INSERT INTO reconciliations (application_id, listed_until) VALUES (?1, ?2)
         -- Also where it is less: the clock was set back since, and nobody has listed the time from then on.
         ON CONFLICT (application_id) DO UPDATE SET listed_until = excluded.listed_until",
    )
    .bind(application)
    .bind(list.until.as_microsecond())
    .execute(connection)
    .await?;
    Ok(Discovery { legs: news, unannounced, owed })
}

fn row(call: &ListedCall) -> Value {
    let microseconds = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    json!([
        [call.conversation_id, call.leg_id, call.status, call.is_over()],
        [call.direction, call.from, call.to, call.rate, call.price, call.duration],
        [microseconds(call.start_time), microseconds(call.end_time), call.network],
    ])
}

fn conversations(ids: Vec<String>) -> Result<BTreeSet<ConversationId>, StoreError> {
    let parse = |id| ConversationId::parse(id).map_err(|_| TABLE.corrupt("conversation_id"));
    ids.into_iter().map(parse).collect()
}

const UNHEARD_OF: &str = "
    SELECT DISTINCT value->>'$[0][0]' FROM json_each(?)
    WHERE value->>'$[0][0]' NOT IN (SELECT conversation_id FROM fetches)
        AND value->>'$[0][0]' NOT IN (SELECT conversation_id FROM unposted)";

/// What a later list does not tell stays; it returns the conversations of legs that are new or told anew.
const KEEP: &str = "
    INSERT INTO listed_calls (conversation_id, leg_id, application_id, status, is_over, direction, caller, callee,
        rate, price, duration, start_time, end_time, network, began_from, began_until)
    SELECT value->>'$[0][0]', value->>'$[0][1]', ?2, value->>'$[0][2]', value->>'$[0][3]',
        value->>'$[1][0]', value->>'$[1][1]', value->>'$[1][2]', value->>'$[1][3]', value->>'$[1][4]',
        value->>'$[1][5]', value->>'$[2][0]', value->>'$[2][1]', value->>'$[2][2]',
        -- Not before what was listed the last time, or each list would go back further than the one before.
        coalesce(value->>'$[2][0]',
            max(?3, coalesce((SELECT listed_until FROM reconciliations WHERE application_id = ?2), ?3))), ?4
    FROM json_each(?1) WHERE true
    ON CONFLICT (conversation_id, leg_id) DO UPDATE
    SET status = coalesce(excluded.status, status),
        is_over = excluded.is_over,
        direction = coalesce(excluded.direction, direction),
        caller = coalesce(excluded.caller, caller),
        callee = coalesce(excluded.callee, callee),
        rate = coalesce(excluded.rate, rate),
        price = coalesce(excluded.price, price),
        duration = coalesce(excluded.duration, duration),
        start_time = coalesce(excluded.start_time, start_time),
        end_time = coalesce(excluded.end_time, end_time),
        network = coalesce(excluded.network, network)
    WHERE is_over IS NOT excluded.is_over
        OR status IS NOT coalesce(excluded.status, status)
        OR direction IS NOT coalesce(excluded.direction, direction)
        OR caller IS NOT coalesce(excluded.caller, caller)
        OR callee IS NOT coalesce(excluded.callee, callee)
        OR rate IS NOT coalesce(excluded.rate, rate)
        OR price IS NOT coalesce(excluded.price, price)
        OR duration IS NOT coalesce(excluded.duration, duration)
        OR start_time IS NOT coalesce(excluded.start_time, start_time)
        OR end_time IS NOT coalesce(excluded.end_time, end_time)
        OR network IS NOT coalesce(excluded.network, network)
    RETURNING conversation_id";

/// Makes the conversations known, and stale: there is news to be interpreted.
const KNOW: &str = "
    INSERT INTO fetches (conversation_id, application_id, asked, looks)
    SELECT value, ?2, 0, 1 FROM json_each(?1) WHERE true
    ON CONFLICT (conversation_id) DO UPDATE
    SET application_id = coalesce(application_id, excluded.application_id), looks = looks + 1";

/// A call that lasts and was never seen is looked at at once, if anything new is told of it: one that Vonage
/// lists but does not show is not asked for over and over. A look that is under way may have come too early. What
/// was given up for another reason than that Vonage does not show it is looked at again for as long as it lasts.
const OWE: &str = "
    UPDATE fetches SET due_at = min(coalesce(due_at, ?3), ?3), asked = asked + 1, looks = looks + 1
    WHERE conversation_id IN (SELECT value->>'$[0][0]' FROM json_each(?1) WHERE NOT value->>'$[0][3]')
        AND (gave_up_at IS NOT NULL AND trouble <> ?4
            OR conversation_id IN (SELECT value FROM json_each(?2))
                AND NOT EXISTS (SELECT 1 FROM snapshots WHERE snapshots.conversation_id = fetches.conversation_id))";

/// Until when the application's calls are listed. A leg that was not over then is still to be listed, if it
/// began after `lasting_since`.
pub(super) async fn listed_until(
    connection: &mut SqliteConnection,
    application: &ApplicationId,
    lasting_since: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let row = query(
        "SELECT min(listed_until, coalesce(
             (SELECT min(began_from) FROM listed_calls WHERE is_over = 0 AND application_id = ?1 AND began_until >= ?2), listed_until
         )) AS listed_until
         FROM reconciliations WHERE application_id = ?1",
    )
    .bind(application.as_str())
    .bind(lasting_since.as_microsecond())
    .fetch_optional(connection)
    .await?;
    row.map(|row| Table("reconciliations").instant(&row, "listed_until")).transpose()
}

/// When the oldest conversation that is not known to be over began, as far as it is looked for.
pub(super) async fn oldest_live(
    connection: &mut SqliteConnection,
    since: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let row = query(
        "SELECT min(listed_at) AS listed_at FROM conversations
         WHERE listed_at >= ? AND (over_from IS NULL OR over_from <> 0)",
    )
    .bind(since.as_microsecond())
    .fetch_one(connection)
    .await?;
    Table("conversations").instant_option(&row, "listed_at")
}

/// The listed legs of these conversations (a JSON array of ids).
pub(super) async fn of_conversations(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<HashMap<String, Vec<ListedCall>>, StoreError> {
    let rows = query(
        "SELECT * FROM listed_calls WHERE conversation_id IN (SELECT value FROM json_each(?))
         ORDER BY conversation_id, leg_id",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut legs: HashMap<String, Vec<ListedCall>> = HashMap::new();
    for row in &rows {
        legs.entry(TABLE.get(row, "conversation_id")?).or_default().push(listed_call(row)?);
    }
    Ok(legs)
}

fn listed_call(row: &SqliteRow) -> Result<ListedCall, StoreError> {
    Ok(ListedCall {
        leg_id: TABLE.parsed(row, "leg_id", |text| LegId::parse(text).ok())?,
        conversation_id: TABLE
            .parsed_option(row, "conversation_id", |text| ConversationId::parse(text).ok())?,
        status: TABLE.get(row, "status")?,
        direction: TABLE.get(row, "direction")?,
        from: TABLE.get(row, "caller")?,
        to: TABLE.get(row, "callee")?,
        rate: TABLE.get(row, "rate")?,
        price: TABLE.get(row, "price")?,
        duration: TABLE.get(row, "duration")?,
        start_time: TABLE.instant_option(row, "start_time")?,
        end_time: TABLE.instant_option(row, "end_time")?,
        network: TABLE.get(row, "network")?,
    })
}
