//! Copies the write-ahead log into the file, beside the commits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row, query};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::StoreError;
use super::connection::WriteConnection;
use super::files::StoreFiles;

/// From a commit to the copy: rare, as webhooks of one call touch the same pages over and over, and often enough for
/// the busiest hour to leave a log of a few ten MiB.
const PAUSE: Duration = Duration::from_secs(2);

/// So much of the log, in pages, commits are held up for: a few milliseconds' work.
const REST: i64 = 1000;

/// Copies while commits go on before the rest is little enough: each has only what came in during the one before.
const ROUNDS: usize = 3;

/// Copies the log now and then, so that no commit has to: a copy waits for the disk for as long as dozens of commits.
#[derive(Debug)]
pub(super) struct Checkpointer {
    options: SqliteConnectOptions,
    /// What is copied; `None` where nothing is written.
    files: Option<StoreFiles>,
    writer: Arc<Mutex<WriteConnection>>,
    written: watch::Receiver<()>,
}

impl Checkpointer {
    /// One that copies what `writer` has written, through a connection with these options.
    pub(super) fn new(
        (options, files): (SqliteConnectOptions, Option<StoreFiles>),
        writer: Arc<Mutex<WriteConnection>>,
        written: watch::Receiver<()>,
    ) -> Self {
        Self { options, files, writer, written }
    }

    /// Works until the stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut failed_before = false;
        while stop.run_until_cancelled(self.due()).await.is_some() {
            let outcome = self.copy().await;
            if let Err(error) = &outcome
                && !failed_before
            {
                tracing::warn!(%error, "the write-ahead log could not be copied into the store's file and grows; trying again");
            }
            failed_before = outcome.is_err();
        }
    }

    /// Waits until there is something to copy, and for more of it.
    async fn due(&mut self) {
        // The sender is in the connection that is held here: it cannot be gone.
        let _ = self.written.changed().await;
        tokio::time::sleep(PAUSE).await;
    }

    /// Copies most of the log while commits go on, and then what these have added while they wait: only a log that is
    /// copied to its end is begun anew. Where a reader is in the way of most of it, nobody is held up for the rest.
    ///
    /// The connection is a new one each time: it takes a millisecond, and nothing that befell the last one matters.
    async fn copy(&mut self) -> Result<(), StoreError> {
        if self.files.as_ref().is_some_and(|files| !files.are_in_place()) {
            // A new connection would open other files than the writer has.
            return Ok(());
        }
        let mut connection = self.options.connect().await?;
        self.written.mark_unchanged();
        for _ in 0..ROUNDS {
            if copy(&mut connection).await? <= REST {
                let _writer = self.writer.lock().await;
                copy(&mut connection).await?;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Copies the log as far as nobody is in the way. Returns how many pages of it are left.
pub(super) async fn copy(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let row = query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await?;
    let (log, copied): (i64, i64) = (row.try_get("log")?, row.try_get("checkpointed")?);
    Ok(log - copied)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;

    use super::*;
    use crate::store::Store;
    use crate::store::sqlite::open;

    #[tokio::test]
    async fn a_log_that_is_copied_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let (store, writer) = open(&path).await.unwrap();
        let mut checkpointer = writer.checkpointer;
        checkpointer.copy().await.unwrap();
        let log = || fs::metadata(path.with_extension("db-wal")).unwrap().len();
        let begun = log();
        for second in 0..500 {
            store.beat(Timestamp::from_second(second).unwrap()).await.unwrap();
            if second % 10 == 9 {
                checkpointer.copy().await.unwrap();
            }
        }
        assert_eq!(log(), begun, "it is as long as it ever was");
    }

    #[tokio::test]
    async fn nobody_is_held_up_while_a_reader_is_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let (store, writer) = open(&path).await.unwrap();
        let mut checkpointer = writer.checkpointer;
        let mut reader = store.read().await.unwrap();
        query("SELECT beat_at FROM heartbeat").execute(&mut *reader).await.unwrap();
        for second in 0..=REST {
            store.beat(Timestamp::from_second(second).unwrap()).await.unwrap();
        }
        let _commit = store.connection.lock().await;
        let copied = tokio::time::timeout(Duration::from_secs(10), checkpointer.copy()).await;
        copied.expect("it does not wait for the writer").unwrap();
    }
}
