//! Everything that knows SQL. The rest of the program sees [`Store`]: verbs, each one transaction.
//!
//! To add a verb: say here what it promises, write it in the file of `sqlite/` that its table belongs to,
//! and hold it to the promise in `tests/it/store.rs`, which is written over `dyn Store`.
//!
//! - "Not there" is `None`, never an error.
//! - No SQL type, row or transaction crosses the trait; leases are in the store, not in memory.
//! - What has returned `Ok` is on disk.

pub mod slot;
mod sqlite;

pub use sqlite::{MIGRATOR, Writer};

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::arrival::{Arrival, NewArrival};
use crate::domain::call::CallList;
use crate::domain::change::{Change, Place};
use crate::domain::conversation::Interpretation;
use crate::domain::fetch::{Finding, Lease, Settlement, Urgency};
use crate::domain::filter::Filter;
use crate::domain::gap::{Cause, Gap};
use crate::domain::history::{History, Revision};
use crate::domain::ids::{ApplicationId, ConversationId};
use crate::domain::reply::{NewReply, Reply};
use crate::domain::snapshot::{Digests, Snapshot};
use crate::domain::stats::{Backlog, Span, Stats};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be used now: the disk is full or failing, or the file is locked. Trying again may help.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// More is waiting to be written than can be held. Trying again helps.
    #[error("the store is too far behind")]
    Behind,
    /// A reader's question takes longer than readers may. A narrower one may not.
    #[error("the question takes too long")]
    TooLong,
    /// What it holds cannot be read back.
    #[error("the store holds an unreadable value: table {table}, column {column}")]
    Corrupt {
        /// The table of the value.
        table: &'static str,
        /// Its column.
        column: &'static str,
    },
    /// Its file is damaged where it was asked; another part of it may not be.
    #[error("the store's file is damaged: {0}")]
    Damaged(String),
    /// Another program has the store.
    #[error("another conversationd uses the store {0}: stop it, or give this one a store.url of its own")]
    InUse(String),
    /// It was written by a later version of the program.
    #[error("the store has schema {found}, newer than this program knows: use a newer conversationd")]
    Newer {
        /// The number of the first migration that is not known here.
        found: i64,
    },
    /// It was written by an earlier version of the program, which is still running.
    #[error("the store has the schema of an older version: restart the daemon with this version first")]
    Older,
    /// The file cannot be opened or made.
    #[error("the store {path} cannot be opened: {why}")]
    Unopenable {
        /// Where it should be.
        path: String,
        /// What the system said.
        why: String,
    },
}

/// The bytes of bodies at which a list of arrivals stops being read: its memory must not depend on how large each is.
pub const PORTION_BYTES: u32 = 1024 * 1024;

/// The members, states, legs and statuses at which a list of conversations stops being read: a conference may have
/// thousands.
pub const PORTION_PARTS: u32 = 8192;

impl StoreError {
    /// Whether what was asked for cannot be read, which trying again does not mend; something else may be readable.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Damaged(_))
    }
}

/// Where a list goes on: behind the conversation with this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The instant that the list is ordered by.
    pub listed_at: Timestamp,
    /// The conversation, where two have the same instant.
    pub id: ConversationId,
}

/// In which direction a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Back into the past.
    #[default]
    NewestFirst,
    /// Towards the present.
    OldestFirst,
}

/// Which part of a list: its items are read by their keys, so that none is skipped or repeated while new ones
/// come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<P> {
    /// In which direction it goes.
    pub order: Order,
    /// At most so many items.
    pub limit: u32,
    /// Only from behind this place on.
    pub after: Option<P>,
}

impl<P> Page<P> {
    /// The first `limit` items, newest first.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { order: Order::NewestFirst, limit, after: None }
    }
}

/// A conversation in a list, with the key that the list goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the list.
    pub position: Position,
    /// What is understood of it.
    pub interpretation: Interpretation,
}

/// Conversations that wait for their interpretation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stale {
    /// Which.
    pub conversations: BTreeSet<ConversationId>,
    /// The number of the last arrival that asked for it; `None` when none did.
    pub through: Option<i64>,
}

