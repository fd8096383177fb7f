//! Conversations that a filter lets through, page by page.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Sqlite, query_scalar};

use super::queries::assembled;
use super::rows::Table;
use super::{Listed, Order, Page, Position, StoreError, json};
use crate::domain::conversation::State;
use crate::domain::filter::Filter;
use crate::domain::number::Pattern;
use crate::store::PORTION_PARTS;

const CONVERSATIONS: Table = Table("conversations");

/// Up to so many conversations are looked up one by one. If more fulfil a condition, it is quicker to walk along
/// the list and leave out those that do not.
const FEW: i64 = 5000;

/// A page of the conversations that `filter` lets through at `now`.
pub(super) async fn conversations(
    connection: &mut SqliteConnection,
    filter: &Filter,
    now: Timestamp,
    page: &Page<Position>,
) -> Result<Vec<Listed>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT conversations.* FROM conversations WHERE true");
    for search in searches(filter) {
        if search.finds_few(connection).await? {
            search.push_looked_up(&mut sql);
        } else {
            search.push_compared(&mut sql);
        }
    }
    push_columns(&mut sql, filter, now);
    push_place(&mut sql, page);
    let rows = sql.build().fetch_all(&mut *connection).await?;
    let count = fitting(connection, &rows).await?;
    assembled(connection, &rows[..count]).await
}

/// How many of these conversations have [`PORTION_PARTS`] together; one at least, if there is one.
async fn fitting(connection: &mut SqliteConnection, rows: &[SqliteRow]) -> Result<usize, StoreError> {
    let id = |row| CONVERSATIONS.get::<&str>(row, "id");
    let ids: Vec<&str> = rows.iter().map(id).collect::<Result<_, _>>()?;
    let count: i64 = query_scalar(
        "SELECT count(*) FROM (
             SELECT sum(parts) OVER (ORDER BY key) - parts AS parts_before FROM (
                 SELECT key, (SELECT count(*) FROM members WHERE conversation_id = value)
                     + (SELECT count(*) FROM member_legs WHERE conversation_id = value)
                     + (SELECT count(*) FROM member_states WHERE conversation_id = value)
                     + (SELECT count(*) FROM legs WHERE conversation_id = value)
                     + (SELECT count(*) FROM leg_statuses WHERE conversation_id = value) AS parts
                 FROM json_each(?1)))
         WHERE parts_before < ?2",
    )
    .bind(json(&ids))
    .bind(PORTION_PARTS)
    .fetch_one(connection)
    .await?;
    Ok(usize::try_from(count).unwrap_or(rows.len()).min(rows.len()))
}

/// Conditions that an index in the order of the list helps with.
fn push_columns(sql: &mut QueryBuilder<Sqlite>, filter: &Filter, now: Timestamp) {
    let texts = [
        ("capture_state", filter.capture.map(|capture| capture.as_str().to_owned())),
        ("status", filter.status.clone()),
        ("direction", filter.direction.clone()),
        ("application_id", filter.application.clone().map(String::from)),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            sql.push(format_args!(" AND conversations.{column} = ")).push_bind(text);
        }
    }
    if let Some(since) = filter.since {
        sql.push(" AND listed_at >= ").push_bind(since.as_microsecond());
    }
    if let Some(until) = filter.until {
        sql.push(" AND listed_at < ").push_bind(until.as_microsecond());
    }
    match filter.state {
        Some(State::Live) => {
            // The first half is the condition of the index on what goes on.
            sql.push(" AND over_from IS NOT 0 AND (over_from IS NULL OR over_from > ");
            sql.push_bind(now.as_microsecond()).push(")");
        }
        Some(State::Ended) => {
            sql.push(" AND over_from <= ").push_bind(now.as_microsecond());
        }
        None => {}
    }
}

