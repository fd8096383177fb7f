//! The store in one SQLite file: one connection writes, a few read.

mod arrivals;
mod changes;
mod connection;
mod derived;
mod documents;
mod fetches;
mod gaps;
mod ledger;
mod listed;
mod outage;
mod queries;
mod replies;
mod rows;
mod search;
mod snapshots;
mod stats;
mod time_box;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, Transaction};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use writer::Writer;

use connection::WriteConnection;
use outage::Refusals;
use time_box::TimeBox;

use super::{Discovery, GapPosition, Listed, Order, Page, Position, Stale, Store, StoreError};
use crate::domain::arrival::{Arrival, NewArrival};
use crate::domain::call::CallList;
use crate::domain::change::{Change, Place};
use crate::domain::conversation::Interpretation;
use crate::domain::fetch::{Finding, Lease, Settlement, Urgency};
use crate::domain::filter::Filter;
use crate::domain::gap::{Cause, Gap};
use crate::domain::history::{History, Revision};
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::domain::reply::{NewReply, Reply};
use crate::domain::snapshot::{Digests, Sighting, Snapshot};
use crate::domain::stats::{Span, Stats};

/// Every migration, in order. One value for the daemon and the tests, so that both speak of the same files.
pub static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a connection waits for another program's lock, such as a backup's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections for readers: as many queries at once as two cores can do something with.
const READERS: u32 = 4;

/// How long a reader's question may take, and wait for its turn: within what answers may take over HTTP.
const READING: Duration = Duration::from_secs(10);

/// Statements kept prepared: inserts of 1 to [`arrivals::MAX_ROWS`] rows are statements of their own.
const PREPARED_STATEMENTS: usize = 400;

/// The size, in bytes, to which the write-ahead log is cut after a checkpoint.
const JOURNAL_SIZE_LIMIT: &str = "67108864";

/// Pages in the write-ahead log that make a commit copy them into the file (16 MiB). Webhooks of one call
/// touch the same pages over and over: the rarer the copying, the less there is to copy.
const CHECKPOINT_PAGES: &str = "4000";

/// The writer's page cache: negative, so KiB. Big enough for the pages that live calls touch.
const CACHE_KIB: &str = "-16384";

/// Arrivals that may wait for the writer: some seconds' worth of the busiest hour, and a bound on memory.
const QUEUE: usize = 4096;

/// How long a reply waits for others to be written with: a webhook that comes in meanwhile is not held up.
const REPLIES_GATHER: Duration = Duration::from_millis(20);

/// The store in one file.
#[derive(Debug)]
pub struct SqliteStore {
    /// An async mutex: held for whole transactions, given in the order of asking.
    connection: Arc<Mutex<WriteConnection>>,
    readers: SqlitePool,
    /// Apart from the daemon's own: whoever reads much must not hold up what is to be looked at.
    askers: SqlitePool,
    queue: mpsc::Sender<writer::Append>,
    closing: CancellationToken,
    written: watch::Receiver<()>,
    replies: replies::Waiting,
    /// Arrivals that could not be written.
    refusals: Refusals,
    /// Held open for its lock alone.
    _lock: Option<File>,
}

/// A view of the store for as long as a reader has time. It ends with the time box, whoever waits.
#[derive(Debug)]
struct Asking {
    transaction: Transaction<'static, Sqlite>,
    _time_box: TimeBox,
}

