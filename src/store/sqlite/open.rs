//! Opening the file: who may, with which schema, and how its connections are set up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteSynchronous,
};
use tokio::task::JoinSet;

use super::files::StoreFiles;
use super::{READING, SqliteStore, StoreError, Writer, primary_code};

/// Every migration, in order. One value for the daemon and the tests, so that both speak of the same files.
pub static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a connection waits for another program's lock, such as a backup's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections for readers: as many queries at once as two cores can do something with.
const READERS: u32 = 4;

/// Statements kept prepared: inserts of 1 to [`MAX_ROWS`](super::arrivals::MAX_ROWS) rows are statements of their own.
const PREPARED_STATEMENTS: usize = 400;

/// The size, in bytes, to which the write-ahead log is cut after a checkpoint.
const JOURNAL_SIZE_LIMIT: &str = "67108864";

/// Pages in the write-ahead log that make a commit copy them into the file (64 MiB): where the checkpointer has not
/// come to it, or does not run.
const CHECKPOINT_PAGES: &str = "16000";

/// The writer's page cache: negative, so KiB. Big enough for the pages that live calls touch.
const CACHE_KIB: &str = "-16384";

/// Opens the file for the only daemon on it.
pub async fn open(path: &Path) -> Result<(SqliteStore, Writer), StoreError> {
    connect(path, Some(lock(path)?)).await
}

/// Opens the file, also beside a daemon.
pub async fn open_shared(path: &Path) -> Result<(SqliteStore, Writer), StoreError> {
    match lock(path) {
        Ok(lock) => connect(path, Some(lock)).await,
        Err(StoreError::InUse(_)) => connect(path, None).await,
        Err(error) => Err(error),
    }
}

async fn connect(path: &Path, lock: Option<File>) -> Result<(SqliteStore, Writer), StoreError> {
    create(path)?;
    let unopenable = |error: sqlx::Error| {
        let why = error.to_string();
        if passes(&error) {
            return StoreError::Unavailable(why);
        }
        StoreError::Unopenable { path: path.display().to_string(), why }
    };
    let common =
        SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
    let writing = common
        .clone()
        .thread_name(|_| "store-writer".to_owned())
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE_KIB)
        // A statement keeps what it may have to undo, and a batch is more than SQLite keeps in memory unasked.
        .pragma("temp_store", "memory")
        .statement_cache_capacity(PREPARED_STATEMENTS);
    let mut connection = writing.connect().await.map_err(unopenable)?;
    if lock.is_some() {
        migrate(&mut connection, path).await?;
    } else {
        expect_own_schema(&mut connection).await?;
    }
    let files = StoreFiles::of(path)?;
    if lock.is_some() {
        files.warn_of_rescue_copies();
    }
    let copying = common
        .clone()
        .thread_name(|_| "store-copier".to_owned())
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pools = pools(common.read_only(true)).await.map_err(unopenable)?;
    Ok(SqliteStore::over((connection, Some(files)), pools, copying, lock))
}

/// One pool for the daemon itself and one for its readers.
async fn pools(options: SqliteConnectOptions) -> Result<[SqlitePool; 2], sqlx::Error> {
    let options = options.thread_name(|number| format!("store-reader-{number}"));
    let pool = SqlitePoolOptions::new().max_connections(READERS);
    let askers = pool.clone().acquire_timeout(READING);
    // A connection's thread inherits the priority of the one that asks for it: in a task that is one of the runtime's.
    let mut connecting = JoinSet::new();
    connecting.spawn(async move {
        tokio::try_join!(pool.connect_with(options.clone()), askers.connect_with(options))
    });
    let (pool, askers) =
        connecting.join_next().await.expect("one was begun").expect("opening does not panic")?;
    Ok([pool, askers])
}

/// Opens a file that is there, to read it only.
pub async fn open_reading(path: &Path) -> Result<SqliteStore, StoreError> {
    // The system says whether it is there; SQLite only that it cannot be opened. Opening it here is no way to ask:
    // closing it would end SQLite's own locks.
    fs::metadata(path).map_err(|error| unopenable(path, &error))?;
    let log = with_ending(path, "-wal");
    // SQLite reads a log only together with an index of it, which it would have to make. Where it may not, and
    // there is no log, there is nobody else either.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .read_only(true);
    let attempt = async |options: &SqliteConnectOptions| {
        let mut connection = options.connect().await?;
        sqlx::query("SELECT 1 FROM sqlite_schema").execute(&mut connection).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    let mut chosen = options;
    let outcome = match attempt(&chosen).await {
        Err(_) if !log.exists() => {
            chosen = chosen.immutable(true);
            attempt(&chosen).await
        }
        outcome => outcome,
    };
    let mut connection = outcome.map_err(|error| StoreError::Unopenable {
        path: path.display().to_string(),
        why: error.to_string(),
    })?;
    expect_own_schema(&mut connection).await?;
    let pools = pools(chosen.clone()).await?;
    Ok(SqliteStore::over((connection, None), pools, chosen, None).0)
}

/// Makes the file where there is none, so that its mode is right before there is anything in it. SQLite
/// gives its companions (`-wal`, `-shm`) the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map(drop).map_err(|error| unopenable(path, &error))
}

/// Takes the lock that keeps a second daemon out. It is on a file beside the store: closing a lock file on
/// the store itself would end SQLite's own locks.
fn lock(path: &Path) -> Result<File, StoreError> {
    let beside = with_ending(path, ".lock");
    let options = OpenOptions::new().create(true).append(true).mode(0o600).open(&beside);
    let file = options.map_err(|error| unopenable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(unopenable(path, &error)),
    }
}

/// The name of a file beside the store.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Whether the cause may pass by itself: another program's lock, a full or failing disk, no descriptors left. The file
/// itself could be opened or made a moment before.
fn passes(error: &sqlx::Error) -> bool {
    /// `SQLITE_BUSY`, `SQLITE_LOCKED`, `SQLITE_IOERR`, `SQLITE_FULL`, `SQLITE_CANTOPEN`.
    const PASSING: [i32; 5] = [5, 6, 10, 13, 14];
    matches!(error, sqlx::Error::Database(error) if primary_code(&**error).is_some_and(|code| PASSING.contains(&code)))
}

fn unopenable(path: &Path, error: &std::io::Error) -> StoreError {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    // EMFILE and ENFILE have no kind.
    let has_no_descriptors = error.raw_os_error().is_some_and(|code| [23, 24].contains(&code));
    if matches!(error.kind(), StorageFull | QuotaExceeded) || has_no_descriptors {
        return StoreError::Unavailable(error.to_string());
    }
    StoreError::Unopenable { path: path.display().to_string(), why: error.to_string() }
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    // `run` is the same, but cannot be awaited in a task: its future is not general enough to be `Send`.
    MIGRATOR.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) => {
            StoreError::Newer { found }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) if passes(&error) => {
            StoreError::Unavailable(error.to_string())
        }
        error => StoreError::Unopenable { path: path.display().to_string(), why: error.to_string() },
    })
}

/// Whoever runs on the store has migrated it; this program must know exactly that schema.
async fn expect_own_schema(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(connection).await?;
    let own = MIGRATOR.iter().map(|migration| migration.version).max();
    match found {
        Some(found) if Some(found) > own => Err(StoreError::Newer { found }),
        _ if found < own => Err(StoreError::Older),
        _ => Ok(()),
    }
}
