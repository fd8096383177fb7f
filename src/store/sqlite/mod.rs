//! The store in one SQLite file: one connection writes, a few read.

mod arrivals;
mod changes;
mod checkpoint;
mod connection;
mod derived;
mod documents;
mod due;
mod fetches;
mod files;
mod findings;
mod gaps;
mod ledger;
mod listed;
mod open;
mod outage;
mod queries;
mod replies;
mod rows;
mod search;
mod snapshots;
mod stats;
mod time_box;
mod writer;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use sqlx::{Sqlite, Transaction};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub(super) use files::is_one_of;
pub use open::{MIGRATOR, open, open_reading, open_shared};
pub use writer::Writer;

use checkpoint::Checkpointer;
use connection::WriteConnection;
use files::StoreFiles;
use outage::Refusals;
use writer::Appender;

use super::{Discovery, GapPosition, Kept, Listed, Order, Page, Position, Stale, Store, StoreError};
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
use crate::domain::snapshot::{Digests, Snapshot};
use crate::domain::stats::{Backlog, Span, Stats};

/// How long a reader's question may take, and wait for its turn: within what answers may take over HTTP.
const READING: Duration = Duration::from_secs(10);

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
    pressed: watch::Receiver<bool>,
    replies: replies::Waiting,
    /// Arrivals that could not be written.
    refusals: Refusals,
    /// Held open for its lock alone.
    _lock: Option<File>,
}

impl From<sqlx::Error> for StoreError {
    /// A statement failed. SQLite's own words name tables and the state of the disk, never values.
    fn from(error: sqlx::Error) -> Self {
        if time_box::is_over(&error) || matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::TooLong;
        }
        // `SQLITE_CORRUPT`, `SQLITE_NOTADB`.
        if let sqlx::Error::Database(error) = &error
            && primary_code(&**error).is_some_and(|code| [11, 26].contains(&code))
        {
            return Self::Damaged(error.to_string());
        }
        Self::Unavailable(error.to_string())
    }
}

/// SQLite's primary result code of an error: the low byte of the extended one that it reports.
fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    Some(error.code()?.parse::<i32>().ok()? & 0xff)
}

impl SqliteStore {
    /// A store over these connections. Its log is copied through one with the `copying` options.
    fn over(
        (connection, files): (SqliteConnection, Option<StoreFiles>),
        pools: [SqlitePool; 2],
        copying: SqliteConnectOptions,
        lock: Option<File>,
    ) -> (Self, Writer) {
        let [readers, askers] = pools;
        let connection = WriteConnection::new(connection, files.clone());
        let written = connection.written();
        let connection = Arc::new(Mutex::new(connection));
        let (queue, arrivals) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let checkpointer = Checkpointer::new((copying, files), Arc::clone(&connection), written.clone());
        let (pressing, pressed) = watch::channel(false);
        let appender = Appender::new(Arc::clone(&connection), arrivals, pressing, closing.clone());
        let writer = Writer::new(appender, checkpointer, [readers.clone(), askers.clone()]);
        let store = Self {
            connection,
            readers,
            askers,
            queue,
            closing,
            written,
            pressed,
            replies: replies::Waiting::default(),
            refusals: Refusals::default(),
            _lock: lock,
        };
        (store, writer)
    }

