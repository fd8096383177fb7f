//! The derived tables: replaced, one conversation at a time.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_scalar};

use super::rows::Table;
use super::{Stale, StoreError, changes, json, ledger};
use crate::domain::conversation::{Ending, Interpretation, Leg, LegSource, Member};
use crate::domain::history::Revision;
use crate::domain::ids::ConversationId;
use crate::domain::number;
use crate::domain::statement::LeftSource;

const ARRIVALS: Table = Table("arrivals");
const FETCHES: Table = Table("fetches");

/// The conversations that at most `limit` arrivals speak of, from behind the last that was followed on, and
/// at most `limit` that were looked at. What is not among the next to be posted is not read yet.
pub(super) async fn stale(connection: &mut SqliteConnection, limit: u32) -> Result<Stale, StoreError> {
    let rows = query(
        "SELECT number, conversation_id, transferred_to FROM arrivals
         WHERE number > (SELECT derived FROM progress) AND number <= (SELECT posted FROM progress) + ?2
         ORDER BY number LIMIT ?1",
    )
    .bind(limit)
    .bind(ledger::BATCH)
    .fetch_all(&mut *connection)
    .await?;
    let mut stale = Stale::default();
    for row in &rows {
        stale.through = Some(ARRIVALS.get(row, "number")?);
        for column in ["conversation_id", "transferred_to"] {
            stale
                .conversations
                .extend(ARRIVALS.parsed_option(row, column, |text| ConversationId::parse(text).ok())?);
        }
    }
    let rows = query("SELECT conversation_id FROM fetches WHERE looks > interpreted_looks LIMIT ?1")
        .bind(limit)
        .fetch_all(connection)
        .await?;
    for row in &rows {
        stale
            .conversations
            .insert(FETCHES.parsed(row, "conversation_id", |text| ConversationId::parse(text).ok())?);
    }
    Ok(stale)
}

/// Notes that the derived tables have followed the log of arrivals up to here.
pub(super) async fn follow(connection: &mut SqliteConnection, through: i64) -> Result<(), StoreError> {
    query("UPDATE progress SET derived = max(derived, ?)").bind(through).execute(connection).await?;
    Ok(())
}

/// Takes conversations as interpreted, whatever became of them.
pub(super) async fn quarantine(
    connection: &mut SqliteConnection,
    unreadable: &[(ConversationId, Option<Revision>)],
) -> Result<(), StoreError> {
    let looks =
        |(id, revision): &(ConversationId, Option<Revision>)| json!([id, revision.map(|read| read.looks)]);
    let rows: Vec<Value> = unreadable.iter().map(looks).collect();
    query(
        "UPDATE fetches SET interpreted_looks = max(interpreted_looks, coalesce(read.looks, fetches.looks))
         FROM (SELECT value->>0 AS id, value->>1 AS looks FROM json_each(?)) AS read
         WHERE conversation_id = read.id",
    )
    .bind(json(&rows))
    .execute(connection)
    .await?;
    Ok(())
}

/// Replaces the rows of conversations, except where those that are there follow a later revision. Each table
/// takes one statement, however many conversations there are.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    interpretations: &[(Interpretation, Revision)],
) -> Result<(), StoreError> {
    let mut newest: BTreeMap<&ConversationId, (&Interpretation, Revision)> = BTreeMap::new();
    for (interpretation, revision) in interpretations {
        let known = newest.entry(&interpretation.id).or_insert((interpretation, *revision));
        if revision.is_after(known.1) {
            *known = (interpretation, *revision);
        }
    }
    let revisions: Vec<(&ConversationId, i64, i64)> =
        newest.iter().map(|(id, (_, revision))| (*id, revision.looks, revision.newest_arrival)).collect();
    let claimed: Vec<String> = query_scalar(
        "INSERT INTO fetches (conversation_id, asked, interpreted_looks, interpreted_arrival)
         SELECT value->>0, 0, value->>1, value->>2 FROM json_each(?) WHERE true
         ON CONFLICT (conversation_id) DO UPDATE
         SET interpreted_looks = excluded.interpreted_looks, interpreted_arrival = excluded.interpreted_arrival
         WHERE interpreted_looks <= excluded.interpreted_looks
             AND interpreted_arrival <= excluded.interpreted_arrival
         RETURNING conversation_id",
    )
    .bind(json(&revisions))
    .fetch_all(&mut *connection)
    .await?;
    let claimed: HashSet<&str> = claimed.iter().map(String::as_str).collect();
    newest.retain(|id, _| claimed.contains(id.as_str()));
    let ids: Vec<&ConversationId> = newest.keys().copied().collect();
    let before = changes::delete(connection, &json(&ids)).await?;
    let rows = Rows::of(newest.values().map(|(interpretation, _)| *interpretation));
    for (statement, rows) in [
        (INSERT_CONVERSATIONS, json(&rows.conversations)),
        (INSERT_MEMBERS, json(&rows.members)),
        (INSERT_MEMBER_LEGS, json(&rows.member_legs)),
        (INSERT_MEMBER_STATES, json(&rows.member_states)),
        (INSERT_LEGS, json(&rows.legs)),
        (INSERT_LEG_STATUSES, json(&rows.leg_statuses)),
        (INSERT_PARTIES, json(&rows.parties)),
    ] {
        query(statement).bind(rows).execute(&mut *connection).await?;
    }
    changes::number(connection, newest.values().map(|(interpretation, _)| *interpretation), &before).await
}

