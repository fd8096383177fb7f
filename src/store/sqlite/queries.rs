//! Reading the derived tables.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{query, query_scalar};

use super::rows::Table;
use super::{Listed, Position, StoreError};
use crate::domain::conversation::{
    Capture, CaptureState, Channel, Ending, Interpretation, Leg, LegSource, LegStatus, Member, MemberState,
};
use crate::domain::ids::{ApplicationId, ConversationId, LegId, MemberId};
use crate::domain::statement::{AtSource, LeftSource};

const CONVERSATIONS: Table = Table("conversations");
const MEMBERS: Table = Table("members");
const MEMBER_LEGS: Table = Table("member_legs");
const MEMBER_STATES: Table = Table("member_states");
const LEGS: Table = Table("legs");
const LEG_STATUSES: Table = Table("leg_statuses");

/// One conversation.
pub(super) async fn conversation(
    connection: &mut SqliteConnection,
    id: &ConversationId,
) -> Result<Option<Interpretation>, StoreError> {
    let rows = query("SELECT * FROM conversations WHERE id = ?")
        .bind(id.as_str())
        .fetch_all(&mut *connection)
        .await?;
    Ok(assembled(connection, &rows).await?.pop().map(|listed| listed.interpretation))
}

/// The conversation behind an id of its own, of a leg, or of a member.
pub(super) async fn resolve(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<ConversationId>, StoreError> {
    let found: Option<String> = query_scalar(
        "SELECT conversation_id FROM fetches WHERE conversation_id = ?1
         UNION ALL
         SELECT conversation_id FROM unposted WHERE conversation_id = ?1
         UNION ALL
         SELECT * FROM (
             SELECT id FROM conversations
             WHERE id IN (SELECT conversation_id FROM legs WHERE id = ?1)
                 OR id IN (SELECT conversation_id FROM members WHERE id = ?1)
             ORDER BY listed_at DESC LIMIT 1)
         LIMIT 1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    found.map(|id| ConversationId::parse(id).map_err(|_| CONVERSATIONS.corrupt("id"))).transpose()
}

/// Conversations with their members and legs: five statements, however many there are.
pub(super) async fn assembled(
    connection: &mut SqliteConnection,
    rows: &[SqliteRow],
) -> Result<Vec<Listed>, StoreError> {
    let mut listed = rows.iter().map(conversation_row).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<&ConversationId> = listed.iter().map(|listed| &listed.interpretation.id).collect();
    let ids = serde_json::to_string(&ids).expect("texts are always JSON");
    let mut members = members(connection, &ids).await?;
    let mut legs = legs(connection, &ids).await?;
    for Listed { interpretation, .. } in &mut listed {
        interpretation.members = members.remove(interpretation.id.as_str()).unwrap_or_default();
        interpretation.legs = legs.remove(interpretation.id.as_str()).unwrap_or_default();
    }
    Ok(listed)
}

/// A row of `conversations`, without members and legs.
pub(super) fn conversation_row(row: &SqliteRow) -> Result<Listed, StoreError> {
    let id = CONVERSATIONS.parsed(row, "id", |text| ConversationId::parse(text).ok())?;
    let position = Position { listed_at: CONVERSATIONS.instant(row, "listed_at")?, id: id.clone() };
    let over_from = CONVERSATIONS.instant_option(row, "over_from")?;
    let interpretation = Interpretation {
        id,
        name: CONVERSATIONS.get(row, "name")?,
        application_id: CONVERSATIONS
            .parsed_option(row, "application_id", |text| ApplicationId::parse(text).ok())?,
        capture: Capture {
            state: CONVERSATIONS.parsed(row, "capture_state", CaptureState::named)?,
            reason: CONVERSATIONS.get(row, "capture_reason")?,
            snapshots: CONVERSATIONS.get(row, "snapshots")?,
            first_at: CONVERSATIONS.instant_option(row, "first_at")?,
            last_at: CONVERSATIONS.instant_option(row, "last_at")?,
        },
        direction: CONVERSATIONS.get(row, "direction")?,
        from: CONVERSATIONS.get(row, "caller")?,
        to: CONVERSATIONS.get(row, "callee")?,
        other_parties: CONVERSATIONS.parsed(row, "other_parties", |text| serde_json::from_str(text).ok())?,
        // What lists go by is in the row.
        first_heard_at: None,
        started_at: CONVERSATIONS.instant_option(row, "started_at")?,
        answered_at: CONVERSATIONS.instant_option(row, "answered_at")?,
        ended_at: CONVERSATIONS.instant_option(row, "ended_at")?,
        ending: match over_from {
            None => Ending::Open,
            Some(at) if at == Timestamp::UNIX_EPOCH => Ending::Over,
            Some(at) => Ending::Settling(at),
        },
        duration: CONVERSATIONS.get(row, "duration")?,
        price: CONVERSATIONS.get(row, "price")?,
        status: CONVERSATIONS.get(row, "status")?,
        members: Vec::new(),
        legs: Vec::new(),
        latest_snapshot: CONVERSATIONS.get(row, "latest_snapshot")?,
    };
    Ok(Listed { position, interpretation })
}

/// Rows of a part, in order, under the conversation and the position they belong to.
type Parts<T> = HashMap<(String, i64), Vec<T>>;

async fn members(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<HashMap<String, Vec<Member>>, StoreError> {
    let mut legs: Parts<LegId> = HashMap::new();
    let sql = "SELECT * FROM member_legs WHERE conversation_id IN (SELECT value FROM json_each(?))
               ORDER BY conversation_id, member_position, position";
    for row in query(sql).bind(ids).fetch_all(&mut *connection).await? {
        let leg = MEMBER_LEGS.parsed(&row, "leg_id", |text| LegId::parse(text).ok())?;
        legs.entry(place(MEMBER_LEGS, &row, "member_position")?).or_default().push(leg);
    }
    let mut states: Parts<MemberState> = HashMap::new();
    let sql = "SELECT * FROM member_states WHERE conversation_id IN (SELECT value FROM json_each(?))
               ORDER BY conversation_id, member_position, position";
    for row in query(sql).bind(ids).fetch_all(&mut *connection).await? {
        let state = MemberState {
            state: MEMBER_STATES.get(&row, "state")?,
            at: MEMBER_STATES.instant_option(&row, "at")?,
            source: MEMBER_STATES.get(&row, "source")?,
            learnt_at: MEMBER_STATES.instant(&row, "learnt_at")?,
        };
        states.entry(place(MEMBER_STATES, &row, "member_position")?).or_default().push(state);
    }
    let mut members: HashMap<String, Vec<Member>> = HashMap::new();
    let sql = "SELECT * FROM members WHERE conversation_id IN (SELECT value FROM json_each(?))
               ORDER BY conversation_id, position";
    for row in query(sql).bind(ids).fetch_all(connection).await? {
        let place = place(MEMBERS, &row, "position")?;
        let leg_ids = legs.remove(&place).unwrap_or_default();
        let states = states.remove(&place).unwrap_or_default();
        members.entry(place.0).or_default().push(member_row(&row, leg_ids, states)?);
    }
    Ok(members)
}

fn member_row(row: &SqliteRow, leg_ids: Vec<LegId>, states: Vec<MemberState>) -> Result<Member, StoreError> {
    let has_channel: bool = MEMBERS.get(row, "has_channel")?;
    let channel = Channel {
        kind: MEMBERS.get(row, "channel_type")?,
        id: MEMBERS.parsed_option(row, "channel_leg_id", |text| LegId::parse(text).ok())?,
        from: MEMBERS.get(row, "caller")?,
        to: MEMBERS.get(row, "callee")?,
    };
    Ok(Member {
        id: MEMBERS.parsed(row, "id", |text| MemberId::parse(text).ok())?,
        user_id: MEMBERS.get(row, "user_id")?,
        name: MEMBERS.get(row, "name")?,
        state: MEMBERS.get(row, "state")?,
        joined_at: MEMBERS.instant_option(row, "joined_at")?,
        left_at: MEMBERS.instant_option(row, "left_at")?,
        left_source: left_source(row)?,
        channel: has_channel.then_some(channel),
        leg_ids,
        states,
    })
}

fn left_source(row: &SqliteRow) -> Result<Option<LeftSource>, StoreError> {
    let number = || MEMBERS.get::<i64>(row, "left_number");
    let Some(source) = MEMBERS.get::<Option<&str>>(row, "left_source")? else { return Ok(None) };
    let source = match source {
        "rtc" => LeftSource::Rtc { number: number()? },
        "snapshot" => {
            let number = u32::try_from(number()?).map_err(|_| MEMBERS.corrupt("left_number"))?;
            LeftSource::Snapshot { number }
        }
        "event" => LeftSource::Event { number: number()? },
        "leg_end" => {
            let leg_id = MEMBERS.parsed(row, "left_leg_id", |text| LegId::parse(text).ok())?;
            LeftSource::LegEnd { leg_id }
        }
        _ => return Err(MEMBERS.corrupt("left_source")),
    };
    Ok(Some(source))
}

async fn legs(connection: &mut SqliteConnection, ids: &str) -> Result<HashMap<String, Vec<Leg>>, StoreError> {
    let mut statuses: Parts<LegStatus> = HashMap::new();
    let sql = "SELECT * FROM leg_statuses WHERE conversation_id IN (SELECT value FROM json_each(?))
               ORDER BY conversation_id, leg_position, position";
    for row in query(sql).bind(ids).fetch_all(&mut *connection).await? {
        let status = LegStatus {
            status: LEG_STATUSES.get(&row, "status")?,
            at: LEG_STATUSES.instant(&row, "at")?,
            at_source: LEG_STATUSES.parsed(&row, "at_source", AtSource::named)?,
            detail: LEG_STATUSES.get(&row, "detail")?,
        };
        statuses.entry(place(LEG_STATUSES, &row, "leg_position")?).or_default().push(status);
    }
    let mut legs: HashMap<String, Vec<Leg>> = HashMap::new();
    let sql = "SELECT * FROM legs WHERE conversation_id IN (SELECT value FROM json_each(?))
               ORDER BY conversation_id, position";
    for row in query(sql).bind(ids).fetch_all(connection).await? {
        let place = place(LEGS, &row, "position")?;
        let statuses = statuses.remove(&place).unwrap_or_default();
        legs.entry(place.0).or_default().push(leg_row(&row, statuses)?);
    }
    Ok(legs)
}

fn leg_row(row: &SqliteRow, statuses: Vec<LegStatus>) -> Result<Leg, StoreError> {
    Ok(Leg {
        id: LEGS.parsed(row, "id", |text| LegId::parse(text).ok())?,
        direction: LEGS.get(row, "direction")?,
        from: LEGS.get(row, "caller")?,
        to: LEGS.get(row, "callee")?,
        status: LEGS.get(row, "status")?,
        duration: LEGS.get(row, "duration")?,
        price: LEGS.get(row, "price")?,
        statuses,
        source: LEGS.parsed_option(row, "source", LegSource::named)?,
    })
}

fn place(table: Table, row: &SqliteRow, position: &'static str) -> Result<(String, i64), StoreError> {
    Ok((table.get(row, "conversation_id")?, table.get(row, position)?))
}
