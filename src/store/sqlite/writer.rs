//! The group commit: what has queued up becomes one statement, one transaction and one flush to disk.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, query};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::checkpoint::Checkpointer;
use super::connection::WriteConnection;
use super::{StoreError, arrivals};
use crate::domain::arrival::{Identity, NewArrival};

/// How long a commit waits for arrivals that are on their way: a few times as long as a flush takes. Vonage waits
/// seconds.
const GATHERING: Duration = Duration::from_millis(3);

/// So few requests at one time are not waited for, and are nobody's burst.
const FEW: usize = 8;

/// For how long a crowd is remembered at least; at most for three times as long.
const MEMORY: Duration = Duration::from_millis(500);

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
    appender: Appender,
    pub(super) checkpointer: Checkpointer,
    pools: [SqlitePool; 2],
}

impl Writer {
    pub(super) fn new(appender: Appender, checkpointer: Checkpointer, pools: [SqlitePool; 2]) -> Self {
        Self { appender, checkpointer, pools }
    }

    /// Writes until the store is closed, and then what is still queued. At the end everything is in the store's own
    /// file, unless somebody still reads: whoever copies that alone has a whole copy.
    pub async fn run(self) {
        let connection = Arc::clone(&self.appender.connection);
        let done = CancellationToken::new();
        tokio::join!(self.checkpointer.run(done.clone()), async {
            self.appender.run().await;
            done.cancel();
        });
        connection.lock().await.copy_log().await;
        // Only the last to close the file takes the log away, and those who only read cannot.
        let [readers, askers] = self.pools;
        tokio::join!(readers.close(), askers.close());
        connection.lock().await.close().await;
    }
}

/// Commits what has queued up.
#[derive(Debug)]
pub(super) struct Appender {
    connection: Arc<Mutex<WriteConnection>>,
    queue: mpsc::Receiver<Append>,
    /// Told after each commit whether many wait already.
    pressing: watch::Sender<bool>,
    crowd: Crowd,
    closing: CancellationToken,
}

impl Appender {
    pub(super) fn new(
        connection: Arc<Mutex<WriteConnection>>,
        queue: mpsc::Receiver<Append>,
        pressing: watch::Sender<bool>,
        closing: CancellationToken,
    ) -> Self {
        Self { connection, queue, pressing, crowd: Crowd::new(Instant::now()), closing }
    }

    async fn run(mut self) {
        let mut batch = Vec::with_capacity(arrivals::MAX_ROWS);
        loop {
            tokio::select! {
                first = self.queue.recv() => match first {
                    Some(first) => batch.push(first),
                    None => return,
                },
                // No more can be queued from here on; what is queued already is still received above.
                () = self.closing.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            }
            self.gather(&mut batch).await;
            self.commit(&mut batch).await;
        }
    }

    /// Takes what is queued up to the share, and waits a moment for arrivals that are on their way if it is less
    /// than that.
    async fn gather(&mut self, batch: &mut Vec<Append>) {
        let share = self.crowd.share(Instant::now());
        let mut too_late = pin!(sleep(GATHERING));
        loop {
            while batch.len() < share.most
                && let Ok(append) = self.queue.try_recv()
            {
                batch.push(append);
            }
            if batch.len() >= share.least {
                return;
            }
            tokio::select! {
                next = self.queue.recv() => match next {
                    Some(append) => batch.push(append),
                    None => return,
                },
                () = &mut too_late => return,
            }
        }
    }

    async fn commit(&mut self, batch: &mut Vec<Append>) {
        let (arrivals, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|append| ((append.identity, append.arrival), append.done)).unzip();
        let outcome = self.write(arrivals).await;
        let (written, queued) = (waiting.len(), self.queue.len());
        for done in waiting {
            let told = match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreError::Unavailable(error.to_string())),
            };
            // Whoever asked may have gone away; the arrival is on disk all the same.
            let _ = done.send(told);
        }
        self.crowd.see(written + queued, Instant::now());
        let many = queued >= FEW;
        self.pressing.send_if_modified(|pressed| std::mem::replace(pressed, many) != many);
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

/// Who sends at one time. At the end of a commit those are seen who waited for it or wait for the next, but not who is
/// on the way, and the quicker the commit the more these are. A commit that takes its time sees nearly all: so the
/// largest crowd counts that was seen lately.
#[derive(Debug)]
struct Crowd {
    since: Instant,
    /// The largest since then.
    lately: usize,
    /// The largest in as long a time before.
    before: usize,
}

impl Crowd {
    fn new(now: Instant) -> Self {
        Self { since: now, lately: 0, before: 0 }
    }

    /// Sees those who waited at the end of a commit, before it let anybody go.
    fn see(&mut self, waiting: usize, now: Instant) {
        self.forget(now);
        self.lately = self.lately.max(waiting);
    }

    fn forget(&mut self, now: Instant) {
        let past = now.duration_since(self.since);
        if past >= MEMORY {
            let before = if past < 2 * MEMORY { self.lately } else { 0 };
            *self = Self { since: now, lately: 0, before };
        }
    }

    fn size(&self) -> usize {
        self.lately.max(self.before)
    }

    /// How much of it goes into one commit: about half. Who sends webhooks waits for the reply before it sends the
    /// next. While one half is written the other comes in; a commit of all that there are would leave the disk idle
    /// until the first of them is back, and one of a few would keep the many waiting for it.
    fn share(&mut self, now: Instant) -> Share {
        self.forget(now);
        let size = self.size();
        if size < FEW {
            return Share { least: 0, most: arrivals::MAX_ROWS };
        }
        let most = (size * 11 / 20).min(arrivals::MAX_ROWS);
        Share { least: (size * 9 / 20).min(most), most }
    }
}

/// How much goes into one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    /// So many are waited for.
    least: usize,
    /// No more are taken.
    most: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of(crowd: usize) -> Share {
        let now = Instant::now();
        let mut seen = Crowd::new(now);
        seen.see(crowd, now);
        seen.share(now)
    }

    #[test]
    fn a_few_are_written_at_once_and_of_many_about_half() {
        assert_eq!(share_of(1), Share { least: 0, most: arrivals::MAX_ROWS });
        assert_eq!(share_of(FEW - 1).least, 0);
        assert_eq!(share_of(64), Share { least: 28, most: 35 });
        assert_eq!(share_of(4000).most, arrivals::MAX_ROWS);
        for crowd in 1..1000 {
            let share = share_of(crowd);
            assert!((1..=arrivals::MAX_ROWS).contains(&share.most), "{crowd}");
            assert!(share.least <= share.most, "what is waited for is taken: {crowd}");
            // What is waited for is fewer than those who are not being written.
            assert!(share.least <= crowd - share.most.min(crowd) || share.least == 0, "{crowd}");
        }
    }

    #[test]
    fn a_crowd_is_known_while_most_of_it_is_on_the_way_and_forgotten_once_it_is_gone() {
        let began = Instant::now();
        let mut crowd = Crowd::new(began);
        crowd.see(64, began);
        let share = crowd.share(began);
        for commits in 1..100 {
            let now = began + MEMORY * commits / 100;
            crowd.see(15, now);
            assert_eq!(crowd.share(now), share, "the others are on the way");
        }
        let later = began + MEMORY;
        crowd.see(1, later);
        assert_eq!(crowd.share(later), share, "remembered for as long again");
        assert_eq!(crowd.share(later + MEMORY).least, 0, "nobody is waited for in vain");

        crowd.see(64, later + MEMORY);
        assert_eq!(crowd.share(later + 4 * MEMORY).least, 0, "also where nothing came in between");
    }
}