fn push_place(sql: &mut QueryBuilder<Sqlite>, page: &Page<Position>) {
    let (is_behind, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = &page.after {
        sql.push(format_args!(" AND (listed_at, id) {is_behind} ("))
            .push_bind(after.listed_at.as_microsecond());
        sql.push(", ").push_bind(after.id.as_str().to_owned()).push(")");
    }
    sql.push(format_args!(" ORDER BY listed_at {direction}, id {direction} LIMIT ")).push_bind(page.limit);
}

/// A condition with an index of its own, apart from the list's order.
struct Search {
    /// Where the conversations' ids are.
    table: &'static str,
    /// The column with the id of the conversation.
    id: &'static str,
    /// What holds of a row there: alternatives, each of which an index helps with.
    any_of: Vec<Vec<Comparison>>,
}

/// One comparison with a column.
struct Comparison {
    /// The column and the operator.
    text: &'static str,
    value: Value,
}

enum Value {
    Text(String),
    Number(i64),
}

fn searches(filter: &Filter) -> Vec<Search> {
    let parties = [(&filter.number, None), (&filter.from, Some("from")), (&filter.to, Some("to"))];
    let parties =
        parties.into_iter().filter_map(|(pattern, side)| Some(Search::party(pattern.as_ref()?, side)));
    let user = filter.user.as_deref().map(Search::user);
    parties.chain(user).chain(Search::duration(filter.min_duration, filter.max_duration)).collect()
}

impl Search {
    fn party(pattern: &Pattern, side: Option<&'static str>) -> Self {
        let keys: Vec<Vec<Comparison>> = match pattern {
            Pattern::Whole(keys) => keys.iter().map(|key| vec![text("key = ", key.clone())]).collect(),
            Pattern::Beginning(beginnings) => {
                beginnings.iter().map(|beginning| begins(["key >= ", "key < "], beginning.clone())).collect()
            }
            Pattern::Ending(ending) => {
                vec![begins(["reversed >= ", "reversed < "], ending.chars().rev().collect())]
            }
        };
        let on_side = |mut all: Vec<Comparison>| {
            all.extend(side.map(|side| text("side = ", side.to_owned())));
            all
        };
        let any_of = keys.into_iter().map(on_side).collect();
        Self { table: "parties", id: "conversation_id", any_of }
    }

    fn user(user: &str) -> Self {
        let any_of = ["user_id = ", "name = "].map(|column| vec![text(column, user.to_owned())]).into();
        Self { table: "members", id: "conversation_id", any_of }
    }

    fn duration(min: Option<i64>, max: Option<i64>) -> Option<Self> {
        let bounds = [("duration >= ", min), ("duration <= ", max)];
        let all: Vec<Comparison> = bounds
            .into_iter()
            .filter_map(|(text, bound)| Some(Comparison { text, value: Value::Number(bound?) }))
            .collect();
        (!all.is_empty()).then(|| Self { table: "conversations", id: "id", any_of: vec![all] })
    }

    /// Whether at most [`FEW`] rows fulfil it.
    async fn finds_few(&self, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM ");
        sql.push(self.table).push(" AS found WHERE ");
        self.push_condition(&mut sql);
        sql.push(" LIMIT ").push_bind(FEW + 1).push(")");
        let count: i64 = sql.build_query_scalar().fetch_one(connection).await?;
        Ok(count <= FEW)
    }

    /// Takes the conversations from the index.
    fn push_looked_up(&self, sql: &mut QueryBuilder<Sqlite>) {
        sql.push(format_args!(
            " AND conversations.id IN (SELECT {} FROM {} AS found WHERE ",
            self.id, self.table
        ));
        self.push_condition(sql);
        sql.push(")");
    }

    /// Asks each conversation of the list.
    fn push_compared(&self, sql: &mut QueryBuilder<Sqlite>) {
        let Self { table, id, .. } = self;
        sql.push(format_args!(
            " AND EXISTS (SELECT 1 FROM {table} AS found WHERE found.{id} = conversations.id AND ("
        ));
        self.push_condition(sql);
        sql.push("))");
    }

    fn push_condition(&self, sql: &mut QueryBuilder<Sqlite>) {
        if self.any_of.is_empty() {
            sql.push("false");
        }
        for (nth, all) in self.any_of.iter().enumerate() {
            sql.push(if nth == 0 { "(" } else { " OR (" });
            for (nth, Comparison { text, value }) in all.iter().enumerate() {
                sql.push(if nth == 0 { "found." } else { " AND found." }).push(text);
                match value {
                    Value::Text(text) => sql.push_bind(text.clone()),
                    Value::Number(number) => sql.push_bind(*number),
                };
            }
            sql.push(")");
        }
    }
}

fn text(text: &'static str, value: String) -> Comparison {
    Comparison { text, value: Value::Text(value) }
}

/// Everything that begins with a text lies between it and its successor: that an index can find.
fn begins([from, below]: [&'static str; 2], beginning: String) -> Vec<Comparison> {
    let successor = format!("{beginning}{}", char::MAX);
    vec![text(from, beginning), text(below, successor)]
}
