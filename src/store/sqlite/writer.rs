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

    /// Writes until the store is closed, and then what is still queued. At the end everything is in the store's own
    /// file, unless somebody still reads: whoever copies that alone has a whole copy.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(arrivals::MAX_ROWS);
        // Those whom the last commit freed: most of them come back.
        let mut freed = 0;
        loop {
            tokio::select! {
                first = self.queue.recv() => match first {
                    Some(first) => batch.push(first),
                    None => return self.connection.lock().await.copy_log().await,
                },
                // No more can be queued from here on; what is queued already is still received above.
                () = self.closing.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            }
            let share = Share::of(batch.len() + self.queue.len() + freed);
            self.gather(&mut batch, share).await;
            freed = batch.len();
            self.commit(&mut batch).await;
        }
    }

    /// Takes what is queued up to the share, and waits a moment for arrivals that are on their way if it is less
    /// than that.
    async fn gather(&mut self, batch: &mut Vec<Append>, share: Share) {
        let began = Instant::now();
        loop {
            while batch.len() < share.most
                && let Ok(append) = self.queue.try_recv()
            {
                batch.push(append);
            }
            if batch.len() >= share.least || began.elapsed() > GATHERING {
                return;
            }
            // Not a sleep: the timer's millisecond is longer than what a flush takes.
            tokio::task::yield_now().await;
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

/// How much of what is under way goes into one commit: about half. Who sends webhooks waits for the reply before
/// it sends the next. While one half is written the other comes in; a commit of all that there are would leave
/// the disk idle until the first of them is back, and he would then have one for himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    /// So many are waited for.
    least: usize,
    /// No more are taken.
    most: usize,
}

impl Share {
    fn of(under_way: usize) -> Self {
        if under_way < FEW {
            return Self { least: 0, most: arrivals::MAX_ROWS };
        }
        let most = (under_way * 11 / 20).min(arrivals::MAX_ROWS);
        Self { least: (under_way * 3 / 10).min(most), most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_written_at_once_and_of_many_about_half() {
        assert_eq!(Share::of(1), Share { least: 0, most: arrivals::MAX_ROWS });
        assert_eq!(Share::of(FEW - 1).least, 0);
        assert_eq!(Share::of(64), Share { least: 19, most: 35 });
        assert_eq!(Share::of(4000).most, arrivals::MAX_ROWS);
        for under_way in 1..1000 {
            let share = Share::of(under_way);
            assert!((1..=arrivals::MAX_ROWS).contains(&share.most), "{under_way}");
            assert!(share.least <= share.most, "what is waited for is taken: {under_way}");
            // What is waited for is fewer than those who are not being written.
            assert!(share.least <= under_way - share.most.min(under_way) || share.least == 0, "{under_way}");
        }
    }
}
