//! The store's files are still the ones that were opened, or what they held is rescued.
//!
//! A file that was removed or replaced stays open: SQLite goes on writing into it, and everything is gone when it is
//! closed. So the device and inode of the store and of its write-ahead log are compared before a commit is acknowledged.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::query;
use sqlx::sqlite::SqliteConnection;

use super::StoreError;
use super::open::with_ending;

/// How long after a rescue that failed another is tried.
const RESCUED_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// Rescue copies beside one store: more are surely not wanted.
const MAX_RESCUE_COPIES: u32 = 1000;

/// The files of an open store.
#[derive(Debug, Clone)]
pub(super) struct StoreFiles {
    path: PathBuf,
    store: FileId,
    log: FileId,
}

/// Keeps commits from being acknowledged that nobody could read again.
#[derive(Debug)]
pub(super) struct FileGuard {
    files: StoreFiles,
    loss: Option<Loss>,
}

/// What tells a file from every other: device and inode.
type FileId = (u64, u64);

/// The files are not those that were opened, which cannot be mended while they are open.
#[derive(Debug, Clone, Copy)]
struct Loss {
    rescued: bool,
    tried_at: Option<Instant>,
}

impl StoreFiles {
    /// The files of the store at `path`, which was just opened and written to.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let missing = |error: io::Error| {
            StoreError::Unavailable(format!("{} or its -wal is missing: {error}", path.display()))
        };
        // As SQLite does: the log is beside the file itself. A link that takes its place later is another file.
        let path = fs::canonicalize(path).map_err(missing)?;
        let id = |path: &Path| file_id(path).map_err(missing);
        let (store, log) = (id(&path)?, id(&with_ending(&path, "-wal"))?);
        Ok(Self { path, store, log })
    }

    /// Says that there is a rescue copy, which may hold what this store does not.
    pub(super) fn warn_of_rescue_copies(&self) {
        let copy = with_ending(&self.path, ".rescue-1");
        if copy.exists() {
            tracing::warn!(
                copy = %copy.display(),
                "there is a rescue copy beside the store: unless its record is in the store already, see README, \
                 \"The store\""
            );
        }
    }

    /// Whether they are still the ones that were opened.
    pub(super) fn are_in_place(&self) -> bool {
        let is = |path: &Path, opened: FileId| file_id(path).is_ok_and(|found| found == opened);
        is(&self.path, self.store) && is(&with_ending(&self.path, "-wal"), self.log)
    }

    /// Removes the log where it is still the one that was opened, with its index: what it holds is in the rescue copy, and
    /// SQLite would play it into whatever file is put beside it.
    fn remove_log(&self) {
        let log = with_ending(&self.path, "-wal");
        if file_id(&log).is_ok_and(|found| found == self.log) {
            for file in [log, with_ending(&self.path, "-shm")] {
                if let Err(error) = fs::remove_file(&file) {
                    tracing::warn!(%error, file = %file.display(), "a file of the lost store could not be removed");
                }
            }
        }
    }
}

impl FileGuard {
    pub(super) fn new(files: StoreFiles) -> Self {
        Self { files, loss: None }
    }

    /// Whether the files were found not to be in place: that stays so.
    pub(super) fn is_lost(&self) -> bool {
        self.loss.is_some()
    }

    /// Says nothing while the files are in place. Else what the connection still holds is copied into a file of its own,
    /// and nothing may be acknowledged any more.
    pub(super) async fn verify(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        if self.loss.is_none() {
            if self.files.are_in_place() {
                return Ok(());
            }
            self.loss = Some(Loss { rescued: false, tried_at: None });
            tracing::error!(
                store = %self.files.path.display(),
                "the store's file or its -wal was removed or replaced while it is open: no webhook is acknowledged any \
                 more"
            );
        }
        self.rescue(connection).await;
        Err(StoreError::Unavailable(
            "its file was removed or replaced while it was open; see the log".to_owned(),
        ))
    }

    async fn rescue(&mut self, connection: &mut SqliteConnection) {
        let Some(loss) = &mut self.loss else { return };
        if loss.rescued || loss.tried_at.is_some_and(|tried_at| tried_at.elapsed() < RESCUED_AGAIN_AFTER) {
            return;
        }
        loss.tried_at = Some(Instant::now());
        match copy_out(connection, &self.files.path).await {
            Ok(copy) => {
                loss.rescued = true;
                self.files.remove_log();
                tracing::error!(
                    copy = %copy.display(),
                    "what the store held was copied: stop the daemon, remove the store's file with its -wal and -shm, copy \
                     the rescue copy to the store's place, and start the daemon"
                );
            }
            Err(error) => {
                tracing::error!(%error, "what the store held could not be copied; it is tried again in a minute");
            }
        }
    }
}

/// Writes everything that the connection sees into a new file beside the store. Returns its name.
async fn copy_out(connection: &mut SqliteConnection, store: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: io::Error| StoreError::Unavailable(error.to_string());
    let copy = new_file_beside(store).map_err(failed)?;
    let name = copy.to_str().ok_or_else(|| StoreError::Unavailable("its path is not UTF-8".to_owned()))?;
    let outcome = query("VACUUM INTO ?").bind(name).execute(connection).await;
    let synced = match outcome {
        Ok(_) => synced(copy.clone()).await.map_err(failed),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = synced {
        // Half a copy is worse than none: it could be taken for a whole one.
        let _ = fs::remove_file(&copy);
        return Err(error);
    }
    Ok(copy)
}

/// An empty file that only its owner may read, under the first name that is free.
fn new_file_beside(store: &Path) -> io::Result<PathBuf> {
    for number in 1..=MAX_RESCUE_COPIES {
        let copy = with_ending(store, &format!(".rescue-{number}"));
        match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&copy) {
            Ok(_) => return Ok(copy),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("there are too many rescue copies"))
}

/// Puts the copy on disk, beside the runtime's threads: it may be large.
async fn synced(copy: PathBuf) -> io::Result<()> {
    let syncing = tokio::task::spawn_blocking(move || {
        File::open(&copy)?.sync_all()?;
        let parent = copy.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(".".as_ref()))?.sync_all()
    });
    syncing.await.map_err(io::Error::other)?
}

/// What is at a path itself, and not where a link there leads.
fn file_id(path: &Path) -> io::Result<FileId> {
    Ok(id(&fs::symlink_metadata(path)?))
}

/// Whether a file at `path` is or would be one of the store's own, under whatever name: writing it would destroy them.
pub(in crate::store) fn is_one_of(path: &Path, store: &Path) -> bool {
    let stores = [Some(store.to_owned()), fs::canonicalize(store).ok()];
    let endings = ["", "-wal", "-shm", "-journal", ".lock"];
    let mut own = stores.iter().flatten().flat_map(|store| endings.map(|ending| with_ending(store, ending)));
    let (id, place) = (linked_id(path).ok(), resolved(path));
    own.any(|own| {
        let is_same_file = id.is_some() && linked_id(&own).ok() == id;
        is_same_file || (place.is_some() && resolved(&own) == place)
    })
}

/// What a path leads to.
fn linked_id(path: &Path) -> io::Result<FileId> {
    Ok(id(&fs::metadata(path)?))
}

fn id(metadata: &fs::Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// A path without links in its directory, whether or not there is a file.
fn resolved(path: &Path) -> Option<PathBuf> {
    if let Ok(whole) = fs::canonicalize(path) {
        return Some(whole);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref());
    Some(fs::canonicalize(parent).ok()?.join(path.file_name()?))
}