impl Deref for Asking {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Asking {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

/// Opens the file for the only daemon on it.
pub async fn open(path: &Path) -> Result<(SqliteStore, Writer), StoreError> {
    connect(path, Some(lock(path)?)).await
}

/// Opens the file, also beside a daemon.
pub async fn open_shared(path: &Path) -> Result<(SqliteStore, Writer), StoreError> {
    match lock(path) {
        Ok(lock) => connect(path, Some(lock)).await,
        Err(StoreError::InUse(_)) => connect(path, None).await,
        Err(error) => Err(error),
    }
}

async fn connect(path: &Path, lock: Option<File>) -> Result<(SqliteStore, Writer), StoreError> {
    create(path)?;
    let unopenable = |error: sqlx::Error| StoreError::Unopenable {
        path: path.display().to_string(),
        why: error.to_string(),
    };
    let common =
        SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
    let writing = common
        .clone()
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE_KIB)
        // A statement keeps what it may have to undo, and a batch is more than SQLite keeps in memory unasked.
        .pragma("temp_store", "memory")
        .statement_cache_capacity(PREPARED_STATEMENTS);
    let mut connection = writing.connect().await.map_err(unopenable)?;
    if lock.is_some() {
        migrate(&mut connection, path).await?;
    } else {
        expect_own_schema(&mut connection).await?;
    }
    Ok(SqliteStore::over(connection, pools(common.read_only(true)).await.map_err(unopenable)?, lock))
}

/// One pool for the daemon itself and one for its readers.
async fn pools(options: SqliteConnectOptions) -> Result<[SqlitePool; 2], sqlx::Error> {
    let pool = SqlitePoolOptions::new().max_connections(READERS);
    let askers = pool.clone().acquire_timeout(READING).connect_with(options.clone()).await?;
    Ok([pool.connect_with(options).await?, askers])
}

/// Opens a file that is there, to read it only.
pub async fn open_reading(path: &Path) -> Result<SqliteStore, StoreError> {
    let log = with_ending(path, "-wal");
    // SQLite reads a log only together with an index of it, which it would have to make. Where it may not, and
    // there is no log, there is nobody else either.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .read_only(true);
    let attempt = async |options: &SqliteConnectOptions| {
        let mut connection = options.connect().await?;
        sqlx::query("SELECT 1 FROM sqlite_schema").execute(&mut connection).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    let mut chosen = options;
    let outcome = match attempt(&chosen).await {
        Err(_) if path.exists() && !log.exists() => {
            chosen = chosen.immutable(true);
            attempt(&chosen).await
        }
        outcome => outcome,
    };
    let mut connection = outcome.map_err(|error| StoreError::Unopenable {
        path: path.display().to_string(),
        why: error.to_string(),
    })?;
    expect_own_schema(&mut connection).await?;
    Ok(SqliteStore::over(connection, pools(chosen).await?, None).0)
}

/// Makes the file where there is none, so that its mode is right before there is anything in it. SQLite
/// gives its companions (`-wal`, `-shm`) the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map(drop).map_err(|error| unopenable(path, &error))
}

/// Takes the lock that keeps a second daemon out. It is on a file beside the store: closing a lock file on
/// the store itself would end SQLite's own locks.
fn lock(path: &Path) -> Result<File, StoreError> {
    let beside = with_ending(path, ".lock");
    let options = OpenOptions::new().create(true).append(true).mode(0o600).open(&beside);
    let file = options.map_err(|error| unopenable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(unopenable(path, &error)),
    }
}

/// The name of a file beside the store.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn unopenable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unopenable { path: path.display().to_string(), why: error.to_string() }
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    MIGRATOR.run(connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) => {
            StoreError::Newer { found }
        }
        error => StoreError::Unopenable { path: path.display().to_string(), why: error.to_string() },
    })
}

/// Whoever runs on the store has migrated it; this program must know exactly that schema.
async fn expect_own_schema(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await?;
    let own = MIGRATOR.iter().map(|migration| migration.version).max();
    match found {
        Some(found) if Some(found) > own => Err(StoreError::Newer { found }),
        _ if found < own => Err(StoreError::Older),
        _ => Ok(()),
    }
}

impl From<sqlx::Error> for StoreError {
    /// A statement failed. SQLite's own words name tables and the state of the disk, never values.
    fn from(error: sqlx::Error) -> Self {
        if time_box::is_over(&error) || matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::TooLong;
        }
        Self::Unavailable(error.to_string())
    }
}

impl SqliteStore {
    fn over(connection: SqliteConnection, pools: [SqlitePool; 2], lock: Option<File>) -> (Self, Writer) {
        let [readers, askers] = pools;
        let (committed, written) = watch::channel(());
        let connection = Arc::new(Mutex::new(WriteConnection::new(connection, committed)));
        let (queue, arrivals) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let writer = Writer::new(Arc::clone(&connection), arrivals, closing.clone());
        let store = Self {
            connection,
            readers,
            askers,
            queue,
            closing,
            written,
            replies: replies::Waiting::default(),
            refusals: Refusals::default(),
            _lock: lock,
        };
        (store, writer)
    }

    /// A view of the store for a reader, who has a time to keep to.
    async fn ask(&self) -> Result<Asking, StoreError> {
        let mut transaction = self.askers.begin().await?;
        let time_box = TimeBox::begin(&mut transaction, READING).await?;
        Ok(Asking { transaction, _time_box: time_box })
    }

