//! Each migration is applied to a store that has rows in it, and a released one stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use conversationd::domain::filter::Filter;
use conversationd::domain::ids::ConversationId;
use conversationd::store::{self, MIGRATOR, Page};
use jiff::Timestamp;
use sqlx::migrate::{Migrate, Migration};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;

use super::support::data;

/// The SHA-384 of each released migration: what was applied somewhere must never change.
const RELEASED: [(i64, &str); 10] = [
    (1, "96293666867da3f1745b294e345d6b756c70eba5d62dc0682935a3871221733ef9423bb1c801c6de00d5cd4703b2c1e6"),
    (2, "95eb312ce0adfbe1176324b65540c5efeec8c5b0bbfbae27761b09ff4085fee16de373f59b45e9eca560be09641037bc"),
    (3, "7b801dddd185596b89c4ff547faea999c50187a79558a684cf634f0836c8340ef1e3ac73f9914312408e2d6f8adb1a04"),
    (4, "03129ca7c51d3ae1644b7084664bd132be53d90ec27abb4034a644c8c989301decd67def66f1916aab0a448c572bdd82"),
    (5, "584ab2165d5e4b90f1f949f676a341974437eb5067139620aefe8cd01fc3844dffea732c1c94a0ab86eca158f4c8a0a6"),
    (6, "f12dec152702adef387d668f7f15494b153193a1666f57f25f1a6e3a11ad16530fc1b8bfbedc789b4b71155afb4e5f55"),
    (7, "3a831e423895e54489836c52fa7100c00512137323bb2cc5386027f26d6f611a8e417e71a91cff9b5490cdffa2ec0ed0"),
    (8, "2259169ad8f8a5f05b4648e7c6de1ae11ddf163f67b14dfea6101f361b18bd1ccfd68938c8a1c72e41354b2f02f4d0ae"),
    (9, "1f7b56d10b84710ee480c7a1be3138c6fded8362daeb6ca2b67208bf2525ae87f8501514c6d6757d3808f6ea83a2da69"),
    (10, "b458f44333b3bd11daedb6aeff16fda8abe01f55e30267d2b5157741097953783a179ee647652b528f4dd6c9e93f917f"),
];

#[test]
fn a_released_migration_stays_as_it_is() {
    for (version, expected) in RELEASED {
        let migration = MIGRATOR.iter().find(|migration| migration.version == version).unwrap();
        assert_eq!(hex(&migration.checksum), expected, "{}", name(migration));
    }
}

#[test]
fn every_migration_has_sample_rows() {
    let migrations: Vec<String> =
        MIGRATOR.iter().map(|migration| format!("{}.sql", name(migration))).collect();
    assert_eq!(data::names("migrations"), migrations);
}

#[tokio::test]
async fn each_migration_leaves_the_rows_that_were_there() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.db");
    let mut connection = connect(&path).await;
    connection.ensure_migrations_table(&MIGRATOR.table_name).await.unwrap();
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for migration in MIGRATOR.iter() {
        connection.apply(&MIGRATOR.table_name, migration).await.unwrap();
        let now = rows(&mut connection).await;
        for (table, count) in &counts {
            assert_eq!(now.get(table), Some(count), "{} lost rows of {table}", name(migration));
        }
        sqlx::raw_sql(AssertSqlSafe(samples(migration))).execute(&mut connection).await.unwrap();
        counts = rows(&mut connection).await;
        let empty: Vec<&String> =
            counts.iter().filter(|(_, count)| **count == 0).map(|(table, _)| table).collect();
        assert!(empty.is_empty(), "{} has no sample rows for {empty:?}", name(migration));
        let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await.unwrap();
        assert!(dangling.is_empty(), "{}", name(migration));
    }
}

