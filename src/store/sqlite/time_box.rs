//! A bound on how long a question to the store may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;

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

/// Whether a statement was given up.
pub(super) fn is_over(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some(INTERRUPTED))
}