const INSERT_CONVERSATIONS: &str = "
    INSERT INTO conversations (id, name, application_id, direction, caller, callee, duration, price, status,
        capture_state, capture_reason, snapshots, latest_snapshot,
        started_at, answered_at, ended_at, over_from, first_at, last_at, other_parties, listed_at)
    SELECT value->>'$[0][0]', value->>'$[0][1]', value->>'$[0][2]', value->>'$[0][3]', value->>'$[0][4]',
        value->>'$[0][5]', value->>'$[0][6]', value->>'$[0][7]', value->>'$[0][8]',
        value->>'$[1][0]', value->>'$[1][1]', value->>'$[1][2]', value->>'$[1][3]',
        value->>'$[2][0]', value->>'$[2][1]', value->>'$[2][2]', value->>'$[2][3]', value->>'$[2][4]',
        value->>'$[2][5]', value->>'$[0][9]',
        -- A start that is clearly later than the first news is wrong, and would keep what began since out of every
        -- list's first page: five minutes are what clocks may differ by.
        coalesce(iif(value->>'$[2][0]' <= coalesce(heard_at, value->>'$[2][0]') + 300000000, value->>'$[2][0]', NULL),
            heard_at, 0)
    FROM (
        -- Never later than it was: a list that is being read would lose it.
        SELECT value, (SELECT min(news) FROM (
            SELECT value->>'$[2][4]' AS news
            UNION ALL
            SELECT coalesce(value->>'$[2][6]',
                (SELECT min(received_at) FROM mentions JOIN arrivals USING (number)
                WHERE mentions.conversation_id = value->>'$[0][0]'))
            UNION ALL
            SELECT min(min(coalesce(start_time, began_until), began_until)) FROM listed_calls
            WHERE listed_calls.conversation_id = value->>'$[0][0]')) AS heard_at
        FROM json_each(?))";

const INSERT_MEMBERS: &str = "
    INSERT INTO members (conversation_id, position, id, user_id, name, state, has_channel, channel_type,
        channel_leg_id, caller, callee, joined_at, left_at, left_source, left_number, left_leg_id)
    SELECT value->>'$[0][0]', value->>'$[0][1]', value->>'$[0][2]', value->>'$[0][3]', value->>'$[0][4]',
        value->>'$[0][5]', value->>'$[1][0]', value->>'$[1][1]', value->>'$[1][2]', value->>'$[1][3]',
        value->>'$[1][4]',
        value->>'$[2][0]', value->>'$[2][1]', value->>'$[2][2]', value->>'$[2][3]', value->>'$[2][4]'
    FROM json_each(?)";

const INSERT_MEMBER_LEGS: &str = "
    INSERT INTO member_legs (conversation_id, member_position, position, leg_id)
    SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)";

const INSERT_MEMBER_STATES: &str = "
    INSERT INTO member_states (conversation_id, member_position, position, state, at, source, learnt_at)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM json_each(?)";

const INSERT_LEGS: &str = "
    INSERT INTO legs (conversation_id, position, id, direction, caller, callee, status, duration, price, source)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
        value->>9
    FROM json_each(?)";

const INSERT_LEG_STATUSES: &str = "
    INSERT INTO leg_statuses (conversation_id, leg_position, position, status, at, detail, at_source)
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM json_each(?)";

const INSERT_PARTIES: &str = "
    INSERT INTO parties (conversation_id, side, key, reversed)
    SELECT DISTINCT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)";

/// What goes into each table: a JSON array of rows, each an array of values in the order in which the
/// statement above takes them.
#[derive(Default)]
struct Rows {
    conversations: Vec<Value>,
    members: Vec<Value>,
    member_legs: Vec<Value>,
    member_states: Vec<Value>,
    legs: Vec<Value>,
    leg_statuses: Vec<Value>,
    parties: Vec<Value>,
}

