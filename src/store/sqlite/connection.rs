//! The one connection that writes, and its transactions.

use std::ops::{Deref, DerefMut};

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Connection, Sqlite, query};
use tokio::sync::watch;

use super::files::{FileGuard, StoreFiles};
use super::{StoreError, checkpoint, stopped};

/// Whoever has the transaction has the connection: nobody else can close it.
const BEGUN: &str = "a transaction was begun on an open connection";

/// The connection that writes. It keeps account of its transaction itself: when the disk is full SQLite ends a
/// transaction of its own accord, and a count kept elsewhere (sqlx has one) would be wrong from then on.
#[derive(Debug)]
pub(super) struct WriteConnection {
    /// `None` once it is closed.
    inner: Option<SqliteConnection>,
    /// What it writes to; `None` where it only reads.
    files: Option<FileGuard>,
    /// Whether a transaction may be open: it was begun and not seen to end, because it failed or because
    /// whoever began it has gone away.
    unsettled: bool,
    /// Told of each commit, without waiting for whoever listens.
    written: watch::Sender<()>,
}

impl WriteConnection {
    pub(super) fn new(inner: SqliteConnection, files: Option<StoreFiles>) -> Self {
        let files = files.map(FileGuard::new);
        Self { inner: Some(inner), files, unsettled: false, written: watch::Sender::new(()) }
    }

    /// Changes with each commit.
    pub(super) fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Refuses to write into files that are lost.
    async fn expect_files(&mut self) -> Result<(), StoreError> {
        if self.files.as_ref().is_some_and(FileGuard::is_lost) { self.verify().await } else { Ok(()) }
    }

    /// Whether what was committed is where the next start looks for it.
    async fn verify(&mut self) -> Result<(), StoreError> {
        match (&mut self.files, &mut self.inner) {
            (Some(files), Some(inner)) => files.verify(inner).await,
            _ => Ok(()),
        }
    }

    /// Begins a transaction that writes. It takes the lock at once: a reader that becomes a writer half way
    /// may find that somebody else has.
    pub(super) async fn begin(&mut self) -> Result<WriteTransaction<'_>, StoreError> {
        self.settle().await;
        self.expect_files().await?;
        let inner = self.inner.as_mut().ok_or_else(stopped)?;
        self.unsettled = true;
        query("BEGIN IMMEDIATE").execute(inner).await?;
        Ok(WriteTransaction(self))
    }

    /// Runs a statement that is a transaction by itself.
    pub(super) async fn run(
        &mut self,
        statement: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<(), StoreError> {
        self.settle().await;
        self.expect_files().await?;
        statement.execute(self.inner.as_mut().ok_or_else(stopped)?).await?;
        self.written.send_replace(());
        self.verify().await
    }

    /// Copies the write-ahead log into the file, as far as nobody is in the way.
    pub(super) async fn copy_log(&mut self) {
        self.settle().await;
        if let Some(inner) = &mut self.inner {
            // It loses nothing where it fails: the next to open the store reads the log.
            let _ = checkpoint::copy(inner).await;
        }
    }

    /// Closes the connection: nothing is written from then on. The last of a file takes its log away.
    pub(super) async fn close(&mut self) {
        self.settle().await;
        if let Some(inner) = self.inner.take() {
            // What it could not do is done by the next to open the store.
            let _ = inner.close().await;
        }
    }

    /// Rolls back what was left behind. Where SQLite has done so already there is nothing to do, and it says so.
    async fn settle(&mut self) {
        if self.unsettled
            && let Some(inner) = &mut self.inner
        {
            let _ = query("ROLLBACK").execute(inner).await;
            self.unsettled = false;
        }
    }
}

/// A transaction that is rolled back, at the latest when the next begins, unless it is committed.
#[derive(Debug)]
pub(super) struct WriteTransaction<'c>(&'c mut WriteConnection);

impl WriteTransaction<'_> {
    /// Puts it on disk.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        query("COMMIT").execute(self.0.inner.as_mut().ok_or_else(stopped)?).await?;
        self.0.unsettled = false;
        self.0.written.send_replace(());
        self.0.verify().await
    }
}

impl Deref for WriteTransaction<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.0.inner.as_ref().expect(BEGUN)
    }
}

impl DerefMut for WriteTransaction<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.0.inner.as_mut().expect(BEGUN)
    }
}