    /// A view of the store for the daemon itself.
    async fn read(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.readers.begin().await?)
    }

    /// Does `work` in one transaction: all of it is on disk when this returns, or nothing.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin().await?;
        let done = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// Hands an arrival to the writer and waits until it is on disk.
    async fn enqueue(&self, arrival: NewArrival) -> Result<(), StoreError> {
        let (done, receipt) = oneshot::channel();
        // Here and not in the writer, which everybody waits for.
        let identity = arrival.identity();
        self.queue.try_send(writer::Append { identity, arrival, done }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Behind,
            mpsc::error::TrySendError::Closed(_) => stopped(),
        })?;
        receipt.await.unwrap_or_else(|_| Err(stopped()))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, arrival: NewArrival) -> Result<(), StoreError> {
        let received_at = arrival.received_at;
        let outcome = self.enqueue(arrival).await;
        match &outcome {
            Ok(()) => self.refusals.taken(received_at),
            Err(_) => self.refusals.refused(received_at),
        }
        outcome
    }

    async fn arrivals(&self, id: &ConversationId) -> Result<Vec<Arrival>, StoreError> {
        let mut arrivals = arrivals::of_conversations(&mut *self.ask().await?, &json(&[id])).await?;
        Ok(arrivals.remove(id.as_str()).unwrap_or_default())
    }

    async fn newest_arrivals(&self, limit: u32, after: Option<i64>) -> Result<Vec<Arrival>, StoreError> {
        arrivals::newest(&mut *self.ask().await?, limit, after).await
    }

    async fn reply(&self, reply: NewReply) -> Result<(), StoreError> {
        let mut receipt = self.replies.add(reply)?;
        tokio::time::sleep(REPLIES_GATHER).await;
        if let Ok(outcome) = receipt.try_recv() {
            return outcome;
        }
        let mut connection = self.connection.lock().await;
        let (batch, waiting) = self.replies.take();
        if !batch.is_empty() {
            let outcome = write_replies(&mut connection, &batch).await;
            for done in waiting {
                let told = outcome.as_ref().map_err(|error| StoreError::Unavailable(error.to_string()));
                // Whoever asked may have gone away; the reply is on disk all the same.
                let _ = done.send(told.copied());
            }
        }
        drop(connection);
        receipt.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn replies(&self, id: &ConversationId) -> Result<Vec<Reply>, StoreError> {
        replies::of_conversation(&mut *self.ask().await?, id).await
    }

    async fn lease(&self, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<Lease>, StoreError> {
        self.write(async |connection| {
            ledger::post(connection).await?;
            fetches::lease(connection, now, until, limit).await
        })
        .await
    }

    async fn most_urgent(&self, now: Timestamp) -> Result<Option<Urgency>, StoreError> {
        fetches::most_urgent(&mut *self.read().await?, now).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        fetches::next_due(&mut *self.read().await?).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Option<u32>, StoreError> {
        self.write(async |connection| {
            let number =
                snapshots::keep(connection, &settlement.conversation_id, &settlement.finding).await?;
            fetches::settle(connection, &settlement).await?;
            Ok(number)
        })
        .await
    }

    async fn keep(
        &self,
        id: &ConversationId,
        application: &ApplicationId,
        sighting: Sighting,
    ) -> Result<Option<u32>, StoreError> {
        self.write(async |connection| {
            ledger::post(connection).await?;
            let number = snapshots::keep(connection, id, &Finding::Seen(sighting)).await?;
            fetches::seen(connection, id, application).await?;
            Ok(number)
        })
        .await
    }

    async fn release_leases(&self) -> Result<(), StoreError> {
        self.write(fetches::release).await
    }

    async fn stale(&self, limit: u32) -> Result<Stale, StoreError> {
        derived::stale(&mut *self.read().await?, limit).await
    }

    async fn histories(&self, ids: &[ConversationId]) -> Result<Vec<History>, StoreError> {
        let asked = json(ids);
        let mut transaction = self.read().await?;
        let progress = ledger::progress(&mut transaction).await?;
        let mut states = fetches::states(&mut transaction, &asked).await?;
        let mut arrivals = arrivals::of_conversations(&mut transaction, &asked).await?;
        let mut snapshots = snapshots::of_conversations(&mut transaction, &asked).await?;
        let mut listed = listed::of_conversations(&mut transaction, &asked).await?;
        let history = |id: &ConversationId| {
            let state = states.remove(id.as_str());
            let arrivals = arrivals.remove(id.as_str()).unwrap_or_default();
            if state.is_none() && arrivals.is_empty() {
                return None;
            }
            let (mut fetch, looks) = state.unwrap_or_default();
            progress.owe(&mut fetch, &arrivals);
            let snapshots = snapshots.remove(id.as_str()).unwrap_or_default();
            let revision = Revision { newest_arrival: progress.newest, looks };
            let listed = listed.remove(id.as_str()).unwrap_or_default();
            Some(History { conversation_id: id.clone(), arrivals, snapshots, listed, fetch, revision })
        };
        Ok(ids.iter().filter_map(history).collect())
    }

    async fn save(
        &self,
        interpretations: Vec<(Interpretation, Revision)>,
        through: Option<i64>,
    ) -> Result<(), StoreError> {
        self.write(async |connection| {
            ledger::post(connection).await?;
            derived::save(connection, &interpretations).await?;
            match through {
                Some(through) => derived::follow(connection, through).await,
                None => Ok(()),
            }
        })
        .await
    }

    async fn conversations(
        &self,
        filter: &Filter,
        now: Timestamp,
        page: &Page<Position>,
    ) -> Result<Vec<Listed>, StoreError> {
        search::conversations(&mut *self.ask().await?, filter, now, page).await
    }

    async fn conversation(&self, id: &ConversationId) -> Result<Option<Interpretation>, StoreError> {
        queries::conversation(&mut *self.ask().await?, id).await
    }

    async fn resolve(&self, id: &str) -> Result<Option<ConversationId>, StoreError> {
        queries::resolve(&mut *self.ask().await?, id).await
    }

    async fn snapshots(&self, id: &ConversationId) -> Result<Vec<Digests>, StoreError> {
        snapshots::digests(&mut *self.ask().await?, id).await
    }

    async fn snapshot(&self, id: &ConversationId, number: u32) -> Result<Option<Snapshot>, StoreError> {
        snapshots::one(&mut *self.ask().await?, id, number).await
    }

    async fn stats(&self, span: Span, now: Timestamp, patience: Duration) -> Result<Stats, StoreError> {
        stats::count(&mut *self.ask().await?, span, now, patience).await
    }

    async fn changes(&self, place: Place, limit: u32) -> Result<Vec<Change>, StoreError> {
        changes::after(&mut *self.ask().await?, place, limit).await
    }

    async fn end(&self) -> Result<Place, StoreError> {
        changes::end(&mut *self.ask().await?).await
    }

    fn written(&self) -> watch::Receiver<()> {
        self.written.clone()
    }

    async fn beat(&self, at: Timestamp) -> Result<(), StoreError> {
        let mut connection = self.connection.lock().await;
        let Some(outage) = self.refusals.untold() else { return connection.run(gaps::beat(at)).await };
        let mut transaction = connection.begin().await?;
        gaps::beat(at).execute(&mut *transaction).await?;
        outage.tell(&mut transaction, at).await?;
        transaction.commit().await?;
        self.refusals.told(outage, at);
        Ok(())
    }

    async fn last_beat(&self) -> Result<Option<Timestamp>, StoreError> {
        gaps::last_beat(&mut *self.read().await?).await
    }

    async fn open_gap(
        &self,
        cause: Cause,
        application: Option<&ApplicationId>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(async |connection| gaps::open(connection, cause, application, at).await).await
    }

    async fn close_gap(
        &self,
        cause: Cause,
        application: Option<&ApplicationId>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(async |connection| gaps::close(connection, cause, application, at).await).await
    }

    async fn close_gaps(&self, at: Timestamp) -> Result<(), StoreError> {
        self.write(async |connection| gaps::close_all(connection, at).await).await
    }

    async fn add_gap(
        &self,
        cause: Cause,
        application: Option<&ApplicationId>,
        began_at: Timestamp,
        ended_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(async |connection| gaps::add(connection, cause, application, (began_at, ended_at)).await)
            .await
    }

    async fn gaps(&self, limit: u32, after: Option<GapPosition>) -> Result<Vec<Gap>, StoreError> {
        gaps::list(&mut *self.ask().await?, limit, after).await
    }

    async fn gaps_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Gap>, StoreError> {
        gaps::between(&mut *self.ask().await?, from, to).await
    }

    async fn keep_listed(&self, list: CallList) -> Result<Discovery, StoreError> {
        self.write(async |connection| {
            ledger::post(connection).await?;
            listed::keep(connection, &list).await
        })
        .await
    }

    async fn listed_until(
        &self,
        application: &ApplicationId,
        lasting_since: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        listed::listed_until(&mut *self.read().await?, application, lasting_since).await
    }

    async fn oldest_live(&self, since: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        listed::oldest_live(&mut *self.read().await?, since).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.refusals.are_recent() {
            return Err(StoreError::Unavailable("webhooks could not be stored a moment ago".to_owned()));
        }
        self.write(async |connection| {
            // Rewrites a header field with its own value: a real write, which a full or read-only disk refuses.
            sqlx::query("PRAGMA user_version = 0").execute(connection).await?;
            Ok(())
        })
        .await
    }

    async fn close(&self) {
        self.closing.cancel();
        self.readers.close().await;
    }
}

async fn write_replies(connection: &mut WriteConnection, batch: &[NewReply]) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    for reply in batch {
        replies::insert(&mut transaction, reply).await?;
    }
    transaction.commit().await
}

/// A JSON array: how a statement takes any number of values and stays one statement.
fn json<T: Serialize>(values: &[T]) -> String {
    serde_json::to_string(values).expect("texts and numbers are always JSON")
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_owned())
}