impl Rows {
    fn of<'a>(interpretations: impl Iterator<Item = &'a Interpretation>) -> Self {
        let mut rows = Self::default();
        for interpretation in interpretations {
            rows.conversations.push(conversation(interpretation));
            rows.add_members(&interpretation.id, &interpretation.members);
            rows.add_legs(&interpretation.id, &interpretation.legs);
            rows.add_parties(interpretation);
        }
        rows
    }

    fn add_parties(&mut self, one: &Interpretation) {
        let legs = one.legs.iter().flat_map(|leg| [&leg.from, &leg.to]);
        let channels = one.members.iter().filter_map(|member| member.channel.as_ref());
        let others = legs.chain(channels.flat_map(|channel| [&channel.from, &channel.to]));
        let sides = [("from", &one.from), ("to", &one.to)];
        let told = sides.into_iter().chain(others.map(|party| ("other", party)));
        let told = told.filter_map(|(side, party)| Some((side, party.as_deref()?)));
        let named = one.other_parties.iter().map(|named| (named.side.as_str(), named.party.as_str()));
        for (side, party) in told.chain(named) {
            if let Some(key) = number::key(party) {
                let reversed: String = key.chars().rev().collect();
                self.parties.push(json!([one.id, side, key, reversed]));
            }
        }
    }

    fn add_members(&mut self, id: &ConversationId, members: &[Member]) {
        for (position, member) in members.iter().enumerate() {
            let channel = member.channel.as_ref();
            let channel_leg = channel.and_then(|channel| channel.id.as_ref());
            self.members.push(json!([
                [id, position, member.id, member.user_id, member.name, member.state],
                [
                    channel.is_some(),
                    channel.and_then(|channel| channel.kind.as_ref()),
                    channel_leg,
                    channel.and_then(|channel| channel.from.as_ref()),
                    channel.and_then(|channel| channel.to.as_ref()),
                ],
                presence(member),
            ]));
            for (at, leg) in member.leg_ids.iter().enumerate() {
                self.member_legs.push(json!([id, position, at, leg]));
            }
            for (at, state) in member.states.iter().enumerate() {
                let held_at = state.at.map(Timestamp::as_microsecond);
                let learnt_at = state.learnt_at.as_microsecond();
                let state = json!([id, position, at, state.state, held_at, state.source, learnt_at]);
                self.member_states.push(state);
            }
        }
    }

    fn add_legs(&mut self, id: &ConversationId, legs: &[Leg]) {
        for (position, leg) in legs.iter().enumerate() {
            self.legs.push(json!([
                id,
                position,
                leg.id,
                leg.direction,
                leg.from,
                leg.to,
                leg.status,
                leg.duration,
                leg.price,
                leg.source.map(LegSource::as_str)
            ]));
            for (at, status) in leg.statuses.iter().enumerate() {
                let told_at = status.at.as_microsecond();
                let source = status.at_source.as_str();
                let status = json!([id, position, at, status.status, told_at, status.detail, source]);
                self.leg_statuses.push(status);
            }
        }
    }
}

fn presence(member: &Member) -> Value {
    let microseconds = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    let (source, number, leg) = match &member.left_source {
        None => (None, None, None),
        Some(LeftSource::Rtc { number }) => (Some("rtc"), Some(*number), None),
        Some(LeftSource::Snapshot { number }) => (Some("snapshot"), Some(i64::from(*number)), None),
        Some(LeftSource::Event { number }) => (Some("event"), Some(*number), None),
        Some(LeftSource::LegEnd { leg_id }) => (Some("leg_end"), None, Some(leg_id)),
    };
    json!([microseconds(member.joined_at), microseconds(member.left_at), source, number, leg])
}

fn conversation(one: &Interpretation) -> Value {
    let microseconds = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
    json!([
        [
            one.id,
            one.name,
            one.application_id,
            one.direction,
            one.from,
            one.to,
            one.duration,
            one.price,
            one.status,
            json(&one.other_parties)
        ],
        [one.capture.state.as_str(), one.capture.reason, one.capture.snapshots, one.latest_snapshot],
        [
            microseconds(one.started_at),
            microseconds(one.answered_at),
            microseconds(one.ended_at),
            over_from(one.ending),
            microseconds(one.capture.first_at),
            microseconds(one.capture.last_at),
            microseconds(one.first_heard_at),
        ],
    ])
}

/// `over_from`: the instant from which on the conversation counts as ended.
pub(super) fn over_from(ending: Ending) -> Option<i64> {
    match ending {
        Ending::Open => None,
        Ending::Settling(at) => Some(at.as_microsecond()),
        Ending::Over => Some(0),
    }
}