    /// A view of the store for a reader, who has a time to keep to.
    async fn ask(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let mut transaction = self.askers.begin().await?;
        time_box::begin(&mut transaction, READING).await?;
        Ok(transaction)
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
    fn refused(&self, at: Timestamp) {
        self.refusals.refused(at);
    }

    async fn append(&self, arrival: NewArrival) -> Result<(), StoreError> {
        let received_at = arrival.received_at;
        let outcome = self.enqueue(arrival).await;
        match &outcome {
            Ok(()) => self.refusals.taken(received_at),
            Err(_) => self.refusals.refused(received_at),
        }
        outcome
    }

    async fn arrivals_after(
        &self,
        id: &ConversationId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Arrival>, StoreError> {
        arrivals::after(&mut *self.ask().await?, id, after, limit).await
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
        let taken = self.write(async |connection| {
            ledger::post(connection).await?;
            due::lease(connection, now, until, limit).await
        });
        match taken.await? {
            (leases, Some(damage)) if leases.is_empty() => Err(damage),
            (leases, _) => Ok(leases),
        }
    }

    async fn most_urgent(&self, now: Timestamp) -> Result<Option<Urgency>, StoreError> {
        due::most_urgent(&mut *self.read().await?, now).await
    }

    async fn has_pending(&self, application: &ApplicationId) -> Result<bool, StoreError> {
        due::has_pending(&mut *self.read().await?, application).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        due::next_due(&mut *self.read().await?).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Option<u32>, StoreError> {
        self.write(async |connection| {
            let number = findings::keep(connection, &settlement.conversation_id, &settlement.finding).await?;
            fetches::settle(connection, &settlement).await?;
            Ok(number)
        })
        .await
    }

    async fn pull(&self, now: Timestamp, latest: Timestamp) -> Result<u64, StoreError> {
        self.write(async |connection| due::pull(connection, now, latest).await).await
    }

    async fn hasten(&self, application: &ApplicationId, now: Timestamp) -> Result<u64, StoreError> {
        self.write(async |connection| due::hasten(connection, application, now).await).await
    }

    async fn revive(
        &self,
        application: &ApplicationId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write(async |connection| due::revive(connection, application, since, now).await).await
    }

    async fn keep(
        &self,
        id: &ConversationId,
        application: &ApplicationId,
        finding: Finding,
    ) -> Result<Option<Kept>, StoreError> {
        self.write(async |connection| {
            ledger::post(connection).await?;
            let before = snapshots::newest(connection, id).await?.map_or(0, |newest| newest.number);
            let number = findings::keep(connection, id, &finding).await?;
            fetches::seen(connection, id, application).await?;
            let kept = |number| if number > before { Kept::New(number) } else { Kept::Joined(number) };
            Ok(number.map(kept))
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
        let mut connection = self.read().await?;
        let progress = ledger::progress(&mut connection).await?;
        histories(&mut connection, ids, progress.of_next_batch()).await
    }

    async fn history_bytes(&self, ids: &[ConversationId]) -> Result<Vec<u64>, StoreError> {
        let mut connection = self.read().await?;
        let progress = ledger::progress(&mut connection).await?;
        history_bytes(&mut connection, ids, progress.of_next_batch()).await
    }

    async fn history(&self, id: &ConversationId) -> Result<Option<History>, StoreError> {
        let mut connection = self.ask().await?;
        let progress = ledger::progress(&mut connection).await?;
        Ok(histories(&mut connection, std::slice::from_ref(id), progress).await?.pop())
    }

    async fn quarantine(&self, unreadable: &[(ConversationId, Option<Revision>)]) -> Result<(), StoreError> {
        self.write(async |connection| derived::quarantine(connection, unreadable).await).await
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

    async fn backlog(&self, now: Timestamp, patience: Duration) -> Result<Backlog, StoreError> {
        stats::backlog(&mut *self.ask().await?, now, patience).await
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

    fn pressed(&self) -> watch::Receiver<bool> {
        self.pressed.clone()
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
        let is_first_page = after.is_none();
        let mut gaps = gaps::list(&mut *self.ask().await?, limit, after).await?;
        if let Some(lasting) = self.refusals.gap().filter(|gap| is_first_page && !gap.is_among(&gaps)) {
            gaps.insert(0, lasting);
            gaps.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(gaps)
    }

    async fn gaps_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Gap>, StoreError> {
        let mut gaps = gaps::between(&mut *self.ask().await?, from, to).await?;
        gaps.extend(self.refusals.gap().filter(|gap| gap.touches(from, to) && !gap.is_among(&gaps)));
        Ok(gaps)
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
        self.write(async |connection| {
            // Rewrites a header field with its own value: a real write, which a full or read-only disk refuses.
            sqlx::query("PRAGMA user_version = 0").execute(connection).await?;
            Ok(())
        })
        .await?;
        if self.refusals.are_recent() {
            return Err(StoreError::Unavailable("webhooks could not be stored a moment ago".to_owned()));
        }
        Ok(())
    }

    async fn close(&self) {
        self.closing.cancel();
        tokio::join!(self.readers.close(), self.askers.close());
    }
}

/// What the logs hold of conversations, as far as the log of arrivals goes here.
async fn histories(
    connection: &mut SqliteConnection,
    ids: &[ConversationId],
    progress: ledger::Progress,
) -> Result<Vec<History>, StoreError> {
    let asked = json(ids);
    let mut states = fetches::states(&mut *connection, &asked).await?;
    let mut arrivals = arrivals::of_conversations(&mut *connection, &asked, progress.newest).await?;
    let mut snapshots = snapshots::of_conversations(&mut *connection, &asked).await?;
    let mut listed = listed::of_conversations(&mut *connection, &asked).await?;
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

/// The bytes of the bodies in what [`histories`] reads, in the order of `ids`.
async fn history_bytes(
    connection: &mut SqliteConnection,
    ids: &[ConversationId],
    progress: ledger::Progress,
) -> Result<Vec<u64>, StoreError> {
    let asked = json(ids);
    let arrivals = arrivals::bytes_of_conversations(&mut *connection, &asked, progress.newest).await?;
    let documents = snapshots::bytes_of_conversations(&mut *connection, &asked).await?;
    let bytes =
        |id: &ConversationId| [&arrivals, &documents].into_iter().filter_map(|of| of.get(id.as_str())).sum();
    Ok(ids.iter().map(bytes).collect())
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
