//! Copies the write-ahead log into the file, beside the commits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, query};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::StoreError;
use super::connection::WriteConnection;

/// From a commit to the copy: rare, as webhooks of one call touch the same pages over and over, and often enough for
/// the busiest hour to leave a log of a few ten MiB.
const PAUSE: Duration = Duration::from_secs(2);

/// Copies the log now and then, so that no commit has to: a copy waits for the disk for as long as dozens of commits.
#[derive(Debug)]
pub(super) struct Checkpointer {
    options: SqliteConnectOptions,
    writer: Arc<Mutex<WriteConnection>>,
    written: watch::Receiver<()>,
}

impl Checkpointer {
    /// One that copies what `writer` has written, through a connection with these options.
    pub(super) fn new(
        options: SqliteConnectOptions,
        writer: Arc<Mutex<WriteConnection>>,
        written: watch::Receiver<()>,
    ) -> Self {
        Self { options, writer, written }
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
        if self.written.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(PAUSE).await;
    }

    /// Copies most of the log while commits go on, and then what these have added while they wait: only a log that is
    /// copied to its end is begun anew.
    async fn copy(&mut self) -> Result<(), StoreError> {
        let mut connection = self.options.connect().await?;
        self.written.mark_unchanged();
        copy(&mut connection).await?;
        let writer = self.writer.lock().await;
        copy(&mut connection).await?;
        drop(writer);
        Ok(())
    }
}

/// Copies the log as far as nobody is in the way.
pub(super) async fn copy(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;

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
}