#[tokio::test]
async fn the_daemon_reads_the_rows_that_older_ones_left() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.db");
    let mut connection = connect(&path).await;
    connection.ensure_migrations_table(&MIGRATOR.table_name).await.unwrap();
    for migration in MIGRATOR.iter() {
        connection.apply(&MIGRATOR.table_name, migration).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(samples(migration))).execute(&mut connection).await.unwrap();
    }
    let (store, _writer) = store::open(&path).await.unwrap();
    let listed =
        store.conversations(&Filter::default(), Timestamp::UNIX_EPOCH, &Page::first(10)).await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|listed| listed.interpretation.id.as_str()).collect();
    assert_eq!(ids, ["CON-1", "CON-2"]);
    assert_eq!((listed[0].interpretation.members.len(), listed[0].interpretation.legs.len()), (2, 2));
    let call = ConversationId::parse("CON-1").unwrap();
    let history = store.histories(std::slice::from_ref(&call)).await.unwrap().remove(0);
    assert_eq!((history.arrivals.len(), history.snapshots.len()), (3, 2));
    let timed: Vec<bool> =
        history.arrivals.iter().map(|arrival| arrival.event.occurred_at.is_some()).collect();
    assert_eq!(timed, [true, false, true]);
    assert_eq!(*history.snapshots[0].sighting.documents[1].body, *b"[]");
    let replies = store.replies(&call).await.unwrap();
    let given: Vec<_> =
        replies.iter().map(|reply| (reply.given.source.as_str(), reply.given.ncco.as_deref())).collect();
    let empty = Some(b"[]".as_slice());
    assert_eq!(given, [("forward", empty), ("substitute", empty), ("forward", None)]);
    // The log was followed up to the third arrival; and all of them are interpreted anew.
    let stale = store.stale(10).await.unwrap();
    assert_eq!(
        (stale.conversations.contains(&call), stale.conversations.len(), stale.through),
        (true, 5, Some(4))
    );
    store.close().await;
}

#[test]
fn no_migration_demands_a_value_that_old_rows_do_not_have() {
    for migration in MIGRATOR.iter() {
        assert_eq!(demands(migration.sql.as_str()), Vec::<String>::new(), "{}", name(migration));
    }
    let added = "alter  table arrivals\n  add column a TEXT NOT NULL -- DEFAULT ''\n;";
    assert_eq!(demands(added), ["alter table arrivals add column a text not null"]);
    assert_eq!(demands("CREATE TABLE a (b TEXT NOT NULL); ALTER TABLE a ADD c INTEGER NOT NULL;").len(), 1);
    for harmless in [
        "ALTER TABLE a ADD COLUMN b TEXT;",
        "ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT 'x';",
        "CREATE TABLE a (b TEXT NOT NULL) STRICT;",
        "-- ALTER TABLE a ADD COLUMN b TEXT NOT NULL;\nALTER TABLE a RENAME TO c;",
    ] {
        assert_eq!(demands(harmless), Vec::<String>::new(), "{harmless}");
    }
}

/// The statements that add a column which must have a value and has no default, without comments.
fn demands(sql: &str) -> Vec<String> {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n").to_lowercase();
    let statements =
        code.split(';').map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "));
    let adds = |statement: &str| statement.starts_with("alter table") && statement.contains(" add ");
    statements
        .filter(|statement| {
            adds(statement) && statement.contains("not null") && !statement.contains("default")
        })
        .collect()
}

/// The sample rows that belong to a migration, as SQL.
fn samples(migration: &Migration) -> String {
    let bytes = data::bytes(&format!("migrations/{}.sql", name(migration)));
    String::from_utf8(bytes).expect("SQL is a text")
}

/// The number of rows of every table of ours.
async fn rows(connection: &mut SqliteConnection) -> BTreeMap<String, i64> {
    let tables = sqlx::query(
        "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    );
    let tables = tables.fetch_all(&mut *connection).await.expect("the statement is right");
    let mut counts = BTreeMap::new();
    for table in tables {
        let table: String = table.get(0);
        let count = sqlx::query(AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
        let count = count.fetch_one(&mut *connection).await.expect("the statement is right").get(0);
        counts.insert(table, count);
    }
    counts
}

async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(true);
    options.connect().await.expect("the file can be made")
}

/// The name of the migration's file, without its ending.
fn name(migration: &Migration) -> String {
    format!("{:04}_{}", migration.version, migration.description.replace(' ', "_"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes any text");
        text
    })
}
