//! A bound on how long a question to the store may take.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Sqlite, Transaction};

use super::StoreError;

/// Steps of SQLite's machine between two looks at the time: far less than a millisecond's worth.
const STEPS: i32 = 1000;

/// SQLite's code for a statement that was given up.
const INTERRUPTED: &str = "9";

/// While it lives, SQLite gives up the connection's statements after a time.
#[derive(Debug)]
pub(super) struct TimeBox {
    /// Alive while the time box is: the connection is others' afterwards, also when nobody waited for the end.
    _open: Arc<()>,
}

impl TimeBox {
    /// Gives up what runs on the connection when so much time has passed from now on.
    pub(super) async fn begin(
        connection: &mut SqliteConnection,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let began = Instant::now();
        let open = Arc::new(());
        let still_open = Arc::downgrade(&open);
        let goes_on = move || still_open.strong_count() == 0 || began.elapsed() < patience;
        connection.lock_handle().await?.set_progress_handler(STEPS, goes_on);
        Ok(Self { _open: open })
    }
}

/// A view of the store for as long as a reader has time. It ends with the time box, whoever waits.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) transaction: Transaction<'static, Sqlite>,
    pub(super) _time_box: TimeBox,
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

/// Whether a statement was given up.
pub(super) fn is_over(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some(INTERRUPTED))
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, query_scalar};

    use super::*;

    /// Endless, for all that a test can wait for.
    const LONG: &str = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers)
                        SELECT count(*) FROM numbers";

    #[tokio::test]
    async fn a_question_is_given_up_after_its_time_and_the_next_has_its_own() {
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut connection = options.connect().await.expect("memory can be had");
        for _ in 0..2 {
            let time_box = TimeBox::begin(&mut connection, Duration::from_millis(20)).await;
            let time_box = time_box.expect("the connection is open");
            let outcome = query_scalar::<_, i64>(LONG).fetch_one(&mut connection).await;
            let error = outcome.expect_err("it does not end by itself");
            assert!(is_over(&error), "{error}");
            assert!(matches!(StoreError::from(error), StoreError::TooLong));
            drop(time_box);
            let short =
                format!("{LONG} LIMIT 1").replace("n + 1 FROM numbers", "n + 1 FROM numbers WHERE n < 99999");
            let counted: i64 =
                query_scalar(sqlx::AssertSqlSafe(short)).fetch_one(&mut connection).await.expect("it ends");
            assert_eq!(counted, 99_999, "outside a time box nothing is given up");
        }
    }
}
