//! The group commit: what has queued up becomes one transaction with few statements and one flush to disk.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, query};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::connection::WriteConnection;
use super::{StoreError, arrivals, fetches};
use crate::domain::arrival::NewArrival;

/// An arrival that waits to be written, and who waits for it.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) arrival: NewArrival,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// Writes the arrivals that are appended to a store. Nothing is appended unless it runs.
#[derive(Debug)]
pub struct Writer {
    connection: Arc<Mutex<WriteConnection>>,
    queue: mpsc::Receiver<Append>,
    closing: CancellationToken,
}

impl Writer {
    pub(super) fn new(
        connection: Arc<Mutex<WriteConnection>>,
        queue: mpsc::Receiver<Append>,
        closing: CancellationToken,
    ) -> Self {
        Self { connection, queue, closing }
    }

    /// Writes until the store is closed, and then what is still queued.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(arrivals::MAX_ROWS);
        loop {
            tokio::select! {
                count = self.queue.recv_many(&mut batch, arrivals::MAX_ROWS) => {
                    if count == 0 {
                        return;
                    }
                }
                // No more can be queued from here on; what is queued already is still received above.
                () = self.closing.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            }
            self.commit(&mut batch).await;
        }
    }

    async fn commit(&self, batch: &mut Vec<Append>) {
        let (arrivals, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|append| (append.arrival, append.done)).unzip();
        let outcome = self.write(&arrivals).await;
        for done in waiting {
            let told = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreError::Unavailable(error.to_string())),
            };
            // Whoever asked may have gone away; the arrival is on disk all the same.
            let _ = done.send(told);
        }
    }

    async fn write(&self, arrivals: &[NewArrival]) -> Result<(), StoreError> {
        // Four statements in one go: each further exchange with the connection's thread would cost more than
        // what it asks for. Nothing in the text depends on the data but the number of rows, so it is prepared
        // once for each number.
        let statement =
            format!("BEGIN IMMEDIATE; {}; {}; COMMIT", arrivals::insert(arrivals.len()), fetches::OWE);
        let transaction =
            arrivals::bind(query(AssertSqlSafe(statement)), arrivals).bind(fetches::owed(arrivals));
        self.connection.lock().await.run(transaction).await
    }
}