/// Where the list of gaps goes on: behind the gap with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapPosition {
    /// When it began, which the list is ordered by.
    pub began_at: Timestamp,
    /// Its number, where two began at the same instant.
    pub id: i64,
}

/// What was new in a list of calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovery {
    /// Legs that were not known from a list, or are told anew.
    pub legs: usize,
    /// Conversations that nothing was ever heard of.
    pub unannounced: BTreeSet<ConversationId>,
    /// Conversations that are to be looked at now.
    pub owed: u64,
}

/// Where something went that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is a snapshot of its own, of this number.
    New(u32),
    /// The snapshot of this number has it: it is the newest, and as new as what was found or newer.
    Joined(u32),
}

/// What the daemon keeps: two logs, what is owed, and what is derived.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    // --- the log of webhooks

    /// Notes that an arrival that came in at `at` was refused before it could be appended, since too much waits: the
    /// gap has to name it.
    fn refused(&self, at: Timestamp);

    /// Appends an arrival, which owes a look at once to each conversation that it speaks of; or counts one more
    /// delivery of an event that is there already. Returns when it is on disk.
    async fn append(&self, arrival: NewArrival) -> Result<(), StoreError>;

    /// At most `limit` arrivals that speak of a conversation, oldest first, from behind the one with the number
    /// `after` on; fewer where they are large: no more than it takes to have [`PORTION_BYTES`] of bodies.
    async fn arrivals_after(
        &self,
        id: &ConversationId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Arrival>, StoreError>;

    /// At most `limit` arrivals, whatever they speak of, newest first, from behind the one with the number `after`
    /// on; fewer where they are large: no more than it takes to have [`PORTION_BYTES`] of bodies.
    async fn newest_arrivals(&self, limit: u32, after: Option<i64>) -> Result<Vec<Arrival>, StoreError>;

    /// Keeps what a webhook was replied to with. Replies of a moment are written together: this takes a little
    /// longer than the disk does.
    async fn reply(&self, reply: NewReply) -> Result<(), StoreError>;

    /// What the webhooks that speak of a conversation were replied to with, oldest first.
    async fn replies(&self, id: &ConversationId) -> Result<Vec<Reply>, StoreError>;

    // --- looks

    /// Takes out at most `limit` looks that are due at `now`, the most urgent first, and keeps them from everybody
    /// else until `until`. Of conversations that were not asked for yet the newest come first, since the older are
    /// the more likely to be gone; and behind them those that were never seen but asked for in vain. Among other
    /// equals the longest due is first. One that cannot be read is left out until leases are released; where that is for the file's damage and nothing else
    /// could be taken out, it is an error as well.
    async fn lease(&self, now: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<Lease>, StoreError>;

    /// How urgent the most urgent look is that is due at `now` and that nobody has taken out.
    async fn most_urgent(&self, now: Timestamp) -> Result<Option<Urgency>, StoreError>;

    /// Whether a look at an application's conversations is still to come.
    async fn has_pending(&self, application: &ApplicationId) -> Result<bool, StoreError>;

    /// When the next look that nobody has taken out is due.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Ends a lease: keeps what was found and sets what is owed next. A sighting that equals the newest
    /// snapshot confirms it instead of making another; events join it. Returns the number of the snapshot that
    /// was made or confirmed, or that they joined. If arrivals asked for a look since the lease began, one is owed
    /// at once.
    async fn settle(&self, settlement: Settlement) -> Result<Option<u32>, StoreError>;

    /// Makes looks due at `now` that would be due after `latest`: no pause is that long, so the clock was set back. Returns
    /// how many; there may be more unless it is 0.
    async fn pull(&self, now: Timestamp, latest: Timestamp) -> Result<u64, StoreError>;

    /// Makes looks due at `now` that wait for later because Vonage did not answer an application, asked it for a pause, or
    /// refused its token. Returns how many; there may be more unless it is 0.
    async fn hasten(&self, application: &ApplicationId, now: Timestamp) -> Result<u64, StoreError>;

    /// Makes looks at an application's conversations due at `now` that were given up since `since`, unless the
    /// conversation is over or Vonage does not know it. Returns how many; there may be more unless it is 0.
    async fn revive(
        &self,
        application: &ApplicationId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// Keeps what was found without a lease, as [`Store::settle`] does, and leaves what is owed as it is. Returns
    /// where it went, if there is a snapshot that it belongs to.
    async fn keep(
        &self,
        id: &ConversationId,
        application: &ApplicationId,
        finding: Finding,
    ) -> Result<Option<Kept>, StoreError>;

    /// Ends all leases. For the start of the only program that works on this store.
    async fn release_leases(&self) -> Result<(), StoreError>;

    // --- interpretation

    /// Conversations whose interpretation is older than what is known of them: those that the next `limit`
    /// arrivals speak of, and as many that were looked at.
    async fn stale(&self, limit: u32) -> Result<Stale, StoreError>;

    /// Everything that is known of these conversations; nothing for one that was never heard of. Where many arrivals
    /// have come at once the last of them may be missing; they make a conversation [stale](Self::stale) in their turn.
    async fn histories(&self, ids: &[ConversationId]) -> Result<Vec<History>, StoreError>;

    /// How many bytes the bodies of these conversations' histories have, in their order: what reading them takes at
    /// least.
    async fn history_bytes(&self, ids: &[ConversationId]) -> Result<Vec<u64>, StoreError>;

    /// Everything that is known of one conversation, for a reader; `None` for one that was never heard of.
    async fn history(&self, id: &ConversationId) -> Result<Option<History>, StoreError>;

    /// Leaves out conversations that cannot be interpreted until there is news of them: they are not
    /// [stale](Self::stale) for what they were read with, or else for what is known now.
    async fn quarantine(&self, unreadable: &[(ConversationId, Option<Revision>)]) -> Result<(), StoreError>;

    /// Replaces interpretations, except where a newer one is there. Each goes with the [`History::revision`]
    /// that it was made from; `through` is [`Stale::through`] of the work that is done with this.
    async fn save(
        &self,
        interpretations: Vec<(Interpretation, Revision)>,
        through: Option<i64>,
    ) -> Result<(), StoreError>;

    // --- reading

    /// A page of the conversations that `filter` lets through at `now`; fewer where they are large: no more than it takes
    /// to have [`PORTION_PARTS`] members, states, legs and statuses.
    async fn conversations(
        &self,
        filter: &Filter,
        now: Timestamp,
        page: &Page<Position>,
    ) -> Result<Vec<Listed>, StoreError>;

    /// One conversation.
    async fn conversation(&self, id: &ConversationId) -> Result<Option<Interpretation>, StoreError>;

    /// The conversation that has this id, or a leg or member with it; the newest where there are several.
    async fn resolve(&self, id: &str) -> Result<Option<ConversationId>, StoreError>;

    /// The versions of a conversation, oldest first, without their documents' bodies.
    async fn snapshots(&self, id: &ConversationId) -> Result<Vec<Digests>, StoreError>;

    /// One version, with its documents.
    async fn snapshot(&self, id: &ConversationId, number: u32) -> Result<Option<Snapshot>, StoreError>;

    /// What is counted of the conversations and arrivals of a time, and of the store. Counting is given up after
    /// `patience`: what was not counted by then is `None`.
    async fn stats(&self, span: Span, now: Timestamp, patience: Duration) -> Result<Stats, StoreError>;

    /// What waits to be done. Counting is given up after `patience`, as that of [`Store::stats`] is.
    async fn backlog(&self, now: Timestamp, patience: Duration) -> Result<Backlog, StoreError>;

    // --- following along

    /// What happened after `place`: at most `limit` arrivals, snapshots and changed conversations each. Of several
    /// changes of one conversation only the last is there.
    async fn changes(&self, place: Place, limit: u32) -> Result<Vec<Change>, StoreError>;

    /// The end of the logs: nothing has happened after it yet.
    async fn end(&self) -> Result<Place, StoreError>;

    /// Changes whenever something may have been written through this store. What others write into it does not
    /// show here.
    fn written(&self) -> watch::Receiver<()>;

    /// Whether many arrivals waited already when the last of their commits was done: what can wait had better.
    fn pressed(&self) -> watch::Receiver<bool>;

    // --- what could not be seen

    /// Notes that the daemon runs. Also tells of webhooks that could not be stored: their gap cannot be written
    /// while the store fails.
    async fn beat(&self, at: Timestamp) -> Result<(), StoreError>;

    /// The last [`Store::beat`]; `None` before the first.
    async fn last_beat(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Begins a gap, unless one of this cause and application lasts.
    async fn open_gap(
        &self,
        cause: Cause,
        application: Option<&ApplicationId>,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends the gap of this cause and application, if one lasts.
    async fn close_gap(
        &self,
        cause: Cause,
        application: Option<&ApplicationId>,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends every gap that lasts.
    async fn close_gaps(&self, at: Timestamp) -> Result<(), StoreError>;

    /// Adds a gap that is over. Told twice, it is there once.
    async fn add_gap(
        &self,
        cause: Cause,
        application: Option<&ApplicationId>,
        began_at: Timestamp,
        ended_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// At most `limit` gaps, newest first, from behind `after` on.
    async fn gaps(&self, limit: u32, after: Option<GapPosition>) -> Result<Vec<Gap>, StoreError>;

    /// The gaps that touch the time from `from` to `to`, oldest first.
    async fn gaps_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Gap>, StoreError>;

    /// Keeps a list of calls: its legs, and how far it goes. Their conversations are known from then on, and
    /// stale where there is news. One that has a leg that is not over is owed a look at once if there is news of it
    /// and it was never seen, or if it was given up although Vonage may know it.
    async fn keep_listed(&self, list: CallList) -> Result<Discovery, StoreError>;

    /// Until when the calls of an application are listed completely: before that there is nothing to be found.
    /// A leg that was first listed after `lasting_since` and was not over is still waited for.
    async fn listed_until(
        &self,
        application: &ApplicationId,
        lasting_since: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// When the oldest conversation began that began after `since` and is not known to be over.
    async fn oldest_live(&self, since: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    // --- the store itself

    /// Whether the store can be written to now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Takes no more arrivals and lets the [`Writer`] end when it has written those that are queued.
    async fn close(&self);
}

/// Opens the store at `path` for the daemon: makes the file where there is none (mode 0600), keeps other
/// daemons out, brings the schema up to date, and ends the leases of a predecessor. Nothing is appended until
/// the [`Writer`] runs.
///
/// # Errors
/// When the file cannot be opened, is in use, or has a newer schema.
pub async fn open(path: &Path) -> Result<(Arc<dyn Store>, Writer), StoreError> {
    let (store, writer) = sqlite::open(path).await?;
    match store.release_leases().await {
        Ok(()) => {}
        // Webhooks are stored elsewhere, and a call must not wait for the damage to be mended.
        Err(error @ StoreError::Damaged(_)) => {
            tracing::error!(%error, "the fetches that were begun before the start are left for an hour");
        }
        Err(error) => return Err(error),
    }
    Ok((Arc::new(store), writer))
}

/// Opens the store at `path` to read it, also beside a running daemon. Nothing can be written through it.
///
/// # Errors
/// When there is no store, or it has another schema than this program's.
pub async fn open_reading(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(sqlite::open_reading(path).await?))
}

/// Opens the store at `path` to add to it, also beside a running daemon. The schema is brought up to date only
/// where no daemon is running that might not know the new one.
///
/// # Errors
/// As [`open`], except that a running daemon is no obstacle as long as its schema is this program's.
pub async fn open_shared(path: &Path) -> Result<(Arc<dyn Store>, Writer), StoreError> {
    let (store, writer) = sqlite::open_shared(path).await?;
    Ok((Arc::new(store), writer))
}

/// Whether a file at `path` is or would be one of the files of the store at `store`, under whatever name.
#[must_use]
pub fn is_file_of(path: &Path, store: &Path) -> bool {
    sqlite::is_one_of(path, store)
}
