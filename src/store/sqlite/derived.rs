//! The derived tables: replaced, one conversation at a time.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::query;
use sqlx::sqlite::SqliteConnection;

use super::StoreError;
use super::rows::Table;
use crate::domain::conversation::{Ending, Interpretation};
use crate::domain::ids::{ApplicationId, ConversationId};

const FETCHES: Table = Table("fetches");

/// Conversations whose interpretation is older than what is known of them.
pub(super) async fn stale(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<ConversationId>, StoreError> {
    let rows = query("SELECT conversation_id FROM fetches WHERE revision > interpreted_revision LIMIT ?")
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| FETCHES.parsed(row, "conversation_id", |text| ConversationId::parse(text).ok())).collect()
}

/// Replaces a conversation's rows, unless those that are there follow a later revision.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    interpretation: &Interpretation,
    revision: i64,
) -> Result<(), StoreError> {
    let claimed = query(
        "UPDATE fetches SET interpreted_revision = ?2 WHERE conversation_id = ?1 AND interpreted_revision <= ?2",
    )
    .bind(interpretation.id.as_str())
    .bind(revision)
    .execute(&mut *connection)
    .await?;
    if claimed.rows_affected() == 0 {
        return Ok(());
    }
    query("DELETE FROM conversations WHERE id = ?")
        .bind(interpretation.id.as_str())
        .execute(&mut *connection)
        .await?;
    insert_conversation(connection, interpretation).await?;
    insert_members(connection, interpretation).await?;
    insert_legs(connection, interpretation).await
}

/// `over_from`: the instant from which on the conversation counts as ended.
pub(super) fn over_from(ending: Ending) -> Option<i64> {
    match ending {
        Ending::Open => None,
        Ending::Settling(at) => Some(at.as_microsecond()),
        Ending::Over => Some(0),
    }
}

async fn insert_conversation(
    connection: &mut SqliteConnection,
    interpretation: &Interpretation,
) -> Result<(), StoreError> {
    let capture = &interpretation.capture;
    let microseconds = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    query(
        "INSERT INTO conversations (id, name, application_id, capture_state, capture_reason, snapshots, first_at,
             last_at, direction, caller, callee, started_at, answered_at, ended_at, over_from, duration, price,
             status, latest_snapshot, listed_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
             coalesce(?12, ?7, (SELECT min(received_at) FROM arrivals WHERE conversation_id = ?1), 0)",
    )
    .bind(interpretation.id.as_str())
    .bind(interpretation.name.as_deref())
    .bind(interpretation.application_id.as_ref().map(ApplicationId::as_str))
    .bind(capture.state.as_str())
    .bind(capture.reason.as_deref())
    .bind(capture.snapshots)
    .bind(microseconds(capture.first_at))
    .bind(microseconds(capture.last_at))
    .bind(interpretation.direction.as_deref())
    .bind(interpretation.from.as_deref())
    .bind(interpretation.to.as_deref())
    .bind(microseconds(interpretation.started_at))
    .bind(microseconds(interpretation.answered_at))
    .bind(microseconds(interpretation.ended_at))
    .bind(over_from(interpretation.ending))
    .bind(interpretation.duration)
    .bind(interpretation.price.as_deref())
    .bind(interpretation.status.as_deref())
    .bind(interpretation.latest_snapshot)
    .execute(connection)
    .await?;
    Ok(())
}

/// A member, a leg, or a part of one, as a row: bound as one JSON array, so that however many there are one
/// statement, prepared once, inserts them.
fn rows<T: Serialize>(rows: &[T]) -> String {
    serde_json::to_string(rows).expect("texts and numbers are always JSON")
}

async fn insert_members(
    connection: &mut SqliteConnection,
    interpretation: &Interpretation,
) -> Result<(), StoreError> {
    let mut members = Vec::new();
    let mut legs = Vec::new();
    let mut states = Vec::new();
    for (position, member) in interpretation.members.iter().enumerate() {
        let channel = member.channel.as_ref();
        members.push((
            (position, &member.id, &member.user_id, &member.name, &member.state),
            (channel.is_some(), channel.and_then(|channel| channel.kind.as_deref())),
            channel.map(|channel| (&channel.id, &channel.from, &channel.to)),
        ));
        legs.extend(member.leg_ids.iter().enumerate().map(|(leg, id)| (position, leg, id)));
        states.extend(member.states.iter().enumerate().map(|(at, state)| {
            (position, at, &state.state, state.at.map(Timestamp::as_microsecond), &state.source)
        }));
    }
    query(
        "INSERT INTO members (conversation_id, position, id, user_id, name, state, has_channel, channel_type,
             channel_leg_id, caller, callee)
         SELECT ?1, value->>'$[0][0]', value->>'$[0][1]', value->>'$[0][2]', value->>'$[0][3]', value->>'$[0][4]',
             value->>'$[1][0]', value->>'$[1][1]', value->>'$[2][0]', value->>'$[2][1]', value->>'$[2][2]'
         FROM json_each(?2)",
    )
    .bind(interpretation.id.as_str())
    .bind(rows(&members))
    .execute(&mut *connection)
    .await?;
    query(
        "INSERT INTO member_legs (conversation_id, member_position, position, leg_id)
         SELECT ?1, value->>0, value->>1, value->>2 FROM json_each(?2)",
    )
    .bind(interpretation.id.as_str())
    .bind(rows(&legs))
    .execute(&mut *connection)
    .await?;
    query(
        "INSERT INTO member_states (conversation_id, member_position, position, state, at, source)
         SELECT ?1, value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?2)",
    )
    .bind(interpretation.id.as_str())
    .bind(rows(&states))
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_legs(
    connection: &mut SqliteConnection,
    interpretation: &Interpretation,
) -> Result<(), StoreError> {
    let mut legs = Vec::new();
    let mut statuses = Vec::new();
    for (position, leg) in interpretation.legs.iter().enumerate() {
        legs.push((position, &leg.id, &leg.direction, &leg.from, &leg.to, &leg.status, leg.duration, &leg.price));
        statuses.extend(leg.statuses.iter().enumerate().map(|(at, status)| {
            (position, at, &status.status, status.at.as_microsecond(), &status.detail)
        }));
    }
    query(
        "INSERT INTO legs (conversation_id, position, id, direction, caller, callee, status, duration, price)
         SELECT ?1, value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7
         FROM json_each(?2)",
    )
    .bind(interpretation.id.as_str())
    .bind(rows(&legs))
    .execute(&mut *connection)
    .await?;
    query(
        "INSERT INTO leg_statuses (conversation_id, leg_position, position, status, at, detail)
         SELECT ?1, value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?2)",
    )
    .bind(interpretation.id.as_str())
    .bind(rows(&statuses))
    .execute(connection)
    .await?;
    Ok(())
}
