//! A bound on how long a question to the store may take.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;

use super::StoreError;

/// Steps of SQLite's machine between two looks at the time: far less than a millisecond's worth.
const STEPS: i32 = 1000;

/// SQLite's code for a statement that was given up.
const INTERRUPTED: &str = "9";

/// Gives up what runs on the connection when so much time has passed from now on, also when nobody waits for it any
/// more: a reader who hangs up leaves his question behind. It holds until the next begins on the connection.
pub(super) async fn begin(connection: &mut SqliteConnection, patience: Duration) -> Result<(), StoreError> {
    let began = Instant::now();
    let goes_on = move || began.elapsed() < patience;
    connection.lock_handle().await?.set_progress_handler(STEPS, goes_on);
    Ok(())
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
            begin(&mut connection, Duration::from_millis(20)).await.expect("the connection is open");
            let outcome = query_scalar::<_, i64>(LONG).fetch_one(&mut connection).await;
            let error = outcome.expect_err("it does not end by itself");
            assert!(is_over(&error), "{error}");
            assert!(matches!(StoreError::from(error), StoreError::TooLong));
        }
        begin(&mut connection, Duration::from_hours(1)).await.expect("the connection is open");
        let short = LONG.replace("FROM numbers)", "FROM numbers WHERE n < 99999)");
        let counted: i64 = query_scalar(sqlx::AssertSqlSafe(short))
            .fetch_one(&mut connection)
            .await
            .expect("it has an hour");
        assert_eq!(counted, 99_999);
    }

    #[tokio::test]
    async fn a_question_is_given_up_also_when_nobody_waits_for_the_answer() {
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut connection = options.connect().await.expect("memory can be had");
        begin(&mut connection, Duration::from_millis(20)).await.expect("the connection is open");
        let asked = query_scalar::<_, i64>(LONG).fetch_one(&mut connection);
        let hung_up = tokio::time::timeout(Duration::from_millis(1), asked).await;
        assert!(hung_up.is_err(), "it does not end by itself");
        // The connection's thread would otherwise be busy with the question for ever.
        begin(&mut connection, Duration::from_hours(1)).await.expect("the connection is free again");
        let one: i64 = query_scalar("SELECT 1").fetch_one(&mut connection).await.expect("it answers");
        assert_eq!(one, 1);
    }
}
