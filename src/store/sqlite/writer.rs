//! The group commit: what has queued up becomes one statement, one transaction and one flush to disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, query};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::connection::WriteConnection;
use super::{StoreError, arrivals};
use crate::domain::arrival::{Identity, NewArrival};

/// How long a commit waits for arrivals that are on their way: about as long as a flush takes.
const GATHERING: Duration = Duration::from_micros(700);

/// So few requests at one time are not waited for.
const FEW: usize = 8;

/// An arrival that waits to be written, and who waits for it.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) identity: Identity,
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
        let mut under_way = UnderWay::default();
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
            self.gather(&mut batch, under_way.worth_waiting_for()).await;
            under_way.committed(batch.len());
            self.commit(&mut batch).await;
        }
    }

    /// Waits a moment for arrivals that are on their way, up to `enough` in all. Without it the first sender
    /// who comes back after a commit gets one of its own, for which all the others wait.
    async fn gather(&mut self, batch: &mut Vec<Append>, enough: usize) {
        let began = Instant::now();
        while batch.len() < enough && began.elapsed() < GATHERING {
            // Not a sleep: the timer's millisecond is longer than what a flush takes.
            tokio::task::yield_now().await;
            while batch.len() < arrivals::MAX_ROWS
                && let Ok(append) = self.queue.try_recv()
            {
                batch.push(append);
            }
        }
    }

    async fn commit(&self, batch: &mut Vec<Append>) {
        let (arrivals, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|append| ((append.identity, append.arrival), append.done)).unzip();
        let outcome = self.write(arrivals).await;
        for done in waiting {
            let told = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreError::Unavailable(error.to_string())),
            };
            // Whoever asked may have gone away; the arrival is on disk all the same.
            let _ = done.send(told);
        }
    }

    async fn write(&self, arrivals: Vec<(Identity, NewArrival)>) -> Result<(), StoreError> {
        // One statement, which is a transaction by itself: each further exchange with the connection's thread
        // would cost more than what it asks for. Nothing in its text depends on the data but the number of
        // rows, so it is prepared once for each number.
        let statement = arrivals::insert(arrivals.len());
        let transaction = arrivals::bind(query(AssertSqlSafe(statement)), arrivals);
        self.connection.lock().await.run(transaction).await
    }
}

/// How many requests are under way at one time, as the last two commits tell.
#[derive(Debug, Default)]
struct UnderWay {
    last: usize,
    before: usize,
}

impl UnderWay {
    fn committed(&mut self, count: usize) {
        (self.last, self.before) = (count, self.last);
    }

    /// Somewhat more than half of them: the others come in while these are written. Few are not waited for.
    fn worth_waiting_for(&self) -> usize {
        let all = self.last + self.before;
        if all < FEW { 0 } else { (all * 3 / 5).min(arrivals::MAX_ROWS) }
    }
}
